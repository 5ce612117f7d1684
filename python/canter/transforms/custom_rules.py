"""`custom_jvp` and `custom_vjp`: functions that carry derivative rules given by the user."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar

from ..core import dtypes, pytree
from ..core.avals import get_aval, typematch
from .calling import FlatFunction, function_name, normalize_argnums, resolve_kwargs
from .custom_derivatives import custom_jvp_call_p, custom_vjp_call_p
from .remat_opt import value_and_residuals
from .rules import add_tangents, instantiate_zeros
from .zeros import Zero

__all__ = ["CustomVJPPrimal", "SymbolicZero", "custom_jvp", "custom_vjp"]

P = ParamSpec("P")
R = TypeVar("R")


class SymbolicZero:
    """What a rule declared with `symbolic_zeros=True` is given for a zero tangent or cotangent.

    Attributes:
      aval: the aval it stands for; `shape` and `dtype` are its.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: Any):
        self.aval = aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        return self.aval.dtype

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval.str_short()})"


@dataclass(frozen=True)
class CustomVJPPrimal:
    """An argument of a forward rule declared with `symbolic_zeros=True`: a leaf of the arguments' trees.

    Attributes:
      value: the argument.
      perturbed: whether it is being differentiated with respect to.
    """

    value: Any
    perturbed: bool


