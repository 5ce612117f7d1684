"""Matrix decompositions: LAPACK on the CPU, what StableHLO has elsewhere; Fourier transforms.

The conventions of the calls are those of the kernels that jaxlib ships: matrices in column-major
layout over the last two dimensions, any number of batch dimensions in front, an int32 for each
matrix that says whether the routine succeeded. Where it did not, results are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from canter.core.avals import ShapedArray

from ..mlir_door import ir, stablehlo_attributes
from ..registry import register_table
from .control_flow import while_loop
from .elementwise import _real_dtype
from .reductions import reduce_with
from .shapes import broadcast_in_dim, iota, slice_

__all__: list[str] = []

_INT32, _BOOL = np.dtype(np.int32), np.dtype(bool)
_PREFIXES = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
_registered = False


def _register_lapack() -> None:
    """Makes the kernels known to the CPU client, once; they crash unless initialised."""
    global _registered
    if _registered:
        return
    from canter_pjrt import jaxlib_door

    jaxlib_door.lapack.initialize()
    for name, capsule in jaxlib_door.lapack.registrations().items():
        if name.endswith("_ffi"):
            jaxlib_door.register_custom_call_target(name, capsule, platform="cpu", api_version=1)
    _registered = True


class Matrix(NamedTuple):
    """Shape and dtype of an operand or result whose last two dimensions LAPACK reads by columns."""

    aval: Any


def _prefix(ctx: Any, dtype: Any) -> str:
    prefix = _PREFIXES.get(dtype.name)
    if prefix is None:
        raise TypeError(
            f"'{ctx.primitive}' has no kernel for {dtype} on the CPU; convert to one of {', '.join(_PREFIXES)}."
        )
    return prefix


def _layout(ctx: Any, kind: Any) -> Any:
    ndim = (kind.aval if isinstance(kind, Matrix) else kind).ndim
    order = list(range(ndim - 1, -1, -1))
    if isinstance(kind, Matrix):
        order[0], order[1] = order[1], order[0]

    def build() -> Any:
        return ir.DenseIntElementsAttr.get(np.asarray(order, np.int64), type=_index_type(ndim))

    return ctx.types._memo(("layout", tuple(order)), build)


def _index_type(size: int) -> Any:
    return ir.RankedTensorType.get([size], ir.IndexType.get())


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
    _register_lapack()
    first = kinds_in[0].aval if isinstance(kinds_in[0], Matrix) else kinds_in[0]
    target = f"lapack_{_prefix(ctx, first.dtype)}{routine}_ffi"
    return custom_call(ctx, target, operands, kinds_in, kinds_out, config, aliases)


def custom_call(
    ctx: Any,
    target: str,
    operands: Sequence[Any],
    kinds_in: Sequence[Any],
    kinds_out: Sequence[Any],
    config: dict[str, Any] | None = None,
    aliases: dict[int, int] | None = None,
) -> list[Any]:
    """Calls a kernel of XLA's typed foreign-function interface."""
    types = ctx.types
    alias = stablehlo_attributes.OutputOperandAlias.get
    several = len(kinds_out) > 1
    attributes = {
        "call_target_name": types.string(target),
        "api_version": types.integer(4, 32),
        "backend_config": ir.DictAttr.get(config or {}),
        "operand_layouts": ir.ArrayAttr.get([_layout(ctx, kind) for kind in kinds_in]),
        "result_layouts": ir.ArrayAttr.get([_layout(ctx, kind) for kind in kinds_out]),
        "output_operand_aliases": ir.ArrayAttr.get(
            [alias([out] if several else [], operand, []) for out, operand in (aliases or {}).items()]
        ),
    }
    avals = [kind.aval if isinstance(kind, Matrix) else kind for kind in kinds_out]
    return list(ctx.build("stablehlo.custom_call", operands, avals, attributes).results)


def _code(ctx: Any, letter: str) -> Any:
    """A LAPACK option as the kernels take it: the character's code as an unsigned byte."""
    return ctx.types.unsigned(ord(letter), 8)


def _flag(ctx: Any, condition: bool, yes: str, no: str) -> Any:
    return _code(ctx, yes if condition else no)


