"""Collective operations: communication along a named axis, of `vmap` or of the devices of a mesh.

A collective is an equation that refers to the axis by name. When the axis' own `vmap` meets it, it
becomes ordinary array code: a sum over the batch axis, a permutation of it, a transposition. Along a
manual mesh axis (see `shard_map`) it stays, and becomes communication between devices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..core import pytree
from ..core.avals import ShapedArray, get_aval
from ..core.mesh import current_context
from ..core.primitive import Primitive
from ..core.trace import axis_environment
from ..transforms.rules import bdim_at_front, defjvp, deflinear, moveaxis
from ..transforms.zeros import Zero
from .arithmetic import add, div, mul
from .common import normalize_axis
from .comparison import eq, select_n
from .conversion import broadcasted_iota, convert_element_type, full
from .gathering import index_take
from .manual import checked_groups, psum_invariant_p, typed_axes, vary
from .reductions import reduce_max, reduce_min, reduce_sum
from .shapes import broadcast_in_dim, reshape, squeeze
from .slicing import dynamic_index_in_dim, dynamic_slice_in_dim

__all__ = [
    "all_gather",
    "all_to_all",
    "axis_index",
    "axis_size",
    "pbroadcast",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "pshuffle",
    "psum",
    "psum_scatter",
    "pswapaxes",
]

AxisName = Any


def _names(axis_name: AxisName) -> tuple[Any, ...]:
    return tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


def axis_size(axis_name: AxisName) -> int:
    """The size of a named axis, or of several together.

    Args:
      axis_name: a name, or a tuple of names.

    Raises:
      NameError: no enclosing `vmap` has given an axis this name.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: x / lax.axis_size("i"), axis_name="i")(cnp.ones(4)).tolist()
      [0.25, 0.25, 0.25, 0.25]
    """
    axes = axis_environment()
    for name in _names(axis_name):
        if name not in axes:
            known = ", ".join(map(repr, axes)) or "none"
            raise NameError(
                f"unbound axis name: {name!r}. The named axes here are: {known}. "
                f"Call the function under `vmap(..., axis_name={name!r})`, or under a `shard_map` over a mesh "
                "with that axis."
            )
    return math.prod(axes[name] for name in _names(axis_name))


def _refuse_groups(where: str, groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError(
            f"{where}: axis_index_groups is not supported along an axis of vmap; leave it out."
        )


def _grouped(where: str, axis_name: AxisName, groups: Any, equal: bool = True) -> tuple[Any, int]:
    """The groups as tuples, and the number of positions that take part in one exchange."""
    size = axis_size(axis_name)
    made = checked_groups(where, groups, size, equal=equal)
    return made, size if made is None else len(made[0])


# --- reductions -----------------------------------------------------------------------------------


def psum(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """Sums over a named axis.

    Args:
      x: a tree of arrays.
      axis_name: a name, or a tuple of names.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.

    Returns:
      The sums; the same for all elements along the axis. A Python number gives its multiple.

    Raises:
      NameError: the axis is not in scope.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.psum(x, "i"), axis_name="i")(cnp.arange(4.0)).tolist()
      [6.0, 6.0, 6.0, 6.0]
    """
    groups, size = _grouped("psum", axis_name, axis_index_groups, equal=False)
    axes = _names(axis_name)
    one_size = groups is None or len({len(group) for group in groups}) == 1

    def leaf(value: Any) -> Any:
        if one_size and isinstance(value, (int, float, complex)) and not isinstance(value, bool):
            return value * size
        if get_aval(value).dtype == np.bool_:
            value = convert_element_type(value, np.dtype(np.int32))
        return _summed(value, axes, groups)

    return pytree.tree_map(leaf, x)


def _summed(value: Any, axes: tuple[Any, ...], groups: Any) -> Any:
    typed = typed_axes(axes)
    value = vary(value, typed)
    if not typed or groups is not None:
        return psum_p.bind(value, axes=axes, axis_index_groups=groups)
    rest = tuple(name for name in axes if name not in typed)
    if rest:
        value = psum_p.bind(value, axes=rest, axis_index_groups=None)
    return psum_invariant_p.bind(value, axes=typed)


def pmean(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """Averages over a named axis.

    Args:
      x: a tree of arrays.
      axis_name: a name, or a tuple of names.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.

    Raises:
      NameError: the axis is not in scope.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.pmean(x, "i"), axis_name="i")(cnp.arange(4.0)).tolist()
      [1.5, 1.5, 1.5, 1.5]
    """
    groups, size = _grouped("pmean", axis_name, axis_index_groups, equal=False)
    total = psum(x, axis_name, axis_index_groups=axis_index_groups)
    one_size = groups is None or len({len(group) for group in groups}) == 1

    def leaf(value: Any) -> Any:
        aval = get_aval(value)
        if not np.issubdtype(aval.dtype, np.inexact) and aval.dtype.kind in "biu":
            value = convert_element_type(value, np.dtype(np.float32))
        one = full((), size if one_size else 1, get_aval(value).dtype)
        return div(value, one if one_size else _summed(one, _names(axis_name), groups))

    return pytree.tree_map(leaf, total)


def pmax(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The maximum over a named axis.

    Args:
      x: a tree of arrays.
      axis_name: a name, or a tuple of names.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.

    Raises:
      NameError: the axis is not in scope.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.pmax(x, "i"), axis_name="i")(cnp.arange(3.0)).tolist()
      [2.0, 2.0, 2.0]
    """
    return _extremum("pmax", pmax_p, x, axis_name, axis_index_groups)


