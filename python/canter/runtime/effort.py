"""Compile effort: what is done, and what is left out, to compile sooner or run faster.

An effort is a row of `LEVERS`. It reaches a program as pairs among its compiler options, `("effort", "fast")`
and `("outline", "off")`, which name no option of the compiler: `split` takes them out again. So whatever
carries, compares or prints compiler options carries them too. What "max" does on the CPU is in `autotuning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core import config
from ..core.jaxpr import Jaxpr

__all__ = [
    "DEFAULT_EFFORT",
    "EFFORTS",
    "LEVERS",
    "Effort",
    "Levers",
    "current",
    "flags_of",
    "option_pairs",
    "split",
]

EFFORTS = ("fast", "default", "max")
OUTLINES = ("auto", "off")
_LEVELS = {"UNKNOWN": 0, "O0": 9, "O1": 19, "O2": 29, "O3": 39}  # as the compiler numbers them


class Levers(NamedTuple):
    """What an effort sets.

    Attributes:
      cpu: options of the compiler on the CPU.
      cpu_plain: more of them, for programs of plain types and no great size, under a jaxlib that they are known of.
      cpu_simple: the same for those of a few simple operations, see `simple_programs`.
      roll: how many calls of an outlined function in a row become a loop; on the CPU.
      roll_plain: the same under a jaxlib that `cpu_plain` is known of.
      roll_bytes: how much a loop may store side by side that was apart.
      exec_time: `exec_time_optimization_effort` on the other platforms: -1 compiles sooner, 1 runs faster.
    """

    cpu: Mapping[str, Any]
    cpu_plain: Mapping[str, Any]
    cpu_simple: Mapping[str, Any]
    roll: int
    roll_plain: int
    roll_bytes: float
    exec_time: float


#: By effort. docs/compile-time.md has what each brought, and what was tried and brought nothing.
LEVERS = {
    "fast": Levers(
        cpu={"xla_backend_optimization_level": 0},
        cpu_plain={"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1},
        cpu_simple={},
        roll=32,
        roll_plain=6,
        roll_bytes=float("inf"),
        exec_time=-1.0,
    ),
    "default": Levers({}, {}, {"xla_cpu_use_fusion_emitters": False}, 32, 32, 2 << 20, 0.0),
    "max": Levers({}, {}, {}, 32, 32, 2 << 20, 1.0),
}
#: The emitters generate code once for kernels that are alike, which saves more than they cost in large programs.
_MOST_PLAIN_LINES = 5000
#: Without the fusion emitters, jaxlib 0.10 ends the process over integers of 2 and 4 bits; later versions do not
#: have them as an option. Floating-point numbers of 4 to 8 bits are left out with them.
_PLAIN_VERSIONS = ((0, 10),)
_NARROW = r"[<x][su]?i[24][>,]|[<x]f[468]E"


class Effort(NamedTuple):
    """What decides on the effort for one program.

    Attributes:
      name: the row of `LEVERS`.
      outline: "auto", or "off": repeated layers stay as they are.
      exec_time: the compiler's own scale, which other platforms than the CPU read; 0: what `name` says.
      memory_fitting: the same for fitting the memory of the device.
      optimization_level: "O0" to "O3", or "UNKNOWN".
      memory_fitting_level: the same for memory.
    """

    name: str = "default"
    outline: str = "auto"
    exec_time: float = 0.0
    memory_fitting: float = 0.0
    optimization_level: str = "UNKNOWN"
    memory_fitting_level: str = "O2"

    @property
    def levers(self) -> Levers:
        return LEVERS[self.name]

    @property
    def parts(self) -> bool:
        """Whether a program that falls into equal parts is compiled as several."""
        return self.outline != "off" and self.name != "max"

    @property
    def roll(self) -> int:
        """How many calls of an outlined function in a row become a loop."""
        return self.levers.roll_plain if _knows_plain_options() else self.levers.roll

    def compiler_options(self, platform: str, module: Any, jaxpr: Jaxpr | None = None) -> dict[str, Any]:
        """Options of the compiler that the effort stands for on a platform, for a module and its program."""
        if platform != "cpu":
            return {}
        levers = self.levers
        options = dict(levers.cpu)
        if (levers.cpu_plain or levers.cpu_simple) and _knows_plain_options():
            if levers.cpu_plain and _is_plain(module):
                options.update(levers.cpu_plain)
            if levers.cpu_simple and jaxpr is not None:
                from .simple_programs import is_simple

                if is_simple(jaxpr):
                    options.update(levers.cpu_simple)
        return options

    def build_options(self, platform: str) -> dict[str, Any]:
        """Values for the compiler's build options; those that are as the compiler has them are left out."""
        asked = {
            "exec_time_optimization_effort": self.exec_time,
            "memory_fitting_effort": self.memory_fitting,
            "optimization_level": _LEVELS[self.optimization_level],
            "memory_fitting_level": _LEVELS[self.memory_fitting_level],
        }
        if platform == "cpu":  # which reads none of them: what is as always is not told
            return {name: value for name, value in asked.items() if value not in (0, _LEVELS["O2"])}
        asked["exec_time_optimization_effort"] = self.exec_time or self.levers.exec_time
        return {name: value for name, value in asked.items() if value}

    def described(self) -> dict[str, Any]:
        """Each of them under its name in the configuration's terms."""
        return {"effort" if name == "name" else name: value for name, value in self._asdict().items()}


