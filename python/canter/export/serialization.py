"""Exported programs to bytes and back, in the format of `jax.export`.

What Canter writes ends with a digest of all that is before it, which other readers do not see: it tells damaged bytes
from good ones. Bytes without a digest come from elsewhere, see `untrusted`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.effects import Effect, lowerable_effects
from ..core.explicit import typed
from ..core.memory import Space
from ..core.mesh import AbstractDevice, AbstractMesh, AxisType
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding
from .exported import (
    DisabledSafetyCheck,
    Exported,
    maximum_supported_calling_convention_version as newest_convention,
    minimum_supported_calling_convention_version as oldest_convention,
)
from .flatbuffer import BufferDamaged, decode, encode
from .pytree_types import decode_tree, encode_tree
from .schema import DTYPES, KEY_IMPLEMENTATIONS, SERIALIZATION_VERSION, artifact
from .untrusted import UntrustedModule, checked

__all__ = ["ArtifactError", "deserialize", "serialize"]

_MARK = b"CNTR"  # where the format has room for a mark of the writer
_DIGEST_SIZE = 16
_VERSION_OF_MODULE = re.compile(rb"ML\xefR\rStableHLO_v(\d+)\.(\d+)\.(\d+)\0")
_PLATFORM_CHECK, _CUSTOM_CALL_CHECK = range(2)
_HLO_SHARDING = 1
_MEMORIES = (None, Space.Device, Space.Host, Space.Any)  # by their numbers
_NO_SHARDING: dict[str, Any] = {}


class ArtifactError(ValueError):
    """Bytes that are no exported program, or one that cannot be read here."""


# ---- writing ----


def serialize(exported: Exported, vjp_order: int = 0) -> bytearray:
    """The bytes of an exported program, see `Exported.serialize`."""
    body = encode(artifact, "Exported", _table(exported, vjp_order), identifier=_MARK)
    return bytearray(body + _digest(body))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest()


def _table(exported: Exported, vjp_order: int) -> dict[str, Any]:
    vjp = None
    if vjp_order > 0:
        if not exported.has_vjp():
            raise ValueError(
                f"{exported.fun_name} was exported without its derivative of the wanted order: serialization of an "
                "Exported that does not have vjps of high-enough order. Serialize with a smaller vjp_order, or export "
                "the function anew."
            )
        vjp = _table(exported.vjp(), vjp_order - 1)
    avals: dict[Any, dict[str, Any]] = {}
    shardings: dict[Any, int] = {}
    in_avals, out_avals = (
        [_aval(aval, avals) for aval in side] for side in (exported.in_avals, exported.out_avals)
    )
    places = {id(table): place for place, table in enumerate(avals.values())}
    sides = exported._in_named_shardings, exported._out_named_shardings
    sharding_numbers = [
        [0 if sharding is None else shardings.setdefault(sharding, len(shardings) + 1) for sharding in side]
        for side in sides
    ]
    named = {sharding: _named_sharding(sharding) for sharding in shardings}
    hlo = exported.in_shardings_hlo, exported.out_shardings_hlo
    meshes = {sharding.mesh.abstract_mesh: table["mesh"] for sharding, table in named.items()}
    return {
        "serialization_version": SERIALIZATION_VERSION,
        "fun_name": exported.fun_name,
        "in_tree": encode_tree(exported.in_tree),
        "in_avals": in_avals,
        "out_tree": encode_tree(exported.out_tree),
        "out_avals": out_avals,
        "in_shardings": list(map(_sharding, hlo[0], map(named.get, sides[0]))),
        "out_shardings": list(map(_sharding, hlo[1], map(named.get, sides[1]))),
        "platforms": exported.platforms,
        "ordered_effects": list(map(_effect, exported.ordered_effects)),
        "unordered_effects": list(map(_effect, exported.unordered_effects)),
        "disabled_checks": list(map(_check, exported.disabled_safety_checks)),
        "module": checked(exported.mlir_module_serialized),  # what is written here gets a digest
        "calling_convention_version": exported.calling_convention_version,
        "module_kept_var_idx": exported.module_kept_var_idx,
        "uses_global_constants": exported.uses_global_constants,
        "vjp": vjp,
        "nr_devices": exported.nr_devices,
        "avals": list(avals.values()),
        "meshes": list(meshes.values()),
        "named_shardings": list(named.values()),
        "in_aval_numbers": [places[id(table)] for table in in_avals],
        "out_aval_numbers": [places[id(table)] for table in out_avals],
        "in_sharding_numbers": sharding_numbers[0],
        "out_sharding_numbers": sharding_numbers[1],
    }


def _aval(aval: Any, known: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """The table of a type; equal types have the same."""
    key = aval.shape, aval.dtype, aval.memory
    table = known.get(key)
    if table is None:
        shape = list(map(str, aval.shape))
        memory = _MEMORIES.index(aval.memory_space)
        table = {"shape": shape, "dtype": _dtype_number(aval.dtype), "memory_space": memory}
        known[key] = table
    return table


def _dtype_number(dtype: Any) -> int:
    if isinstance(dtype, dtypes.ExtendedDType):
        name = getattr(getattr(dtype, "_impl", None), "name", None)
        if name in KEY_IMPLEMENTATIONS:
            return len(DTYPES) + KEY_IMPLEMENTATIONS.index(name)
    elif dtype == dtypes.float0:
        return DTYPES.index("float0")
    elif dtype.name in DTYPES:
        return DTYPES.index(dtype.name)
    raise ValueError(f"Arrays of dtype {dtype} cannot be arguments or results of a serialized program.")


def _sharding(hlo: Any, named: Any) -> dict[str, Any]:
    if named is not None:
        return {"named": named}
    if hlo is not None:
        return {"kind": _HLO_SHARDING, "hlo": hlo.to_proto().SerializeToString()}
    return _NO_SHARDING


def _named_sharding(sharding: NamedSharding) -> dict[str, Any]:
    spec, mesh = sharding.spec, sharding.mesh.abstract_mesh
    device = mesh.abstract_device
    return {
        "mesh": {
            "axis_sizes": mesh.axis_sizes,
            "axis_names": list(map(str, mesh.axis_names)),
            "axis_types": [kind.value for kind in mesh.axis_types],
            "device": None
            if device is None
            else {"kind": device.device_kind, "num_cores": device.num_cores, "platform": device.platform},
        },
        "spec": {
            "entries": [{"axes": list(map(str, axes))} for axes in spec.axes()],
            "reduced": sorted(map(str, spec.reduced)),
            "unreduced": sorted(map(str, spec.unreduced)),
        },
        "memory_kind": sharding.memory_kind,
    }


def _effect(effect: Effect) -> dict[str, Any]:
    try:
        if type(effect)() == effect:
            return {"type_name": str(type(effect))}
    except TypeError:
        pass
    raise NotImplementedError(
        f"The effect {effect} cannot be serialized: effects are written as their class, so `{type(effect).__name__}()` "
        "must make an effect that is equal to this one."
    )


def _check(check: DisabledSafetyCheck) -> dict[str, Any]:
    target = check.is_custom_call()
    if target is not None:
        return {"kind": _CUSTOM_CALL_CHECK, "target": target}
    if check == DisabledSafetyCheck.platform():
        return {"kind": _PLATFORM_CHECK}
    raise NotImplementedError(f"The check {check} cannot be serialized.")


# ---- reading ----


def deserialize(blob: bytes | bytearray) -> Exported:
    """Reads an exported program from bytes that `serialize`, of Canter or of JAX, wrote.

    Nothing is compiled, and no code in the bytes is run. Containers of classes of your own have to be registered
    first, under the names with which they were written.

    Args:
      blob: the bytes.

    Returns:
      The program; `call` runs it.

    Raises:
      ValueError: the bytes are no exported program, are damaged or incomplete, or need a newer version; the message
        says which.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> blob = export.export(ct.jit(lambda x: 2 * x))(cnp.ones(3)).serialize()
      >>> export.deserialize(blob).call(cnp.arange(3.0))
      Array([0., 2., 4.], dtype=float32)
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise TypeError(f"deserialize takes bytes; got {type(blob).__name__}.")
    data = bytes(blob)
    marked = data[4:8] == _MARK
    body, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    # What would be whole with the mark has lost the mark only.
    if marked == (_digest(body if marked else body[:4] + _MARK + body[8:]) != digest):
        raise ArtifactError(
            f"The artifact is damaged or incomplete: its {len(data)} bytes do not have the digest that was written "
            "with them. Copy it again, in binary mode."
        )
    try:
        table = decode(artifact, "Exported", data)
        return _exported(table, trusted=marked)
    except BufferDamaged as error:
        raise ArtifactError(
            f"These {len(data)} bytes are not an exported program, or a damaged one: {error}."
        ) from None


