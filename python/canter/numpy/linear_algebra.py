"""Products of arrays: dot, matmul, tensordot and their kin, on lax.dot_general."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .contraction import _reordered, contract, einsum_body
from .creation import placed
from .shaping import moveaxis
from .util import (
    broadcast_shape,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    promote_args,
    promote_dtypes,
    refuse_out,
    shape_of,
)

__all__ = [
    "cross",
    "dot",
    "inner",
    "kron",
    "matmul",
    "matvec",
    "outer",
    "tensordot",
    "vdot",
    "vecdot",
    "vecmat",
]

_STATIC = ("precision", "preferred_element_type")
_PRODUCT_DOC = """  precision: None, a `lax.Precision`, its name, or a pair of them.
  preferred_element_type: the dtype of the result and of the accumulation."""


def _operands(name: str, a: Any, b: Any, preferred: Any) -> tuple[Any, Any, Any]:
    """The operands at their common dtype, and the dtype of their product."""
    check_arraylike(name, a, b)
    a, b = promote_dtypes(a, b)
    if preferred is None:
        preferred, weak_type = dtypes.result_type(a, b, return_weak_type_flag=True)
        if weak_type:
            return a, b, None
        return a, b, preferred
    return a, b, dtypes.canonicalize_dtype(preferred)


def _check_contracted(name: str, a: Any, b: Any, i: int, j: int) -> None:
    if shape_of(a)[i] != shape_of(b)[j]:
        raise TypeError(
            f"{name}: the contracted dimensions must have the same size, got {shape_of(a)[i]} (dimension {i} of "
            f"shape {shape_of(a)}) and {shape_of(b)[j]} (dimension {j} of shape {shape_of(b)}). "
            "Transpose an operand, or check which axes to contract."
        )


@composite(static_argnames=_STATIC)
def _dot(a: Any, b: Any, *, precision: Any, preferred_element_type: Any) -> Any:
    a, b, preferred = _operands("dot", a, b, preferred_element_type)
    rank_a, rank_b = len(shape_of(a)), len(shape_of(b))
    if not rank_a or not rank_b:
        out = _product(a, b)
        return out if preferred is None else convert(out, preferred)
    i, j = rank_a - 1, (0 if rank_b == 1 else rank_b - 2)
    _check_contracted("dot", a, b, i, j)
    return contract(a, b, ((i,), (j,)), ((), ()), precision, preferred)


def _product(a: Any, b: Any) -> Any:
    from .ufunc_bodies import multiply

    return multiply(a, b)


@composite(static_argnames=("precision", "preferred_element_type"))
def dot(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None
) -> Any:
    """The product over the last axis of a and the last but one of b, as `numpy.dot`.

    Args:
      a, b: arrays or numbers; numbers multiply.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      TypeError: the contracted dimensions differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.dot(cnp.array([1.0, 2.0]), cnp.array([3.0, 4.0]))
      Array(11., dtype=float32)
    """
    options = {"precision": precision, "preferred_element_type": preferred_element_type}
    if out_sharding is not None:
        return placed(lambda: _dot(a, b, **options), out_sharding, "dot_general")
    return _dot(a, b, **options)


def matmul_body(a: Any, b: Any, precision: Any = None, preferred: Any = None) -> Any:
    """The body of matmul, for operators and other functions."""
    a, b, preferred = _operands("matmul", a, b, preferred)
    shape_a, shape_b = shape_of(a), shape_of(b)
    for position, shape in enumerate((shape_a, shape_b)):
        if not shape:
            raise ValueError(
                f"matmul input operand {position} must have ndim at least 1, but it has ndim 0. "
                "Multiply by numbers with *."
            )
    rank_a, rank_b = len(shape_a), len(shape_b)
    j = 0 if rank_b == 1 else rank_b - 2
    _check_contracted("matmul", a, b, rank_a - 1, j)
    if rank_b <= 2 or (rank_a <= 2 and rank_b <= 2):
        return contract(a, b, ((rank_a - 1,), (j,)), ((), ()), precision, preferred)
    return _batched_matmul(a, b, precision, preferred)


def _batched_matmul(a: Any, b: Any, precision: Any, preferred: Any) -> Any:
    """matmul where b has batch dimensions: those of size 1 in one operand are free in the other."""
    shape_a, shape_b = shape_of(a), shape_of(b)
    batch_a, batch_b = shape_a[:-2], shape_b[:-2]
    row = len(shape_a) > 1
    try:
        common = broadcast_shape(batch_a, batch_b)
    except ValueError:
        raise ValueError(
            f"matmul: the leading dimensions must broadcast together, got shapes {shape_a} and {shape_b}."
        ) from None
    count = len(common)
    names_a = list(range(count - len(batch_a), count))
    names_b = list(range(count - len(batch_b), count))
    size_a, size_b = dict(zip(names_a, batch_a, strict=True)), dict(zip(names_b, batch_b, strict=True))
    drop_a = [i for i, n in enumerate(names_a) if size_a[n] == 1 and n in size_b and size_b[n] != 1]
    drop_b = [
        i for i, n in enumerate(names_b) if size_b[n] == 1 and n in size_a and n not in _at(names_a, drop_a)
    ]
    a, b = lax.squeeze(a, tuple(drop_a)), lax.squeeze(b, tuple(drop_b))
    names_a = [n for i, n in enumerate(names_a) if i not in drop_a] + ([-2] if row else []) + [-3]
    names_b = [n for i, n in enumerate(names_b) if i not in drop_b] + [-3, -1]
    shared = [n for n in names_a if n in names_b and n >= 0]
    out = contract(
        a,
        b,
        ((names_a.index(-3),), (names_b.index(-3),)),
        (tuple(map(names_a.index, shared)), tuple(map(names_b.index, shared))),
        precision,
        preferred,
    )
    names = shared + [n for n in (*names_a, *names_b) if n not in shared and n != -3]
    wanted = [*range(count), *([-2] if row else []), -1]
    return _reordered(out, names, wanted)


def _at(items: Sequence[int], positions: Sequence[int]) -> list[int]:
    return [items[i] for i in positions]


@composite(static_argnames=_STATIC)
def _matmul(a: Any, b: Any, *, precision: Any, preferred_element_type: Any) -> Any:
    return matmul_body(a, b, precision, preferred_element_type)


@composite(static_argnames=("precision", "preferred_element_type"))
def matmul(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None
) -> Any:
    """The matrix product, over stacks of matrices, as `numpy.matmul`.

    Args:
      a: an array of shape (..., n, k) or (k,).
      b: an array of shape (..., k, m) or (k,).
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.
      out_sharding: a sharding to put the result on.

    Returns:
      An array of shape (..., n, m), less the dimensions that vectors lack.

    Raises:
      TypeError: the shapes do not go together.
      ValueError: an operand is a number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.matmul(cnp.array([[1.0, 2.0]]), cnp.array([[3.0], [4.0]]))
      Array([[11.]], dtype=float32)
    """
    options = {"precision": precision, "preferred_element_type": preferred_element_type}
    if out_sharding is not None:
        return placed(lambda: _matmul(a, b, **options), out_sharding, "dot_general")
    return _matmul(a, b, **options)


@composite(static_argnames=("axes", *_STATIC))
def _tensordot(a: Any, b: Any, *, axes: Any, precision: Any, preferred_element_type: Any) -> Any:
    a, b, preferred = _operands("tensordot", a, b, preferred_element_type)
    for i, j in zip(*axes, strict=True):
        _check_contracted("tensordot", a, b, i, j)
    return contract(a, b, axes, ((), ()), precision, preferred)


def _tensordot_axes(rank_a: int, rank_b: int, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    try:
        count = operator.index(axes)
    except TypeError:
        if not isinstance(axes, (tuple, list)) or len(axes) != 2:
            raise TypeError(f"tensordot axes must be an int or a pair of axes, got {axes!r}.") from None
        pair = [canonical_axes(tuple(ax) if isinstance(ax, (tuple, list)) else (ax,), n)
                for ax, n in zip(axes, (rank_a, rank_b), strict=True)]  # fmt: skip
        if len(pair[0]) != len(pair[1]):
            raise TypeError(
                f"tensordot requires axes lists to have equal length, got {axes[0]} and {axes[1]}."
            ) from None
        return pair[0], pair[1]
    if count < 0 or count > rank_a or count > rank_b:
        raise TypeError(f"Number of tensordot axes ({count}) exceeds input ranks ({rank_a} and {rank_b}).")
    return tuple(range(rank_a - count, rank_a)), tuple(range(count))


@composite(static_argnames=("axes", "precision", "preferred_element_type"))
def tensordot(
    a: Any,
    b: Any,
    axes: Any = 2,
    *,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product summed over chosen axes, as `numpy.tensordot`.

    Args:
      a, b: arrays.
      axes: how many (the last of a with the first of b), or a pair of axes or sequences of axes.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.
      out_sharding: a sharding to put the result on.

    Returns:
      An array with the other axes of a, then of b.

    Raises:
      TypeError: the axes or their sizes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tensordot(cnp.ones((2, 3)), cnp.ones((3, 4)), 1).shape
      (2, 4)
    """
    check_arraylike("tensordot", a, b)
    axes = _tensordot_axes(len(shape_of(a)), len(shape_of(b)), axes)
    options = {"axes": axes, "precision": precision, "preferred_element_type": preferred_element_type}
    if out_sharding is not None:
        return placed(lambda: _tensordot(a, b, **options), out_sharding, "dot_general")
    return _tensordot(a, b, **options)


