"""Matrix products: `dot_general` and its friends, and how precisely they are computed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import dtypes
from ..core.avals import ShapedArray, get_aval
from ..core.config import default_matmul_precision
from ..core.primitive import Primitive
from ..transforms.rules import defbilinear
from .common import laid_out, ops
from .shapes import aval_of, int_tuple, shape_of, transpose

__all__ = [
    "DotAlgorithm",
    "DotAlgorithmPreset",
    "DotDimensionNumbers",
    "Precision",
    "PrecisionLike",
    "batch_matmul",
    "canonical_numbers",
    "canonicalize_precision",
    "dot",
    "dot_general",
    "dot_general_p",
]


# ----------------------------------------------------------------------------------------------
# precision


class Precision(enum.Enum):
    """How precisely an accelerator multiplies 32-bit floats; CPUs always use full precision.

    DEFAULT is the fastest: one pass of bfloat16 on TPU, TF32 on GPU. HIGH is three passes of
    bfloat16, or TF32. HIGHEST is full float32.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> float(lax.dot(cnp.ones(2), cnp.ones(2), precision=lax.Precision.HIGHEST))
      2.0
    """

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2

    @classmethod
    def _missing_(cls, value: object) -> Precision | None:
        return _PRECISION_NAMES.get(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __str__(self) -> str:
        return self.name


_PRECISION_NAMES: dict[Any, Precision] = {
    "highest": Precision.HIGHEST,
    "float32": Precision.HIGHEST,
    "high": Precision.HIGH,
    "bfloat16_3x": Precision.HIGH,
    "tensorfloat32": Precision.HIGH,
    "default": Precision.DEFAULT,
    "bfloat16": Precision.DEFAULT,
    "fastest": Precision.DEFAULT,
    None: Precision.DEFAULT,
}


class DotAlgorithm(NamedTuple):
    """An exact description of how a dot product is computed, as StableHLO's `dot_algorithm`.

    Attributes:
      lhs_precision_type: dtype to which the left operand is rounded.
      rhs_precision_type: dtype to which the right operand is rounded.
      accumulation_type: dtype in which sums are kept.
      lhs_component_count: into how many parts the left operand is decomposed.
      rhs_component_count: into how many parts the right operand is decomposed.
      num_primitive_operations: how many products of parts are computed.
      allow_imprecise_accumulation: whether part of the sum may be kept in lower precision.

    Example:
      >>> from canter import lax
      >>> import numpy as np
      >>> lax.DotAlgorithm(np.float32, np.float32, np.float32).num_primitive_operations
      1
    """

    lhs_precision_type: Any
    rhs_precision_type: Any
    accumulation_type: Any
    lhs_component_count: int = 1
    rhs_component_count: int = 1
    num_primitive_operations: int = 1
    allow_imprecise_accumulation: bool = False


class DotAlgorithmPreset(enum.Enum):
    """Algorithms of dot products that have a name.

    A name says the dtypes of the operands and of the sums, as in BF16_BF16_F32; X3, X6 and X9 are
    decompositions into that many products. Not every backend has every one.

    Example:
      >>> from canter import lax
      >>> lax.DotAlgorithmPreset.BF16_BF16_F32.accumulation_type
      dtype('float32')
    """

    DEFAULT = 0
    ANY_F8_ANY_F8_F32 = 1
    ANY_F8_ANY_F8_F32_FAST_ACCUM = 2
    ANY_F8_ANY_F8_ANY = 3
    ANY_F8_ANY_F8_ANY_FAST_ACCUM = 4
    F16_F16_F16 = 5
    F16_F16_F32 = 6
    BF16_BF16_BF16 = 7
    BF16_BF16_F32 = 8
    BF16_BF16_F32_X3 = 9
    BF16_BF16_F32_X6 = 10
    BF16_BF16_F32_X9 = 11
    TF32_TF32_F32 = 12
    TF32_TF32_F32_X3 = 13
    F32_F32_F32 = 14
    F64_F64_F64 = 15

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __str__(self) -> str:
        return self.name

    @property
    def supported_lhs_types(self) -> tuple[Any, ...] | None:
        """The dtypes of operands that the preset can start from; None is any."""
        return _operand_types(self.name)

    supported_rhs_types = supported_lhs_types

    @property
    def accumulation_type(self) -> Any:
        """The dtype in which sums are kept; None is the backend's choice."""
        return _accumulation_type(self.name)

    def supported_output_types(self, lhs_dtype: Any, rhs_dtype: Any) -> tuple[Any, ...] | None:
        """The dtypes of the result that the preset can give; None is any."""
        kept = self.accumulation_type
        if kept is None:
            return None
        if kept == np.float32 and (self.name.startswith(("ANY_F8", "F16", "BF16"))):
            narrow = tuple(dtype for dtype in (lhs_dtype, rhs_dtype) if dtype != kept)
            return (kept, *dict.fromkeys(narrow))
        return (kept,)


