"""Pytrees: traversal, key paths, registration, errors that name the place."""

import collections
import copy
import dataclasses
import functools
import pickle

import numpy as np
import pytest

import canter as ct
from canter import tree, tree_util
from canter.core import pytree

Point = collections.namedtuple("Point", "x y")


@tree_util.register_pytree_node_class
class Special:
    def __init__(self, a, b, tag="t"):
        self.a, self.b, self.tag = a, b, tag

    def tree_flatten(self):
        return (self.a, self.b), self.tag

    @classmethod
    def tree_unflatten(cls, tag, children):
        return cls(*children, tag)

    def __eq__(self, other):
        return (self.a, self.b, self.tag) == (other.a, other.b, other.tag)


@tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    weight: object
    bias: object = None
    name: str = tree.static(default="layer")


TREES = [
    1,
    None,
    (),
    [1, (2, {"b": 3, "a": [4, None]})],
    Point(1, [2]),
    collections.OrderedDict(b=1, a=2),
    collections.defaultdict(list, b=1, a=2),
    Special(1, {"k": 2}),
    Layer(1, [2, 3]),
    tree_util.Partial(max, 1, key=2),
]


@pytest.mark.parametrize("value", TREES, ids=lambda tree: type(tree).__name__)
def test_round_trips(value):
    leaves, treedef = tree.flatten(value)
    rebuilt = tree.unflatten(treedef, leaves)
    assert tree.leaves(rebuilt) == leaves and tree.structure(rebuilt) == treedef
    assert type(rebuilt) is type(value)
    pairs, same = tree.flatten_with_path(value)
    assert same == treedef and [leaf for _, leaf in pairs] == leaves
    if not isinstance(value, tree_util.Partial):
        assert rebuilt == value


@pytest.mark.parametrize("value", TREES, ids=lambda tree: type(tree).__name__)
def test_structures_pickle(value):
    treedef = tree.structure(value)
    assert pickle.loads(pickle.dumps(treedef)) == treedef
    assert copy.deepcopy(treedef) == treedef
    assert hash(pickle.loads(pickle.dumps(treedef))) == hash(treedef)


def test_dict_order_is_that_of_the_keys():
    assert tree.leaves({"b": 1, "a": 2}) == [2, 1]
    assert tree.structure({"b": 1, "a": 2}) == tree.structure({"a": 0, "b": 0})
    assert tree.leaves(collections.OrderedDict(b=1, a=2)) == [1, 2]


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({"a": [1, (2,)]}, ["['a'][0]", "['a'][1][0]"]),
        (Point(1, 2), [".x", ".y"]),
        (Layer(1, {"z": 2}), [".weight", ".bias['z']"]),
        (Special(1, 2), ["[<flat index 0>]", "[<flat index 1>]"]),
        (collections.OrderedDict(b=1), ["['b']"]),
        (tree_util.Partial(max, 1, k=2), [".args[0]", ".keywords['k']"]),
        (5, [""]),
    ],
)
def test_key_paths(value, paths):
    assert [tree_util.keystr(path) for path, _ in tree.leaves_with_path(value)] == paths


def test_simple_key_paths():
    path = (
        tree_util.SequenceKey(0),
        tree_util.DictKey("a"),
        tree_util.GetAttrKey("b"),
        tree_util.FlattenedIndexKey(3),
    )
    assert tree_util.keystr(path, simple=True, separator="/") == "0/a/b/3"
    assert tree_util.keystr(path, separator=" ") == "[0] ['a'] .b [<flat index 3>]"
    assert tree_util.keystr(("own", 3)) == "own3"


def test_map():
    assert tree.map(lambda x, y: (x, y), {"a": 1, "b": [2]}, {"a": [3], "b": [4]}) == {
        "a": (1, [3]),
        "b": [(2, 4)],
    }
    assert tree.map(len, [(1, 2), "abc"], is_leaf=lambda x: isinstance(x, tuple)) == [2, 3]
    assert tree.map_with_path(lambda p, x, y: tree_util.keystr(p) + str(x + y), [1], [2]) == ["[0]3"]
    assert tree.leaves_with_path([(1, 2)], lambda p, x: len(p) == 1, is_leaf_takes_path=True)[0][1] == (1, 2)


def test_reductions():
    assert tree.reduce(lambda a, b: a + b, [1, (2, 3)]) == 6
    assert tree.reduce(lambda a, b: a + b, [], 7) == 7
    assert tree.reduce_associative(lambda a, b: f"({a}{b})", list("abcdefg")) == "((a(bc))((de)(fg)))"
    assert tree.reduce_associative(lambda a, b: a, [], identity="e") == "e"
    assert tree.all([True, (1,)]) and not tree.all([0]) and tree.all(None)
    with pytest.raises(TypeError, match="initializer"):
        tree.reduce(lambda a, b: a, [])
    with pytest.raises(TypeError, match="identity"):
        tree.reduce_associative(lambda a, b: a, [])