def _nan_where_failed(
    ctx: Any, info: Any, batch: tuple[int, ...], values: Sequence[Any], avals: Any
) -> list[Any]:
    """NaN instead of the results of matrices for which the routine reported failure."""
    status = ShapedArray(batch, _INT32)
    good = ctx.compare("EQ", info, ctx.full(0, status), status)
    return [_where_batch(ctx, good, batch, x, ctx.full(np.nan, aval), aval) for x, aval in zip(values, avals)]


def _where_batch(ctx: Any, flags: Any, batch: tuple[int, ...], x: Any, y: Any, aval: Any) -> Any:
    if batch:
        flags = broadcast_in_dim(ctx, flags, ShapedArray(aval.shape, _BOOL), range(len(batch)))
    return ctx.op("stablehlo.select", (flags, x, y), aval)


def _shapes(aval: Any) -> tuple[tuple[int, ...], int, int]:
    """Batch dimensions, rows, columns."""
    return aval.shape[:-2], aval.shape[-2], aval.shape[-1]


def _like(aval: Any, *shape: int) -> Any:
    """An array of the batch dimensions of a matrix, and others behind them."""
    return ShapedArray((*aval.shape[:-2], *shape), aval.dtype)


def _info(aval: Any) -> Any:
    return ShapedArray(aval.shape[:-2], _INT32)


def triangle(ctx: Any, x: Any, aval: Any, lower: bool) -> Any:
    """The matrix with zeros outside of one triangle."""
    indices = ShapedArray(aval.shape, _INT32)
    rows, columns = iota(ctx, indices, aval.ndim - 2), iota(ctx, indices, aval.ndim - 1)
    keep = ctx.compare("GE" if lower else "LE", rows, columns, indices)
    return ctx.op("stablehlo.select", (keep, x, ctx.full(0, aval)), aval)


# Cholesky and triangular systems


def _cholesky(ctx: Any, x: Any) -> Any:
    return ctx.op("stablehlo.cholesky", (x,), ctx.avals_out[0], {"lower": ctx.types.boolean(True)})


def _cholesky_cpu(ctx: Any, x: Any) -> Any:
    aval = ctx.avals_out[0]
    outs = (Matrix(aval), _info(aval))
    factor, info = lapack_call(ctx, "potrf", (x,), (Matrix(aval),), outs, {"uplo": _code(ctx, "L")}, {0: 0})
    (factor,) = _nan_where_failed(ctx, info, aval.shape[:-2], [factor], [aval])
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
        return _conj(ctx, a, aval), False
    return a, conjugate_a


def _conj(ctx: Any, x: Any, aval: Any) -> Any:
    if aval.dtype.kind != "c":
        return x
    part = ShapedArray(aval.shape, _real_dtype(aval.dtype))
    real, imaginary = ctx.op("stablehlo.real", (x,), part), ctx.op("stablehlo.imag", (x,), part)
    return ctx.op("stablehlo.complex", (real, ctx.op("stablehlo.negate", (imaginary,), part)), aval)


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
    outs = (Matrix(aval), pivot_aval, _info(aval))
    lu, pivots, info = lapack_call(ctx, "getrf", (x,), (Matrix(aval),), outs, {}, {0: 0})
    pivots = ctx.op("stablehlo.subtract", (pivots, ctx.full(1, pivot_aval)), pivot_aval)
    # A positive status is a zero pivot, which leaves a good decomposition.
    status = _info(aval)
    good = ctx.compare("GE", info, ctx.full(0, status), status)
    lu = _where_batch(ctx, good, aval.shape[:-2], lu, ctx.full(np.nan, aval), aval)
    return [lu, pivots, _permutation(ctx, pivots, pivot_aval, permutation_aval)]


