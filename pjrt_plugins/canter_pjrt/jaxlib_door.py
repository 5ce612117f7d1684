"""The one door to jaxlib's runtime: every private name of it that Canter uses is imported here.

Differences between jaxlib versions (0.10 to 0.12) are handled in this module and nowhere else, so
that a new release of jaxlib needs one file to be read again. Names that are cheap come at import;
whatever loads another extension module comes at first use, through the table `_LATE`.

Three things that callers have to know about the C++ classes behind these names:

* `ArrayImpl` is process-global and cannot be subclassed; Canter sets its Python methods on it.
* `isinstance(x, Array)` is True for every `ArrayImpl`, and for an instance of the class that was
  given to `set_tracer_class` exactly when its method `_is_traced_array()` returns True.
* Before the first put or the first `pjit` call, `set_enable_x64_state`, `set_disable_jit_state`
  and `set_post_hook_state` must each have been given a `Config`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from jaxlib import _hlo, _jax, version as _jaxlib_version  # type: ignore[attr-defined]
from jaxlib._jax import (
    Array,
    ArrayCopySemantics,
    ArrayImpl,
    ArrayMeta,
    Client,
    CompiledMemoryStats,
    CompileOnlyPyClient,
    CompileOptions,
    Device,
    DeviceAssignment,
    DeviceList,
    Executable,
    GSPMDSharding,
    HostBufferSemantics,
    JaxRuntimeError,
    LoadedExecutable,
    Memory,
    PjitFunction,
    PjitFunctionCache,
    PjRtLayout,
    PyTreeDef,
    Sharding,
    SingleDeviceSharding,
    Traceback,
    batched_block_until_ready,
    batched_copy_array_to_devices_with_sharding,
    batched_device_put,
    check_and_canonicalize_memory_kind,
    guard_lib,
    hlo_module_cost_analysis,
    jax_jit,
    pjit,
    pytree,
    set_tracebacks_enabled,
    set_tracer_class,
    tracebacks_enabled,
)
from jaxlib._jax.config import Config, trace_context, trace_context_names, unset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Array",
    "ArrayCopySemantics",
    "ArrayImpl",
    "ArrayMeta",
    "Client",
    "CompileOnlyPyClient",
    "CompileOptions",
    "CompiledMemoryStats",
    "Config",
    "Device",
    "DeviceAssignment",
    "DeviceList",
    "Executable",
    "GSPMDSharding",
    "HloSharding",
    "HostBufferSemantics",
    "JaxRuntimeError",
    "Layout",
    "LoadedExecutable",
    "Memory",
    "OpSharding",
    "PjRtLayout",
    "PjitFunction",
    "PjitFunctionCache",
    "PyTreeDef",
    "Sharding",
    "SingleDeviceSharding",
    "Traceback",
    "XlaComputation",
    "array_result_handler",
    "array_to_dlpack",
    "batched_block_until_ready",
    "batched_copy_array_to_devices_with_sharding",
    "batched_device_put",
    "check_and_canonicalize_memory_kind",
    "default_memory_kind",
    "default_memory_of",
    "dlpack_to_array",
    "dlpack_version",
    "guard_lib",
    "hlo_module_cost_analysis",
    "host_value",
    "jax_jit",
    "jaxlib_version",
    "make_array",
    "make_coordination_client",
    "make_coordination_service",
    "make_cpu_client",
    "mlir_conversions",
    "pjit",
    "platform_of",
    "pytree",
    "quiet",
    "quiet_libraries",
    "set_disable_jit_state",
    "set_enable_x64_state",
    "set_post_hook_state",
    "set_tracebacks_enabled",
    "set_tracer_class",
    "trace_context",
    "trace_context_names",
    "start_copy_to_host",
    "tracebacks_enabled",
    "unset",
    "xla_flags_device_count",
]

HloSharding = _hlo.HloSharding
OpSharding = _hlo.OpSharding
hlo_module_from_text = _hlo.hlo_module_from_text
Layout = _hlo.Layout
XlaComputation = _hlo.XlaComputation

set_enable_x64_state = jax_jit.set_enable_x64_state
set_disable_jit_state = jax_jit.set_disable_jit_state
set_post_hook_state = jax_jit.set_post_hook_state
mlir_conversions = _jax.mlir

jaxlib_version: tuple[int, ...] = tuple(
    int(part) for part in _jaxlib_version.__version__.split(".") if part.isdigit()
)
if not (0, 10, 2) <= jaxlib_version < (0, 13):
    raise ImportError(
        f"canter works with jaxlib from 0.10.2 up to, and not including, 0.13; this environment has jaxlib "
        f"{_jaxlib_version.__version__}. Install a fitting one: pip install 'jaxlib>=0.10.2,<0.13'"
    )

package_folder = os.path.dirname(_jaxlib_version.__file__)

# Names that load another extension module, as name -> (module, attribute or None for the module).
_LATE: dict[str, tuple[str, str | None]] = {
    "weakref_lru_cache": ("jaxlib.weakref_lru_cache", "weakref_lru_cache"),
    "multi_weakref_lru_cache": ("jaxlib.weakref_lru_cache", "multi_weakref_lru_cache"),
    "weak_value_interner": ("jaxlib.weakref_lru_cache", "weak_value_interner"),
    "safe_map": ("jaxlib.utils", "safe_map"),
    "safe_zip": ("jaxlib.utils", "safe_zip"),
    "topological_sort": ("jaxlib.utils", "topological_sort"),
    "pretty_printer": ("jaxlib._pretty_printer", None),
    "profiler": ("jaxlib._profiler", None),
    "profile_data": ("jaxlib._profile_data", None),
    "hlo": ("jaxlib._hlo", None),
    "ifrt_programs": ("jaxlib._jax", "ifrt_programs"),
    "ifrt_proxy": ("jaxlib._ifrt_proxy", None),
    "xla": ("jaxlib._xla", None),
    "lapack": ("jaxlib.cpu._lapack", None),
    "sparse": ("jaxlib.cpu._sparse", None),
    "xla_client": ("jaxlib.xla_client", None),
    "xla_extension": ("jaxlib._jax", None),
    "encode_inspect_sharding_callback": ("jaxlib._jax", "encode_inspect_sharding_callback"),
    "register_custom_call_as_batch_partitionable": (
        "jaxlib.xla_client",
        "register_custom_call_as_batch_partitionable",
    ),
    "register_custom_call_target": ("jaxlib.xla_client", "register_custom_call_target"),
    "register_custom_call_handler": ("jaxlib.xla_client", "register_custom_call_handler"),
    "register_custom_type": ("jaxlib.xla_client", "register_custom_type"),
    "register_custom_type_handler": ("jaxlib.xla_client", "register_custom_type_handler"),
    "load_pjrt_plugin_dynamically": ("jaxlib.xla_client", "load_pjrt_plugin_dynamically"),
    "initialize_pjrt_plugin": ("jaxlib.xla_client", "initialize_pjrt_plugin"),
    "create_preemption_sync_manager": ("jaxlib._jax", "create_preemption_sync_manager"),
    "make_gloo_tcp_collectives": ("jaxlib._jax", "make_gloo_tcp_collectives"),
    "make_mpi_collectives": ("jaxlib._jax", "make_mpi_collectives"),
    "make_c_api_client": ("jaxlib.xla_client", "make_c_api_client"),
    "make_c_api_device_topology": ("jaxlib.xla_client", "make_c_api_device_topology"),
    "generate_pjrt_gpu_plugin_options": ("jaxlib.xla_client", "generate_pjrt_gpu_plugin_options"),
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        module_name, attribute = _LATE[name]
        module = importlib.import_module(module_name)
        value = module if attribute is None else getattr(module, attribute)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# --- what C++ asks of jaxlib's own sharding classes and jaxlib leaves out -----------------------


def _single_device_hlo_sharding(self: Any, ndim: int) -> Any:
    del self, ndim
    return HloSharding.replicate()


SingleDeviceSharding._to_xla_hlo_sharding = _single_device_hlo_sharding
SingleDeviceSharding.num_devices = property(lambda self: 1)


# --- arrays ------------------------------------------------------------------------------------

# 0.10 calls a Python method of JAX's on the result unless told not to; later versions dropped the
# argument together with the call.
if jaxlib_version < (0, 11):
    array_result_handler: Callable[..., Any] = functools.partial(_jax.array_result_handler, _skip_checks=True)
else:
    array_result_handler = _jax.array_result_handler


def make_array(aval: Any, sharding: Any, arrays: list[Any], committed: bool = True) -> Any:
    """Joins single-device arrays, one per addressable device in the sharding's order, without copying."""
    return ArrayImpl(aval, sharding, arrays, committed=committed, _skip_checks=True)


