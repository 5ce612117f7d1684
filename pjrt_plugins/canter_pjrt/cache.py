"""Compiled programs on disk, so that a program compiles once and not once per process.

The key of an entry is a hash of everything the executable depends on: the module without its source
locations, the compiler's options, the version of jaxlib and of the platform, and the features of the
machine. An entry carries its name and a checksum: one that is damaged, or another's, is reported once,
compiled again and replaced. Only compiles that took a while are worth an entry. Nothing that is wrong
with the folder ends a program: it is reported once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .cache_folders import Entry, Folder, LocalFolder, folder_of, forget_folders
from .flags import flags_in_force
from .jaxlib_door import DeviceList, JaxRuntimeError, jaxlib_version

__all__ = [
    "CacheSettings",
    "Entry",
    "default_directory",
    "entries",
    "forget",
    "is_sound",
    "key",
    "load",
    "machine",
    "module_bytes",
    "pack",
    "remove",
    "settings",
    "statistics",
    "store",
    "use_settings",
]

_MAGIC = b"canter-executable-2\n"
_DIGEST = 32


class CacheSettings(NamedTuple):
    """How the cache behaves.

    Attributes:
      enabled: whether it is used at all.
      directory: where entries are, as a path or a URL; None for `default_directory()`.
      min_compile_seconds: programs that compile faster are not kept.
      min_entry_bytes: smaller executables are not kept.
      max_bytes: entries used longest ago are removed when the folder grows beyond this; -1: no limit,
        0: nothing is kept.
      raise_errors: raise what goes wrong with an entry instead of warning and compiling.
      timeout_seconds: how long a remote folder has to answer.
      lines_in_key: whether programs that differ in their source locations only are different entries.
      check_contents: whether the first use of an entry compares it with the program compiled anew.
      xla_caches: what of XLA's own is kept beside the entries, see `xla_caches`.
      log_misses, log_hits: whether these are logged as warnings.
    """

    enabled: bool = True
    directory: str | None = None
    min_compile_seconds: float = 1.0
    min_entry_bytes: int = 0
    max_bytes: int = 4 << 30
    raise_errors: bool = False
    timeout_seconds: float = 10.0
    lines_in_key: bool = False
    check_contents: bool = False
    xla_caches: tuple[str, ...] = ()
    log_misses: bool = False
    log_hits: bool = False

    def folder(self) -> Folder:
        """Where the entries are."""
        return folder_of(self.directory or default_directory(), self.timeout_seconds)


def _logger() -> Any:
    import logging

    return logging.getLogger("canter.compilation_cache")


class Statistics:
    """Counts of this process: `hits`, `misses`, `writes`, `damaged`."""

    __slots__ = ("damaged", "hits", "misses", "writes")

    def __init__(self) -> None:
        self.hits = self.misses = self.writes = self.damaged = 0

    def count(self, kind: str) -> None:
        """Adds one, and tells whoever listens."""
        setattr(self, kind, getattr(self, kind) + 1)
        _listener(kind)


statistics = Statistics()
_source: Callable[[], CacheSettings] = CacheSettings
_listener: Callable[[str], None] = lambda kind: None  # noqa: E731


def listen(listener: Callable[[str], None]) -> None:
    """Has every count told to a function: "hits", "misses", "writes", "damaged"."""
    global _listener
    _listener = listener


def use_settings(source: Callable[[], CacheSettings]) -> None:
    """Installs the function that tells the settings, which is asked at each compile."""
    global _source
    _source = source


def settings() -> CacheSettings:
    """The settings that hold now."""
    return _source()


def default_directory() -> str:
    """`$XDG_CACHE_HOME/canter/executables`, or what the platform has in its place."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        home = os.path.expanduser("~")
        places = {"Darwin": ("Library", "Caches"), "Windows": ("AppData", "Local")}
        base = os.path.join(home, *places.get(platform.system(), (".cache",)))
    return os.path.join(base, "canter", "executables")


# --- the key -----------------------------------------------------------------------------------


@functools.cache
def machine() -> bytes:
    """What the code of the host's processor depends on."""
    features = ""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith(("flags", "Features", "model name", "CPU part")):
                    features += line
                elif not line.strip():
                    break
    except OSError:
        features = platform.processor()
    return f"{platform.system()} {platform.machine()} {features}".encode()


# What else the build options may ask of the compiler; versions of jaxlib differ in which of them there are.
_EFFORTS = (
    "exec_time_optimization_effort", "memory_fitting_effort", "optimization_level", "memory_fitting_level",
)  # fmt: skip


def module_bytes(module: Any, lines: bool = False) -> bytes:
    """A module in short, the same for equal programs; without its source locations unless `lines`."""
    if isinstance(module, bytes):
        return module
    if isinstance(module, str):
        return module.encode()
    # Printed without locations: moving a function in its file must not compile it again.
    return module.operation.get_asm(binary=True, enable_debug_info=lines)


@functools.cache
def _plugin_version(platform: str) -> str:
    """The version of the package that a platform comes from; those of jaxlib have its own."""
    if platform == "cpu":
        return ""
    from .plugins import discover

    return " ".join(str(plugin.version) for plugin in discover().plugins if plugin.platform == platform)


