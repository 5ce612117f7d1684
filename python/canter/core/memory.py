"""Kinds of memory, independent of the platform's names for them."""

from __future__ import annotations

import enum
import typing

from canter_pjrt.jaxlib_door import default_memory_of

__all__ = ["Space", "host_kinds"]


class Space(enum.Enum):
    """A memory that an array can be in: the accelerator's own, or the host's.

    >>> import canter as ct
    >>> ct.device_put(ct.numpy.arange(3), ct.memory.Space.Host).sharding.memory_kind
    'pinned_host'
    """

    Device = "device"
    Host = "pinned_host"
    Any = "any"

    def __repr__(self) -> str:
        return f"MemorySpace.{self.name}"

    __str__ = __repr__

    def kind_on(self, device: typing.Any) -> str | None:
        """The name that a device has for it."""
        return self.value if self is Space.Host else default_memory_of(device)

    @staticmethod
    def of(target: typing.Any) -> Space | None:
        """The memory in types of what is put to a target; None where the target does not say."""
        if isinstance(target, Space):
            return target
        kind = getattr(target, "memory_kind", None)
        if kind is None:
            return None
        return Space.Host if kind == Space.Host.value else Space.Device


def host_kinds(avals: typing.Any) -> list[str | None]:
    """For each type the name of the host's memory if values are there; else None, for it need not be named."""
    return [Space.Host.value if aval.memory is Space.Host else None for aval in avals]
