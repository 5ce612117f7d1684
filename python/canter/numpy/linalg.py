"""Linear algebra under `numpy.linalg`'s names, on the decompositions of `canter.lax.linalg`.

All functions work on stacks of matrices in the last two axes and differentiate.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import reductions, ufunc_bodies as bodies
from .contraction import einsum
from .factorizations import cholesky, eig, eigh, eigvals, eigvalsh, qr, svd, svdvals
from .linear_algebra import (
    cross as _cross,
    matmul as _matmul,
    matmul_body,
    outer as _outer,
    tensordot as _tensordot,
    vecdot,
)
from .matrices import diagonal as _diagonal, trace as _trace
from .shaping import matrix_transpose, moveaxis
from .solving import _identity_like, _tolerance, det, inv, lstsq, pinv, slogdet, solve
from .util import (
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    dtype_of,
    dtype_rank,
    shape_of,
    to_inexact,
)

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]


# --- products -----------------------------------------------------------------------------------


def matmul(x1: Any, x2: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The matrix product, as `numpy.linalg.matmul`; see `canter.numpy.matmul`.

    Args:
      x1, x2: arrays of at least one dimension.
      precision: how exactly to multiply, as `canter.lax.dot_general` takes it.
      preferred_element_type: dtype to accumulate in and to return.

    Returns:
      An array.

    Raises:
      ValueError: an operand has no dimensions, or the shapes do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matmul(cnp.ones((2, 3)), cnp.ones((3, 1))).shape
      (2, 1)
    """
    return _matmul(x1, x2, precision=precision, preferred_element_type=preferred_element_type)


def outer(x1: Any, x2: Any, /) -> Any:
    """The products of each element of one vector with each of another, as `numpy.linalg.outer`.

    Args:
      x1, x2: arrays of one dimension.

    Returns:
      An array of two dimensions.

    Raises:
      ValueError: an operand has another number of dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.outer(cnp.array([1, 2]), cnp.array([3, 4]))
      Array([[3, 4],
             [6, 8]], dtype=int32)
    """
    check_arraylike("outer", x1, x2)
    if len(shape_of(x1)) != 1 or len(shape_of(x2)) != 1:
        raise ValueError(
            f"linalg.outer takes one-dimensional arrays, got shapes {shape_of(x1)} and {shape_of(x2)}; "
            "canter.numpy.outer flattens."
        )
    return _outer(x1, x2)


