"""From functions of trees to functions of leaves, as libraries that write their own transformations do it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from canter_pjrt.jaxlib_door import safe_map as safe_map

from .core import pytree as _pytree
from .core.jaxpr import DebugInfo as _DebugInfo
from .transforms.calling import function_name as _function_name
from .transforms.linear_util import (
    Store as _Store,
    WrappedFun as _WrappedFun,
    transformation2 as _transformation2,
    transformation_with_aux2 as _transformation_with_aux2,
)

__all__ = [
    "argnums_partial",
    "debug_info",
    "donation_vector",
    "flatten_axes",
    "flatten_fun",
    "flatten_fun_nokwargs",
    "rebase_donate_argnums",
    "safe_map",
    "shaped_abstractify",
]


def debug_info(
    traced_for: str,
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    *,
    static_argnums: Sequence[int] = (),
    static_argnames: Sequence[str] = (),
    result_paths_thunk: Any = None,
    sourceinfo: str | None = None,
    signature: Any = None,
) -> _DebugInfo:
    """What messages can say about a function and its arguments.

    Args:
      traced_for: the transformation that will trace it.
      fun: the function.
      args, kwargs: its arguments.
      static_argnums, static_argnames: arguments that are not traced.
      result_paths_thunk: the paths of its results, or a function that gives them.
      sourceinfo: its name and place; None looks them up.
      signature: its signature; None looks it up.

    Example:
      >>> from canter import api_util
      >>> api_util.debug_info("jit", lambda x, y: x, (1.0, {"a": 2.0}), {}).arg_names
      ('x', "y['a']")
    """
    names: list[str] = []
    for name, value in _named_arguments(fun, args, kwargs, static_argnums, static_argnames, signature):
        names += [name + _pytree.keystr(path) for path, _ in _pytree.tree_flatten_with_path(value)[0]]
    paths = result_paths_thunk() if callable(result_paths_thunk) else result_paths_thunk
    return _DebugInfo(traced_for, sourceinfo or _described(fun), tuple(names), paths)


def _described(fun: Any) -> str:
    code = getattr(fun, "__code__", None)
    name = _function_name(fun)
    return name if code is None else f"{name} at {code.co_filename}:{code.co_firstlineno}"


def _named_arguments(
    fun: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    numbers: Sequence[int],
    static: Sequence[str],
    given: Any,
) -> list[tuple[str, Any]]:
    """The arguments that are not static, with their names."""
    import inspect

    try:
        parameters = list((given or inspect.signature(fun)).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    found = []
    for i, value in enumerate(args):
        name = positional[i] if i < len(positional) else f"{rest}[{i - len(positional)}]"
        if i not in numbers and i - len(args) not in numbers and name not in static:
            found.append((name, value))
    return found + [(name, value) for name, value in kwargs.items() if name not in static]


def flatten_fun(fun: _WrappedFun, in_tree: Any) -> tuple[_WrappedFun, Callable[[], Any]]:
    """The function of the leaves of (args, kwargs), and a function that gives the structure of its result.

    Example:
      >>> from canter import api_util, tree_util
      >>> from canter.extend import linear_util
      >>> tree = tree_util.tree_structure(((1, 2), {"z": 3}))
      >>> flat, out_tree = api_util.flatten_fun(linear_util.wrap_init(lambda x, y, z: {"sum": x + y + z}), tree)
      >>> flat.call_wrapped(1, 2, 3), out_tree()
      ([6], PyTreeDef({'sum': *}))
    """
    return _flatten_fun(fun, in_tree)


@_transformation_with_aux2
def _flatten_fun(f: Callable[..., Any], store: _Store, in_tree: Any, *leaves: Any) -> list[Any]:
    args, kwargs = in_tree.unflatten(leaves)
    flat, out_tree = _pytree.tree_flatten(f(*args, **kwargs))
    store.store(out_tree)
    return flat


def flatten_fun_nokwargs(fun: _WrappedFun, in_tree: Any) -> tuple[_WrappedFun, Callable[[], Any]]:
    """The function of the leaves of its positional arguments, and a function that gives its result's structure."""
    return _flatten_fun_nokwargs(fun, in_tree)


@_transformation_with_aux2
def _flatten_fun_nokwargs(f: Callable[..., Any], store: _Store, in_tree: Any, *leaves: Any) -> list[Any]:
    flat, out_tree = _pytree.tree_flatten(f(*in_tree.unflatten(leaves)))
    store.store(out_tree)
    return flat