def test_transpose():
    outer, inner = tree.structure([0, 0]), tree.structure({"a": 0, "b": 0})
    value = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert tree.transpose(outer, inner, value) == {"a": [1, 3], "b": [2, 4]}
    assert tree.transpose(outer, None, value) == {"a": [1, 3], "b": [2, 4]}
    with pytest.raises(TypeError, match=r"the subtree at \[1\]"):
        tree.transpose(outer, None, [(1, 2), (1,)])
    with pytest.raises(TypeError, match="outer structure"):
        tree.transpose(outer, None, ((1, 2),))


def test_broadcast():
    assert tree.broadcast([1, 2], [[0, 0], {"a": 0}]) == [[1, 1], {"a": 2}]
    assert tree.broadcast(1, None) is None
    with pytest.raises(ValueError, match=r"a list of length 2.*a list of length 3"):
        tree.broadcast([1, 2], [1, 2, 3])


def test_flatten_axes():
    treedef = tree.structure(({"a": 0, "b": (0, 0)}, 0))
    assert pytree.flatten_axes("in_axes", treedef, ({"a": 1, "b": None}, 0)) == [1, None, None, 0]
    assert pytree.flatten_axes("in_axes", treedef, 2) == [2] * 4
    with pytest.raises(ValueError, match=r"in_axes must be.*\n.*at \[0\].*'c'"):
        pytree.flatten_axes("in_axes", treedef, ({"a": 1, "c": 1}, 0))


def test_one_level():
    assert (
        tree_util.flatten_one_level([1, (2,)]) == ([1, (2,)], None)
        or tree_util.flatten_one_level([1])[1] is None
    )
    assert tree_util.flatten_one_level_with_keys({"a": [1]})[0] == ((tree_util.DictKey("a"), [1]),)
    with pytest.raises(ValueError, match="is a leaf"):
        tree_util.flatten_one_level(3)
    with pytest.raises(ValueError, match="is a leaf"):
        tree_util.flatten_one_level_with_keys(3)


def test_structures():
    leaf, pair = tree.structure(0), tree.structure([0])
    assert tree_util.treedef_children(tree_util.treedef_tuple([leaf, pair])) == [leaf, pair]
    assert tree_util.treedef_is_leaf(leaf) and not tree_util.treedef_is_leaf(pair)
    assert (
        tree_util.all_leaves([1, "a"])
        and not tree_util.all_leaves([1, None])
        and not tree_util.all_leaves([[2]])
    )
    assert tree_util.all_leaves([[2]], is_leaf=lambda x: isinstance(x, list) and len(x) == 1 and x[0] == 2)
    assert (
        tree_util.is_tree_node(Point)
        and tree_util.is_tree_node(type(None))
        and not tree_util.is_tree_node(int)
    )
    assert tree_util.build_tree(tree.structure({"a": 0, "b": (0,)}), [1, [2]]) == {"a": 1, "b": (2,)}


def test_static_classes():
    @tree_util.register_static
    class Mode(str):
        pass

    assert tree.leaves([Mode("a"), 1]) == [1]
    assert tree.map(lambda x: x + 1, [Mode("a"), 1]) == ["a", 2]
    assert tree.structure(Mode("a")) != tree.structure(Mode("b"))


def test_classes_with_keys():
    @tree_util.register_pytree_with_keys_class
    class Named:
        def __init__(self, *items):
            self.items = items

        def tree_flatten_with_keys(self):
            return [(f"<{i}>", x) for i, x in enumerate(self.items)], None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    assert tree.leaves(Named(1, 2)) == [1, 2]
    assert [tree_util.keystr(p) for p, _ in tree.leaves_with_path(Named(1, 2))] == ["<0>", "<1>"]


def test_partial():
    merged = tree_util.Partial(tree_util.Partial(pow, 2), 5)
    assert merged() == 32 and merged.func is pow and tree.leaves(merged) == [2, 5]
    opaque = tree_util.Partial(functools.partial(pow, 2), 5)
    assert opaque() == 32 and tree.leaves(opaque) == [5]
    assert tree.map(lambda x: x + 1, opaque)() == 64
    assert tree.structure(tree_util.Partial(pow, 1)) == tree.structure(tree_util.Partial(pow, 2))
    assert tree.structure(tree_util.Partial(pow, 1)) != tree.structure(tree_util.Partial(max, 2))