def _operand_types(name: str) -> tuple[Any, ...] | None:
    if name == "DEFAULT":
        return None
    if name.startswith("ANY_F8"):
        import ml_dtypes

        return tuple(np.dtype(getattr(ml_dtypes, f8)) for f8 in dir(ml_dtypes) if f8.startswith("float8_"))
    first = name.partition("_")[0]
    if first in ("BF16", "TF32") and name != "BF16_BF16_BF16":
        return (
            (np.dtype(np.float32), np.dtype(dtypes.bfloat16)) if first == "BF16" else (np.dtype(np.float32),)
        )
    return (_DTYPE_NAMES[first],)


def _accumulation_type(name: str) -> Any:
    if name in ("DEFAULT", "ANY_F8_ANY_F8_ANY", "ANY_F8_ANY_F8_ANY_FAST_ACCUM"):
        return None
    return _DTYPE_NAMES["F32" if name.startswith("ANY_F8") else name.split("_")[2]]


_DTYPE_NAMES = {
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(dtypes.bfloat16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
}

PrecisionLike = Any
DotDimensionNumbers = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]


def canonicalize_precision(precision: PrecisionLike) -> Any:
    """What a `precision` argument means: None, a pair of `Precision`, or an algorithm.

    Args:
      precision: None for `config.default_matmul_precision`; a `Precision` or its name; a pair of
        them, for the two operands; a `DotAlgorithmPreset` or its name; or a `DotAlgorithm`.

    Returns:
      None, a pair of `Precision`, a `DotAlgorithmPreset` or a `DotAlgorithm`.

    Raises:
      ValueError: it is none of these.

    Example:
      >>> from canter.lax.products import canonicalize_precision
      >>> canonicalize_precision("highest")
      (Precision.HIGHEST, Precision.HIGHEST)
    """
    if precision is None:
        precision = default_matmul_precision.value
        if precision is None:
            return None
    if isinstance(precision, Precision):
        return (precision, precision)
    if isinstance(precision, (DotAlgorithmPreset, DotAlgorithm)):
        return precision
    if isinstance(precision, str):
        if precision in DotAlgorithmPreset.__members__:
            return DotAlgorithmPreset[precision]
        if precision in _PRECISION_NAMES:
            return (_PRECISION_NAMES[precision], _PRECISION_NAMES[precision])
    elif isinstance(precision, (tuple, list)) and len(precision) == 2:
        pair = tuple(p if isinstance(p, Precision) else _PRECISION_NAMES.get(p) for p in precision)
        if None not in pair:
            return pair
    names = ", ".join(repr(name) for name in _PRECISION_NAMES)
    raise ValueError(
        f"precision={precision!r} is unknown. Give one of {names}; a lax.Precision; a pair of these; "
        "a lax.DotAlgorithmPreset or its name; or a lax.DotAlgorithm."
    )


