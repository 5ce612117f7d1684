"""Calling exported programs: from Python, and inside other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core import dtypes, pytree
from ..core.explicit import layout_over
from ..core.mesh import current_context
from ..core.primitive import NoMemory, Primitive
from ..runtime.jit import jit
from ..transforms.custom_rules import custom_vjp
from ..transforms.rules import moveaxis
from .exported import Exported

__all__ = ["call_exported", "call_exported_p"]

call_exported_p = Primitive("call_exported", multiple_results=True)
call_exported_p.abstract_cache = NoMemory()  # artifacts die with those who hold them


def call_exported(exported: Exported) -> Callable[..., Any]:
    """The function that was exported, as one that can be called, jitted, differentiated and exported again.

    Args:
      exported: the program.

    Returns:
      A function of the arguments' structure; also to be had as `exported.call`.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> exported = export.export(ct.jit(cnp.sin))(1.0)
      >>> print(ct.grad(export.call_exported(exported))(0.0))
      1.0
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = pytree.registry.flatten((args, kwargs))
        if tree != exported.in_tree:
            raise ValueError(_structure_message(exported, args, kwargs))
        results = _with_derivative(exported)(*leaves)
        return exported.out_tree.unflatten(results)

    call.__name__ = call.__qualname__ = exported.fun_name or "call"
    if any(map(_is_float0, exported.in_avals)):
        return call
    # Jitted, so that a call outside of other programs is one call of a compiled function.
    return jit(call, inline=True)


def _is_float0(aval: Any) -> bool:
    """Whether an argument is the cotangent of an integer, which has no value and stays outside of programs."""
    return bool(aval.dtype == dtypes.float0)


def _with_derivative(exported: Exported) -> Callable[..., Any]:
    def flat(*leaves: Any) -> tuple[Any, ...]:
        operands = [x for x, aval in zip(leaves, exported.in_avals, strict=True) if not _is_float0(aval)]
        return tuple(call_exported_p.bind(*operands, exported=exported))

    def forward(*leaves: Any) -> Any:
        return function(*leaves), leaves  # not `flat`: it may be differentiated once more

    def backward(leaves: Any, cotangents: Any) -> Any:
        given = [_cotangent(ct, aval) for ct, aval in zip(cotangents, exported.out_avals, strict=True)]
        return tuple(exported.vjp().call(*leaves, *given))

    flat.__name__ = exported.fun_name or "call"
    function = custom_vjp(flat)
    function.defvjp(forward, backward)
    return function


def _cotangent(value: Any, aval: Any) -> Any:
    """What the derivative takes for a result; those of integers have no cotangent."""
    if _is_float0(aval.to_tangent_aval()):
        return np.zeros(np.shape(value), dtypes.float0)
    return value


def _structure_message(exported: Exported, args: Any, kwargs: Any) -> str:
    expected = exported.in_tree.unflatten(exported.in_avals)
    problems = []
    for path, then, now, why in pytree.equality_errors(expected, (args, kwargs)):
        problems.append(f"  {argument_name(path)}: {then} when exported, {now} in this call: {why}")
    return (
        f"The arguments of '{exported.fun_name}' do not have the same pytree structure as when the function was "
        "exported:\n" + "\n".join(problems[:8])
    )


def argument_name(path: Any) -> str:
    """What a message calls a leaf of `(args, kwargs)`: `args[0]['w']`, `kwargs['k']`."""
    which, *rest = path
    return ("args", "kwargs")[which.idx] + pytree.keystr(tuple(rest))


def names_of_arguments(exported: Exported) -> list[str]:
    """What messages call the leaves of the arguments."""
    tree = exported.in_tree
    paths, _ = pytree.tree_flatten_with_path(tree.unflatten([0] * tree.num_leaves))
    return [argument_name(path) for path, _ in paths]


def _abstract(*avals: Any, exported: Exported) -> tuple[Sequence[Any], set[Any]]:
    results: Sequence[Any]
    if any(_is_symbolic(aval) for aval in exported.in_avals):
        from .symbolic_calls import result_types

        results = result_types(exported, avals, names_of_arguments(exported))
    else:
        _check_types(exported, avals)
        results = exported.out_avals
    if any(aval.layout is not None for aval in results):
        results = _over_mesh_of_call(results, avals)
    return results, {*exported.ordered_effects, *exported.unordered_effects}


def _over_mesh_of_call(results: Sequence[Any], avals: Sequence[Any]) -> Sequence[Any]:
    """The types of results, laid out over the mesh of the call where it has the axes of the program's.

    The mesh may be one of other devices, or leave the layout to the compiler.
    """
    found = (aval.layout.mesh for aval in avals if aval.layout is not None)
    mesh = next(found, None) or current_context().abstract

    def moved(aval: Any) -> Any:
        layout = aval.layout
        if layout is None or mesh is None or mesh.shape_tuple != layout.mesh.shape_tuple:
            return aval
        return aval.update(layout=layout_over(mesh, layout.spec, len(aval.shape)))

    return [moved(aval) for aval in results]


def _is_symbolic(aval: Any) -> bool:
    return not all(type(size) is int for size in aval.shape)


def _check_types(exported: Exported, avals: Sequence[Any]) -> None:
    expected = [(i, aval) for i, aval in enumerate(exported.in_avals) if not _is_float0(aval)]
    for given, (position, wanted) in zip(avals, expected, strict=True):
        if given.dtype == wanted.dtype and given.shape == wanted.shape:
            continue
        name = names_of_arguments(exported)[position]
        if len(given.shape) != len(wanted.shape):
            raise ValueError(
                f"Rank mismatch for {name} of '{exported.fun_name}': expected {wanted.shape} and called with "
                f"{given.shape}."
            )
        if given.shape != wanted.shape:
            axis = next(i for i, (a, b) in enumerate(zip(given.shape, wanted.shape, strict=True)) if a != b)
            raise ValueError(
                f"Shape mismatch for {name}.shape[{axis}] of '{exported.fun_name}' (expected same constant): expected "
                f"{wanted.shape} and called with {given.shape}. Export it with symbolic shapes to call it with others."
            )
        raise ValueError(
            f"Dtype mismatch for {name} of '{exported.fun_name}': expected {wanted.dtype} and called with "
            f"{given.dtype}. Convert the argument, or export the function for this dtype."
        )


def _batched(
    args: Sequence[Any], dims: Sequence[int | None], *, exported: Exported
) -> tuple[list[Any], list[int]]:
    """One call after another: nothing is known of the program but how to run it."""
    from ..lax import map as lax_map

    mapped = [moveaxis(x, dim, 0) for x, dim in zip(args, dims, strict=True) if dim is not None]

    def call_one(rows: list[Any]) -> list[Any]:
        left = iter(rows)
        operands = [x if dim is None else next(left) for x, dim in zip(args, dims, strict=True)]
        return list(call_exported_p.bind(*operands, exported=exported))

    results = lax_map(call_one, mapped)
    return results, [0] * len(results)


def _evaluate(*args: Any, exported: Exported) -> list[Any]:
    return list(exported._compiled(*args))


call_exported_p.def_effectful_abstract_eval(_abstract)
call_exported_p.def_impl(_evaluate)
call_exported_p.def_batching(_batched)