@pytest.mark.parametrize(
    ("first", "second", "place", "words"),
    [
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": (1, 2)}, "['b']", ["a list", "a tuple", "convert one"]),
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1]}, "['b']", ["length 2", "length 1"]),
        ({"a": {"x": 1}}, {"a": {"y": 1}}, "['a']", ["'x'", "'y'", "the same keys"]),
        ([1, None], [1, 2], "[1]", ["None", "type int", "is_leaf=lambda x: x is None"]),
        ([1, 2], 3, "the top", ["a list", "type int"]),
        (Point(1, 2), (1, 2), "the top", ["a Point", "a tuple"]),
        ([Special(1, 2, "u")], [Special(1, 2, "v")], "[0]", ["'u'", "'v'"]),
        (Layer(1, 2, "p"), Layer(1, 2, "q"), "the top", ["'p'", "'q'"]),
        ({"a": 1}, collections.OrderedDict(a=1), "the top", ["a dict", "an OrderedDict"]),
    ],
)
def test_map_says_where_trees_differ(first, second, place, words):
    with pytest.raises(ValueError) as error:
        tree.map(lambda x, y: x, first, second)
    message = str(error.value)
    assert f"differ at {place}" in message and "tree number 2" in message
    assert all(word in message for word in words)
    assert len(message.splitlines()) <= 15


def test_bad_structures():
    with pytest.raises(TypeError, match="takes a structure first"):
        tree.unflatten([1], [1])
    with pytest.raises(ValueError, match="expected 2, got 1"):
        tree.unflatten(tree.structure([0, 0]), [1])
    with pytest.raises(ValueError, match=r"keys of a dict cannot be sorted.*OrderedDict"):
        tree.leaves({1: 1, "a": 2})


def test_errors_of_the_mapped_function_pass_through():
    with pytest.raises(ZeroDivisionError):
        tree.map(lambda x: 1 / x, [1, 0])


@dataclasses.dataclass
class _Fields:
    x: int
    y: int


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: tree_util.register_pytree_node(3, len, len), TypeError, "takes a class"),
        (
            lambda: tree_util.register_pytree_node(_Fields, 3, len),
            TypeError,
            "flatten_func must be a function",
        ),
        (lambda: tree_util.register_pytree_node(list, len, len), ValueError, "registered"),
        (lambda: tree_util.register_pytree_node_class(int), TypeError, "must have the method tree_flatten"),
        (lambda: tree_util.register_dataclass(_Fields, ["x"], []), ValueError, "missing: y"),
        (lambda: tree_util.register_dataclass(_Fields, ["x", "y"], ["z"]), ValueError, "unexpected: z"),
        (lambda: tree_util.register_dataclass(_Fields, ["x", "y"], ["y"]), ValueError, "overlap"),
        (
            lambda: tree_util.register_dataclass(_Fields, ["x", "y"]),
            TypeError,
            "both data_fields and meta_fields",
        ),
        (lambda: tree_util.register_dataclass(object()), TypeError, "takes a class"),
        (lambda: tree_util.register_dataclass(int), TypeError, "not a dataclass"),
        (lambda: tree_util.register_dataclass(Layer), ValueError, "registered"),
    ],
)
def test_bad_registrations(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_dataclass_fields():
    @dataclasses.dataclass
    class Dropping:
        x: int
        cache: object = None

    tree_util.register_dataclass(Dropping, data_fields=["x"], meta_fields=[], drop_fields=["cache"])
    assert tree.map(lambda x: x + 1, Dropping(1, "old")) == Dropping(2, None)


def test_ravel():
    vector, unravel = ct.flatten_util.ravel_pytree({"a": np.ones((2, 2), np.float32), "b": 3.0})
    assert np.array_equal(vector, [1, 1, 1, 1, 3])
    rebuilt = unravel(vector * 2)
    assert rebuilt["a"].shape == (2, 2) and float(rebuilt["b"]) == 6
    assert unravel == ct.flatten_util.ravel_pytree({"a": np.ones((2, 2), np.float32), "b": 4.0})[1]
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        unravel(vector[:3])


def test_ravel_of_mixed_types():
    vector, unravel = ct.flatten_util.ravel_pytree([np.ones(2, np.int32), 2.0])
    assert vector.dtype == np.float32
    assert [x.dtype for x in unravel(vector)] == [np.int32, np.float32]
    with pytest.raises(TypeError, match="dtype float32"):
        unravel(vector.astype(np.int32))


def test_ravel_of_nothing():
    vector, unravel = ct.flatten_util.ravel_pytree([])
    assert vector.shape == (0,) and unravel(vector) == []
