"""Derivatives and batching of reads and writes of mutable references.

The tangent of a reference is a reference of its own, which is read and written where the first one is; a batched
reference is one with an axis more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import get_aval
from ..core.state import (
    Operand,
    _full_index,
    addupdate_p,
    empty_ref_p,
    free_ref_p,
    freeze_p,
    get_p,
    new_ref_p,
    ref_ops,
    swap_p,
)
from ..core.trace import state
from ..core.tracing import JaxprTrace
from .rules import bdim_at_front, instantiate_zeros, moveaxis
from .zeros import Zero, has_tangents

__all__: list[str] = []


# --- derivatives ----------------------------------------------------------------------------------


def _new_tangent(tangent: Any, params: Any) -> Any:
    """The reference that is the tangent of a new one; on a tape it is the tape's, though its first value may not be."""
    value = instantiate_zeros(tangent)
    trace = state.trace
    if trace.is_tape:
        return JaxprTrace.process(trace, new_ref_p, (value,), params)
    return new_ref_p.bind(value, **params)


def _new_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    (value,), (tangent,) = primals, tangents
    ref = new_ref_p.bind(value, **params)
    if not has_tangents(get_aval(value)):
        return ref, Zero.from_primal_value(ref)
    if tangent is None:
        tangent = Zero.from_primal_value(value)
    return ref, _new_tangent(tangent, params)


def _empty_jvp(primals: Any, tangents: Any, *, ty: Any, memory_space: Any) -> Any:
    ref = empty_ref_p.bind(ty=ty, memory_space=memory_space)
    if not has_tangents(ty):
        return ref, Zero.from_primal_value(ref)
    return ref, _new_tangent(Zero(ty), {"kind": None, "memory_space": memory_space})


def _get_jvp(primals: Any, tangents: Any, *, indices: Any) -> Any:
    out = get_p.bind(*primals, indices=indices)
    if type(tangents[0]) is Zero:
        return out, Zero.from_primal_value(out)
    return out, get_p.bind(tangents[0], *primals[1:], indices=indices)


def _refuse_foreign(ref: Any, what: str) -> None:
    raise TypeError(
        f"A value that is being differentiated is {what} a mutable reference of type {get_aval(ref)} that is not: the "
        "derivative would be lost. Move the array reference to be an argument of the differentiated function, make "
        "it inside, or write `stop_gradient` of the value."
    )


def _swap_jvp(primals: Any, tangents: Any, *, indices: Any) -> Any:
    ref, tangent_ref = primals[0], tangents[0]
    if type(tangent_ref) is Zero:
        if type(tangents[1]) is not Zero:
            _refuse_foreign(ref, "written to")
        out = swap_p.bind(*primals, indices=indices)
        return out, Zero.from_primal_value(out)
    out = swap_p.bind(*primals, indices=indices)
    tangent = instantiate_zeros(tangents[1])
    return out, swap_p.bind(tangent_ref, tangent, *primals[2:], indices=indices)


def _addupdate_jvp(primals: Any, tangents: Any, *, indices: Any) -> Any:
    ref, tangent_ref = primals[0], tangents[0]
    if type(tangents[1]) is not Zero:
        if type(tangent_ref) is Zero:
            _refuse_foreign(ref, "added to")
        addupdate_p.bind(tangent_ref, tangents[1], *primals[2:], indices=indices)
    return addupdate_p.bind(*primals, indices=indices), []


def _freeze_jvp(primals: Any, tangents: Any) -> Any:
    out = freeze_p.bind(*primals)
    return out, Zero.from_primal_value(out) if type(tangents[0]) is Zero else freeze_p.bind(*tangents)


def _free_jvp(primals: Any, tangents: Any) -> Any:
    if type(tangents[0]) is not Zero:
        free_ref_p.bind(*tangents)
    return free_ref_p.bind(*primals), []


new_ref_p.jvp_rule, empty_ref_p.jvp_rule, get_p.jvp_rule = _new_jvp, _empty_jvp, _get_jvp
swap_p.jvp_rule, addupdate_p.jvp_rule = _swap_jvp, _addupdate_jvp
freeze_p.jvp_rule, free_ref_p.jvp_rule = _freeze_jvp, _free_jvp


# --- batching -------------------------------------------------------------------------------------


def _new_batch(trace: Any, args: Any, dims: Any, **params: Any) -> Any:
    return new_ref_p.bind(bdim_at_front(args[0], dims[0], trace.size), **params), 0


def _empty_batch(trace: Any, args: Any, dims: Any, *, ty: Any, memory_space: Any) -> Any:
    return empty_ref_p.bind(ty=ty.update(shape=(trace.size, *ty.shape)), memory_space=memory_space), 0


def _with_axis(ref: Any, dim: int, indices: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*indices[:dim], slice(0, ref.shape[dim], 1), *indices[dim:])


def _place_of_axis(dim: int, indices: tuple[Any, ...]) -> int:
    """Where a batch axis of a reference is in a part of it, of which no index is an array with dimensions."""
    return sum(
        isinstance(entry, slice) or (isinstance(entry, Operand) and entry.size is not None)
        for entry in indices[:dim]
    )