def key(
    module: Any, devices: Sequence[Any], options: Any, lines: bool = False, choice: bytes = b""
) -> str | None:
    """The name of a program's entry; None if programs of this platform cannot be kept.

    Args:
      module: an MLIR module, its text, its bytecode, or a portable artifact.
      devices: where it is to run.
      options: from `compile.compile_options`.
      lines: whether source locations count.
      choice: among what the executable is chosen, if it is.
    """
    client = devices[0].client
    if not getattr(client, "supports_executable_serialization", True):
        return None
    digest = hashlib.sha256()
    first = devices[0].id
    # One program for device 3 and for device 5 is one entry; the executable is bound when it is loaded.
    relative = [device.id - first for device in devices]
    if relative != list(range(len(devices))) or client.process_index():
        relative = [device.id for device in devices]
    build = options.executable_build_options
    free = (
        build.allow_spmd_sharding_propagation_to_parameters,
        build.allow_spmd_sharding_propagation_to_output,
    )
    for part in (
        module_bytes(module, lines),
        repr((options.num_replicas, options.num_partitions, relative)).encode(),
        repr((build.use_spmd_partitioning, *map(list, free))).encode(),
        repr([getattr(build, name, None) for name in _EFFORTS]).encode(),
        repr(options.env_option_overrides).encode(),
        flags_in_force(),
        os.environ.get("LIBTPU_INIT_ARGS", "").encode() if client.platform == "tpu" else b"",
        repr(jaxlib_version).encode(),
        f"{client.platform} {client.platform_version} {devices[0].device_kind}".encode(),
        _plugin_version(client.platform).encode(),
        machine() if client.platform == "cpu" else b"",
    ):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    digest.update(choice)
    return digest.hexdigest()


def digest(description: bytes) -> str:
    """A name for a description, with everything that programs depend on besides it left out."""
    return hashlib.sha256(description).hexdigest()


# --- entries -----------------------------------------------------------------------------------


_warned: set[str] = set()
_checked: set[str] = set()


def forget() -> None:
    """What this process knows of folders: which do not answer, what has been reported, what was checked."""
    forget_folders()
    _warned.clear()
    _checked.clear()


def _report(kind: str, message: str, settings: CacheSettings, error: Exception | None) -> None:
    if settings.raise_errors:
        raise RuntimeError(message) from error
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    else:
        _logger().info(message)


def _report_folder(folder: Folder, verb: str, settings: CacheSettings, error: OSError) -> None:
    message = (
        f"The compilation cache in {folder.place} cannot be {verb}: {error}. Set CANTER_COMPILATION_CACHE_DIR to a "
        "folder that can be, or switch the cache off with CANTER_ENABLE_COMPILATION_CACHE=0."
    )
    _report(f"folder {folder.place}", message, settings, error)


def _log(as_warning: bool, message: str, *args: Any) -> None:
    import logging

    _logger().log(logging.WARNING if as_warning else logging.DEBUG, message, *args)


def load(
    name: str,
    devices: Sequence[Any],
    options: Any,
    settings: CacheSettings,
    function: str = "",
    host_callbacks: Sequence[Any] = (),
) -> Any:
    """The executable of an entry, or None where there is none that can be used.

    One that is loaded already, see `early`, is taken from there.

    Args:
      name: from `key`.
      devices: where it is to run.
      options: from `compile.compile_options`.
      settings: how the cache behaves.
      function: name of the compiled function, for messages.
      host_callbacks: Python functions that the program calls, in the order of their indices.

    Raises:
      RuntimeError: a damaged entry, or a folder that cannot be read, if `settings.raise_errors`.
    """
    from . import early

    folder = settings.folder()
    try:
        executable = None if host_callbacks else early.take(function, name, devices)
        if executable is None:
            executable = executable_of(name, folder.read(name), devices, options, host_callbacks)
    except FileNotFoundError:
        statistics.count("misses")
        _log(settings.log_misses, "%s is not in the compilation cache: no %s", function or "A program", name)
        return None
    except (ValueError, zlib.error, RuntimeError, IsADirectoryError) as error:
        statistics.count("damaged")
        statistics.count("misses")
        message = (
            f"{name} in the compilation cache ({folder.place}) is damaged: {error}. {function or 'The program'} is "
            "compiled again, and so are others, without another warning."
        )
        discard(name, settings)
        _report(f"damaged {folder.place}", message, settings, error)
        return None
    except OSError as error:
        statistics.count("misses")
        _report_folder(folder, "read", settings, error)
        return None
    statistics.count("hits")
    _log(settings.log_hits, "Loaded %s from the compilation cache: %s", function or "a program", name)
    try:
        folder.touch(name)  # so that eviction sees when it was used
    except OSError:
        pass
    return executable


