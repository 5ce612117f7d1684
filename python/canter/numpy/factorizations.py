"""Decompositions of matrices: Cholesky, singular values, eigenvalues, QR."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from canter import lax
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .util import check_arraylike, convert, dtype_of, dtype_rank, shape_of, to_inexact

__all__ = ["cholesky", "eig", "eigh", "eigvals", "eigvalsh", "qr", "svd", "svdvals"]


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """What `eig` gives."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Any
    S: Any
    Vh: Any


def _matrices(name: str, a: Any, square: bool = False) -> Any:
    """A stack of matrices of floats or complex numbers."""
    a = as_array(to_inexact(name, a))
    shape = shape_of(a)
    if len(shape) < 2:
        raise ValueError(f"Argument to {name} must have at least two dimensions, got shape {shape}.")
    if square and shape[-1] != shape[-2]:
        raise ValueError(f"Argument to {name} must have shape [..., n, n], got {shape}.")
    return a


def _adjoint(x: Any) -> Any:
    rank = len(shape_of(x))
    return bodies.conjugate(lax.transpose(x, (*range(rank - 2), rank - 1, rank - 2)))


def _real_dtype(dtype: Any) -> Any:
    return np.dtype(f"float{4 * dtype.itemsize}") if dtype_rank(dtype) == 3 else dtype


# --- factorisations -----------------------------------------------------------------------------


@composite(static_argnames=("upper", "symmetrize_input"))
def cholesky(a: Any, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    """The Cholesky factor of positive definite matrices, as `numpy.linalg.cholesky`.

    Args:
      a: an array of shape (..., n, n).
      upper: whether to return the upper factor.
      symmetrize_input: whether to take the mean of a and its adjoint first.

    Returns:
      The factor L with L @ L.conj().mT == a, or its adjoint; nan where a is not positive definite.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.cholesky(cnp.array([[4.0, 2.0], [2.0, 2.0]]))
      Array([[2., 0.],
             [1., 1.]], dtype=float32)
    """
    return _cholesky(a, upper=bool(upper), symmetrize_input=bool(symmetrize_input))


@composite(static_argnames=("upper", "symmetrize_input"))
def _cholesky(a: Any, *, upper: bool, symmetrize_input: bool) -> Any:
    a = _matrices("cholesky", a, square=True)
    factor = lax.linalg.cholesky(_adjoint(a) if upper else a, symmetrize_input=symmetrize_input)
    return _adjoint(factor) if upper else factor


@composite(static_argnames=("full_matrices", "compute_uv", "subset_by_index"))
def _svd(a: Any, *, full_matrices: bool, compute_uv: bool, subset_by_index: Any) -> Any:
    a = _matrices("svd", a)
    out = lax.linalg.svd(
        a, full_matrices=full_matrices, compute_uv=compute_uv, subset_by_index=subset_by_index
    )
    return tuple(out) if compute_uv else out


@composite(static_argnames=("compute_uv",))
def _svd_hermitian(a: Any, *, compute_uv: bool) -> Any:
    a = _matrices("svd", a, square=True)
    vectors, values = lax.linalg.eigh(a)
    size = lax.abs(values)
    axis = len(shape_of(values)) - 1
    order = lax.rev(_argsort(size), (axis,))
    from .indexing import take_along_axis

    singular = take_along_axis(size, order, axis)
    if not compute_uv:
        return singular
    signs = bodies.where(lax.lt(values, const(values, 0)), const(values, -1), const(values, 1))
    columns = lax.broadcast_in_dim(
        order, (*shape_of(order)[:-1], 1, shape_of(order)[-1]), (*range(axis), axis + 1)
    )
    u = take_along_axis(vectors, columns, axis + 1)
    signs = take_along_axis(signs, order, axis)
    v = lax.mul(u, convert(lax.broadcast_in_dim(signs, shape_of(u), (*range(axis), axis + 1)), dtype_of(u)))
    return u, singular, _adjoint(v)


def _argsort(x: Any) -> Any:
    from .sorting import argsort

    return argsort(x)


@composite(static_argnames=("full_matrices", "compute_uv", "hermitian", "subset_by_index"))
def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
    subset_by_index: tuple[int, int] | None = None,
) -> Any:
    """The singular value decomposition, as `numpy.linalg.svd`.

    Args:
      a: an array of shape (..., m, n).
      full_matrices: whether U and Vh are square.
      compute_uv: whether to return U and Vh.
      hermitian: whether a is Hermitian, which a faster method uses.
      subset_by_index: (start, stop) of the singular values wanted.

    Returns:
      The named tuple (U, S, Vh), or S alone.

    Raises:
      ValueError: a has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.svd(cnp.array([[3.0, 0.0], [0.0, 2.0]]), compute_uv=False)
      Array([3., 2.], dtype=float32)
    """
    check_arraylike("svd", a)
    if hermitian:
        if subset_by_index is not None:
            raise NotImplementedError("svd: subset_by_index is not supported for hermitian=True.")
        out = _svd_hermitian(a, compute_uv=bool(compute_uv))
    else:
        out = _svd(
            a, full_matrices=bool(full_matrices), compute_uv=bool(compute_uv), subset_by_index=subset_by_index
        )
    return SVDResult(*out) if compute_uv else out


