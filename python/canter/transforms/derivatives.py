"""The derivative operators that users call: grad, jvp, vjp, linearize, Jacobians and Hessians."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np

from ..core import dtypes, pytree
from ..core.avals import ShapedArray, get_aval, typematch
from ..core.errors import api_boundary, argument_path, derived_boundary
from ..core.explicit import typed
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.state import AbstractRef
from ..core.trace import Tracer, references
from ..core.tracing import trace_to_jaxpr
from . import eager_linearize  # noqa: F401  (it fills a slot of the tape)
from .batching import batch_flat
from .calling import FlatFunction, debug_info, function_name, normalize_argnums, split_arguments
from .jvp import jvp_flat, without_tangents
from .linearize import linearize_flat
from .pull_back import PullBack
from .rules import array_ops, as_result, in_memory_of, instantiate_zeros, matchaxis, seed_of, zeros_like_aval
from .transpose import backward_pass
from .zeros import UndefinedPrimal, Zero, has_tangents

__all__ = [
    "grad",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linear_transpose",
    "linearize",
    "value_and_grad",
    "vjp",
]

P = ParamSpec("P")


def _check_callable(name: str, fun: Any) -> None:
    if not callable(fun):
        raise TypeError(f"{name} takes a function, but got a value of type {type(fun).__name__}.")


def _leaf_avals(
    leaves: Sequence[Any], tree: Any, what: str, fun: Any, numbers: Sequence[int] | None = None
) -> list[Any]:
    """Avals of leaves; a leaf that is no array is named by its path."""
    avals = []
    for i, leaf in enumerate(leaves):
        try:
            avals.append(get_aval(leaf))
        except TypeError:
            raise TypeError(
                f"{what} of {function_name(fun)}: argument {_argument_path(fun, tree, i, numbers)} is a value of type "
                f"{type(leaf).__name__}, which is not a valid array type. Pass arrays or numbers, or bind the argument "
                "with functools.partial."
            ) from None
    if references.in_use and what != "jvp" and any(isinstance(aval, AbstractRef) for aval in avals):
        raise TypeError(
            f"{what} of {function_name(fun)}: an argument is a mutable reference, which has no derivative of its own. "
            "Differentiate by an array that the function writes to a reference, or close over the reference."
        )
    return avals


def _argument_path(fun: Any, tree: Any, index: int, numbers: Sequence[int] | None = None) -> str:
    path = pytree.tree_leaves_with_path(tree.unflatten(range(tree.num_leaves)))[index][0]
    return argument_path(fun, path, numbers)


# --- grad -----------------------------------------------------------------------------------------


def grad(
    fun: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Any] = (),
) -> Callable[P, Any]:
    """The gradient of a scalar function, by reverse mode.

    Args:
      fun: takes trees of arrays, returns a scalar (or, with `has_aux`, a pair of it and other data).
      argnums: the positional argument or arguments to differentiate with respect to.
      has_aux: whether `fun` returns a pair.
      holomorphic: whether `fun` is a holomorphic function of complex arguments.
      allow_int: whether arguments may be integers; their gradient has dtype float0.
      reduce_axes: not supported, must be empty.

    Returns:
      A function of the same arguments that returns the gradient, of the structure of the chosen
      argument (a tuple of them where `argnums` is a sequence), or with `has_aux` the pair of it and
      the other data.

    Raises:
      TypeError: the result is not a real scalar, or an argument is not of an inexact dtype.
      ValueError: `argnums` does not fit the call.

    Example:
      >>> import canter as ct
      >>> float(ct.grad(lambda x: x**3)(2.0))
      12.0
    """
    evaluate = _value_and_gradient("grad", fun, argnums, has_aux, holomorphic, allow_int, reduce_axes)

    @derived_boundary(fun)
    def gradient(*args: P.args, **kwargs: P.kwargs) -> Any:
        value, result = evaluate(args, kwargs)
        return (result, value[1]) if has_aux else result

    return gradient


def value_and_grad(
    fun: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Any] = (),
) -> Callable[P, tuple[Any, Any]]:
    """The value and the gradient of a scalar function, computed together.

    Args:
      fun: takes trees of arrays, returns a scalar (or, with `has_aux`, a pair of it and other data).
      argnums, holomorphic, allow_int, reduce_axes: as for `grad`.
      has_aux: whether `fun` returns a pair.

    Returns:
      A function of the same arguments that returns the pair of what `fun` returns and the gradient.

    Raises:
      TypeError: the result is not a real scalar, or an argument is not of an inexact dtype.
      ValueError: `argnums` does not fit the call.

    Example:
      >>> import canter as ct
      >>> value, slope = ct.value_and_grad(lambda x: x**3)(2.0)
      >>> float(value), float(slope)
      (8.0, 12.0)
    """
    evaluate = _value_and_gradient(
        "value_and_grad", fun, argnums, has_aux, holomorphic, allow_int, reduce_axes
    )

    @derived_boundary(fun)
    def value_and_gradient(*args: P.args, **kwargs: P.kwargs) -> tuple[Any, Any]:
        return evaluate(args, kwargs)

    return value_and_gradient


def _value_and_gradient(
    name: str,
    fun: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    holomorphic: bool,
    allow_int: bool,
    reduce_axes: Sequence[Any],
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """The function that `grad` and `value_and_grad` apply to (args, kwargs)."""
    _check_callable(name, fun)
    if tuple(reduce_axes):
        raise NotImplementedError(f"{name}: reduce_axes is not supported; use psum inside the function.")
    single = not isinstance(argnums, (tuple, list))

    def evaluate(args: Any, kwargs: Any) -> tuple[Any, Any]:
        if argnums == 0 and single and len(args) == 1 and not kwargs:
            numbers: tuple[int, ...] = (0,)
            chosen_fun, chosen = fun, args
        else:
            numbers = normalize_argnums(argnums, len(args), f"{name} of {function_name(fun)}")
            chosen_fun, chosen = split_arguments(fun, args, numbers, kwargs)
        leaves, in_tree = pytree.tree_flatten(chosen)
        avals = _leaf_avals(leaves, in_tree, name, fun, numbers)
        nonzeros = [has_tangents(aval) for aval in avals]
        if holomorphic or not all(nonzeros):
            for i, aval in enumerate(avals):
                _check_grad_input(aval, fun, in_tree, numbers, i, holomorphic, allow_int, name)
        flat = FlatFunction(chosen_fun, in_tree, has_aux=has_aux)
        linearized = linearize_flat(flat, leaves, nonzeros, avals=avals)
        _check_grad_output(linearized.primals_out, flat.out_tree, fun, holomorphic, name)
        seed = [seed_of(get_aval(linearized.primals_out[0]))] if linearized.out_nonzeros[0] else []
        cotangents = iter(_pull_back(linearized.tape, seed))
        gradients = [
            as_result(next(cotangents), aval) if nonzero else np.zeros(aval.shape, dtypes.float0)
            for aval, nonzero in zip(avals, nonzeros, strict=True)
        ]
        gradient = in_tree.unflatten(gradients)
        if single:
            (gradient,) = gradient
        value = flat.out_tree.unflatten(linearized.primals_out)
        return ((value, without_tangents(flat.aux)) if has_aux else value), gradient

    return evaluate


def _pull_back(tape: ClosedJaxpr, cotangents: Sequence[Any]) -> list[Any]:
    jaxpr = tape.jaxpr
    linear = [UndefinedPrimal(v.aval) for v in jaxpr.invars]
    return backward_pass(jaxpr, tape.consts, linear, cotangents, all_linear=True)


def _check_grad_input(
    aval: Any,
    fun: Any,
    tree: Any,
    numbers: Sequence[int],
    index: int,
    holomorphic: bool,
    allow_int: bool,
    name: str,
) -> None:
    dtype = aval.dtype
    if holomorphic:
        if dtypes.issubdtype(dtype, np.complexfloating):
            return
        needs = "with holomorphic=True needs complex inputs"
        advice = "Convert it to a complex dtype, or leave out holomorphic=True."
    elif dtypes.issubdtype(dtype, np.inexact) or allow_int:
        return
    else:
        needs = "needs real- or complex-valued inputs (of a float or complex dtype)"
        advice = "Convert it with `.astype(float)`, choose other argnums, or pass allow_int=True for a zero gradient."
    raise TypeError(
        f"{name} of {function_name(fun)} {needs}, but argument {_argument_path(fun, tree, index, numbers)} is "
        f"{aval.str_short()}. {advice}"
    )


def _check_grad_output(outs: Sequence[Any], tree: Any, fun: Any, holomorphic: bool, name: str) -> None:
    if len(outs) == 1 and not holomorphic:
        aval = get_aval(outs[0])
        if not aval.shape and aval.dtype.kind == "f" and pytree.treedef_is_leaf(tree):
            return
    subject = f"Gradient only defined for scalar-output functions: {name} needs {function_name(fun)} to return a scalar"
    if len(outs) != 1 or not pytree.treedef_is_leaf(tree):
        raise TypeError(
            f"{subject}, but it returned a tree of {len(outs)} arrays: {tree}. "
            "Return one number; with has_aux=True return (number, other data)."
        )
    aval = get_aval(outs[0])
    if aval.shape:
        raise TypeError(
            f"{subject}, but its result has shape {aval.shape}. Reduce it (`.sum()`, `.mean()`), or use jacrev or "
            f"vjp for a function of several results; `vmap({name}(f))` differentiates example by example."
        )
    if holomorphic:
        if not dtypes.issubdtype(aval.dtype, np.complexfloating):
            raise TypeError(
                f"{name} with holomorphic=True needs a complex result, but it is {aval.str_short()}."
            )
    elif dtypes.issubdtype(aval.dtype, np.complexfloating):
        raise TypeError(
            f"{name} needs a real-valued result, but it is {aval.str_short()}. Return its real part or its "
            "absolute value, or pass holomorphic=True if the function is holomorphic."
        )
    elif not dtypes.issubdtype(aval.dtype, np.floating):
        raise TypeError(
            f"{name} needs a result of a float dtype, but it is {aval.str_short()}. Convert it with `.astype(float)`."
        )


# --- jvp and linearize ----------------------------------------------------------------------------


@api_boundary
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """Value and directional derivative of a function, by forward mode.

    Args:
      fun: takes and returns trees of arrays.
      primals: the point: a tuple or list of positional arguments.
      tangents: the direction: of the structure, shapes and dtypes of `primals` (float0 for integers).
      has_aux: whether `fun` returns a pair (value, other data).

    Returns:
      (value, tangent), and the other data as a third with `has_aux`.

    Raises:
      TypeError: primals and tangents do not fit each other.

    Example:
      >>> import canter as ct
      >>> value, tangent = ct.jvp(lambda x: x**2, (3.0,), (1.0,))
      >>> float(value), float(tangent)
      (9.0, 6.0)
    """
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(
                f"jvp: {what} must be a tuple or list of positional arguments, got a value of type "
                f"{type(given).__name__}. Write `jvp(f, (x,), (t,))`."
            )
    leaves, in_tree = pytree.tree_flatten(tuple(primals))
    tangent_leaves, tangent_tree = pytree.tree_flatten(tuple(tangents))
    if in_tree != tangent_tree:
        raise TypeError(
            f"jvp: primals and tangents must have the same structure, got {in_tree} and {tangent_tree}."
        )
    avals = _leaf_avals(leaves, in_tree, "jvp", fun)
    directions = [
        _checked_tangent("jvp", i, aval, t, fun, in_tree)
        for i, (aval, t) in enumerate(zip(avals, tangent_leaves, strict=True))
    ]
    flat = FlatFunction(fun, in_tree, has_aux=has_aux)
    outs, out_tangents = jvp_flat(flat, leaves, directions)
    value = flat.out_tree.unflatten(outs)
    tangent = flat.out_tree.unflatten([as_result(t) for t in out_tangents])
    return (value, tangent, without_tangents(flat.aux)) if has_aux else (value, tangent)


def _checked_tangent(what: str, index: int, aval: Any, tangent: Any, fun: Any, tree: Any) -> Any:
    expected, given = aval.to_tangent_aval(), get_aval(tangent)
    if expected.shape == given.shape and (typematch(expected, given) or expected.dtype == given.dtype):
        return Zero(expected) if expected.dtype == dtypes.float0 else in_memory_of(tangent, expected)
    if given.weak_type and given.shape == expected.shape and has_tangents(expected) and has_tangents(given):
        return array_ops.convert_element_type(tangent, expected.dtype)
    kind = ValueError if expected.shape != given.shape or what == "linearize" else TypeError
    advice = (
        " Integers and booleans have tangents of dtype float0." if expected.dtype == dtypes.float0 else ""
    )
    raise kind(
        f"{what}: the tangent of argument {_argument_path(fun, tree, index)}, which is {aval.str_short()}, must be "
        f"{expected.str_short()}, but it is {given.str_short()}. Give it the shape and dtype of the argument.{advice}"
    )


@api_boundary
def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Value of a function at a point, and its derivative there as a linear function.

    Args:
      fun: takes and returns trees of arrays.
      *primals: the point.
      has_aux: whether `fun` returns a pair (value, other data).

    Returns:
      (value, f_jvp), and the other data as a third with `has_aux`. `f_jvp(*tangents)` evaluates the
      derivative without evaluating `fun` again.

    Raises:
      TypeError: an argument is no array, or tangents do not fit the arguments.

    Example:
      >>> import canter as ct
      >>> value, f_jvp = ct.linearize(lambda x: x**2, 3.0)
      >>> float(value), float(f_jvp(1.0)), float(f_jvp(2.0))
      (9.0, 6.0, 12.0)
    """
    leaves, in_tree = pytree.tree_flatten(primals)
    avals = _leaf_avals(leaves, in_tree, "linearize", fun)
    flat = FlatFunction(fun, in_tree, has_aux=has_aux)
    nonzeros = [has_tangents(aval) for aval in avals]
    linearized = linearize_flat(flat, leaves, nonzeros, debug_info=debug_info(fun, "linearize"))
    jaxpr = linearized.tape.jaxpr
    description = (jaxpr, in_tree, flat.out_tree, tuple(avals), tuple(linearized.out_nonzeros))
    push = functools.partial(_push_forward, description, tuple(linearized.out_tangent_avals))
    value = flat.out_tree.unflatten(linearized.primals_out)
    f_jvp = pytree.Partial(push, linearized.tape.consts)
    return (value, f_jvp, without_tangents(flat.aux)) if has_aux else (value, f_jvp)