@composite(static_argnames=_STATIC)
def inner(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product summed over the last axes, as `numpy.inner`.

    Args:
      a, b: arrays or numbers.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.

    Returns:
      An array with the other axes of a, then of b.

    Raises:
      TypeError: the last dimensions differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.inner(cnp.array([1, 2]), cnp.array([3, 4]))
      Array(11, dtype=int32)
    """
    a, b, preferred = _operands("inner", a, b, preferred_element_type)
    rank_a, rank_b = len(shape_of(a)), len(shape_of(b))
    if not rank_a or not rank_b:
        return _product(a, b)
    _check_contracted("inner", a, b, rank_a - 1, rank_b - 1)
    return contract(a, b, ((rank_a - 1,), (rank_b - 1,)), ((), ()), precision, preferred)


@composite(static_argnames=_STATIC)
def vdot(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of all elements summed, a conjugated, as `numpy.vdot`.

    Args:
      a, b: arrays of one size.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.

    Returns:
      An array without dimensions.

    Raises:
      TypeError: the sizes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vdot(cnp.array([1, 2]), cnp.array([3, 4]))
      Array(11, dtype=int32)
    """
    a, b, preferred = _operands("vdot", a, b, preferred_element_type)
    a, b = (lax.reshape(as_array(x), (math.prod(shape_of(x)),)) for x in (a, b))
    _check_contracted("vdot", a, b, 0, 0)
    return contract(_conjugated(a), b, ((0,), (0,)), ((), ()), precision, preferred)


def _conjugated(x: Any) -> Any:
    from .ufunc_bodies import conjugate

    return conjugate(x)


@composite
def _outer(a: Any, b: Any) -> Any:
    a, b = promote_dtypes(a, b)
    m, n = (math.prod(shape_of(x)) for x in (a, b))
    a, b = lax.reshape(a, (m, 1)), lax.reshape(b, (1, n))
    return _product(a, b)


@composite
def outer(a: Any, b: Any, out: None = None) -> Any:
    """The products of each element of a with each of b, as `numpy.outer`.

    Args:
      a, b: arrays or numbers, flattened.
      out: must be None.

    Returns:
      An array of shape (a.size, b.size).

    Raises:
      TypeError: an operand is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.outer(cnp.array([1, 2]), cnp.array([3, 4]))
      Array([[3, 4],
             [6, 8]], dtype=int32)
    """
    refuse_out("outer", out)
    check_arraylike("outer", a, b)
    return _outer(a, b)


@composite(static_argnames=("axis", *_STATIC))
def vecdot(
    x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None
) -> Any:
    """The product summed over an axis, x1 conjugated, as `numpy.vecdot`.

    Args:
      x1, x2: arrays that broadcast together.
      axis: the axis.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.

    Returns:
      An array without the axis.

    Raises:
      ValueError: the axis is out of bounds, or its sizes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vecdot(cnp.ones((2, 3)), cnp.ones(3))
      Array([3., 3.], dtype=float32)
    """
    check_arraylike("vecdot", x1, x2)
    x1, x2 = (moveaxis(as_array(x), axis, -1) for x in (x1, x2))
    if shape_of(x1)[-1] != shape_of(x2)[-1]:
        raise ValueError(f"vecdot requires arguments to have equal size along axis {axis}, got {shape_of(x1)[-1]} "
                         f"and {shape_of(x2)[-1]}.")  # fmt: skip
    return einsum_body(
        ("...n,...n->...",),
        (_conjugated(x1), x2),
        "optimal",
        precision,
        preferred_element_type,
        lax.dot_general,
    )


@composite
def matvec(x1: Any, x2: Any, /) -> Any:
    """The product of matrices with vectors, as `numpy.matvec`.

    Args:
      x1: an array of shape (..., n, k).
      x2: an array of shape (..., k).

    Returns:
      An array of shape (..., n).

    Raises:
      ValueError: the shapes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.matvec(cnp.ones((2, 3)), cnp.ones(3))
      Array([3., 3.], dtype=float32)
    """
    check_arraylike("matvec", x1, x2)
    return einsum_body(("...nk,...k->...n",), (x1, x2), "optimal", None, None, lax.dot_general)


@composite
def vecmat(x1: Any, x2: Any, /) -> Any:
    """The product of vectors, conjugated, with matrices, as `numpy.vecmat`.

    Args:
      x1: an array of shape (..., k).
      x2: an array of shape (..., k, n).

    Returns:
      An array of shape (..., n).

    Raises:
      ValueError: the shapes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vecmat(cnp.ones(3), cnp.ones((3, 2)))
      Array([3., 3.], dtype=float32)
    """
    check_arraylike("vecmat", x1, x2)
    return einsum_body(
        ("...k,...kn->...n",), (_conjugated(as_array(x1)), x2), "optimal", None, None, lax.dot_general
    )


@composite
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product, as `numpy.kron`.

    Args:
      a, b: arrays or numbers.

    Returns:
      An array whose sizes are the products of those of a and b.

    Raises:
      TypeError: an operand is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.kron(cnp.array([1, 10]), cnp.array([1, 2]))
      Array([ 1,  2, 10, 20], dtype=int32)
    """
    check_arraylike("kron", a, b)
    a, b = promote_dtypes(a, b)
    rank = max(len(shape_of(a)), len(shape_of(b)))
    shape_a, shape_b = ((1,) * (rank - len(shape_of(x))) + shape_of(x) for x in (a, b))
    a = lax.reshape(a, tuple(n for m in shape_a for n in (m, 1)))
    b = lax.reshape(b, tuple(n for m in shape_b for n in (1, m)))
    return lax.reshape(_product(a, b), tuple(m * n for m, n in zip(shape_a, shape_b, strict=True)))


@composite(static_argnames=("axisa", "axisb", "axisc", "axis"))
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The cross product of vectors of size 3 or 2, as `numpy.cross`.

    Args:
      a, b: arrays that broadcast together.
      axisa, axisb, axisc: the axis of the vectors in a, in b and in the result.
      axis: one axis for all three.

    Returns:
      An array; for two vectors of size 2, the third component alone.

    Raises:
      ValueError: the vectors' size is neither 2 nor 3.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.cross(cnp.array([1, 0, 0]), cnp.array([0, 1, 0]))
      Array([0, 0, 1], dtype=int32)
    """
    check_arraylike("cross", a, b)
    if axis is not None:
        axisa = axisb = axisc = axis
    return _cross(as_array(a), as_array(b), axes=(int(axisa), int(axisb), int(axisc)))


@composite(static_argnames=("axes",))
def _cross(a: Any, b: Any, *, axes: tuple[int, int, int]) -> Any:
    a, b = promote_dtypes(moveaxis(a, axes[0], -1), moveaxis(b, axes[1], -1))
    sizes = (shape_of(a)[-1], shape_of(b)[-1])
    if not set(sizes) <= {2, 3}:
        raise ValueError(f"cross: the vectors' size must be 2 or 3, got {sizes[0]} and {sizes[1]}.")

    def component(x: Any, i: int) -> Any:
        last = len(shape_of(x)) - 1
        return lax.index_in_dim(x, i, last, keepdims=False)

    def determinant(i: int, j: int) -> Any:
        one, two = promote_args("cross", component(a, i), component(b, j))
        three, four = promote_args("cross", component(a, j), component(b, i))
        return lax.sub(_product(one, two), _product(three, four))

    if sizes == (2, 2):
        return determinant(0, 1)
    if sizes[0] == 2 or sizes[1] == 2:
        widened = []
        for x in (a, b):
            if shape_of(x)[-1] == 2:
                config = [(0, 0, 0)] * (len(shape_of(x)) - 1) + [(0, 1, 0)]
                x = lax.pad(x, np.zeros((), x.dtype)[()], config)
            widened.append(x)
        a, b = widened
    out = lax.stack([determinant(1, 2), determinant(2, 0), determinant(0, 1)], 0)
    return moveaxis(out, 0, canonical_axis(axes[2], len(shape_of(out))))
