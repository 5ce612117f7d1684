"""Matrices that a few numbers determine, as in `scipy.linalg`; leading dimensions are batches.

Most pick each entry from a vector, by a rule in the numbers of its row and column.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.numpy.util import check_arraylike, dtype_of, promote_dtypes_inexact, shape_of
from canter.runtime.composite import composite

__all__ = [
    "block_diag", "circulant", "companion", "convolution_matrix", "dft", "fiedler", "fiedler_companion",
    "hadamard", "hankel", "helmert", "hilbert", "invhilbert", "invpascal", "leslie", "pascal", "toeplitz",
]  # fmt: skip


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    """The number of the row and of the column of each entry."""
    shape = (rows, columns)
    return lax.broadcasted_iota(np.int32, shape, 0), lax.broadcasted_iota(np.int32, shape, 1)


def _pick(values: Any, index: Any) -> Any:
    """Entries of the vectors along the last axis; indices out of bounds take the nearest one."""
    return cnp.take(values, index, axis=-1, mode="clip")


def _vector(name: str, x: Any, least: int = 0, argument: str = "a") -> Any:
    """An argument that is a vector, or a batch of them, of a least length."""
    check_arraylike(name, x)
    x = cnp.atleast_1d(cnp.asarray(x))
    if shape_of(x)[-1] < least:
        raise ValueError(
            f"scipy.linalg.{name}: `{argument}` must have at least {least} elements along its last axis, got "
            f"shape {shape_of(x)}."
        )
    return x


def _count(name: str, n: Any, least: int = 0) -> int:
    """An argument that is the size of a matrix."""
    size = operator.index(n)
    if size < least:
        kind = "a positive integer" if least == 1 else "a non-negative integer"
        raise ValueError(f"scipy.linalg.{name}: n must be {kind}, got {size}.")
    return size


# --- constant diagonals ---------------------------------------------------------------------------


@composite
def _toeplitz(c: Any, r: Any) -> Any:
    rows, columns = shape_of(c)[-1], shape_of(r)[-1]
    # Every diagonal is one element of the column, read upwards, followed by the row.
    line = _joined(cnp.flip(c, -1), r[..., 1:])
    i, j = _grid(rows, columns)
    return _pick(line, rows - 1 - i + j)


@composite
def _hankel(c: Any, r: Any) -> Any:
    i, j = _grid(shape_of(c)[-1], shape_of(r)[-1])
    return _pick(_joined(c, r[..., 1:]), i + j)


def _joined(x: Any, y: Any) -> Any:
    """Two batches of vectors as one, longer."""
    batch = lax.broadcast_shapes(shape_of(x)[:-1], shape_of(y)[:-1])
    return cnp.concatenate([cnp.broadcast_to(v, (*batch, shape_of(v)[-1])) for v in (x, y)], axis=-1)


def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix whose diagonals are constant.

    Args:
      c: (..., m): the first column.
      r: (..., n): the first row, without regard to its first element; by default the conjugate of `c`.

    Raises:
      TypeError: an argument is no array.
      ValueError: the batches do not broadcast.

    Source: `scipy.linalg.toeplitz`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.toeplitz(ct.numpy.array([1, 2])))
      [[1 2]
       [2 1]]
    """
    c = _vector("toeplitz", c)
    return _toeplitz(c, cnp.conj(c) if r is None else _vector("toeplitz", r))


def hankel(c: Any, r: Any = None) -> Any:
    """The matrix whose antidiagonals are constant.

    Args:
      c: (..., m): the first column.
      r: (..., n): the last row, without regard to its first element; by default zeros, as many as `c` has.

    Raises:
      TypeError: an argument is no array.
      ValueError: an argument has no dimension, or the batches do not broadcast.

    Source: `scipy.linalg.hankel`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.hankel(ct.numpy.array([1, 2])))
      [[1 2]
       [2 0]]
    """
    for name, x in (("c", c), ("r", r)):
        if x is not None and not isinstance(x, (list, tuple)) and not shape_of(x):
            raise ValueError(f"scipy.linalg.hankel: `{name}` must have at least one dimension, got a scalar.")
    c = _vector("hankel", c)
    return _hankel(c, cnp.zeros_like(c) if r is None else _vector("hankel", r))


