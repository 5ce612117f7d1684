"""Matrix decompositions on the CPU, through LAPACK, and by plain programs elsewhere; Fourier transforms.

`linalg_gpu` and `linalg_tpu` have the kernels of those platforms.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray
from canter.core.dimensions import min_dim

from ..mlir_door import stablehlo_attributes
from ..registry import Rule, lower_fun, register_table
from .control_flow import while_loop
from .elementwise import _real_dtype
from .kernels import (
    INT32,
    Matrix,
    all_nan,
    check_algorithm,
    conj,
    corner,
    custom_call,
    full_range,
    info_of,
    like,
    nan_where_failed,
    padded_columns,
    shapes,
    size_constant,
    triangle,
    where_batch,
    with_real_diagonal,
)
from .reductions import reduce_with
from .shapes import broadcast_in_dim, iota

__all__ = ["lapack_call", "register_lapack"]

_PREFIXES = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
_registered = False


def register_lapack() -> None:
    """Makes the kernels known to the CPU client, once; they crash unless initialised."""
    global _registered
    if _registered:
        return
    from canter_pjrt import jaxlib_door

    jaxlib_door.lapack.initialize()
    for name, capsule in jaxlib_door.lapack.registrations().items():
        if name.endswith("_ffi"):
            jaxlib_door.register_custom_call_target(name, capsule, platform="cpu", api_version=1)
            # Batches that are spread over devices stay so: each has matrices of its own to decompose.
            jaxlib_door.register_custom_call_as_batch_partitionable(name)
    _registered = True


def _prefix(ctx: Any, dtype: Any) -> str:
    prefix = _PREFIXES.get(dtype.name)
    if prefix is None:
        raise NotImplementedError(
            f"'{ctx.primitive}' has no kernel for {dtype} on the CPU; convert to one of {', '.join(_PREFIXES)}."
        )
    return prefix


def lapack_call(
    ctx: Any,
    routine: str,
    operands: Sequence[Any],
    kinds_in: Sequence[Any],
    kinds_out: Sequence[Any],
    config: dict[str, Any] | None = None,
    aliases: dict[int, int] | None = None,
) -> list[Any]:
    """Calls a LAPACK kernel.

    Args:
      routine: its name without prefix and suffix, or for complex numbers other than for real ones
        the caller's choice.
      kinds_in, kinds_out: an aval, or `Matrix(aval)`, for each operand and result.
      config: attributes of the call.
      aliases: result -> operand whose memory it takes over.
    """
    register_lapack()
    first = kinds_in[0]
    own = 2 if isinstance(first, Matrix) else 1
    aval = first.aval if isinstance(first, Matrix) else first
    target = f"lapack_{_prefix(ctx, aval.dtype)}{routine}_ffi"
    return custom_call(ctx, target, operands, kinds_in, kinds_out, config, aliases, batch=aval.ndim - own)


def _code(ctx: Any, letter: str) -> Any:
    """A LAPACK option as the kernels take it: the character's code as an unsigned byte."""
    return ctx.types.unsigned(ord(letter), 8)


def _flag(ctx: Any, condition: bool, yes: str, no: str) -> Any:
    return _code(ctx, yes if condition else no)


# Cholesky and triangular systems


def _cholesky(ctx: Any, x: Any) -> Any:
    aval = ctx.avals_out[0]
    if aval.dtype.kind == "c":
        x = with_real_diagonal(ctx, x, aval)
    return ctx.op("stablehlo.cholesky", (x,), aval, {"lower": ctx.types.boolean(True)})


def _cholesky_cpu(ctx: Any, x: Any) -> Any:
    aval = ctx.avals_out[0]
    outs = (Matrix(aval), info_of(aval))
    factor, info = lapack_call(ctx, "potrf", (x,), (Matrix(aval),), outs, {"uplo": _code(ctx, "L")}, {0: 0})
    (factor,) = nan_where_failed(ctx, info, aval.shape[:-2], [factor], [aval])
    return triangle(ctx, factor, aval, lower=True)