def _push_forward(description: Any, out_avals: Any, consts: Any, *tangents: Any) -> Any:
    jaxpr, in_tree, out_tree, avals, out_nonzeros = description
    leaves, tree = pytree.tree_flatten(tangents)
    if tree != in_tree:
        raise TypeError(
            f"linearize: the tangents must have the structure of the arguments, {in_tree}, not {tree}."
        )
    checked = [
        _checked_tangent("linearize", i, a, t, None, tree)
        for i, (a, t) in enumerate(zip(avals, leaves, strict=True))
    ]
    given = [t for a, t in zip(avals, checked, strict=True) if has_tangents(a)]
    found = iter(eval_jaxpr(jaxpr, consts, *given))
    outs = [next(found) if nz else zeros_like_aval(a) for a, nz in zip(out_avals, out_nonzeros, strict=True)]
    return out_tree.unflatten(outs)


# --- vjp and linear_transpose ---------------------------------------------------------------------


@api_boundary
def vjp(
    fun: Callable[..., Any], *primals: Any, has_aux: bool = False, reduce_axes: Sequence[Any] = ()
) -> tuple[Any, ...]:
    """Value of a function, and the function that pulls cotangents back, by reverse mode.

    Args:
      fun: takes and returns trees of arrays.
      *primals: the point.
      has_aux: whether `fun` returns a pair (value, other data).
      reduce_axes: not supported, must be empty.

    Returns:
      (value, f_vjp), and the other data as a third with `has_aux`. `f_vjp(cotangent)` takes a tree
      like the value and returns a tuple of cotangents, one an argument. It is a pytree, so it can be
      returned from and passed to transformed functions. `f_vjp.with_refs(*refs)(cotangent)` adds the
      cotangents to mutable references instead.

    Raises:
      TypeError, ValueError: the cotangent does not fit the value.

    Example:
      >>> import canter as ct
      >>> value, f_vjp = ct.vjp(lambda x, y: x * y, 3.0, 4.0)
      >>> [float(ct) for ct in f_vjp(1.0)]
      [4.0, 3.0]
    """
    if tuple(reduce_axes):
        raise NotImplementedError("vjp: reduce_axes is not supported; use psum inside the function.")
    leaves, in_tree = pytree.tree_flatten(primals)
    avals = _leaf_avals(leaves, in_tree, "vjp", fun)
    flat = FlatFunction(fun, in_tree, has_aux=has_aux)
    nonzeros = [has_tangents(aval) for aval in avals]
    linearized = linearize_flat(flat, leaves, nonzeros, debug_info=debug_info(fun, "vjp"))
    out_avals = tuple(get_aval(out) for out in linearized.primals_out)
    static = _PullBackStatic(
        linearized.tape.jaxpr, in_tree, flat.out_tree, tuple(avals), out_avals, tuple(linearized.out_nonzeros)
    )
    value = flat.out_tree.unflatten(linearized.primals_out)
    f_vjp = PullBack(static, linearized.tape.consts)
    return (value, f_vjp, without_tangents(flat.aux)) if has_aux else (value, f_vjp)


