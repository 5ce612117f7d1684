"""Primitives that call Python while a compiled program runs.

They take flat arrays and give flat arrays. What is called is an object with the user's function and
the structure of its arguments in it, which the runtime hands to the compiled program: it is no part of
the program itself, so that this can be kept on disk. The public functions are in
`canter.runtime.callbacks` and `canter.debug`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import pytree
from ..core.avals import get_aval
from ..core.effects import (
    debug_effect,
    io_effect,
    no_effects,
    ordered_debug_effect,
    ordered_io_effect,
)
from ..core.primitive import Primitive
from ..transforms.rules import moveaxis
from ..transforms.zeros import Zero
from .shapes import broadcast_in_dim
from .slicing import index_in_dim

__all__ = [
    "FlatCallback",
    "Printed",
    "VMAP_METHODS",
    "batch_by_method",
    "debug_callback_p",
    "debug_print_p",
    "grown_avals",
    "io_callback_p",
    "pure_callback_p",
]

VMAP_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized")


class FlatCallback(NamedTuple):
    """A Python function of trees as a function of leaves.

    Attributes:
      callback_func: the user's function.
      in_tree: the structure of its arguments, `(args, kwargs)`.
      static_args: arguments that are no arrays, as (position among the leaves, value).
    """

    callback_func: Callable[..., Any]
    in_tree: Any
    static_args: tuple[tuple[int, Any], ...] = ()

    def arguments(self, leaves: Sequence[Any]) -> Any:
        """What the user's function is called with, `(args, kwargs)`."""
        return self.in_tree.unflatten(with_static(leaves, self.static_args))

    def __call__(self, *leaves: Any) -> list[Any]:
        args, kwargs = self.arguments(leaves)
        return pytree.tree_leaves(self.callback_func(*args, **kwargs))


def with_static(leaves: Sequence[Any], static_args: Sequence[tuple[int, Any]]) -> list[Any]:
    """All leaves of the arguments: arrays, and what is none put back to its place."""
    result = list(leaves)
    for position, value in static_args:
        result.insert(position, value)
    return result


class Printed(NamedTuple):
    """Prints a formatted message; the parameters of `debug_print` as a function of leaves."""

    fmt: str
    in_tree: Any
    static_args: tuple[tuple[int, Any], ...]
    np_printoptions: tuple[tuple[str, Any], ...]
    has_placeholders: bool
    logging_record: Any

    def __call__(self, *leaves: Any) -> list[Any]:
        text = self.fmt
        if self.has_placeholders:
            args, kwargs = self.in_tree.unflatten(with_static(leaves, self.static_args))
            with np.printoptions(**dict(self.np_printoptions)):
                text = self.fmt.format(*args, **kwargs)
        if self.logging_record is None:
            print(text)
        else:
            self.logging_record.emit(text)
        return []


pure_callback_p = Primitive("pure_callback", multiple_results=True)
io_callback_p = Primitive("io_callback", multiple_results=True)
debug_callback_p = Primitive("debug_callback", multiple_results=True)
debug_print_p = Primitive("debug_print", multiple_results=True)


# Types

pure_callback_p.def_effectful_abstract_eval(
    lambda *avals, result_avals, **params: (list(result_avals), no_effects)
)
io_callback_p.def_effectful_abstract_eval(
    lambda *avals, result_avals, ordered, **params: (
        list(result_avals),
        frozenset((ordered_io_effect if ordered else io_effect,)),
    )
)
debug_callback_p.def_effectful_abstract_eval(lambda *avals, effect, **params: ([], frozenset((effect,))))
debug_print_p.def_effectful_abstract_eval(
    lambda *avals, ordered, **params: (
        [],
        frozenset((ordered_debug_effect if ordered else debug_effect,)),
    )
)


# Derivatives


def _no_derivative(what: str) -> Callable[..., Any]:
    def refuse(primals: Any, tangents: Any, **params: Any) -> Any:
        raise ValueError(
            f"{what} callbacks do not support JVP. Please use `custom_jvp` or `custom_vjp` to say what the "
            "derivative is, or `stop_gradient` on the arguments to say that there is none."
        )

    return refuse


def _no_transpose(what: str) -> Callable[..., Any]:
    def refuse(cotangents: Any, *args: Any, **params: Any) -> Any:
        raise ValueError(
            f"{what} callbacks do not support transpose: nobody knows whether they are linear. Please use "
            "`custom_vjp` to say what the derivative is."
        )

    return refuse


for _primitive, _what in ((pure_callback_p, "Pure"), (io_callback_p, "IO")):
    _primitive.jvp_rule, _primitive.transpose_rule = _no_derivative(_what), _no_transpose(_what)


