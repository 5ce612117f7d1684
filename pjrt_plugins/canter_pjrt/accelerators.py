"""Loading plugins and starting their clients: what each platform needs before, at and after that.

A plugin is looked at (`shared_library`), loaded in a process of its own (`probe`), and only then here. What is
wrong becomes a `PluginError` of one line with the command that mends it.
"""

from __future__ import annotations

import functools
import glob
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from . import coordination, jaxlib_door
from .plugins import Plugin, installed, misfit, version_of

__all__ = ["PluginError", "PluginState", "find", "has_tpu", "load", "plugin_for", "report", "start"]


class PluginError(RuntimeError):
    """A plugin is installed and does not work; the message has the command that mends it."""


class NoHardwareError(RuntimeError):
    """A plugin has nothing to run on here."""


# --- whether there is hardware -----------------------------------------------------------------

# PCI: Google's vendor number, and its devices that are TPUs (v2/v3, v4, v5p, v5e, v6e, 7x).
_GOOGLE = "0x1ae0"
_TPUS = frozenset({"0x0027", "0x005e", "0x0062", "0x0063", "0x006f", "0x0076"})


def has_tpu() -> bool:
    """Whether this machine seems to have a TPU."""
    if glob.glob("/dev/accel[0-9]*") or os.environ.get("TPU_NAME"):
        return True
    for folder in glob.glob("/sys/bus/pci/devices/*"):
        try:
            with open(f"{folder}/vendor") as vendor, open(f"{folder}/device") as device:
                if vendor.read().strip() == _GOOGLE and device.read().strip() in _TPUS:
                    return True
        except OSError:
            continue
    return False


class _Kind(NamedTuple):
    """What is particular to a platform.

    Attributes:
      hardware: tells whether there may be any.
      words: what it is called in messages.
      ffi: the platform's name for kernels.
      options: makes the options of a client from the ids of visible devices (None: all).
    """

    hardware: Callable[[], bool]
    words: str
    ffi: str = ""
    options: Callable[[list[int] | None], dict[str, Any]] = lambda visible: {}


def _gpu_options(platform_name: str, visible: list[int] | None) -> dict[str, Any]:
    """From the variables XLA_PYTHON_CLIENT_ALLOCATOR, _PREALLOCATE, XLA_CLIENT_MEM_FRACTION and their like."""
    options = dict(jaxlib_door.generate_pjrt_gpu_plugin_options())
    options["platform_name"] = platform_name
    if visible is not None:
        options["visible_devices"] = visible
    return options


_KINDS = {
    "cuda": _Kind(
        lambda: bool(glob.glob("/dev/nvidia[0-9]*") or os.path.exists("/dev/dxg")),
        "NVIDIA GPU", "CUDA", functools.partial(_gpu_options, "cuda"),
    ),
    "rocm": _Kind(
        lambda: os.path.exists("/dev/kfd"), "AMD GPU", "ROCM", functools.partial(_gpu_options, "ROCM")
    ),
    "tpu": _Kind(has_tpu, "TPU"),
}  # fmt: skip


# --- loading -----------------------------------------------------------------------------------

# Libraries of NVIDIA's wheels in the order in which they need each other.
_NVIDIA = (
    "cudart", "nvrtc", "cublasLt", "cublas", "nccl", "cupti", "nvJitLink", "cusparse", "cusolver", "cufft",
    "nvshmem_host", "cudnn",
)  # fmt: skip

_loaded: dict[str, Any] = {}  # platform -> capsule of the plugin's API
_refused: dict[
    str, str
] = {}  # platform -> why its plugin, once begun with, cannot be loaded: nor can it be twice
_lock = threading.RLock()


def load(plugin: Plugin, *, strict: bool = True) -> Any:
    """A plugin's API as a capsule: loaded, initialised, with its kernels known; the same one each time.

    Args:
      plugin: from `plugins.discover`.
      strict: whether its version must be that of jaxlib, as for running; for compiling alone it need not.

    Raises:
      PluginError: it cannot be used; in one line, with what mends it.
    """
    with _lock:
        capsule = _loaded.get(plugin.platform)
        if plugin.platform in _refused:
            raise PluginError(_refused[plugin.platform])
        if capsule is None:
            capsule = _loaded[plugin.platform] = _load(plugin, strict)
        return capsule