# ----------------------------------------------------------------------------------------------
# public functions


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: DotDimensionNumbers,
    precision: PrecisionLike = None,
    preferred_element_type: Any = None,
    *,
    out_sharding: Any = None,
) -> Any:
    """Product of two arrays, summed over some pairs of axes and matched along others.

    Args:
      lhs: array.
      rhs: array.
      dimension_numbers: `((lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch))`: the axes to
        sum over and the axes to go through together, counted from 0.
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result, and of the sums where the backend allows; None is
        the promoted dtype of the operands.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      An array of the batch axes, the other axes of `lhs`, and the other axes of `rhs`.

    Raises:
      TypeError: axes or their sizes do not fit, or the dtype is not possible.
      ValueError: the precision is unknown.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.dot_general(cnp.ones((2, 3)), cnp.ones((3, 4)), (((1,), (0,)), ((), ()))).shape
      (2, 4)
    """
    if out_sharding is not None:
        from ..core.explicit import check_sum_asked

        pairs = zip(map(get_aval, (lhs, rhs)), canonical_numbers(dimension_numbers)[0], strict=True)
        check_sum_asked("dot_general", list(pairs), out_sharding)
        return laid_out(
            lambda: dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type),
            out_sharding,
            "dot_general",
        )
    return dot_general_p.bind(
        lhs,
        rhs,
        dimension_numbers=canonical_numbers(dimension_numbers),
        precision=canonicalize_precision(precision),
        preferred_element_type=canonical_element_type(preferred_element_type),
        out_sharding=None,
    )


