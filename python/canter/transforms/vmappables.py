"""Containers of the user's that `vmap` maps over in their own way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from ..core import pytree
from ..core.trace import extend_axis_environment, state, swap_trace
from .batching import BatchTrace
from .rules import matchaxis

__all__ = [
    "Vmappable",
    "is_vmappable",
    "map_containers",
    "register_vmappable",
    "unregister_vmappable",
    "vmappables",
]


class Vmappable(NamedTuple):
    """How one type of container is mapped over; see `register_vmappable`."""

    spec_type: type
    axis_size_type: type
    to_elt: Callable[..., Any]
    from_elt: Callable[..., Any]
    make_iota: Callable[..., Any] | None


vmappables: dict[type, Vmappable] = {}


def register_vmappable(
    data_type: type,
    spec_type: type,
    axis_size_type: type,
    to_elt: Callable[..., Any],
    from_elt: Callable[..., Any],
    make_iota: Callable[..., Any] | None,
) -> None:
    """Lets `vmap` map over containers of a type.

    Args:
      data_type: the type of the containers.
      spec_type: the type of what stands for such a container in `in_axes` and `out_axes`.
      axis_size_type: the type of the sizes of their axes.
      to_elt: `to_elt(convert, get_index, container, spec)` gives one element; `convert(array, axis)` does
        so for an array inside, and `get_index()` is the number of the element.
      from_elt: `from_elt(convert, axis_size, element, spec)` gives the container of all elements;
        `convert(axis_size, array, axis)` does so for an array inside.
      make_iota: from an axis size to the array of the elements' numbers; None for `arange`.

    Raises:
      ValueError: one of the types is registered already.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter.interpreters import batching
      >>> class Columns:
      ...     def __init__(self, matrix):
      ...         self.matrix = matrix
      >>> class EachColumn: ...
      >>> batching.register_vmappable(
      ...     Columns, EachColumn, int,
      ...     lambda convert, index, box, spec: convert(box.matrix, 1),
      ...     lambda convert, size, x, spec: Columns(convert(size, x, 1)), None)
      >>> ct.vmap(cnp.sum, in_axes=EachColumn(), axis_size=3)(Columns(cnp.ones((2, 3)))).tolist()
      [2.0, 2.0, 2.0]
      >>> batching.unregister_vmappable(Columns)
    """
    if data_type in vmappables:
        raise ValueError(f"{data_type.__name__} is registered with vmap already.")
    if any(known.spec_type is spec_type for known in vmappables.values()):
        raise ValueError(f"{spec_type.__name__} is the spec of a registered type already.")
    vmappables[data_type] = Vmappable(spec_type, axis_size_type, to_elt, from_elt, make_iota)


def unregister_vmappable(data_type: type) -> None:
    """Forgets a type that was registered with `register_vmappable`.

    Raises:
      KeyError: it is not registered.
    """
    del vmappables[data_type]


def is_vmappable(value: Any) -> bool:
    """Whether a value is a container of a registered type."""
    return type(value) in vmappables


def is_spec(value: Any) -> bool:
    """Whether a value stands for a container in `in_axes` or `out_axes`."""
    return any(type(value) is known.spec_type for known in vmappables.values())


def _iota(size: Any) -> Any:
    for known in vmappables.values():
        if type(size) is known.axis_size_type and known.make_iota is not None:
            return known.make_iota(size)
    return np.arange(size, dtype=np.int32)


def _to_element(trace: BatchTrace, value: Any, spec: Any) -> Any:
    known = vmappables.get(type(value))
    if known is None:
        return trace.pack(value, spec)

    def convert(inner: Any, inner_spec: Any) -> Any:
        return _to_element(trace, inner, inner_spec)

    return known.to_elt(convert, lambda: trace.pack(_iota(trace.size), 0), value, spec)


def _from_element(trace: BatchTrace, size: Any, value: Any, spec: Any) -> Any:
    known = vmappables.get(type(value))
    if known is not None:

        def convert(inner_size: Any, inner: Any, inner_spec: Any) -> Any:
            return _from_element(trace, inner_size, inner, inner_spec)

        return known.from_elt(convert, size, value, spec)
    if is_spec(spec):
        raise ValueError(f"vmap out_axes: {spec!r} stands for a container, but the result is {value!r:.80}.")
    (array,), (place,), _ = trace.unpack([value])
    return matchaxis(size, place, spec, array)


def map_containers(
    fun: Callable[..., Any],
    args: Any,
    kwargs: Any,
    in_axes: Any,
    out_axes: Any,
    size: Any,
    names: tuple[Any, Any],
) -> Any:
    """`vmap` of a function some of whose arguments or results may be registered containers.

    Args:
      fun: the function.
      args, kwargs: its arguments.
      in_axes, out_axes: as for `vmap`; a container's is its spec.
      size: the axis size, if given.
      names: the axis' name, and the mesh axes it is sharded over.
    """
    leaves, tree = pytree.tree_flatten((args, kwargs), is_leaf=is_vmappable)
    positional, named = tree.children()
    axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
    specs = [*pytree.flatten_axes("vmap in_axes", positional, axes), *[0] * named.num_leaves]
    if size is None:
        sizes = {
            x.shape[spec]
            for x, spec in zip(leaves, specs, strict=True)
            if isinstance(spec, int) and not is_vmappable(x)
        }
        if len(sizes) != 1:
            raise ValueError(
                "vmap over containers alone needs axis_size." if not sizes else f"vmap: sizes {sizes}."
            )
        (size,) = sizes
    trace = BatchTrace(state.trace, size, *names)
    previous = swap_trace(trace)
    try:
        with nullcontext() if names[0] is None else extend_axis_environment(names[0], size):
            elements = [_to_element(trace, x, spec) for x, spec in zip(leaves, specs, strict=True)]
            inner_args, inner_kwargs = tree.unflatten(elements)
            outs, out_tree = pytree.tree_flatten(fun(*inner_args, **inner_kwargs), is_leaf=is_vmappable)
            wanted = pytree.flatten_axes("vmap out_axes", out_tree, out_axes)
            results = [_from_element(trace, size, x, spec) for x, spec in zip(outs, wanted, strict=True)]
    finally:
        trace.alive = False
        swap_trace(previous)
    return out_tree.unflatten(results)