def _load(plugin: Plugin, strict: bool) -> Any:
    from . import probe, shared_library

    if not plugin.library:
        raise _error(plugin, "has no shared library that could be found", named_only=True)
    problem = misfit(plugin) if strict else None
    if problem is None:
        problem = shared_library.problem_of(plugin.library)
    before = list(_libraries_before(plugin))
    _prepare(plugin)
    if problem is None:
        problem = probe.problem_of(plugin.platform, plugin.library, before)
    if problem is not None:
        raise _error(plugin, problem)
    _load_before(before)
    try:
        with jaxlib_door.quiet_libraries():
            capsule = jaxlib_door.load_pjrt_plugin_dynamically(plugin.platform, plugin.library)
            jaxlib_door.initialize_pjrt_plugin(plugin.platform)
    except Exception as error:
        refused = _error(plugin, f"refuses to start: {' '.join(str(error).split())}")
        _refused[plugin.platform] = str(refused)
        raise refused from error
    if plugin.wheel is not None and plugin.wheel.kernels is not None:
        _register_kernels(plugin, capsule)
    return capsule


# What libtpu asks the cloud's metadata service for, during minutes, if nobody tells it; and leave to be loaded by
# several processes, which only a TPU that is there forbids.
_NO_TPU = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}


def _prepare(plugin: Plugin) -> None:
    if plugin.platform == "tpu" and not has_tpu():
        for name, value in _NO_TPU.items():
            os.environ.setdefault(name, value)


def _error(plugin: Plugin, problem: str, named_only: bool = False) -> PluginError:
    where = "" if named_only or plugin.library == "" else f" ({plugin.library})"
    return PluginError(f"The PJRT plugin {plugin.name}{where} {problem}. To mend it: {plugin.mend()}")


def _libraries_before(plugin: Plugin) -> Iterator[str]:
    """Libraries of NVIDIA's wheels, which the plugin would look for in vain: they are on no search path."""
    if plugin.platform != "cuda" or plugin.wheel is None:
        return
    own = plugin.wheel.extra.removeprefix("cuda")
    folders: list[str] = []
    for root in sys.path:
        for folder in sorted(glob.glob(os.path.join(root, "nvidia", "*", "lib"))):
            part = os.path.basename(os.path.dirname(folder))
            # Wheels of CUDA 13 stand together in `cu13`, those of CUDA 12 each in a folder of its own.
            if not (part.startswith("cu") and part[2:].isdigit() and part[2:] != own):
                folders.append(folder)
    folders.sort(key=lambda folder: f"{os.sep}cu{own}{os.sep}" not in folder)
    for name in _NVIDIA:
        for folder in folders:
            found = sorted(glob.glob(os.path.join(folder, f"lib{name}.so.[0-9]*")))
            if found:
                yield found[0]
                break


def _load_before(libraries: list[str]) -> None:
    import ctypes

    for library in libraries:
        try:
            ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue  # the system's own may serve


# --- kernels -----------------------------------------------------------------------------------

_KERNEL_MODULES = ("_solver", "_linalg", "_sparse", "_prng", "_rnn", "_hybrid", "_triton")


def _register_kernels(plugin: Plugin, capsule: Any) -> None:
    """Tells the runtime the plugin's kernels: cuSOLVER's, cuSPARSE's, Python callbacks and others."""
    assert plugin.wheel is not None and plugin.wheel.kernels is not None
    package, platform = plugin.wheel.kernels, _KINDS[plugin.platform].ffi
    distribution = package.replace("_", "-")
    version = version_of(distribution)
    if version is None:
        _warn(
            f"{plugin.name} works without its kernels: decompositions and Python callbacks on {plugin.platform} fail. "
            f"To mend it: {plugin.mend()}"
        )
        return
    fits = misfit(plugin._replace(version=version))
    if fits is not None:
        _warn(
            f"The kernels of {plugin.name}, {distribution}, are not used: it {fits}. To mend it: {plugin.mend()}"
        )
        return
    try:
        extension = importlib.import_module(f"{package}.{plugin.platform}_plugin_extension")
        jaxlib_door.register_custom_type_handler(
            platform, functools.partial(extension.register_custom_type, capsule)
        )
        jaxlib_door.register_custom_call_handler(
            platform, functools.partial(extension.register_custom_call_target, capsule)
        )
        for name, kind in extension.ffi_types().items():
            jaxlib_door.register_custom_type(name, kind, platform=platform)
        for name, handler in extension.ffi_handlers().items():
            jaxlib_door.register_custom_call_target(name, handler, platform=platform, api_version=1)
        for module in _KERNEL_MODULES:
            for name, handler in _registrations(package, module):
                jaxlib_door.register_custom_call_target(name, handler, platform=platform, api_version=1)
    except Exception as error:
        reason = " ".join(str(error).split())
        _warn(f"The kernels of {plugin.name} cannot be used: {reason}. To mend it: {plugin.mend()}")


