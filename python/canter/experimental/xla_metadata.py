"""Words for the compiler, written beside operations as XLA's frontend attributes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core import metadata, pytree
from ..core.primitive import Primitive
from ..core.trace import Tracer, state
from ..runtime.array import Array

__all__ = ["set_xla_metadata", "xla_metadata_value_p"]

xla_metadata_value_p = Primitive("xla_metadata_value")
xla_metadata_value_p.def_abstract_eval(lambda x, *, xla_metadata_kvs: x)
xla_metadata_value_p.def_impl(lambda x, *, xla_metadata_kvs: x)


def _jvp(primals: Any, tangents: Any, *, xla_metadata_kvs: Any) -> Any:
    """The metadata is the value's; tangents are other values."""
    return xla_metadata_value_p.bind(*primals, xla_metadata_kvs=xla_metadata_kvs), tangents[0]


def _batch(args: Any, dims: Any, *, xla_metadata_kvs: Any) -> Any:
    return xla_metadata_value_p.bind(*args, xla_metadata_kvs=xla_metadata_kvs), dims[0]


xla_metadata_value_p.jvp_rule = _jvp
xla_metadata_value_p.batch_rule = _batch


def set_xla_metadata(x: Any = None, **kwargs: Any) -> Any:
    """Gives operations attributes for the compiler.

    Args:
      x: a tree of arrays: the operations that make them get the attributes, and outside of compiled functions nothing
        is done. Or a function: the operations of its calls get them. Or None: the result is a context
        manager, and the operations traced inside get them.
      **kwargs: the attributes. A bool becomes "true" or "false", any other value its text.

    Returns:
      The tree, the function, or a context manager that is also a decorator. Inner metadata has the last word.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter.experimental.xla_metadata import set_xla_metadata
      >>> @ct.jit
      ... def f(x):
      ...     with set_xla_metadata(speed="low"):
      ...         return cnp.sin(x)
      >>> 'frontend_attributes = {speed = "low"}' in f.lower(1.0).as_text()
      True
    """
    pairs = metadata.Metadata(sorted((key, _text(value)) for key, value in kwargs.items()))
    if x is None:
        return _Scope(pairs)
    if callable(x) and not isinstance(x, (Array, Tracer)):
        return _Scope(pairs)(x)
    leaves, tree = pytree.tree_flatten(x)
    if not any(isinstance(leaf, Tracer) for leaf in leaves):
        return x
    return tree.unflatten(
        [
            xla_metadata_value_p.bind(leaf, xla_metadata_kvs=tuple(pairs))
            if isinstance(leaf, Tracer)
            else leaf
            for leaf in leaves
        ]
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Scope:
    """Gives attributes to what is traced inside."""

    def __init__(self, pairs: metadata.Metadata):
        self._pairs = pairs
        self._outer: list[Any] = []

    def __enter__(self) -> None:
        context = metadata.use()
        known = dict(context.value or ())
        known.update(self._pairs)
        self._outer.append((context.swap_local(tuple(sorted(known.items()))), state.name_stack))
        state.name_stack = (*state.name_stack, self._pairs)

    def __exit__(self, *_: object) -> None:
        value, names = self._outer.pop()
        metadata.use().set_local(value)
        state.name_stack = names

    def __call__(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fun)
        def marked(*args: Any, **kwargs: Any) -> Any:
            with _Scope(self._pairs):
                return fun(*args, **kwargs)

        return marked
