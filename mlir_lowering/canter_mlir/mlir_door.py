"""The one door to the MLIR bindings inside jaxlib.

Every name of `jaxlib.mlir` that Canter uses is imported here, and what differs between jaxlib
0.10.2, 0.11.2 and 0.12.0.1 is levelled here. The Python classes of the dialects are not loaded:
operations are created by name, which is quicker to import and to run. `dialect()` loads them for
whoever wants them.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from jaxlib.mlir import ir as _ir, passmanager
from jaxlib.mlir._mlir_libs import _chlo, _jax_mlir_ext, _sdy, _stablehlo

__all__ = [
    "chlo_attributes",
    "dialect",
    "ir",
    "load_all_dialects",
    "location_cache",
    "context_for_module",
    "new_context",
    "passmanager",
    "sdy_attributes",
    "stablehlo_attributes",
]

# Their type stubs differ between versions and say less than the truth, so they are not used.
ir: Any = _ir
# The attribute and type classes of the dialects, without their operation classes.
stablehlo_attributes: Any = _stablehlo
chlo_attributes: Any = _chlo
sdy_attributes: Any = _sdy

_dialect_registry: Any = None


def new_context() -> Any:
    """An MLIR context with func, stablehlo, chlo and sdy loaded; takes about 0.4 ms.

    Every module has a context of its own: passes run in the context of their module with the
    interpreter lock released, and a context is not safe for two threads.

    Example:
      >>> from canter_mlir import mlir_door
      >>> with mlir_door.new_context():
      ...     print(mlir_door.ir.Module.parse("module @m {}"))
      module @m {
      }
      <BLANKLINE>
    """
    global _dialect_registry
    if _dialect_registry is None:
        registry = ir.DialectRegistry()
        _jax_mlir_ext.register_dialects(registry)
        _dialect_registry = registry
    context = ir.Context()
    context.append_dialect_registry(_dialect_registry)
    context.get_dialect_descriptor("func")
    _sdy.register_dialect(context)
    _chlo.register_dialect(context)
    _stablehlo.register_dialect(context)
    context.enable_multithreading(False)
    return context


# Contexts whose module is gone, with how often each was used: making one takes as long as lowering fifty
# equations. A context keeps every type and attribute it ever made, so it is not used for ever.
_idle_contexts: list[tuple[Any, int]] = []
_MOST_USES = 32
_MOST_IDLE = 4


def context_for_module() -> tuple[Any, Callable[[Any], None]]:
    """A context for one module, and the function to call with the module once it is made.

    The context is used again when the module is gone.
    """
    try:
        context, uses = _idle_contexts.pop()
    except IndexError:
        context, uses = new_context(), 0

    def belongs_to(module: Any) -> None:
        weakref.finalize(module, _give_back, context, uses + 1).atexit = False

    return context, belongs_to


def _give_back(context: Any, uses: int) -> None:
    if uses < _MOST_USES and len(_idle_contexts) < _MOST_IDLE:
        _idle_contexts.append((context, uses))


def __getattr__(name: str) -> Any:
    if name == "upstream_dialects":  # a registry of the dialects that are not of jaxlib's own
        registry = ir.DialectRegistry()
        _jax_mlir_ext.register_dialects(registry)
        return registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_all_dialects(context: Any) -> None:
    """Loads every dialect that jaxlib ships into a context, for rules from outside that build them."""
    context.load_all_available_dialects()


def dialect(name: str) -> ModuleType:
    """The Python module of a dialect with its operation classes: `dialect("stablehlo").add(x, y)`.

    Args:
      name: such as "stablehlo", "chlo", "func", "sdy", "arith", "mhlo".
    """
    return importlib.import_module(f"jaxlib.mlir.dialects.{name}")


def location_cache(filename_of_code: Callable[..., str | None], frame_limit: int, context: Any) -> Any:
    """An object whose `get(traceback)` gives the MLIR location of a jaxlib Traceback.

    Args:
      filename_of_code: called once for each code object; gives the file name to print, or None to
        leave frames of that code out.
      frame_limit: how many frames a location keeps, innermost first.
      context: the MLIR context of the locations.
    """
    return _jax_mlir_ext.TracebackToLocationCache(filename_of_code, frame_limit, context)