class _PullBackStatic:
    """All of a pull-back function but its residuals."""

    __slots__ = ("avals", "in_tree", "jaxpr", "out_avals", "out_nonzeros", "out_tree")

    def __init__(
        self, jaxpr: Any, in_tree: Any, out_tree: Any, avals: Any, out_avals: Any, out_nonzeros: Any
    ):
        self.jaxpr, self.in_tree, self.out_tree = jaxpr, in_tree, out_tree
        self.avals, self.out_avals, self.out_nonzeros = avals, out_avals, out_nonzeros

    def __call__(self, residuals: Any, *cotangent: Any) -> Any:
        if len(cotangent) != 1:
            raise TypeError(
                f"The function returned by vjp takes one argument, a cotangent like the function's result; "
                f"got {len(cotangent)}. Pass the cotangents of several results as one tuple."
            )
        leaves, tree = pytree.tree_flatten(cotangent[0])
        if tree != self.out_tree:
            raise ValueError(
                f"vjp: the cotangent must have the structure of the function's result, {self.out_tree}, not {tree}."
            )
        checked = [
            _checked_cotangent(ct, a, i) for i, (ct, a) in enumerate(zip(leaves, self.out_avals, strict=True))
        ]
        given = [ct for ct, nz in zip(checked, self.out_nonzeros, strict=True) if nz]
        found = iter(_pull_back(ClosedJaxpr(self.jaxpr, residuals), given))
        results = [
            as_result(next(found), a) if has_tangents(a) else np.zeros(a.shape, dtypes.float0)
            for a in self.avals
        ]
        return self.in_tree.unflatten(results)