# --- clients -----------------------------------------------------------------------------------


def xla_flags_device_count() -> int | None:
    """The number of virtual CPU devices that `XLA_FLAGS` asks for, or None."""
    marker = "--xla_force_host_platform_device_count="
    for flag in reversed(os.environ.get("XLA_FLAGS", "").split()):
        if flag.startswith(marker):
            return int(flag[len(marker) :])
    return None


def quiet(level: int = 1) -> None:
    """Has the runtime write no messages below a level (1: warnings), unless TF_CPP_MIN_LOG_LEVEL decides."""
    from jaxlib import utils  # type: ignore[attr-defined]

    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        utils.absl_set_min_log_level(level)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Has libraries that are loaded meanwhile say no more than we do: each has a log of its own."""
    quiet()
    name = "TF_CPP_MIN_LOG_LEVEL"
    chosen = os.environ.setdefault(name, "")
    if not chosen:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if not chosen:
            del os.environ[name]


def platform_of(device: Any) -> str:
    """For which platform programs of a device are lowered.

    That is 'cuda' or 'rocm' where the device says 'gpu', and 'cpu_plugin' for a CPU behind the C API: it has none
    of the kernels that jaxlib registers with its own.
    """
    platform, client = device.platform, device.client
    if platform == "gpu":
        return getattr(client, "_raw_platform", platform).lower()
    if platform == "cpu" and client.platform_version.startswith("PJRT C API"):
        return "cpu_plugin"
    return platform


def default_memory_kind(devices: Any) -> str | None:
    """The kind of memory that a list of devices has by default; None where the platform does not tell."""
    try:
        return devices.default_memory_kind
    except (JaxRuntimeError, ValueError):  # GPUs that can only be compiled for
        return None


def default_memory_of(device: Any) -> str | None:
    """The kind of memory that a device has by default; None where the platform does not tell."""
    try:
        return device.default_memory().kind
    except JaxRuntimeError:
        return None


def make_cpu_client(num_devices: int | None = None, **options: Any) -> Any:
    """Creates a CPU client that says nothing on stderr.

    Client creation writes INFO lines of its own; TF_CPP_MIN_LOG_LEVEL, where the user has set it,
    decides instead of us.

    Args:
      num_devices: how many virtual devices; None for what `XLA_FLAGS` says, else one.
      options: jaxlib's `asynchronous`, `distributed_client`, `node_id`, `num_nodes`, `collectives`,
        `get_local_topology_timeout_minutes` and `get_global_topology_timeout_minutes`.
    """
    from jaxlib import xla_client

    quiet()
    return xla_client.make_cpu_client(num_devices=num_devices, **options)


# --- several processes -------------------------------------------------------------------------


# Seconds that jaxlib waits for processes to come: it ends the process that has waited in vain. Whoever waits has to
# give up before.
_A_MONTH = 30 * 24 * 3600


def make_coordination_service(
    address: str, num_processes: int, heartbeat_timeout: int, shutdown_timeout: int
) -> Any:
    """Starts the service through which processes find each other, in this process.

    A process that dies leaves the others alive: they learn of it by `get_live_nodes`. (The other way of jaxlib's is
    to abort them all, and a Python function in the place of that aborts as well, in 0.10, without a word.)
    """
    quiet(2)  # warns that this is experimental
    try:
        return _jax.get_distributed_runtime_service(
            address, num_processes, heartbeat_timeout=heartbeat_timeout, cluster_register_timeout=_A_MONTH,
            shutdown_timeout=shutdown_timeout, recoverable=True,
        )  # fmt: skip
    finally:
        quiet()


def make_coordination_client(
    address: str, process_id: int, heartbeat_timeout: int, shutdown_timeout: int
) -> Any:
    """A client of that service; `connect()` returns when all processes have come, however long it takes."""
    quiet()
    return _jax.get_distributed_runtime_client(
        address, process_id, init_timeout=_A_MONTH, heartbeat_timeout=heartbeat_timeout,
        shutdown_timeout=shutdown_timeout, shutdown_on_destruction=False, use_compression=True,
    )  # fmt: skip


# --- values ------------------------------------------------------------------------------------


def host_value(array: Any) -> tuple[Any, bool]:
    """The value of an array on one device as a NumPy array, and whether it is a copy."""
    _expect_no_jax()
    return array._single_device_array_to_np_array_did_copy()


def start_copy_to_host(array: Any) -> None:
    """Starts to copy the value of an array to the host."""
    _expect_no_jax()
    array._copy_single_device_array_to_host_async()


def parts_of(array: Any) -> list[Any]:
    """The parts of an array on devices of this process, each an array of one device."""
    _expect_no_jax()
    asked_as_well = "jax.core" not in sys.modules
    if asked_as_well:
        sys.modules["jax.core"] = None  # type: ignore[assignment]
    try:
        return array._arrays
    finally:
        if asked_as_well:
            sys.modules.pop("jax.core", None)


def _expect_no_jax() -> None:
    """Spares a search for a module of jax, without which jaxlib does.

    It is asked for anew at each of these calls. To look along sys.path takes a tenth of a millisecond and more;
    what is known to be missing takes none.
    """
    sys.modules.setdefault("jax._src.sharding_impls", None)  # type: ignore[arg-type]


# --- dlpack ------------------------------------------------------------------------------------

# The newest capsule layout that jaxlib reads and writes; None where it knows only the unversioned one.
dlpack_version: tuple[int, int] | None = getattr(_jax, "dlpack_version", None)


def array_to_dlpack(
    array: Any, stream: int | None = None, max_version: tuple[int, int] | None = None, copied: bool = False
) -> Any:
    """A dlpack capsule over the buffer of a single-device array; versioned if both sides can."""
    if dlpack_version is None or max_version is None or max_version[0] < 1:
        if dlpack_version is None:
            return _jax.buffer_to_dlpack_managed_tensor(array, stream)
        return _jax.buffer_to_dlpack_managed_tensor(array, stream, None, copied)
    return _jax.buffer_to_dlpack_managed_tensor(array, stream, min(max_version, dlpack_version), copied)


def dlpack_to_array(capsule: Any, device: Any, stream: int | None = None, copy: bool | None = None) -> Any:
    """An array of `device` over the memory that a dlpack capsule describes (a copy if `copy`)."""
    return _jax.dlpack_managed_tensor_to_buffer(capsule, device, stream, copy)
