"""Similar matrices of simpler form, as in `scipy.linalg`: Schur, Hessenberg and tridiagonal."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter import numpy as cnp
from canter.core import dtypes
from canter.lax import linalg as lax_linalg
from canter.lax.linalg_algorithms import batched
from canter.lax.linalg_schur import to_complex_schur
from canter.numpy.util import check_arraylike, dtype_of, shape_of
from canter.runtime.composite import composite

from .arguments import matrix

__all__ = ["eigh_tridiagonal", "hessenberg", "rsf2csf", "schur"]


@composite
def _schur(a: Any) -> Any:
    return tuple(lax_linalg.schur(a))


def schur(a: Any, output: str = "real") -> tuple[Any, Any]:
    """The Schur decomposition a = z t z^H, with (quasi) triangular t.

    Args:
      a: (..., n, n).
      output: "real", where a real matrix has blocks of two rows for pairs of complex eigenvalues, or
        "complex", where t is triangular.

    Returns:
      (t, z).

    Raises:
      TypeError: `a` is no array.
      ValueError: `a` is no square matrix, or the output is unknown.

    Source: `scipy.linalg.schur`.

    Example:
      >>> import canter as ct
      >>> t, z = ct.scipy.linalg.schur(ct.numpy.array([[2.0]]))
      >>> print(t, z)
      [[2.]] [[1.]]
    """
    if output not in ("real", "complex"):
        raise ValueError(f"scipy.linalg.schur: output must be 'real' or 'complex', got {output!r}.")
    a = matrix("schur", a)
    return _schur(a.astype(dtypes.to_complex_dtype(dtype_of(a))) if output == "complex" else a)


@composite
def _rsf2csf(t: Any, z: Any) -> Any:
    return batched(to_complex_schur, 2, t, z)


def rsf2csf(T: Any, Z: Any, check_finite: bool = True) -> tuple[Any, Any]:
    """The complex Schur form that a real one becomes.

    Args:
      T: (..., n, n), quasi-triangular.
      Z: (..., n, n), its Schur vectors.
      check_finite: without effect.

    Returns:
      T and Z, complex.

    Raises:
      ValueError: the shapes differ or are not square.

    Source: `scipy.linalg.rsf2csf`.

    Example:
      >>> import canter as ct
      >>> t, z = ct.scipy.linalg.rsf2csf(ct.numpy.array([[2.0]]), ct.numpy.array([[1.0]]))
      >>> print(t, z)
      [[2.+0.j]] [[1.+0.j]]
    """
    T, Z = matrix("rsf2csf", T), matrix("rsf2csf", Z)
    if shape_of(T) != shape_of(Z):
        raise ValueError(
            f"scipy.linalg.rsf2csf: T and Z must have the same shape, got {shape_of(T)} and {shape_of(Z)}."
        )
    dtype = cnp.result_type(T, Z)
    return _rsf2csf(T.astype(dtype), Z.astype(dtype))


@composite(static_argnames=("calc_q",))
def _hessenberg(a: Any, *, calc_q: bool) -> Any:
    size = shape_of(a)[-1]
    if size < 2:
        return (a, cnp.broadcast_to(cnp.eye(size, dtype=dtype_of(a)), shape_of(a))) if calc_q else a
    packed, taus = lax_linalg.hessenberg(a)
    h = cnp.triu(packed, -1)
    if not calc_q:
        return h
    inner = lax_linalg.householder_product(packed[..., 1:, :-1], taus)
    widths = [(0, 0)] * (len(shape_of(a)) - 2) + [(1, 0), (1, 0)]
    first = cnp.zeros((size, size), dtype_of(a)).at[0, 0].set(1)
    return h, cnp.pad(inner, widths) + first


def hessenberg(a: Any, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The Hessenberg form a = q h q^H, with zeros below the first subdiagonal of h.

    Args:
      a: (..., n, n).
      calc_q: whether to compute q.
      overwrite_a, check_finite: without effect.

    Returns:
      h, or (h, q).

    Raises:
      ValueError: `a` is no square matrix.

    Source: `scipy.linalg.hessenberg`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.hessenberg(ct.numpy.array([[1.0, 2.0], [3.0, 4.0]])))
      [[1. 2.]
       [3. 4.]]
    """
    return _hessenberg(matrix("hessenberg", a), calc_q=bool(calc_q))