def tensordot(
    x1: Any,
    x2: Any,
    /,
    *,
    axes: Any = 2,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product summed over several axes, as `numpy.linalg.tensordot`; see `canter.numpy.tensordot`.

    Args:
      x1, x2: arrays.
      axes: how many axes, the last of x1 and the first of x2; or a pair of sequences of axes.
      precision: how exactly to multiply, as `canter.lax.dot_general` takes it.
      preferred_element_type: dtype to accumulate in and to return.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      ValueError: the axes do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.tensordot(cnp.ones((2, 3)), cnp.ones((3, 4)), axes=1).shape
      (2, 4)
    """
    return _tensordot(
        x1,
        x2,
        axes,
        precision=precision,
        preferred_element_type=preferred_element_type,
        out_sharding=out_sharding,
    )


# --- norms --------------------------------------------------------------------------------------


def _vector_norm(x: Any, ord: Any, axes: Any, keepdims: bool) -> Any:
    size = lax.abs(x)
    reduce_sum = functools.partial(reductions.sum, axis=axes, keepdims=keepdims)
    if ord is None or ord == 2:
        squares = lax.real(lax.mul(x, lax.conj(x))) if dtype_rank(dtype_of(x)) == 3 else lax.mul(x, x)
        return lax.sqrt(reduce_sum(squares))
    if ord == math.inf:
        return reductions.max(size, axis=axes, keepdims=keepdims, initial=0)
    if ord == -math.inf:
        return reductions.min(size, axis=axes, keepdims=keepdims, initial=math.inf)
    if ord == 0:
        return reduce_sum(convert(lax.ne(x, const(x, 0)), dtype_of(size)))
    if ord == 1:
        return reduce_sum(size)
    if isinstance(ord, str):
        raise ValueError(f"Invalid order {ord!r} for vector norm.")
    total = reduce_sum(lax.pow(size, const(size, ord)))
    return lax.pow(total, const(total, 1.0 / ord))


_largest = functools.partial(reductions.max, initial=0)  # 0 where there is nothing


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    if ord in (None, "f", "fro"):
        return _vector_norm(x, 2, axes, keepdims)
    rows, columns = axes
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer_ = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = reductions.sum(lax.abs(x), axis=inner, keepdims=True)
        reduce: Any = _largest if ord > 0 else reductions.min
        out = reduce(sums, axis=outer_, keepdims=True)
        return out if keepdims else lax.squeeze(out, tuple(sorted(axes)))
    if ord in (2, -2, "nuc"):
        s = svd(moveaxis(x, axes, (-2, -1)), compute_uv=False)
        reduce = {2: _largest, -2: reductions.min, "nuc": reductions.sum}[ord]
        out = reduce(s, axis=-1)
        return lax.expand_dims(out, tuple(sorted(axes))) if keepdims else out
    raise ValueError(
        f"Invalid order {ord!r} for matrix norm: use None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf."
    )


@composite(static_argnames=("ord", "axis", "keepdims"))
def _norm(x: Any, *, ord: Any, axis: Any, keepdims: bool) -> Any:
    x = as_array(to_inexact("norm", x))
    rank = len(shape_of(x))
    if axis is None:
        axes = tuple(range(rank))
        if ord is None:
            return _vector_norm(x, 2, axes, keepdims)
    else:
        axes = canonical_axes(axis, rank)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(
        f"Improper number of axes for norm: axis={axis}. Pass one axis to compute a vector-norm, or two axes to "
        "compute a matrix-norm."
    )


@composite(static_argnames=("ord", "axis", "keepdims"))
def norm(x: Any, ord: int | str | None = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors or matrices, as `numpy.linalg.norm`.

    Args:
      x: an array.
      ord: for vectors any number or inf; for matrices None, "fro", "nuc", 1, -1, 2, -2, inf or -inf.
      axis: one axis for vector norms, two for matrix norms; None takes all of x.
      keepdims: whether reduced axes stay, of size 1.

    Returns:
      An array of floats.

    Raises:
      ValueError: the order is unknown, or the axes are out of bounds or too many.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.norm(cnp.array([3.0, 4.0]))
      Array(5., dtype=float32)
    """
    check_arraylike("norm", x)
    axis = tuple(axis) if isinstance(axis, list) else axis
    if axis is not None and isinstance(axis, tuple) and len(axis) not in (1, 2):
        raise ValueError(
            f"Improper number of axes for norm: axis={axis}. Pass one axis to compute a vector-norm, or two axes to "
            "compute a matrix-norm."
        )
    return _norm(x, ord=ord, axis=axis, keepdims=bool(keepdims))


@composite(static_argnames=("axis", "keepdims", "ord"))
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: int | str = 2) -> Any:
    """The norm of x as vectors over axes, as `numpy.linalg.vector_norm`.

    Args:
      x: an array.
      axis: the axes; None for all.
      keepdims: whether reduced axes stay, of size 1.
      ord: any number or inf.

    Returns:
      An array of floats.

    Raises:
      ValueError: an axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.vector_norm(cnp.array([[3.0, 4.0]]))
      Array(5., dtype=float32)
    """
    check_arraylike("vector_norm", x)
    axes = canonical_axes(tuple(axis) if isinstance(axis, list) else axis, len(shape_of(x)))
    return _vector_norm_of(x, ord=ord, axes=axes, keepdims=bool(keepdims))


@composite(static_argnames=("ord", "axes", "keepdims"))
def _vector_norm_of(x: Any, *, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return _vector_norm(as_array(to_inexact("vector_norm", x)), ord, axes, keepdims)


@composite(static_argnames=("keepdims", "ord"))
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: str | int = "fro") -> Any:
    """The norm of the matrices in the last two axes, as `numpy.linalg.matrix_norm`.

    Args:
      x: an array of shape (..., m, n).
      keepdims: whether reduced axes stay, of size 1.
      ord: "fro", "nuc", 1, -1, 2, -2, inf or -inf.

    Returns:
      An array of floats.

    Raises:
      ValueError: the order is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matrix_norm(cnp.array([[3.0, 4.0]]))
      Array(5., dtype=float32)
    """
    return norm(x, ord, (-2, -1), keepdims)