class _CustomRule(Generic[P, R]):
    """What both kinds have in common: nondifferentiable arguments and calling by position."""

    def __init__(
        self, fun: Callable[P, R], nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()
    ):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = (
            (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        )
        self.nondiff_argnames = (
            (nondiff_argnames,) if isinstance(nondiff_argnames, str) else tuple(nondiff_argnames)
        )

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self.__call__, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        raise NotImplementedError

    def _static_positions(self, num_args: int) -> tuple[int, ...]:
        numbers: set[int] = set()
        if self.nondiff_argnums:
            numbers.update(
                normalize_argnums(self.nondiff_argnums, num_args, f"{function_name(self.fun)}: nondiff")
            )
        if self.nondiff_argnames:
            import inspect

            names = list(inspect.signature(self.fun).parameters)
            for name in self.nondiff_argnames:
                if name not in names:
                    raise ValueError(
                        f"nondiff_argnames: {function_name(self.fun)} has no parameter {name!r}."
                    )
                numbers.add(names.index(name))
        return tuple(sorted(numbers))

    def _split(self, args: tuple[Any, ...]) -> tuple[list[Any], list[Any], Callable[..., Any]]:
        """Nondifferentiable arguments, the others, and the function of the others alone."""
        static = self._static_positions(len(args))
        if not static:
            return [], list(args), self.fun
        nondiff = [args[i] for i in static]
        rest = [x for i, x in enumerate(args) if i not in static]

        def fun(*given: Any) -> Any:
            return self.fun(*_merge(static, nondiff, given))  # type: ignore[call-arg]

        fun.__name__ = function_name(self.fun)
        return nondiff, rest, fun


def _merge(positions: Sequence[int], fixed: Sequence[Any], given: Sequence[Any]) -> list[Any]:
    """Arguments in their order: some at fixed positions, the others around them."""
    full = list(given)
    for position, value in zip(positions, fixed, strict=True):
        full.insert(position, value)
    return full


class custom_jvp(_CustomRule[P, R]):
    """A function whose forward-mode derivative is given by the user.

    Args:
      fun: the function; arguments and result are trees of arrays.
      nondiff_argnums: positional arguments that are not arrays to differentiate; the rule gets them
        first.
      nondiff_argnames: the same by name.

    Raises:
      AttributeError: called before a rule was given.
      TypeError: the rule's result does not fit the function's.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> @ct.custom_jvp
      ... def safe_log(x):
      ...     return cnp.log(x)
      >>> @safe_log.defjvp
      ... def rule(primals, tangents):
      ...     return safe_log(primals[0]), tangents[0] / cnp.maximum(primals[0], 1.0)
      >>> float(ct.grad(safe_log)(0.5))
      1.0
    """

    jvp: Callable[..., Any] | None = None
    symbolic_zeros = False

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Gives the rule: `jvp(*nondiff, primals, tangents) -> (result, tangent)`.

        Args:
          jvp: the rule; primals and tangents are tuples in the order of the arguments.
          symbolic_zeros: give the rule `SymbolicZero` instead of arrays for zero tangents.
        """
        self.jvp = jvp
        self.symbolic_zeros = symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Gives one rule an argument: `jvp(tangent, result, *args) -> tangent`, or None for zero."""
        if self.nondiff_argnums or self.nondiff_argnames:
            raise TypeError("defjvps cannot be used with nondiff_argnums; use defjvp.")

        def jvp(primals: Any, tangents: Any) -> Any:
            result: Any = self.__call__(*primals)  # type: ignore[call-arg]
            terms = [
                rule(t, result, *primals) for rule, t in zip(jvps, tangents, strict=True) if rule is not None
            ]
            if not terms:
                return result, pytree.tree_map(lambda x: instantiate_zeros(Zero.from_primal_value(x)), result)
            return result, functools.reduce(lambda a, b: pytree.tree_map(add_tangents, a, b), terms)

        self.defjvp(jvp)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name = function_name(self.fun)
        if self.jvp is None:
            raise AttributeError(
                f"custom_jvp function {name} has no rule yet. Give it one with {name}.defjvp(rule)."
            )
        nondiff, rest, fun = self._split(resolve_kwargs(self.fun, args, kwargs))
        leaves, in_tree = pytree.tree_flatten(tuple(rest))
        flat = FlatFunction(fun, in_tree)
        rule = _FlatJVP(self.jvp, nondiff, in_tree, flat, name, self.symbolic_zeros)
        outs = custom_jvp_call_p.bind_functions(
            flat, rule, leaves, name=name, symbolic_zeros=self.symbolic_zeros
        )
        return (flat.out_tree or rule.out_tree).unflatten(outs)


class _FlatJVP:
    """The user's forward rule on flat lists, its result checked."""

    def __init__(self, jvp: Any, nondiff: Any, in_tree: Any, flat: FlatFunction, name: str, symbolic: bool):
        self.jvp, self.nondiff, self.in_tree, self.flat = jvp, nondiff, in_tree, flat
        self.name, self.symbolic = name, symbolic
        self.__name__ = function_name(jvp)  # shown in printed jaxprs
        self.out_tree: Any = None

    def __call__(self, primals: Any, tangents: Any) -> Any:
        show = (
            (lambda t: SymbolicZero(t.aval) if type(t) is Zero else t) if self.symbolic else instantiate_zeros
        )
        result = self.jvp(
            *self.nondiff,
            self.in_tree.unflatten(primals),
            self.in_tree.unflatten([show(t) for t in tangents]),
        )
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"The rule of custom_jvp function {self.name} must return a pair (result, tangent), "
                f"but it returned a value of type {type(result).__name__}."
            )
        outs, out_tree = pytree.tree_flatten(result[0])
        out_tangents, tangent_tree = pytree.tree_flatten(result[1])
        expected = self.flat.out_tree or out_tree
        if out_tree != tangent_tree or out_tree != expected:
            raise TypeError(
                f"The rule of custom_jvp function {self.name} must return a result and a tangent of the structure of "
                f"the function's result, {expected}; it returned {out_tree} and {tangent_tree}."
            )
        self.out_tree = out_tree
        return outs, [self._tangent(o, t) for o, t in zip(outs, out_tangents, strict=True)]

    def _tangent(self, out: Any, tangent: Any) -> Any:
        if isinstance(tangent, (Zero, SymbolicZero)):
            return Zero(tangent.aval)
        expected, given = get_aval(out).to_tangent_aval(), get_aval(tangent)
        if expected.dtype == dtypes.float0:
            return Zero(expected)
        if not typematch(expected, given):
            raise TypeError(
                f"The rule of custom_jvp function {self.name} returned a tangent of type {given.str_short()} for a "
                f"result of type {get_aval(out).str_short()}; it must be {expected.str_short()}."
            )
        return tangent


