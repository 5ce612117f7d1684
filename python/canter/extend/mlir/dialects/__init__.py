"""The operation classes of the MLIR dialects inside jaxlib, one module a dialect, loaded when first used."""

from collections.abc import Callable as _Callable
from typing import Any as _Any

from canter_mlir.mlir_door import dialect as _dialect

_names = frozenset("arith builtin chlo func math memref mpmd scf sdy sparse_tensor stablehlo vector".split())


def _forward(name: str) -> tuple[_Callable[[str], _Any], _Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module that has the names of a dialect's."""
    module = _dialect(name)
    return lambda attribute: getattr(module, attribute), lambda: dir(module)


def __getattr__(name: str) -> _Any:
    if name not in _names:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _dialect(name)


def __dir__() -> list[str]:
    return sorted(_names)
