"""The function that `vjp` returns, and how it adds what it finds to mutable references."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ..core import pytree
from ..core.pytree_registry import GetAttrKey, Partial, register_pytree_node
from ..core.state import addupdate_p, is_ref

__all__ = ["DidntWant", "DontWant", "GradRef", "GradValue", "PullBack", "ad"]


class _Mark:
    """Stands in a tree of references or of cotangents; all instances of a class are equal."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class GradValue(_Mark):
    """Given to `with_refs`: the cotangent is to be returned, as without references."""

    __slots__ = ()


class DontWant(_Mark):
    """Given to `with_refs`: the cotangent is not wanted."""

    __slots__ = ()


class DidntWant(_Mark):
    """Returned in the place of a cotangent that was not wanted."""

    __slots__ = ()


class GradRef(_Mark):
    """Returned in the place of a cotangent that was added to a reference."""

    __slots__ = ()


ad = SimpleNamespace(DontWant=DontWant, DidntWant=DidntWant, GradRef=GradRef, GradValue=GradValue)


class PullBack(Partial):
    """From a cotangent of a function's value to cotangents of its arguments; see `vjp`."""

    def with_refs(self, *refs: Any) -> Callable[[Any], tuple[Any, ...]]:
        """The same function, which adds cotangents to references instead of returning them.

        Args:
          *refs: one an argument: a tree like the argument of mutable references, of `ad.GradValue()` or None where
            the cotangent is to be returned, and of `ad.DontWant()` where it is not wanted; or one of these for a
            whole argument.

        Returns:
          A function of the cotangent. It returns what `f_vjp` does, with `ad.GradRef()` for what went to a
          reference and `ad.DidntWant()` for what was not wanted.

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
            if not (place is None or isinstance(place, (GradValue, DontWant)) or is_ref(place)):
                raise TypeError(
                    "with_refs takes mutable references, ad.GradValue(), ad.DontWant() and None, got a "
                    f"{type(place).__name__}."
                )

        def pull_back(cotangent: Any) -> tuple[Any, ...]:
            leaves = pytree.tree_leaves(self(cotangent))
            return tree.unflatten([_added(x, place) for x, place in zip(leaves, places, strict=True)])

        return pull_back


def _added(value: Any, ref: Any) -> Any:
    if ref is None or isinstance(ref, GradValue):
        return value
    if isinstance(ref, DontWant):
        return DidntWant()
    everything = tuple(slice(0, size, 1) for size in ref.shape)
    addupdate_p.bind(ref, value, indices=everything)
    return GradRef()


register_pytree_node(
    PullBack,
    lambda p: ((p.args, p.keywords), p.func),
    lambda func, children: PullBack(func, *children[0], **children[1]),
    lambda p: (((GetAttrKey("args"), p.args), (GetAttrKey("keywords"), p.keywords)), p.func),
)