DEFAULT_EFFORT = Effort()


def _knows_plain_options() -> bool:
    from canter_pjrt.jaxlib_door import jaxlib_version

    return tuple(jaxlib_version[:2]) in _PLAIN_VERSIONS


def _is_plain(module: Any) -> bool:
    """Whether `cpu_plain` may be and is worth being set: no narrow types, not even in exported programs inside."""
    import re

    text = module.operation.get_asm(large_elements_limit=16)
    return text.count("\n") <= _MOST_PLAIN_LINES and re.search(_NARROW, text) is None


def flags_of(compiler_options: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    """Compiler options as pairs in the order of their names.

    Raises:
      CompilerOptionError: a name is no string, or a value of a type that no option takes.
    """
    if not compiler_options:
        return ()
    from canter_pjrt.compile import sorted_options

    return tuple(sorted_options(compiler_options))


def option_pairs(effort: str | None, outline: str | None, what: str = "jit") -> tuple[tuple[str, str], ...]:
    """The two as pairs among compiler options; None leaves one to the configuration.

    Raises:
      ValueError: another word.
    """
    pairs = []
    for name, value, known in (("effort", effort, EFFORTS), ("outline", outline, OUTLINES)):
        if value is None:
            continue
        if value not in known:
            raise ValueError(
                f"{what}({name}={value!r}): expected None or one of {', '.join(map(repr, known))}."
            )
        pairs.append((name, value))
    return tuple(pairs)


def split(flags: tuple[tuple[str, Any], ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Options of the compiler proper, and those of `option_pairs` among the given ones; later ones count."""
    options = dict(flags)
    return options, {name: options.pop(name) for name in ("effort", "outline") if name in options}


def current(flags: tuple[tuple[str, Any], ...] = ()) -> Effort:
    """The effort for a program with these options, under the configuration as it is now."""
    found = Effort(
        config.effort.value,
        config.outline.value,
        config.exec_time_optimization_effort.value,
        config.memory_fitting_effort.value,
        config.optimization_level.value,
        config.memory_fitting_level.value,
    )
    return replaced(found, flags) if flags else found


def replaced(effort: Effort, flags: tuple[tuple[str, Any], ...]) -> Effort:
    """The effort with what the options say in its place."""
    _, own = split(flags)
    if not own:
        return effort
    return effort._replace(name=own.get("effort", effort.name), outline=own.get("outline", effort.outline))
