"""Matrix decompositions on TPUs: what XLA's compiler for them knows by name, and plain programs for the rest."""

from __future__ import annotations

from typing import Any

from ..registry import register_table
from .kernels import (
    check_algorithm,
    corner,
    full_range,
    like,
    old_custom_call,
    padded_columns,
    shapes,
    triangle,
)
from .linalg import program

__all__: list[str] = []


def _place(ctx: Any) -> str:
    return "TPUs" if ctx.platform == "tpu" else f"platform '{ctx.platform}'"


def _lu(ctx: Any, x: Any) -> list[Any]:
    return old_custom_call(ctx, "LuDecomposition", (x,), ctx.avals_out, version=2)


def _geqrf(ctx: Any, x: Any, *, use_magma: Any = None) -> list[Any]:
    return old_custom_call(ctx, "Qr", (x,), ctx.avals_out)


def _householder_product(ctx: Any, x: Any, taus: Any) -> Any:
    return old_custom_call(ctx, "ProductOfElementaryHouseholderReflectors", (x, taus), ctx.avals_out)[0]


_pivoted_qr = program("algorithms.plain_qr", True)


def _qr(ctx: Any, x: Any, *, pivoting: bool, full_matrices: bool, use_magma: Any = None) -> list[Any]:
    aval = ctx.avals_in[0]
    if pivoting:
        return list(_pivoted_qr(ctx, x, pivoting=True, full_matrices=full_matrices))
    _, rows, columns = shapes(aval)
    packed, taus = old_custom_call(ctx, "Qr", (x,), (aval, like(aval, min(rows, columns))))
    q_aval, r_aval = ctx.avals_out
    reflectors = padded_columns(ctx, packed, aval, q_aval.shape[-1])
    name = "ProductOfElementaryHouseholderReflectors"
    (q,) = old_custom_call(ctx, name, (reflectors, taus), (q_aval,))
    return [q, triangle(ctx, corner(ctx, packed, aval, r_aval.shape[-2], columns), r_aval, lower=False)]


def _eigh(
    ctx: Any,
    x: Any,
    *,
    lower: bool,
    sort_eigenvalues: bool = True,
    subset_by_index: Any = None,
    algorithm: Any = None,
) -> list[Any]:
    """Jacobi rotations: at most 100 sweeps, until what they rotate away is below 1e-6 of the rest.

    To 64-bit numbers a step of refinement gives their other digits.
    """
    aval = ctx.avals_out[0]
    full_range(ctx, subset_by_index, aval.shape[-1])
    name = check_algorithm(ctx, algorithm, ("DEFAULT", "JACOBI", "QDWH"), _place(ctx))
    if (
        name == "QDWH" and aval.shape[-1] > 256
    ):  # up to that size divide and conquer ends in rotations at once
        raise NotImplementedError(
            f"'eigh' has QDWH for matrices of at most 256 rows, got shape {aval.shape}; leave it to the backend."
        )
    v, w = old_custom_call(ctx, "Eigh", (x,), ctx.avals_out, f"{lower:d},{sort_eigenvalues:d},100,1e-6")
    if aval.dtype.name in ("float64", "complex128") and aval.shape[-1] > 1:
        return list(_refined_eigh(ctx.replace(avals_in=(ctx.avals_in[0], aval)), x, v, lower=lower))
    return [v, w]


_refined_eigh = program("algorithms.refined_eigh", True)
_polar_svd = program("algorithms.polar_svd", True)


def _svd(
    ctx: Any,
    x: Any,
    *,
    full_matrices: bool,
    compute_uv: bool,
    subset_by_index: Any = None,
    algorithm: Any = None,
) -> list[Any]:
    full_range(ctx, subset_by_index, min(ctx.avals_in[0].shape[-2:]))
    check_algorithm(ctx, algorithm, ("DEFAULT", "POLAR"), _place(ctx))
    return list(_polar_svd(ctx, x, full_matrices=full_matrices, compute_uv=compute_uv))


_BY_COMPILER: dict[str, Any] = {"eigh": _eigh, "svd": _svd}
register_table(_BY_COMPILER)  # for platforms of plugins that nobody knows: no library of theirs is called
register_table(
    {
        **_BY_COMPILER,
        "geqrf": _geqrf,
        "householder_product": _householder_product,
        "lu": _lu,
        "qr": _qr,
    },
    platform="tpu",
)
