"""Where two trees differ, in words, with the path to the place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .pytree_registry import default_registry

__all__ = ["Mismatch", "equality_errors", "mismatches", "prefix_errors", "structure_error"]

KeyPath = tuple[Any, ...]


class Mismatch(NamedTuple):
    """One place at which two trees differ: what stands there, and what to do."""

    path: KeyPath
    left: str
    right: str
    advice: str


def mismatches(
    left: Any, right: Any, is_leaf: Callable[[Any], bool] | None = None, *, prefix: bool, path: KeyPath = ()
) -> Iterator[Mismatch]:
    """The places at which the structures of two trees differ.

    Args:
      left, right: the trees.
      is_leaf: what counts as a leaf besides what is not a container.
      prefix: whether a leaf of `left` may stand for a whole subtree of `right`.
      path: where the trees are in a greater one.
    """
    left_node = None if is_leaf is not None and is_leaf(left) else default_registry.flatten_one_level(left)
    if left_node is None and prefix:
        return
    right_leaf = not prefix and is_leaf is not None and is_leaf(right)
    right_node = None if right_leaf else default_registry.flatten_one_level(right)
    if left_node is None and right_node is None:
        return
    if left_node is None or right_node is None or type(left) is not type(right):
        advice = _type_advice(left, right)
        yield Mismatch(path, _kind(left, left_node), _kind(right, right_node), advice)
        return
    difference = _node_difference(left, right, left_node[1], right_node[1])
    if difference is not None:
        yield Mismatch(path, *difference)
        return
    left_pairs = list(default_registry.flatten_one_level_with_keys(left)[0])
    right_children = list(right_node[0])
    if len(left_pairs) != len(right_children):
        yield Mismatch(path, f"{len(left_pairs)} children", f"{len(right_children)} children", "")
        return
    for (key, child), other in zip(left_pairs, right_children, strict=True):
        yield from mismatches(child, other, is_leaf, prefix=prefix, path=(*path, key))


def _kind(x: Any, node: Any) -> str:
    if x is None:
        return "None"
    name = type(x).__name__
    if node is not None:
        return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
    return f"a leaf of type {name}"


def _type_advice(left: Any, right: Any) -> str:
    if left is None or right is None:
        return "None is an empty container, not a leaf; to have it as one, pass is_leaf=lambda x: x is None."
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return "Lists, tuples and namedtuples are different containers: convert one."
    return "Give both the same container there."


def _node_difference(left: Any, right: Any, left_data: Any, right_data: Any) -> tuple[str, str, str] | None:
    """What differs between two containers of the same class, apart from their children."""
    if isinstance(left, (list, tuple)) and not hasattr(left, "_fields"):
        if len(left) == len(right):
            return None
        name = type(left).__name__
        return (
            f"a {name} of length {len(left)}",
            f"a {name} of length {len(right)}",
            "Give both the same length.",
        )
    if left_data == right_data:
        return None
    if isinstance(left, dict):
        only_left = [repr(k) for k in left if k not in right]
        only_right = [repr(k) for k in right if k not in left]
        if only_left or only_right:
            name = type(left).__name__
            return (
                f"a {name}" + (f" with the key {', '.join(only_left)[:200]}" if only_left else ""),
                f"a {name}"
                + (f" with the key {', '.join(only_right)[:200]}" if only_right else " without it"),
                "Give both the same keys.",
            )
        return (
            f"keys in the order {list(left)!r:.200}",
            f"in the order {list(right)!r:.200}",
            "Sort them alike.",
        )
    name = type(left).__name__
    return (
        f"a {name} with {left_data!r:.200}",
        f"a {name} with {right_data!r:.200}",
        "Their static parts must be equal.",
    )


def _place(path: KeyPath) -> str:
    from .pytree import keystr

    return keystr(path) if path else "the top"


def structure_error(what: str, left_name: str, right_name: str, mismatch: Mismatch) -> ValueError:
    """The exception for a mismatch.

    Args:
      what: a sentence that says which rule is broken.
      left_name, right_name: what the trees are to the user.
      mismatch: where they differ.
    """
    lines = [
        what,
        f"They differ at {_place(mismatch.path)}: {left_name} has {mismatch.left}, "
        f"{right_name} has {mismatch.right}.",
        mismatch.advice,
    ]
    return ValueError("\n".join(line for line in lines if line))


def prefix_errors(
    prefix_tree: Any, full_tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> list[Callable[[str], ValueError]]:
    """One function per mismatch; called with the name of the prefix tree, it returns the exception."""

    def make(mismatch: Mismatch) -> Callable[[str], ValueError]:
        def error(name: str) -> ValueError:
            rule = f"{name} must have the structure of its tree, or of the tree's upper part."
            return structure_error(rule, name, "the tree", mismatch)

        return error

    return [make(m) for m in mismatches(prefix_tree, full_tree, is_leaf, prefix=True)]


def equality_errors(
    tree1: Any, tree2: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Iterator[tuple[KeyPath, str, str, str]]:
    """(path, what the first tree has there, what the second has, advice) for each difference of structure."""
    for mismatch in mismatches(tree1, tree2, is_leaf, prefix=False):
        yield tuple(mismatch)  # type: ignore[misc]
