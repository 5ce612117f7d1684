"""Moving values between the host and devices: `device_put`, `device_get`, `block_until_ready`.

A put copies: what the caller does with a NumPy array afterwards never changes an array made from
it. (jaxlib's own put shares the memory of a NumPy array where it happens to be aligned.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import (
    ArrayCopySemantics,
    ArrayImpl,
    Device,
    HostBufferSemantics,
    Sharding,
    SingleDeviceSharding,
    batched_block_until_ready,
    batched_device_put,
    guard_lib,
    make_array,
    parts_of,
)

from ..core import dtypes, pytree
from ..core.avals import ShapedArray, aval_in, get_aval
from ..core.explicit import check_sums, typed
from ..core.memory import Space, host_kinds
from ..core.mesh import AbstractMesh, Mesh, current_context
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import DeviceSharding, NamedSharding, check_fits, in_order_of, is_over_nothing, resolve
from ..core.trace import Tracer, concrete_or_error
from ..lax.sharding import check_not_manual, reshard_p, sharding_constraint_p
from ..transforms.zeros import Zero
from .array import check_not_deleted, deleted_error, device_copy, parts_by_device
from .backend import current_default_device
from .layouts import Format, copied_to, relaid, unusual
from .placement import part_sharding, sharding_of

__all__ = [
    "block_until_ready",
    "copy_to_host_async",
    "device_get",
    "device_put",
    "device_put_p",
    "place_on",
    "put",
    "put_pieces",
    "put_type",
    "to_device",
]

_REUSE = ArrayCopySemantics.REUSE_INPUT
_DONATE = ArrayCopySemantics.DONATE_INPUT
_COPY = ArrayCopySemantics.ALWAYS_COPY
_DURING_CALL = HostBufferSemantics.IMMUTABLE_ONLY_DURING_CALL
_ZERO_COPY = HostBufferSemantics.ZERO_COPY
_WORTH_THREADS = 1 << 20  # bytes: what takes longer to copy than threads take to start


# --- one value ---------------------------------------------------------------------------------


def to_device(value: Any, aval: ShapedArray | None = None, sharding: Any = None) -> Any:
    """A new array with the value of a NumPy array or a number, which is copied.

    Args:
      value: a NumPy array or scalar, or a Python number.
      aval: shape, dtype and weak type of the array; None for those that `value` has on devices, which
        are of 32 bits unless `enable_x64` is set.
      sharding: where to put it; None for the default device, to which the array is not committed.

    Raises:
      TypeError: a value that is not numeric.
      OverflowError: a Python int that does not fit.
    """
    if aval is None:
        aval = get_aval(value)
    committed = sharding is not None
    if sharding is None:
        device = current_default_device()
        sharding = sharding_of(device)
    elif type(sharding) is SingleDeviceSharding:
        device, aval = sharding._device, aval_in(aval, sharding)
    else:
        return _to_devices(np.asarray(value, aval.dtype), aval, sharding)
    host = value if type(value) is np.ndarray and value.dtype is aval.dtype else np.asarray(value, aval.dtype)
    return batched_device_put(aval, sharding, [host], [device], committed, True)


def _to_devices(host: np.ndarray, aval: ShapedArray, sharding: Any) -> Any:
    check_fits(sharding, aval, "the array", "targets of device_put")
    if sharding._unreduced:
        whole = sharding.update(spec=sharding.spec.update(unreduced=frozenset()))
        return _resharder(sharding)(_to_devices(host, aval, whole))
    parts = sharding.addressable_devices_indices_map(aval.shape)
    return put_pieces(put_type(aval, sharding), sharding, [host[index] for index in parts.values()])


def put_type(aval: Any, sharding: Any) -> Any:
    """The type of an array with a sharding, and in its memory."""
    return aval_in(typed(aval, sharding), sharding)


def put_pieces(aval: ShapedArray, sharding: Any, pieces: list[np.ndarray]) -> Any:
    """An array over several devices from what each device of this process is to hold, which is copied."""
    devices = list(sharding._local)
    if not sharding.is_fully_replicated and any(sharding._replica_ids(len(aval.shape)).values()):
        # jaxlib cannot put one piece of memory on some of the devices in one call.
        part = aval.update(shape=sharding.shard_shape(aval.shape))
        arrays = [
            batched_device_put(part, part_sharding(device, sharding), [piece], [device], True, True)
            for device, piece in zip(devices, pieces, strict=True)
        ]
        return make_array(aval, sharding, arrays, committed=True)
    if sum(piece.nbytes for piece in pieces) >= _WORTH_THREADS and devices[0].platform == "cpu":
        array = batched_device_put(aval, sharding, pieces, devices, True, False, _ZERO_COPY)
        array.block_until_ready()
        if not _shares_memory(array, pieces):
            return array
    # The call copies what it is given before it returns, one piece after the other.
    return batched_device_put(aval, sharding, pieces, devices, True, False, _DURING_CALL)


def _shares_memory(array: Any, pieces: list[np.ndarray]) -> bool:
    """Whether devices took the caller's memory for their own, as they do where its alignment allows.

    Memory that they cannot share is copied by the threads of all devices at once.
    """
    return any(
        part.unsafe_buffer_pointer() == piece.ctypes.data
        for part, piece in zip(parts_of(array), pieces, strict=True)
    )


def place_on(value: Any, sharding: Any) -> Any:
    """An argument as a C++ array with a sharding; what has it already is returned as it is."""
    if type(value) is ArrayImpl:
        own = value._sharding
        if own is not sharding and own != sharding:
            return _put_array(value, sharding, _REUSE)
        if value.is_deleted():  # executing with its memory would end the process
            raise deleted_error(value)
        return value
    aval = get_aval(value)
    if isinstance(aval.dtype, dtypes.ExtendedDType):
        return place_on(aval.dtype.to_physical(value), sharding)
    if aval.dtype.kind == "V" and aval.dtype == dtypes.float0:
        return to_device(np.zeros(aval.shape, np.bool_), None, sharding)
    return put(value, sharding)


def put(value: Any, target: Any = None, semantics: Any = _REUSE) -> Any:
    """One array, NumPy array or number on a device.

    Args:
      value: what to put.
      target: a device or sharding, to which the result is committed; None leaves an array where it is
        and puts other values on the default device, uncommitted.
      semantics: whether the memory of an array may be shared, must be copied, or is given away.

    Raises:
      TypeError: a value that is not numeric.
      RuntimeError: a deleted array.
    """
    sharding = _as_sharding(target, value)
    if type(target) is Format and target.layout is not None:
        return _put_in_order(value, target, semantics)
    if type(value) is ArrayImpl:
        return _put_array(value, sharding, semantics)
    if isinstance(value, Tracer):
        value = concrete_or_error(None, value, "A device takes values, and this one is not known yet.")
        return put(value, target, semantics)
    aval = get_aval(value)
    dtype: Any = aval.dtype
    if type(value) is np.ndarray and value.dtype is dtype:
        return to_device(value, aval, sharding)
    if isinstance(dtype, dtypes.ExtendedDType):
        return dtype.from_physical(put(dtype.to_physical(value), target, semantics))
    if dtype.kind == "V" and dtype == dtypes.float0:
        return value  # tangents of integers carry nothing that a device could hold
    if not isinstance(value, (np.ndarray, np.generic)) and hasattr(value, "__jax_array__"):
        return put(value.__jax_array__(), target, semantics)
    return to_device(value, aval, sharding)


def _as_sharding(target: Any, value: Any) -> Any:
    """The sharding that a target means for a value."""
    if target is None or type(target) is SingleDeviceSharding:
        return target
    if isinstance(target, Device):
        return sharding_of(target)
    if isinstance(target, Space):
        own = value._sharding if type(value) is ArrayImpl else sharding_of(current_default_device())
        return own.with_memory_kind(target.kind_on(own._device_assignment[0]))
    if isinstance(target, Format):
        target.check_concrete("device_put", "the array", np.shape(value))
        return target.sharding
    if isinstance(target, PartitionSpec) or not isinstance(target, Sharding):
        if isinstance(target, PartitionSpec) and current_context().abstract is None:
            raise ValueError(
                f"device_put to {target}, a PartitionSpec, needs a mesh: set one with canter.set_mesh(mesh), or put to "
                f"canter.NamedSharding(mesh, {target})."
            )
        return resolve(target, "device_put", "device")
    return target


def _put_in_order(value: Any, target: Format, semantics: Any) -> Any:
    """A value with a layout of its own in memory."""
    placed = put(value, target.sharding, semantics)
    if type(placed) is not ArrayImpl:
        raise TypeError(
            f"device_put: {target.layout} is for arrays of numbers; got {get_aval(value).str_short()}. Put it with a "
            "sharding alone."
        )
    laid_out = relaid(placed, unusual(target.layout))
    if semantics is _DONATE and laid_out is not placed and not placed.is_deleted():
        placed.delete()
    return laid_out


def _put_array(array: Any, sharding: Any, semantics: Any) -> Any:
    if array.is_deleted():
        raise deleted_error(array)
    own = array._sharding
    if sharding is None:
        return device_copy(array) if semantics is _COPY else array
    if own is sharding or own == sharding:
        return _committed(device_copy(array) if semantics is _COPY else array)
    check_fits(sharding, array.aval, "the array", "targets of device_put")
    if isinstance(sharding, DeviceSharding) or isinstance(own, DeviceSharding):
        moved = _reshard(array, own, sharding, semantics)
    else:
        return _committed(copied_to(array, sharding, semantics))
    if semantics is _DONATE and not array.is_deleted():
        array.delete()
    return moved


def _reshard(array: Any, own: Any, sharding: Any, semantics: Any) -> Any:
    """The array in another layout over devices: without a copy where only the names differ."""
    aval, ndim = put_type(array.aval, sharding), len(array.aval.shape)
    if isinstance(own, DeviceSharding) and isinstance(sharding, DeviceSharding):
        if own._device_assignment != sharding._device_assignment and own.device_set == sharding.device_set:
            # The devices stand in another order: first the same parts in that order.
            order = Mesh(np.array(sharding._device_assignment, object), ("devices",))
            parts = parts_by_device(array)
            own = in_order_of(own, order, ndim)
            array = make_array(aval, own, [parts[device] for device in own._local], committed=True)
    if tuple(own._device_assignment) == tuple(sharding._device_assignment):
        if sharding.is_equivalent_to(own, ndim):
            source = device_copy(array) if semantics is _COPY else array
            return make_array(aval, sharding, parts_of(source), committed=True)
        if own.memory_kind != sharding.memory_kind:
            parts_agree = isinstance(own, DeviceSharding) and sharding.is_equivalent_to(
                own.with_memory_kind(sharding.memory_kind), ndim
            )
            if parts_agree:
                return copied_to(array, sharding)
        elif isinstance(own, DeviceSharding) and isinstance(sharding, DeviceSharding):
            check_sums(own, sharding)
            return _resharder(sharding)(array)  # collectives do it
    if own.is_fully_replicated and own.memory_kind == sharding.memory_kind:
        replicas = parts_by_device(array)
        if sharding.device_set <= set(replicas) and sharding.is_fully_replicated:
            return make_array(
                aval, sharding, [replicas[d] for d in sharding._device_assignment], committed=True
            )
    return to_device(array._value, aval, sharding)


@functools.lru_cache(maxsize=256)
def _resharder(sharding: Any) -> Any:
    from .jit import jit

    return jit(_same, out_shardings=sharding)


def _same(x: Any) -> Any:
    return x


def _committed(array: Any) -> Any:
    return array if array._committed else make_array(array.aval, array._sharding, [array], committed=True)


# --- device_put as an equation -----------------------------------------------------------------

device_put_p = Primitive("device_put", multiple_results=True)


@device_put_p.def_abstract_eval
def _abstract(*avals: Any, devices: Any, srcs: Any, copy_semantics: Any) -> list[Any]:
    return [
        put_type(*pair) if type(pair[1]) is NamedSharding else aval_in(*pair)
        for pair in zip(avals, devices, strict=True)
    ]


@device_put_p.def_impl
def _impl(*args: Any, devices: Any, srcs: Any, copy_semantics: Any) -> list[Any]:
    return [put(*each) for each in zip(args, devices, copy_semantics, strict=True)]


def _jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    outs = device_put_p.bind(*primals, **params)
    moving = [i for i, tangent in enumerate(tangents) if type(tangent) is not Zero]
    if not moving:
        return outs, [Zero.from_primal_value(out) for out in outs]
    moved = device_put_p.bind(*(tangents[i] for i in moving), **_of(params, moving, shared=True))
    tangents_out: list[Any] = [Zero.from_primal_value(out) for out in outs]
    for i, tangent in zip(moving, moved, strict=True):
        tangents_out[i] = tangent
    return outs, tangents_out


def _of(params: dict[str, Any], positions: list[int], shared: bool = False) -> dict[str, Any]:
    """The parameters of some of the operands; what a tangent is put from may not be given away."""
    chosen = {name: tuple(values[i] for i in positions) for name, values in params.items()}
    if shared:
        kept = (_REUSE if each is _DONATE else each for each in chosen["copy_semantics"])
        chosen["copy_semantics"] = tuple(kept)
    return chosen


def _transpose(cotangents: Any, *args: Any, devices: Any, srcs: Any, copy_semantics: Any) -> list[Any]:
    moving = [i for i, cotangent in enumerate(cotangents) if type(cotangent) is not Zero]
    result = list(cotangents)
    if moving:
        back = device_put_p.bind(
            *(cotangents[i] for i in moving),
            devices=tuple(_source(args[i].aval, srcs[i], cotangents[i]) for i in moving),
            srcs=tuple(devices[i] for i in moving),
            copy_semantics=(_COPY,) * len(moving),
        )
        for i, cotangent in zip(moving, back, strict=True):
            result[i] = cotangent
    return result


def _source(aval: Any, src: Any, cotangent: Any) -> Any:
    """Where a cotangent goes: to where the operand came from, or at least to its memory."""
    return src if src is not None or get_aval(cotangent).memory is aval.memory else aval.memory_space


def _batch(args: Any, dims: Any, **params: Any) -> Any:
    return device_put_p.bind(*args, **params), dims


device_put_p.jvp_rule = _jvp
device_put_p.transpose_rule = _transpose
device_put_p.batch_rule = _batch


# --- what users call ---------------------------------------------------------------------------


def device_put(
    x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: Any = None
) -> Any:
    """Puts the leaves of a tree on devices.

    Inside a compiled function a sharding is a constraint on where the values are.

    Args:
      x: a tree of arrays, NumPy arrays and numbers, or of tracers.
      device: a device, a sharding, a `PartitionSpec` over the mesh in force, a `memory.Space`, or a tree of
        them that is a prefix of `x`. The results are committed
        to it: work on them runs there. None leaves arrays where they are and puts other values on the
        default device without committing them.
      src: where the leaves come from, in the same form; it matters only to derivatives, which go back there.
      donate: whether the memory of the leaves may be given up; a bool or a tree of them.
      may_alias: False for results with memory of their own, True or None where sharing is fine.

    Returns:
      A tree like `x` of arrays.

    Raises:
      TypeError: a leaf that is not numeric.
      ValueError: a device that is not one of these, a tree of them that does not fit `x`, or both
        `donate` and `may_alias`.
      RuntimeError: a leaf that was deleted or donated.

    >>> import canter as ct, numpy as np
    >>> x = ct.device_put({"a": np.arange(3), "b": 1.0}, ct.devices()[0])
    >>> x["a"], x["a"].committed
    (Array([0, 1, 2], dtype=int32), True)
    """
    leaves, treedef = pytree.tree_flatten(x)
    devices = [
        None if is_over_nothing(target) else target
        for target in _per_leaf("device", device, treedef, _check_target)
    ]
    if donate is False and may_alias is None:
        semantics: list[Any] = [_REUSE] * len(leaves)
    else:
        pairs = zip(
            _per_leaf("donate", donate, treedef, None),
            _per_leaf("may_alias", may_alias, treedef, None),
            strict=True,
        )
        semantics = [_semantics(*pair) for pair in pairs]
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        srcs = _per_leaf("src", src, treedef, _check_target)
        layouts = [_layout_asked(d, leaf) for d, leaf in zip(devices, leaves, strict=True)]
        kinds = (PartitionSpec, Format)
        devices = [resolve(d, "device_put", "device") if isinstance(d, kinds) else d for d in devices]
        mesh = current_context().abstract
        for target in devices if mesh is not None and mesh.manual_axes else ():
            if isinstance(target, NamedSharding):
                check_not_manual("device_put", target, mesh)
        outs = device_put_p.bind(
            *leaves, devices=tuple(devices), srcs=tuple(srcs), copy_semantics=tuple(semantics)
        )
        if any(layouts):
            from .layout_constraint import with_layout_constraint

            pairs = zip(outs, layouts, strict=True)
            outs = [out if layout is None else with_layout_constraint(out, layout) for out, layout in pairs]
    else:
        guards = guard_lib.thread_local_state()
        previous, guards.explicit_device_put = guards.explicit_device_put, True
        try:
            for leaf, target in zip(leaves, devices, strict=True):
                if isinstance(target, DeviceSharding) and not target.is_fully_addressable:
                    _check_same(leaf, target)
            outs = [put(*each) for each in zip(leaves, devices, semantics, strict=True)]
        except ValueError as error:
            raise _named(error, x, leaves, devices) from None
        finally:
            guards.explicit_device_put = previous
    return treedef.unflatten(outs)


def _layout_asked(target: Any, leaf: Any) -> Any:
    if not isinstance(target, Format):
        return None
    target.check_concrete("device_put", "the array", np.shape(leaf))
    return target.layout


def _check_same(leaf: Any, target: Any) -> None:
    """Of a value that each process has for itself, each is to have the same."""
    if type(leaf) is ArrayImpl and not leaf.is_fully_addressable:
        return
    from .processes import check_same

    aval = get_aval(leaf)
    if isinstance(aval.dtype, dtypes.ExtendedDType):
        leaf = aval.dtype.to_physical(leaf)
        check_same(np.asarray(leaf), target, "device_put")
    else:
        check_same(np.asarray(leaf, aval.dtype), target, "device_put")


def _named(error: Exception, x: Any, leaves: Any, targets: Any) -> Exception:
    """The same error, with the path of the leaf it is about."""
    paths, _ = pytree.tree_flatten_with_path(x)
    for (path, leaf), target in zip(paths, targets, strict=True):
        if path:
            try:
                sharding = _as_sharding(target, leaf)
            except ValueError:
                return error
            if not isinstance(sharding, DeviceSharding):
                continue
            try:
                sharding.shard_shape(np.shape(leaf))
            except ValueError:
                return type(error)(f"device_put of x{pytree.keystr(path)}: {error}")
    return error


def _per_leaf(what: str, given: Any, treedef: Any, check: Callable[[str, Any], None] | None) -> list[Any]:
    if given is None or isinstance(given, (Device, Sharding, PartitionSpec, Space, bool)):
        return [given] * treedef.num_leaves
    try:
        values = pytree.flatten_axes(f"device_put {what}", treedef, given)
    except ValueError as error:
        where = str(error).partition("\n")[2]
        raise ValueError(f"device_put: {what} must be a tree prefix of the values.\n{where}") from None
    if check is not None:
        for value in values:
            check(what, value)
    return values


def _check_target(what: str, target: Any) -> None:
    kinds = (Device, Sharding, PartitionSpec, Space)
    if target is not None and not isinstance(target, kinds) and not hasattr(target, "sharding"):
        hint = f" Did you mean canter.devices({target!r})[0]?" if isinstance(target, str) else ""
        raise ValueError(
            f"device_put: {what} takes a device, a sharding, None, or a tree of these; got {target!r} "
            f"of type {type(target).__name__}.{hint}"
        )


def _semantics(donate: Any, may_alias: Any) -> Any:
    if donate and may_alias:
        raise ValueError("device_put: may_alias and donate cannot both be True: a donated array is given up.")
    return _DONATE if donate else _COPY if may_alias is False else _REUSE


def device_get(x: Any) -> Any:
    """Copies the leaves of a tree to the host.

    Args:
      x: a tree; leaves that are not arrays stay as they are, and so do traced values, which have no copy on
        the host.

    Returns:
      A tree like `x` with NumPy arrays in the place of arrays. They may share memory with the arrays, and
      cannot be written to.

    Raises:
      RuntimeError: a leaf that was deleted or donated.

    >>> import canter as ct, canter.numpy as cnp
    >>> ct.device_get({"a": cnp.arange(3), "b": "text"})
    {'a': array([0, 1, 2], dtype=int32), 'b': 'text'}
    """
    leaves, treedef = pytree.tree_flatten(x)
    guards = guard_lib.thread_local_state()
    previous, guards.explicit_device_get = guards.explicit_device_get, True
    try:
        for leaf in leaves:
            if type(leaf) is ArrayImpl and not (leaf.is_deleted() or leaf.platform() == "cpu"):
                leaf.copy_to_host_async()  # so that the copies run side by side; the CPU's memory is the host's
        return treedef.unflatten([_get(leaf) for leaf in leaves])
    finally:
        guards.explicit_device_get = previous


def _get(leaf: Any) -> Any:
    if type(leaf) is ArrayImpl:
        return leaf._value
    return leaf


def copy_to_host_async(x: Any) -> Any:
    """Starts copying the arrays of a tree to the host, so that reading them later waits less.

    Args:
      x: a tree; leaves without a method `copy_to_host_async` are passed over.

    Returns:
      `x`.

    Raises:
      RuntimeError: an array that was deleted or donated.

    >>> import canter as ct, canter.numpy as cnp
    >>> ct.copy_to_host_async(cnp.arange(3))
    Array([0, 1, 2], dtype=int32)
    """
    for leaf in pytree.tree_leaves(x):
        start = getattr(leaf, "copy_to_host_async", None)
        if start is not None:
            start()
    return x


def block_until_ready(x: Any) -> Any:
    """Waits until all arrays of a tree are computed; errors of the computations are raised here.

    Args:
      x: a tree; leaves without a method `block_until_ready` are passed over.

    Returns:
      `x`.

    Raises:
      RuntimeError: an array that was deleted or donated.

    >>> import canter as ct, canter.numpy as cnp
    >>> ct.block_until_ready(cnp.arange(3))
    Array([0, 1, 2], dtype=int32)
    """
    arrays = []
    for leaf in pytree.tree_leaves(x):
        if type(leaf) is ArrayImpl:
            check_not_deleted(leaf)
            arrays.append(leaf)
        elif not isinstance(leaf, Tracer) and hasattr(leaf, "block_until_ready"):
            leaf.block_until_ready()
    if len(arrays) == 1:
        arrays[0].block_until_ready()
    elif arrays:
        batched_block_until_ready(arrays)
    return x


def _constrain_now(x: Any, *, sharding: Any, **params: Any) -> Any:
    """A sharding constraint on a concrete array puts it there."""
    spec = getattr(sharding, "spec", None)
    if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, AbstractMesh):
        sharding = NamedSharding(_with_devices(sharding, x), sharding.spec, sharding.memory_kind)
    if spec is not None and any(entry is PartitionSpec.UNCONSTRAINED for entry in spec):
        own = getattr(x, "sharding", None)
        entries = list(own.spec) if isinstance(own, NamedSharding) and own.mesh == sharding.mesh else []
        entries += [None] * (len(spec) - len(entries))
        filled = [
            e if e is not PartitionSpec.UNCONSTRAINED else mine
            for e, mine in zip(spec, entries, strict=False)
        ]
        sharding = sharding.update(spec=PartitionSpec(*filled))
    return put(x, sharding)


def _with_devices(sharding: NamedSharding, x: Any) -> Mesh:
    """The mesh in force, or else that of an array, with the types of axes that a sharding without devices has."""
    for mesh in (current_context().concrete, getattr(getattr(x, "sharding", None), "mesh", None)):
        if isinstance(mesh, Mesh) and mesh.shape_tuple == sharding.mesh.shape_tuple:
            types = sharding.mesh.axis_types
            return mesh if mesh.axis_types == types else mesh.update(axis_types=types)
    raise ValueError(f"A concrete array cannot have {sharding}, which has no devices; set a mesh first.")


sharding_constraint_p.impl = _constrain_now


def _reshard_now(x: Any, *, dst_sharding: Any, concrete_mesh: Any) -> Any:
    """The layout of a concrete array is where its parts are, in the memory in which it is."""
    (kind,) = host_kinds([get_aval(x)])
    return _constrain_now(x, sharding=dst_sharding if kind is None else dst_sharding.update(memory_kind=kind))


reshard_p.impl = _reshard_now
