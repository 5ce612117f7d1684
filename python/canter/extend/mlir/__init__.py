"""MLIR modules as bytes: portable artifacts and conversions; `ir`, `passmanager` and `dialects` are the bindings."""

from typing import Any as _Any

from ...core.naming import lazy_names as _lazy_names

_submodules = ("dialects", "ir", "passmanager")
_load, _listed = _lazy_names(
    __name__,
    {
        "canter.extend.mlir.conversions": "deserialize_portable_artifact hlo_to_stablehlo lower_with_sharding_in_types "
        "refine_polymorphic_shapes serialize_portable_artifact",
    },
)


def __getattr__(name: str) -> _Any:
    if name in _submodules:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    return _load(name)


def __dir__() -> list[str]:
    return [*_listed(), *_submodules]