@composite
def _circulant(c: Any) -> Any:
    size = shape_of(c)[-1]
    i, j = _grid(size, size)
    return _pick(c, cnp.where(i >= j, i - j, i - j + size))


def circulant(c: Any) -> Any:
    """The matrix each of whose columns is the one before it, rotated downwards by one.

    Args:
      c: (..., n): the first column.

    Raises:
      TypeError: `c` is no array.

    Source: `scipy.linalg.circulant`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.circulant(ct.numpy.array([1, 2, 3])))
      [[1 3 2]
       [2 1 3]
       [3 2 1]]
    """
    return _circulant(_vector("circulant", c))


@composite(static_argnames=("first", "rows", "columns"))
def _convolution(a: Any, *, first: int, rows: int, columns: int) -> Any:
    i, j = _grid(rows, columns)
    lag = i + first - j
    return cnp.where((lag >= 0) & (lag < shape_of(a)[-1]), _pick(a, lag), cnp.zeros((), dtype_of(a)))


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix whose product with a vector is the vector's convolution with `a`.

    Args:
      a: (..., m), not empty.
      n: length of the vectors to convolve.
      mode: "full", "same" or "valid": which part of the convolution, as in `numpy.convolve`.

    Raises:
      TypeError: `a` is no array.
      ValueError: `a` is empty, `n` is not positive, or the mode is unknown.

    Source: `scipy.linalg.convolution_matrix`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.convolution_matrix(ct.numpy.array([1, 2]), 2))
      [[1 0]
       [2 1]
       [0 2]]
    """
    a, columns = _vector("convolution_matrix", a, 1), _count("convolution_matrix", n, 1)
    short, long = sorted((shape_of(a)[-1], columns))
    parts = {
        "full": (0, short + long - 1),
        "same": ((short - 1) // 2, long),
        "valid": (short - 1, long - short + 1),
    }
    if mode not in parts:
        raise ValueError(
            f"scipy.linalg.convolution_matrix: mode must be 'full', 'same' or 'valid', got {mode!r}."
        )
    first, rows = parts[mode]
    return _convolution(a, first=first, rows=rows, columns=columns)


# --- companions and their like --------------------------------------------------------------------


@composite
def _companion(a: Any) -> Any:
    size = shape_of(a)[-1] - 1
    i, j = _grid(size, size)
    below = (i == j + 1).astype(dtype_of(a))
    return cnp.where(i == 0, _pick(-a[..., 1:] / a[..., :1], j), below)


def companion(a: Any) -> Any:
    """The companion matrix of a polynomial: its eigenvalues are the polynomial's roots.

    Args:
      a: (..., n): coefficients, the highest first; at least two.

    Returns:
      (..., n - 1, n - 1), of an inexact dtype; not finite where `a[0]` is 0.

    Raises:
      TypeError: `a` is no array.
      ValueError: there are fewer than two coefficients.

    Source: `scipy.linalg.companion`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.companion(ct.numpy.array([1.0, -3.0, 2.0])))
      [[ 3. -2.]
       [ 1.  0.]]
    """
    (a,) = promote_dtypes_inexact(_vector("companion", a, 2))
    return _companion(a)


@composite
def _fiedler(a: Any) -> Any:
    return cnp.abs(a[..., :, None] - a[..., None, :])


def fiedler(a: Any) -> Any:
    """The symmetric matrix of absolute differences `abs(a[i] - a[j])`.

    Args:
      a: (..., n).

    Raises:
      TypeError: `a` is no array.

    Source: `scipy.linalg.fiedler`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.fiedler(ct.numpy.array([1, 4])))
      [[0 3]
       [3 0]]
    """
    return _fiedler(_vector("fiedler", a))


@composite
def _fiedler_companion(a: Any) -> Any:
    size = shape_of(a)[-1] - 1
    i, j = _grid(size, size)
    # Coefficients stand in the columns of odd number, above and below the diagonal, ones outside of them.
    odd = j % 2 == 1
    used = odd & ((i == j - 1) | (i == j + 1)) | (i == 0) & (j == 0)
    ones = odd & (i == j + 2) | ~odd & (i == j - 2) | (i == 1) & (j == 0)
    number = cnp.where(i > j, j + 2, j + 1)
    return cnp.where(used, _pick(-a / a[..., :1], number), ones.astype(dtype_of(a)))


def fiedler_companion(a: Any) -> Any:
    """A companion matrix with five diagonals, of the same eigenvalues as `companion`.

    Args:
      a: (..., n): coefficients of a polynomial, the highest first; at least one.

    Returns:
      (..., n - 1, n - 1), of an inexact dtype.

    Raises:
      TypeError: `a` is no array.
      ValueError: there is no coefficient.

    Source: Fiedler, "A note on companion matrices", 2003; `scipy.linalg.fiedler_companion`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.fiedler_companion(ct.numpy.array([1.0, 2.0, 3.0, 4.0])))
      [[-2. -3.  1.]
       [ 1.  0.  0.]
       [ 0. -4.  0.]]
    """
    (a,) = promote_dtypes_inexact(_vector("fiedler_companion", a, 1))
    return _fiedler_companion(a)


@composite
def _leslie(f: Any, s: Any) -> Any:
    size = shape_of(f)[-1]
    i, j = _grid(size, size)
    dtype = cnp.result_type(f, s)
    below = cnp.where(i == j + 1, _pick(s, j).astype(dtype), cnp.zeros((), dtype))
    return cnp.where(i == 0, _pick(f, j).astype(dtype), below)


def leslie(f: Any, s: Any) -> Any:
    """The Leslie matrix of a population's fecundities and survival rates.

    Args:
      f: (..., n): the first row, n at least 2.
      s: (..., n - 1): what stands below the diagonal.

    Raises:
      TypeError: an argument is no array.
      ValueError: the lengths do not fit.

    Source: `scipy.linalg.leslie`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.leslie(ct.numpy.array([0.5, 2.0]), ct.numpy.array([0.25])))
      [[0.5  2.  ]
       [0.25 0.  ]]
    """
    f, s = _vector("leslie", f, 2, "f"), _vector("leslie", s, 1, "s")
    if shape_of(s)[-1] != shape_of(f)[-1] - 1:
        raise ValueError(
            "scipy.linalg.leslie: `s` must have one element less than `f` along the last axis, got shapes "
            f"{shape_of(f)} and {shape_of(s)}."
        )
    return _leslie(f, s)


# --- matrices of one number -----------------------------------------------------------------------


@composite(static_argnames=("n", "scale", "dtype"))
def _dft(*, n: int, scale: str | None, dtype: Any) -> Any:
    real = dtypes.finfo(dtype).dtype
    i, j = _grid(n, n)
    # Whole turns are taken out before the angle is formed, so that it is as exact as the dtype.
    turns = ((i.astype(np.uint32) * j.astype(np.uint32)) % max(n, 1)).astype(real) / max(n, 1)
    angle = -2 * np.pi * turns
    factor = {None: 1.0, "sqrtn": max(n, 1) ** -0.5, "n": 1 / max(n, 1)}[scale]
    return lax.complex(cnp.cos(angle) * factor, cnp.sin(angle) * factor).astype(dtype)


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Any:
    """The matrix of the discrete Fourier transform of n numbers.

    Args:
      n: the size, below 65536.
      scale: None, "sqrtn" to divide by the square root of n (a unitary matrix), or "n" to divide by n.
      dtype: a complex dtype; by default the default one.

    Raises:
      ValueError: n is out of range, the scale is unknown or the dtype is not complex.

    Source: `scipy.linalg.dft`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.dft(2).real)
      [[ 1.  1.]
       [ 1. -1.]]
    """
    size = _count("dft", n)
    if size >= 1 << 16:
        raise ValueError(f"scipy.linalg.dft: n must be below 65536, got {size}.")
    if scale not in (None, "sqrtn", "n"):
        raise ValueError(f"scipy.linalg.dft: scale must be None, 'sqrtn' or 'n', got {scale!r}.")
    dtype = dtypes.canonicalize_dtype(np.complex128 if dtype is None else dtype)
    if not dtypes.issubdtype(dtype, np.complexfloating):
        raise ValueError(f"scipy.linalg.dft: dtype must be complex, got {dtype.name}.")
    return _dft(n=size, scale=scale, dtype=dtype)


@composite(static_argnames=("n", "dtype"))
def _hadamard(*, n: int, dtype: Any) -> Any:
    i, j = _grid(n, n)
    odd = lax.population_count(i & j) & 1
    return (1 - 2 * odd).astype(dtype)


def hadamard(n: int, dtype: Any = int) -> Any:
    """Sylvester's Hadamard matrix: of ones and minus ones, with orthogonal rows.

    Args:
      n: the size, a power of 2.
      dtype: dtype of the result.

    Raises:
      ValueError: n is not a power of 2.

    Source: `scipy.linalg.hadamard`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.hadamard(2))
      [[ 1  1]
       [ 1 -1]]
    """
    size = operator.index(n)
    if size < 1 or size & (size - 1):
        raise ValueError(f"scipy.linalg.hadamard: n must be a positive power of 2, got {size}.")
    return _hadamard(n=size, dtype=dtypes.canonicalize_dtype(dtype))


@composite(static_argnames=("n", "dtype"))
def _helmert(*, n: int, dtype: Any) -> Any:
    i, j = _grid(n, n)
    row = i.astype(dtype)
    scale = cnp.where(i == 0, n**-0.5, lax.rsqrt(cnp.maximum(row * (row + 1), 1)))
    return cnp.where((j < i) | (i == 0), scale, cnp.where(i == j, -row * scale, 0))


def helmert(n: int, full: bool = False) -> Any:
    """Helmert's orthogonal matrix, whose rows compare each element with the mean of those before it.

    Args:
      n: the size.
      full: whether the first row, of equal elements, stays.

    Returns:
      (n - 1, n), or (n, n).

    Raises:
      ValueError: n is not positive.

    Source: `scipy.linalg.helmert`.

    Example:
      >>> import canter as ct
      >>> ct.scipy.linalg.helmert(3).shape
      (2, 3)
    """
    matrix = _helmert(n=_count("helmert", n, 1), dtype=dtypes.canonicalize_dtype(float))
    return matrix if full else matrix[1:]


@composite(static_argnames=("n", "dtype"))
def _hilbert(*, n: int, dtype: Any) -> Any:
    i, j = _grid(n, n)
    return 1 / (i + j + 1).astype(dtype)


def hilbert(n: int) -> Any:
    """Hilbert's matrix `1 / (i + j + 1)`.

    Args:
      n: the size.

    Raises:
      ValueError: n is negative.

    Source: `scipy.linalg.hilbert`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.hilbert(1))
      [[1.]]
    """
    return _hilbert(n=_count("hilbert", n), dtype=dtypes.canonicalize_dtype(float))


def _binomials(rows: int) -> np.ndarray:
    """Pascal's triangle in float64: exact up to 2**53, inf where it overflows."""
    triangle = np.zeros((rows, rows))
    triangle[:, :1] = 1
    for n in range(1, rows):
        triangle[n, 1:] = triangle[n - 1, :-1] + triangle[n - 1, 1:]
    return triangle


