"""Pytrees: nested containers of arrays, flattened and rebuilt by jaxlib's C++ registry.

Containers are list, tuple, dict, None, namedtuples, OrderedDict, defaultdict and every class that
is registered; all else is a leaf. The order of a dict's leaves is that of its sorted keys.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from canter_pjrt.jaxlib_door import PyTreeDef, pytree

from .pytree_errors import equality_errors, mismatches, prefix_errors, structure_error
from .pytree_registry import (
    Partial,
    default_registry,
    register_dataclass,
    register_pytree_node,
    register_pytree_node_class,
    register_pytree_with_keys,
    register_pytree_with_keys_class,
    register_static,
)

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyEntry",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "broadcast_prefix",
    "build_tree",
    "default_registry",
    "equality_errors",
    "flatten_axes",
    "flatten_one_level",
    "flatten_one_level_with_keys",
    "is_tree_node",
    "keystr",
    "prefix_errors",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "registry",
    "tree_all",
    "tree_broadcast",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_reduce_associative",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
]

registry = default_registry

SequenceKey = pytree.SequenceKey
DictKey = pytree.DictKey
GetAttrKey = pytree.GetAttrKey
FlattenedIndexKey = pytree.FlattenedIndexKey
KeyEntry = TypeVar("KeyEntry", bound=Hashable)
KeyPath = tuple[Any, ...]
IsLeaf = Callable[[Any], bool] | None

_flatten = default_registry.flatten
_NOT_GIVEN: Any = object()


# ---------------------------------------------------------------- flattening


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], PyTreeDef]:
    """The leaves of a tree, and its structure.

    Args:
      tree: any nested containers.
      is_leaf: says of a subtree whether it counts as a leaf.

    Raises:
      ValueError: the keys of a dict cannot be sorted.

    >>> import canter as ct
    >>> leaves, structure = ct.tree.flatten({"b": [1, 2], "a": 3})
    >>> leaves
    [3, 1, 2]
    """
    try:
        return _flatten(tree, is_leaf)
    except ValueError as error:
        raise _explain_flatten(error) from error.__cause__


def _explain_flatten(error: ValueError) -> ValueError:
    if "sorting pytree dictionary keys" not in str(error):
        return error
    return ValueError(
        f"The keys of a dict cannot be sorted, so its leaves have no order: {error.__cause__}. "
        "Use keys of one type, for example strings, or a collections.OrderedDict."
    )


def tree_unflatten(treedef: PyTreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of the given structure and leaves.

    Args:
      treedef: a structure, as `tree_flatten` returns it.
      leaves: as many as the structure has.

    Raises:
      TypeError: `treedef` is not a structure.
      ValueError: there are too many or too few leaves.

    >>> import canter as ct
    >>> ct.tree.unflatten(ct.tree.structure({"a": 0, "b": 0}), [1, 2])
    {'a': 1, 'b': 2}
    """
    try:
        return treedef.unflatten(leaves)
    except AttributeError:
        if isinstance(treedef, PyTreeDef):
            raise
        raise TypeError(
            "tree.unflatten takes a structure first, as tree.flatten returns it, "
            f"not a {type(treedef).__name__}."
        ) from None


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a tree; see `tree_flatten`.

    >>> import canter as ct
    >>> ct.tree.leaves([1, (2, None)])
    [1, 2]
    """
    try:
        return _flatten(tree, is_leaf)[0]
    except ValueError as error:
        raise _explain_flatten(error) from error.__cause__


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> PyTreeDef:
    """The structure of a tree; see `tree_flatten`.

    >>> import canter as ct
    >>> ct.tree.structure([1, (2, None)])
    PyTreeDef([*, (*, None)])
    """
    try:
        return _flatten(tree, is_leaf)[1]
    except ValueError as error:
        raise _explain_flatten(error) from error.__cause__


def all_leaves(iterable: Iterable[Any], is_leaf: IsLeaf = None) -> bool:
    """Whether every element of an iterable is a leaf.

    >>> import canter as ct
    >>> ct.tree_util.all_leaves([1, "a"]), ct.tree_util.all_leaves([1, [2]])
    (True, False)
    """
    if is_leaf is None:
        return pytree.all_leaves(default_registry, iterable)
    items = list(iterable)
    leaves = tree_leaves(items, is_leaf)
    return len(leaves) == len(items) and all(a is b for a, b in zip(leaves, items, strict=True))


def flatten_one_level(tree: Any) -> tuple[Iterable[Any], Any]:
    """The children of a container and its static data; ValueError for a leaf.

    >>> import canter as ct
    >>> ct.tree_util.flatten_one_level({"a": [1], "b": 2})[1]
    ('a', 'b')
    """
    node = default_registry.flatten_one_level(tree)
    if node is None:
        raise ValueError(f"A value of type {type(tree).__name__} is a leaf; it has no children.")
    return node


def flatten_one_level_with_keys(tree: Any) -> tuple[Iterable[tuple[Any, Any]], Any]:
    """The (key, child) pairs of a container and its static data; ValueError for a leaf.

    >>> import canter as ct
    >>> ct.tree_util.flatten_one_level_with_keys([5])[0]
    ((SequenceKey(idx=0), 5),)
    """
    node = default_registry.flatten_one_level_with_keys(tree)
    if node is None:
        raise ValueError(f"A value of type {type(tree).__name__} is a leaf; it has no children.")
    return tuple(node[0]), node[1]


def is_tree_node(typ: type) -> bool:
    """Whether the instances of a class are containers.

    >>> import canter as ct
    >>> ct.tree_util.is_tree_node(list), ct.tree_util.is_tree_node(int)
    (True, False)
    """
    return default_registry.is_node(typ) or (issubclass(typ, tuple) and hasattr(typ, "_fields"))


# ---------------------------------------------------------------- key paths


def tree_flatten_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Any]], PyTreeDef]:
    """Pairs of key path and leaf, and the tree's structure.

    Args:
      tree: any nested containers.
      is_leaf: says of a subtree whether it counts as a leaf.
      is_leaf_takes_path: whether `is_leaf` is called with (path, subtree).

    >>> import canter as ct
    >>> ct.tree.flatten_with_path({"a": [7]})[0]
    [((DictKey(key='a'), SequenceKey(idx=0)), 7)]
    """
    predicate = is_leaf
    if is_leaf is not None and not is_leaf_takes_path:

        def predicate(path: KeyPath, x: Any) -> bool:
            return is_leaf(x)

    try:
        return default_registry.flatten_with_path(tree, predicate)
    except ValueError as error:
        raise _explain_flatten(error) from error.__cause__


def tree_leaves_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Any]]:
    """Pairs of key path and leaf; see `tree_flatten_with_path`.

    >>> import canter as ct
    >>> [(ct.tree_util.keystr(path), x) for path, x in ct.tree.leaves_with_path({"a": [7, 8]})]
    [("['a'][0]", 7), ("['a'][1]", 8)]
    """
    return tree_flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def tree_map_with_path(
    f: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[..., bool] | None = None,
    is_leaf_takes_path: bool = False,
) -> Any:
    """As `tree_map`, with the key path as the first argument of `f`.

    >>> import canter as ct
    >>> ct.tree.map_with_path(lambda path, x: ct.tree_util.keystr(path) + str(x), {"a": 1})
    {'a': "['a']1"}
    """
    pairs, treedef = tree_flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    paths, leaves = [path for path, _ in pairs], [leaf for _, leaf in pairs]
    others = [_flatten_up_to(treedef, tree, other, i, None) for i, other in enumerate(rest)]
    return treedef.unflatten(list(map(f, paths, leaves, *others)))


_KEY_ATTRIBUTES = {SequenceKey: "idx", DictKey: "key", GetAttrKey: "name", FlattenedIndexKey: "key"}


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """A key path as text: `['w'][0].scale`.

    Args:
      keys: a key path.
      simple: whether to write keys without brackets and quotes.
      separator: what stands between the keys.

    >>> import canter as ct
    >>> path = (ct.tree_util.DictKey("w"), ct.tree_util.SequenceKey(0))
    >>> ct.tree_util.keystr(path), ct.tree_util.keystr(path, simple=True, separator="/")
    ("['w'][0]", 'w/0')
    """
    if not simple:
        return separator.join(map(str, keys))
    attributes = [_KEY_ATTRIBUTES.get(type(key)) for key in keys]
    return separator.join(
        str(key if name is None else getattr(key, name)) for key, name in zip(keys, attributes, strict=True)
    )


# ---------------------------------------------------------------- mapping and reducing


def tree_map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Applies a function to the leaves of one or several trees, and returns the tree of the results.

    Args:
      f: takes one leaf of each tree.
      tree: the tree whose structure the result has.
      *rest: further trees; they have the structure of the first, or go deeper where it has a leaf.
      is_leaf: says of a subtree of the first tree whether it counts as a leaf.

    Raises:
      ValueError: the trees' structures differ; the message names the place.

    >>> import canter as ct
    >>> ct.tree.map(lambda x, y: x + y, {"a": 1, "b": (2,)}, {"a": 10, "b": (20,)})
    {'a': 11, 'b': (22,)}
    """
    try:
        leaves, treedef = _flatten(tree, is_leaf)
    except ValueError as error:
        raise _explain_flatten(error) from error.__cause__
    if not rest:
        return treedef.unflatten(list(map(f, leaves)))
    others = [_flatten_up_to(treedef, tree, other, i, is_leaf) for i, other in enumerate(rest)]
    return treedef.unflatten(list(map(f, leaves, *others)))


