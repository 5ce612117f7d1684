"""Will it fit? Compiling a function for a device, here or elsewhere, to see what it takes, without running it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from canter_pjrt.jaxlib_door import JaxRuntimeError

from ..core.errors import api_boundary
from .jaxpr_liveness import jaxpr_liveness
from .liveness import Liveness, LiveValue
from .memory_analysis import Donatable, bytes_text, donation_text, grouped, value_table

__all__ = ["Plan", "plan"]

_ROWS = 9


@dataclass(frozen=True, repr=False)
class Plan:
    """What a function would take on a device. Printed, it is a report.

    Attributes:
      name: of the function.
      device_kind: what the device calls itself.
      device_count: how many devices the program runs on; the figures are of each.
      device_memory: bytes that a device has; None where not known.
      argument_bytes, result_bytes, temporary_bytes: by kind; donated memory is counted as arguments only.
      values: the values in memory at the peak, largest first, with their lines.
      donatable: arguments whose memory a result could take, and that are not donated.
      costs: the compiler's estimate, with "flops" and "bytes accessed" where the platform gives them.
      refused: what the compiler said, where it found that the program does not fit; then the figures are of the program
        as it is written, before the compiler has fused anything, and for all devices together.
    """

    name: str
    device_kind: str
    device_count: int
    device_memory: int | None
    argument_bytes: int
    result_bytes: int
    temporary_bytes: int
    values: tuple[LiveValue, ...]
    donatable: tuple[Donatable, ...]
    costs: dict[str, float]
    refused: str | None = None

    @property
    def peak_bytes(self) -> int:
        """What has to be free on a device."""
        return self.argument_bytes + self.result_bytes + self.temporary_bytes

    @property
    def fits(self) -> bool | None:
        """Whether the peak is within the device's memory; None where that is not known."""
        if self.refused is not None:
            return False
        return None if self.device_memory is None else self.peak_bytes <= self.device_memory

    def __str__(self) -> str:
        many = f"{self.device_count} x " if self.device_count > 1 else ""
        each = ", a device each" if self.device_count > 1 and self.refused is None else ""
        lines = [f"{self.name} on {many}{self.device_kind}{each}", f"  peak        {self._verdict()}"]
        for label, size in (
            ("arguments", self.argument_bytes),
            ("results", self.result_bytes),
            ("temporaries", self.temporary_bytes),
        ):
            lines.append(f"  {label:<11} {bytes_text(size)}")
        if self.costs:
            lines.append(
                "  cost        " + ", ".join(f"{value:.3g} {name}" for name, value in self.costs.items())
            )
        if self.refused is not None:
            lines.append("The compiler refused it; figures are of the program as written. " + self.refused)
        if self.values:
            lines += ["At the peak, largest first:", *value_table(grouped(self.values), _ROWS)]
        if self.donatable:
            lines.append(donation_text(self.donatable))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _verdict(self) -> str:
        text = bytes_text(self.peak_bytes)
        if self.device_memory is None:
            return f"{text}; how much the device has is not known"
        share = f"{self.peak_bytes / self.device_memory:.1%}"
        word = "fits" if self.fits else "does not fit"
        return f"{text} of {bytes_text(self.device_memory)} ({share}): {word}"


@api_boundary
def plan(f: Any, /, *specs: Any, device: Any = None, **named_specs: Any) -> Plan:
    """Compiles a function for a device and tells what a call would take there; nothing runs.

    Args:
      f: a function, jitted or not. What `jit` was told of static and donated arguments and of shardings counts.
      specs: its arguments: arrays, or `ShapeDtypeStruct`s in their place; static ones as they are.
      device: hardware that need not be here, by name: "tpu:v5e", "tpu:v5e:4x4", "h100", "cuda:h100:8", or what
        `experimental.topologies.get_topology_desc` returns. That takes the platform's plugin (`pip install
        'canter[tpu]'`, `'canter[cuda13]'`). None, or the name of their platform, for
        the devices that a call here would use.
      named_specs: arguments by name.

    Returns:
      A `Plan`, which prints as a report.

    Raises:
      TypeError: `f` cannot be called, or traced for the arguments.
      ValueError: hardware that is not known, or with fewer devices than the program needs.
      RuntimeError: the platform's plugin is not installed.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> made = ct.plan(lambda x: (x @ x.T).sum(), ct.ShapeDtypeStruct((64, 8), "float32"))
      >>> made.argument_bytes, made.result_bytes, made.fits
      (2048, 4, True)
    """
    from .jit import jit

    jitted = f if hasattr(f, "trace") and hasattr(f, "lower") else jit(f)
    lowered = jitted.trace(*specs, **named_specs).lower()
    layout = lowered._lowered.layout
    count = 1 if layout is None else len(layout.devices)
    if device is not None and device != lowered._device.platform:
        from canter_pjrt.topologies import with_devices

        from .ahead_of_time import lower_for

        lowered = lower_for(lowered, with_devices(device, count) if isinstance(device, str) else device)
    target = lowered._device
    from canter_pjrt.topologies import memory_of

    name, memory = f"jit({lowered.fun_name})", memory_of(target)
    try:
        compiled = lowered.compile()
    except JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _of_refused(lowered, name, target, count, memory, str(error.args[0]))
    analysis = compiled.memory_analysis()
    return Plan(
        name,
        target.device_kind,
        count,
        memory,
        int(analysis.argument_size_in_bytes),
        int(analysis.output_size_in_bytes - analysis.alias_size_in_bytes),
        int(analysis.temp_size_in_bytes),
        analysis.values,
        analysis.donatable,
        _costs(compiled),
    )


def _of_refused(lowered: Any, name: str, device: Any, count: int, memory: int | None, message: str) -> Plan:
    program = lowered._lowered
    found: Liveness = jaxpr_liveness(program.jaxpr, program.argument_names or ())
    said = " ".join(re.sub(r"\n\s*See https.*", "", message, flags=re.DOTALL).split())[:400]
    return Plan(
        name, device.device_kind, count, memory, found.argument_bytes, found.result_bytes, found.temporary_bytes,
        found.values, (), {}, said,
    )  # fmt: skip


def _costs(compiled: Any) -> dict[str, float]:
    try:
        found = compiled.cost_analysis()
    except (NotImplementedError, RuntimeError):
        return {}
    return {name: found[name] for name in ("flops", "bytes accessed") if name in found}
