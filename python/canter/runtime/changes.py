"""What is different about a preparation of a jitted function, compared with an earlier one, in the user's terms.

Every change is one short line, whatever texts users' objects have: "shape of params['w']: (3, 2) -> (2, 2)".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import ne
from typing import Any

from canter_pjrt.jaxlib_door import trace_context_names

from ..core import pytree
from ..core.pytree import equality_errors
from .signature import ArgumentNames, positional_names

__all__ = ["brief", "changed_place", "changed_signature", "distance"]

_LONGEST = 60  # characters of a value
_absent = object()


def brief(value: Any) -> str:
    """A value's text in one line; `repr` of a user's object may fail, or be long."""
    return _cut(_text(value), 0)


def _text(value: Any) -> str:
    try:
        return " ".join(repr(value).split())
    except Exception:
        return f"a {type(value).__name__} without a text"


def _cut(text: str, start: int) -> str:
    """The part of a text that begins there, and what tells that it is a part."""
    end = start + _LONGEST - 4
    return "... " * (start > 0) + (text[start:] if len(text) <= end + 4 else text[start:end] + " ...")


def _both(was: Any, became: Any) -> str:
    """The texts of two values, long ones from about where they begin to differ."""
    old, new = ("not given" if value is _absent else _text(value) for value in (was, became))
    pairs = enumerate(zip(old, new, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = same - _LONGEST // 3 if same > _LONGEST - 10 and old != new else 0
    return f"{_cut(old, start)} -> {_cut(new, start)}"


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return type(a) is type(b) and bool(a == b)
    except Exception:
        return False


def distance(now: Any, then: Any) -> int:
    """About how many things differ between two signatures; quick to find out."""
    if now.tree == then.tree:
        total = sum(map(ne, now.avals, then.avals))
    else:
        total = 1 + abs(len(now.avals) - len(then.avals))
    total += sum(not _equal(a, b) for a, b in zip(now.statics, then.statics, strict=False))
    total += abs(len(now.statics) - len(then.statics))
    total += sum(map(ne, now.flags, then.flags))
    return total + (now.axes != then.axes)


def changed_signature(function: Any, now: Any, positions: Any, then: Any, then_positions: Any) -> list[str]:
    """What a signature has that the earlier one has not.

    Args:
      function: what is traced.
      now, then: the two `Signature`s.
      positions, then_positions: of the static arguments in each.
    """
    if now.tree == then.tree and positions == then_positions:
        names = ArgumentNames(function, now.tree, positions)
        lines = list(_in_avals(then.avals, now.avals, names.__getitem__))
    else:
        lines = _in_structure(function, now, positions, then, then_positions)
    lines += _in_statics(function, now.statics, then.statics)
    lines += [
        _in_mesh(was, became)
        if name == "mesh_context"
        else f"setting of {name}: {brief(was)} -> {brief(became)}"
        for name, became, was in zip(trace_context_names(), now.flags, then.flags, strict=True)
        if became != was
    ]
    if now.axes != then.axes:
        lines.append(f"named axes: {brief(dict(then.axes))} -> {brief(dict(now.axes))}")
    return lines


def changed_place(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """What decided for another executable of the same trace."""
    return [
        f"{name}: {then.get(name)} -> {now.get(name)}"
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    ]


# --- arguments ------------------------------------------------------------------------------------


def _in_structure(function: Any, now: Any, positions: Any, then: Any, then_positions: Any) -> list[str]:
    try:
        old, new = _arguments(function, then, then_positions), _arguments(function, now, positions)
        return list(_in_arguments(old, new))
    except Exception:  # containers of users that refuse types in the place of arrays
        return [f"structure of the arguments: {brief(then.tree)} -> {brief(now.tree)}"]


def _arguments(function: Any, signature: Any, positions: Any) -> dict[str, tuple[str, Any]]:
    """The arguments by name: how each was given, and its types as a tree."""
    args, kwargs = signature.tree.unflatten(signature.avals)
    names = positional_names(function, len(args), positions)
    by_position = {name: ("by position", value) for name, value in zip(names, args, strict=True)}
    return by_position | {str(name): ("by name", value) for name, value in kwargs.items()}


def _in_arguments(then: Any, now: Any) -> Iterator[str]:
    for name in dict.fromkeys([*then, *now]):
        (how, was), (how_now, became) = then.get(name, ("", _absent)), now.get(name, ("", _absent))
        if was is _absent or became is _absent:
            yield f"argument {name}: {_kind(was)} -> {_kind(became)}"
            continue
        if how != how_now:
            yield f"argument {name}: given {how} -> given {how_now}"
        left, left_tree = pytree.tree_flatten(was)
        right, right_tree = pytree.tree_flatten(became)
        if left_tree == right_tree:
            names = [name + pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(became)[0]]
            yield from _in_avals(left, right, names.__getitem__)
        else:
            for path, old, new, _ in equality_errors(was, became):
                line = f"structure of {name}{pytree.keystr(path)}: {old} -> {new}"
                yield line.replace("a leaf of type ShapedArray", "an array")


def _kind(value: Any) -> str:
    if value is _absent:
        return "not given"
    if value is None:
        return "None"
    leaves, tree = pytree.tree_flatten(value)
    return (
        f"an array {str(leaves[0]).lstrip('~')}"
        if pytree.treedef_is_leaf(tree)
        else f"a {type(value).__name__}"
    )


def _in_avals(then: Iterable[Any], now: Iterable[Any], name: Callable[[int], str]) -> Iterator[str]:
    for i, (a, b) in enumerate(zip(then, now, strict=True)):
        for what, was, became in _in_aval(a, b):
            yield f"{what} of {name(i)}: {was} -> {became}"


#: What makes up a type, and how it is read off one.
_ASPECTS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("shape", lambda aval: aval.shape),
    ("dtype", lambda aval: aval.dtype),
    ("weak type", lambda aval: aval.weak_type),
    ("sharding", lambda aval: aval.sharding.spec),
    ("memory", lambda aval: aval.memory_space),
    ("varying axes", lambda aval: sorted(aval.vma) or "none"),
)


def _in_aval(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if old is new or old == new:
        return
    changed = False
    for what, read in _ASPECTS:
        try:
            was, became = read(old), read(new)
        except AttributeError:  # types of other kinds than arrays
            continue
        if was != became and not (
            what == "sharding" and old.shape != new.shape and not (any(was) or any(became))
        ):
            changed = True
            yield what, was, became
    if not changed:
        was, became = (_mesh(getattr(getattr(aval, "sharding", None), "mesh", None)) for aval in (old, new))
        yield ("mesh", was, became) if was != became else ("type", old, new)


# --- what else ------------------------------------------------------------------------------------


def _in_statics(function: Any, now: Any, then: Any) -> Iterator[str]:
    """Of statics as (position or name, type, value)."""
    count = 1 + max((where for where, *_ in (*now, *then) if isinstance(where, int)), default=-1)
    names = positional_names(function, count)
    name = lambda where: names[where] if isinstance(where, int) else where  # noqa: E731
    old, new = ({name(where): (where, value) for where, _, value in each} for each in (then, now))
    for key in dict.fromkeys([*old, *new]):
        (where, was), (where_now, became) = old.get(key, (None, _absent)), new.get(key, (None, _absent))
        if not _equal(was, became):
            yield f"static argument {key!r}: {_both(was, became)}{_advice(was, became)}"
        elif type(where) is not type(where_now):
            ways = ["by position" if isinstance(w, int) else "by name" for w in (where, where_now)]
            yield f"static argument {key!r}: given {ways[0]} -> given {ways[1]}"


def _advice(was: Any, became: Any) -> str:
    """Why two static values that may look alike are two."""
    if was is _absent or type(was) is not type(became):
        return ""
    if was != was and became != became:
        return " (a nan equals no other one: pass the same object)"
    name = type(was).__name__
    if type(was).__eq__ is object.__eq__:
        return f" (each {name} is another value, as it has no __eq__: pass the same object)"
    return f" (they are not equal for {name}.__eq__)" if _text(was) == _text(became) else ""


def _in_mesh(was: Any, became: Any) -> str:
    old, new = _meshes_in(was), _meshes_in(became)
    return (
        f"mesh in force: {old} -> {new}" if old != new else f"mesh in force: {brief(was)} -> {brief(became)}"
    )


def _meshes_in(context: Any) -> str:
    """The meshes that a context has in force, by what put them there."""
    if not context:
        return "none"
    set_mesh = context.concrete or context.abstract
    both = [_mesh(set_mesh, context.concrete)] if set_mesh else []
    if context.physical:
        both.append(f"{_mesh(context.physical, context.physical)} by 'with mesh'")
    if context.abstract is not None and context.concrete is not None:
        inner = _mesh(context.abstract)
        if inner != _mesh(context.concrete):
            both[0] = f"{inner}{_devices(context.concrete)}"
    return " and ".join(both) or "none"


def _mesh(mesh: Any, concrete: Any = None) -> str:
    """A mesh as sizes by name, with the types of its axes; and its devices, if they are known."""
    if not mesh:
        return "none"
    axes = zip(mesh.axis_names, mesh.axis_sizes, mesh.axis_types, strict=True)
    return ", ".join(
        f"{name!r}: {size} {str(kind).rpartition('.')[2]}" for name, size, kind in axes
    ) + _devices(concrete)


def _devices(mesh: Any) -> str:
    if mesh is None:
        return ""
    ids = [device.id for device in mesh.devices.flat]
    text = (
        f"{ids[0]} to {ids[-1]}" if ids == list(range(ids[0], ids[0] + len(ids))) else brief(ids).strip("[]")
    )
    return f" on device{'s' * (len(ids) > 1)} {ids[0] if len(ids) == 1 else text}"
