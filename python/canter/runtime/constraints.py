"""`reshard`: bringing arrays to another layout, inside and outside of compiled functions."""

from __future__ import annotations

from typing import Any

from ..core import pytree
from ..core.avals import get_aval
from ..core.explicit import check_explicit
from ..core.mesh import current_context
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding, Sharding, check_fits, resolve
from ..lax.sharding import resharded, sharding_constraint_p
from .device_put import device_put_p  # noqa: F401  the module gives the constraint its eager form

__all__ = ["reshard"]


def reshard(xs: Any, out_shardings: Any) -> Any:
    """Brings arrays to another layout over the explicit axes of a mesh.

    Args:
      xs: a tree of arrays.
      out_shardings: a `NamedSharding`, a `PartitionSpec` over the mesh in force, or a tree of them that is a
        prefix of `xs`.

    Raises:
      ValueError: a spec names axes of type Auto or Manual, for which `lax.with_sharding_constraint` is
        meant; or a shape does not fit.

    >>> import canter as ct
    >>> mesh = ct.make_mesh((1,), ("x",), devices=ct.devices()[:1])
    >>> ct.reshard(ct.numpy.arange(4), ct.NamedSharding(mesh, ct.P("x"))).sharding.spec
    P('x',)
    """
    leaves, treedef = pytree.tree_flatten(xs)
    if isinstance(out_shardings, (Sharding, PartitionSpec)):
        given = [out_shardings] * len(leaves)
    else:
        given = pytree.flatten_axes("reshard out_shardings", treedef, out_shardings)
    try:
        return treedef.unflatten([_resharded(*pair) for pair in zip(leaves, given, strict=True)])
    except ValueError as error:
        raise _named(error, xs, given) from None


def _named(error: Exception, xs: Any, given: Any) -> Exception:
    """The same error, with the path of the array it is about."""
    for (path, leaf), each in zip(pytree.tree_flatten_with_path(xs)[0], given, strict=True):
        if path:
            try:
                sharding = resolve(each, "reshard", "out_shardings")
                sharding.shard_shape(get_aval(leaf).shape)
            except ValueError as problem:
                if isinstance(each, PartitionSpec) and str(problem) == str(error):
                    break  # the spec itself is wrong, whatever it is for
                return type(error)(f"reshard of xs{pytree.keystr(path)}: {error}")
    return error


def _resharded(leaf: Any, given: Any) -> Any:
    sharding = resolve(given, "reshard", "out_shardings")
    if not isinstance(sharding, NamedSharding):
        raise ValueError(f"reshard takes a NamedSharding or a PartitionSpec; got {given!r}.")
    check_explicit("reshard", sharding)
    if sharding.mesh.explicit_axes:
        return resharded(leaf, sharding, "reshard")
    check_fits(sharding, get_aval(leaf), "the array", "out_shardings of reshard")
    context = current_context().abstract
    return sharding_constraint_p.bind(
        leaf, sharding=sharding, layout=None, context_mesh=context, unconstrained_dims=frozenset()
    )
