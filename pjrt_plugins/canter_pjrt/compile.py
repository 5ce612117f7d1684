"""Compiling a module for devices, with options, through the cache on disk."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import cache, early
from .jaxlib_door import CompileOnlyPyClient, CompileOptions, DeviceAssignment, DeviceList, JaxRuntimeError
from .wire import field

__all__ = [
    "Choice",
    "CompilerOptionError",
    "compile_module",
    "compile_options",
    "compile_or_load",
    "cost_analysis",
    "deserialize",
    "memory_analysis",
    "serialize",
    "sorted_options",
]

OptionValue = bool | int | float | str


class CompilerOptionError(JaxRuntimeError, ValueError):
    """An option is not one that the compiler has, or does not take the value."""


class Choice(NamedTuple):
    """How one of several executables of a program is chosen.

    Attributes:
      marker: what it is chosen among: a part of the program's name on disk.
      choose: is given a function that compiles a module with compiler options, and returns an executable.
    """

    marker: bytes
    choose: Callable[[Callable[[Any, Mapping[str, OptionValue]], Any]], Any]


def compile_options(
    devices: Sequence[Any],
    options: Mapping[str, OptionValue] | None = None,
    *,
    num_replicas: int = 1,
    spmd: bool | None = None,
    free_shardings: tuple[Sequence[bool], Sequence[bool]] | None = None,
    build: Mapping[str, float | int] | None = None,
) -> Any:
    """Options for the compiler.

    Args:
      devices: the devices the program runs on, `num_replicas` times the number of partitions.
      options: compiler options by name, e.g. `{"xla_cpu_enable_fast_math": True}`.
      num_replicas: how often the program is replicated; the rest of the devices are partitions.
      spmd: whether the program is partitioned over devices by its shardings; None: where there are several.
      free_shardings: for which arguments, and for which results, the compiler chooses the sharding.
      build: fields of the compiler's build options by name: efforts and levels.

    Raises:
      CompilerOptionError: a name that is no string or a value of another type than bool, int, float or str.
      ValueError: a number of devices that is no multiple of `num_replicas`.
    """
    count = len(devices)
    if count == 0 or count % num_replicas:
        raise ValueError(f"{count} devices cannot be divided among {num_replicas} replicas.")
    partitions = count // num_replicas
    ids = np.array([device.id for device in devices], np.int32).reshape(num_replicas, partitions)
    assignment = DeviceAssignment.create(ids)
    made = CompileOptions()
    made.num_replicas, made.num_partitions, made.device_assignment = num_replicas, partitions, assignment
    fields = made.executable_build_options
    fields.num_replicas, fields.num_partitions, fields.device_assignment = (
        num_replicas,
        partitions,
        assignment,
    )
    fields.use_spmd_partitioning = partitions > 1 if spmd is None else spmd
    fields.use_shardy_partitioner = True
    if free_shardings is not None:
        arguments, results = free_shardings
        fields.allow_spmd_sharding_propagation_to_parameters = list(arguments)
        fields.allow_spmd_sharding_propagation_to_output = list(results)
    for name, value in (build or {}).items():
        if not hasattr(fields, name):
            # An effort from -1 to 1, for which newer versions have the levels O0 to O3.
            name, value = name.replace("exec_time_", "").replace("_effort", "_level"), 19 if value < 0 else 39
        setattr(fields, name, value)
    if options:
        made.env_option_overrides = sorted_options(options)
    return made


def sorted_options(options: Mapping[str, OptionValue]) -> list[tuple[str, OptionValue]]:
    """Compiler options in the order of their names.

    Raises:
      CompilerOptionError: a name that is no string or a value of another type than bool, int, float or str.
    """
    return sorted(_checked_option(name, value) for name, value in options.items())


def _checked_option(name: Any, value: Any) -> tuple[str, OptionValue]:
    if not isinstance(name, str):
        raise CompilerOptionError(f"Compiler options are named by strings, 'xla_cpu_...'; got {name!r}.")
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (bool, int, float, str)):
        raise CompilerOptionError(
            f"Compiler option {name!r} takes a bool, an int, a float or a str; got {value!r} of type "
            f"{type(value).__name__}."
        )
    return name, value


def compile_module(
    module: Any, devices: Sequence[Any], options: Any, host_callbacks: Sequence[Any] = ()
) -> Any:
    """Compiles without a look at the cache on disk.

    Args:
      module: an MLIR module, its text, its bytecode, or a portable artifact.
      devices: where it is to run.
      options: from `compile_options`.
      host_callbacks: Python functions that the program calls, in the order of their indices.

    Raises:
      CompilerOptionError: an unknown option, or a value that the option does not take.
      JaxRuntimeError: the compiler refuses the program.
    """
    client = devices[0].client
    if isinstance(client, CompileOnlyPyClient):
        return _compile_for_elsewhere(module, devices, options, host_callbacks)
    if client.platform == "cpu":
        options = _with_marked_options(module, options)
    try:
        if isinstance(module, (str, bytes)) and not host_callbacks:
            return client.compile_and_load(module, list(devices), options)  # needs no MLIR bindings
        return client.compile_and_load(module, DeviceList(tuple(devices)), options, list(host_callbacks))
    except JaxRuntimeError as error:
        explained = _explain_option_error(str(error), options)
        if explained is None:
            raise
        raise CompilerOptionError(explained) from None


def _compile_for_elsewhere(
    module: Any, devices: Sequence[Any], options: Any, host_callbacks: Sequence[Any]
) -> Any:
    if host_callbacks:
        raise NotImplementedError(
            "A program that calls back into this Python process cannot be compiled for hardware elsewhere. Take "
            "callbacks, debug.print and checks out of it."
        )
    try:
        return devices[0].client.compile(module, DeviceList(tuple(devices)), options)
    except JaxRuntimeError as error:
        explained = _explain_option_error(str(error), options)
        if explained is not None:
            raise CompilerOptionError(explained) from None
        kernel = re.search(r"No FFI handler registered for (\S+)", str(error))
        if kernel:
            raise NotImplementedError(
                f"The program calls the kernel {kernel[1]}, which this installation does not have. The kernels of GPUs "
                "come with the plugin's second package, in the version of jaxlib: pip install 'canter[aot]'"
            ) from error
        raise


def _with_marked_options(module: Any, options: Any) -> Any:
    """Options with those of the CPU's backend that marks on the module stand for.

    They are among the backend's extra options, which can be set in the serialised form only, and of which it ignores
    those that it does not know. Fields of messages that are written twice are merged: the addition is
    `executable_build_options` (3), in it `debug_options` (3), in it entries of the map `xla_backend_extra_options`
    (500).
    """
    operation = getattr(module, "operation", None)
    if operation is None:
        return options
    found = operation.attributes
    values = {
        name: str(found[mark].value) if value is None else value
        for mark, marked in _MARKS.items()
        if mark in found
        for name, value in marked.items()
    }
    if not values:
        return options
    entries = [field(1, name.encode()) + field(2, value.encode()) for name, value in values.items()]
    addition = field(3, field(3, b"".join(field(500, entry) for entry in entries)))
    return CompileOptions.ParseFromString(options.SerializeAsString() + addition)


#: Attributes of modules, and the options that each stands for; None: the value is the attribute's.
_MARKS: dict[str, dict[str, str | None]] = {
    # The bound under which a loop becomes one piece of code.
    "canter.small_loops": {"xla_cpu_small_while_loop_byte_threshold": None},
    # What is called many times is optimized once, and copied for its calls afterwards.
    "canter.outlined": {"xla_cpu_flatten_after_fusion": "true", "xla_cpu_disable_tiled_emitter": "true"},
}


def _explain_option_error(message: str, options: Any) -> str | None:
    unknown = re.search(r"No such compile option: '([^']*)'", message)
    if unknown:
        import difflib

        debug_options = options.executable_build_options.debug_options
        names = [name for name in dir(debug_options) if name.startswith("xla_")]
        near = difflib.get_close_matches(unknown[1], names, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        return f"The compiler has no option {unknown[1]!r}.{hint}"
    given = dict(options.env_option_overrides)
    for name, value in given.items():
        if name in message and ("INVALID_ARGUMENT" in message or "option" in message):
            return f"Compiler option {name!r} does not take the value {value!r}: {message}"
    return None


def compile_or_load(
    module: Any,
    devices: Sequence[Any],
    *,
    options: Mapping[str, OptionValue] | None = None,
    num_replicas: int = 1,
    spmd: bool | None = None,
    host_callbacks: Sequence[Any] = (),
    name: str = "",
    recent: MutableMapping[Any, Any] | None = None,
    free_shardings: tuple[Sequence[bool], Sequence[bool]] | None = None,
    lasting: bool = True,
    build: Mapping[str, float | int] | None = None,
    choice: Choice | None = None,
    kept: bool = False,
) -> Any:
    """The executable of a module: from the cache on disk, or compiled and, if that took long, kept there.

    Args:
      module: an MLIR module, its text, its bytecode, or a portable artifact.
      devices: where it is to run.
      options: compiler options by name.
      num_replicas: how often the program is replicated; the rest of the devices are partitions.
      spmd: whether the program is partitioned over devices; None: where there are several.
      host_callbacks: Python functions that the program calls, in the order of their indices. They are no
        part of what is kept on disk; in memory such a program is not kept.
      name: of the function, for messages.
      recent: executables of this process, looked up first; what is made here is added.
      free_shardings: see `compile_options`.
      build: see `compile_options`.
      lasting: False for a program that refers to objects of this process, or that the compiler has to call back
        for: it is compiled, whatever has been kept.
      choice: how to choose among several executables. The chosen one is kept however soon it was found.
      kept: whether any other is kept on disk however soon it is compiled, too.

    Raises:
      CompilerOptionError: an unknown option, or a value that the option does not take.
      JaxRuntimeError: the compiler refuses the program.
    """
    made = compile_options(
        devices, options, num_replicas=num_replicas, spmd=spmd, free_shardings=free_shardings, build=build
    )

    def variant(module: Any, options: Mapping[str, OptionValue]) -> Any:
        return compile_module(module, devices, compile_options(devices, options, build=build), host_callbacks)

    def compiled() -> Any:
        if choice is None or elsewhere:
            return compile_module(module, devices, made, host_callbacks)
        return choice.choose(variant)

    settings = cache.settings()
    if host_callbacks:
        recent = None
    elsewhere = isinstance(devices[0].client, CompileOnlyPyClient)
    if elsewhere or not lasting or not (settings.enabled or recent is not None):
        return compiled()
    cache.use_xla_caches(devices, made, settings)
    key = cache.key(module, devices, made, settings.lines_in_key, choice.marker if choice else b"")
    if key is None:
        return compiled()
    if kept:
        settings = settings._replace(min_compile_seconds=0.0)
    make = (compiled, choice is not None)
    if recent is None:
        return _compile_or_load(make, devices, made, settings, key, name, host_callbacks)
    # One entry on disk serves any device, an executable in memory only the devices it was loaded for.
    here = (key, *devices)
    loaded = recent.get(here)
    if loaded is None:
        loaded = recent[here] = _compile_or_load(make, devices, made, settings, key, name)
    return loaded


def _compile_or_load(
    make: tuple[Callable[[], Any], bool],
    devices: Sequence[Any],
    made: Any,
    settings: cache.CacheSettings,
    key: str,
    name: str,
    host_callbacks: Sequence[Any] = (),
) -> Any:
    compiled, measured = make
    if not (settings.enabled and settings.max_bytes):
        return compiled()
    noted = len(devices) == 1 and not host_callbacks
    start = time.perf_counter()
    loaded = cache.load(key, devices, made, settings, name, host_callbacks)
    if loaded is not None:
        if noted:
            early.note(name, key, time.perf_counter() - start, made.env_option_overrides)
        if measured or not settings.check_contents or not cache.is_first_check(key):
            return loaded
        return _compared(loaded, compiled, settings, key, name)
    start = time.perf_counter()
    executable = compiled()
    seconds = time.perf_counter() - start
    cache.store(key, executable, math.inf if measured else seconds, settings, name)
    if noted:
        early.note(name, key, seconds, made.env_option_overrides)
    return executable


def _compared(
    loaded: Any, compiled: Callable[[], Any], settings: cache.CacheSettings, key: str, name: str
) -> Any:
    """What was found, if compiling gives the same program; else what compiling gives."""
    start = time.perf_counter()
    executable = compiled()
    if _programs(executable) == _programs(loaded):
        return loaded
    cache.report_difference(key, settings, name)
    cache.store(key, executable, time.perf_counter() - start, settings, name)
    return executable


def _programs(executable: Any) -> list[str]:
    """Optimized programs as text, to be compared: the bytes of an executable differ from one compile to the next."""
    return [module.to_string() for module in executable.hlo_modules()]


def serialize(executable: Any) -> bytes:
    """An executable as bytes, for `deserialize` on the same platform and version of jaxlib."""
    return executable.serialize()


def deserialize(
    data: bytes, devices: Sequence[Any], options: Any = None, host_callbacks: Sequence[Any] = ()
) -> Any:
    """The executable that `serialize` wrote.

    Args:
      data: the bytes.
      devices: where it is to run; as many as it was compiled for.
      options: the options it was compiled with, if it is to run on other devices than before.
      host_callbacks: Python functions that the program calls.

    Raises:
      JaxRuntimeError: the bytes are no executable of this platform.
    """
    client = devices[0].client
    return client.deserialize_executable(data, DeviceList(tuple(devices)), options, list(host_callbacks))


def cost_analysis(executable: Any) -> dict[str, float]:
    """The compiler's estimate of a program's cost: 'flops', 'bytes accessed', 'transcendentals', ...

    Platforms that give none raise NotImplementedError.
    """
    try:
        properties = executable.cost_analysis()
    except JaxRuntimeError as error:
        raise _not_given(error, "cost") from None
    if isinstance(properties, list):
        properties = properties[0] if properties else {}
    return dict(properties)


def memory_analysis(executable: Any) -> Any:
    """Memory a compiled program needs: an object with argument_size_in_bytes, temp_size_in_bytes, ...

    Platforms that give none raise NotImplementedError.
    """
    try:
        return executable.get_compiled_memory_stats()
    except JaxRuntimeError as error:
        raise _not_given(error, "memory") from None


def _not_given(error: JaxRuntimeError, what: str) -> Exception:
    if "UNIMPLEMENTED" in str(error):
        return NotImplementedError(f"This platform gives no {what} analysis of a compiled program.")
    return error
