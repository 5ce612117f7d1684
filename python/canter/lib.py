"""Where older libraries look for parts of the runtime: `lib.xla_bridge`, `lib.xla_client`, `lib.xla_extension`.

New code finds devices in `canter` itself, backends in `canter.extend.backend`, and foreign functions in `canter.ffi`.
"""

from __future__ import annotations

import importlib
from typing import Any

# Name -> module, and the attribute of it that stands for the name; None for the module itself.
_HOMES: dict[str, tuple[str, str | None]] = {
    "xla_bridge": ("canter.extend.backend", None),
    "xla_client": ("canter_pjrt.jaxlib_door", "xla_client"),
    "xla_extension": ("canter.runtime.xla_extension", None),
}

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'canter.lib' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    module, attribute = _HOMES[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(_HOMES)