def _checked_cotangent(ct: Any, aval: Any, index: int) -> Any:
    expected, given = aval.to_tangent_aval(), get_aval(ct)
    if expected.dtype == dtypes.float0:
        return Zero(expected)
    if given.shape == expected.shape:
        if given.dtype == expected.dtype:
            return ct
        if given.weak_type:
            return array_ops.convert_element_type(ct, expected.dtype)
    raise ValueError(
        f"vjp: the cotangent of result {index}, which is {aval.str_short()}, must be {expected.str_short()}, "
        f"but it is {given.str_short()}."
    )


@api_boundary
def linear_transpose(
    fun: Callable[..., Any], *primals: Any, reduce_axes: Sequence[Any] = ()
) -> Callable[..., Any]:
    """The transpose of a linear function.

    Args:
      fun: a function that is linear in all its arguments together.
      *primals: arrays or `ShapeDtypeStruct`s that give the arguments' shapes and dtypes.
      reduce_axes: not supported, must be empty.

    Returns:
      A function from a tree like the result to a tuple of trees like the arguments.

    Raises:
      TypeError: a dtype has no transpose, or cotangents do not fit.
      NotImplementedError: the function is not linear.

    Example:
      >>> import canter as ct
      >>> transpose = ct.linear_transpose(lambda x: 2.0 * x, 1.0)
      >>> float(transpose(3.0)[0])
      6.0
    """
    if tuple(reduce_axes):
        raise NotImplementedError("linear_transpose: reduce_axes is not supported.")
    leaves, in_tree = pytree.tree_flatten(primals)
    avals = [
        typed(ShapedArray(x.shape, x.dtype), getattr(x, "sharding", None))
        if hasattr(x, "shape") and hasattr(x, "dtype") and not isinstance(x, Tracer)
        else get_aval(x)
        for x in leaves
    ]
    flat = FlatFunction(fun, in_tree)
    closed = trace_to_jaxpr(flat, avals, debug_info=debug_info(fun, "linear_transpose"))
    if references.in_use:
        closed = references.discharge_local(closed)
    out_tree, out_avals = flat.out_tree, closed.out_avals
    for aval in (*avals, *out_avals):
        if not dtypes.issubdtype(aval.dtype, np.inexact) and not dtypes.issubdtype(aval.dtype, np.integer):
            raise TypeError(
                f"linear_transpose takes float, complex or integer arrays, got {aval.str_short()}."
            )

    @api_boundary
    def transposed(cotangent: Any) -> Any:
        cts, tree = pytree.tree_flatten(cotangent)
        if tree != out_tree:
            raise TypeError(
                f"The cotangent must have the structure of the function's result, {out_tree}, not {tree}."
            )
        for i, (ct, aval) in enumerate(zip(cts, out_avals, strict=True)):
            given = get_aval(ct)
            if given.shape != aval.shape or not (typematch(given, aval) or given.weak_type):
                raise TypeError(
                    f"linear_transpose: the cotangent of result {i} must be {aval.str_short()}, "
                    f"but it is {get_aval(ct).str_short()}."
                )
        unknown = [UndefinedPrimal(a) for a in avals]
        found = backward_pass(closed.jaxpr, closed.consts, unknown, cts)
        return in_tree.unflatten([as_result(ct) for ct in found])

    return transposed


