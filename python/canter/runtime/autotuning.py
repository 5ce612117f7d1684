"""`effort="max"` on the CPU: a program is compiled in several ways, and the one that runs fastest is kept.

No set of the compiler's options wins everywhere: docs/compile-time.md has programs that each of `VARIANTS` is good
for. The ways are timed in turns on arguments that are made up by the program's types, and only where nobody can tell:
the program has no effects, calls nothing of the user's, and takes equally long whatever its arguments' values are.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from canter_pjrt.compile import CompilerOptionError

from ..core import config, dtypes
from ..core.avals import ShapedArray
from ..core.jaxpr import Jaxpr, subjaxprs
from .device_put import block_until_ready
from .placement import place

if TYPE_CHECKING:
    from .program import LoweredProgram

__all__ = ["VARIANTS", "fastest", "marker", "why_not"]

#: Options of the compiler by what they are called in the log. The first is the program of the default effort.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no library kernels": {"xla_cpu_experimental_ynn_fusion_type": ""},
    "library products": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"},
    "library reductions": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"},
    "in order": {"xla_cpu_enable_concurrency_optimized_scheduler": False},
    "memory scheduler": {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"},
}
_NO_LOOPS = "no outlining"  # the program as it is written, where outlining has changed it

_MOST_BYTES = 1 << 30  # of arguments, results and what lies between
_WINS = 0.97  # of the default's time; what is closer is noise
_SECONDS, _ROUNDS = 4.0, (5, 40)  # how long to measure; no fewer and no more rounds
_TOO_LONG = 20.0  # a run of so many seconds decides for the default
_TOO_SHORT = 1e-4  # so does one that is mostly the call
_BATCH_SECONDS = 1e-3  # quicker programs run several times between two looks at the clock
#: Primitives that run unknown code, or for how long depends on values.
_UNKNOWN = {"while", "ffi_call", "pallas_call", "call_exported", "infeed", "outfeed"}
_KNOWN_KERNELS = re.compile(r"lapack_|mhlo\.|chlo\.|Sharding$|TopK$")

_clock = time.perf_counter


def marker(program: LoweredProgram) -> bytes:
    """What the choice is among, for the name of the program on disk."""
    return repr((sorted(VARIANTS.items()), program.unoutlined is not None)).encode()


def why_not(program: LoweredProgram) -> str | None:
    """Why a program may not be run on made-up arguments; None if it may."""
    if program.layout is not None:
        return "it has layouts or runs on several devices"
    if program.effects or program.host_callbacks or program.keepalives:
        return "it has effects or calls Python"
    if config.no_execution.value:
        return "no_execution is set"
    if not all(map(_can_be_made_up, program.in_avals)):
        return "it takes arguments that are no plain arrays"
    unknown = {name for name in _primitives(program.jaxpr) if name in _UNKNOWN}
    if unknown:
        return f"it has {', '.join(sorted(unknown))}"
    text = program.module.operation.get_asm(large_elements_limit=16)
    kernels = set(re.findall(r'custom_call(?: @|.*call_target_name = ")"?([\w.$]+)', text))
    foreign = sorted(name for name in kernels if not _KNOWN_KERNELS.match(name))
    return f"it calls {', '.join(foreign)}" if foreign else None


def fastest(
    program: LoweredProgram,
    device: Any,
    asked: Mapping[str, Any],
    compiled: Callable[[Any, Mapping[str, Any]], Any],
    log: Callable[..., None],
    tell: Callable[[str], None],
) -> Any:
    """The executable of a program that runs fastest.

    Args:
      program: what to compile.
      device: where it runs.
      asked: options of the user's, which all variants have.
      compiled: compiles a module with options.
      log: is told what was chosen, and why nothing was measured.
      tell: is told what is going on, for the terminal.
    """
    name = program.options.name
    default = compiled(program.module, asked)
    reason = why_not(program) or _too_large(default)
    if reason is not None:
        log("effort='max' does not measure jit(%s): %s. It has the options of the default.", name, reason)
        return default
    run = _runner(program, device, default)
    seconds = run(default, 1)
    if seconds < 1.0:
        seconds = min(seconds, run(default, 3))
    if not _TOO_SHORT < seconds < _TOO_LONG:
        log(
            "effort='max' has the options of the default for jit(%s), which takes %.3g ms.",
            name,
            seconds * 1e3,
        )
        return default
    executables = {"default": default}
    for label, module, options in _variants(program, asked):
        tell(f"compiling ({label})")
        try:
            executable = compiled(module, options)
        except CompilerOptionError:  # of another version of the compiler
            continue
        if _too_large(executable) is None:
            executables[label] = executable
    tell("measuring")
    times = _measured(executables, run, _per_look(seconds))
    best = min(times, key=lambda label: times[label])
    if times[best] > _WINS * times["default"]:
        best = "default"
    told = ", ".join(f"{label} {seconds * 1e3:.3g} ms" for label, seconds in times.items())
    log("effort='max' chose %r for jit(%s): %s", best, name, told)
    return executables[best]


def _variants(
    program: LoweredProgram, asked: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    for label, options in VARIANTS.items():
        if options and not options.keys() & asked.keys():
            yield label, program.module, {**options, **asked}
    if program.unoutlined is not None:
        yield _NO_LOOPS, program.unoutlined().module, asked


def _runner(program: LoweredProgram, device: Any, default: Any) -> Callable[[Any, int], float]:
    """A function that runs an executable some times, and returns the seconds that one run takes."""
    from .program import Executable

    handlers = Executable(default, program, device).handlers(True)
    values, donates = [_made_up(aval) for aval in program.in_avals], any(program.donated)
    operands = [place(value, device) for value in values]

    def run(executable: Any, times: int) -> float:
        nonlocal operands
        times = 1 if donates else times
        start = _clock()
        for _ in range(times):
            results = executable.execute_sharded(operands).consume_with_handlers(handlers)
        block_until_ready(results)
        seconds = (_clock() - start) / times
        if donates:
            operands = [place(value, device) for value in values]
        return seconds

    return run


def _per_look(seconds: float) -> int:
    """How often a program runs between two looks at the clock."""
    return max(1, min(100, int(_BATCH_SECONDS / seconds)))


def _measured(
    executables: Mapping[str, Any], run: Callable[[Any, int], float], times: int
) -> dict[str, float]:
    """Seconds that a run of each takes, the least of several rounds in which all have their turn."""
    for executable in executables.values():
        run(executable, 1)
    least = dict.fromkeys(executables, math.inf)
    start = _clock()
    fewest, most = _ROUNDS
    for count in range(most):
        if count >= fewest and _clock() - start > _SECONDS:
            break
        for label, executable in executables.items():
            least[label] = min(least[label], run(executable, times))
    return least


def _can_be_made_up(aval: Any) -> bool:
    return type(aval) is ShapedArray and aval.dtype != dtypes.float0


def _made_up(aval: Any) -> np.ndarray:
    """Values of a type: numbers between 0 and 1/8, as large ones would overflow in deep models; integers are 0 or 1."""
    shape, dtype = aval.shape, aval.dtype
    if isinstance(dtype, dtypes.ExtendedDType):
        shape, dtype = shape + dtype.physical_element_shape, dtype.physical_dtype
    numbers = np.random.default_rng(0).random(4099)
    whole = np.dtype(dtype).kind in "bui"
    return np.resize((numbers > 0.5 if whole else numbers / 8).astype(dtype), shape)


def _too_large(executable: Any) -> str | None:
    memory = executable.get_compiled_memory_stats()
    total = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return f"it needs {total / 2**30:.1f} GiB" if total > _MOST_BYTES else None


def _primitives(jaxpr: Jaxpr | None) -> Iterator[str]:
    if jaxpr is None:
        return
    pending: list[Jaxpr] = [jaxpr]
    seen: set[int] = set()
    while pending:
        inner = pending.pop()
        if id(inner) not in seen:
            seen.add(id(inner))
            yield from (eqn.primitive.name for eqn in inner.eqns)
            pending.extend(_plain(each) for each in subjaxprs(inner))


def _plain(jaxpr: Any) -> Jaxpr:
    return getattr(jaxpr, "jaxpr", jaxpr)