@composite
def svdvals(x: Any, /) -> Any:
    """The singular values in descending order, as `numpy.linalg.svdvals`.

    Args:
      x: an array of shape (..., m, n).

    Returns:
      An array of shape (..., min(m, n)).

    Raises:
      ValueError: x has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.svdvals(cnp.array([[3.0, 0.0], [0.0, 2.0]]))
      Array([3., 2.], dtype=float32)
    """
    return svd(x, compute_uv=False)


@composite(static_argnames=("lower", "symmetrize_input"))
def _eigh(a: Any, *, lower: bool, symmetrize_input: bool) -> Any:
    a = _matrices("eigh", a, square=True)
    vectors, values = lax.linalg.eigh(a, lower=lower, symmetrize_input=symmetrize_input)
    return values, vectors


@composite(static_argnames=("UPLO", "symmetrize_input"))
def eigh(a: Any, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian matrices, as `numpy.linalg.eigh`.

    Args:
      a: an array of shape (..., n, n).
      UPLO: "L" or "U": which triangle to read where the input is not symmetrized; "L" by default.
      symmetrize_input: whether to take the mean of a and its adjoint first.

    Returns:
      The named tuple (eigenvalues, eigenvectors), eigenvalues ascending, eigenvectors in columns.

    Raises:
      ValueError: the matrices are not square, or UPLO is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eigh(cnp.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
      Array([1., 2.], dtype=float32)
    """
    check_arraylike("eigh", a)
    if UPLO not in (None, "L", "U"):
        raise ValueError(f"UPLO must be one of None, 'L', or 'U', got {UPLO!r}.")
    return EighResult(*_eigh(a, lower=UPLO != "U", symmetrize_input=bool(symmetrize_input)))


@composite(static_argnames=("UPLO", "symmetrize_input"))
def eigvalsh(a: Any, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    """Eigenvalues of Hermitian matrices, ascending, as `numpy.linalg.eigvalsh`.

    Args:
      a: an array of shape (..., n, n).
      UPLO: "L" or "U": which triangle to read where the input is not symmetrized.
      symmetrize_input: whether to take the mean of a and its adjoint first.

    Returns:
      An array of shape (..., n).

    Raises:
      ValueError: the matrices are not square, or UPLO is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eigvalsh(cnp.array([[2.0, 0.0], [0.0, 1.0]]))
      Array([1., 2.], dtype=float32)
    """
    return eigh(a, UPLO, symmetrize_input).eigenvalues


@composite
def _eig(a: Any) -> Any:
    values, vectors = lax.linalg.eig(_matrices("eig", a, square=True), compute_left_eigenvectors=False)
    return values, vectors


def eig(a: Any) -> EigResult:
    """Eigenvalues and right eigenvectors of square matrices, as `numpy.linalg.eig`.

    Args:
      a: an array of shape (..., n, n).

    Returns:
      The named tuple (eigenvalues, eigenvectors), complex.

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eig(cnp.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
      Array([2.+0.j, 1.+0.j], dtype=complex64)
    """
    check_arraylike("eig", a)
    return EigResult(*_eig(a))


@composite
def eigvals(a: Any) -> Any:
    """Eigenvalues of square matrices, as `numpy.linalg.eigvals`.

    Args:
      a: an array of shape (..., n, n).

    Returns:
      A complex array of shape (..., n).

    Raises:
      ValueError: the matrices are not square.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.eigvals(cnp.array([[2.0, 0.0], [0.0, 1.0]]))
      Array([2.+0.j, 1.+0.j], dtype=complex64)
    """
    a = _matrices("eigvals", a, square=True)
    return lax.linalg.eig(a, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0]


@composite(static_argnames=("mode",))
def _qr(a: Any, *, mode: str) -> Any:
    return tuple(lax.linalg.qr(_matrices("qr", a), full_matrices=mode == "complete"))


def _raw_qr(a: Any) -> Any:
    packed, taus = lax.linalg.geqrf(_matrices("qr", a))
    rank = len(shape_of(packed))
    return lax.transpose(packed, (*range(rank - 2), rank - 1, rank - 2)), taus


@composite(static_argnames=("mode",))
def qr(a: Any, mode: str = "reduced") -> Any:
    """The QR decomposition, as `numpy.linalg.qr`.

    Args:
      a: an array of shape (..., m, n).
      mode: "reduced", "complete", "r" for R alone, or "raw" for what LAPACK's geqrf leaves.

    Returns:
      The named tuple (Q, R), or R alone. For "raw" its members are R with the reflectors, transposed, and
      the reflectors' coefficients.

    Raises:
      ValueError: the mode is unknown, or a has fewer than two dimensions.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.linalg.qr(cnp.ones((3, 2))).Q.shape
      (3, 2)
    """
    check_arraylike("qr", a)
    if mode == "raw":
        return QRResult(*_raw_qr(a))
    if mode not in ("reduced", "full", "complete", "r"):
        raise ValueError(
            f"Unsupported QR decomposition mode {mode!r}; use 'reduced', 'complete', 'r' or 'raw'."
        )
    q, r = _qr(a, mode="complete" if mode == "complete" else "reduced")
    return r if mode == "r" else QRResult(q, r)