def _triangular_solve(
    ctx: Any,
    a: Any,
    b: Any,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Any:
    a, conjugate_a = _conjugated(ctx, a, transpose_a, conjugate_a)
    mode = ("ADJOINT" if conjugate_a else "TRANSPOSE") if transpose_a else "NO_TRANSPOSE"
    types = ctx.types
    attributes = {
        "left_side": types.boolean(left_side),
        "lower": types.boolean(lower),
        "unit_diagonal": types.boolean(unit_diagonal),
        "transpose_a": stablehlo_attributes.TransposeAttr.get(mode),
    }
    return ctx.op("stablehlo.triangular_solve", (a, b), ctx.avals_out[0], attributes)


def _conjugated(ctx: Any, a: Any, transpose_a: bool, conjugate_a: bool) -> tuple[Any, bool]:
    """Conjugates the matrix where the solver cannot: it conjugates only what it transposes."""
    aval = ctx.avals_in[0]
    if aval.dtype.kind != "c":
        return a, False
    if conjugate_a and not transpose_a:
        return conj(ctx, a, aval), False
    return a, conjugate_a


def _triangular_solve_cpu(
    ctx: Any,
    a: Any,
    b: Any,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Any:
    if ctx.avals_in[0].dtype.name not in _PREFIXES:
        options = {"transpose_a": transpose_a, "conjugate_a": conjugate_a, "unit_diagonal": unit_diagonal}
        return _triangular_solve(ctx, a, b, left_side=left_side, lower=lower, **options)
    a, conjugate_a = _conjugated(ctx, a, transpose_a, conjugate_a)
    config = {
        "side": _flag(ctx, left_side, "L", "R"),
        "uplo": _flag(ctx, lower, "L", "U"),
        "diag": _flag(ctx, unit_diagonal, "U", "N"),
        "trans_x": _code(ctx, ("C" if conjugate_a else "T") if transpose_a else "N"),
    }
    kinds = [Matrix(aval) for aval in ctx.avals_in]
    return lapack_call(ctx, "trsm", (a, b), kinds, [Matrix(ctx.avals_out[0])], config, {0: 1})[0]


# LU


def _lu_cpu(ctx: Any, x: Any) -> list[Any]:
    aval, pivot_aval, permutation_aval = ctx.avals_out
    outs = (Matrix(aval), pivot_aval, info_of(aval))
    lu, pivots, info = lapack_call(ctx, "getrf", (x,), (Matrix(aval),), outs, {}, {0: 0})
    pivots = ctx.op("stablehlo.subtract", (pivots, ctx.full(1, pivot_aval)), pivot_aval)
    # A positive status is a zero pivot, which leaves a good decomposition.
    status = info_of(aval)
    good = ctx.compare("GE", info, ctx.full(0, status), status)
    lu = where_batch(ctx, good, aval.shape[:-2], lu, all_nan(ctx, aval), aval)
    return [lu, pivots, _permutation(ctx, pivots, pivot_aval, permutation_aval)]


def _permutation(ctx: Any, pivots: Any, pivot_aval: Any, aval: Any) -> Any:
    """The permutation that swaps rows i and pivots[i] one after another make."""
    counter = ShapedArray((), INT32)
    last = aval.ndim - 1
    places = iota(ctx, aval, last)
    one_pivot = ShapedArray((*pivot_aval.shape[:-1], 1), pivot_aval.dtype)
    batch = range(last)
    if pivot_aval.size == 0:
        return places

    def entry(permutation: Any, at: Any) -> Any:
        """The entries where the flags hold (one a row), repeated along the row."""
        picked = ctx.op("stablehlo.select", (at, permutation, ctx.full(0, aval)), aval)
        total = ShapedArray(aval.shape[:-1], aval.dtype)
        return broadcast_in_dim(
            ctx, reduce_with(ctx, "stablehlo.add", picked, 0, (last,), total), aval, batch
        )

    def condition(state: list[Any]) -> Any:
        return ctx.compare("LT", state[0], size_constant(ctx, pivot_aval.shape[-1]), counter)

    def body(state: list[Any]) -> list[Any]:
        count, permutation = state
        zeros = [ctx.constant(0, INT32) for _ in batch]
        sizes = {"slice_sizes": ctx.types.ints(one_pivot.shape)}
        pivot = ctx.op("stablehlo.dynamic_slice", (pivots, *zeros, count), one_pivot, sizes)
        pivot = broadcast_in_dim(ctx, ctx.convert(pivot, one_pivot), aval, range(aval.ndim))
        here = broadcast_in_dim(ctx, count, ShapedArray(aval.shape, INT32), ())
        at_here, at_pivot = ctx.compare("EQ", places, here, aval), ctx.compare("EQ", places, pivot, aval)
        first, second = entry(permutation, at_here), entry(permutation, at_pivot)
        swapped = ctx.op("stablehlo.select", (at_pivot, first, permutation), aval)
        swapped = ctx.op("stablehlo.select", (at_here, second, swapped), aval)
        return [ctx.op("stablehlo.add", (count, ctx.constant(1, INT32)), counter), swapped]

    return while_loop(ctx, [counter, aval], [ctx.constant(0, INT32), places], condition, body)[1]


def _lu_pivots_to_permutation(ctx: Any, pivots: Any, *, permutation_size: int) -> Any:
    return _permutation(ctx, pivots, ctx.avals_in[0], ctx.avals_out[0])


# QR


def _geqrf_cpu(ctx: Any, x: Any, *, use_magma: Any = None) -> list[Any]:
    aval, taus = ctx.avals_out
    return lapack_call(ctx, "geqrf", (x,), (Matrix(aval),), (Matrix(aval), taus), {}, {0: 0})


def _geqp3_cpu(ctx: Any, x: Any, pivots: Any, *, use_magma: Any = None) -> list[Any]:
    aval, pivot_aval, taus = ctx.avals_out
    outs = (Matrix(aval), pivot_aval, taus)
    return lapack_call(ctx, "geqp3", (x, pivots), (Matrix(aval), pivot_aval), outs, {}, {0: 0, 1: 1})


def _orgqr(ctx: Any, x: Any, aval: Any, taus: Any, taus_aval: Any) -> Any:
    routine = "ungqr" if aval.dtype.kind == "c" else "orgqr"
    return lapack_call(ctx, routine, (x, taus), (Matrix(aval), taus_aval), (Matrix(aval),), {}, {0: 0})[0]


def _householder_product_cpu(ctx: Any, x: Any, taus: Any) -> Any:
    aval, taus_aval = ctx.avals_in
    return _orgqr(ctx, x, aval, taus, taus_aval)


def _ormqr_cpu(ctx: Any, x: Any, taus: Any, c: Any, *, left: bool, transpose: bool) -> Any:
    aval, taus_aval, c_aval = ctx.avals_in
    routine = "unmqr" if aval.dtype.kind == "c" else "ormqr"
    config = {"left": ctx.types.boolean(left), "transpose": ctx.types.boolean(transpose)}
    kinds = (Matrix(aval), taus_aval, Matrix(c_aval))
    return lapack_call(ctx, routine, (x, taus, c), kinds, (Matrix(c_aval),), config, {0: 2})[0]


def _qr_cpu(ctx: Any, x: Any, *, pivoting: bool, full_matrices: bool, use_magma: Any = None) -> list[Any]:
    aval = ctx.avals_in[0]
    _, rows, columns = shapes(aval)
    rank = min_dim(rows, columns)
    if pivoting and not rank:  # LAPACK divides by the number of rows
        return list(_qr_program(ctx, x, pivoting=True, full_matrices=full_matrices))
    taus_aval = like(aval, rank)
    pivots: Any = None
    outs: tuple[Any, ...]
    if pivoting:
        pivot_aval = ctx.avals_out[2]
        start = ctx.full(0, pivot_aval)
        outs = (Matrix(aval), pivot_aval, taus_aval)
        packed, pivots, taus = lapack_call(
            ctx, "geqp3", (x, start), (Matrix(aval), pivot_aval), outs, {}, {0: 0, 1: 1}
        )
        pivots = ctx.op("stablehlo.subtract", (pivots, ctx.full(1, pivot_aval)), pivot_aval)
    else:
        outs = (Matrix(aval), taus_aval)
        packed, taus = lapack_call(ctx, "geqrf", (x,), (Matrix(aval),), outs, {}, {0: 0})
    q_aval, r_aval = ctx.avals_out[:2]
    reflectors = padded_columns(ctx, packed, aval, q_aval.shape[-1])
    q = _orgqr(ctx, reflectors, q_aval, taus, taus_aval)
    r = triangle(ctx, corner(ctx, packed, aval, r_aval.shape[-2], columns), r_aval, lower=False)
    return [q, r] if pivots is None else [q, r, pivots]


# Eigenvalues and singular values


def _eigh_cpu(
    ctx: Any,
    x: Any,
    *,
    lower: bool,
    sort_eigenvalues: bool = True,
    subset_by_index: Any = None,
    algorithm: Any = None,
) -> list[Any]:
    """LAPACK gives eigenvalues in ascending order."""
    aval, values = ctx.avals_out
    full_range(ctx, subset_by_index, aval.shape[-1])
    check_algorithm(ctx, algorithm, ("QR", "DEFAULT"), "the CPU")
    routine = "heevd" if aval.dtype.kind == "c" else "syevd"
    config = {"mode": _code(ctx, "V"), "uplo": _flag(ctx, lower, "L", "U")}
    outs = (Matrix(aval), values, info_of(aval))
    v, w, info = lapack_call(ctx, routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    return nan_where_failed(ctx, info, aval.shape[:-2], [v, w], [aval, values])


def _count_infinities(ctx: Any, x: Any, aval: Any) -> Any:
    """How many elements of each matrix are not finite."""
    real = ShapedArray(aval.shape, _real_dtype(aval.dtype) if aval.dtype.kind == "c" else aval.dtype)
    finite = ctx.op(
        "stablehlo.is_finite", (ctx.op("stablehlo.abs", (x,), real),), real.update(dtype=np.dtype(bool))
    )
    counts = ShapedArray(aval.shape, INT32)
    found = ctx.op("stablehlo.select", (finite, ctx.full(0, counts), ctx.full(1, counts)), counts)
    return reduce_with(ctx, "stablehlo.add", found, 0, (aval.ndim - 2, aval.ndim - 1), info_of(aval))


def _svd_cpu(
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
    rank = min_dim(rows, columns)
    full_range(ctx, subset_by_index, rank)
    if not rank:
        return list(_svd_program(ctx, x, full_matrices=full_matrices, compute_uv=compute_uv))
    names = ("DEFAULT", "QR", "DIVIDE_AND_CONQUER")
    routine = "gesvd" if check_algorithm(ctx, algorithm, names, "the CPU") == "QR" else "gesdd"
    u_aval = like(aval, rows, rows if full_matrices else rank)
    vt_aval = like(aval, columns if full_matrices else rank, columns)
    values = ctx.avals_out[0]
    config = {"mode": _code(ctx, "N" if not compute_uv else "A" if full_matrices else "S")}
    outs = (Matrix(aval), values, Matrix(u_aval), Matrix(vt_aval), info_of(aval))
    strange = _count_infinities(ctx, x, aval)
    x = nan_where_failed(ctx, strange, batch, [x], [aval])[0]  # infinities keep LAPACK busy forever
    _, s, u, vt, info = lapack_call(ctx, routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    results = [s, u, vt] if compute_uv else [s]
    return nan_where_failed(ctx, info, batch, results, ctx.avals_out)


def _eig_cpu(
    ctx: Any,
    x: Any,
    *,
    compute_left_eigenvectors: bool,
    compute_right_eigenvectors: bool,
    implementation: Any = None,
    enable_eigvec_derivs: bool = False,
    use_magma: Any = None,
) -> list[Any]:
    if implementation is not None and implementation.name != "LAPACK":
        raise ValueError(f"'eig' has only the LAPACK implementation on the CPU, not {implementation.name}.")
    aval, values = ctx.avals_in[0], ctx.avals_out[0]
    vectors = ShapedArray(aval.shape, values.dtype)
    config = {
        "compute_left": _flag(ctx, compute_left_eigenvectors, "V", "N"),
        "compute_right": _flag(ctx, compute_right_eigenvectors, "V", "N"),
    }
    parts = [values] if aval.dtype.kind == "c" else [like(aval, aval.shape[-1])] * 2
    outs = (*parts, Matrix(vectors), Matrix(vectors), info_of(aval))
    *spectrum, left, right, info = lapack_call(ctx, "geev", (x,), (Matrix(aval),), outs, config)
    w = spectrum[0] if len(spectrum) == 1 else ctx.op("stablehlo.complex", spectrum, values)
    results = [w]
    results += [left] if compute_left_eigenvectors else []
    results += [right] if compute_right_eigenvectors else []
    return nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _schur_cpu(
    ctx: Any, x: Any, *, compute_schur_vectors: bool, sort_eig_vals: bool = False, select_callable: Any = None
) -> list[Any]:
    if sort_eig_vals or select_callable is not None:
        raise NotImplementedError("schur cannot order the eigenvalues.")
    aval = ctx.avals_in[0]
    values = like(aval, aval.shape[-1])
    config = {"mode": _flag(ctx, compute_schur_vectors, "V", "N"), "sort": _code(ctx, "N")}
    parts = [values] if aval.dtype.kind == "c" else [values, values]
    outs = (Matrix(aval), Matrix(aval), *parts, info_of(aval), info_of(aval))
    t, vectors, *_, info = lapack_call(ctx, "gees", (x,), (Matrix(aval),), outs, config, {0: 0})
    results = [t, vectors] if compute_schur_vectors else [t]
    return nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _hessenberg_cpu(ctx: Any, x: Any) -> list[Any]:
    aval, taus = ctx.avals_out
    config = {"low": ctx.types.integer(1, 32), "high": ctx.types.integer(aval.shape[-1], 32)}
    outs = (Matrix(aval), taus, info_of(aval))
    a, tau, info = lapack_call(ctx, "gehrd", (x,), (Matrix(aval),), outs, config, {0: 0})
    return nan_where_failed(ctx, info, aval.shape[:-2], [a, tau], [aval, taus])


def _tridiagonal_cpu(ctx: Any, x: Any, *, lower: bool) -> list[Any]:
    aval = ctx.avals_out[0]
    routine = "hetrd" if aval.dtype.kind == "c" else "sytrd"
    config = {"uplo": _flag(ctx, lower, "L", "U")}
    outs = (Matrix(aval), *ctx.avals_out[1:], info_of(aval))
    *results, info = lapack_call(ctx, routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    return nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _tridiagonal_solve_cpu(
    ctx: Any, low: Any, middle: Any, high: Any, b: Any, *, perturb_singular: bool = False
) -> Any:
    """The off-diagonals are as long as the diagonal; the first of `low` and the last of `high` are not read."""
    side, aval = ctx.avals_in[0], ctx.avals_in[3]
    kinds = (side, side, side, Matrix(aval))
    if perturb_singular:
        register_lapack()
        name = "tridiagonal_solve_perturbed_ffi"
        results = (Matrix(aval),)
        return custom_call(ctx, name, (low, middle, high, b), kinds, results, batch=side.ndim - 1)[0]
    outs = (*kinds, info_of(aval))
    aliases = {index: index for index in range(4)}
    *_, x, info = lapack_call(ctx, "gtsv", (low, middle, high, b), kinds, outs, {}, aliases)
    return nan_where_failed(ctx, info, aval.shape[:-2], [x], [aval])[0]


def _symmetric_product(ctx: Any, a: Any, c: Any, *, alpha: float, beta: float) -> Any:
    """alpha a aᵀ + beta c"""
    aval, out = ctx.avals_in[0], ctx.avals_out[0]
    batch = list(range(aval.ndim - 2))
    numbers = stablehlo_attributes.DotDimensionNumbers.get(batch, batch, [aval.ndim - 1], [aval.ndim - 1])
    product = ctx.op("stablehlo.dot_general", (a, a), out, {"dot_dimension_numbers": numbers})
    scaled = ctx.op("stablehlo.multiply", (product, ctx.full(alpha, out)), out)
    return ctx.op("stablehlo.add", (scaled, ctx.op("stablehlo.multiply", (c, ctx.full(beta, out)), out)), out)


# Fourier transforms

_TRANSFORMS = {0: "FFT", 1: "IFFT", 2: "RFFT", 3: "IRFFT"}


def _fft(ctx: Any, x: Any, *, fft_type: Any, fft_lengths: Any) -> Any:
    """XLA transforms the last one to three dimensions at once; more are transformed by turns."""
    if not fft_lengths:
        return x
    if len(fft_lengths) > 3:
        raise NotImplementedError("fft transforms up to 3 dimensions at a time.")
    kind = _TRANSFORMS[int(getattr(fft_type, "value", fft_type))]
    attributes = {
        "fft_type": stablehlo_attributes.FftTypeAttr.get(kind),
        "fft_length": ctx.types.ints(fft_lengths),
    }
    return ctx.op("stablehlo.fft", (x,), ctx.avals_out[0], attributes)


def program(name: str, multiple_results: bool) -> Rule:
    """The rule that lowers a program of `canter.lax`, `module.function`, for batches of matrices."""
    module, function = name.split(".")

    def batch(*operands: Any, **params: Any) -> Any:
        from canter.lax.linalg_algorithms import batched

        body = getattr(importlib.import_module(f"canter.lax.linalg_{module}"), function)
        first = 1 if function == "solve_tridiagonal" else 2
        return batched(lambda *xs: body(*xs, **params), first, *operands)

    return lower_fun(batch, multiple_results)


def _solve_tridiagonal(ctx: Any, *operands: Any, perturb_singular: bool = False) -> Any:
    if perturb_singular:
        raise NotImplementedError("'tridiagonal_solve' with perturb_singular=True needs a CPU or a GPU.")
    return _solve_tridiagonal_program(ctx, *operands)


def _geqrf(ctx: Any, x: Any, *, use_magma: Any = None) -> Any:
    return _geqrf_program(ctx, x)


_solve_tridiagonal_program = program("algorithms.solve_tridiagonal", False)
_svd_program = program("algorithms.polar_svd", True)
_qr_program = program("algorithms.plain_qr", True)
_geqrf_program = program("algorithms.householder_qr", True)

register_table(
    {
        "cholesky_update": program("algorithms.update_cholesky", False),
        "geqrf": _geqrf,
        "hessenberg": program("algorithms.hessenberg", True),
        "householder_product": program("algorithms.leading_columns", False),
        "lu": program("algorithms.plain_lu", True),
        "ormqr": program("algorithms.apply_reflectors", False),
        "qr": _qr_program,
        "schur": program("iterations.plain_schur", True),
        "eig": program("iterations.plain_eig", True),
        "tridiagonal": program("algorithms.tridiagonal", True),
        "tridiagonal_solve": _solve_tridiagonal,
    }
)
register_table(
    {
        "cholesky": _cholesky,
        "triangular_solve": _triangular_solve,
        "lu_pivots_to_permutation": _lu_pivots_to_permutation,
        "symmetric_product": _symmetric_product,
        "fft": _fft,
    }
)
register_table(
    {
        "cholesky": _cholesky_cpu,
        "triangular_solve": _triangular_solve_cpu,
        "lu": _lu_cpu,
        "geqrf": _geqrf_cpu,
        "geqp3": _geqp3_cpu,
        "householder_product": _householder_product_cpu,
        "ormqr": _ormqr_cpu,
        "qr": _qr_cpu,
        "eigh": _eigh_cpu,
        "svd": _svd_cpu,
        "eig": _eig_cpu,
        "schur": _schur_cpu,
        "hessenberg": _hessenberg_cpu,
        "tridiagonal": _tridiagonal_cpu,
        "tridiagonal_solve": _tridiagonal_solve_cpu,
    },
    platform="cpu",
)
