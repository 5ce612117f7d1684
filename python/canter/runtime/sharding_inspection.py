"""Where the arrays of a program are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import pytree
from ..core.effects import debug_effect
from ..core.errors import api_boundary
from ..core.primitive import Primitive
from ..lax.conversion import as_array

__all__ = ["inspect_array_sharding"]

inspect_sharding_p = Primitive("inspect_sharding", multiple_results=True)
inspect_sharding_p.def_effectful_abstract_eval(lambda aval, callback: ([], frozenset((debug_effect,))))
inspect_sharding_p.transpose_rule = lambda cotangents, x, callback: [None]


@inspect_sharding_p.def_impl
def _inspect_now(x: Any, *, callback: Any) -> list[Any]:
    callback(as_array(x).sharding)
    return []


@inspect_sharding_p.def_jvp
def _jvp(primals: Any, tangents: Any, *, callback: Any) -> Any:
    inspect_sharding_p.bind(*primals, callback=callback)
    return [], []


@inspect_sharding_p.def_batching
def _batch(args: Any, dims: Any, *, callback: Any) -> Any:
    inspect_sharding_p.bind(*args, callback=callback)
    return [], []


@api_boundary
def inspect_array_sharding(value: Any, *, callback: Callable[[Any], None]) -> None:
    """Calls a function with the sharding of an array, also of one inside a compiled program.

    It is called as soon as the sharding is known: now for concrete arrays, and when the program is
    compiled for values inside of one. Runs of the compiled program call it no more.

    Args:
      value: a tree of arrays.
      callback: takes a sharding.

    Example:
      >>> import canter as ct
      >>> ct.debug.inspect_array_sharding(ct.numpy.ones(3), callback=lambda s: print(s.num_devices))
      1
    """
    if not callable(callback):
        raise TypeError(f"inspect_array_sharding: callback must be callable, got {type(callback).__name__}.")
    for leaf in pytree.tree_leaves(value):
        inspect_sharding_p.bind(leaf, callback=callback)
