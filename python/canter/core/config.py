"""Flags: every switch of Canter, in one table over jaxlib's C++ configuration objects.

A flag has a global value, which `config.update` sets, and may have a value of its own in a thread,
which the flag sets as a context manager: `with enable_x64(True): ...`. The C++ dispatcher reads the
flags declared with `jit_key=True` on every call and compiles anew when one of them differs, so those
are few. At import each flag takes its value from the environment variable `CANTER_<NAME>` if set.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

from canter_pjrt.jaxlib_door import Config, guard_lib, jax_jit, trace_context, unset

from . import settings

__all__ = ["Flag", "UserContext", "config", "flags", "make_user_context", "trace_context"]


class _NotGiven:
    def __repr__(self) -> str:
        return "<not given>"


_NOT_GIVEN: Any = _NotGiven()


class Flag(Config):
    """One flag: a C++ configuration object that also checks its values and sets them for a block.

    `flag.value` reads it (about 0.1 µs), `with flag(value):` sets it in this thread for a block, and
    `@flag(value)` for the calls of a function.

    Args:
      name: bare name, such as `enable_x64`.
      default: value when neither the environment nor the user sets one.
      parse: takes what a user gave (or the environment's text) and returns the value, or raises
        ValueError with a sentence that says what would be accepted.
      jit_key: whether a compiled call depends on the flag.
      dispatch_key: whether a call must ask for the flag, though its program does not depend on it.
      on_change: called with (new value, whether it is this thread's only) before a change; may raise.
    """

    # Config is a C++ class: attributes live in the instance's dictionary.
    def __init__(
        self,
        name: str,
        default: Any,
        parse: Callable[[Any], Any],
        help: str,
        *,
        jit_key: bool = False,
        dispatch_key: bool = False,
        on_change: Callable[[Any, bool], None] | None = None,
    ) -> None:
        self.flag_name = name
        self.default = default
        self.parse = parse
        self.help = help
        self.on_change = on_change
        self.__name__ = name
        self.__doc__ = (
            f"{help}\n\n`with {name}(value):` sets it for a block, `@{name}(value)` for a function, in "
            f'this thread;\n`canter.config.update("{name}", value)` sets it for all. ValueError: a value that it does '
            "not take."
        )
        text = os.environ.get("CANTER_" + name.upper())
        initial = default if text is None else self._parsed(_from_text(text), "CANTER_" + name.upper())
        in_key = jit_key or dispatch_key
        super().__init__(name, initial, include_in_jit_key=in_key, include_in_trace_context=jit_key)
        if text is not None and on_change is not None:
            on_change(initial, False)

    def _parsed(self, value: Any, where: str) -> Any:
        try:
            return self.parse(value)
        except ValueError as error:
            raise ValueError(f"{where} = {value!r}: expected {error}.") from None

    def set(self, value: Any) -> None:
        """Sets the flag for all threads; raises ValueError when the value is not one it takes."""
        value = self._parsed(value, self.flag_name)
        if self.on_change is not None:
            self.on_change(value, False)
        self.set_global(value)

    def __call__(self, new_val: Any = _NOT_GIVEN) -> FlagContext:
        """A context manager, or decorator, that sets the flag in this thread."""
        if new_val is _NOT_GIVEN:
            if not isinstance(self.default, bool):
                raise TypeError(f"{self.flag_name}() needs a value, as in `with {self.flag_name}(...):`.")
            new_val = True
        return FlagContext(((self, self._parsed(new_val, self.flag_name)),))

    def __bool__(self) -> bool:
        raise TypeError(
            f"A flag has no truth value of its own: read canter.config.{self.flag_name}, or use "
            f"`with canter.{self.flag_name}(...):` to set it."
        )

    def __repr__(self) -> str:
        return f"<flag {self.flag_name} = {self.value!r}>"


class _DisableFlag(Flag):
    """The flag whose value has a name of its own as an argument."""

    def __call__(self, disable: Any = True) -> FlagContext:
        """A context manager, or decorator, that sets the flag in this thread."""
        return super().__call__(disable)


class FlagContext:
    """Sets flags in the current thread while a `with` block or a decorated function runs."""

    __slots__ = ("_saved", "_settings")

    def __init__(self, settings: tuple[tuple[Flag, Any], ...]) -> None:
        self._settings = settings
        self._saved: list[list[Any]] = []

    def __enter__(self) -> None:
        saved = []
        for flag, value in self._settings:
            if flag.on_change is not None:
                flag.on_change(value, True)
            saved.append(flag.swap_local(value))
        self._saved.append(saved)

    def __exit__(self, *_: object) -> None:
        for (flag, _value), old in zip(reversed(self._settings), reversed(self._saved.pop()), strict=True):
            flag.set_local(old)
            if flag.on_change is not None:
                flag.on_change(None if old is unset else old, True)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_flags(*args: Any, **kwargs: Any) -> Any:
            with FlagContext(self._settings):
                return function(*args, **kwargs)

        return with_flags


def _from_text(text: str) -> Any:
    """The environment holds text: `none` and the empty string mean no value."""
    return None if text.strip().lower() in ("", "none") else text.strip()


_PRECISIONS = settings.one_of(
    "default", "high", "highest", "bfloat16", "tensorfloat32", "float32", "fastest",
    "ANY_F8_ANY_F8_F32", "ANY_F8_ANY_F8_F32_FAST_ACCUM", "ANY_F8_ANY_F8_ANY", "ANY_F8_ANY_F8_ANY_FAST_ACCUM",
    "F16_F16_F16", "F16_F16_F32", "BF16_BF16_BF16", "BF16_BF16_F32", "BF16_BF16_F32_X3",
    "BF16_BF16_F32_X6", "BF16_BF16_F32_X9", "TF32_TF32_F32", "TF32_TF32_F32_X3", "F32_F32_F32", "F64_F64_F64",
)  # fmt: skip
_GUARD_LEVELS = ("allow", "log", "disallow", "log_explicit", "disallow_explicit")


def _set_guard(direction: str) -> Callable[[Any, bool], None]:
    """Transfer guards live in C++; the flag only names their level."""

    def set_level(value: Any, in_thread: bool) -> None:
        state = guard_lib.thread_local_state() if in_thread else guard_lib.global_state()
        level = None if value is None else getattr(guard_lib.TransferGuardLevel, value.upper())
        setattr(state, direction, level)

    return set_level


def _set_logging_level(value: Any, in_thread: bool) -> None:
    import logging

    logging.getLogger("canter").setLevel(logging.NOTSET if value is None else value)


def _set_collection_guard(value: Any, in_thread: bool) -> None:
    state = guard_lib.thread_local_state() if in_thread else guard_lib.global_state()
    level = None if value is None else getattr(guard_lib.GarbageCollectionGuardLevel, value.upper())
    state.garbage_collect_array = level


def _set_thread_guard(value: Any, in_thread: bool) -> None:
    """The guard is one for the process; the thread that sets it is the one that may start computations."""
    guard_lib.update_thread_guard_global_state(thread_guard.value if value is None else value)


flags: dict[str, Flag] = {}


def _flag(name: str, default: Any, parse: Callable[[Any], Any], help: str, **options: Any) -> Flag:
    kind = _DisableFlag if name == "disable_jit" else Flag
    flag = flags[name] = kind(name, default, parse, help, **options)
    return flag


# Flags a compiled call depends on: each costs every call a little.
enable_x64 = _flag(
    "enable_x64",
    False,
    settings.boolean,
    "Whether 64-bit types are kept; else they become 32-bit.",
    jit_key=True,
)
disable_jit = _flag(
    "disable_jit",
    False,
    settings.boolean,
    "Whether jit-compiled functions run as plain Python.",
    jit_key=True,
)
numpy_dtype_promotion = _flag(
    "numpy_dtype_promotion", "standard", settings.one_of("standard", "strict"),
    "How operands of different dtypes are joined: 'standard' promotes, 'strict' raises.", jit_key=True,
)  # fmt: skip
numpy_rank_promotion = _flag(
    "numpy_rank_promotion", "allow", settings.one_of("allow", "warn", "raise"),
    "What happens when operands of different rank broadcast.", jit_key=True,
)  # fmt: skip
default_matmul_precision = _flag(
    "default_matmul_precision", None, settings.optional(_PRECISIONS),
    "Precision of matrix products and convolutions that name none.", jit_key=True,
)  # fmt: skip
default_device = _flag(
    "default_device",
    None,
    settings.optional(settings.device),
    "Device of arrays that name none.",
    jit_key=True,
)
default_prng_impl = _flag(
    "default_prng_impl", "threefry2x32", settings.one_of("threefry2x32", "rbg", "unsafe_rbg"),
    "Generator behind new random keys.", jit_key=True,
)  # fmt: skip
threefry_partitionable = _flag(
    "threefry_partitionable", True, settings.boolean,
    "Whether Threefry draws each number from a counter of its own; off, from halves of one range.", jit_key=True,
)  # fmt: skip
debug_nans = _flag(
    "debug_nans",
    False,
    settings.boolean,
    "Whether a NaN in a result raises FloatingPointError.",
    jit_key=True,
)
debug_infs = _flag(
    "debug_infs", False, settings.boolean, "Whether an infinity in a result raises.", jit_key=True
)

# Flags of random keys.
enable_custom_prng = _flag(
    "enable_custom_prng", False, settings.boolean, "Whether random.PRNGKey gives keys of a key dtype."
)
legacy_prng_key = _flag(
    "legacy_prng_key", "allow", settings.one_of("allow", "warn", "error"),
    "What happens when a raw array of words is used as a random key.",
)  # fmt: skip

# Flags of the meaning of programs, beyond those above.
allow_f16_reductions = _flag(
    "allow_f16_reductions", True, settings.boolean,
    "Whether lax.reduce_sum takes float16 and bfloat16; else it raises ValueError.", jit_key=True,
)  # fmt: skip
softmax_custom_jvp = _flag(
    "softmax_custom_jvp", False, settings.boolean,
    "Whether nn.softmax has a derivative rule of its own, which keeps the result alone.", jit_key=True,
)  # fmt: skip
auto_pcast = _flag(
    "auto_pcast", True, settings.boolean,
    "Whether shard_map casts operands to vary along the mesh axes that the others vary along; else they must agree.",
    jit_key=True,
)  # fmt: skip
remove_size_one_mesh_axis_from_type = _flag(
    "remove_size_one_mesh_axis_from_type", False, settings.boolean,
    "Whether types leave out the mesh axes of size 1 along which a value varies.", jit_key=True,
)  # fmt: skip
jax2tf_associative_scan_reductions = _flag(
    "jax2tf_associative_scan_reductions", False, settings.boolean,
    "How cumulative sums become TensorFlow graphs. Programs leave Canter as StableHLO only, so that no program "
    "depends on it; it is taken so that code that sets it runs.",
)  # fmt: skip

# Flags of tracing, errors and printing.
check_tracer_leaks = _flag(
    "check_tracer_leaks",
    False,
    settings.boolean,
    "Whether a tracer that outlives its trace raises.",
    jit_key=True,
)
enable_checks = _flag("enable_checks", False, settings.boolean, "Whether every jaxpr built is checked.")
log_compiles = _flag(
    "log_compiles", False, settings.boolean, "Whether each trace and compile is logged with its time."
)
explain_cache_misses = _flag(
    "explain_cache_misses",
    False,
    settings.boolean,
    "Whether each trace of a jitted function logs why it is needed.",
)
no_tracing = _flag(
    "no_tracing", False, settings.boolean, "Whether tracing a function for jit raises RuntimeError."
)
check_untrusted_artifacts = _flag(
    "check_untrusted_artifacts", True, settings.boolean,
    "Whether the module of an exported program that others wrote is read by a child process before this one.",
)  # fmt: skip
debug_key_reuse = _flag(
    "debug_key_reuse", False, settings.boolean, "Whether to use a random key a second time raises KeyReuseError.",
    jit_key=True,
)  # fmt: skip
no_execution = _flag(
    "no_execution", False, settings.boolean, "Whether running a compiled program raises RuntimeError.",
    dispatch_key=True,
)  # fmt: skip
traceback_filtering = _flag(
    "traceback_filtering", "auto",
    settings.one_of("off", "tracebackhide", "remove_frames", "quiet_remove_frames", "auto"),
    "Whether Canter's own frames are dropped from an exception's traceback ('off' keeps them).",
)  # fmt: skip
traceback_in_locations_limit = _flag(
    "traceback_in_locations_limit", 10, settings.number(int, -1),
    "How many user frames a location in the compiled program carries; -1 for all.",
)  # fmt: skip
logging_level = _flag(
    "logging_level", None,
    settings.optional(settings.one_of("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    "Level of the logger 'canter'.", on_change=_set_logging_level,
)  # fmt: skip

# Flags of devices and transfers.
platforms = _flag(
    "platforms",
    None,
    settings.optional(settings.text),
    "Platforms to start, by preference, such as 'cuda,cpu'.",
)
num_cpu_devices = _flag(
    "num_cpu_devices", -1, settings.number(int, -1), "How many virtual CPU devices to start; -1: one."
)
cuda_visible_devices = _flag(
    "cuda_visible_devices",
    "all",
    settings.device_ids,
    "Ids of the NVIDIA GPUs that may be used, '0,2', or 'all'.",
)
rocm_visible_devices = _flag(
    "rocm_visible_devices",
    "all",
    settings.device_ids,
    "Ids of the AMD GPUs that may be used, '0,2', or 'all'.",
)
mock_gpu_topology = _flag(
    "mock_gpu_topology", "", settings.gpu_topology,
    "Pretend that one GPU is many: slices x hosts in each x GPUs in each, such as '1x2x8'; '': do not.",
)  # fmt: skip
mock_num_gpu_processes = _flag(
    "mock_num_gpu_processes",
    0,
    settings.number(int, 0),
    "As how many processes the pretended GPUs count; 0: the hosts.",
)
pjrt_client_create_options = _flag(
    "pjrt_client_create_options", None, settings.optional(settings.plugin_options),
    "Options for the clients of plugins, such as 'memory_fraction:0.5;preallocate:false'.",
)  # fmt: skip
transfer_guard_host_to_device = _flag(
    "transfer_guard_host_to_device", None, settings.optional(settings.one_of(*_GUARD_LEVELS)),
    "What an implicit copy from host to device does.", on_change=_set_guard("host_to_device"),
)  # fmt: skip
transfer_guard_device_to_device = _flag(
    "transfer_guard_device_to_device", None, settings.optional(settings.one_of(*_GUARD_LEVELS)),
    "What an implicit copy from device to device does.", on_change=_set_guard("device_to_device"),
)  # fmt: skip
transfer_guard_device_to_host = _flag(
    "transfer_guard_device_to_host", None, settings.optional(settings.one_of(*_GUARD_LEVELS)),
    "What an implicit copy from device to host does.", on_change=_set_guard("device_to_host"),
)  # fmt: skip

array_garbage_collection_guard = _flag(
    "array_garbage_collection_guard", None, settings.optional(settings.one_of("allow", "log", "fatal")),
    "What happens when an array is freed by the garbage collector, which frees it late, instead of by its last "
    "reference: nothing, a line in the log, or the end of the process.", on_change=_set_collection_guard,
)  # fmt: skip
thread_guard = _flag(
    "thread_guard", False, settings.boolean,
    "Whether computations over several processes may start in the thread alone that set this flag.",
    on_change=_set_thread_guard,
)  # fmt: skip

# Flags of programs that several processes run together.
cpu_collectives_implementation = _flag(
    "cpu_collectives_implementation", "gloo", settings.optional(settings.one_of("none", "gloo", "mpi")),
    "What CPU devices of several processes communicate by.",
)  # fmt: skip
cpu_enable_async_dispatch = _flag(
    "cpu_enable_async_dispatch", None, settings.optional(settings.boolean),
    "Whether a call may return before the CPU has computed its results; None: with several CPU devices. One computes "
    "in the thread that calls, whose memory is kept from step to step.",
)  # fmt: skip
cpu_kept_memory = _flag(
    "cpu_kept_memory", None, settings.optional(settings.number(int, 0)),
    "How much memory that was freed this process keeps for what it computes next, in MiB, up to 2047; 0 leaves that to "
    "the C library. None: an eighth of the machine's. Read when the CPU is first used, where it is the default.",
)  # fmt: skip
cpu_get_local_topology_timeout_minutes = _flag(
    "cpu_get_local_topology_timeout_minutes", 2, settings.number(int, 0),
    "How long to wait for what the processes of this machine tell about their CPU devices.",
)  # fmt: skip
cpu_get_global_topology_timeout_minutes = _flag(
    "cpu_get_global_topology_timeout_minutes", 5, settings.number(int, 0),
    "How long to wait for what all processes tell about their CPU devices.",
)  # fmt: skip
sort_devices_by_process_index = _flag(
    "sort_devices_by_process_index", True, settings.boolean,
    "Whether `devices` gives those of process 0 first, then those of process 1, and so on (plugins).",
)  # fmt: skip
force_dcn_cross_host_transfers = _flag(
    "force_dcn_cross_host_transfers", False, settings.boolean,
    "Whether arrays move between hosts over the network, even where a faster way is there (plugins).",
)  # fmt: skip
enable_recoverability = _flag(
    "enable_recoverability", False, settings.boolean,
    "Whether a process goes on, in a computation it cannot finish, when another one has failed; else it ends.",
)  # fmt: skip
enable_preemption_service = _flag(
    "enable_preemption_service", True, settings.boolean,
    "Whether SIGTERM is taken as notice that the process will be stopped, for reached_preemption_sync_point.",
)  # fmt: skip
distributed_debug = _flag(
    "distributed_debug",
    False,
    settings.boolean,
    "Whether each program that processes agree on is logged as a warning.",
)
process_agreement_timeout_seconds = _flag(
    "process_agreement_timeout_seconds", 600.0, settings.number(float, 0),
    "How long a process waits for the others before it runs a new program with them.",
)  # fmt: skip

# Flags of how much is done to compile sooner, or to run faster.
_LEVELS = settings.one_of("UNKNOWN", "O0", "O1", "O2", "O3")
effort = _flag(
    "effort", "default", settings.one_of("fast", "default", "max"),
    "Whether programs are to compile sooner ('fast') or to run faster ('max').", dispatch_key=True,
)  # fmt: skip
outline = _flag(
    "outline", "auto", settings.one_of("auto", "off"),
    "Whether repeated layers of a program become calls of one function, or a loop (CPU only).", dispatch_key=True,
)  # fmt: skip
exec_time_optimization_effort = _flag(
    "exec_time_optimization_effort", 0.0, settings.number(float),
    "The compiler's effort to make programs fast, from -1 to 1; 0: what `effort` says.", dispatch_key=True,
)  # fmt: skip
memory_fitting_effort = _flag(
    "memory_fitting_effort", 0.0, settings.number(float),
    "The compiler's effort to fit programs into the memory of the device, from -1 to 1.", dispatch_key=True,
)  # fmt: skip
optimization_level = _flag(
    "optimization_level", "UNKNOWN", _LEVELS, "The compiler's optimisation level.", dispatch_key=True
)
memory_fitting_level = _flag(
    "memory_fitting_level", "O2", _LEVELS,
    "The level of the compiler's effort to fit the memory of the device.", dispatch_key=True,
)  # fmt: skip

# Flags of the compilation cache.
enable_compilation_cache = _flag(
    "enable_compilation_cache", True, settings.boolean, "Whether compiled programs are kept on disk."
)
compilation_cache_dir = _flag(
    "compilation_cache_dir", None, settings.optional(settings.text),
    "Folder of the compilation cache: a path, or a URL that fsspec opens, such as 'gs://bucket/folder'.",
)  # fmt: skip
compilation_cache_max_size = _flag(
    "compilation_cache_max_size", 4 << 30, settings.number(int, -1),
    "Bytes beyond which programs used longest ago leave the compilation cache; -1: no limit, 0: nothing is kept.",
)  # fmt: skip
compilation_cache_timeout_secs = _flag(
    "compilation_cache_timeout_secs", 10.0, settings.number(float, 0),
    "How long a remote folder of the compilation cache has to answer before it is left alone.",
)  # fmt: skip
compilation_cache_include_metadata_in_key = _flag(
    "compilation_cache_include_metadata_in_key", False, settings.boolean,
    "Whether a program whose source lines have moved is compiled again, so that profiles tell the new ones.",
)  # fmt: skip
compilation_cache_check_contents = _flag(
    "compilation_cache_check_contents", False, settings.boolean,
    "Whether the first use of an entry of the compilation cache compares it with the program compiled anew.",
)  # fmt: skip
persistent_cache_enable_xla_caches = _flag(
    "persistent_cache_enable_xla_caches", "xla_gpu_per_fusion_autotune_cache_dir",
    settings.optional(settings.xla_caches),
    "Caches of XLA's own on GPUs, kept in the folder that compilation_cache_dir names: 'all', 'none', or names with "
    "commas between them.",
)  # fmt: skip
persistent_cache_min_compile_time_secs = _flag(
    "persistent_cache_min_compile_time_secs", 1.0, settings.number(float, 0), "Shorter compiles are not kept."
)
persistent_cache_min_entry_size_bytes = _flag(
    "persistent_cache_min_entry_size_bytes", 0, settings.number(int, -1), "Smaller programs are not kept."
)
raise_persistent_cache_errors = _flag(
    "raise_persistent_cache_errors",
    False,
    settings.boolean,
    "Whether a damaged cache raises instead of warning.",
)
remove_custom_partitioning_ptr_from_cache_key = _flag(
    "remove_custom_partitioning_ptr_from_cache_key", False, settings.boolean,
    "Whether the address of a partitioning function is left out of a cache's key. There is none in programs of "
    "Canter's; the flag is taken so that code that sets it runs.",
)  # fmt: skip


def transfer_guard(new_val: str) -> FlagContext:
    """Sets all three transfer guards in this thread, for a block or a decorated function.

    Args:
      new_val: 'allow', 'log', 'disallow', 'log_explicit' or 'disallow_explicit'; the last two also
        cover copies asked for by `device_put` and `device_get`.

    Raises:
      ValueError: for another value.

    >>> import canter as ct
    >>> with ct.transfer_guard("allow"):
    ...     pass
    """
    guards = (transfer_guard_host_to_device, transfer_guard_device_to_device, transfer_guard_device_to_host)
    return FlagContext(tuple((guard, guard._parsed(new_val, "transfer_guard")) for guard in guards))


def checking_leaks() -> FlagContext:
    """`check_tracer_leaks(True)` under its shorter name.

    >>> import canter as ct
    >>> with ct.checking_leaks():
    ...     y = ct.jit(lambda x: x + 1)(1.0)
    """
    return check_tracer_leaks(True)


class UserContext(Config):
    """A value of a user's own on which compiled programs depend; made by `make_user_context`."""

    def __call__(self, new_value: Any) -> UserContextSetting:
        """A context manager that sets the value in this thread."""
        hash(new_value)  # raises TypeError for a value that cannot be part of a cache's key
        return UserContextSetting(self, new_value)

    def __bool__(self) -> bool:
        raise TypeError("A context has no truth value of its own: read its attribute `value`.")

    def __repr__(self) -> str:
        return f"<user context {self.value!r}>"


class UserContextSetting:
    """Sets a context in the current thread for a `with` block."""

    __slots__ = ("_context", "_saved", "_value")

    def __init__(self, context: UserContext, value: Any):
        self._context, self._value = context, value
        self._saved: list[Any] = []

    def __enter__(self) -> None:
        self._saved.append(self._context.swap_local(self._value))

    def __exit__(self, *_: object) -> None:
        self._context.set_local(self._saved.pop())


def make_user_context(default_value: Any = None) -> UserContext:
    """A value of one's own that functions read while they are traced: `jit` compiles anew where it differs.

    Args:
      default_value: the value outside all `with` blocks.

    Returns:
      An object whose `value` is read, and which is called to set it for a block: `with context(3): ...`. Make it
      while no other thread uses Canter.

    Raises:
      TypeError: a value is not hashable.

    >>> import canter as ct
    >>> factor = ct.make_user_context(1.0)
    >>> f = ct.jit(lambda x: x * factor.value)
    >>> with factor(3.0):
    ...     print(f(2.0))
    6.0
    >>> print(f(2.0))
    2.0
    """
    hash(default_value)
    name = f"user_context_{next(_user_contexts)}"
    return UserContext(name, default_value, include_in_jit_key=True, include_in_trace_context=True)


_user_contexts = itertools.count()

# States that the C++ side asks for. `tracing` belongs to core.trace, which sets it while a trace is
# active; it is part of the jit key so that no compiled eager call is reused inside a trace.
tracing_state = Config("tracing", False, include_in_jit_key=True)
post_hook = Config("post_hook", None)
# The mesh in force, see core.mesh: programs traced under different meshes are different programs.
mesh_context = Config("mesh_context", None, include_in_jit_key=True, include_in_trace_context=True)
jax_jit.set_enable_x64_state(enable_x64)
jax_jit.set_disable_jit_state(disable_jit)
jax_jit.set_post_hook_state(post_hook)

# Options of JAX's that have only one setting here: setting that one is allowed, any other raises.
_FIXED: dict[str, Any] = {
    "compilation_cache_expect_pgle": False,
    "include_full_tracebacks_in_locations": True,
    "pmap_shmap_merge": True,
    "use_direct_linearize": True,
    "use_shardy_partitioner": True,
}


class Configuration:
    """The flags by name: `config.update("enable_x64", True)`, `config.enable_x64`.

    A name may carry JAX's prefix or Canter's: `jax_enable_x64`, `canter_enable_x64`.

    >>> import canter as ct
    >>> ct.config.jax_enable_x64
    False
    """

    __slots__ = ()

    def update(self, name: str, value: Any) -> None:
        """Sets a flag for all threads.

        Args:
          name: the flag's name, with or without the prefix `jax_` or `canter_`.
          value: the new value.

        Raises:
          AttributeError: when there is no flag of that name; the message proposes the nearest ones.
          ValueError: when the flag does not take the value.
          NotImplementedError: for an option of which only one setting exists here.
        """
        bare = _bare_name(name)
        if bare == "transfer_guard":
            for direction in ("host_to_device", "device_to_device", "device_to_host"):
                flags[f"transfer_guard_{direction}"].set(value)
        elif bare in _FIXED:
            if value != _FIXED[bare]:
                raise NotImplementedError(
                    f"config.{name} is always {_FIXED[bare]!r} in Canter and cannot be set to {value!r}."
                )
        else:
            _find(name).set(value)

    def read(self, name: str) -> Any:
        """The value of a flag in this thread; AttributeError when there is no such flag."""
        bare = _bare_name(name)
        return _FIXED[bare] if bare in _FIXED else _find(name).value

    def config_with_absl(self) -> None:
        """Defines every flag as an option of absl's, and sets the flags when absl reads the command line.

        A flag that the command line does not name stays as it is. Flags that were defined before are left alone.

        Raises:
          ImportError: the package absl-py is not installed.
        """
        from .absl_flags import define

        define(self)

    @property
    def values(self) -> dict[str, Any]:
        """All flags and their values in this thread, under their `jax_` names."""
        fixed = {"jax_" + name: value for name, value in _FIXED.items()}
        return {"jax_" + name: flag.value for name, flag in flags.items()} | fixed

    @property
    def x64_enabled(self) -> bool:
        """The same as `config.enable_x64`."""
        return enable_x64.value

    def trace_context(self) -> tuple[Any, ...]:
        """The values of all flags that a compiled program depends on, as part of a cache's key."""
        return trace_context()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.read(name)

    def __setattr__(self, name: str, value: Any) -> None:
        _find(name)
        raise AttributeError(f"Flags are set by `config.update({name!r}, {value!r})`, not by assignment.")

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *flags, *self.values})

    def __iter__(self) -> Iterator[str]:
        return iter(flags)

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {flag.value!r}" for name, flag in flags.items())


def _bare_name(name: str) -> str:
    for prefix in ("jax_", "canter_"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _find(name: str) -> Flag:
    flag = flags.get(_bare_name(name))
    if flag is not None:
        return flag
    import difflib

    near = difflib.get_close_matches(_bare_name(name), [*flags, *_FIXED], n=3)
    proposal = f"; did you mean {' or '.join(map(repr, near))}?" if near else ". See dir(canter.config)."
    raise AttributeError(f"There is no flag {name!r}{proposal}")


def _reader(flag: Flag) -> property:
    return property(lambda config: flag.value, doc=flag.help)


for _name, _one in flags.items():  # plain attributes are ten times as fast as __getattr__
    setattr(Configuration, _name, _reader(_one))
    setattr(Configuration, "jax_" + _name, _reader(_one))

config = Configuration()