@composite(static_argnames=("p",))
def cond(x: Any, p: Any = None) -> Any:
    """The condition number of matrices, as `numpy.linalg.cond`.

    Args:
      x: an array of shape (..., m, n).
      p: the order of the norm; None and 2 take singular values.

    Returns:
      An array of floats.

    Raises:
      ValueError: the order is unknown, or the matrices are not square for p other than None, 2 and -2.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.cond(cnp.array([[2.0, 0.0], [0.0, 1.0]]))
      Array(2., dtype=float32)
    """
    check_arraylike("cond", x)
    if len(shape_of(x)) < 2:
        raise ValueError(f"cond needs an array of at least two dimensions, got shape {shape_of(x)}.")
    if 0 in shape_of(x)[-2:]:
        raise ValueError(f"cond needs matrices that are not empty, got shape {shape_of(x)}.")
    if p in (None, 2, -2):
        s = svd(x, compute_uv=False)
        first, last = s[..., 0], s[..., -1]
        return last / first if p == -2 else first / last
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


@composite(static_argnames=("hermitian",))
def matrix_rank(M: Any, rtol: Any = None, *, hermitian: bool = False, tol: Any = None) -> Any:
    """The number of singular values that count, as `numpy.linalg.matrix_rank`.

    Args:
      M: an array of shape (..., m, n).
      rtol: singular values below rtol times the largest do not count; max(m, n) * eps by default.
      hermitian: whether M is Hermitian.
      tol: singular values below it do not count.

    Returns:
      An array of integers.

    Raises:
      ValueError: rtol and tol are both given.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matrix_rank(cnp.ones((2, 2)))
      Array(1, dtype=int32)
    """
    check_arraylike("matrix_rank", M)
    if rtol is not None and tol is not None:
        raise ValueError("matrix_rank: only one of tol and rtol may be given.")
    if len(shape_of(M)) < 2:
        return reductions.any(bodies.to_bool(as_array(M))).astype(np.int32)
    s = svd(M, compute_uv=False, hermitian=hermitian)
    limit = tol if tol is not None else _tolerance(s, shape_of(M), rtol)
    return reductions.sum(s > limit, axis=-1)


# --- products -----------------------------------------------------------------------------------


@composite(static_argnames=("n",))
def matrix_power(a: Any, n: int) -> Any:
    """Square matrices multiplied by themselves, as `numpy.linalg.matrix_power`.

    Args:
      a: an array of shape (..., m, m).
      n: the power; negative ones invert first.

    Returns:
      An array of a's shape.

    Raises:
      TypeError: n is not an integer, or the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.matrix_power(cnp.array([[1, 1], [0, 1]]), 3)
      Array([[1, 3],
             [0, 1]], dtype=int32)
    """
    check_arraylike("matrix_power", a)
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise TypeError(
            f"matrix_power: the last two dimensions of the array must be square, got shape {shape}."
        )
    return _matrix_power(a, n=operator.index(n))


@composite(static_argnames=("n",))
def _matrix_power(a: Any, *, n: int) -> Any:
    a = as_array(a)
    if n == 0:
        return _identity_like(a)
    if n < 0:
        a, n = inv(a), -n
    out = None
    while n:
        if n & 1:
            out = a if out is None else matmul_body(out, a)
        n >>= 1
        if n:
            a = matmul_body(a, a)
    return out


