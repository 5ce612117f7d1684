"""What may still change. Names and parameters are those of `jax.experimental`; each is loaded when first used."""

from __future__ import annotations

from importlib import import_module as _import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.mutable_high import cur_qdd as cur_qdd
    from ..runtime.callbacks import io_callback as io_callback

_names = {"cur_qdd": "canter.core.mutable_high", "io_callback": "canter.runtime.callbacks"}
_submodules = frozenset(module.name for module in iter_modules(__path__))

__all__ = [*_names, *sorted(_submodules)]


def __getattr__(name: str) -> Any:
    if name in _names:
        value = getattr(_import_module(_names[name]), name)
    elif name in _submodules:
        value = _import_module(f"{__name__}.{name}")
    else:
        from ..core.errors import unknown_attribute

        raise unknown_attribute("canter.experimental", name, __dir__())
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_names, *_submodules})
