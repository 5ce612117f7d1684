"""Programs compiled for hardware that is not here."""

from __future__ import annotations

from typing import Any

from canter_pjrt.jaxlib_door import CompileOnlyPyClient

__all__ = ["is_elsewhere", "refuse_if_elsewhere"]


def is_elsewhere(device: Any) -> bool:
    """Whether a device can be compiled for and nothing else."""
    return isinstance(device.client, CompileOnlyPyClient)


def refuse_if_elsewhere(executable: Any, name: str) -> None:
    """Raises RuntimeError if a compiled program cannot be run by this process."""
    if is_elsewhere(executable.device):
        raise RuntimeError(
            f"{name} was compiled for {executable.device.device_kind}, which this process does not have, and cannot be "
            "called here. Save it with canter.export.save_compiled and load it where the hardware is, or compile it "
            "without topology."
        )