def _rounded(matrix: np.ndarray) -> Any:
    """A matrix of float64 in the default dtype."""
    with np.errstate(over="ignore"):
        return cnp.asarray(matrix.astype(dtypes.canonicalize_dtype(float)))


def invhilbert(n: int) -> Any:
    """The inverse of Hilbert's matrix, which has integer elements.

    Args:
      n: the size.

    Raises:
      ValueError: n is negative.

    Source: Choi, "Tricks or treats with the Hilbert matrix", 1983; `scipy.linalg.invhilbert`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.invhilbert(2))
      [[ 4. -6.]
       [-6. 12.]]
    """
    size = _count("invhilbert", n)
    choose = _binomials(max(2 * size, 1))
    i, j = np.indices((size, size))
    with np.errstate(over="ignore", invalid="ignore"):
        size_of = choose[size + i, size - j - 1] * choose[size + j, size - i - 1] * choose[i + j, i] ** 2
        return _rounded(np.where((i + j) % 2, -1.0, 1.0) * (i + j + 1) * size_of)


_KINDS = ("symmetric", "lower", "upper")


def _check_kind(name: str, kind: Any) -> str:
    if kind is None:
        return "symmetric"
    if kind not in _KINDS:
        raise ValueError(f"scipy.linalg.{name}: kind must be 'symmetric', 'lower' or 'upper', got {kind!r}.")
    return kind


