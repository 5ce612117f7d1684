"""Constraints on where values of a program are."""

from __future__ import annotations

from typing import Any

from ..core import pytree
from ..core.avals import get_aval
from ..core.mesh import current_context
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import NamedSharding, Sharding, check_fits, resolve
from ..transforms.rules import deflinear
from ..transforms.zeros import is_undefined_primal

__all__ = ["sharding_constraint_p", "with_sharding_constraint"]

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