def pmin(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The minimum over a named axis.

    Args:
      x: a tree of arrays.
      axis_name: a name, or a tuple of names.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.

    Raises:
      NameError: the axis is not in scope.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.pmin(x, "i"), axis_name="i")(cnp.arange(3.0)).tolist()
      [0.0, 0.0, 0.0]
    """
    return _extremum("pmin", pmin_p, x, axis_name, axis_index_groups)


def _extremum(where: str, primitive: Primitive, x: Any, axis_name: AxisName, groups: Any) -> Any:
    groups, _ = _grouped(where, axis_name, groups, equal=False)
    axes = _names(axis_name)
    return pytree.tree_map(
        lambda value: primitive.bind(vary(value, axes), axes=axes, axis_index_groups=groups), x
    )


def _reduction(name: str, reduce: Callable[..., Any], of_equal: Callable[[Any, int], Any]) -> Primitive:
    primitive = Primitive(name)
    primitive.def_abstract_eval(lambda x, *, axes, axis_index_groups: x.strip_weak_type())

    def batch(trace: Any, args: Any, dims: Any, *, axes: Any, axis_index_groups: Any) -> Any:
        (x,), (dim,) = args, dims
        rest = tuple(name for name in axes if name != trace.name)
        if trace.name in axes:
            _refuse_groups(name, axis_index_groups)
            x = of_equal(x, trace.size) if dim is None else reduce(x, (dim,))
            dim = None
        return (primitive.bind(x, axes=rest, axis_index_groups=axis_index_groups) if rest else x), dim

    primitive.axis_batch_rule = batch
    primitive.varying_rule = lambda own, *, axes, axis_index_groups: (
        own[0] - frozenset(axes) if axis_index_groups is None else own[0]
    )
    return primitive


def _multiple(x: Any, size: int) -> Any:
    return mul(x, full((), size, get_aval(x).dtype))


psum_p = _reduction("psum", reduce_sum, _multiple)
pmax_p = _reduction("pmax", reduce_max, lambda x, size: x)
pmin_p = _reduction("pmin", reduce_min, lambda x, size: x)
deflinear(psum_p, lambda ct, x, **params: [psum_p.bind(ct, **params)])


def _extremum_jvp(primitive: Primitive) -> Any:
    """The tangent of an extremum: that of the elements that attain it, averaged."""

    def jvp(primals: Any, tangents: Any, *, axes: Any, axis_index_groups: Any) -> Any:
        (x,), (t,) = primals, tangents
        out = primitive.bind(x, axes=axes, axis_index_groups=axis_index_groups)
        if type(t) is Zero:
            return out, t
        attained = convert_element_type(eq(x, out), get_aval(t).dtype)
        total, count = (_summed(each, axes, axis_index_groups) for each in (mul(t, attained), attained))
        return out, div(total, count)

    return jvp


pmax_p.jvp_rule = _extremum_jvp(pmax_p)
pmin_p.jvp_rule = _extremum_jvp(pmin_p)


# --- positions ------------------------------------------------------------------------------------


def axis_index(axis_name: AxisName) -> Any:
    """The position along a named axis, an int32 scalar; row-major over several names.

    Args:
      axis_name: a name, or a tuple of names.

    Raises:
      NameError: the axis is not in scope.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> ct.vmap(lambda: lax.axis_index("i"), axis_name="i", axis_size=3)().tolist()
      [0, 1, 2]
    """
    axis_size(axis_name)
    if not isinstance(axis_name, (tuple, list)):
        return axis_index_p.bind(axis_name=axis_name)
    index: Any = np.int32(0)
    for name in axis_name:
        index = add(mul(index, np.int32(axis_size(name))), axis_index_p.bind(axis_name=name))
    return index


axis_index_p = Primitive("axis_index")
axis_index_p.def_abstract_eval(lambda *, axis_name: ShapedArray((), np.int32))
axis_index_p.varying_rule = lambda own, *, axis_name: frozenset(typed_axes((axis_name,)))
axis_index_p.axis_batch_rule = lambda trace, args, dims, *, axis_name: (
    broadcasted_iota(np.dtype(np.int32), (trace.size,), 0),
    0,
)


# --- gathering and scattering ---------------------------------------------------------------------


def all_gather(
    x: Any,
    axis_name: AxisName,
    *,
    axis_index_groups: Any = None,
    axis: int = 0,
    tiled: bool = False,
    to: str = "varying",
) -> Any:
    """Collects the values along a named axis into one array that all elements have.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.
      axis: where the named axis goes in the result.
      tiled: concatenate along `axis` instead of making a new axis.
      to: the type of the result along the named axis: "varying", or, along manual axes of a mesh, "invarying",
        which says that it is the same on all devices.

    Raises:
      NameError: the axis is not in scope.
      ValueError: `axis` is out of range, or `to` is no such word.
      NotImplementedError: `to` is "reduced", or is "invarying" along an axis of vmap or with groups.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.all_gather(x, "i"), axis_name="i")(cnp.arange(2.0)).tolist()
      [[0.0, 1.0], [0.0, 1.0]]
    """
    if to not in ("varying", "invarying", "reduced"):
        raise ValueError(
            f"all_gather: unexpected to={to!r}. It is one of: 'varying', 'invarying', 'reduced'."
        )
    names = _names(axis_name)
    gather = all_gather_p if to == "varying" else _gather_to(to, names, axis_index_groups)
    groups, size = _grouped("all_gather", axis_name, axis_index_groups)

    def leaf(value: Any) -> Any:
        return gather.bind(
            vary(value, names),
            all_gather_dimension=normalize_axis("all_gather", axis, get_aval(value).ndim + (not tiled)),
            axis_name=names,
            axis_index_groups=groups,
            axis_size=size,
            tiled=tiled,
        )

    return pytree.tree_map(leaf, x)


def _gather_to(to: str, names: tuple[Any, ...], groups: Any) -> Primitive:
    """The primitive whose result is of a type other than varying."""
    mesh = current_context().abstract
    if mesh is None or not set(names) <= set(mesh.manual_axes):
        raise NotImplementedError(f"all_gather: along an axis of vmap the result is varying, not {to}.")
    if to != "invarying":
        raise NotImplementedError(f"all_gather: to={to!r} is not supported.")
    if groups is not None:
        raise NotImplementedError("all_gather: results of groups differ, so that they are not invarying.")
    return all_gather_invariant_p if typed_axes(names) else all_gather_p


def _all_gather_shape(
    x: Any, *, all_gather_dimension: int, axis_size: int, tiled: bool, **params: Any
) -> Any:
    shape = list(x.shape)
    if tiled:
        shape[all_gather_dimension] *= axis_size
    else:
        shape.insert(all_gather_dimension, axis_size)
    return ShapedArray(tuple(shape), x.dtype)


def _one_axis(where: str, axis_name: Any, trace: Any) -> None:
    if len(_names(axis_name)) != 1:
        raise NotImplementedError(
            f"{where} along several axes of vmap at once is not supported; use one at a time."
        )


def _all_gather_batch(
    primitive: Primitive, trace: Any, args: Any, dims: Any, *, axis_name: Any, **params: Any
) -> Any:
    (x,), (dim,) = args, dims
    position, tiled = params["all_gather_dimension"], params["tiled"]
    if trace.name not in _names(axis_name):
        x = moveaxis(x, dim, 0)
        params["all_gather_dimension"] = position + 1
        return primitive.bind(x, axis_name=axis_name, **params), 0
    _one_axis("all_gather", axis_name, trace)
    _refuse_groups("all_gather", params["axis_index_groups"])
    x = moveaxis(bdim_at_front(x, dim, trace.size), 0, position)
    return (_merge(x, position) if tiled else x), None


def _merge(x: Any, position: int) -> Any:
    """Joins an axis with the one behind it."""
    shape = get_aval(x).shape
    return reshape(x, (*shape[:position], shape[position] * shape[position + 1], *shape[position + 2 :]))


def _all_gather_transpose(ct: Any, x: Any, *, all_gather_dimension: int, tiled: bool, **params: Any) -> Any:
    return [reduce_scatter_p.bind(ct, scatter_dimension=all_gather_dimension, tiled=tiled, **params)]


def _own_part(
    ct: Any, x: Any, *, all_gather_dimension: int, axis_name: Any, tiled: bool, **params: Any
) -> list[Any]:
    """Of a cotangent that all devices have, each takes what belongs to its own operand."""
    ct, place = vary(ct, axis_name), axis_index(axis_name)
    if not tiled:
        return [dynamic_index_in_dim(ct, place, all_gather_dimension, keepdims=False)]
    size = x.aval.shape[all_gather_dimension]
    return [dynamic_slice_in_dim(ct, mul(place, np.int32(size)), size, all_gather_dimension)]


def psum_scatter(
    x: Any,
    axis_name: AxisName,
    *,
    scatter_dimension: int = 0,
    axis_index_groups: Any = None,
    tiled: bool = False,
) -> Any:
    """Sums over a named axis, and gives each element one part of the sum.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      scatter_dimension: the dimension that is handed out.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.
      tiled: hand out equal blocks and keep the dimension, instead of single entries without it.

    Raises:
      NameError: the axis is not in scope.
      ValueError: the dimension is out of range, or its size does not fit that of the axis.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.psum_scatter(x, "i"), axis_name="i")(cnp.ones((2, 2))).tolist()
      [2.0, 2.0]
    """
    groups, size = _grouped("psum_scatter", axis_name, axis_index_groups)

    def leaf(value: Any) -> Any:
        return reduce_scatter_p.bind(
            vary(value, _names(axis_name)),
            scatter_dimension=normalize_axis("psum_scatter", scatter_dimension, get_aval(value).ndim),
            axis_name=_names(axis_name),
            axis_index_groups=groups,
            axis_size=size,
            tiled=tiled,
        )

    return pytree.tree_map(leaf, x)


def _reduce_scatter_shape(
    x: Any, *, scatter_dimension: int, axis_size: int, tiled: bool, **params: Any
) -> Any:
    shape = list(x.shape)
    extent = shape[scatter_dimension]
    if (extent % axis_size) if tiled else (extent != axis_size):
        raise ValueError(
            f"psum_scatter: dimension {scatter_dimension} of shape {x.shape} must "
            f"{'be a multiple of' if tiled else 'equal'} the size of the named axis, {axis_size}."
        )
    if tiled:
        shape[scatter_dimension] //= axis_size
    else:
        del shape[scatter_dimension]
    return ShapedArray(tuple(shape), x.dtype)


def _reduce_scatter_batch(trace: Any, args: Any, dims: Any, *, axis_name: Any, **params: Any) -> Any:
    (x,), (dim,) = args, dims
    position, tiled = params["scatter_dimension"], params["tiled"]
    if trace.name not in _names(axis_name):
        params["scatter_dimension"] = position + 1
        return reduce_scatter_p.bind(moveaxis(x, dim, 0), axis_name=axis_name, **params), 0
    _one_axis("psum_scatter", axis_name, trace)
    _refuse_groups("psum_scatter", params["axis_index_groups"])
    total = _multiple(x, trace.size) if dim is None else reduce_sum(x, (dim,))
    if tiled:
        shape = get_aval(total).shape
        block = shape[position] // trace.size
        total = reshape(total, (*shape[:position], trace.size, block, *shape[position + 1 :]))
    return total, position


def _reduce_scatter_transpose(ct: Any, x: Any, *, scatter_dimension: int, tiled: bool, **params: Any) -> Any:
    return [all_gather_p.bind(ct, all_gather_dimension=scatter_dimension, tiled=tiled, **params)]


all_gather_p = Primitive("all_gather")
all_gather_p.def_abstract_eval(_all_gather_shape)
all_gather_p.axis_batch_rule = partial(_all_gather_batch, all_gather_p)
deflinear(all_gather_p, _all_gather_transpose)
all_gather_invariant_p = Primitive("all_gather_invariant")
all_gather_invariant_p.def_abstract_eval(_all_gather_shape)
all_gather_invariant_p.varying_rule = lambda own, *, axis_name, **params: own[0] - frozenset(axis_name)
all_gather_invariant_p.axis_batch_rule = partial(_all_gather_batch, all_gather_invariant_p)
deflinear(all_gather_invariant_p, _own_part)
reduce_scatter_p = Primitive("reduce_scatter")
reduce_scatter_p.def_abstract_eval(_reduce_scatter_shape)
reduce_scatter_p.axis_batch_rule = _reduce_scatter_batch
deflinear(reduce_scatter_p, _reduce_scatter_transpose)


# --- permutations ---------------------------------------------------------------------------------


def ppermute(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """Sends values from position to position along a named axis.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      perm: pairs (source, destination); positions that receive nothing get zeros.

    Raises:
      ValueError: a source or destination stands there twice, or is no position along the axis.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> shift = lambda x: lax.ppermute(x, "i", [(0, 1), (1, 2)])
      >>> ct.vmap(shift, axis_name="i")(cnp.array([5.0, 6.0, 7.0])).tolist()
      [0.0, 5.0, 6.0]
    """
    size = axis_size(axis_name)
    pairs = tuple((int(source), int(destination)) for source, destination in perm)
    for kind, places in (("source", [s for s, _ in pairs]), ("destination", [d for _, d in pairs])):
        if not all(0 <= place < size for place in places):
            raise ValueError(
                f"ppermute: each {kind} must be in [0, {size}), the positions along {axis_name!r}, got {perm}."
            )
        if len(set(places)) != len(places):
            raise ValueError(f"ppermute: each {kind} may stand in perm only once, got {perm}.")
    names = _names(axis_name)
    return pytree.tree_map(lambda value: ppermute_p.bind(vary(value, names), axis_name=names, perm=pairs), x)


def pshuffle(x: Any, axis_name: AxisName, perm: Sequence[int]) -> Any:
    """Permutes the positions along a named axis: position i gets the value of position perm[i].

    Args:
      x: a tree of arrays.
      axis_name: the name.
      perm: a permutation of the positions.

    Raises:
      ValueError: `perm` is no permutation of the axis.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.pshuffle(x, "i", [1, 0]), axis_name="i")(cnp.array([5.0, 6.0])).tolist()
      [6.0, 5.0]
    """
    if sorted(perm) != list(range(axis_size(axis_name))):
        raise ValueError(
            f"pshuffle: perm must be a permutation of the positions along {axis_name!r}, got {perm}."
        )
    return ppermute(x, axis_name, [(source, destination) for destination, source in enumerate(perm)])


def _ppermute_batch(trace: Any, args: Any, dims: Any, *, axis_name: Any, perm: Any) -> Any:
    (x,), (dim,) = args, dims
    if trace.name not in _names(axis_name):
        return ppermute_p.bind(x, axis_name=axis_name, perm=perm), dim
    _one_axis("ppermute", axis_name, trace)
    x = bdim_at_front(x, dim, trace.size)
    sources = np.zeros(trace.size, np.int32)
    received = np.zeros(trace.size, bool)
    for source, destination in perm:
        sources[destination], received[destination] = source, True
    out = index_take(x, (sources,), (0,))
    if not received.all():
        shape = get_aval(out).shape
        mask = broadcast_in_dim(received, shape, (0,))
        out = select_n(mask, full(shape, 0, get_aval(out).dtype), out)
    return out, 0


ppermute_p = Primitive("ppermute")
ppermute_p.def_abstract_eval(lambda x, *, axis_name, perm: x.strip_weak_type())
ppermute_p.axis_batch_rule = _ppermute_batch
deflinear(
    ppermute_p,
    lambda ct, x, *, axis_name, perm: [
        ppermute_p.bind(ct, axis_name=axis_name, perm=tuple((d, s) for s, d in perm))
    ],
)


def pbroadcast(x: Any, axis_name: AxisName, source: int) -> Any:
    """Gives all positions along a named axis the value of one of them.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      source: the position whose value all get.

    Raises:
      ValueError: there is no such position.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.pbroadcast(x, "i", 1), axis_name="i")(cnp.array([5.0, 6.0])).tolist()
      [6.0, 6.0]
    """
    size = axis_size(axis_name)
    if not 0 <= source < size:
        raise ValueError(f"pbroadcast: source {source} is out of range for an axis of size {size}.")
    names = _names(axis_name)
    return pytree.tree_map(
        lambda value: pbroadcast_p.bind(vary(value, names), axis_name=axis_name, source=source), x
    )


def _pbroadcast_batch(trace: Any, args: Any, dims: Any, *, axis_name: Any, source: int) -> Any:
    (x,), (dim,) = args, dims
    if trace.name not in _names(axis_name):
        return pbroadcast_p.bind(x, axis_name=axis_name, source=source), dim
    return (x if dim is None else dynamic_index_in_dim(x, source, dim, keepdims=False)), None


pbroadcast_p = Primitive("pbroadcast")
pbroadcast_p.def_abstract_eval(lambda x, *, axis_name, source: x.strip_weak_type())
pbroadcast_p.axis_batch_rule = _pbroadcast_batch
defjvp(pbroadcast_p, lambda g, x, **params: pbroadcast_p.bind(g, **params))


def _pbroadcast_transpose(ct: Any, x: Any, *, axis_name: Any, source: int) -> Any:
    here = convert_element_type(eq(axis_index(axis_name), np.int32(source)), get_aval(ct).dtype)
    return [mul(psum(ct, axis_name), here)]


pbroadcast_p.transpose_rule = _pbroadcast_transpose


# --- exchanging axes ------------------------------------------------------------------------------


def all_to_all(
    x: Any,
    axis_name: AxisName,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: Any = None,
    tiled: bool = False,
) -> Any:
    """Splits arrays along one axis among the positions of a named axis, and joins what arrives.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      split_axis: the axis that is split; its size is that of the named axis (with `tiled` a multiple).
      concat_axis: the axis along which the parts are joined.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.
      tiled: keep `split_axis`, and concatenate along `concat_axis` instead of inserting an axis.

    Raises:
      ValueError: an axis is out of range, or the sizes do not fit.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> x = cnp.arange(4.0).reshape(2, 2)
      >>> ct.vmap(lambda row: lax.all_to_all(row, "i", 0, 0), axis_name="i")(x).tolist()
      [[0.0, 2.0], [1.0, 3.0]]
    """
    groups, size = _grouped("all_to_all", axis_name, axis_index_groups)

    def leaf(value: Any) -> Any:
        value = vary(value, _names(axis_name))
        shape = get_aval(value).shape
        split = normalize_axis("all_to_all", split_axis, len(shape))
        concat = normalize_axis("all_to_all", concat_axis, len(shape))
        extent = shape[split]
        if (extent % size) if tiled else (extent != size):
            raise ValueError(
                f"all_to_all: the size of split_axis={split_axis} of shape {shape} must "
                f"{'be a multiple of' if tiled else 'equal'} the size of axis {axis_name!r}, {size}."
            )
        if not tiled:
            # An axis of size 1 marks where the parts are joined, the split one becomes of size 1.
            if concat < split:
                split += 1
            else:
                concat += 1
            value = reshape(value, (*shape[:concat], 1, *shape[concat:]))
        out = all_to_all_p.bind(
            value,
            axis_name=axis_name,
            split_axis=split,
            concat_axis=concat,
            axis_index_groups=groups,
            tiled=True,
        )
        return out if tiled else squeeze(out, (split,))

    return pytree.tree_map(leaf, x)


def pswapaxes(x: Any, axis_name: AxisName, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Swaps a named axis with an axis of the arrays, of the same size.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      axis: the axis of the arrays.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.

    Raises:
      ValueError: the axis is out of range, or the sizes differ.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> x = cnp.arange(4.0).reshape(2, 2)
      >>> ct.vmap(lambda row: lax.pswapaxes(row, "i", 0), axis_name="i")(x).tolist()
      [[0.0, 2.0], [1.0, 3.0]]
    """
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