def _looks_at_values(primitive: Primitive) -> None:
    """A primitive without results sees the values in the forward pass; derivatives pass it by."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> Any:
        primitive.bind(*primals, **params)
        return [], []

    primitive.jvp_rule = jvp
    primitive.transpose_rule = lambda cotangents, *args, **params: [
        Zero(get_aval(arg).to_tangent_aval()) for arg in args
    ]


# Batching


def _each_in_turn(primitive: Primitive, args: Any, dims: Any, params: Any, unroll: bool = False) -> Any:
    """A loop over the batch that calls Python for one element at a time."""
    from .control_flow.scan import scan

    mapped = [moveaxis(x, d, 0) for x, d in zip(args, dims, strict=True)]
    size = _batch_size(args, dims)
    rows = [x for x, d in zip(mapped, dims, strict=True) if d is not None]

    def step(_: Any, row: Any) -> Any:
        given = iter(row)
        one = [x if d is None else next(given) for x, d in zip(mapped, dims, strict=True)]
        return (), primitive.bind(*one, **params)

    _, results = scan(step, (), rows, length=size, unroll=size if unroll else 1)
    return results, [0] * len(results)


def _batch_size(args: Any, dims: Any) -> int:
    return next(get_aval(x).shape[d] for x, d in zip(args, dims, strict=True) if d is not None)


def batch_by_method(
    primitive: Primitive, args: Any, dims: Any, method: str | None, grown: Callable[..., Any], params: Any
) -> Any:
    """Batches a call of code from outside, in the way that the user has named.

    Args:
      primitive: what calls it.
      args, dims: the operands and their batch axes.
      method: one of `VMAP_METHODS`; None is refused.
      grown: `grown(size, axes, **params)` gives the parameters of one call for the whole batch, where
        `axes` says which operands have a batch axis, in front.
      params: the parameters, without the method.

    Raises:
      NotImplementedError: no method is named.
    """
    if method is None:
        raise NotImplementedError(
            f"vmap is only supported for the {primitive} primitive when vmap_method is one of "
            f"{', '.join(map(repr, VMAP_METHODS))}. Got vmap_method=None. Say with it whether the function takes "
            "one element at a time, or whole batches."
        )
    if method in ("sequential", "sequential_unrolled"):
        one = {**params, "vmap_method": method}
        return _each_in_turn(primitive, args, dims, one, method == "sequential_unrolled")
    size = _batch_size(args, dims)
    batched = []
    for x, d in zip(args, dims, strict=True):
        if d is not None:
            x = moveaxis(x, d, 0)
        elif method != "legacy_vectorized":
            shape = get_aval(x).shape
            front = 1 if method == "expand_dims" else size
            x = broadcast_in_dim(x, (front, *shape), tuple(range(1, len(shape) + 1)))
        batched.append(x)
    axes = [d is not None or method != "legacy_vectorized" for d in dims]
    results = primitive.bind(*batched, vmap_method=method, **grown(size, axes, **params))
    return results, [0] * len(results)


def grown_avals(size: int, avals: Any) -> tuple[Any, ...]:
    """The types of results with a batch axis in front."""
    return tuple(aval.update(shape=(size, *aval.shape)) for aval in avals)


def _grown_pure(size: int, axes: Any, *, result_avals: Any, **params: Any) -> Any:
    return {**params, "result_avals": grown_avals(size, result_avals)}


def _batch_pure(args: Any, dims: Any, *, vmap_method: str | None, **params: Any) -> Any:
    return batch_by_method(pure_callback_p, args, dims, vmap_method, _grown_pure, params)


def _batch_io(args: Any, dims: Any, *, ordered: bool, **params: Any) -> Any:
    if ordered:
        raise ValueError(
            "Cannot `vmap` ordered IO callback. The elements of a batch have no order: leave out ordered=True, or "
            "use `lax.map` instead of `vmap`."
        )
    return _each_in_turn(io_callback_p, args, dims, {**params, "ordered": False})


def _batch_debug(primitive: Primitive) -> Callable[..., Any]:
    """One call for each element of the batch, in their order."""

    def batch(args: Any, dims: Any, **params: Any) -> Any:
        for i in range(_batch_size(args, dims)):
            one = [
                x if d is None else index_in_dim(x, i, d, keepdims=False)
                for x, d in zip(args, dims, strict=True)
            ]
            primitive.bind(*one, **params)
        return [], []

    return batch


pure_callback_p.batch_rule = _batch_pure
io_callback_p.batch_rule = _batch_io
for _primitive in (debug_callback_p, debug_print_p):
    _looks_at_values(_primitive)
    _primitive.batch_rule = _batch_debug(_primitive)
