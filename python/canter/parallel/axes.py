"""`auto_axes` and `explicit_axes`: changing who decides on layouts for the length of a function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core import pytree
from ..core.avals import get_aval
from ..core.explicit import check_explicit
from ..core.mesh import AxisType, Mesh, current_context, use_context
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding, resolve
from ..core.trace import Tracer
from ..lax.sharding import resharded, with_sharding_constraint
from ..runtime.device_put import put

__all__ = ["auto_axes", "explicit_axes"]


def _mesh(function: str, shardings: Any) -> Any:
    """The mesh in force, or that of the first sharding given."""
    context = current_context()
    for sharding in pytree.tree_leaves(shardings):
        if isinstance(sharding, NamedSharding):
            return sharding.mesh
    mesh = context.abstract
    if mesh is None:
        raise ValueError(
            f"{function} needs a mesh: set one with canter.set_mesh(mesh), or give NamedShardings instead of specs."
        )
    return context.concrete if context.concrete is not None and not mesh.manual_axes else mesh


def _names(function: str, mesh: Any, axes: Any) -> tuple[Any, ...]:
    names = mesh.axis_names if axes is None else (axes,) if isinstance(axes, str) else tuple(axes)
    unknown = [name for name in names if name not in mesh.axis_names]
    if unknown:
        raise ValueError(f"{function}: the mesh {mesh} has no axes {unknown}.")
    return names


def _with_types(function: str, mesh: Any, axes: Any, kind: AxisType) -> Any:
    """What is in force inside: the mesh with other types of axes."""
    names = _names(function, mesh, axes)
    types = tuple(
        kind if name in names and own is not AxisType.Manual else own
        for name, own in zip(mesh.axis_names, mesh.axis_types, strict=True)
    )
    changed = mesh.update(axis_types=types)
    context = current_context()
    concrete = changed if isinstance(changed, Mesh) else context.concrete
    return context._replace(concrete=concrete, abstract=changed.abstract_mesh)


def _named(mesh: Any, shardings: Any) -> Any:
    def leaf(given: Any) -> Any:
        if isinstance(given, PartitionSpec):
            return NamedSharding(mesh, given)
        return resolve(given, "auto_axes", "out_sharding")

    return pytree.tree_map(leaf, shardings)


def _specs(shardings: Any) -> Any:
    """The specs of shardings, to be read over the mesh with its other types."""
    return pytree.tree_map(lambda leaf: getattr(leaf, "spec", leaf), shardings)


def _brought(values: Any, shardings: Any, where: str) -> Any:
    """Arrays brought to layouts over explicit axes; the shardings are a tree prefix of the arrays."""
    leaves, treedef = pytree.tree_flatten(values)
    if isinstance(shardings, NamedSharding):
        given = [shardings] * len(leaves)
    else:
        given = pytree.flatten_axes(where, treedef, shardings)
    return treedef.unflatten([resharded(x, s, where) for x, s in zip(leaves, given, strict=True)])


def _retyped(x: Any) -> Any:
    """A value where it is, in the terms of the mesh in force, whose axes have other types."""
    context = current_context()
    mesh = context.abstract
    if mesh is None:
        return x
    layout = getattr(get_aval(x), "layout", None)
    if layout is not None and layout.mesh != mesh:
        return resharded(x, NamedSharding(mesh, layout.spec))
    own = None if isinstance(x, Tracer) else getattr(x, "sharding", None)
    if (
        isinstance(own, NamedSharding)
        and context.concrete is not None
        and own.mesh.axis_types != mesh.axis_types
    ):
        return put(x, own.update(mesh=context.concrete))
    return x


def _grid(mesh: Any) -> tuple[Any, Any]:
    return mesh.shape_tuple, mesh.axis_types


def _check_results(shardings: Any) -> None:
    """Checks that results are asked for along explicit axes of the mesh in force."""
    mesh: Any = current_context().abstract
    for leaf in pytree.tree_leaves(shardings):
        own = getattr(leaf, "mesh", None)
        is_other = own is not None and mesh is not None and _grid(own) != _grid(mesh)
        if is_other:
            raise ValueError(
                f"auto_axes: out_sharding is over {own}, but the mesh in force is {mesh}. Give a spec."
            )
        check_explicit("auto_axes", leaf)


def auto_axes(
    f: Callable[..., Any] | None = None, /, *, axes: Any = None, out_sharding: Any = None
) -> Callable[..., Any]:
    """A function in which the compiler decides how arrays are laid out along some mesh axes.

    Args:
      f: the function; None gives a decorator.
      axes: a name or names of mesh axes; None means all.
      out_sharding: how the results are laid out: a sharding, a spec, or a tree of them; it may also be given
        at the call, as the keyword `out_sharding`.

    Raises:
      ValueError: no mesh is in force, or it has no such axes.
      TypeError: a call without `out_sharding`.

    >>> import canter as ct
    >>> mesh = ct.make_mesh((1,), ("x",), devices=ct.devices()[:1])
    >>> double = ct.sharding.auto_axes(lambda x: x + x, out_sharding=ct.NamedSharding(mesh, ct.P("x")))
    >>> double(ct.numpy.arange(2)).tolist()
    [0, 2]
    """
    if f is None:
        return functools.partial(auto_axes, axes=axes, out_sharding=out_sharding)
    function: Callable[..., Any] = f

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        wanted = kwargs.pop("out_sharding", out_sharding)
        if wanted is None:
            raise TypeError("auto_axes: missing required keyword argument: 'out_sharding'.")
        mesh = _mesh("auto_axes", wanted)
        inside = _with_types("auto_axes", mesh, axes, AxisType.Auto)
        in_force = current_context().abstract
        if (in_force or mesh).explicit_axes:
            if inside.abstract == in_force:
                return function(*args, **kwargs)
            _check_results(wanted)
        with use_context(inside):
            args, kwargs = pytree.tree_map(_retyped, (args, kwargs))
            results = function(*args, **kwargs)
        if mesh.explicit_axes:
            return _brought(results, _named(mesh, wanted), "auto_axes out_sharding")
        return with_sharding_constraint(results, _named(mesh, wanted))

    return wrapped


def explicit_axes(
    f: Callable[..., Any] | None = None, /, *, axes: Any = None, in_sharding: Any = None
) -> Callable[..., Any]:
    """A function in which the types of arrays decide how they are laid out along some mesh axes.

    Args:
      f: the function; None gives a decorator.
      axes: a name or names of mesh axes; None means all.
      in_sharding: how the arguments are laid out: a sharding, a spec, or a tree of them; it may also be given
        at the call, as the keyword `in_sharding`.

    Raises:
      ValueError: no mesh is in force, or it has no such axes.
      TypeError: a call without `in_sharding`.

    >>> import canter as ct
    >>> mesh = ct.make_mesh((1,), ("x",), devices=ct.devices()[:1])
    >>> double = ct.sharding.explicit_axes(lambda x: x + x, in_sharding=ct.NamedSharding(mesh, ct.P("x")))
    >>> double(ct.numpy.arange(2)).tolist()
    [0, 2]
    """
    if f is None:
        return functools.partial(explicit_axes, axes=axes, in_sharding=in_sharding)
    function: Callable[..., Any] = f

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        wanted = kwargs.pop("in_sharding", in_sharding)
        if wanted is None:
            raise TypeError("explicit_axes: missing required keyword argument: 'in_sharding'.")
        mesh = _mesh("explicit_axes", wanted)
        context = _with_types("explicit_axes", mesh, axes, AxisType.Explicit)
        inside = context.concrete if isinstance(mesh, Mesh) else context.abstract
        with use_context(context):
            wanted = _named(inside, _specs(wanted))
            given = _brought(args if len(args) != 1 else args[0], wanted, "explicit_axes in_sharding")
            results = function(*(given if len(args) != 1 else (given,)), **kwargs)
        with use_context(_with_types("explicit_axes", mesh, (), AxisType.Explicit)):
            return pytree.tree_map(_retyped, results)

    return wrapped