def _flatten_up_to(treedef: PyTreeDef, tree: Any, other: Any, position: int, is_leaf: IsLeaf) -> list[Any]:
    try:
        return treedef.flatten_up_to(other)
    except ValueError as error:
        mismatch = next(mismatches(tree, other, is_leaf, prefix=True), None)
        if mismatch is None:
            raise
        rule = "tree.map takes trees of the same structure."
        raise structure_error(rule, "the first tree", f"tree number {position + 2}", mismatch) from error


def tree_reduce(
    function: Callable[[Any, Any], Any], tree: Any, initializer: Any = _NOT_GIVEN, is_leaf: IsLeaf = None
) -> Any:
    """Combines the leaves of a tree from left to right, as `functools.reduce`.

    Args:
      function: takes (the result so far, a leaf).
      tree: any nested containers.
      initializer: the result so far at the start; without it, the first leaf.
      is_leaf: says of a subtree whether it counts as a leaf.

    Raises:
      TypeError: the tree has no leaves and no initializer is given.

    >>> import canter as ct
    >>> ct.tree.reduce(lambda a, b: a + b, [1, (2, 3)])
    6
    """
    leaves = tree_leaves(tree, is_leaf)
    if initializer is not _NOT_GIVEN:
        return functools.reduce(function, leaves, initializer)
    if not leaves:
        raise TypeError("tree.reduce of a tree without leaves needs an initializer.")
    return functools.reduce(function, leaves)


