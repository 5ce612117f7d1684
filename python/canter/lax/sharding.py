"""Constraints on where values of a program are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..core import pytree
from ..core.avals import get_aval
from ..core.mesh import current_context, lenient_layouts
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import NamedSharding, Sharding, check_fits, is_over_nothing, resolve
from ..core.trace import is_eager
from ..transforms.rules import deflinear
from ..transforms.zeros import is_undefined_primal

__all__ = [
    "check_not_manual",
    "computed_as",
    "concerns_explicit_axes",
    "reshard_p",
    "resharded",
    "sharding_constraint_p",
    "with_sharding_constraint",
]

sharding_constraint_p = Primitive("sharding_constraint")
sharding_constraint_p.def_abstract_eval(lambda x, **params: x)


def with_sharding_constraint(x: Any, shardings: Any) -> Any:
    """Tells the compiler how values inside a compiled function are to be laid out over devices.

    Args:
      x: a tree of arrays.
      shardings: a sharding, a `PartitionSpec` over the mesh in force, or a tree of them that is a prefix
        of `x`; None leaves a leaf as it is. `PartitionSpec.UNCONSTRAINED` leaves a dimension to the compiler.

    Returns:
      The same values with these layouts.

    Raises:
      RuntimeError: a `PartitionSpec`, but no mesh is in force.
      ValueError: a spec is longer than the rank of the array, or names axes that the mesh does not have.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
      >>> f = ct.jit(lambda x: lax.with_sharding_constraint(x * 2, ct.NamedSharding(mesh, ct.P("x"))))
      >>> f(ct.numpy.arange(3)).tolist()
      [0, 2, 4]
    """
    leaves, treedef = pytree.tree_flatten(x)
    if shardings is None or isinstance(shardings, (Sharding, PartitionSpec)):
        given = [shardings] * len(leaves)
    else:
        given = pytree.flatten_axes("with_sharding_constraint shardings", treedef, shardings)
    outs = []
    for position, (leaf, each) in enumerate(zip(leaves, given, strict=True)):
        sharding = resolve(each, "with_sharding_constraint", "shardings")
        outs.append(leaf if sharding is None else _constrained(leaf, sharding, position, x))
    return treedef.unflatten(outs)


def _constrained(leaf: Any, sharding: Any, position: int, tree: Any) -> Any:
    aval = get_aval(leaf)
    if isinstance(sharding, NamedSharding):
        in_force = current_context().abstract or sharding.mesh
        check_not_manual("with_sharding_constraint", sharding, in_force)
        if in_force.explicit_axes and not in_force.auto_axes:
            _check_asserted(aval, NamedSharding(in_force, sharding.spec))
            return leaf
        if sharding.mesh.explicit_axes:
            sharding = _over_auto_axes(aval, sharding)
    if isinstance(sharding, NamedSharding) and len(sharding.spec) > len(aval.shape):
        paths, _ = pytree.tree_flatten_with_path(tree)
        check_fits(
            sharding, aval, f"x{pytree.keystr(paths[position][0])}", "with_sharding_constraint arguments"
        )
    free: frozenset[int] = frozenset()
    if isinstance(sharding, NamedSharding):
        entries = enumerate(sharding.spec)
        free = frozenset(i for i, entry in entries if entry is PartitionSpec.UNCONSTRAINED)
    context = current_context().abstract
    return sharding_constraint_p.bind(
        leaf, sharding=sharding, layout=None, context_mesh=context, unconstrained_dims=free
    )


def check_not_manual(where: str, sharding: NamedSharding, in_force: Any) -> None:
    """Checks that a spec names no manual axis: along these a value is one device's own, which nothing can spread.

    Args:
      where: the function, for the message.
      sharding: what was asked for.
      in_force: the mesh whose axes have these types.

    Raises:
      ValueError: it does.
    """
    named = [axis for axes in sharding.spec.axes() for axis in axes if axis in in_force.manual_axes]
    if named:
        raise ValueError(
            f"{where}: the spec {sharding.spec} contains the manual axes {tuple(named)} of the mesh, "
            "which is not allowed: inside a shard_map over them, each device has its own part. Name other axes only."
        )


def _over_auto_axes(aval: Any, sharding: NamedSharding) -> NamedSharding:
    """The constraint along a mesh's Auto axes; along the Explicit ones types say how values are laid out."""
    explicit = frozenset(sharding.mesh.explicit_axes)
    named = {axis for axes in sharding.spec.axes() for axis in axes}
    if named & explicit:
        raise ValueError(
            "The spec of NamedSharding passed to with_sharding_constraint can only refer to Auto axes of the mesh. Got "
            f"spec={sharding.spec} and mesh={sharding.mesh}. Bring arrays to another layout along explicit axes with "
            "canter.reshard."
        )
    if aval.layout is None or len(sharding.spec) > len(aval.shape):
        return sharding
    entries = [*sharding.spec, *[None] * (len(aval.shape) - len(sharding.spec))]
    merged = [
        entry if entry is PartitionSpec.UNCONSTRAINED else (*own, *asked)
        for entry, own, asked in zip(
            entries, aval.layout.spec.axes(), PartitionSpec(*entries).axes(), strict=True
        )
    ]
    return sharding.update(spec=sharding.spec.update(partitions=merged))


def _check_asserted(aval: Any, sharding: NamedSharding) -> None:
    """Along explicit axes types say how values are laid out; a constraint can only repeat it."""
    from ..core.explicit import explicit_part

    wanted = explicit_part(sharding, len(aval.shape))
    if wanted != aval.layout:
        raise AssertionError(
            f"with_sharding_constraint asserts {sharding.spec} of a value of type {aval.str_short(True)}, along axes "
            "of type Explicit, for which it acts as an assertion. Bring the value there with canter.reshard."
        )