def _permutation(ctx: Any, pivots: Any, pivot_aval: Any, aval: Any) -> Any:
    """The permutation that swaps rows i and pivots[i] one after another make."""
    counter = ShapedArray((), _INT32)
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
        return ctx.compare("LT", state[0], ctx.constant(pivot_aval.shape[-1], _INT32), counter)

    def body(state: list[Any]) -> list[Any]:
        count, permutation = state
        zeros = [ctx.constant(0, _INT32) for _ in batch]
        sizes = {"slice_sizes": ctx.types.ints(one_pivot.shape)}
        pivot = ctx.op("stablehlo.dynamic_slice", (pivots, *zeros, count), one_pivot, sizes)
        pivot = broadcast_in_dim(ctx, ctx.convert(pivot, one_pivot), aval, range(aval.ndim))
        here = broadcast_in_dim(ctx, count, ShapedArray(aval.shape, _INT32), ())
        at_here, at_pivot = ctx.compare("EQ", places, here, aval), ctx.compare("EQ", places, pivot, aval)
        first, second = entry(permutation, at_here), entry(permutation, at_pivot)
        swapped = ctx.op("stablehlo.select", (at_pivot, first, permutation), aval)
        swapped = ctx.op("stablehlo.select", (at_here, second, swapped), aval)
        return [ctx.op("stablehlo.add", (count, ctx.constant(1, _INT32)), counter), swapped]

    return while_loop(ctx, [counter, aval], [ctx.constant(0, _INT32), places], condition, body)[1]


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
    _, rows, columns = _shapes(aval)
    rank = min(rows, columns)
    taus_aval = _like(aval, rank)
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
    q_columns = q_aval.shape[-1]
    if q_columns > columns:
        widths = [(0, 0)] * (aval.ndim - 1) + [(0, q_columns - columns)]
        types = ctx.types
        attributes = {
            "edge_padding_low": types.ints(low for low, _ in widths),
            "edge_padding_high": types.ints(high for _, high in widths),
            "interior_padding": types.ints((0,) * aval.ndim),
        }
        reflectors = ctx.op("stablehlo.pad", (packed, ctx.constant(0, aval.dtype)), q_aval, attributes)
    else:
        reflectors = _corner(ctx, packed, aval, rows, q_columns)
    q = _orgqr(ctx, reflectors, q_aval, taus, taus_aval)
    r = triangle(ctx, _corner(ctx, packed, aval, r_aval.shape[-2], columns), r_aval, lower=False)
    return [q, r] if pivots is None else [q, r, pivots]


def _corner(ctx: Any, x: Any, aval: Any, rows: int, columns: int) -> Any:
    limits = (*aval.shape[:-2], rows, columns)
    return x if limits == aval.shape else slice_(ctx, x, aval, (0,) * aval.ndim, limits)[0]


# Eigenvalues and singular values