def flatten_axes(
    name: str, treedef: Any, axis_tree: Any, *, kws: bool = False, tupled_args: bool = False
) -> list[Any]:
    """One axis, or None, for each leaf of a structure.

    Args:
      name: what the axes are called in messages.
      treedef: the structure.
      axis_tree: a prefix of it, with None where there is no axis.
      kws: whether the structure is (args, kwargs) and the axes are those of args; all of kwargs have axis 0.
      tupled_args: whether messages may suggest that the axes be a tuple.

    Raises:
      ValueError: the axes are no prefix of the structure.

    Example:
      >>> from canter import api_util, tree_util
      >>> api_util.flatten_axes("axes", tree_util.tree_structure({"a": 1, "b": (2, 3)}), {"a": 0, "b": 1})
      [0, 1, 1]
    """
    if kws:
        args_tree, kwargs_tree = treedef.children()
        positional = flatten_axes(name, args_tree, axis_tree, tupled_args=tupled_args)
        return [*positional, *[0] * kwargs_tree.num_leaves]
    return list(_pytree.flatten_axes(name, treedef, axis_tree, tupled_args=tupled_args))


def argnums_partial(
    f: _WrappedFun,
    dyn_argnums: int | Sequence[int],
    args: Sequence[Any],
    require_static_args_hashable: bool = True,
) -> tuple[_WrappedFun, tuple[Any, ...]]:
    """The function of some of its positional arguments, the others fixed.

    Args:
      f: the function.
      dyn_argnums: positions of the arguments that stay.
      args: all arguments.
      require_static_args_hashable: whether the others must be hashable.

    Returns:
      The function of the arguments that stay, and these.

    Raises:
      ValueError: a fixed argument is not hashable.

    Example:
      >>> from canter import api_util
      >>> from canter.extend import linear_util
      >>> fun, dynamic = api_util.argnums_partial(linear_util.wrap_init(lambda *xs: xs), (1,), (1, 2, 3))
      >>> fun.call_wrapped(9), dynamic
      ((1, 9, 3), (2,))
    """
    numbers = (dyn_argnums,) if isinstance(dyn_argnums, int) else tuple(dyn_argnums)
    numbers = tuple(n % len(args) for n in numbers)
    fixed = tuple((i, x) for i, x in enumerate(args) if i not in numbers)
    if require_static_args_hashable:
        for i, value in fixed:
            try:
                hash(value)
            except TypeError:
                raise ValueError(
                    f"Argument {i} is fixed, so it must be hashable; it is a {type(value).__name__}."
                ) from None
    else:
        fixed = tuple((i, _Unhashed(x)) for i, x in fixed)
    return _argnums_partial(f, numbers, fixed), tuple(args[n] for n in numbers)


class _Unhashed:
    """A value that is equal to itself alone."""

    def __init__(self, value: Any):
        self.value = value


@_transformation2
def _argnums_partial(f: Callable[..., Any], numbers: Any, fixed: Any, *dynamic: Any, **kwargs: Any) -> Any:
    values = {i: x.value if isinstance(x, _Unhashed) else x for i, x in fixed}
    values.update(zip(numbers, dynamic, strict=True))
    return f(*(values[i] for i in range(len(values))), **kwargs)


@functools.lru_cache(maxsize=1024)
def donation_vector(
    donate_argnums: tuple[int, ...], donate_argnames: tuple[str, ...], in_tree: Any, kws: bool = True
) -> tuple[bool, ...]:
    """Which leaves of the arguments are donated.

    Args:
      donate_argnums, donate_argnames: positions and names of the arguments that are.
      in_tree: the structure of (args, kwargs), or of args alone without `kws`.
      kws: whether it has kwargs.

    Example:
      >>> from canter import api_util, tree_util
      >>> api_util.donation_vector((0,), (), tree_util.tree_structure(((1, 2), {})))
      (True, False)
    """
    args_tree, kwargs_tree = in_tree.children() if kws else (in_tree, None)
    flags: list[bool] = []
    for i, child in enumerate(args_tree.children()):
        flags += [i in donate_argnums or i - len(args_tree.children()) in donate_argnums] * child.num_leaves
    if kwargs_tree is not None:
        for name, child in zip(kwargs_tree.node_data()[1], kwargs_tree.children(), strict=True):
            flags += [name in donate_argnames] * child.num_leaves
    return tuple(flags)


def rebase_donate_argnums(donate_argnums: Any, static_argnums: Any) -> tuple[int, ...]:
    """Positions of donated arguments among those that are not static.

    Raises:
      ValueError: an argument is both.

    Example:
      >>> from canter import api_util
      >>> api_util.rebase_donate_argnums((2, 3), (1,))
      (1, 2)
    """
    donated, static = (
        (numbers,) if isinstance(numbers, int) else tuple(numbers or ())
        for numbers in (donate_argnums, static_argnums)
    )
    both = set(donated) & set(static)
    if both:
        raise ValueError(f"static_argnums and donate_argnums cannot intersect; both have {sorted(both)}.")
    return tuple(d - sum(s < d for s in static) for d in sorted(donated))


def shaped_abstractify(x: Any) -> Any:
    """The type of an array, number, or anything that has a shape and a dtype.

    Example:
      >>> from canter import api_util
      >>> api_util.shaped_abstractify(1.0)
      ShapedArray(float32[], weak_type=True)
    """
    from .runtime.shape_dtype import abstract_aval

    return abstract_aval(x)