def canonical_numbers(numbers: Any) -> Any:
    """The dimension numbers of `dot_general` as tuples of ints."""
    try:
        (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = numbers
    except (TypeError, ValueError):
        raise TypeError(
            "dot_general: dimension_numbers must be ((lhs_contracting, rhs_contracting), (lhs_batch, "
            f"rhs_batch)), got {numbers!r}."
        ) from None
    name = "dot_general"
    return (
        (int_tuple(lhs_contract, name), int_tuple(rhs_contract, name)),
        (int_tuple(lhs_batch, name), int_tuple(rhs_batch, name)),
    )


def canonical_element_type(dtype: Any) -> Any:
    """The dtype of a `preferred_element_type` argument, or None."""
    return None if dtype is None else dtypes.check_user_dtype_supported(dtype, "preferred_element_type")


def dot(
    lhs: Any,
    rhs: Any,
    *,
    dimension_numbers: DotDimensionNumbers | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """Product of vectors and matrices; with `dimension_numbers`, the same as `dot_general`.

    Args:
      lhs: vector or matrix.
      rhs: vector or matrix; its first axis is as long as the last one of `lhs`.
      dimension_numbers: as for `dot_general`.
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result; None is the promoted dtype of the operands.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      The product.

    Raises:
      ValueError: the shapes are not those of a product of vectors and matrices.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> float(lax.dot(cnp.arange(3.0), cnp.ones(3)))
      3.0
    """
    if dimension_numbers is None:
        left, right = shape_of(lhs), shape_of(rhs)
        if not (1 <= len(left) <= 2 and 1 <= len(right) <= 2 and left[-1] == right[0]):
            raise ValueError(
                "dot multiplies a vector or matrix by another whose first axis is as long as the last one "
                f"of the first; got shapes {left} and {right}. Use canter.numpy.matmul, or give "
                f"dimension_numbers."
            )
        dimension_numbers = (((len(left) - 1,), (0,)), ((), ()))
    return dot_general(
        lhs, rhs, dimension_numbers, precision, preferred_element_type, out_sharding=out_sharding
    )


def batch_matmul(lhs: Any, rhs: Any, precision: PrecisionLike = None) -> Any:
    """Product of matrices, matched along leading axes.

    Args:
      lhs: array of shape `(*batch, n, k)`.
      rhs: array of shape `(*batch, k, m)`.
      precision: see `canonicalize_precision`.

    Returns:
      An array of shape `(*batch, n, m)`.

    Raises:
      ValueError: the operands have fewer than two axes, or not the same number.
      TypeError: sizes do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.batch_matmul(cnp.ones((5, 2, 3)), cnp.ones((5, 3, 4))).shape
      (5, 2, 4)
    """
    left, right = shape_of(lhs), shape_of(rhs)
    ndim = len(left)
    if ndim < 2 or len(right) != ndim:
        raise ValueError(
            f"batch_matmul needs two arrays of the same number of dimensions, at least 2; got shapes {left} "
            f"and {right}."
        )
    batch = tuple(range(ndim - 2))
    return dot_general(lhs, rhs, (((ndim - 1,), (ndim - 2,)), (batch, batch)), precision)


# ----------------------------------------------------------------------------------------------
# rules


def product_dtype(name: str, lhs: Any, rhs: Any, preferred: Any) -> Any:
    """The result dtype of a product of two avals."""
    for position, aval in (("lhs", lhs), ("rhs", rhs)):
        if not (dtypes.issubdtype(aval.dtype, np.number) or aval.dtype == np.bool_):
            raise TypeError(f"{name}: {position} must be an array of numbers, got dtype {aval.dtype.name}.")
    natural = lhs.dtype if lhs.dtype == rhs.dtype else dtypes.promote_types(lhs.dtype, rhs.dtype)
    if preferred is None or preferred == natural:
        return natural
    complex_in = dtypes.issubdtype(natural, np.complexfloating)
    if complex_in and not dtypes.issubdtype(preferred, np.complexfloating):
        raise TypeError(
            f"{name}: preferred_element_type={preferred.name} cannot hold the result, which is {natural.name}."
        )
    both_integer = dtypes.issubdtype(natural, np.integer) and dtypes.issubdtype(preferred, np.integer)
    if both_integer and preferred.itemsize < natural.itemsize:
        raise TypeError(
            f"{name}: preferred_element_type must not be narrower than the operands' type; got "
            f"{preferred.name} for {natural.name}."
        )
    return preferred


def _dot_shape_rule(
    lhs: Any,
    rhs: Any,
    *,
    dimension_numbers: Any,
    precision: Any,
    preferred_element_type: Any,
    out_sharding: Any,
) -> Any:
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = dimension_numbers
    left, right = lhs.shape, rhs.shape
    lhs_used, rhs_used = (*lhs_contract, *lhs_batch), (*rhs_contract, *rhs_batch)
    where = f"; got lhs shape {left}, rhs shape {right}, dimension_numbers={dimension_numbers}."
    for side, used, shape in (("lhs", lhs_used, left), ("rhs", rhs_used, right)):
        if not all(0 <= axis < len(shape) for axis in used):
            raise TypeError(
                f"dot_general: axes of {side} must be in [0, {len(shape)}), counted from 0, got {used}{where}"
            )
        if len(set(used)) != len(used):
            raise TypeError(
                f"dot_general: contracting and batch axes of {side} must be distinct, got {used}{where}"
            )
    for kind, lhs_axes, rhs_axes in (
        ("contracting", lhs_contract, rhs_contract),
        ("batch", lhs_batch, rhs_batch),
    ):
        if len(lhs_axes) != len(rhs_axes):
            raise TypeError(f"dot_general: lhs and rhs must have equally many {kind} axes{where}")
        for i, j in zip(lhs_axes, rhs_axes, strict=True):
            if left[i] != right[j]:
                raise TypeError(
                    f"dot_general: {kind} axes must have the same size, but axis {i} of lhs has {left[i]} and "
                    f"axis {j} of rhs has {right[j]}{where}"
                )
    shape = (
        *(left[i] for i in lhs_batch),
        *(size for i, size in enumerate(left) if i not in lhs_used),
        *(size for i, size in enumerate(right) if i not in rhs_used),
    )
    dtype = product_dtype("dot_general", lhs, rhs, preferred_element_type)
    return ShapedArray(shape, dtype, lhs.weak_type and rhs.weak_type)


def _others(used: Sequence[int], ndim: int) -> tuple[int, ...]:
    return tuple(axis for axis in range(ndim) if axis not in used)


def _operand_cotangent(
    ct: Any, linear: Any, other: Any, linear_axes: Any, other_axes: Any, linear_is_lhs: bool, params: Any
) -> Any:
    """The cotangent of one operand: the result's, multiplied by the other operand.

    Args:
      ct: cotangent of the result.
      linear: the operand whose cotangent it is.
      other: the other operand.
      linear_axes: contracting and batch axes of `linear`.
      other_axes: those of `other`.
      linear_is_lhs: whether `linear` is the left operand.
      params: the other parameters.
    """
    aval = linear.aval
    contract, batch = linear_axes
    other_contract, other_batch = other_axes
    kept = _others((*contract, *batch), len(aval.shape))
    other_kept = _others((*other_contract, *other_batch), len(shape_of(other)))
    ct_batch = tuple(range(len(batch)))
    first = len(batch) + (len(kept) if linear_is_lhs else 0)
    ct_other = tuple(range(first, first + len(other_kept)))
    order = sorted(range(len(contract)), key=other_contract.__getitem__)
    contracted = tuple(contract[i] for i in order)
    numbers = ((ct_other, other_kept), (ct_batch, other_batch))
    # The axes of `ct @ other` are: batch, those kept of `linear`, the contracting ones in the order of `other`.
    # Where `other @ ct` has them in their places, that spares a transposition, and XLA a copy of the operands.
    axes = (*batch, *kept, *contracted)
    swapped = (*batch, *contracted, *kept)
    if axes != (in_place := tuple(range(len(axes)))) and swapped == in_place and _is_symmetric(params):
        precision = params["precision"]
        params = params | {"precision": precision[::-1] if type(precision) is tuple else precision}
        numbers = ((other_kept, ct_other), (other_batch, ct_batch))
        result = dot_general_p.bind(other, ct, dimension_numbers=numbers, **params)
    else:
        product = dot_general_p.bind(ct, other, dimension_numbers=numbers, **params)
        result = transpose(product, tuple(sorted(range(len(axes)), key=axes.__getitem__)))
    if aval_of(result).dtype != aval.dtype:
        result = ops.convert_element_type(result, aval.dtype)
    return result


def _is_symmetric(params: dict[str, Any]) -> bool:
    """Whether a product's parameters say the same of both operands, or can be reversed."""
    return params["out_sharding"] is None and isinstance(params["precision"], (tuple, Precision, type(None)))


def _dot_transpose_lhs(ct: Any, lhs: Any, rhs: Any, *, dimension_numbers: Any, **params: Any) -> Any:
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = dimension_numbers
    return _operand_cotangent(
        ct, lhs, rhs, (lhs_contract, lhs_batch), (rhs_contract, rhs_batch), True, params
    )


def _dot_transpose_rhs(
    ct: Any, lhs: Any, rhs: Any, *, dimension_numbers: Any, precision: Any, **params: Any
) -> Any:
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = dimension_numbers
    # Here the left operand's role is taken by the cotangent, the right one's by `lhs`.
    if type(precision) is tuple:
        precision = precision[::-1]
    params["precision"] = precision
    return _operand_cotangent(
        ct, rhs, lhs, (rhs_contract, rhs_batch), (lhs_contract, lhs_batch), False, params
    )


def _dot_batch(args: Any, dims: Any, *, dimension_numbers: Any, **params: Any) -> tuple[Any, int]:
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = dimension_numbers
    lhs, rhs = args
    lhs_dim, rhs_dim = dims
    if lhs_dim is not None:
        lhs_contract, lhs_batch = _make_room(lhs_contract, lhs_dim), _make_room(lhs_batch, lhs_dim)
    if rhs_dim is not None:
        rhs_contract, rhs_batch = _make_room(rhs_contract, rhs_dim), _make_room(rhs_batch, rhs_dim)
    if lhs_dim is not None and rhs_dim is not None:
        lhs_batch, rhs_batch = (lhs_dim, *lhs_batch), (rhs_dim, *rhs_batch)
        out_dim = 0
    elif lhs_dim is not None:
        # The batch axis is one more axis of lhs that is kept.
        out_dim = len(lhs_batch) + _others((*lhs_contract, *lhs_batch), len(shape_of(lhs))).index(lhs_dim)
    else:
        lhs_kept = len(shape_of(lhs)) - len(lhs_contract) - len(lhs_batch)
        rhs_kept = _others((*rhs_contract, *rhs_batch), len(shape_of(rhs)))
        out_dim = len(lhs_batch) + lhs_kept + rhs_kept.index(rhs_dim)
    numbers = ((lhs_contract, rhs_contract), (lhs_batch, rhs_batch))
    return dot_general_p.bind(lhs, rhs, dimension_numbers=numbers, **params), out_dim


def _make_room(axes: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return tuple(axis + (axis >= dim) for axis in axes)


dot_general_p = Primitive("dot_general")
dot_general_p.def_abstract_eval(_dot_shape_rule)
dot_general_p.def_batching(_dot_batch)
defbilinear(dot_general_p, _dot_transpose_lhs, _dot_transpose_rhs)
