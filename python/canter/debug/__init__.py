"""Looking into programs while they run: printing, callbacks, breakpoints, where arrays are.

Names and parameters are those of `jax.debug`. Each is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.effects import DebugEffect as DebugEffect, OrderedDebugEffect as OrderedDebugEffect
    from ..runtime.sharding_inspection import inspect_array_sharding as inspect_array_sharding
    from ..runtime.sharding_pictures import (
        visualize_array_sharding as visualize_array_sharding,
        visualize_sharding as visualize_sharding,
    )
    from .breakpoints import breakpoint as breakpoint
    from .printing import callback as callback, log as log, print as print

_names = {
    "DebugEffect": "canter.core.effects",
    "OrderedDebugEffect": "canter.core.effects",
    "breakpoint": "canter.debug.breakpoints",
    "callback": "canter.debug.printing",
    "inspect_array_sharding": "canter.runtime.sharding_inspection",
    "log": "canter.debug.printing",
    "print": "canter.debug.printing",
    "visualize_array_sharding": "canter.runtime.sharding_pictures",
    "visualize_sharding": "canter.runtime.sharding_pictures",
}

__all__ = [*_names]


def __getattr__(name: str) -> Any:
    module = _names.get(name)
    if module is None:
        from ..core.errors import unknown_attribute

        raise unknown_attribute("canter.debug", name, __dir__())
    value = getattr(_import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_names})
