"""Functions with batching rules of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .core import pytree
from .lax import map as _map
from .transforms.custom_vmap import custom_vmap as custom_vmap

__all__ = ["custom_vmap", "sequential_vmap"]


def sequential_vmap(f: Callable[..., Any]) -> custom_vmap[..., Any]:
    """A function that `vmap` applies to one element of the batch after the other.

    Args:
      f: takes and returns trees of arrays.

    Returns:
      A function of the same values; under `vmap` it becomes a `lax.map`, so that the memory of one
      element is enough and what cannot be batched is not.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> total = ct.custom_batching.sequential_vmap(lambda x: cnp.sum(x))
      >>> ct.vmap(total)(cnp.ones((2, 3))).tolist()
      [3.0, 3.0]
    """
    function = custom_vmap(f)

    @function.def_vmap
    def rule(axis_size: int, in_batched: Any, *args: Any) -> Any:
        leaves, tree = pytree.tree_flatten(args)
        flags = tree.flatten_up_to(tuple(in_batched))
        mapped = [x for x, flag in zip(leaves, flags, strict=True) if flag]

        def one(elements: Any) -> Any:
            given = iter(elements)
            return function(
                *tree.unflatten([next(given) if f else x for x, f in zip(leaves, flags, strict=True)])
            )

        outs = _map(one, mapped)
        return outs, pytree.tree_map(lambda _: True, outs)

    return function