def _exported(table: dict[str, Any], trusted: bool) -> Exported:
    _check_versions(table)
    reader = _TableReader(table)
    in_tree, out_tree = reader.tree("in_tree"), reader.tree("out_tree")
    in_avals, out_avals = reader.avals("in", in_tree), reader.avals("out", out_tree)
    in_named, in_hlo = reader.shardings("in", len(in_avals))
    out_named, out_hlo = reader.shardings("out", len(out_avals))
    in_avals, out_avals = _laid_out(in_avals, in_named), _laid_out(out_avals, out_named)
    kept = tuple(table["module_kept_var_idx"] or ())
    if list(kept) != sorted(set(kept)) or (kept and kept[-1] >= len(in_avals)):
        raise _damaged(f"its module takes the arguments {kept} of {len(in_avals)}")
    platforms = tuple(table["platforms"] or ())
    nr_devices = table["nr_devices"] or table["nr_devices_before_3"]
    if not platforms or not nr_devices:
        raise _damaged(f"it is for {nr_devices} devices and the platforms {platforms}")
    vjp = None if table["vjp"] is None else _exported(table["vjp"], trusted)
    return Exported(
        fun_name=table["fun_name"] or "",
        in_tree=in_tree,
        in_avals=in_avals,
        out_tree=out_tree,
        out_avals=out_avals,
        _has_named_shardings=not any(in_hlo + out_hlo),
        _in_named_shardings=in_named,
        _out_named_shardings=out_named,
        in_shardings_hlo=in_hlo,
        out_shardings_hlo=out_hlo,
        nr_devices=nr_devices,
        platforms=platforms,
        ordered_effects=tuple(map(_effect_of, table["ordered_effects"] or ())),
        unordered_effects=tuple(map(_effect_of, table["unordered_effects"] or ())),
        disabled_safety_checks=tuple(map(_check_of, table["disabled_checks"] or ())),
        mlir_module_serialized=table["module"] if trusted else UntrustedModule(table["module"]),
        calling_convention_version=table["calling_convention_version"],
        module_kept_var_idx=kept,
        uses_global_constants=table["uses_global_constants"],
        _get_vjp=None if vjp is None else lambda _: vjp,
    )


