"""Which classes are containers: registration of pytree nodes in jaxlib's C++ registry."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from canter_pjrt.jaxlib_door import pytree

__all__ = [
    "Partial",
    "array_wrappers",
    "default_registry",
    "dispatch_registry",
    "register_array_wrapper",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
]

Class = TypeVar("Class", bound=type)

DictKey = pytree.DictKey
GetAttrKey = pytree.GetAttrKey

default_registry = pytree.default_registry()
# A treedef is pickled with a reference to its registry, which must be found by name.
default_registry.__name__ = "default_registry"
default_registry.__module__ = __name__

# The C++ dispatcher takes calls apart by a registry of its own: the default one, and in addition the
# classes that stand for one array each, such as arrays of random keys, as containers of that array.
dispatch_registry = pytree.PyTreeRegistry()
dispatch_registry.__name__ = "dispatch_registry"
dispatch_registry.__module__ = __name__
array_wrappers: set[type] = set()


def register_array_wrapper(
    cls: type, flatten_func: Callable[[Any], Any], unflatten_func: Callable[[Any, Any], Any]
) -> None:
    """Tells the dispatcher of a class that wraps one array and is an array itself to everybody else.

    Args:
      cls: the class.
      flatten_func: takes an instance, returns ((array,), auxiliary data).
      unflatten_func: takes (auxiliary data, (array,)) and returns an instance.
    """
    dispatch_registry.register_node(cls, flatten_func, unflatten_func)
    array_wrappers.add(cls)


def register_pytree_node(
    nodetype: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Hashable]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_with_keys_func: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Hashable]] | None = None,
) -> None:
    """Makes a class a container whose parts transformations see.

    Args:
      nodetype: the class.
      flatten_func: takes an instance, returns (children, auxiliary data); the latter is compared and
        hashed as part of the tree's structure.
      unflatten_func: takes (auxiliary data, children) and returns an instance.
      flatten_with_keys_func: as `flatten_func`, with (key, child) pairs for the children.

    Raises:
      TypeError: an argument is not a class or not callable.
      ValueError: the class is registered already.

    >>> import canter as ct
    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> ct.tree_util.register_pytree_node(Pair, lambda p: ((p.a, p.b), None), lambda _, ab: Pair(*ab))
    >>> ct.tree.leaves(Pair(1, 2))
    [1, 2]
    """
    _check_class("register_pytree_node", nodetype)
    for name, function in (("flatten_func", flatten_func), ("unflatten_func", unflatten_func)):
        if not callable(function):
            raise TypeError(f"register_pytree_node: {name} must be a function, got {function!r:.80}.")
    try:
        default_registry.register_node(nodetype, flatten_func, unflatten_func, flatten_with_keys_func)
        dispatch_registry.register_node(nodetype, flatten_func, unflatten_func)
    except ValueError as error:
        raise _registered_twice(nodetype, error) from None


def register_pytree_with_keys(
    nodetype: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Hashable]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Hashable]] | None = None,
) -> None:
    """As `register_pytree_node`, with a name for every child, which error messages and key paths show.

    Args:
      nodetype: the class.
      flatten_with_keys: takes an instance, returns ((key, child) pairs, auxiliary data).
      unflatten_func: takes (auxiliary data, children) and returns an instance.
      flatten_func: as `flatten_with_keys` without the keys, where that is faster.

    >>> import canter as ct
    >>> class Box:
    ...     def __init__(self, content):
    ...         self.content = content
    >>> key = ct.tree_util.GetAttrKey("content")
    >>> ct.tree_util.register_pytree_with_keys(
    ...     Box, lambda box: (((key, box.content),), None), lambda _, children: Box(*children)
    ... )
    >>> ct.tree.leaves_with_path(Box(1))
    [((GetAttrKey(name='content'),), 1)]
    """

    def without_keys(node: Any) -> tuple[Iterable[Any], Hashable]:
        pairs, auxiliary = flatten_with_keys(node)
        return [child for _, child in pairs], auxiliary

    register_pytree_node(nodetype, flatten_func or without_keys, unflatten_func, flatten_with_keys)


def register_pytree_node_class(cls: Class) -> Class:
    """Class decorator: registers a class with methods `tree_flatten` and (class method) `tree_unflatten`.

    >>> import canter as ct
    >>> @ct.tree_util.register_pytree_node_class
    ... class Point:
    ...     def __init__(self, x, y):
    ...         self.x, self.y = x, y
    ...
    ...     def tree_flatten(self):
    ...         return (self.x, self.y), None
    ...
    ...     @classmethod
    ...     def tree_unflatten(cls, aux_data, children):
    ...         return cls(*children)
    >>> ct.tree.map(lambda x: 10 * x, Point(1, 2)).y
    20
    """
    _check_class("register_pytree_node_class", cls)
    _check_methods(cls, "tree_flatten", "tree_unflatten")
    with_keys = getattr(cls, "tree_flatten_with_keys", None)
    register_pytree_node(cls, cls.tree_flatten, cls.tree_unflatten, with_keys)  # type: ignore[attr-defined]
    return cls


def register_pytree_with_keys_class(cls: Class) -> Class:
    """Class decorator: registers a class with methods `tree_flatten_with_keys` and `tree_unflatten`.

    >>> import canter as ct
    >>> @ct.tree_util.register_pytree_with_keys_class
    ... class Named:
    ...     def __init__(self, x):
    ...         self.x = x
    ...
    ...     def tree_flatten_with_keys(self):
    ...         return ((ct.tree_util.GetAttrKey("x"), self.x),), None
    ...
    ...     @classmethod
    ...     def tree_unflatten(cls, aux_data, children):
    ...         return cls(*children)
    >>> ct.tree_util.keystr(ct.tree.leaves_with_path(Named(1))[0][0])
    '.x'
    """
    _check_class("register_pytree_with_keys_class", cls)
    _check_methods(cls, "tree_flatten_with_keys", "tree_unflatten")
    register_pytree_with_keys(
        cls,
        cls.tree_flatten_with_keys,  # type: ignore[attr-defined]
        cls.tree_unflatten,  # type: ignore[attr-defined]
        getattr(cls, "tree_flatten", None),
    )
    return cls


def register_dataclass(
    nodetype: Class,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> Class:
    """Makes a dataclass a container; also a class decorator.

    Args:
      nodetype: a dataclass, or another class if the fields are given.
      data_fields: names of the fields that hold arrays or containers. By default all of a dataclass's
        fields but those declared with `metadata={"static": True}` (see `canter.tree.static`).
      meta_fields: names of the fields that are part of the tree's structure; they must be hashable.
      drop_fields: names of fields that are left out and take their defaults again.

    Raises:
      TypeError: not a class, or not a dataclass and no fields given.
      ValueError: a field is missing, unknown or given twice, or the class is registered already.

    >>> import canter as ct, dataclasses
    >>> @ct.tree_util.register_dataclass
    ... @dataclasses.dataclass
    ... class Linear:
    ...     weight: float
    ...     name: str = ct.tree.static(default="linear")
    >>> ct.tree.leaves(Linear(2.0))
    [2.0]
    """
    _check_class("register_dataclass", nodetype)
    import dataclasses

    is_dataclass = dataclasses.is_dataclass(nodetype)
    if data_fields is None or meta_fields is None:
        if (data_fields is None) != (meta_fields is None):
            raise TypeError("register_dataclass: give both data_fields and meta_fields, or neither.")
        if not is_dataclass:
            raise TypeError(
                f"register_dataclass: {nodetype.__name__} is not a dataclass, so data_fields and meta_fields "
                "must be given; or decorate it with @dataclasses.dataclass first."
            )
        fields = [f for f in dataclasses.fields(nodetype) if f.init and f.name not in drop_fields]
        meta_fields = [f.name for f in fields if f.metadata.get("static", False)]
        data_fields = [f.name for f in fields if not f.metadata.get("static", False)]
    _check_fields(nodetype, list(data_fields), list(meta_fields), list(drop_fields), is_dataclass)
    try:
        default_registry.register_dataclass_node(nodetype, list(data_fields), list(meta_fields))
        dispatch_registry.register_dataclass_node(nodetype, list(data_fields), list(meta_fields))
    except ValueError as error:
        raise _registered_twice(nodetype, error) from None
    return nodetype


def _check_fields(
    nodetype: type, data: list[str], meta: list[str], dropped: list[str], is_dataclass: bool
) -> None:
    given = data + meta + dropped
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(
            f"register_dataclass({nodetype.__name__}): data_fields, meta_fields and drop_fields must not "
            f"overlap, but {', '.join(twice)} stands in more than one or twice in one."
        )
    if not is_dataclass:
        return
    import dataclasses

    init = {f.name for f in dataclasses.fields(nodetype) if f.init}
    missing, unknown = sorted(init - set(given)), sorted(set(data + meta) - init)
    if missing or unknown:
        what = [f"missing: {', '.join(missing)}"] if missing else []
        what += [f"unexpected: {', '.join(unknown)}"] if unknown else []
        raise ValueError(
            f"register_dataclass({nodetype.__name__}): data_fields and meta_fields must include all fields "
            f"with init=True and only those; {'; '.join(what)}. Fields to leave out go into drop_fields."
        )


def register_static(cls: Class) -> Class:
    """Class decorator: instances are containers without leaves, part of the tree's structure.

    Instances must be hashable and comparable; they pass through transformations as they are.

    >>> import canter as ct
    >>> @ct.tree_util.register_static
    ... class Mode(str):
    ...     pass
    >>> ct.tree.leaves([1, Mode("train")])
    [1]
    """
    register_pytree_node(cls, lambda node: ((), node), lambda node, _: node)
    return cls


def _check_class(function: str, cls: Any) -> None:
    if not isinstance(cls, type):
        raise TypeError(f"{function} takes a class, got {cls!r:.80} of type {type(cls).__name__}.")


def _check_methods(cls: type, *names: str) -> None:
    missing = [name for name in names if not callable(getattr(cls, name, None))]
    if missing:
        raise TypeError(f"{cls.__name__} must have the method {' and '.join(missing)} to be registered.")


def _registered_twice(cls: type, error: ValueError) -> ValueError:
    if "Duplicate" not in str(error):
        return error
    return ValueError(
        f"{cls.__module__}.{cls.__qualname__} is registered as a pytree node already. Register a class once, "
        "right after its definition (in a notebook, define the class anew before registering it again)."
    )


# ---------------------------------------------------------------- the standard library's containers


def _register_standard_containers() -> None:
    ordered = collections.OrderedDict
    register_pytree_node(
        ordered,
        lambda d: (tuple(d.values()), tuple(d.keys())),
        lambda keys, values: ordered(zip(keys, values, strict=True)),
        lambda d: (tuple((DictKey(k), v) for k, v in d.items()), tuple(d.keys())),
    )
    # As for dict, the order of insertion does not matter.
    register_pytree_node(
        collections.defaultdict,
        lambda d: (tuple(d[k] for k in sorted(d)), (d.default_factory, tuple(sorted(d)))),
        lambda aux, values: collections.defaultdict(aux[0], zip(aux[1], values, strict=True)),
        lambda d: (tuple((DictKey(k), d[k]) for k in sorted(d)), (d.default_factory, tuple(sorted(d)))),
    )


_register_standard_containers()


# ---------------------------------------------------------------- Partial


class _Opaque:
    """A functools.partial as a mere function: Partial must not merge with it, its arguments are static."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return self.function == (other.function if isinstance(other, _Opaque) else other)

    def __hash__(self) -> int:
        return hash(self.function)

    def __repr__(self) -> str:
        return repr(self.function)


class Partial(functools.partial):
    """`functools.partial` as a container: the bound arguments are leaves, the function is structure.

    Such a function may be an argument or a result of transformed functions. A Partial of a Partial is
    merged into one; a Partial of a `functools.partial` keeps that one's arguments in the structure.

    Args:
      func: the function; it must be hashable.
      *args, **keywords: arguments that are bound to it.

    >>> import canter as ct
    >>> add_two = ct.tree_util.Partial(lambda x, y: x + y, 2)
    >>> add_two(3), ct.tree.leaves(add_two)
    (5, [2])
    """

    def __new__(cls, func: Callable[..., Any], /, *args: Any, **keywords: Any) -> Partial:
        """Binds the arguments; a Partial's own come first."""
        if isinstance(func, Partial):
            args, keywords, func = (*func.args, *args), {**func.keywords, **keywords}, func.func
        elif isinstance(func, functools.partial):
            func = _Opaque(func)
        return super().__new__(cls, func, *args, **keywords)


register_pytree_node(
    Partial,
    lambda p: ((p.args, p.keywords), p.func),
    lambda func, children: Partial(func, *children[0], **children[1]),
    lambda p: (((GetAttrKey("args"), p.args), (GetAttrKey("keywords"), p.keywords)), p.func),
)
