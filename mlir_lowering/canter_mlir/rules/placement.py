"""Placement of values on devices: inside a program for one device there is nothing to do."""

from __future__ import annotations

from typing import Any

from ..registry import register_lowering

__all__: list[str] = []


def _device_put(ctx: Any, *operands: Any, devices: Any, srcs: Any, copy_semantics: Any) -> list[Any]:
    del ctx, srcs, copy_semantics
    for device in devices:
        several = getattr(device, "device_set", None)
        if several is not None and len(several) > 1:
            raise NotImplementedError(
                f"device_put inside a compiled function takes one device; got {device}, of {len(several)} "
                f"devices. Put the arguments there before the call."
            )
    return list(operands)


register_lowering("device_put", _device_put)
