"""`vmap`: the vectorizing map that users call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from typing import Any, ParamSpec, TypeVar

from ..core import pytree
from ..core.avals import get_aval
from ..core.errors import api_boundary, argument_path
from ..core.mesh import explicit_mesh
from .batching import batch_flat, splitting
from .calling import FlatFunction, function_name
from .rules import array_ops, matchaxis
from .vmappables import is_spec, map_containers, vmappables

__all__ = ["vmap"]

P = ParamSpec("P")
R = TypeVar("R")


def vmap(
    fun: Callable[P, R],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
    spmd_axis_name: Hashable | tuple[Hashable, ...] | None = None,
    sum_match: bool = False,
) -> Callable[P, R]:
    """Maps a function over an axis of its arguments, as one vectorized program.

    Args:
      fun: takes and returns trees of arrays.
      in_axes: which axis of each positional argument to map over: an int, None for arguments that
        are not mapped, or a tuple with one entry an argument, each an int, None, or a tree prefix of
        the argument. Keyword arguments are mapped over axis 0.
      out_axes: where the mapped axis goes in the results: an int, None for results that do not depend
        on it, or a tree prefix of the result.
      axis_name: a name for the axis, by which collectives in `fun` refer to it.
      axis_size: the size of the axis; needed only when no argument is mapped.
      spmd_axis_name: mesh axes over which the mapped axis is sharded where a sharding constraint
        is met inside.
      sum_match: whether results that depend on the axis are summed over it where `out_axes` is None,
        instead of being an error.

    Returns:
      A function of the same arguments, each with the mapped axis.

    Raises:
      ValueError: the axes do not fit the arguments, their sizes differ, or none is mapped.
      TypeError: `in_axes` is not of a valid type.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> ct.vmap(lambda x, y: x + y, in_axes=(0, None))(cnp.arange(3.0), 1.0).tolist()
      [1.0, 2.0, 3.0]
    """
    if not callable(fun):
        raise TypeError(f"vmap takes a function, but got a value of type {type(fun).__name__}.")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if in_axes is not None and type(in_axes) not in (int, tuple) and not _is_axis(in_axes):
        raise TypeError(
            f"vmap: in_axes must be an int, None, or a tuple with one entry a positional argument, got {in_axes!r}."
        )
    if spmd_axis_name is not None and not isinstance(spmd_axis_name, tuple):
        spmd_axis_name = (spmd_axis_name,)

    @functools.wraps(fun, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    @api_boundary
    def mapped(*args: P.args, **kwargs: P.kwargs) -> R:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ValueError(
                f"{_vmap_of(fun)}: in_axes has {len(in_axes)} entries, {in_axes}, but the function was called with "
                f"{len(args)} positional arguments. Give one entry an argument (keyword arguments are mapped over "
                "axis 0)."
            )
        if vmappables:
            names = axis_name, spmd_axis_name
            return map_containers(fun, args, kwargs, in_axes, out_axes, axis_size, names)
        leaves, in_tree = pytree.tree_flatten((args, kwargs))
        dims = _flat_axes(fun, in_tree, in_axes, leaves)
        size = _mapped_size(fun, in_tree, leaves, dims, axis_size)
        flat = FlatFunction(lambda xs, named: fun(*xs, **named), in_tree)
        split = _split_over(fun, leaves, dims) if explicit_mesh() is not None else None
        if split and spmd_axis_name and split != spmd_axis_name:
            raise ValueError(
                f"{_vmap_of(fun)}: spmd_axis_name={spmd_axis_name}, but the mapped axes are split over the explicit "
                f"mesh axes {split}. Only one of spmd_axis_name and such arrays is allowed."
            )
        mesh_axes = split or spmd_axis_name
        with nullcontext() if mesh_axes is None else splitting(mesh_axes):
            outs, out_dims = batch_flat(flat, leaves, dims, size, axis_name, mesh_axes)
        wanted = _flat_out_axes(flat.out_tree, out_axes)
        results = [
            _place_output(fun, size, dim, want, x, flat.out_tree, i, sum_match)
            for i, (x, dim, want) in enumerate(zip(outs, out_dims, wanted, strict=True))
        ]
        if split:
            results = [_split_along(x, want, split) for x, want in zip(results, wanted, strict=True)]
        return flat.out_tree.unflatten(results)

    return mapped


def _split_over(fun: Any, leaves: Sequence[Any], dims: Sequence[int | None]) -> tuple[Any, ...]:
    """The explicit mesh axes that split the mapped axes.

    Raises:
      ValueError: they differ between arguments.
    """
    found = set()
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is not None:
            layout = get_aval(leaf).layout
            found.add(() if layout is None else layout.spec.axes()[dim])
    if len(found) > 1:
        raise ValueError(
            f"{_vmap_of(fun)}: the mapped axes must be split over the same mesh axes, but they are split over "
            f"{sorted(map(str, found))}. Bring the arguments to one layout with canter.reshard."
        )
    return found.pop() if found else ()


def _split_along(x: Any, axis: Any, axes: tuple[Any, ...]) -> Any:
    """A result whose mapped axis is split as those of the arguments are."""
    if axis is None:
        return x
    from ..core.explicit import with_dimension
    from ..core.partition_spec import PartitionSpec
    from .batching import unbatched_aval

    aval = get_aval(x)
    dim = axis.__index__() % len(aval.shape)
    wanted = with_dimension(unbatched_aval(aval, dim), dim, axes)
    if aval.layout == wanted:
        return x
    return array_ops.resharded(x, PartitionSpec() if wanted is None else wanted)


def _is_axis(value: Any) -> bool:
    return hasattr(value, "__index__") or is_spec(value)


def _vmap_of(fun: Any) -> str:
    return f"vmap of {function_name(fun)}"


def _path(fun: Any, tree: Any, index: int) -> str:
    path = pytree.tree_leaves_with_path(tree.unflatten(range(tree.num_leaves)))[index][0]
    if path[0].idx == 0:
        return argument_path(fun, path[1:])
    return path[1].key + pytree.keystr(path[2:])


def _flat_axes(fun: Any, in_tree: Any, in_axes: Any, leaves: Sequence[Any]) -> list[int | None]:
    """One axis or None for each leaf, non-negative."""
    num_kwargs = in_tree.children()[1].num_leaves
    args_tree = in_tree.children()[0]
    if not isinstance(in_axes, tuple):
        axes = [in_axes] * args_tree.num_leaves
    elif all(axis is None or type(axis) is int for axis in in_axes):
        axes = []
        for axis, child in zip(in_axes, args_tree.children(), strict=True):
            axes.extend([axis] * child.num_leaves)
    else:
        axes = pytree.flatten_axes("vmap in_axes", args_tree, in_axes)
    axes = [*axes, *[0] * num_kwargs]
    dims: list[int | None] = []
    for i, (axis, leaf) in enumerate(zip(axes, leaves, strict=True)):
        dims.append(None if axis is None else _check_axis(fun, axis, leaf, in_tree, i))
    return dims


def _check_axis(fun: Any, axis: Any, leaf: Any, tree: Any, index: int) -> int:
    if isinstance(axis, bool) or not hasattr(axis, "__index__"):
        raise TypeError(
            f"{_vmap_of(fun)}: in_axes must hold ints and None, got {axis!r} for {_path(fun, tree, index)}."
        )
    try:
        shape = getattr(get_aval(leaf), "shape", ())
    except TypeError:
        raise TypeError(
            f"{_vmap_of(fun)}: argument {_path(fun, tree, index)} is a value of type {type(leaf).__name__}, "
            "which is not a valid array type. Map over arrays only, or bind the argument with functools.partial."
        ) from None
    axis = axis.__index__()
    if not -len(shape) <= axis < len(shape):
        raise ValueError(
            f"{_vmap_of(fun)}: axis {axis} of argument {_path(fun, tree, index)} was to be mapped, but the argument "
            f"has shape {shape}, rank {len(shape)}. Give an axis below {len(shape)}, or None in in_axes for arguments "
            "that are not mapped."
        )
    return axis % len(shape)


def _mapped_size(
    fun: Any, tree: Any, leaves: Sequence[Any], dims: Sequence[int | None], axis_size: int | None
) -> int:
    sizes = [get_aval(x).shape[d] for x, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        if axis_size is None:
            raise ValueError(
                f"{_vmap_of(fun)}: no argument is mapped (in_axes is None), so the size of the axis is unknown. "
                "Map at least one argument (in_axes), or give axis_size."
            )
        return axis_size
    size = sizes[0] if axis_size is None else axis_size
    if all(s == size for s in sizes):
        return size
    lines = [
        f"  {_path(fun, tree, i)} has shape {get_aval(x).shape}: axis {d} has size {get_aval(x).shape[d]}"
        for i, (x, d) in enumerate(zip(leaves, dims, strict=True))
        if d is not None
    ]
    given = "" if axis_size is None else f" (axis_size={axis_size})"
    if len(lines) > 8:
        lines = [*lines[:7], f"  … and {len(lines) - 7} more"]
    raise ValueError(
        f"{_vmap_of(fun)}: vmap got inconsistent sizes for array axes to be mapped{given}:\n"
        + "\n".join(lines)
        + "\n"
        "Map over other axes (in_axes), or give None for arguments that are not mapped."
    )


def _flat_out_axes(out_tree: Any, out_axes: Any) -> list[Any]:
    if out_axes is None or type(out_axes) is int:
        return [out_axes] * out_tree.num_leaves
    if isinstance(out_axes, list) and out_tree.node_data() and out_tree.node_data()[0] is tuple:
        out_axes = tuple(out_axes)
    return pytree.flatten_axes("vmap out_axes", out_tree, out_axes)


def _place_output(
    fun: Any, size: int, dim: int | None, want: Any, x: Any, tree: Any, index: int, sum_match: bool
) -> Any:
    if want is None:
        if dim is None or sum_match:
            return matchaxis(size, dim, None, x, sum_match=True)
        path = pytree.keystr(pytree.tree_leaves_with_path(tree.unflatten(range(tree.num_leaves)))[index][0])
        raise ValueError(
            f"{_vmap_of(fun)}: out_axes is None for result{path or ' 0'}, but that result depends on the mapped axis. "
            "Give the axis it is to have (out_axes=0, say), or reduce over the mapped axis inside the function."
        )
    ndim = len(get_aval(x).shape) + (dim is None)
    axis = want.__index__()
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{_vmap_of(fun)}: out_axes={axis} is out of range for a result of {ndim} dimensions with the mapped one."
        )
    return matchaxis(size, dim, axis % ndim, x)
