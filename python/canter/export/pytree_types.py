"""Structures of arguments and results as data: which classes of containers an artifact can name."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from ..core import pytree

__all__ = [
    "decode_tree",
    "encode_tree",
    "register_namedtuple_serialization",
    "register_pytree_node_serialization",
]

T = TypeVar("T")
_LEAF, _NONE, _TUPLE, _LIST, _DICT, _CUSTOM = range(6)
_PLAIN = {tuple: _TUPLE, list: _LIST}
_LEAF_TABLE: dict[str, Any] = {}
_leaf = pytree.tree_structure(0)
_from_parts = type(_leaf).from_node_data_and_children


class _Registered(NamedTuple):
    """How nodes of a class are written."""

    nodetype: type
    serialized_name: str
    serialize_auxdata: Callable[[Any], bytes | bytearray]
    deserialize_auxdata: Callable[[bytes], Any]
    from_children: Callable[[Any, Sequence[Any]], Any] | None


_by_type: dict[type, _Registered] = {}
_by_name: dict[str, _Registered] = {}


def register_pytree_node_serialization(
    nodetype: type[T],
    *,
    serialized_name: str,
    serialize_auxdata: Callable[[Any], bytes | bytearray],
    deserialize_auxdata: Callable[[bytes], Any],
    from_children: Callable[[Any, Sequence[Any]], Any] | None = None,
) -> type[T]:
    """Lets exported functions take and return containers of a class.

    Only the name goes into the artifact: whoever reads it registers a class under the same name before.

    Args:
      nodetype: the class.
      serialized_name: the name, unique among all classes; one with a dot and a prefix of your own is best.
      serialize_auxdata: makes bytes of the auxiliary data of a node, see `tree_util.register_pytree_node`.
      deserialize_auxdata: makes the auxiliary data of the bytes.
      from_children: takes auxiliary data and children and returns a container; None if the class is
        registered as a container, which knows how.

    Returns:
      The class.

    Raises:
      ValueError: the class or the name is registered already, or the class is no container and there is no
        `from_children`.

    Example:
      >>> import canter as ct
      >>> from canter import export
      >>> class Scaled:
      ...     def __init__(self, value, unit):
      ...         self.value, self.unit = value, unit
      >>> ct.tree_util.register_pytree_node(
      ...     Scaled, lambda s: ((s.value,), s.unit), lambda unit, children: Scaled(children[0], unit))
      >>> _ = export.register_pytree_node_serialization(
      ...     Scaled, serialized_name="docs.Scaled", serialize_auxdata=str.encode, deserialize_auxdata=bytes.decode)
      >>> exported = export.export(ct.jit(lambda s: s.value))(Scaled(1.0, "m"))
      >>> print(export.deserialize(exported.serialize()).call(Scaled(2.0, "m")))
      2.0
    """
    if nodetype in _by_type:
        raise ValueError(
            f"Duplicate serialization registration for type `{nodetype}`. Previous registration was with "
            f"serialized_name `{_by_type[nodetype].serialized_name}`."
        )
    if serialized_name in _by_name:
        raise ValueError(
            f"Duplicate serialization registration for serialized_name `{serialized_name}`. Previous registration "
            f"was for type `{_by_name[serialized_name].nodetype}`."
        )
    if from_children is None and not pytree.is_tree_node(nodetype):
        raise ValueError(
            f"{nodetype} is not a container: call canter.tree_util.register_pytree_node for it first, or give "
            "from_children."
        )
    _by_type[nodetype] = _by_name[serialized_name] = _Registered(
        nodetype, serialized_name, serialize_auxdata, deserialize_auxdata, from_children
    )
    return nodetype


def register_namedtuple_serialization(nodetype: type[T], *, serialized_name: str) -> type[T]:
    """Lets exported functions take and return named tuples of a class.

    Args:
      nodetype: a class made by `collections.namedtuple` or `typing.NamedTuple`.
      serialized_name: as in `register_pytree_node_serialization`.

    Returns:
      The class.

    Raises:
      ValueError: the class is no named tuple, or it or the name is registered already.

    Example:
      >>> from typing import NamedTuple
      >>> from canter import export
      >>> class Point(NamedTuple):
      ...     x: float
      ...     y: float
      >>> export.register_namedtuple_serialization(Point, serialized_name="docs.Point") is Point
      True
    """
    fields = getattr(nodetype, "_fields", None)
    if not (isinstance(nodetype, type) and issubclass(nodetype, tuple) and fields is not None):
        raise ValueError(
            f"{nodetype} is not a class of named tuples. Use canter.export.register_pytree_node_serialization for "
            "other types."
        )

    def names_of_fields(_: Any) -> bytes:
        return json.dumps(fields).encode()

    def check_fields(data: bytes) -> None:
        written = tuple(json.loads(data))
        if written != fields:
            raise ValueError(
                f"it was written with the fields {written}, and {nodetype.__name__} has {fields}"
            )

    return register_pytree_node_serialization(
        nodetype,
        serialized_name=serialized_name,
        serialize_auxdata=names_of_fields,
        deserialize_auxdata=check_fields,
    )


def _ordered_keys(keys: Any) -> bytes:
    if not all(type(key) is str for key in keys):
        raise NotImplementedError(
            f"Only an OrderedDict whose keys are strings can be serialized; found the keys {keys}."
        )
    return json.dumps(keys).encode()


register_pytree_node_serialization(
    OrderedDict,
    serialized_name="collections.OrderedDict",
    serialize_auxdata=_ordered_keys,
    deserialize_auxdata=lambda data: tuple(json.loads(data)),
)


def encode_tree(tree: Any) -> dict[str, Any]:
    """A structure as a table of the artifact.

    Raises:
      ValueError: a container of a class that is not registered.
      TypeError: a dict with keys that are no strings.
    """
    node = tree.node_data()
    if node is None:
        return _LEAF_TABLE
    kind, data = node
    if kind is type(None):
        return {"kind": _NONE}
    table: dict[str, Any] = {"children": list(map(encode_tree, tree.children()))}
    if kind in _PLAIN:
        return {"kind": _PLAIN[kind], **table}
    if kind is dict:
        for key in data:
            if type(key) is not str:
                raise TypeError(
                    "Serialization is supported only for dictionaries with string keys. Found key "
                    f"{key!r} of type {type(key)}."
                )
        return {"kind": _DICT, "keys": list(data), **table}
    registered = _by_type.get(kind)
    if registered is None:
        raise ValueError(
            f"Cannot serialize PyTreeDef containing an unregistered type `{kind}`. Use "
            "`export.register_pytree_node_serialization` or `export.register_namedtuple_serialization`."
        )
    written = registered.serialize_auxdata(data)
    if not isinstance(written, (bytes, bytearray)):
        raise ValueError(
            f"serialize_auxdata of `{kind}` must return bytes; it returned {written!r:.80} of type {type(written)}."
        )
    return {
        "kind": _CUSTOM,
        "custom_name": registered.serialized_name,
        "custom_data": bytes(written),
        **table,
    }


def decode_tree(table: dict[str, Any]) -> Any:
    """The structure that a table of the artifact describes.

    Raises:
      ValueError: the table makes no sense, or names a class that is not registered here.
    """
    kind, children = table["kind"], list(map(decode_tree, table["children"] or ()))
    if kind == _LEAF and not children:
        return _leaf
    if kind == _NONE and not children:
        return _from_parts(pytree.registry, (type(None), None), [])
    if kind == _TUPLE:
        return _from_parts(pytree.registry, (tuple, None), children)
    if kind == _LIST:
        return _from_parts(pytree.registry, (list, None), children)
    if kind == _DICT:
        keys = table["keys"] or []
        if keys != sorted(set(keys)) or len(keys) != len(children):
            raise ValueError(f"a dict of {len(children)} entries has the keys {keys}")
        return _from_parts(pytree.registry, (dict, keys), children)
    if kind == _CUSTOM:
        return _decode_custom(table, children)
    raise ValueError(f"a container of the unknown kind {kind}")


def _decode_custom(table: dict[str, Any], children: list[Any]) -> Any:
    name = table["custom_name"]
    registered = _by_name.get(name)
    if registered is None:
        raise ValueError(
            f"Cannot deserialize a PyTreeDef containing an unregistered type `{name}`. Register it under this name "
            "with `export.register_pytree_node_serialization` or `export.register_namedtuple_serialization` first."
        )
    try:
        data = registered.deserialize_auxdata(table["custom_data"] or b"")
        if registered.from_children is None:
            return _from_parts(pytree.registry, (registered.nodetype, data), children)
        values = [child.unflatten([0] * child.num_leaves) for child in children]
        return pytree.tree_structure(registered.from_children(data, values))
    except Exception as error:
        raise ValueError(f"Cannot deserialize a container of type `{name}`: {error}") from error