@composite(static_argnames=("first", "last"))
def _tridiagonal(d: Any, e: Any, *, first: int, last: int) -> Any:
    index = np.arange(max(shape_of(d)[0] - 1, 0))
    full = cnp.diag(d).at[index + 1, index].set(e)
    vectors, values = lax_linalg.eigh(full, symmetrize_input=False)
    return values[first:last], vectors[:, first:last]


def eigh_tridiagonal(
    d: Any,
    e: Any,
    *,
    eigvals_only: bool = False,
    select: str = "a",
    select_range: tuple[float, float] | None = None,
    tol: float | None = None,
    key: Any = None,
) -> Any:
    """Eigenvalues, in ascending order, and eigenvectors of a real symmetric tridiagonal matrix.

    They are those of the dense matrix, exact to rounding, and have derivatives of both modes.

    Args:
      d: (n,): the diagonal, float32 or float64.
      e: (n - 1,): what stands beside it, of the same dtype.
      eigvals_only: whether to leave the eigenvectors out.
      select: "a" for all eigenvalues, "i" for those numbered by `select_range`.
      select_range: (first, last), both included, counted from 0.
      tol: how exact eigenvalues must be at least; they are as exact as the dtype.
      key: a random key for starting vectors, of which this method has none.

    Returns:
      The eigenvalues, or eigenvalues and eigenvectors.

    Raises:
      TypeError: the dtypes differ, or are not float32 or float64.
      ValueError: the lengths do not fit, or the selection is unknown or not in range.
      NotImplementedError: a selection by value, whose number of results would depend on values.

    Source: `scipy.linalg.eigh_tridiagonal`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.linalg.eigh_tridiagonal(ct.numpy.array([1.0]), ct.numpy.zeros(0), eigvals_only=True))
      [1.]
    """
    check_arraylike("eigh_tridiagonal", d, e)
    d, e = cnp.asarray(d), cnp.asarray(e)
    if dtype_of(d) != dtype_of(e) or dtype_of(d) not in (np.float32, np.float64):
        raise TypeError(
            "scipy.linalg.eigh_tridiagonal: d and e must both be float32 or both float64, got "
            f"{dtype_of(d)} and {dtype_of(e)}."
        )
    if len(shape_of(d)) != 1 or shape_of(e) != (max(shape_of(d)[0] - 1, 0),):
        raise ValueError(
            "scipy.linalg.eigh_tridiagonal: d must be of shape (n,) and e of shape (n - 1,), got "
            f"{shape_of(d)} and {shape_of(e)}."
        )
    first, last = _selection(select, select_range, shape_of(d)[0])
    values, vectors = _tridiagonal(d, e, first=first, last=last)
    return values if eigvals_only else (values, vectors)


def _selection(select: str, select_range: Any, count: int) -> tuple[int, int]:
    """The eigenvalues asked for: the first, and the one behind the last."""
    name = "scipy.linalg.eigh_tridiagonal"
    if select == "a":
        return 0, count
    if select == "v":
        raise NotImplementedError(
            f"{name}: select='v' is not supported: the shape of the result would depend on values. "
            "Compute all eigenvalues and choose among them."
        )
    if select != "i":
        raise ValueError(f"{name}: select must be 'a' or 'i', got {select!r}.")
    if select_range is None:
        raise ValueError(f"{name}: select='i' needs select_range.")
    first, last = (int(x) for x in select_range)
    if not 0 <= first <= last < count:
        raise ValueError(
            f"{name}: select_range must be (first, last) with 0 <= first <= last < {count}, got {select_range}."
        )
    return first, last + 1