def _registrations(package: str, module: str) -> Iterator[tuple[str, Any]]:
    try:
        found = importlib.import_module(f"{package}.{module}")
    except ImportError:
        return  # not every version has all of them
    yield from found.registrations().items()


def _warn(message: str) -> None:
    import warnings

    # No line of the program is to blame, and none is shown: what is to be done fits one line.
    warnings.warn(message, RuntimeWarning, stacklevel=1000)


# --- clients -----------------------------------------------------------------------------------


def start(
    plugin: Plugin,
    visible: list[int] | None = None,
    more: Mapping[str, Any] | None = None,
    asked: bool = False,
    transfers: Mapping[str, Any] | None = None,
) -> Any:
    """The client of a plugin's devices.

    Args:
      plugin: from `plugins.discover`.
      visible: ids of the devices that may be used; None for all.
      more: options for the plugin, beside those from the environment.
      asked: whether the user named the platform; else a plugin without hardware is not even loaded.
      transfers: arguments of jaxlib's about devices of several processes.

    Raises:
      NoHardwareError: there is none for it.
      PluginError: it cannot be used, or refuses to start.
    """
    kind = _KINDS.get(plugin.platform)
    if kind is not None and not asked and not kind.hardware():
        raise NoHardwareError(f"no {kind.words} is visible on this machine")
    options = {} if kind is None else kind.options(visible)
    capsule = load(plugin)
    options.update(coordination.plugin_options(plugin.platform))
    options.update(more or {})
    group = coordination.current()
    try:
        return jaxlib_door.make_c_api_client(
            plugin.platform, options, None if group is None else group.client, **(transfers or {})
        )
    except jaxlib_door.JaxRuntimeError as error:
        del capsule
        text = " ".join(str(error).split())
        if kind is not None and not kind.hardware():
            raise NoHardwareError(f"no {kind.words} is visible on this machine ({text})") from error
        raise PluginError(
            f"The PJRT plugin {plugin.name} ({plugin.library}) finds no device: {text}. See that the driver is "
            f"installed and the device is free; if they are: {plugin.mend()}"
        ) from error


find = installed


def plugin_for(platform: str) -> Plugin | None:
    """The plugin of a platform, or None."""
    return next((plugin for plugin in find().plugins if plugin.platform == platform), None)


class PluginState(NamedTuple):
    """What can be said of a plugin without starting it.

    Attributes:
      plugin: which one.
      problem: one line with what is wrong and the command that mends it; None if nothing is.
      hardware: whether there is something for it to run on; None where that cannot be told.
    """

    plugin: Plugin
    problem: str | None
    hardware: bool | None


def report(probe_too: bool = False) -> tuple[list[PluginState], tuple[str, ...]]:
    """The state of each plugin, and what else is wrong, a line each: for a report to the user.

    Args:
      probe_too: whether to load each plugin in a process of its own.

    Example:
      >>> from canter_pjrt.accelerators import report
      >>> states, problems = report()
    """
    from . import probe, shared_library

    states = []
    for plugin in find().plugins:
        kind = _KINDS.get(plugin.platform)
        problem = "has no shared library that could be found" if not plugin.library else misfit(plugin)
        problem = problem or shared_library.problem_of(plugin.library)
        if problem is None and probe_too:
            _prepare(plugin)
            problem = probe.problem_of(plugin.platform, plugin.library, list(_libraries_before(plugin)))
        line = None if problem is None else str(_error(plugin, problem))
        states.append(PluginState(plugin, line, None if kind is None else kind.hardware()))
    return states, find().problems
