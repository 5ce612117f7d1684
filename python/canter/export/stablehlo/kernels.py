"""Custom calls: those whose targets have a meaning that Canter knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from canter import lax
from canter.lax import linalg
from canter_mlir.reading import Operation

from . import randomness, windows
from .elementwise import RULES as ELEMENTWISE
from .evaluation import Rule, UnsupportedOperation, static
from .reflectors import geqrf, householder_product

__all__ = ["RULES", "configuration", "targets"]


def configuration(op: Operation) -> dict[str, Any]:
    """The attributes that a call gives its kernel, wherever they are written."""
    for name in ("backend_config", "mhlo.backend_config", "mhlo.attributes"):
        value = op.attributes.get(name)
        if isinstance(value, dict) and value:
            return value
    return {}


def _option(op: Operation, name: str) -> str:
    """A LAPACK option, which travels as the code of its letter."""
    return chr(configuration(op)[name])


def _fine(op: Operation, x: Any, own: int = 2) -> Any:
    """The status of kernels that worked: lax marks what failed with NaNs."""
    return lax.full(x.shape[: x.ndim - own], 0, np.int32)


# --- LAPACK ---------------------------------------------------------------------------------------


def _getrf(run: Any, op: Operation, x: Any) -> Any:
    lu, pivots, _ = linalg.lu(x)
    return [lu, lax.add(pivots, lax.full_like(pivots, 1)), _fine(op, x)]


def _potrf(run: Any, op: Operation, x: Any) -> Any:
    if _option(op, "uplo") == "L":
        factor = linalg.cholesky(x, symmetrize_input=False)
    else:
        factor = _adjoint(linalg.cholesky(_adjoint(x), symmetrize_input=False))
    return [factor, _fine(op, x)]


def _adjoint(x: Any) -> Any:
    swapped = lax.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
    return lax.conj(swapped) if x.dtype.kind == "c" else swapped


def _geqrf(run: Any, op: Operation, x: Any) -> Any:
    return list(geqrf(x))


def _geqp3(run: Any, op: Operation, x: Any, start: Any) -> Any:
    """With pivots: the decomposition of the matrix whose columns are in the order of the pivots."""
    *_, order = linalg.qr(lax.stop_gradient(x), pivoting=True, full_matrices=False)
    places = lax.broadcast_in_dim(order, x.shape, (*range(x.ndim - 2), x.ndim - 1))
    from canter.numpy import take_along_axis

    packed, taus = geqrf(take_along_axis(x, places, -1))
    return [packed, lax.add(order, lax.full_like(order, 1)), taus]


def _orgqr(run: Any, op: Operation, x: Any, taus: Any) -> Any:
    return householder_product(x, taus)


def _ormqr(run: Any, op: Operation, x: Any, taus: Any, c: Any) -> Any:
    config = configuration(op)
    return linalg.ormqr(x, taus, c, left=config["left"], transpose=config["transpose"])


def _syevd(run: Any, op: Operation, x: Any) -> Any:
    config = configuration(op)
    lower = config["lower"] if "lower" in config else _option(op, "uplo") == "L"
    vectors, values = linalg.eigh(x, lower=lower, symmetrize_input=False)
    return [vectors, values, _fine(op, x)]


def _gesdd(run: Any, op: Operation, x: Any) -> Any:
    mode = _option(op, "mode")
    u_type, vt_type = op.results[2].type, op.results[3].type
    if mode == "N":
        s = linalg.svd(x, full_matrices=False, compute_uv=False)
        return [x, s, *(lax.full(kind.shape, 0, kind.dtype) for kind in (u_type, vt_type)), _fine(op, x)]
    u, s, vt = linalg.svd(x, full_matrices=mode == "A")
    return [x, s, u, vt, _fine(op, x)]


def _geev(run: Any, op: Operation, x: Any) -> Any:
    wanted = [_option(op, f"compute_{side}") == "V" for side in ("left", "right")]
    found = linalg.eig(x, compute_left_eigenvectors=wanted[0], compute_right_eigenvectors=wanted[1])
    values, vectors = found[0], iter(found[1:])
    shape = op.results[-2].type
    sides = [next(vectors) if yes else lax.full(shape.shape, 0, shape.dtype) for yes in wanted]
    parts = [values] if x.dtype.kind == "c" else [lax.real(values), lax.imag(values)]
    return [*parts, *sides, _fine(op, x)]


def _gees(run: Any, op: Operation, x: Any) -> Any:
    """The eigenvalues of a real Schur form are those of its blocks, whose diagonals are constant."""
    from canter import numpy as cnp

    t, z = linalg.schur(x, compute_schur_vectors=True)
    values = cnp.diagonal(t, axis1=-2, axis2=-1)
    parts = [values]
    if x.dtype.kind != "c":
        below, above = (cnp.diagonal(t, k, axis1=-2, axis2=-1) for k in (-1, 1))
        size = cnp.where(below != 0, cnp.sqrt(cnp.abs(below)) * cnp.sqrt(cnp.abs(above)), 0)
        around = [(0, 0)] * (x.ndim - 2)
        parts.append(cnp.pad(size, [*around, (0, 1)]) - cnp.pad(size, [*around, (1, 0)]))
    return [t, z, *parts, _fine(op, x), _fine(op, x)]


def _gehrd(run: Any, op: Operation, x: Any) -> Any:
    config = configuration(op)
    if (config.get("low", 1), config.get("high", x.shape[-1])) != (1, x.shape[-1]):
        raise UnsupportedOperation(op, "reduces a part of a matrix only.")
    return [*linalg.hessenberg(x), _fine(op, x)]


def _sytrd(run: Any, op: Operation, x: Any) -> Any:
    return [*linalg.tridiagonal(x, lower=_option(op, "uplo") == "L"), _fine(op, x)]


def _gtsv(run: Any, op: Operation, low: Any, middle: Any, high: Any, b: Any) -> Any:
    return [low, middle, high, linalg.tridiagonal_solve(low, middle, high, b), _fine(op, b)]


def _trsm(run: Any, op: Operation, a: Any, b: Any) -> Any:
    transposed = _option(op, "trans_x")
    return linalg.triangular_solve(
        a,
        b,
        left_side=_option(op, "side") == "L",
        lower=_option(op, "uplo") == "L",
        transpose_a=transposed != "N",
        conjugate_a=transposed == "C",
        unit_diagonal=_option(op, "diag") == "U",
    )


_LAPACK: dict[str, Rule] = {
    "gees": _gees,
    "geev": _geev,
    "gehrd": _gehrd,
    "geqp3": _geqp3,
    "geqrf": _geqrf,
    "gesdd": _gesdd,
    "gesvd": _gesdd,
    "getrf": _getrf,
    "gtsv": _gtsv,
    "heevd": _syevd,
    "hetrd": _sytrd,
    "orgqr": _orgqr,
    "ormqr": _ormqr,
    "potrf": _potrf,
    "syevd": _syevd,
    "sytrd": _sytrd,
    "trsm": _trsm,
    "ungqr": _orgqr,
    "unmqr": _ormqr,
}


# --- kernels of GPU and TPU with the same meaning ---------------------------------------------------


def _lu_with_permutation(run: Any, op: Operation, x: Any) -> Any:
    return list(linalg.lu(x))


def _eigh_pair(run: Any, op: Operation, x: Any) -> Any:
    text = str(op.attributes.get("backend_config", ""))
    return list(linalg.eigh(x, lower=not text.startswith("0"), symmetrize_input=False))


def _threefry(run: Any, op: Operation, *words: Any) -> Any:
    from canter.lax.threefry import threefry2x32_p

    return list(threefry2x32_p.bind(*words))


# --- annotations, checks, sizes known at run time ---------------------------------------------------


def _same(run: Any, op: Operation, *operands: Any) -> Any:
    for value, given in zip(op.results, op.operands, strict=True):
        if value.type != given.type:
            raise UnsupportedOperation(op, "goes between the shapes of the whole and of one device's part.")
    return list(operands)


def _shape_assertion(run: Any, op: Operation, holds: Any, *dims: Any) -> Any:
    if not static(op, holds, "a condition on shapes")[0]:
        message = str(
            op.attributes.get("error_message") or "A condition on the shapes of the arguments is violated."
        )
        values = [static(op, dim, "a dimension")[0] for dim in dims]
        raise ValueError(re.sub(r"\{(\d+)\}", lambda found: str(values[int(found[1])]), message))
    return []


def _dynamic_top_k(run: Any, op: Operation, x: Any, k: Any) -> Any:
    return list(lax.top_k(x, static(op, k, "how many")[0]))


def _dynamic_bits(run: Any, op: Operation, state: Any, shape: Any) -> Any:
    dtype = op.results[1].type.dtype
    algorithm = op.attributes.get("rng_algorithm") or configuration(op).get("rng_algorithm", "DEFAULT")
    if isinstance(algorithm, int):
        algorithm = ("DEFAULT", "THREE_FRY", "PHILOX")[algorithm]
    sizes = static(op, shape, "its shape")
    return list(lax.rng_bit_generator(state, sizes, dtype, randomness.ALGORITHMS[algorithm]))


def _dynamic_reduce_window(run: Any, op: Operation, *operands: Any) -> Any:
    count = len(op.results)
    arrays, inits = operands[:count], operands[count : 2 * count]
    sizes, strides, base, dilation, padding = (static(op, x, "a window") for x in operands[2 * count :])
    pairs = tuple(zip(padding[::2], padding[1::2], strict=True))
    name = op.attributes["called_computations"][0]
    function = run.module.functions[name]
    shape = windows.Windows(sizes, strides, pairs, base, dilation)
    start = op.operands[count : 2 * count]
    return windows.reduce_window(function.body, run.closure(function.body), arrays, inits, start, shape)


def _mhlo_top_k(run: Any, op: Operation, x: Any) -> Any:
    config = configuration(op)
    if config.get("largest", True):
        return list(lax.top_k(x, config["k"]))
    values, places = lax.top_k(lax.neg(x), config["k"])
    return [lax.neg(values), places]


def _approximate_top_k(run: Any, op: Operation, *operands: Any) -> Any:
    """The exact result, of one array and the places of its elements."""
    config = configuration(op)
    if len(operands) != 4:
        raise UnsupportedOperation(op, "selects from more than one array.")
    name = op.attributes["called_computations"][0]
    test = run.module.functions[name].body.results[0].operation
    if test is None or test.name != "stablehlo.compare":
        raise UnsupportedOperation(op, "compares by something else than size.")
    greatest = test.attributes["comparison_direction"] in ("GT", "GE")
    x, places = operands[:2]
    axis = config["reduction_dim"]
    values, chosen = lax.top_k(x if greatest else lax.neg(x), config["top_k"], axis=axis)
    from canter.numpy import take_along_axis

    return [values if greatest else lax.neg(values), take_along_axis(places, chosen, axis)]


def _callback(run: Any, op: Operation, *operands: Any) -> Any:
    raise UnsupportedOperation(op, "calls back into the Python process that wrote the module, which is gone.")


_TARGETS: dict[str, Rule] = {
    **{f"lapack_{prefix}{name}_ffi": rule for name, rule in _LAPACK.items() for prefix in "sdcz"},
    **{f"cusolver_{name}_ffi": _LAPACK[name] for name in ("getrf", "geqrf", "orgqr", "potrf", "syevd")},
    **{f"hipsolver_{name}_ffi": _LAPACK[name] for name in ("getrf", "geqrf", "orgqr", "potrf", "syevd")},
    "Eigh": _eigh_pair,
    "LuDecomposition": _lu_with_permutation,
    "ProductOfElementaryHouseholderReflectors": _orgqr,
    "Qr": _geqrf,
    "cu_threefry2x32_ffi": _threefry,
    "hip_threefry2x32_ffi": _threefry,
    "ApproxTopK": _approximate_top_k,
    "Sharding": _same,
    "SPMDFullToShardShape": _same,
    "SPMDShardToFullShape": _same,
    "annotate_device_placement": _same,
    "shape_assertion": _shape_assertion,
    "stablehlo.dynamic_reduce_window": _dynamic_reduce_window,
    "stablehlo.dynamic_rng_bit_generator": _dynamic_bits,
    "stablehlo.dynamic_top_k": _dynamic_top_k,
    "mhlo.topk": _mhlo_top_k,
    "xla_ffi_partitioned_python_cpu_callback": _callback,
    "xla_ffi_python_cpu_callback": _callback,
    "xla_ffi_python_gpu_callback": _callback,
    "xla_python_cpu_callback": _callback,
    "xla_python_gpu_callback": _callback,
    # Operations of chlo, as older artifacts wrote them.
    **{f"mhlo.{name[5:]}": rule for name, rule in ELEMENTWISE.items() if name.startswith("chlo.")},
    "mhlo.tan": ELEMENTWISE["chlo.tan"],
}


def targets() -> frozenset[str]:
    """The targets that are known."""
    return frozenset(_TARGETS)


def _custom_call(run: Any, op: Operation, *operands: Any) -> Any:
    target = op.attributes["call_target_name"]
    given: Callable[..., Any] | None = run.custom_calls.get(target)
    if given is not None:
        results = given(*operands, **configuration(op))
        return results if isinstance(results, (list, tuple)) else [results]
    rule = _TARGETS.get(target)
    if rule is None:
        raise UnsupportedOperation(
            op,
            "is a kernel that Canter does not know. Say what it computes: "
            f"from_stablehlo(..., custom_calls={{{target!r}: function}}).",
        )
    return rule(run, op, *operands)


RULES: dict[str, Rule] = {"stablehlo.custom_call": _custom_call}
