"""Matrix decompositions on GPUs: the kernels of the CUDA and ROCm plugins (cuSOLVER, hipSOLVER, MAGMA).

Both plugins have the same kernels under names of their own, with the same operands and attributes.
"""

from __future__ import annotations

from typing import Any

from canter.core.avals import ShapedArray

from ..registry import register_table
from .kernels import (
    Matrix,
    adjoint,
    all_nan,
    check_algorithm,
    corner,
    custom_call,
    full_range,
    info_of,
    like,
    nan_where_failed,
    padded_columns,
    shapes,
    triangle,
    where_batch,
)
from .linalg import program

__all__: list[str] = []

#: Beginnings of the names of each plugin's kernels: of its solver, its sparse solver, of what it calls through
#: MAGMA, and of its own.
_PREFIXES = {
    "cuda": {"solver": "cusolver_", "sparse": "cusparse_", "hybrid": "cuhybrid_", "own": "cu_"},
    "rocm": {"solver": "hipsolver_", "sparse": "hipsparse_", "hybrid": "hiphybrid_", "own": "hip_"},
}
_DTYPES = ("float32", "float64", "complex64", "complex128")


def _call(
    ctx: Any,
    library: str,
    routine: str,
    operands: Any,
    kinds_in: Any,
    kinds_out: Any,
    config: dict[str, Any] | None = None,
    aliases: dict[int, int] | None = None,
) -> list[Any]:
    """Calls a kernel of the platform's plugin; the first operand says how many batch dimensions there are."""
    first, own = (kinds_in[0].aval, 2) if isinstance(kinds_in[0], Matrix) else (kinds_in[0], 1)
    if first.dtype.kind != "i" and first.dtype.name not in _DTYPES:
        raise NotImplementedError(
            f"'{ctx.primitive}' has no kernel for {first.dtype} on GPUs; convert to one of {', '.join(_DTYPES)}."
        )
    name = _PREFIXES[ctx.platform][library] + routine
    return custom_call(ctx, name, operands, kinds_in, kinds_out, config, aliases, batch=first.ndim - own)


# Triangular and orthogonal factors


def _cholesky(ctx: Any, x: Any) -> Any:
    aval = ctx.avals_out[0]
    config = {"lower": ctx.types.boolean(True)}
    outs = (Matrix(aval), info_of(aval))
    factor, info = _call(ctx, "solver", "potrf_ffi", (x,), (Matrix(aval),), outs, config, {0: 0})
    (factor,) = nan_where_failed(ctx, info, aval.shape[:-2], [factor], [aval])
    return triangle(ctx, factor, aval, lower=True)


_plain_cholesky_update = program("algorithms.update_cholesky", False)


def _cholesky_update(ctx: Any, r: Any, w: Any) -> Any:
    """The kernel takes one matrix, by rows; only CUDA's plugin has it."""
    r_aval, w_aval = ctx.avals_in
    if r_aval.ndim > 2:
        return _plain_cholesky_update(ctx, r, w)
    kinds = (r_aval, w_aval)
    factor, _ = custom_call(ctx, "cu_cholesky_update_ffi", (r, w), kinds, kinds, {}, {0: 0, 1: 1})
    return triangle(ctx, factor, r_aval, lower=False)


def _lu(ctx: Any, x: Any) -> list[Any]:
    aval, pivot_aval, permutation_aval = ctx.avals_out
    outs = (Matrix(aval), pivot_aval, info_of(aval))
    lu, pivots, info = _call(ctx, "solver", "getrf_ffi", (x,), (Matrix(aval),), outs, {}, {0: 0})
    pivots = ctx.op("stablehlo.subtract", (pivots, ctx.full(1, pivot_aval)), pivot_aval)
    status = info_of(aval)
    good = ctx.compare("GE", info, ctx.full(0, status), status)  # a zero pivot leaves a good decomposition
    lu = where_batch(ctx, good, aval.shape[:-2], lu, all_nan(ctx, aval), aval)
    return [lu, pivots, _permutation(ctx, pivots, pivot_aval, permutation_aval)]


def _permutation(ctx: Any, pivots: Any, pivot_aval: Any, aval: Any) -> Any:
    return _call(ctx, "own", "lu_pivots_to_permutation", (pivots,), (pivot_aval,), (aval,), {})[0]


def _lu_pivots_to_permutation(ctx: Any, pivots: Any, *, permutation_size: int) -> Any:
    return _permutation(ctx, pivots, ctx.avals_in[0], ctx.avals_out[0])


