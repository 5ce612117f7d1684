"""The function that `vjp` returns, and how it adds what it finds to mutable references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core import pytree
from ..core.pytree_registry import GetAttrKey, Partial, register_pytree_node
from ..core.state import addupdate_p, is_ref

__all__ = ["GradRef", "PullBack"]


class GradRef:
    """Stands among cotangents for one that was added to a reference."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "GradRef()"


class PullBack(Partial):
    """From a cotangent of a function's value to cotangents of its arguments; see `vjp`."""

    def with_refs(self, *refs: Any) -> Callable[[Any], tuple[Any, ...]]:
        """The same function, which adds cotangents to references instead of returning them.

        Args:
          *refs: one an argument: a tree like the argument of mutable references, or of None where the cotangent is
            to be returned; None for a whole argument.

        Returns:
          A function of the cotangent. It returns what `f_vjp` does, with `GradRef()` for what went to a reference.

        Raises:
          TypeError: a reference is none, or their number is not that of the arguments.

        Example:
          >>> import canter as ct
          >>> import canter.numpy as cnp
          >>> total = ct.new_ref(cnp.zeros(3))
          >>> for x in (cnp.ones(3), 2 * cnp.ones(3)):
          ...     _, f_vjp = ct.vjp(lambda x: (x * x).sum(), x)
          ...     print(f_vjp.with_refs(total)(1.0))
          (GradRef(),)
          (GradRef(),)
          >>> total[...].tolist()
          [6.0, 6.0, 6.0]
        """
        static: Any = self.func
        tree = static.in_tree
        if len(refs) != len(tree.children()):
            raise TypeError(f"with_refs takes one tree an argument: {len(tree.children())}, not {len(refs)}.")
        places = pytree.flatten_axes("with_refs", tree, tuple(refs))
        for place in places:
            if place is not None and not is_ref(place):
                raise TypeError(f"with_refs takes mutable references and None, got a {type(place).__name__}.")

        def pull_back(cotangent: Any) -> tuple[Any, ...]:
            leaves = pytree.tree_leaves(self(cotangent))
            return tree.unflatten([_added(x, place) for x, place in zip(leaves, places, strict=True)])

        return pull_back


def _added(value: Any, ref: Any) -> Any:
    if ref is None:
        return value
    everything = tuple(slice(0, size, 1) for size in ref.shape)
    addupdate_p.bind(ref, value, indices=everything)
    return GradRef()


register_pytree_node(
    PullBack,
    lambda p: ((p.args, p.keywords), p.func),
    lambda func, children: PullBack(func, *children[0], **children[1]),
    lambda p: (((GetAttrKey("args"), p.args), (GetAttrKey("keywords"), p.keywords)), p.func),
)