def _is_plain(indices: tuple[Any, ...], operands: Sequence[Any]) -> bool:
    """Whether no index is an array with dimensions."""
    given = iter(operands)
    return all(
        entry.size is not None or not get_aval(next_).shape
        for entry in indices
        if isinstance(entry, Operand)
        for next_ in (next(given),)
    )


def _access(trace: Any, args: Any, dims: Any, num_values: int, indices: Any) -> Any:
    """The operands of an access to a reference, if it is one access to the batched reference, else None."""
    ref, dim, operands = args[0], dims[0], args[1 + num_values :]
    if dim is None or any(d is not None for d in dims[1 + num_values :]) or not _is_plain(indices, operands):
        return None
    place = _place_of_axis(dim, indices)
    values = [
        moveaxis(bdim_at_front(x, d, trace.size), 0, place)
        for x, d in zip(args[1 : 1 + num_values], dims[1 : 1 + num_values], strict=True)
    ]
    return [ref, *values, *operands], _with_axis(ref, dim, indices), place


def _each(trace: Any, function: Any, args: Sequence[Any], dims: Sequence[int | None]) -> Any:
    """A function of arrays for each element of the batch."""
    from .batching import batch_flat

    (out,), (place,) = batch_flat(lambda *xs: [function(*xs)], args, dims, trace.size)
    return bdim_at_front(out, place, trace.size)


def _whole(ref: Any) -> tuple[slice, ...]:
    return tuple(slice(0, size, 1) for size in ref.shape)


def _get_batch(trace: Any, args: Any, dims: Any, *, indices: Any) -> Any:
    found = _access(trace, args, dims, 0, indices)
    if found is not None:
        operands, full, place = found
        return get_p.bind(*operands, indices=full), place
    value = get_p.bind(args[0], indices=_whole(args[0]))

    def read(x: Any, *operands: Any) -> Any:
        return ref_ops.read(x, _full_index(indices, operands))

    return _each(trace, read, [value, *args[1:]], dims), 0


def _refuse_unbatched(ref: Any, what: str) -> None:
    raise TypeError(
        f"A value that is being vmapped is {what} a mutable reference of type {get_aval(ref)} that is not: every "
        "element of the batch would go to the same place. Move the array reference to be an argument to the "
        "vmapped function, or make it inside."
    )


def _swap_batch(trace: Any, args: Any, dims: Any, *, indices: Any) -> Any:
    if dims[0] is None:
        _refuse_unbatched(args[0], "written to")
    found = _access(trace, args, dims, 1, indices)
    if found is not None:
        operands, full, place = found
        return swap_p.bind(*operands, indices=full), place
    ref, dim = args[0], dims[0]
    value = get_p.bind(ref, indices=_whole(ref))

    def read(x: Any, _: Any, *operands: Any) -> Any:
        return ref_ops.read(x, _full_index(indices, operands))

    def write(x: Any, y: Any, *operands: Any) -> Any:
        return ref_ops.write(x, _full_index(indices, operands), y)

    values = [value, *args[1:]]
    old = _each(trace, read, values, dims)
    new = moveaxis(_each(trace, write, values, dims), 0, dim)
    swap_p.bind(ref, new, indices=_whole(ref))
    return old, 0


def _addupdate_batch(trace: Any, args: Any, dims: Any, *, indices: Any) -> Any:
    if dims[0] is None:
        return _add_all(trace, args, dims, indices)
    found = _access(trace, args, dims, 1, indices)
    if found is not None:
        operands, full, _ = found
        return addupdate_p.bind(*operands, indices=full), []
    ref, dim = args[0], dims[0]
    value = get_p.bind(ref, indices=_whole(ref))

    def add(x: Any, y: Any, *operands: Any) -> Any:
        return ref_ops.add(x, _full_index(indices, operands), y)

    new = moveaxis(_each(trace, add, [value, *args[1:]], dims), 0, dim)
    swap_p.bind(ref, new, indices=_whole(ref))
    return [], []


def _add_all(trace: Any, args: Any, dims: Any, indices: Any) -> Any:
    """What all elements of the batch add to one reference is added up."""
    from .rules import array_ops

    if any(d is not None for d in dims[2:]):
        _refuse_unbatched(args[0], "added, at places that differ, to")
    total = array_ops.reduce_sum(bdim_at_front(args[1], dims[1], trace.size), (0,))
    return addupdate_p.bind(args[0], total, *args[2:], indices=indices), []


def _freeze_batch(args: Any, dims: Any) -> Any:
    return freeze_p.bind(*args), dims[0]


def _free_batch(args: Any, dims: Any) -> Any:
    return free_ref_p.bind(*args), []


new_ref_p.axis_batch_rule, empty_ref_p.axis_batch_rule = _new_batch, _empty_batch
get_p.axis_batch_rule, swap_p.axis_batch_rule = _get_batch, _swap_batch
addupdate_p.axis_batch_rule = _addupdate_batch
freeze_p.batch_rule, free_ref_p.batch_rule = _freeze_batch, _free_batch