class _NoMemo(dict[Any, Any]):
    """In place of a primitive's memo of shapes that depend on more than operands and parameters."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def _all_to_all_shape(x: Any, *, axis_name: Any, split_axis: int, concat_axis: int, **params: Any) -> Any:
    groups = params["axis_index_groups"]
    size = axis_size(axis_name) if groups is None else len(groups[0])
    shape = list(x.shape)
    shape[split_axis] //= size
    shape[concat_axis] *= size
    return ShapedArray(tuple(shape), x.dtype)


def _all_to_all_batch(
    trace: Any, args: Any, dims: Any, *, axis_name: Any, split_axis: int, concat_axis: int, **params: Any
) -> Any:
    (x,), (dim,) = args, dims
    if trace.name not in _names(axis_name):
        x = moveaxis(x, dim, 0)
        split_axis, concat_axis = split_axis + 1, concat_axis + 1
        out = all_to_all_p.bind(
            x, axis_name=axis_name, split_axis=split_axis, concat_axis=concat_axis, **params
        )
        return out, 0
    _one_axis("all_to_all", axis_name, trace)
    _refuse_groups("all_to_all", params["axis_index_groups"])
    x = bdim_at_front(x, dim, trace.size)
    shape = get_aval(x).shape
    split = split_axis + 1
    x = reshape(x, (*shape[:split], trace.size, shape[split] // trace.size, *shape[split + 1 :]))
    # Now the senders' axis is 0 and the receivers' axis is `split`: exchange their roles.
    x = moveaxis(x, split, 0)
    concat = concat_axis + 1
    return _merge(moveaxis(x, 1, concat), concat), 0


def _all_to_all_transpose(ct: Any, x: Any, *, split_axis: int, concat_axis: int, **params: Any) -> Any:
    return [all_to_all_p.bind(ct, split_axis=concat_axis, concat_axis=split_axis, **params)]


all_to_all_p = Primitive("all_to_all")
axis_index_p.abstract_cache = _NoMemo()  # along which axes it varies is no parameter
all_to_all_p.abstract_cache = _NoMemo()  # the size of the named axis is no parameter
all_to_all_p.def_abstract_eval(_all_to_all_shape)
all_to_all_p.axis_batch_rule = _all_to_all_batch
deflinear(all_to_all_p, _all_to_all_transpose)
