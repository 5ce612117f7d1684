"""Evaluating single primitives, and the type of a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from canter_pjrt.jaxlib_door import Client as Backend

from ..core import avals as _avals, dtypes as _dtypes
from ..core.primitive import Primitive as _Primitive

__all__ = ["Backend", "apply_primitive", "canonicalize_dtype_handlers"]


def apply_primitive(prim: _Primitive, *args: Any, **params: Any) -> Any:
    """Evaluates a primitive by compiling it, as all without an implementation of their own are.

    Example:
      >>> from canter import lax
      >>> from canter.interpreters import xla
      >>> xla.apply_primitive(lax.neg_p, 2.0).item()
      -2.0
    """
    from ..runtime.dispatch import apply_primitive

    return apply_primitive(prim, args, params)


class _CanonicalizeHandlers(MutableMapping[type, Callable[..., Any]]):
    """Type -> function from its values to values that tracing takes: those it would take anyway, by default.

    A function for a type that is not an array's makes its values acceptable as arrays.
    """

    def __init__(self) -> None:
        self._given: dict[type, Callable[..., Any]] = {}

    def __getitem__(self, kind: type) -> Callable[..., Any]:
        if kind in self._given:
            return self._given[kind]
        if kind in _avals._aval_of_type:
            return _canonical
        raise KeyError(kind)

    def __setitem__(self, kind: type, handler: Callable[..., Any]) -> None:
        self._given[kind] = handler
        if kind not in _avals._aval_of_type:
            _avals.register_aval(kind, lambda value: _avals.get_aval(handler(value)))

    def __delitem__(self, kind: type) -> None:
        del self._given[kind]

    def __iter__(self) -> Iterator[type]:
        return iter({**_avals._aval_of_type, **self._given})

    def __len__(self) -> int:
        return len({**_avals._aval_of_type, **self._given})


def _canonical(value: Any, canonicalize_scalar_dtypes: bool = True) -> Any:
    """A value of a dtype that arrays have under the present flags."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or hasattr(value, "aval"):
        return value
    canonical = _dtypes.canonicalize_dtype(dtype)
    return value if canonical == dtype else value.astype(canonical)


canonicalize_dtype_handlers = _CanonicalizeHandlers()
