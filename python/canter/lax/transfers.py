"""Collectives that send pieces of differing sizes, or send and receive in two steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core import pytree
from ..core.avals import AbstractToken, ShapedArray, abstract_token, get_aval
from ..core.primitive import Primitive
from ..transforms.rules import bdim_at_front, is_undefined_primal
from ..transforms.zeros import Zero
from .collectives import AxisName, _names, all_gather, all_to_all, axis_index, axis_size
from .common import ops
from .gathering import GatherScatterMode
from .manual import typed_axes, vary
from .slicing import dynamic_index_in_dim

__all__ = ["pcast", "precv", "psend", "ragged_all_to_all"]

_CASTS = ("varying", "unreduced", "reduced")


def pcast(x: Any, axis_name: AxisName, *, to: str) -> Any:
    """Declares how values are to vary along a named axis.

    Args:
      x: a tree of arrays.
      axis_name: a name, or a tuple of names.
      to: "varying": each position may have a value of its own. Along an axis of `vmap` every value may
        vary, so that nothing changes; along a manual axis of a mesh the type changes.
        "unreduced" and "reduced" belong to types of sharded programs.

    Raises:
      NameError: the axis is not in scope.
      ValueError: `to` is none of these words, or the values vary along the axis already.
      NotImplementedError: `to` is "unreduced" or "reduced", which axes of `vmap` do not have.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> ct.vmap(lambda x: lax.pcast(x, "i", to="varying"), axis_name="i")(cnp.arange(2.0)).tolist()
      [0.0, 1.0]
    """
    if to not in _CASTS:
        raise ValueError(f"pcast: unexpected to={to!r}. It is one of: {', '.join(map(repr, _CASTS))}.")
    axis_size(axis_name)
    if to != "varying":
        raise NotImplementedError(
            f"pcast: inside of vmap and shard_map values along {axis_name!r} vary or are equal, so to={to!r} is not "
            "possible. Sums that are yet to be made belong to types outside, see canter.reshard."
        )
    return pytree.tree_map(lambda leaf: _varying(leaf, _names(axis_name)), x)


def _varying(x: Any, names: tuple[Any, ...]) -> Any:
    typed = typed_axes(names)
    if typed and set(typed) <= get_aval(x).vma:
        raise ValueError(
            f"Unsupported pcast from=varying, to='varying': {get_aval(x).str_short()} varies along {names} already."
        )
    return vary(x, names)


# --- in two steps ---------------------------------------------------------------------------------


def _pairs(where: str, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    size = axis_size(axis_name)
    pairs = tuple((int(source), int(destination)) for source, destination in perm)
    for kind, places in (("source", [s for s, _ in pairs]), ("destination", [d for _, d in pairs])):
        if len(set(places)) != len(places) or not all(0 <= place < size for place in places):
            raise ValueError(
                f"{where}: each {kind} must be in [0, {size}) and may stand in perm only once, got {perm}."
            )
    return pairs


def psend(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """Sends values along a named axis of devices; `precv` receives them. Only GPUs can do it.

    Args:
      x: a tree of arrays.
      axis_name: the name.
      perm: pairs (source, destination).

    Returns:
      A tree of tokens, which `precv` and `optimization_barrier` take to keep the order.

    Raises:
      NameError: the axis is not in scope.
      ValueError: a source or destination stands there twice, or is no position along the axis.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> send = lambda x: lax.psend(x, "i", [(0, 1)])
      >>> print(ct.make_jaxpr(send, axis_env=[("i", 2)])(1.0))
      { lambda ; a:f32[]. let b:Tok = psend[axis_name=('i',) perm=((0, 1),)] a in (b,) }
    """
    pairs, names = _pairs("psend", axis_name, perm), _names(axis_name)
    return pytree.tree_map(lambda value: psend_p.bind(value, axis_name=names, perm=pairs), x)


def precv(token: Any, out_shape: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """Receives values along a named axis of devices, which `psend` sends. Only GPUs can do it.

    Args:
      token: what must have happened before: the token of the matching `psend`, or `lax.create_token()`.
      out_shape: something with the shape and dtype of the result, such as a `ShapeDtypeStruct`.
      axis_name: the name.
      perm: pairs (source, destination); positions that receive nothing get zeros.

    Raises:
      NameError: the axis is not in scope.
      TypeError: `token` is not a token.
      ValueError: a source or destination stands there twice, or is no position along the axis.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> receive = lambda: lax.precv(lax.create_token(), ct.ShapeDtypeStruct((3,), "float32"), "i", [(0, 1)])
      >>> ct.make_jaxpr(receive, axis_env=[("i", 2)])().out_avals
      [ShapedArray(float32[3])]
    """
    aval = ShapedArray(out_shape.shape, out_shape.dtype)
    return precv_p.bind(
        token, out_shape=aval, axis_name=_names(axis_name), perm=_pairs("precv", axis_name, perm)
    )


def _precv_rule(token: Any, *, out_shape: Any, axis_name: Any, perm: Any) -> Any:
    if not isinstance(token, AbstractToken):
        raise TypeError(f"precv: the first argument must be a token, got {token.str_short()}.")
    return out_shape


def _no_batching(name: str) -> Any:
    def batch(trace: Any, args: Any, dims: Any, **params: Any) -> Any:
        raise NotImplementedError(
            f"{name} works along axes of devices, not under vmap. lax.ppermute sends and receives along both."
        )

    return batch


psend_p, precv_p = Primitive("psend"), Primitive("precv")
psend_p.def_abstract_eval(lambda x, *, axis_name, perm: abstract_token)
precv_p.def_abstract_eval(_precv_rule)
psend_p.axis_batch_rule = _no_batching("psend")
precv_p.axis_batch_rule = _no_batching("precv")


# --- pieces of differing sizes --------------------------------------------------------------------

ragged_all_to_all_p = Primitive("ragged_all_to_all")


def ragged_all_to_all(
    operand: Any,
    output: Any,
    input_offsets: Any,
    send_sizes: Any,
    output_offsets: Any,
    recv_sizes: Any,
    *,
    axis_name: AxisName,
    axis_index_groups: Any = None,
) -> Any:
    """Sends slices of rows to the positions of a named axis, which write them where the sender says.

    The K slices are given by arrays of K integers. With an axis of size n, the first K / n of them go to
    position 0, the next to position 1, and so on.

    Args:
      operand: rows to send from, shape `(N, ...)`.
      output: what received rows are written into, shape `(M, ...)`.
      input_offsets: the first row of each slice, in `operand`.
      send_sizes: how many rows each slice has.
      output_offsets: the row of the receiver's `output` where each slice starts.
      recv_sizes: how many rows arrive from each sender.
      axis_name: the name.
      axis_index_groups: groups of positions that exchange among themselves; not along an axis of vmap.

    Returns:
      `output` with the received rows in it.

    Raises:
      NameError: the axis is not in scope.
      ValueError: offsets or sizes are not integers, or not of one dimension.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> def exchange(rows, starts, sizes, targets, arriving):
      ...     return lax.ragged_all_to_all(rows, cnp.zeros(4), starts, sizes, targets, arriving, axis_name="i")
      >>> rows = cnp.array([[1.0, 2.0, 2.0], [3.0, 4.0, 0.0]])
      >>> starts, sizes = cnp.array([[0, 1], [0, 1]]), cnp.array([[1, 2], [1, 1]])
      >>> targets, arriving = cnp.array([[0, 0], [1, 2]]), cnp.array([[1, 1], [2, 1]])
      >>> ct.vmap(exchange, axis_name="i")(rows, starts, sizes, targets, arriving).tolist()
      [[1.0, 3.0, 0.0, 0.0], [2.0, 2.0, 4.0, 0.0]]
    """
    axis_size(axis_name)
    if axis_index_groups is not None:
        axis_index_groups = tuple(map(tuple, axis_index_groups))
    return ragged_all_to_all_p.bind(
        operand,
        output,
        input_offsets,
        send_sizes,
        output_offsets,
        recv_sizes,
        axis_name=_names(axis_name),
        axis_index_groups=axis_index_groups,
    )


_NUMBERS = ("input_offsets", "send_sizes", "output_offsets", "recv_sizes")


def _ragged_rule(operand: Any, output: Any, *numbers: Any, axis_name: Any, axis_index_groups: Any) -> Any:
    for name, aval in zip(_NUMBERS, numbers, strict=True):
        if not np.issubdtype(aval.dtype, np.integer):
            raise ValueError(
                f"ragged_all_to_all {name} must be integer type, got {aval.dtype.name}. Convert it with astype."
            )
        if aval.ndim != 1 or not aval.shape[0]:
            raise ValueError(
                f"ragged_all_to_all {name} must be rank 1 with positive dimension size, but got shape {aval.shape}."
            )
    if operand.dtype != output.dtype or operand.shape[1:] != output.shape[1:]:
        raise ValueError(
            "ragged_all_to_all: rows of operand and output must be alike, but got "
            f"{operand.str_short()} and {output.str_short()}."
        )
    return output.strip_weak_type()


def _ragged_batch(
    trace: Any, args: Any, dims: Any, *, axis_name: Any, axis_index_groups: Any
) -> tuple[Any, int]:
    args = [bdim_at_front(x, dim, trace.size) for x, dim in zip(args, dims, strict=True)]
    if trace.name in axis_name:
        if len(axis_name) > 1 or axis_index_groups is not None:
            raise NotImplementedError(
                "ragged_all_to_all along an axis of vmap takes one name and no axis_index_groups."
            )
        return _exchanged(*args[:5]), 0
    return _joined(args, axis_name=axis_name, axis_index_groups=axis_index_groups), 0


def _joined(args: Sequence[Any], **params: Any) -> Any:
    """One exchange instead of one a row: their operands one behind the other, their slices side by side."""
    operand, output, *numbers = args
    size, long = get_aval(operand).shape[:2]
    wide = get_aval(output).shape[1]
    starts, sizes, targets, arriving = (ops.transpose(x, (1, 0)) for x in numbers)

    def moved(offsets: Any, step: int) -> Any:
        dtype = get_aval(offsets).dtype
        steps = np.arange(size, dtype=dtype)[None] * np.asarray(step, dtype)
        return ops.add(offsets, ops.broadcast_in_dim(steps, get_aval(offsets).shape, (0, 1)))

    def flat(x: Any) -> Any:
        shape = get_aval(x).shape
        return ops.reshape(x, (shape[0] * shape[1], *shape[2:]))

    pieces = (moved(starts, long), sizes, moved(targets, wide), arriving)
    out = ragged_all_to_all_p.bind(flat(operand), flat(output), *map(flat, pieces), **params)
    return ops.reshape(out, get_aval(output).shape)


def _exchanged(operand: Any, output: Any, starts: Any, sizes: Any, targets: Any) -> Any:
    """The exchange along an axis of vmap, which is the first of all operands: one gather, one scatter."""
    count, long = get_aval(operand).shape[:2]
    pieces = get_aval(starts).shape[1]
    if pieces % count:
        raise ValueError(
            f"ragged_all_to_all: {pieces} slices cannot be shared out equally among {count} positions."
        )
    shape = (count, pieces, long)

    def spread(x: Any) -> Any:
        return ops.broadcast_in_dim(ops.convert_element_type(x, np.int32), shape, (0, 1))

    step = ops.broadcasted_iota(np.int32, shape, 2)
    sent = ops.lt(step, spread(sizes))
    source = ops.broadcasted_iota(np.int32, shape, 0)
    receiver = ops.div(ops.broadcasted_iota(np.int32, shape, 1), np.int32(pieces // count))
    # Where nothing is sent, the target is a row that does not exist, and the scatter drops it.
    row = ops.select_n(sent, np.full(shape, np.iinfo(np.int32).max, np.int32), ops.add(spread(targets), step))
    places = [
        ops.reshape(x, (math.prod(shape), 1)) for x in (source, ops.add(spread(starts), step), receiver, row)
    ]
    rest = get_aval(operand).shape[2:]
    window = tuple(range(1, 1 + len(rest)))
    rows = ops.gather(
        operand,
        ops.concatenate(places[:2], 1),
        ops.GatherDimensionNumbers(window, (0, 1), (0, 1)),
        (1, 1, *rest),
        mode=GatherScatterMode.CLIP,
    )
    return ops.scatter(
        output,
        ops.concatenate(places[2:], 1),
        rows,
        ops.ScatterDimensionNumbers(window, (0, 1), (0, 1)),
        mode=GatherScatterMode.FILL_OR_DROP,
    )


def exchange_of_gathered(*args: Any, axis_name: Any) -> Any:
    """The exchange between devices where every one of them gets all rows of all; its own result."""
    gathered = [all_gather(x, axis_name) for x in args[:5]]
    outs = _exchanged(*gathered)
    return dynamic_index_in_dim(outs, axis_index(axis_name), 0, keepdims=False)


def _ragged_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    out = ragged_all_to_all_p.bind(*primals, **params)
    rows, into = tangents[:2]
    if type(rows) is Zero and type(into) is Zero:
        return out, Zero.from_primal_value(out)
    rows, into = (
        ops.full_like(x, 0) if type(dot) is Zero else dot
        for x, dot in zip(primals, (rows, into), strict=False)
    )
    return out, ragged_all_to_all_p.bind(rows, into, *primals[2:], **params)


def _ragged_transpose(
    ct: Any,
    operand: Any,
    output: Any,
    starts: Any,
    sizes: Any,
    targets: Any,
    arriving: Any,
    *,
    axis_name: Any,
    axis_index_groups: Any,
) -> list[Any]:
    """Rows go back where they came from; what they were written over had no part in the result."""

    def swapped(x: Any) -> Any:
        return all_to_all(x, axis_name, 0, 0, tiled=True, axis_index_groups=axis_index_groups)

    written = swapped(targets)
    back = into = None
    if is_undefined_primal(operand):
        params = {"axis_name": axis_name, "axis_index_groups": axis_index_groups}
        zeros = ops.full(operand.aval.shape, 0, operand.aval.dtype)
        back = ragged_all_to_all_p.bind(ct, zeros, written, arriving, swapped(starts), sizes, **params)
    if is_undefined_primal(output):
        into = ops.select_n(_covered(written, arriving, get_aval(ct).shape), ct, ops.full_like(ct, 0))
    return [back, into, None, None, None, None]


def _covered(starts: Any, sizes: Any, shape: tuple[int, ...]) -> Any:
    """Which rows of an array of a shape lie in one of the slices."""
    pairs = (shape[0], get_aval(starts).shape[0])
    row = ops.broadcasted_iota(get_aval(starts).dtype, pairs, 0)
    first = ops.broadcast_in_dim(starts, pairs, (1,))
    behind = ops.broadcast_in_dim(ops.add(starts, sizes), pairs, (1,))
    covered = ops.reduce_or(ops.bitwise_and(ops.ge(row, first), ops.lt(row, behind)), (1,))
    return ops.broadcast_in_dim(covered, shape, (0,))


ragged_all_to_all_p.def_abstract_eval(_ragged_rule)
ragged_all_to_all_p.jvp_rule = _ragged_jvp
ragged_all_to_all_p.transpose_rule = _ragged_transpose
ragged_all_to_all_p.axis_batch_rule = _ragged_batch