def _laid_out(avals: Sequence[Any], shardings: Sequence[Any]) -> tuple[Any, ...]:
    """The types with what explicit axes of meshes say of them, which is written with the shardings alone."""
    try:
        return tuple(typed(aval, sharding) for aval, sharding in zip(avals, shardings, strict=True))
    except ValueError as error:
        raise _damaged(f"a sharding does not fit its array ({error})") from None


def _damaged(what: str) -> ArtifactError:
    return ArtifactError(f"The artifact is damaged: {what}.")


def _check_versions(table: dict[str, Any]) -> None:
    version = table["serialization_version"]
    if not 2 <= version <= SERIALIZATION_VERSION:
        raise ArtifactError(
            f"The artifact has serialization version {version}; this version of Canter reads 2 to "
            f"{SERIALIZATION_VERSION}. "
            + ("Update Canter." if version > SERIALIZATION_VERSION else "Export the function anew.")
        )
    convention = table["calling_convention_version"]
    if not oldest_convention <= convention <= newest_convention:
        raise ArtifactError(
            f"The artifact has calling convention version {convention}; this version of Canter calls "
            f"{oldest_convention} to {newest_convention}. "
            + ("Update Canter." if convention > newest_convention else "Export the function anew.")
        )
    module = table["module"]
    found = _VERSION_OF_MODULE.match(module or b"")
    if found is None:
        raise _damaged("it has no portable StableHLO module")
    from canter_mlir.portable import current_version

    written = tuple(map(int, found.groups()))
    known = tuple(map(int, current_version().split(".")))
    if written > known:
        raise ArtifactError(
            f"The artifact was written for StableHLO {'.'.join(map(str, written))}; the installed jaxlib reads up to "
            f"{current_version()}. Update jaxlib, or write the artifact with an older one."
        )


class _TableReader:
    """Reads the parts of the table of an exported program that refer to each other."""

    def __init__(self, table: dict[str, Any]):
        self.table = table
        self.scope: Any = None
        self.known_avals: dict[Any, Any] = {}

    def tree(self, side: str) -> Any:
        table = self.table[side]
        if table is None:
            raise _damaged(f"it has no {side}")
        return decode_tree(table)

    def avals(self, side: str, tree: Any) -> tuple[Any, ...]:
        table = self.table
        numbers = table[f"{side}_aval_numbers"]
        tables = table[f"{side}_avals"] or []
        if numbers is not None and table["avals"] is not None:
            tables = _picked(table["avals"], numbers, 0, "types")
        if len(tables) != tree.num_leaves:
            raise _damaged(f"there are {len(tables)} types for the {tree.num_leaves} leaves of {side}_tree")
        return tuple(map(self.aval, tables))

    def aval(self, table: dict[str, Any]) -> Any:
        key = tuple(table["shape"] or ()), table["dtype"], table["memory_space"]
        found = self.known_avals.get(key)
        if found is None:
            dims, memory = (
                tuple(map(self.dimension, key[0])),
                _picked(_MEMORIES, [key[2] or 0], 0, "memories")[0],
            )
            found = self.known_avals[key] = ShapedArray(dims, _dtype_of(key[1]), memory_space=memory)
        return found

    def dimension(self, text: str) -> Any:
        if text.isascii() and text.isdigit():
            return int(text)
        from ..core.symbolic.parser import parse_dimension
        from ..core.symbolic.scope import SymbolicScope

        if self.scope is None:
            self.scope = SymbolicScope()
        try:
            return parse_dimension(text, self.scope)
        except Exception as error:
            raise _damaged(f"a shape has the dimension {text!r} ({error})") from None

    def shardings(self, side: str, count: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        table = self.table
        old = table[f"{side}_shardings"] or [{}] * count
        numbers = table[f"{side}_sharding_numbers"]
        if numbers is None:
            named = [entry.get("named") for entry in old]
        else:
            named = _picked([None, *(table["named_shardings"] or [])], numbers, 0, "shardings")
        if len(named) != count or len(old) != count:
            raise _damaged(f"there are {len(named)} shardings for {count} values")
        hlo = tuple(
            None if entry.get("named") or not entry.get("hlo") else _hlo(entry["hlo"]) for entry in old
        )
        return tuple(None if entry is None else _sharding_of(entry) for entry in named), hlo


def _picked(things: Sequence[Any], numbers: Sequence[int], first: int, what: str) -> list[Any]:
    if any(number - first >= len(things) for number in numbers):
        raise _damaged(f"it refers to {what} that it does not have")
    return [things[number - first] for number in numbers]


def _dtype_of(number: int) -> Any:
    if number < len(DTYPES):
        name = DTYPES[number]
        return dtypes.float0 if name == "float0" else np.dtype(name)
    number -= len(DTYPES)
    if number >= len(KEY_IMPLEMENTATIONS):
        raise ArtifactError(
            f"The artifact has arrays of the unknown dtype number {number + len(DTYPES)}: it is damaged, or written "
            "by a newer version."
        )
    from ..random.keys import find_impl, key_type

    return key_type(find_impl(KEY_IMPLEMENTATIONS[number]))


def _sharding_of(table: dict[str, Any]) -> Any:
    mesh, spec = table["mesh"], table["spec"]
    if mesh is None or spec is None:
        raise _damaged("a sharding has no mesh")
    device = mesh["device"]
    try:
        kind = None
        if device is not None:
            kind = AbstractDevice(device["kind"], device["num_cores"] or None, device["platform"])
        types = tuple(map(AxisType, mesh["axis_types"] or ()))
        abstract = AbstractMesh(
            tuple(mesh["axis_sizes"] or ()), tuple(mesh["axis_names"] or ()), types, abstract_device=kind
        )
        partitions = [tuple(entry["axes"] or ()) for entry in spec["entries"] or ()]
        sets = {name: frozenset(spec[name] or ()) for name in ("unreduced", "reduced")}
        parts = [(axes[0] if len(axes) == 1 else axes) if axes else None for axes in partitions]
        return NamedSharding(abstract, PartitionSpec(*parts, **sets), table["memory_kind"])
    except Exception as error:
        raise _damaged(f"a sharding makes no sense ({error})") from None


def _hlo(data: bytes) -> Any:
    from canter_pjrt.jaxlib_door import HloSharding, OpSharding

    try:
        proto = OpSharding()
        proto.ParseFromString(data)
        return HloSharding.from_proto(proto)
    except Exception as error:
        raise _damaged(f"a sharding makes no sense ({error})") from None


def _effect_of(table: dict[str, Any]) -> Effect:
    name = table["type_name"]
    for kind in lowerable_effects._types:
        if str(kind) == name:
            make: Callable[[], Effect] = kind
            return make()
    raise ValueError(
        f"The artifact has an effect of {name}, which is not known here. Import the module that defines it, and add it "
        "to canter.core.effects.lowerable_effects."
    )


def _check_of(table: dict[str, Any]) -> DisabledSafetyCheck:
    kind = table["kind"]
    if kind == _PLATFORM_CHECK:
        return DisabledSafetyCheck.platform()
    if kind == _CUSTOM_CALL_CHECK and table["target"]:
        return DisabledSafetyCheck.custom_call(table["target"])
    raise _damaged(f"it disables a check of the unknown kind {kind}")