class custom_vjp(_CustomRule[P, R]):
    """A function whose reverse-mode derivative is given by the user.

    Args:
      fun: the function; arguments and result are trees of arrays.
      nondiff_argnums: positional arguments that are not arrays to differentiate; the backward rule
        gets them first, the forward rule at their places.
      nondiff_argnames: the same by name.

    Raises:
      AttributeError: called before rules were given.
      TypeError: a rule's result is not of the structure it must have, or forward mode is used.
      ValueError: a cotangent is not of the shape and dtype of its argument.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> @ct.custom_vjp
      ... def clip_gradient(x):
      ...     return x
      >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, g: (cnp.clip(g, -1.0, 1.0),))
      >>> float(ct.grad(lambda x: 5.0 * clip_gradient(x))(2.0))
      1.0
    """

    fwd: Callable[..., Any] | None = None
    bwd: Callable[..., Any] | None = None
    symbolic_zeros = False
    optimize_remat = False

    def defvjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Gives the rules.

        Args:
          fwd: `fwd(*args) -> (result, residuals)`, residuals being any tree of arrays.
          bwd: `bwd(*nondiff, residuals, cotangent) -> cotangents`, a tuple with one entry for each
            differentiable argument, of its structure; None stands for zero.
          symbolic_zeros: give `fwd` each array as `CustomVJPPrimal(value, perturbed)`, and `bwd`
            `SymbolicZero` for zero cotangents.
          optimize_remat: let `checkpoint` call the function instead of `fwd` where it wants no residuals;
            of use when `fwd` is one opaque operation.

        Raises:
          NotImplementedError: `optimize_remat` together with `symbolic_zeros`.
        """
        if optimize_remat and symbolic_zeros:
            raise NotImplementedError(
                "custom_vjp: optimize_remat=True cannot be combined with symbolic_zeros=True. Leave one of them out."
            )
        self.fwd, self.bwd = fwd, bwd
        self.symbolic_zeros, self.optimize_remat = symbolic_zeros, optimize_remat

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name = function_name(self.fun)
        if self.fwd is None or self.bwd is None:
            raise AttributeError(
                f"custom_vjp function {name} has no rules yet. Give it some with {name}.defvjp(fwd, bwd)."
            )
        positional = resolve_kwargs(self.fun, args, kwargs)
        static = self._static_positions(len(positional))
        nondiff, rest, fun = self._split(positional)
        leaves, in_tree = pytree.tree_flatten(tuple(rest))
        flat = FlatFunction(fun, in_tree)
        rules = _FlatVJP(self, nondiff, static, in_tree, flat, name)
        outs = custom_vjp_call_p.bind_functions(
            flat,
            _Named(rules.forward, self.fwd),
            _Named(rules.backward, self.bwd),
            leaves,
            name=name,
            symbolic_zeros=self.symbolic_zeros,
        )
        return (flat.out_tree or rules.out_tree).unflatten(outs)


class _Named:
    """A function under the name of the user's function behind it, shown in printed jaxprs."""

    __slots__ = ("__name__", "function")

    def __init__(self, function: Callable[..., Any], behind: Any):
        self.function = function
        self.__name__ = function_name(behind)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


