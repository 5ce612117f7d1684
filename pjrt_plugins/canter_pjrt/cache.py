"""Compiled programs on disk, so that a program compiles once and not once per process.

The key of an entry is a hash of everything the executable depends on: the module without its source
locations, the compiler's options, the version of jaxlib and of the platform, and the features of the
machine. An entry is written to a temporary file and renamed, so that processes that share a folder
never see half of one, and carries its own checksum: a damaged entry is reported once, compiled again
and replaced. Only compiles that took a while are worth a file.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .jaxlib_door import DeviceList, JaxRuntimeError, jaxlib_version

__all__ = [
    "CacheSettings",
    "Entry",
    "default_directory",
    "entries",
    "is_sound",
    "key",
    "load",
    "remove",
    "settings",
    "statistics",
    "store",
    "use_settings",
]

_MAGIC = b"canter-executable-1\n"
_SUFFIX = ".xla"
_DIGEST = 32


class CacheSettings(NamedTuple):
    """How the cache behaves.

    Attributes:
      enabled: whether it is used at all.
      directory: where entries are; None for `default_directory()`.
      min_compile_seconds: programs that compile faster are not kept.
      min_entry_bytes: smaller executables are not kept.
      max_bytes: entries used longest ago are removed when the folder grows beyond this.
      raise_errors: raise what goes wrong with a file instead of warning and compiling.
    """

    enabled: bool = True
    directory: str | None = None
    min_compile_seconds: float = 1.0
    min_entry_bytes: int = 0
    max_bytes: int = 4 << 30
    raise_errors: bool = False


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


# Flags that change nothing in the code that is produced.
_HARMLESS_FLAGS = ("--xla_dump", "--xla_force_host_platform_device_count")


def _xla_flags() -> str:
    flags = os.environ.get("XLA_FLAGS", "").split()
    return " ".join(sorted(flag for flag in flags if not flag.startswith(_HARMLESS_FLAGS)))


def _module_text(module: Any) -> bytes:
    if isinstance(module, bytes):
        return module
    if isinstance(module, str):
        return module.encode()
    # Printed without locations: moving a function in its file must not compile it again.
    return module.operation.get_asm(binary=True, enable_debug_info=False)


def key(module: Any, devices: Sequence[Any], options: Any) -> str | None:
    """The name of a program's entry; None if programs of this platform cannot be kept.

    Args:
      module: an MLIR module, its text, its bytecode, or a portable artifact.
      devices: where it is to run.
      options: from `compile.compile_options`.
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
    for part in (
        _module_text(module),
        repr((options.num_replicas, options.num_partitions, relative)).encode(),
        repr(options.executable_build_options.use_spmd_partitioning).encode(),
        repr(options.env_option_overrides).encode(),
        _xla_flags().encode(),
        repr(jaxlib_version).encode(),
        f"{client.platform} {client.platform_version} {devices[0].device_kind}".encode(),
        machine() if client.platform == "cpu" else b"",
    ):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


# --- entries -----------------------------------------------------------------------------------


def _path(name: str, settings: CacheSettings) -> Path:
    return Path(settings.directory or default_directory(), name + _SUFFIX)


_warned: set[str] = set()


def _report(kind: str, message: str, settings: CacheSettings, error: Exception | None) -> None:
    if settings.raise_errors:
        raise RuntimeError(message) from error
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    else:
        _logger().info(message)