def tree_reduce_associative(
    operation: Callable[[Any, Any], Any], tree: Any, *, identity: Any = _NOT_GIVEN, is_leaf: IsLeaf = None
) -> Any:
    """Combines the leaves of a tree pairwise, in a balanced way: log(n) steps deep, and more exact sums.

    Args:
      operation: an associative function of two leaves or results.
      tree: any nested containers.
      identity: the result for a tree without leaves.
      is_leaf: says of a subtree whether it counts as a leaf.

    Raises:
      TypeError: the tree has no leaves and no identity is given.

    >>> import canter as ct
    >>> ct.tree.reduce_associative(lambda a, b: f"({a}{b})", list("abcd"))
    '((ab)(cd))'
    """
    leaves = tree_leaves(tree, is_leaf)
    if not leaves:
        if identity is _NOT_GIVEN:
            raise TypeError("tree.reduce_associative of a tree without leaves needs an identity.")
        return identity

    def combine(items: list[Any]) -> Any:
        if len(items) == 1:
            return items[0]
        half = len(items) // 2
        return operation(combine(items[:half]), combine(items[half:]))

    return combine(leaves)


def tree_all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are true.

    >>> import canter as ct
    >>> ct.tree.all([True, (False,)])
    False
    """
    return all(tree_leaves(tree, is_leaf))


def tree_transpose(
    outer_treedef: PyTreeDef, inner_treedef: PyTreeDef | None, pytree_to_transpose: Any
) -> Any:
    """Turns a tree of trees inside out: a list of pairs becomes a pair of lists.

    Args:
      outer_treedef: the structure of the outer tree.
      inner_treedef: that of each of its leaves; None to take the first leaf's.
      pytree_to_transpose: the tree.

    Raises:
      TypeError: the tree does not have that structure.

    >>> import canter as ct
    >>> ct.tree.transpose(ct.tree.structure([0, 0]), None, [(1, 2), (3, 4)])
    ([1, 3], [2, 4])
    """
    try:
        inners = outer_treedef.flatten_up_to(pytree_to_transpose)
    except ValueError as error:
        raise TypeError(
            f"tree.transpose: the outer structure should be {outer_treedef}, "
            f"but the tree is {tree_structure(pytree_to_transpose)}."
        ) from error
    if inner_treedef is None:
        inner_treedef = tree_structure(inners[0]) if inners else tree_structure(())
    rows = []
    for number, inner in enumerate(inners):
        leaves, structure = _flatten(inner)
        if structure != inner_treedef:
            path = tree_leaves_with_path(outer_treedef.unflatten(range(outer_treedef.num_leaves)))[number][0]
            raise TypeError(
                f"tree.transpose: the subtree at {keystr(path) or 'the top'} has the structure {structure}, "
                f"but every subtree should have {inner_treedef}."
            )
        rows.append(leaves)
    columns = zip(*rows, strict=True) if rows else [()] * inner_treedef.num_leaves
    return inner_treedef.unflatten([outer_treedef.unflatten(column) for column in columns])


# ---------------------------------------------------------------- prefixes


def broadcast_prefix(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """For every leaf of a tree, the leaf of a prefix tree that stands for it.

    Args:
      prefix_tree: a tree with the structure of `full_tree`'s upper part.
      full_tree: the tree.
      is_leaf: says of a subtree of the prefix whether it counts as a leaf.

    Raises:
      ValueError: the structures do not fit; the message names the place.
    """
    leaves, treedef = tree_flatten(prefix_tree, is_leaf)
    try:
        subtrees = treedef.flatten_up_to(full_tree)
    except ValueError:
        errors = prefix_errors(prefix_tree, full_tree, is_leaf)
        if not errors:
            raise
        raise errors[0]("the prefix tree") from None
    result: list[Any] = []
    for leaf, subtree in zip(leaves, subtrees, strict=True):
        result += [leaf] * _flatten(subtree, is_leaf)[1].num_leaves
    return result


def tree_broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """A tree of the structure of `full_tree`, with each leaf of `prefix_tree` repeated below its place.

    >>> import canter as ct
    >>> ct.tree.broadcast([1, 2], [(0, 0), {"a": 0}])
    [(1, 1), {'a': 2}]
    """
    return tree_structure(full_tree, is_leaf).unflatten(broadcast_prefix(prefix_tree, full_tree, is_leaf))


def flatten_axes(name: str, treedef: PyTreeDef, axis_tree: Any, *, tupled_args: bool = False) -> list[Any]:
    """One entry of `axis_tree` for every leaf of a structure; None counts as an entry.

    Args:
      name: what the axes are, for the message: `vmap in_axes`.
      treedef: the structure of the values.
      axis_tree: a prefix tree of that structure.
      tupled_args: whether the structure is that of a tuple of arguments, for the message.

    Raises:
      ValueError: `axis_tree` does not fit; the message names the place.
    """
    values = treedef.unflatten(range(treedef.num_leaves))
    is_none = _is_none
    try:
        axes, axes_treedef = _flatten(axis_tree, is_none)
        subtrees = axes_treedef.flatten_up_to(values)
    except ValueError as error:
        mismatch = next(mismatches(axis_tree, values, is_none, prefix=True), None)
        if mismatch is None:
            raise
        rule = f"{name} must be an int or None, or a tree with the structure of the value's upper part."
        if tupled_args:
            rule += " It is matched against the tuple of positional arguments."
        raise structure_error(rule, name, "the value", mismatch) from error
    result: list[Any] = []
    for axis, subtree in zip(axes, subtrees, strict=True):
        result += [axis] * _flatten(subtree)[1].num_leaves
    return result


def _is_none(x: Any) -> bool:
    return x is None


# ---------------------------------------------------------------- structures


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of a tuple of trees of the given structures.

    >>> import canter as ct
    >>> ct.tree_util.treedef_tuple([ct.tree.structure(0), ct.tree.structure([0])])
    PyTreeDef((*, [*]))
    """
    return pytree.treedef_tuple(default_registry, list(treedefs))


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The structures of a container's children.

    >>> import canter as ct
    >>> ct.tree_util.treedef_children(ct.tree.structure([0, (0,)]))
    [PyTreeDef(*), PyTreeDef((*,))]
    """
    return treedef.children()


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Whether a structure is that of a leaf, or of an empty container.

    >>> import canter as ct
    >>> ct.tree_util.treedef_is_leaf(ct.tree.structure(0))
    True
    """
    return treedef.num_nodes == 1


def build_tree(treedef: PyTreeDef, xs: Any) -> Any:
    """The tree of a structure whose leaves are the nodes of a nested iterable of the same shape.

    >>> import canter as ct
    >>> ct.tree_util.build_tree(ct.tree.structure({"a": 0, "b": (0,)}), [1, [2]])
    {'a': 1, 'b': (2,)}
    """
    return treedef.from_iterable_tree(xs)
