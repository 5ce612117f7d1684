"""Comparison with NumPy, which is the oracle of these tests."""

from __future__ import annotations

from typing import Any

import numpy as np

import canter as ct


def numbers(shape: Any, dtype: str, seed: int = 0, low: int = -4, high: int = 5) -> np.ndarray:
    """Small numbers of a dtype, of both signs where it has them."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if kind == "u":
        return random.integers(0, high, shape).astype(dtype)
    if kind == "i":
        return random.integers(low, high, shape).astype(dtype)
    values = random.uniform(low, high, shape)
    if kind == "c":
        values = values + 1j * random.uniform(low, high, shape)
    return np.asarray(values).astype(dtype)


def tolerance(dtype: Any) -> float:
    """How far results of a dtype may be from NumPy's, relatively."""
    return {"float16": 2e-2, "bfloat16": 5e-2, "float32": 2e-5, "complex64": 3e-5}.get(
        np.dtype(dtype).name, 1e-12
    )


def check(found: Any, wanted: Any, rtol: float | None = None) -> None:
    """Values and shapes agree; the dtype is the wanted one, as far as 32-bit types go."""
    if isinstance(wanted, (tuple, list)):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            check(one, other, rtol)
        return
    assert isinstance(found, ct.Array), type(found)
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    kinds = {"i": "iu", "u": "iu"}
    assert found.dtype.kind in kinds.get(wanted.dtype.kind, wanted.dtype.kind), (found.dtype, wanted.dtype)
    value = np.asarray(found)
    if wanted.dtype.kind in "fc":
        bound = tolerance(found.dtype) if rtol is None else rtol
        np.testing.assert_allclose(value, wanted, rtol=bound, atol=bound)
    else:
        np.testing.assert_array_equal(value, wanted)


def check_all_ways(function: Any, numpy_function: Any, *args: Any, rtol: float | None = None) -> None:
    """A function agrees with NumPy's eagerly and jitted."""
    with np.errstate(all="ignore"):
        wanted = numpy_function(*args)
    check(function(*args), wanted, rtol)
    check(ct.jit(function)(*args), wanted, rtol)