def pascal(n: int, kind: str | None = None) -> Any:
    """Pascal's matrix of binomial coefficients.

    Args:
      n: the size.
      kind: "symmetric" (the default, the product of the next two), "lower" or "upper".

    Raises:
      ValueError: n is negative or the kind is unknown.

    Source: `scipy.linalg.pascal`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.pascal(3))
      [[1. 1. 1.]
       [1. 2. 3.]
       [1. 3. 6.]]
    """
    kind, size = _check_kind("pascal", kind), _count("pascal", n)
    if kind == "symmetric":
        i, j = np.indices((size, size))
        return _rounded(_binomials(max(2 * size, 1))[i + j, i])
    lower = _binomials(size)
    return _rounded(lower if kind == "lower" else lower.T)


def invpascal(n: int, kind: str | None = None) -> Any:
    """The inverse of Pascal's matrix, which has integer elements.

    Args:
      n: the size.
      kind: "symmetric" (the default), "lower" or "upper": the kind of the matrix inverted.

    Raises:
      ValueError: n is negative or the kind is unknown.

    Source: `scipy.linalg.invpascal`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.invpascal(2))
      [[ 2. -1.]
       [-1.  1.]]
    """
    kind, size = _check_kind("invpascal", kind), _count("invpascal", n)
    i, j = np.indices((size, size))
    lower = np.where((i + j) % 2, -1.0, 1.0) * _binomials(size) + 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return _rounded({"symmetric": lower.T @ lower, "lower": lower, "upper": lower.T}[kind])


