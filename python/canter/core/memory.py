"""Kinds of memory, independent of the platform's names for them."""

from __future__ import annotations

import enum
import typing

from canter_pjrt.jaxlib_door import default_memory_of

__all__ = ["Space"]


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

    def kind_on(self, device: typing.Any) -> str | None:
        """The name that a device has for it."""
        return self.value if self is Space.Host else default_memory_of(device)