def _geqrf(ctx: Any, x: Any, *, use_magma: Any = None) -> list[Any]:
    aval, taus = ctx.avals_out
    return _call(ctx, "solver", "geqrf_ffi", (x,), (Matrix(aval),), (Matrix(aval), taus), {}, {0: 0})


def _orgqr(ctx: Any, x: Any, aval: Any, taus: Any, taus_aval: Any) -> Any:
    kinds = (Matrix(aval), taus_aval)
    return _call(ctx, "solver", "orgqr_ffi", (x, taus), kinds, (Matrix(aval),), {}, {0: 0})[0]


def _householder_product(ctx: Any, x: Any, taus: Any) -> Any:
    return _orgqr(ctx, x, ctx.avals_in[0], taus, ctx.avals_in[1])


def _ormqr(ctx: Any, x: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> Any:
    aval, taus_aval, c_aval = ctx.avals_in
    config = {"left": ctx.types.boolean(left), "transpose": ctx.types.boolean(transpose)}
    kinds = (Matrix(aval), taus_aval, Matrix(c_aval))
    return _call(ctx, "solver", "ormqr_ffi", (x, taus, c), kinds, (Matrix(c_aval),), config, {0: 2})[0]


_plain_qr = program("algorithms.plain_qr", True)
_plain_svd = program("algorithms.polar_svd", True)


def _magma(ctx: Any, use: bool | None) -> dict[str, Any]:
    return {"magma": ctx.types.string("auto" if use is None else "on" if use else "off")}


def _qr(ctx: Any, x: Any, *, pivoting: bool, full_matrices: bool, use_magma: Any = None) -> list[Any]:
    aval = ctx.avals_in[0]
    _, rows, columns = shapes(aval)
    if pivoting and not min(rows, columns):
        return list(_plain_qr(ctx, x, pivoting=True, full_matrices=full_matrices))
    taus_aval = like(aval, min(rows, columns))
    order: list[Any] = []
    if pivoting:
        pivot_aval = ctx.avals_out[2]
        kinds = (Matrix(aval), pivot_aval)
        packed, pivots, taus = _call(
            ctx, "hybrid", "geqp3", (x, ctx.full(0, pivot_aval)), kinds, (*kinds, taus_aval),
            _magma(ctx, use_magma), {0: 0, 1: 1},
        )  # fmt: skip
        order = [ctx.op("stablehlo.subtract", (pivots, ctx.full(1, pivot_aval)), pivot_aval)]
    else:
        outs = (Matrix(aval), taus_aval)
        packed, taus = _call(ctx, "solver", "geqrf_ffi", (x,), (Matrix(aval),), outs, {}, {0: 0})
    q_aval, r_aval = ctx.avals_out[:2]
    q = _orgqr(ctx, padded_columns(ctx, packed, aval, q_aval.shape[-1]), q_aval, taus, taus_aval)
    r = triangle(ctx, corner(ctx, packed, aval, r_aval.shape[-2], columns), r_aval, lower=False)
    return [q, r, *order]


# Eigenvalues and singular values

_EIGH_ALGORITHMS = {"DEFAULT": 0, "QR": 1, "JACOBI": 2}


def _eigh(
    ctx: Any,
    x: Any,
    *,
    lower: bool,
    sort_eigenvalues: bool = True,
    subset_by_index: Any = None,
    algorithm: Any = None,
) -> list[Any]:
    aval, values = ctx.avals_out
    full_range(ctx, subset_by_index, aval.shape[-1])
    number = _EIGH_ALGORITHMS[check_algorithm(ctx, algorithm, tuple(_EIGH_ALGORITHMS), "GPUs")]
    config = {"lower": ctx.types.boolean(lower), "algorithm": ctx.types.unsigned(number, 8)}
    outs = (Matrix(aval), values, info_of(aval))
    v, w, info = _call(ctx, "solver", "syevd_ffi", (x,), (Matrix(aval),), outs, config, {0: 0})
    return nan_where_failed(ctx, info, aval.shape[:-2], [v, w], [aval, values])


_SVD_ALGORITHMS = {
    "cuda": ("DEFAULT", "QR", "JACOBI", "POLAR"),
    "rocm": ("DEFAULT", "QR", "JACOBI", "POLAR", "DIVIDE_AND_CONQUER"),
}
# Above that many rows or columns the QR iteration is faster; up to that many the Jacobi kernel for batches
# serves, which computes full matrices only.
_LARGEST_FOR_JACOBI, _LARGEST_OF_BATCHES = 1024, 32


def _svd(
    ctx: Any,
    x: Any,
    *,
    full_matrices: bool,
    compute_uv: bool,
    subset_by_index: Any = None,
    algorithm: Any = None,
) -> list[Any]:
    aval = ctx.avals_in[0]
    batch, rows, columns = shapes(aval)
    full_range(ctx, subset_by_index, min(rows, columns))
    if not min(rows, columns):
        return list(_plain_svd(ctx, x, full_matrices=full_matrices, compute_uv=compute_uv))
    name = check_algorithm(ctx, algorithm, _SVD_ALGORITHMS[ctx.platform], f"'{ctx.platform}'")
    if name == "DEFAULT":
        name = "JACOBI" if max(rows, columns) <= _LARGEST_FOR_JACOBI else "QR"
    kernel = {"JACOBI": _gesvdj, "POLAR": _gesvdp, "QR": _gesvd, "DIVIDE_AND_CONQUER": _gesdd}[name]
    s, u, vt, info = kernel(ctx, x, aval, full_matrices, compute_uv)
    return nan_where_failed(ctx, info, batch, [s, u, vt] if compute_uv else [s], ctx.avals_out)


def _singular_values(aval: Any) -> Any:
    from .elementwise import _real_dtype

    dtype = _real_dtype(aval.dtype) if aval.dtype.kind == "c" else aval.dtype
    return ShapedArray((*aval.shape[:-2], min(aval.shape[-2:])), dtype)


def _svd_config(ctx: Any, full: bool, vectors: bool, **more: bool) -> dict[str, Any]:
    flags = {"full_matrices": full, "compute_uv": vectors, **more}
    return {name: ctx.types.boolean(flag) for name, flag in flags.items()}


def _by_v(ctx: Any, routine: str, x: Any, aval: Any, full: bool, vectors: bool, wanted: bool) -> list[Any]:
    """A kernel that gives v, and perhaps more columns than are wanted, instead of its adjoint."""
    _, rows, columns = shapes(aval)
    rank = min(rows, columns)
    u_aval = like(aval, rows, rows if full else rank)
    v_aval = like(aval, columns, columns if full else rank)
    outs = (Matrix(aval), _singular_values(aval), Matrix(u_aval), Matrix(v_aval), info_of(aval))
    config = _svd_config(ctx, full, vectors)
    _, s, u, v, info = _call(ctx, "solver", routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    if not vectors:
        return [s, None, None, info]
    vt, vt_aval = adjoint(ctx, v, v_aval)
    if full and not wanted:
        u, vt = corner(ctx, u, u_aval, rows, rank), corner(ctx, vt, vt_aval, rank, columns)
    return [s, u, vt, info]


def _gesvdj(ctx: Any, x: Any, aval: Any, full: bool, vectors: bool) -> list[Any]:
    small = min(aval.shape[-2:]) <= _LARGEST_OF_BATCHES
    return _by_v(ctx, "gesvdj_ffi", x, aval, full or small, vectors, full)


def _gesvdp(ctx: Any, x: Any, aval: Any, full: bool, vectors: bool) -> list[Any]:
    return _by_v(ctx, "gesvdp_ffi", x, aval, full, vectors, full)


def _gesvd(ctx: Any, x: Any, aval: Any, full: bool, vectors: bool) -> list[Any]:
    """The kernel takes no wide matrices: read by rows, such a one is its transpose."""
    _, rows, columns = shapes(aval)
    rank = min(rows, columns)
    u_aval = like(aval, rows, rows if full else rank)
    vt_aval = like(aval, columns if full else rank, columns)
    values, info_aval = _singular_values(aval), info_of(aval)
    config = _svd_config(ctx, full, vectors, transposed=rows < columns)
    if rows >= columns:
        outs = (Matrix(aval), values, Matrix(u_aval), Matrix(vt_aval), info_aval)
        _, s, u, vt, info = _call(ctx, "solver", "gesvd_ffi", (x,), (Matrix(aval),), outs, config, {0: 0})
        return [s, u, vt, info]
    name = _PREFIXES[ctx.platform]["solver"] + "gesvd_ffi"
    by_rows = (aval, values, vt_aval, u_aval, info_aval)
    _, s, vt, u, info = custom_call(ctx, name, (x,), (aval,), by_rows, config, {0: 0}, batch=aval.ndim - 2)
    return [s, u, vt, info]


def _gesdd(ctx: Any, x: Any, aval: Any, full: bool, vectors: bool) -> list[Any]:
    _, rows, columns = shapes(aval)
    rank = min(rows, columns)
    u_aval = like(aval, rows, rows if full else rank)
    vt_aval = like(aval, columns if full else rank, columns)
    outs = (Matrix(aval), _singular_values(aval), Matrix(u_aval), Matrix(vt_aval), info_of(aval))
    config = _svd_config(ctx, full, vectors, transposed=False)
    _, s, u, vt, info = _call(ctx, "solver", "gesdd_ffi", (x,), (Matrix(aval),), outs, config, {0: 0})
    return [s, u, vt, info]


_EIG_LIBRARIES = {"DEFAULT": None, "LAPACK": False, "MAGMA": True}  # LAPACK runs on the host


def _eig(
    ctx: Any,
    x: Any,
    *,
    compute_left_eigenvectors: bool,
    compute_right_eigenvectors: bool,
    implementation: Any = None,
    enable_eigvec_derivs: bool = False,
    use_magma: Any = None,
) -> list[Any]:
    use = _EIG_LIBRARIES[check_algorithm(ctx, implementation, tuple(_EIG_LIBRARIES), "GPUs")]
    aval, values = ctx.avals_in[0], ctx.avals_out[0]
    vectors = ShapedArray(aval.shape, values.dtype)
    config = {
        **_magma(ctx, use),
        "left": ctx.types.boolean(compute_left_eigenvectors),
        "right": ctx.types.boolean(compute_right_eigenvectors),
    }
    complex_ = aval.dtype.kind == "c"
    parts = [values] if complex_ else [like(aval, aval.shape[-1])] * 2
    outs = (*parts, Matrix(vectors), Matrix(vectors), info_of(aval))
    routine = "eig_comp" if complex_ else "eig_real"
    *spectrum, left, right, info = _call(ctx, "hybrid", routine, (x,), (Matrix(aval),), outs, config)
    results = [spectrum[0] if complex_ else ctx.op("stablehlo.complex", spectrum, values)]
    results += [left] if compute_left_eigenvectors else []
    results += [right] if compute_right_eigenvectors else []
    return nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


# Tridiagonal matrices and symmetric products


def _tridiagonal(ctx: Any, x: Any, *, lower: bool) -> list[Any]:
    aval = ctx.avals_out[0]
    config = {"lower": ctx.types.boolean(lower)}
    outs = (Matrix(aval), *ctx.avals_out[1:], info_of(aval))
    *results, info = _call(ctx, "solver", "sytrd_ffi", (x,), (Matrix(aval),), outs, config, {0: 0})
    return nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _tridiagonal_solve(
    ctx: Any, low: Any, middle: Any, high: Any, b: Any, *, perturb_singular: bool = False
) -> Any:
    side, aval = ctx.avals_in[0], ctx.avals_in[3]
    kinds = (side, side, side, Matrix(aval))
    library, routine, aliases = "sparse", "gtsv2_ffi", {0: 3}
    if perturb_singular:
        library, routine, aliases = "own", "tridiagonal_solve_perturbed", {}
    return _call(ctx, library, routine, (low, middle, high, b), kinds, (Matrix(aval),), {}, aliases)[0]


def _symmetric_product(ctx: Any, a: Any, c: Any, *, alpha: float, beta: float) -> Any:
    """Only CUDA's plugin has the kernel; it reads by rows."""
    aval, out = ctx.avals_in[0], ctx.avals_out[0]
    scalar = ShapedArray((), aval.dtype)
    operands = (a, c, ctx.constant(alpha, aval.dtype), ctx.constant(beta, aval.dtype))
    config = {"transpose": ctx.types.boolean(False)}
    kinds = (aval, out, scalar, scalar)
    return custom_call(ctx, "cusolver_syrk_ffi", operands, kinds, (out,), config, {0: 1})[0]


_TABLE = {
    "cholesky": _cholesky,
    "eig": _eig,
    "eigh": _eigh,
    "geqrf": _geqrf,
    "householder_product": _householder_product,
    "lu": _lu,
    "lu_pivots_to_permutation": _lu_pivots_to_permutation,
    "ormqr": _ormqr,
    "qr": _qr,
    "svd": _svd,
    "tridiagonal": _tridiagonal,
    "tridiagonal_solve": _tridiagonal_solve,
}
register_table(
    {**_TABLE, "cholesky_update": _cholesky_update, "symmetric_product": _symmetric_product}, "cuda"
)
register_table(_TABLE, "rocm")