# --- blocks ---------------------------------------------------------------------------------------


@composite
def _block_diag(arrays: tuple[Any, ...]) -> Any:
    arrays = tuple(cnp.atleast_2d(x) for x in arrays)
    rows, columns = (sum(shape_of(x)[i] for x in arrays) for i in (0, 1))
    out, row, column = cnp.zeros((rows, columns), cnp.result_type(*arrays)), 0, 0
    for x in arrays:
        m, n = shape_of(x)
        out = lax.dynamic_update_slice(out, lax.convert_element_type(x, dtype_of(out)), (row, column))
        row, column = row + m, column + n
    return out


def block_diag(*arrs: Any) -> Any:
    """The matrix that has given ones along its diagonal, and is 0 elsewhere.

    Args:
      *arrs: matrices; vectors and numbers count as matrices of one row.

    Raises:
      TypeError: an argument is no array.
      ValueError: an argument has more than two dimensions.

    Source: `scipy.linalg.block_diag`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.block_diag(1.0, 2.0))
      [[1. 0.]
       [0. 2.]]
    """
    check_arraylike("block_diag", *arrs)
    arrays = tuple(cnp.asarray(x) for x in arrs) or (cnp.zeros((1, 0)),)
    for position, x in enumerate(arrays):
        if len(shape_of(x)) > 2:
            raise ValueError(
                "scipy.linalg.block_diag: arguments must have at most 2 dimensions, got shape "
                f"{shape_of(x)} at position {position}."
            )
    return _block_diag(arrays)