@composite(static_argnames=("precision",))
def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Any:
    """The product of several matrices in the best order, as `numpy.linalg.multi_dot`.

    Args:
      arrays: matrices; the first and last may be vectors.
      precision: None, a `lax.Precision`, its name, or a pair of them.

    Returns:
      An array.

    Raises:
      ValueError: there are fewer than two arrays, or their dimensions do not fit.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.multi_dot([cnp.ones((1, 2)), cnp.ones((2, 3)), cnp.ones((3, 1))])
      Array([[6.]], dtype=float32)
    """
    check_arraylike("multi_dot", *arrays)
    shapes = [shape_of(a) for a in arrays]
    if len(arrays) < 2:
        raise ValueError("multi_dot requires at least two arrays.")
    if any(len(s) != 2 for s in shapes[1:-1]) or any(len(s) not in (1, 2) for s in (shapes[0], shapes[-1])):
        raise ValueError(
            "multi_dot: input arrays must all be two-dimensional, except for the first and last array which may be 1 "
            f"or 2 dimensional. Got array shapes {shapes}"
        )
    labels = [*range(len(arrays) + 1)]
    names = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    terms = [names[i] + names[j] for i, j in itertools.pairwise(labels)]
    if len(shapes[0]) == 1:
        terms[0] = terms[0][1]
    if len(shapes[-1]) == 1:
        terms[-1] = terms[-1][0]
    result = (terms[0][0] if len(shapes[0]) == 2 else "") + (terms[-1][1] if len(shapes[-1]) == 2 else "")
    return einsum(f"{','.join(terms)}->{result}", *arrays, optimize="auto", precision=precision)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The cross product of vectors of size 3, as `numpy.linalg.cross`.

    Args:
      x1, x2: arrays that broadcast together.
      axis: the axis of the vectors.

    Returns:
      An array.

    Raises:
      ValueError: the vectors' size is not 3.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.cross(cnp.array([1, 0, 0]), cnp.array([0, 1, 0]))
      Array([0, 0, 1], dtype=int32)
    """
    check_arraylike("cross", x1, x2)
    if shape_of(x1)[axis] != 3 or shape_of(x2)[axis] != 3:
        raise ValueError(
            f"Both inputs must be of size 3 along axis {axis}, got {shape_of(x1)} and {shape_of(x2)}."
        )
    return _cross(x1, x2, axis=axis)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of the matrices in the last two axes, as `numpy.linalg.diagonal`.

    Args:
      x: an array of shape (..., m, n).
      offset: the diagonal: 0 the main one, positive above it.

    Returns:
      An array.

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.diagonal(cnp.array([[1, 2], [3, 4]]))
      Array([1, 4], dtype=int32)
    """
    return _diagonal(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sums of diagonals of the matrices in the last two axes, as `numpy.linalg.trace`.

    Args:
      x: an array of shape (..., m, n).
      offset: the diagonal: 0 the main one, positive above it.
      dtype: dtype of the result.

    Returns:
      An array.

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.trace(cnp.array([[1, 2], [3, 4]]))
      Array(5, dtype=int32)
    """
    return _trace(x, offset, -2, -1, dtype)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse with respect to `tensordot`, as `numpy.linalg.tensorinv`.

    Args:
      a: an array whose first `ind` sizes multiply to the product of the others.
      ind: how many axes belong to the inverse's last.

    Returns:
      An array of shape a.shape[ind:] + a.shape[:ind].

    Raises:
      ValueError: the sizes do not go together, or ind is not positive.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.tensorinv(cnp.eye(4).reshape(2, 2, 2, 2)).shape
      (2, 2, 2, 2)
    """
    check_arraylike("tensorinv", a)
    ind = operator.index(ind)
    if ind <= 0:
        raise ValueError(f"ind must be a positive integer; got ind={ind}")
    shape = shape_of(a)
    rows, columns = math.prod(shape[:ind]), math.prod(shape[ind:])
    if rows != columns:
        raise ValueError(
            f"product of dimensions must match for shape {shape} and ind={ind}: {rows} and {columns}."
        )
    return inv(as_array(a).reshape(rows, columns)).reshape(*shape[ind:], *shape[:ind])


def tensorsolve(a: Any, b: Any, axes: tuple[int, ...] | None = None) -> Any:
    """The solution x of tensordot(a, x, x.ndim) == b, as `numpy.linalg.tensorsolve`.

    Args:
      a: an array of shape b.shape + x.shape, of as many rows as columns.
      b: an array.
      axes: axes of a to move to its end first.

    Returns:
      An array.

    Raises:
      ValueError: the sizes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.tensorsolve(cnp.eye(4).reshape(2, 2, 2, 2), cnp.ones((2, 2)))
      Array([[1., 1.],
             [1., 1.]], dtype=float32)
    """
    check_arraylike("tensorsolve", a, b)
    a, b = as_array(a), as_array(b)
    if axes is not None:
        axes = tuple(canonical_axis(i, len(shape_of(a))) for i in axes)
        a = moveaxis(a, axes, tuple(range(len(shape_of(a)) - len(axes), len(shape_of(a)))))
    rest = shape_of(a)[len(shape_of(b)) :]
    if math.prod(rest) != math.prod(shape_of(b)):
        raise ValueError(f"tensorsolve: a of shape {shape_of(a)} is not square for b of shape {shape_of(b)}.")
    return solve(a.reshape(math.prod(shape_of(b)), math.prod(rest)), b.reshape(-1)).reshape(rest)
