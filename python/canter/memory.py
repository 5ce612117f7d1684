"""Memories of devices and hosts.

>>> import canter as ct
>>> ct.memory.Space.Host
MemorySpace.Host
"""

from .core.memory import Space as Space

__all__ = ["Space"]
