"""How the primitives of `lax.linalg` are declared: they work on the last axes, batched over the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray
from ..core.primitive import Primitive
from ..transforms.jvp import jvp_flat
from ..transforms.rules import bdim_at_front, instantiate_zeros
from .common import check_dtype
from .joining import batch_size


def check_matrix(name: str, aval: Any, square: bool = False) -> None:
    """Raises unless the aval is of (square) matrices of floating or complex numbers."""
    if len(aval.shape) < 2 or (square and aval.shape[-1] != aval.shape[-2]):
        what = "square matrices" if square else "matrices"
        raise (TypeError if len(aval.shape) < 2 else ValueError)(
            f"{name} takes {what} along the last two axes, got an array of shape {aval.shape}."
        )
    check_dtype(name, aval.dtype, (np.floating, np.complexfloating))


def sized(aval: Any, *sizes: int, dtype: Any = None) -> ShapedArray:
    """An aval with the batch axes of a matrix and other sizes behind them."""
    return ShapedArray((*aval.shape[:-2], *sizes), dtype or aval.dtype)


def real_dtype(dtype: Any) -> Any:
    """The dtype of the parts of numbers of a floating or complex dtype."""
    return dtypes.finfo(dtype).dtype


def matrix_primitive(
    name: str,
    shape_rule: Callable[..., Any],
    *,
    multiple_results: bool = False,
    jvp: Callable[..., Any] | None = None,
    transpose: Callable[..., Any] | None = None,
) -> Primitive:
    """A primitive that works on the last axes of its operands, matched along leading ones."""
    primitive = Primitive(name, multiple_results)

    def batch(args: Any, dims: Any, **params: Any) -> Any:
        size = batch_size(args, dims)
        out = primitive.bind(*(bdim_at_front(x, d, size) for x, d in zip(args, dims, strict=True)), **params)
        return (out, [0] * len(out)) if multiple_results else (out, 0)

    primitive.def_abstract_eval(shape_rule)
    primitive.def_batching(batch)
    if jvp is not None:
        primitive.def_jvp(lambda primals, tangents, **params: jvp(primitive, primals, tangents, params))
    primitive.transpose_rule = transpose
    return primitive


def through_program(program: Callable[..., Any]) -> Callable[..., Any]:
    """The jvp rule of a primitive that a program of single matrices (its first operand) says all about.

    The values are the primitive's own, the tangents the program's.
    """
    from .linalg_algorithms import batched

    def jvp(primitive: Primitive, primals: Any, tangents: Any, params: Any) -> Any:
        outs = primitive.bind(*primals, **params)

        def flat(*operands: Any) -> Any:
            results = batched(lambda *xs: program(*xs, **params), 2, *operands)
            return results if primitive.multiple_results else [results]

        _, out_tangents = jvp_flat(flat, primals, [instantiate_zeros(t) for t in tangents])
        return outs, (out_tangents if primitive.multiple_results else out_tangents[0])

    return jvp