def load(
    name: str,
    devices: Sequence[Any],
    options: Any,
    settings: CacheSettings,
    function: str = "",
    host_callbacks: Sequence[Any] = (),
) -> Any:
    """The executable of an entry, or None where there is none that can be used.

    Args:
      name: from `key`.
      devices: where it is to run.
      options: from `compile.compile_options`.
      settings: how the cache behaves.
      function: name of the compiled function, for messages.
      host_callbacks: Python functions that the program calls, in the order of their indices.

    Raises:
      RuntimeError: a damaged entry, if `settings.raise_errors`.
    """
    path = _path(name, settings)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        statistics.count("misses")
        return None
    except OSError as error:
        statistics.count("misses")
        message = f"The compilation cache in {path.parent} cannot be read: {error}"
        _report(f"read {path.parent}", message, settings, error)
        return None
    try:
        payload = _unpack(data)
        client = devices[0].client
        executable = client.deserialize_executable(
            payload, DeviceList(tuple(devices)), options, list(host_callbacks)
        )
    except (ValueError, zlib.error, JaxRuntimeError) as error:
        statistics.count("damaged")
        statistics.count("misses")
        message = f"{path} in the compilation cache is damaged ({error}); its program is compiled again."
        _remove(path)
        _report("damaged", message, settings, error)
        return None
    statistics.count("hits")
    _logger().debug("Loaded %s from %s", function or "a program", path)
    try:
        os.utime(path)  # so that eviction sees when it was used
    except OSError:
        pass
    return executable


def store(name: str, executable: Any, seconds: float, settings: CacheSettings, function: str = "") -> bool:
    """Keeps an executable if it is worth it; returns whether it was kept.

    Args:
      name: from `key`.
      executable: what was compiled.
      seconds: how long that took.
      settings: how the cache behaves.
      function: name of the compiled function, for messages.

    Raises:
      RuntimeError: the file cannot be written, if `settings.raise_errors`.
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
    path = _path(name, settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _pack(payload))
        _evict(path.parent, settings.max_bytes)
    except OSError as error:
        message = (
            f"The compilation cache in {path.parent} cannot be written: {error}. Set "
            f"CANTER_COMPILATION_CACHE_DIR to a folder that can be, or switch the cache off with "
            "CANTER_ENABLE_COMPILATION_CACHE=0."
        )
        _report(f"write {path.parent}", message, settings, error)
        return False
    statistics.count("writes")
    _logger().debug("Kept %s (%.2f s) in %s", function or "a program", seconds, path)
    return True


def _pack(payload: bytes) -> bytes:
    packed = zlib.compress(payload, 1)
    return _MAGIC + hashlib.sha256(packed).digest() + packed


def _unpack(data: bytes) -> bytes:
    if not data.startswith(_MAGIC):
        raise ValueError("it does not begin as an entry does")
    start = len(_MAGIC) + _DIGEST
    packed = data[start:]
    if hashlib.sha256(packed).digest() != data[len(_MAGIC) : start]:
        raise ValueError("its checksum does not fit")
    return zlib.decompress(packed)


def _write(path: Path, data: bytes) -> None:
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        _remove(Path(temporary))
        raise


class Entry(NamedTuple):
    """A program in the cache: its key, its size in bytes on disk, and when it was last used (Unix time)."""

    name: str
    size: int
    last_used: float


def entries(directory: str) -> list[Entry]:
    """What a folder of the cache holds, the latest used first; nothing where there is no such folder.

    Raises:
      OSError: the folder cannot be read.
    """
    found = []
    if os.path.exists(directory):
        for file in os.scandir(directory):
            if file.name.endswith(_SUFFIX):
                status = file.stat()
                found.append(Entry(file.name.removesuffix(_SUFFIX), status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.last_used)


def is_sound(directory: str, name: str) -> bool:
    """Whether an entry can be read and is as it was written."""
    try:
        _unpack(Path(directory, name + _SUFFIX).read_bytes())
    except (OSError, ValueError, zlib.error):
        return False
    return True


def remove(directory: str, names: Sequence[str]) -> None:
    """Removes entries; one that another process has removed meanwhile is no error.

    Raises:
      OSError: an entry cannot be removed.
    """
    for name in names:
        Path(directory, name + _SUFFIX).unlink(missing_ok=True)


def _evict(directory: Path, max_bytes: int) -> None:
    entries = []
    for entry in os.scandir(directory):
        status = entry.stat()
        if entry.name.startswith(".writing-") and time.time() - status.st_mtime > 3600:
            _remove(Path(entry.path))  # left by a process that was killed
        elif entry.name.endswith(_SUFFIX):
            entries.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= max_bytes:
            break
        _remove(Path(path))
        total -= size


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass
