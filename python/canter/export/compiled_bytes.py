"""Compiled programs as bytes.

The bytes are a heading, a checksum, JSON that says what the program is (types, shardings, structure, platform,
versions), and the executable as the platform's compiler wrote it. Reading them runs no code of the file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np

from canter_pjrt.jaxlib_door import (
    DeviceList,
    HloSharding,
    JaxRuntimeError,
    OpSharding,
    PyTreeDef,
    SingleDeviceSharding,
    jaxlib_version,
    platform_of,
)

from ..core import dtypes, pytree
from ..core.avals import ShapedArray
from ..core.mesh import AxisType, Mesh
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding, TileSharding
from ..runtime.backend import get_backend
from ..runtime.elsewhere import is_elsewhere
from ..runtime.program import CompileOptions, Executable, Layout, LoweredProgram
from ..runtime.spmd import MeshExecutable
from ..runtime.stages import Compiled

__all__ = ["CompiledFormatError", "describe_bytes", "from_bytes", "to_bytes"]

_HEADING = b"canter-compiled-1\n"
_DIGEST = 32


class CompiledFormatError(ValueError):
    """Bytes are no compiled program, are damaged, or are for another platform or version."""


# --- writing -----------------------------------------------------------------------------------


def to_bytes(compiled: Compiled, with_structure: bool = True) -> bytes:
    """A compiled program as bytes.

    Args:
      compiled: from `jit(f).lower(...).compile()`, for hardware that is here or not.
      with_structure: whether the structure of arguments and results is written too.

    Raises:
      ValueError: the program calls back into Python, or a class of pytree nodes cannot be written.
    """
    executable = compiled._executable
    if executable.effects is not None:
        raise ValueError(
            f"{compiled.fun_name} calls back into this Python process or has other effects, so its compiled form "
            "cannot be saved. Export it instead, or take callbacks out of it."
        )
    device = executable.device
    devices = list(getattr(executable, "devices", (device,)))
    places = {one: place for place, one in enumerate(devices)}
    try:
        payload = executable.loaded.serialize()
    except JaxRuntimeError as error:
        raise ValueError(f"Platform {device.platform} does not write compiled programs: {error}") from error
    meta = {
        "name": compiled.fun_name,
        "platform": platform_of(device),
        "platform_version": device.client.platform_version,
        "device_kind": device.device_kind,
        "machine": _machine(device),
        "jaxlib": list(jaxlib_version),
        "devices": len(devices),
        "mesh": isinstance(executable, MeshExecutable),
        "in_avals": [_aval_data(aval) for aval in compiled._call.avals],
        "out_avals": [_aval_data(aval) for aval in executable.out_avals],
        "constants": [_array_data(value) for value in compiled._program.constants],
        "kept": list(map(bool, executable.kept)),
        "donated": list(map(bool, compiled._jitted.donated(compiled._call))),
    }
    if isinstance(executable, MeshExecutable):
        meta["in_shardings"] = [_sharding_data(s, places) for s in executable.in_shardings]
        meta["out_shardings"] = [_sharding_data(s, places) for s in executable.out_shardings]
    if with_structure:
        meta["in_tree"] = _tree_data(compiled.in_tree, "arguments")
        meta["out_tree"] = _tree_data(compiled.out_tree, "results")
    text = json.dumps(meta, separators=(",", ":")).encode()
    body = struct.pack("<Q", len(text)) + text + payload
    return _HEADING + hashlib.sha256(body).digest() + body


def _machine(device: Any) -> str:
    """What the code depends on beside the kind of the device."""
    if device.platform != "cpu":
        return ""
    from canter_pjrt.cache import machine

    return hashlib.sha256(machine()).hexdigest()


def _aval_data(aval: Any) -> list[Any]:
    if not isinstance(aval, ShapedArray) or aval.dtype == dtypes.float0:
        raise ValueError(f"A compiled program with an argument or result of type {aval} cannot be saved.")
    return [list(aval.shape), str(aval.dtype), bool(aval.weak_type)]


def _array_data(value: Any) -> list[Any]:
    dtype = str(value.dtype)
    if isinstance(value.dtype, dtypes.ExtendedDType):
        value = value.dtype.to_physical(value)
    host = np.asarray(value)
    return [list(host.shape), dtype, host.dtype.name, base64.b64encode(host.tobytes()).decode()]


def _tree_data(tree: Any, what: str) -> str:
    try:
        return base64.b64encode(tree.serialize_using_proto()).decode()
    except ValueError as error:
        raise ValueError(
            f"The structure of the {what} has nodes of classes that cannot be written ({error}). Pass tuples, lists "
            "and dicts, or keep the structure yourself: experimental.serialize_executable.serialize returns it apart."
        ) from None


def _sharding_data(sharding: Any, places: dict[Any, int]) -> dict[str, Any]:
    if isinstance(sharding, NamedSharding):
        mesh = sharding.mesh
        spec = [list(e) if isinstance(e, tuple) else e if isinstance(e, str) else None for e in sharding.spec]
        return {
            "places": [places[device] for device in mesh.devices.flat],
            "axes": [[name, size] for name, size in mesh.shape_tuple],
            "types": [kind.name for kind in mesh.axis_types],
            "spec": spec,
            "kind": sharding.memory_kind,
        }
    own = [places[device] for device in sharding._device_assignment]
    if isinstance(sharding, TileSharding):
        tiles = base64.b64encode(sharding._tiles.to_proto().SerializeToString()).decode()
        return {"places": own, "tiles": tiles, "kind": sharding.memory_kind}
    return {"places": own, "kind": sharding.memory_kind}


# --- reading -----------------------------------------------------------------------------------


def describe_bytes(data: bytes) -> dict[str, Any]:
    """What compiled bytes say of themselves: name, platform, device_kind, devices, in_avals, ...

    Args:
      data: from `to_bytes`.

    Raises:
      CompiledFormatError: they are none, or damaged.
    """
    return _open(data)[0]


def _open(data: bytes) -> tuple[dict[str, Any], bytes]:
    data = bytes(data)
    if not data.startswith(_HEADING):
        raise CompiledFormatError("These bytes are no program that Canter compiled and saved.")
    start = len(_HEADING) + _DIGEST
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(_HEADING) : start]:
        raise CompiledFormatError(
            "The saved program is damaged or cut short: its checksum does not fit. Save it anew."
        )
    (length,) = struct.unpack_from("<Q", body)
    return json.loads(body[8 : 8 + length]), body[8 + length :]


def from_bytes(
    data: bytes,
    backend: Any = None,
    devices: Sequence[Any] | None = None,
    structure: tuple[Any, Any] | None = None,
) -> Compiled:
    """The program of `to_bytes`, ready to run.

    Args:
      data: the bytes.
      backend: name or client of the platform it is to run on; None for the one it was compiled for.
      devices: where it is to run; None for the first devices.
      structure: of arguments and results, for bytes without it.

    Raises:
      CompiledFormatError: they are none, damaged, or for another platform, device, number of devices or version.
      RuntimeError: the platform cannot be started here.
    """
    meta, payload = _open(data)
    client = devices[0].client if devices else get_backend(meta["platform"] if backend is None else backend)
    here = list(devices) if devices is not None else client.devices()[: meta["devices"]]
    _check_fits(meta, here)
    layout = _layout(meta, here) if meta["mesh"] else None
    from canter_pjrt.compile import compile_options

    try:
        # The shardings stand in the executable; what is told anew is where it runs.
        loaded = client.deserialize_executable(payload, DeviceList(tuple(here)), compile_options(here), [])
    except (JaxRuntimeError, ValueError) as error:
        raise CompiledFormatError(
            f"The platform does not take the program, which was compiled by {meta['platform_version']!r}; here is "
            f"{client.platform_version!r}: {error}"
        ) from error
    in_avals, out_avals = ([_aval(entry) for entry in meta[key]] for key in ("in_avals", "out_avals"))
    if structure is None:
        if "in_tree" not in meta:
            raise CompiledFormatError("The bytes have no structure of arguments and results: pass it along.")
        structure = _tree(meta["in_tree"]), _tree(meta["out_tree"])
    lowered = LoweredProgram(
        None, CompileOptions(meta["name"]), in_avals, out_avals, meta["kept"], (), (meta["platform"],), layout=layout
    )  # fmt: skip
    executable = Executable(loaded, lowered, here[0]) if layout is None else MeshExecutable(loaded, lowered)
    function = _SavedFunction(meta["name"], meta["donated"])
    program = _SavedProgram(structure[1], out_avals, [_array(entry) for entry in meta["constants"]])
    call = _SavedCall(structure[0], in_avals)
    return Compiled(SimpleNamespace(_jitted=function, _program=program, _call=call), executable)  # type: ignore[arg-type]


def _check_fits(meta: dict[str, Any], devices: Sequence[Any]) -> None:
    first, own = devices[0], platform_of(devices[0])
    if own != meta["platform"] or first.device_kind != meta["device_kind"]:
        raise CompiledFormatError(
            f"The program was compiled for {meta['device_kind']} ({meta['platform']}) and cannot run on "
            f"{first.device_kind} ({own})."
        )
    if len(devices) != meta["devices"]:
        raise CompiledFormatError(
            f"The program was compiled for {meta['devices']} devices; {len(devices)} are given or present."
        )
    if is_elsewhere(first):
        raise CompiledFormatError("These devices can be compiled for, but nothing can run on them.")
    if own == "cpu" and (meta["machine"] != _machine(first) or tuple(meta["jaxlib"]) != jaxlib_version):
        made_by = ".".join(map(str, meta["jaxlib"]))
        raise CompiledFormatError(
            f"The program was compiled by jaxlib {made_by} for a certain processor. Another version or another "
            "processor cannot run its code: compile it here, or save an exported program instead."
        )


def _tree(text: str) -> Any:
    return PyTreeDef.deserialize_using_proto(pytree.registry, base64.b64decode(text))


def _aval(entry: list[Any]) -> ShapedArray:
    shape, dtype, weak = entry
    return ShapedArray(tuple(shape), _dtype(dtype), weak_type=weak)


def _dtype(name: str) -> Any:
    if name.startswith("key<"):
        from ..random.keys import implementations, key_type

        for impl in implementations.values():
            if f"key<{impl.tag}>" == name:
                return key_type(impl)
        raise CompiledFormatError(
            f"The program takes random keys of a generator that is not known here: {name}."
        )
    return np.dtype(getattr(ml_dtypes, name, name))


def _array(entry: list[Any]) -> Any:
    shape, dtype, physical, text = entry
    host = np.frombuffer(base64.b64decode(text), _dtype(physical)).reshape(shape)
    own = _dtype(dtype)
    return own.from_physical(host) if isinstance(own, dtypes.ExtendedDType) else host


def _layout(meta: dict[str, Any], devices: Sequence[Any]) -> Layout:
    ins = iter([_sharding(entry, devices) for entry in meta["in_shardings"]])
    count = len(meta["kept"])
    asked = tuple(next(ins) if meta["kept"][i] else None for i in range(count))
    outs = tuple(_sharding(entry, devices) for entry in meta["out_shardings"])
    meshes = [s.mesh for s in (*asked, *outs) if isinstance(s, NamedSharding)]
    fitting = (mesh for mesh in meshes if mesh._flat_devices_tuple == tuple(devices))
    mesh = next(fitting, None) or Mesh(np.array(devices, object), ("devices",))
    return Layout(tuple(devices), mesh, asked, outs)


def _sharding(entry: dict[str, Any], devices: Sequence[Any]) -> Any:
    own = [devices[place] for place in entry["places"]]
    if "axes" in entry:
        names, sizes = zip(*entry["axes"], strict=True)
        grid = np.empty(len(own), object)
        grid[:] = own
        mesh = Mesh(grid.reshape(sizes), names, tuple(AxisType[kind] for kind in entry["types"]))
        spec = PartitionSpec(*(tuple(e) if isinstance(e, list) else e for e in entry["spec"]))
        return NamedSharding(mesh, spec, memory_kind=entry["kind"])
    if "tiles" in entry:
        proto = OpSharding()
        proto.ParseFromString(base64.b64decode(entry["tiles"]))
        return TileSharding(own, HloSharding.from_proto(proto), entry["kind"])
    return SingleDeviceSharding(own[0], memory_kind=entry["kind"])


# --- what a compiled program asks of the function it comes from ---------------------------------


class _SavedFunction:
    device = None

    def __init__(self, name: str, donated: Sequence[bool]):
        self.name = name
        self._donated = tuple(donated)
        self.uses_donation = any(donated)

        def function(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError("A program loaded from bytes has no Python function.")

        function.__name__ = function.__qualname__ = name
        self.function = function

    def donated(self, call: Any) -> tuple[bool, ...]:
        return self._donated

    def describe_argument(self, program: Any, call: Any, position: int) -> str:
        count = len(program.constants)
        if position < count:
            return f"an array captured by {self.name}"
        return f"argument {position - count} of {self.name}"


class _SavedProgram:
    def __init__(self, out_tree: Any, out_avals: Sequence[Any], constants: Sequence[Any]):
        self.out_tree = out_tree
        self.constants = list(constants)
        self.closed = _Results(out_avals)

    def takes_references(self, call: Any) -> bool:
        """Never: a program of references was refused when it was to be saved."""
        return False


class _Results:
    def __init__(self, out_avals: Sequence[Any]):
        self.out_avals = out_avals


class _SavedCall:
    statics: tuple[Any, ...] = ()
    static_positions: tuple[int, ...] = ()

    def __init__(self, in_tree: Any, avals: Sequence[Any]):
        self.in_tree = in_tree
        self.avals = tuple(avals)