def _transpose(ct: Any, x: Any, **params: Any) -> Any:
    assert is_undefined_primal(x)
    return [sharding_constraint_p.bind(ct, **params)]


def _batch(trace: Any, args: Any, dims: Any, *, sharding: Any, unconstrained_dims: Any, **params: Any) -> Any:
    (x,), (dim,) = args, dims
    if dim is None:
        out = sharding_constraint_p.bind(
            x, sharding=sharding, unconstrained_dims=unconstrained_dims, **params
        )
        return out, None
    if isinstance(sharding, NamedSharding):
        # The new dimension is split as `spmd_axis_name` says, else as the compiler likes.
        own = trace.spmd_name if trace.spmd_name is not None else PartitionSpec.UNCONSTRAINED
        entries = list(sharding.spec)
        entries += [None] * (dim - len(entries))
        entries.insert(dim, own)
        sharding = sharding.update(spec=sharding.spec.update(partitions=entries))
        unconstrained_dims = frozenset(i for i, e in enumerate(entries) if e is PartitionSpec.UNCONSTRAINED)
    out = sharding_constraint_p.bind(x, sharding=sharding, unconstrained_dims=unconstrained_dims, **params)
    return out, dim


deflinear(sharding_constraint_p, _transpose)
sharding_constraint_p.axis_batch_rule = _batch


# --- explicit axes --------------------------------------------------------------------------------

reshard_p = Primitive("reshard")


@reshard_p.def_abstract_eval
def _resharded_type(x: Any, *, dst_sharding: NamedSharding, concrete_mesh: Any) -> Any:
    from ..core.explicit import check_sums, layout_over

    layout = layout_over(dst_sharding.mesh.abstract_mesh, dst_sharding.spec, len(x.shape))
    if layout is not None:
        check_sums(x.layout, layout)
    return x.update(layout=layout)


def resharded(x: Any, sharding: Any, where: str = "out_sharding") -> Any:
    """An array brought to a layout over explicit axes.

    Args:
      x: the array.
      sharding: a spec over the mesh in force, or a `NamedSharding`.
      where: for messages, what gave the sharding.

    Raises:
      ValueError: the spec does not fit the array or the mesh.
    """
    from ..core.explicit import check_asked, sharding_asked

    asked = sharding_asked(sharding, where)
    aval = get_aval(x)
    check_asked(where, asked, aval.shape)
    spec = asked.spec
    if len(spec) != len(aval.shape):
        entries = [*spec.partitions[: len(aval.shape)], *[None] * (len(aval.shape) - len(spec))]
        asked = asked.update(spec=spec.update(partitions=entries))
    return reshard_p.bind(x, dst_sharding=asked, concrete_mesh=None)


def concerns_explicit_axes(sharding: Any) -> bool:
    """Whether a sharding, or a spec over the mesh in force, is one of types."""
    is_whole = isinstance(sharding, Sharding)
    mesh = getattr(sharding, "mesh", None) if is_whole else current_context().abstract
    return mesh is not None and bool(mesh.explicit_axes)


def computed_as(compute: Callable[[], Any], sharding: Any, function: str | None = None) -> Any:
    """What a function computes, laid out as asked; where explicit axes leave it open, this says it.

    Args:
      compute: gives the value.
      sharding: the layout.
      function: that whose `out_sharding` it is, which can only name explicit axes; None of any other layout.
    """
    if is_over_nothing(sharding):
        return compute()
    if function is not None:
        from ..core.explicit import check_explicit

        check_explicit(function, sharding)
    if not concerns_explicit_axes(sharding):
        if isinstance(sharding, Sharding) and is_eager():  # a place, whatever mesh is in force
            return import_module("canter.runtime.device_put").device_put(compute(), sharding)
        return with_sharding_constraint(compute(), sharding)
    with lenient_layouts():
        value = compute()
    return pytree.tree_map(lambda leaf: resharded(leaf, sharding, function or "out_sharding"), value)


def _reshard_back(ct: Any, x: Any, *, dst_sharding: Any, concrete_mesh: Any) -> list[Any]:
    layout = x.aval.to_tangent_aval().layout
    if layout is None:
        back = dst_sharding.update(spec=PartitionSpec(*[None] * len(x.aval.shape)))
    else:
        spec = layout.spec.update(unreduced=layout.spec.reduced, reduced=layout.spec.unreduced)
        same = layout.mesh == dst_sharding.mesh.abstract_mesh
        back = dst_sharding.update(spec=spec) if same else NamedSharding(layout.mesh, spec)
    return [reshard_p.bind(ct, dst_sharding=back, concrete_mesh=concrete_mesh)]


def _reshard_batch(trace: Any, args: Any, dims: Any, *, dst_sharding: Any, concrete_mesh: Any) -> Any:
    (x,), (dim,) = args, dims
    if dim is not None:
        layout = get_aval(x).layout
        entries = list(dst_sharding.spec)
        entries.insert(dim, None if layout is None else layout.spec[dim])
        dst_sharding = dst_sharding.update(spec=dst_sharding.spec.update(partitions=entries))
    return reshard_p.bind(x, dst_sharding=dst_sharding, concrete_mesh=concrete_mesh), dim


deflinear(reshard_p, _reshard_back)
reshard_p.axis_batch_rule = _reshard_batch
