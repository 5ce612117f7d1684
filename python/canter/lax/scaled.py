"""Matrix products of operands that share scales among runs of elements, as the OCP microscaling formats do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.primitive import Primitive
from ..transforms.rules import bdim_at_front
from .common import Array, ArrayLike, DTypeLike, ops
from .products import canonical_numbers

__all__ = ["decomposed", "scaled_dot", "scaled_dot_p"]

scaled_dot_p = Primitive("scaled_dot")
_SCALE_DTYPE = "float8_e8m0fnu"


def scaled_dot(
    lhs: ArrayLike,
    rhs: ArrayLike,
    *,
    lhs_scale: ArrayLike | None = None,
    rhs_scale: ArrayLike | None = None,
    dimension_numbers: Any = None,
    preferred_element_type: DTypeLike | None = None,
) -> Array:
    """The product of two arrays, each multiplied by scales before: `(lhs * lhs_scale) @ (rhs * rhs_scale)`.

    A scale has the rank of its operand and the same sizes, but for the contracting dimensions: there one
    scale serves a run of elements. Compilers that know the operation multiply without unpacking.

    Args:
      lhs: array of two dimensions, or of three with a batch dimension first.
      rhs: likewise.
      lhs_scale: one scale for each run of elements of `lhs`, at least two a run; None means no scaling.
      rhs_scale: likewise for `rhs`.
      dimension_numbers: as for `dot_general`; None is the matrix product, `(m, k)` by `(k, n)`.
      preferred_element_type: dtype of the result; None means bfloat16.

    Returns:
      The products, of the shape that `dot_general` gives. There is no derivative.

    Raises:
      TypeError: ranks or sizes do not fit.

    Source: the OCP Microscaling Formats (MX) specification, version 1.0.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> x, scale = cnp.ones((2, 4), "float8_e4m3fn"), cnp.full((2, 2), 2, "float8_e8m0fnu")
      >>> lax.scaled_dot(x, x.T, lhs_scale=scale).tolist()
      [[8.0, 8.0], [8.0, 8.0]]
    """
    ndim = get_aval(lhs).ndim
    if dimension_numbers is None:
        matrices = {2: (((1,), (0,)), ((), ())), 3: (((2,), (1,)), ((0,), (0,)))}
        if ndim not in matrices:
            raise TypeError(
                f"scaled_dot does not support 0-rank and 1-rank operands, and needs dimension_numbers for those of "
                f"more than 3 dimensions; lhs has {ndim}."
            )
        dimension_numbers = matrices[ndim]
    numbers = canonical_numbers(dimension_numbers)
    (lhs_contract, rhs_contract), _ = numbers
    out = dtypes.check_user_dtype_supported(
        "bfloat16" if preferred_element_type is None else preferred_element_type, "scaled_dot"
    )
    scales = (
        _ones(lhs, lhs_contract) if lhs_scale is None else lhs_scale,
        _ones(rhs, rhs_contract) if rhs_scale is None else rhs_scale,
    )
    return scaled_dot_p.bind(lhs, rhs, *scales, dimension_numbers=numbers, preferred_element_type=out)


def _ones(operand: Any, contract: Sequence[int]) -> Any:
    """The scales that change nothing."""
    shape = get_aval(operand).shape
    sizes = tuple(1 if axis in contract else size for axis, size in enumerate(shape))
    return ops.convert_element_type(ops.full(sizes, 1, "bfloat16"), _SCALE_DTYPE)


def _shape_rule(
    lhs: Any, rhs: Any, lhs_scale: Any, rhs_scale: Any, *, dimension_numbers: Any, preferred_element_type: Any
) -> Any:
    ranks = {"lhs": lhs.ndim, "rhs": rhs.ndim, "lhs_scale": lhs_scale.ndim, "rhs_scale": rhs_scale.ndim}
    if lhs.ndim < 2 or rhs.ndim < 2:
        raise TypeError(f"scaled_dot does not support 0-rank and 1-rank operands; got ranks {ranks}.")
    if len(set(ranks.values())) > 1:
        raise TypeError(f"scaled_dot: all operands and scales must have the same rank, got {ranks}.")
    contract, batch = dimension_numbers
    for name, operand, scale, contracted in (
        ("LHS", lhs, lhs_scale, contract[0]),
        ("RHS", rhs, rhs_scale, contract[1]),
    ):
        _check_scale(name, operand.shape, scale.shape, contracted)
    for what, (left, right) in (("contracting", contract), ("batch", batch)):
        for i, j in zip(left, right, strict=True):
            if lhs.shape[i] != rhs.shape[j]:
                raise TypeError(
                    f"scaled_dot: LHS {what} dim {i} of size {lhs.shape[i]} does not match RHS {what} dim {j} of "
                    f"size {rhs.shape[j]}."
                )
    kept = [
        tuple(size for axis, size in enumerate(x.shape) if axis not in (*contract[side], *batch[side]))
        for side, x in enumerate((lhs, rhs))
    ]
    return ShapedArray((*(lhs.shape[i] for i in batch[0]), *kept[0], *kept[1]), preferred_element_type)


def _check_scale(name: str, shape: Sequence[int], scale: Sequence[int], contract: Sequence[int]) -> None:
    for axis, (size, parts) in enumerate(zip(shape, scale, strict=True)):
        if axis not in contract:
            if size != parts:
                raise TypeError(
                    f"scaled_dot: {name} dim {axis} of size {size} does not match scale dim size {parts}."
                )
        elif parts == 0 or size % parts:
            raise TypeError(
                f"scaled_dot: {name} contracting dim {axis} of size {size} must be divisible by its scale's dim "
                f"size {parts}."
            )
        elif size // parts < 2:
            raise TypeError(
                f"scaled_dot: the ratio of {name} contracting dim {axis} to its scale's dim size "
                f"({size // parts}) must be at least 2."
            )


def _batch(args: Any, dims: Any, *, dimension_numbers: Any, preferred_element_type: Any) -> tuple[Any, int]:
    size = next(get_aval(x).shape[dim] for x, dim in zip(args, dims, strict=True) if dim is not None)
    (left, right), (lhs_batch, rhs_batch) = (
        tuple(tuple(axis + 1 for axis in axes) for axes in pair) for pair in dimension_numbers
    )
    out = scaled_dot_p.bind(
        *(bdim_at_front(x, dim, size) for x, dim in zip(args, dims, strict=True)),
        dimension_numbers=((left, right), ((0, *lhs_batch), (0, *rhs_batch))),
        preferred_element_type=preferred_element_type,
    )
    return out, 0


def decomposed(
    lhs: Any, rhs: Any, lhs_scale: Any, rhs_scale: Any, *, dimension_numbers: Any, preferred_element_type: Any
) -> Any:
    """What the operation means: the scales spread over their runs, products in bfloat16."""
    scaled = [
        ops.mul(ops.convert_element_type(x, "bfloat16"), ops.convert_element_type(_spread(s, x), "bfloat16"))
        for x, s in ((lhs, lhs_scale), (rhs, rhs_scale))
    ]
    return ops.dot_general(*scaled, dimension_numbers, preferred_element_type=preferred_element_type)


def _spread(scale: Any, operand: Any) -> Any:
    shape, parts = get_aval(operand).shape, get_aval(scale).shape
    for axis, (size, count) in enumerate(zip(shape, parts, strict=True)):
        if size != count:
            own = get_aval(scale).shape
            runs = (*own[: axis + 1], size // count, *own[axis + 1 :])
            kept = tuple(i for i in range(len(runs)) if i != axis + 1)
            scale = ops.reshape(
                ops.broadcast_in_dim(scale, runs, kept), (*own[:axis], size, *own[axis + 1 :])
            )
    return scale


scaled_dot_p.def_abstract_eval(_shape_rule)
scaled_dot_p.def_batching(_batch)