def executable_of(
    name: str, data: bytes, devices: Sequence[Any], options: Any, host_callbacks: Sequence[Any] = ()
) -> Any:
    """The executable in an entry's bytes.

    Raises:
      ValueError: the entry is damaged, or another's.
      JaxRuntimeError: what it holds is no executable of this platform.
    """
    payload = _unpack(name, data)
    client = devices[0].client
    return client.deserialize_executable(payload, DeviceList(tuple(devices)), options, list(host_callbacks))


def discard(name: str, settings: CacheSettings) -> None:
    """Removes an entry, if that is possible."""
    try:
        settings.folder().remove([name])
    except OSError:
        pass


def store(name: str, executable: Any, seconds: float, settings: CacheSettings, function: str = "") -> bool:
    """Keeps an executable if it is worth it; returns whether it is kept or, in a remote folder, on its way.

    Args:
      name: from `key`.
      executable: what was compiled.
      seconds: how long that took.
      settings: how the cache behaves.
      function: name of the compiled function, for messages.

    Raises:
      RuntimeError: the entry cannot be written, if `settings.raise_errors`.
    """
    if seconds < settings.min_compile_seconds:
        return False
    try:
        payload = executable.serialize()
    except (JaxRuntimeError, ValueError) as error:
        _logger().debug("%s cannot be serialized: %s", function or "a program", error)
        return False
    if len(payload) < settings.min_entry_bytes:
        return False
    data = pack(name, payload)
    if len(data) > settings.max_bytes >= 0:
        return False
    folder = settings.folder()

    def done(error: OSError | None) -> None:
        if error is None:
            statistics.count("writes")
            _logger().debug("Kept %s (%.2f s) in %s", function or "a program", seconds, folder.place)
            return
        _report_folder(folder, "written", settings, error)

    try:
        folder.write(name, data, settings.max_bytes, done)
    except OSError as error:
        done(error)
        return False
    return True


def is_first_check(name: str) -> bool:
    """Whether this process has not compared this entry with its program yet; from now on it has."""
    first = name not in _checked
    _checked.add(name)
    return first


def report_difference(name: str, settings: CacheSettings, function: str) -> None:
    """Reports an entry that is not what the compiler makes of its program."""
    message = (
        f"{name} in the compilation cache is not what the compiler makes of {function or 'its program'} now. It is "
        "replaced."
    )
    _report("different", message, settings, None)


def pack(name: str, payload: bytes) -> bytes:
    """An executable as an entry: compressed, with its name and a checksum."""
    content = bytes.fromhex(name) + zlib.compress(payload, 1)
    return _MAGIC + hashlib.sha256(content).digest() + content


def _unpack(name: str, data: bytes) -> bytes:
    if not data.startswith(_MAGIC):
        raise ValueError("it does not begin as an entry does")
    start = len(_MAGIC) + _DIGEST
    content = memoryview(data)[start:]
    if hashlib.sha256(content).digest() != data[len(_MAGIC) : start]:
        raise ValueError("its checksum does not fit")
    if content[:_DIGEST] != bytes.fromhex(name):
        raise ValueError("it is the entry of another program, device or version")
    return zlib.decompress(content[_DIGEST:])


def entries(directory: str) -> list[Entry]:
    """What a folder of the cache holds, the latest used first; nothing where there is no such folder.

    Raises:
      OSError: the folder cannot be read.
    """
    return folder_of(directory, settings().timeout_seconds).entries()


def is_sound(directory: str, name: str) -> bool:
    """Whether an entry can be read and is as it was written."""
    try:
        _unpack(name, folder_of(directory, settings().timeout_seconds).read(name))
    except (OSError, ValueError, zlib.error):
        return False
    return True


def remove(directory: str, names: Sequence[str]) -> None:
    """Removes entries; one that another process has removed meanwhile is no error.

    Raises:
      OSError: an entry cannot be removed.
    """
    folder_of(directory, settings().timeout_seconds).remove(names)


# --- XLA's own caches ------------------------------------------------------------------------------

#: Caches of XLA on GPUs, beside the entries: the compiler option, and what is kept there.
XLA_CACHES = {
    "xla_gpu_per_fusion_autotune_cache_dir": "which algorithm was the fastest for a fusion",
    "xla_gpu_kernel_cache_file": "compiled kernels, in one file",
}


def use_xla_caches(devices: Sequence[Any], options: Any, settings: CacheSettings) -> None:
    """Tells the compiler where to keep what it finds out, if a folder for the cache has been chosen.

    Only GPUs have such caches, and they are plain files.
    """
    if not (settings.xla_caches and settings.enabled and settings.directory):
        return
    if devices[0].client.platform not in ("cuda", "rocm") or not isinstance(
        folder := settings.folder(), LocalFolder
    ):
        return
    flags = options.executable_build_options.debug_options
    for name in settings.xla_caches:
        path = os.path.join(folder.place, name)
        try:
            os.makedirs(path if name.endswith("dir") else folder.place, exist_ok=True)
        except OSError as error:
            _report(f"folder {folder.place}", f"XLA's cache {path} cannot be made: {error}", settings, error)
            continue
        setattr(flags, name, path)
        if name == "xla_gpu_kernel_cache_file":
            flags.xla_gpu_enable_llvm_module_compilation_parallelism = True