def _no_subset(ctx: Any, subset: Any, size: int) -> None:
    if subset is not None and tuple(subset) != (0, size):
        raise NotImplementedError(
            f"'{ctx.primitive}' computes all values on the CPU, not the subset {subset}."
        )


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
    _no_subset(ctx, subset_by_index, aval.shape[-1])
    _check_algorithm(ctx, algorithm, ("QR", "DEFAULT"))
    routine = "heevd" if aval.dtype.kind == "c" else "syevd"
    config = {"mode": _code(ctx, "V"), "uplo": _flag(ctx, lower, "L", "U")}
    outs = (Matrix(aval), values, _info(aval))
    v, w, info = lapack_call(ctx, routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    return _nan_where_failed(ctx, info, aval.shape[:-2], [v, w], [aval, values])


def _check_algorithm(ctx: Any, algorithm: Any, names: Sequence[str]) -> str:
    name = "DEFAULT" if algorithm is None else str(getattr(algorithm, "name", algorithm)).upper()
    if name not in names:
        raise NotImplementedError(
            f"'{ctx.primitive}' has no algorithm {name} on the CPU; it has {', '.join(names)}."
        )
    return name


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
    batch, rows, columns = _shapes(aval)
    rank = min(rows, columns)
    _no_subset(ctx, subset_by_index, rank)
    routine = "gesvd" if _check_algorithm(ctx, algorithm, ("DEFAULT", "QR")) == "QR" else "gesdd"
    wide = full_matrices or not compute_uv
    u_aval = _like(aval, rows, rows if wide else rank)
    vt_aval = _like(aval, columns if wide else rank, columns)
    values = ctx.avals_out[0]
    config = {"mode": _code(ctx, "N" if not compute_uv else "A" if full_matrices else "S")}
    outs = (Matrix(aval), values, Matrix(u_aval), Matrix(vt_aval), _info(aval))
    _, s, u, vt, info = lapack_call(ctx, routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    results = [s, u, vt] if compute_uv else [s]
    return _nan_where_failed(ctx, info, batch, results, ctx.avals_out)


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
    _check_algorithm(ctx, implementation, ("DEFAULT", "LAPACK"))
    aval, values = ctx.avals_in[0], ctx.avals_out[0]
    vectors = ShapedArray(aval.shape, values.dtype)
    config = {
        "compute_left": _flag(ctx, compute_left_eigenvectors, "V", "N"),
        "compute_right": _flag(ctx, compute_right_eigenvectors, "V", "N"),
    }
    parts = [values] if aval.dtype.kind == "c" else [_like(aval, aval.shape[-1])] * 2
    outs = (*parts, Matrix(vectors), Matrix(vectors), _info(aval))
    *spectrum, left, right, info = lapack_call(ctx, "geev", (x,), (Matrix(aval),), outs, config)
    w = spectrum[0] if len(spectrum) == 1 else ctx.op("stablehlo.complex", spectrum, values)
    results = [w]
    results += [left] if compute_left_eigenvectors else []
    results += [right] if compute_right_eigenvectors else []
    return _nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _schur_cpu(
    ctx: Any, x: Any, *, compute_schur_vectors: bool, sort_eig_vals: bool = False, select_callable: Any = None
) -> list[Any]:
    if sort_eig_vals or select_callable is not None:
        raise NotImplementedError("schur cannot order the eigenvalues.")
    aval = ctx.avals_in[0]
    values = _like(aval, aval.shape[-1])
    config = {"mode": _flag(ctx, compute_schur_vectors, "V", "N"), "sort": _code(ctx, "N")}
    parts = [values] if aval.dtype.kind == "c" else [values, values]
    outs = (Matrix(aval), Matrix(aval), *parts, _info(aval), _info(aval))
    t, vectors, *_, info = lapack_call(ctx, "gees", (x,), (Matrix(aval),), outs, config, {0: 0})
    results = [t, vectors] if compute_schur_vectors else [t]
    return _nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _hessenberg_cpu(ctx: Any, x: Any) -> list[Any]:
    aval, taus = ctx.avals_out
    config = {"low": ctx.types.integer(1, 32), "high": ctx.types.integer(aval.shape[-1], 32)}
    outs = (Matrix(aval), taus, _info(aval))
    a, tau, info = lapack_call(ctx, "gehrd", (x,), (Matrix(aval),), outs, config, {0: 0})
    return _nan_where_failed(ctx, info, aval.shape[:-2], [a, tau], [aval, taus])


def _tridiagonal_cpu(ctx: Any, x: Any, *, lower: bool) -> list[Any]:
    aval = ctx.avals_out[0]
    routine = "hetrd" if aval.dtype.kind == "c" else "sytrd"
    config = {"uplo": _flag(ctx, lower, "L", "U")}
    outs = (Matrix(aval), *ctx.avals_out[1:], _info(aval))
    *results, info = lapack_call(ctx, routine, (x,), (Matrix(aval),), outs, config, {0: 0})
    return _nan_where_failed(ctx, info, aval.shape[:-2], results, ctx.avals_out)


def _tridiagonal_solve_cpu(
    ctx: Any, low: Any, middle: Any, high: Any, b: Any, *, perturb_singular: bool = False
) -> Any:
    """The off-diagonals are as long as the diagonal; the first of `low` and the last of `high` are not read."""
    side, aval = ctx.avals_in[0], ctx.avals_in[3]
    kinds = (side, side, side, Matrix(aval))
    if perturb_singular:
        _register_lapack()
        name = "tridiagonal_solve_perturbed_ffi"
        return custom_call(ctx, name, (low, middle, high, b), kinds, (Matrix(aval),))[0]
    outs = (*kinds, _info(aval))
    aliases = {index: index for index in range(4)}
    *_, x, info = lapack_call(ctx, "gtsv", (low, middle, high, b), kinds, outs, {}, aliases)
    return _nan_where_failed(ctx, info, aval.shape[:-2], [x], [aval])[0]


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