class _FlatVJP:
    """The user's forward and backward rules on flat lists, their results checked."""

    def __init__(
        self, owner: custom_vjp[Any, Any], nondiff: Any, static: Any, in_tree: Any, flat: Any, name: str
    ):
        self.owner, self.nondiff, self.static = owner, nondiff, static
        self.in_tree, self.flat, self.name = in_tree, flat, name
        self.out_tree: Any = None
        self.residual_tree: Any = None
        self.in_avals: Any = None

    def forward(self, perturbed: Sequence[bool], *leaves: Any) -> tuple[list[Any], list[Any]]:
        if self.owner.optimize_remat:
            rule = functools.partial(self._forward, perturbed)
            return value_and_residuals(self.flat, rule, leaves, self.name)
        return self._forward(perturbed, *leaves)

    def _forward(self, perturbed: Sequence[bool], *leaves: Any) -> tuple[list[Any], list[Any]]:
        if self.owner.symbolic_zeros:
            shown: Any = [CustomVJPPrimal(x, bool(p)) for x, p in zip(leaves, perturbed, strict=True)]
        else:
            shown = leaves
        self.in_avals = [get_aval(x) for x in leaves]
        args = _merge(self.static, self.nondiff, self.in_tree.unflatten(shown))
        assert self.owner.fwd is not None
        result = self.owner.fwd(*args)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"The forward rule of custom_vjp function {self.name} must return a pair (result, residuals), "
                f"but it returned a value of type {type(result).__name__}."
            )
        outs, self.out_tree = pytree.tree_flatten(result[0])
        expected = self.flat.out_tree
        if expected is not None and expected != self.out_tree:
            raise TypeError(
                f"The forward rule of custom_vjp function {self.name} must return a result of the function's "
                f"structure, {expected}; it returned {self.out_tree}."
            )
        residuals, self.residual_tree = pytree.tree_flatten(result[1])
        return outs, residuals

    def backward(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        assert self.owner.bwd is not None
        shown = [SymbolicZero(ct.aval) if type(ct) is Zero else ct for ct in cotangents]
        result = self.owner.bwd(
            *self.nondiff, self.residual_tree.unflatten(residuals), self.out_tree.unflatten(shown)
        )
        if isinstance(result, list):
            result = tuple(result)
        children = self.in_tree.children()
        if not isinstance(result, tuple) or len(result) != len(children):
            raise TypeError(
                f"The backward rule of custom_vjp function {self.name} must return a tuple of {len(children)} "
                f"cotangents, one an argument; it returned {_shown(result)}."
            )
        flat: list[Any] = []
        for position, (child, ct) in enumerate(zip(children, result, strict=True)):
            flat.extend(self._flatten_cotangent(position, child, ct))
        return [self._checked(ct, aval) for ct, aval in zip(flat, self.in_avals, strict=True)]

    def _flatten_cotangent(self, position: int, tree: Any, ct: Any) -> list[Any]:
        if ct is None:
            return [None] * tree.num_leaves
        leaves, ct_tree = pytree.tree_flatten(ct, is_leaf=lambda x: x is None or isinstance(x, SymbolicZero))
        if ct_tree == tree:
            return leaves
        try:  # None may stand for a whole subtree
            parts = tree.unflatten([0] * tree.num_leaves)
            found: list[Any] = []
            pytree.tree_map(
                lambda c, sub: found.extend([c] * pytree.tree_structure(sub).num_leaves),
                ct,
                parts,
                is_leaf=lambda x: x is None or isinstance(x, SymbolicZero),
            )
        except (ValueError, TypeError):
            found = []
        if len(found) != tree.num_leaves:
            raise TypeError(
                f"The backward rule of custom_vjp function {self.name} returned for argument {position} a cotangent "
                f"of structure {ct_tree}; it must have the argument's structure, {tree}."
            )
        return found

    def _checked(self, ct: Any, aval: Any) -> Any:
        if ct is None or isinstance(ct, (Zero, SymbolicZero)):
            return None
        expected, given = aval.to_tangent_aval(), get_aval(ct)
        if expected.dtype == dtypes.float0:
            return None  # the argument has no derivative, whatever the rule says
        if given.shape != expected.shape or not typematch(given, expected):
            self._refuse(given, aval)
        return ct

    def _refuse(self, given: Any, aval: Any) -> None:
        raise ValueError(
            f"The backward rule of custom_vjp function {self.name} returned a cotangent of type {given.str_short()} "
            f"for an argument of type {aval.str_short()}; it must be {aval.to_tangent_aval().str_short()}."
        )


def _shown(result: Any) -> str:
    if isinstance(result, tuple):
        return f"a tuple of {len(result)}"
    return f"a value of type {type(result).__name__}"