# --- Jacobians ------------------------------------------------------------------------------------


def jacfwd(
    fun: Callable[P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The Jacobian of a function, column by column in forward mode.

    Args:
      fun: takes and returns trees of arrays.
      argnums: the positional argument or arguments to differentiate with respect to.
      has_aux: whether `fun` returns a pair (value, other data).
      holomorphic: whether `fun` is holomorphic; else its arguments must be real.

    Returns:
      A function of the same arguments. Its result has the structure of the value with the structure
      of the argument in each leaf, of shape value.shape + argument.shape.

    Raises:
      TypeError: an argument or result is not of a float dtype (or not complex, with `holomorphic`).
      ValueError: `argnums` does not fit the call.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.jacfwd(lambda x: x**2)(cnp.array([1.0, 2.0])).tolist()
      [[2.0, 0.0], [0.0, 4.0]]
    """
    _check_callable("jacfwd", fun)

    @derived_boundary(fun)
    def jacobian_fun(*args: P.args, **kwargs: P.kwargs) -> Any:
        flat, leaves, in_tree, single = _prepare_jacobian(
            "jacfwd", fun, args, kwargs, argnums, has_aux, holomorphic
        )

        def push(*tangents: Any) -> list[Any]:
            outs, out_tangents = jvp_flat(flat, leaves, tangents)
            return [*outs, *map(instantiate_zeros, out_tangents)]

        bases, total = _standard_basis(leaves)
        results, dims = batch_flat(push, bases, [0] * len(bases), total)
        half = len(results) // 2
        for out in results[:half]:
            _check_jacobian_dtype("jacfwd", None, get_aval(out), holomorphic)
        columns = [
            _columns(x, dim, get_aval(out), leaves, total)
            for x, dim, out in zip(results[half:], dims[half:], results[:half], strict=True)
        ]
        jacobians = flat.out_tree.unflatten([_argument_tree(parts, in_tree, single) for parts in columns])
        return (jacobians, without_tangents(flat.aux)) if has_aux else jacobians

    return jacobian_fun


def jacrev(
    fun: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[P, Any]:
    """The Jacobian of a function, row by row in reverse mode.

    Args:
      fun: takes and returns trees of arrays.
      argnums: the positional argument or arguments to differentiate with respect to.
      has_aux: whether `fun` returns a pair (value, other data).
      holomorphic: whether `fun` is holomorphic.
      allow_int: whether arguments may be integers, whose Jacobians have dtype float0.

    Returns:
      A function of the same arguments; its result is as that of `jacfwd`.

    Raises:
      TypeError: an argument or result is not of a float dtype (or not complex, with `holomorphic`).
      ValueError: `argnums` does not fit the call.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.jacrev(lambda x: x**2)(cnp.array([1.0, 2.0])).tolist()
      [[2.0, 0.0], [0.0, 4.0]]
    """
    _check_callable("jacrev", fun)

    @derived_boundary(fun)
    def jacobian_fun(*args: P.args, **kwargs: P.kwargs) -> Any:
        flat, leaves, in_tree, single = _prepare_jacobian(
            "jacrev", fun, args, kwargs, argnums, has_aux, holomorphic, allow_int
        )
        avals = [get_aval(x) for x in leaves]
        nonzeros = [has_tangents(a) for a in avals]
        linearized = linearize_flat(flat, leaves, nonzeros, instantiate=True)
        outs = linearized.primals_out
        for out in outs:
            _check_jacobian_dtype("jacrev", None, get_aval(out), holomorphic)
        bases, total = _standard_basis(outs)
        rows: list[Any]
        rows, dims = batch_flat(
            lambda *cts: [instantiate_zeros(ct) for ct in _pull_back(linearized.tape, cts)],
            bases,
            [0] * len(bases),
            total,
        )
        found = iter(zip(rows, dims, strict=True))
        per_argument = [
            [as_result(row, a) for row in _rows(*next(found), outs, total)]
            if nz
            else [np.zeros((*get_aval(o).shape, *a.shape), dtypes.float0) for o in outs]
            for a, nz in zip(avals, nonzeros, strict=True)
        ]
        per_result = (
            [list(parts) for parts in zip(*per_argument, strict=True)] if leaves else [[] for _ in outs]
        )
        jacobians = flat.out_tree.unflatten([_argument_tree(parts, in_tree, single) for parts in per_result])
        return (jacobians, without_tangents(flat.aux)) if has_aux else jacobians

    return jacobian_fun


jacobian = jacrev


def hessian(
    fun: Callable[P, Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[P, Any]:
    """The Hessian of a function: forward mode over reverse mode.

    Args:
      fun, argnums, has_aux, holomorphic: as for `jacfwd`.

    Returns:
      A function of the same arguments. Its result has the structure of the value with the structure
      of the argument in each leaf, twice, of shape value.shape + argument.shape + argument.shape.

    Raises:
      TypeError: an argument or result is not of a float dtype (or not complex, with `holomorphic`).
      ValueError: `argnums` does not fit the call.

    Example:
      >>> import canter as ct
      >>> float(ct.hessian(lambda x: x**3)(2.0))
      12.0
    """
    inner = jacrev(fun, argnums, has_aux=has_aux, holomorphic=holomorphic)
    return jacfwd(inner, argnums, has_aux=has_aux, holomorphic=holomorphic)


def _prepare_jacobian(
    name: str,
    fun: Any,
    args: Any,
    kwargs: Any,
    argnums: Any,
    has_aux: bool,
    holomorphic: bool,
    allow_int: bool = False,
) -> tuple[FlatFunction, list[Any], Any, bool]:
    numbers = normalize_argnums(argnums, len(args), f"{name} of {function_name(fun)}")
    chosen_fun, chosen = split_arguments(fun, args, numbers, kwargs)
    leaves, in_tree = pytree.tree_flatten(chosen)
    avals = _leaf_avals(leaves, in_tree, name, fun, numbers)
    for i, aval in enumerate(avals):
        _check_grad_input(aval, fun, in_tree, numbers, i, holomorphic, allow_int, name)
        if name == "jacfwd":
            path = functools.partial(_argument_path, fun, in_tree, i, numbers)
            _check_jacobian_dtype(name, path, aval, holomorphic)
    flat = FlatFunction(chosen_fun, in_tree, has_aux=has_aux)
    return flat, leaves, in_tree, not isinstance(argnums, (tuple, list))


def _check_jacobian_dtype(name: str, path: Callable[[], str] | None, aval: Any, holomorphic: bool) -> None:
    """Checks an argument, of which `path` gives the name, or (with None) a result."""
    is_complex = dtypes.issubdtype(aval.dtype, np.complexfloating)
    if holomorphic and not is_complex:
        complaint = "with holomorphic=True needs a complex"
        advice = "Convert it, or leave out holomorphic=True."
    elif not holomorphic and is_complex:
        complaint = "needs a real-valued"
        advice = "Pass holomorphic=True if the function is holomorphic, else differentiate real and imaginary parts."
    elif name == "jacrev" and not has_tangents(aval):
        complaint = "needs a float or complex"
        advice = "Convert it with `.astype(float)`."
    else:
        return
    what = "result" if path is None else f"argument {path()}"
    raise TypeError(f"{name} {complaint} {what}, but it is {aval.str_short()}. {advice}")


def _standard_basis(values: Sequence[Any]) -> tuple[list[Any], int]:
    """One unit vector an element of the values, stacked along a leading axis."""
    avals = [get_aval(v) for v in values]
    sizes = [math.prod(a.shape) for a in avals]
    total = sum(sizes)
    bases, offset = [], 0
    for aval, size in zip(avals, sizes, strict=True):
        eye = array_ops.eye(total, size, offset, aval.dtype)
        bases.append(in_memory_of(array_ops.reshape(eye, (total, *aval.shape)), aval))
        offset -= size
    return bases, total


def _columns(x: Any, dim: int | None, out_aval: Any, leaves: Sequence[Any], total: int) -> list[Any]:
    """The parts of stacked tangents that belong to each argument, the argument's axes last."""
    stacked = as_result(matchaxis(total, dim, len(out_aval.shape), x), out_aval)
    return _split_axis(stacked, get_aval(stacked).ndim - 1, [get_aval(v).shape for v in leaves])


def _rows(x: Any, dim: int | None, outs: Sequence[Any], total: int) -> list[Any]:
    """The parts of stacked cotangents that belong to each result, the result's axes first."""
    return _split_axis(matchaxis(total, dim, 0, x), 0, [get_aval(o).shape for o in outs])


def _split_axis(x: Any, axis: int, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    shape = get_aval(x).shape
    parts, offset = [], 0
    for own in shapes:
        size = math.prod(own)
        starts = [0] * len(shape)
        limits = list(shape)
        starts[axis], limits[axis] = offset, offset + size
        part = x if len(shapes) == 1 else array_ops.slice(x, tuple(starts), tuple(limits))
        parts.append(array_ops.reshape(part, (*shape[:axis], *own, *shape[axis + 1 :])))
        offset += size
    return parts


def _argument_tree(parts: Sequence[Any], in_tree: Any, single: bool) -> Any:
    tree = in_tree.unflatten(parts)
    return tree[0] if single else tree
