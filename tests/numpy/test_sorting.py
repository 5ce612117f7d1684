"""Sorting, searching, sets, statistics and functions of functions, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, check_all_ways, numbers

X = numbers((3, 4, 5), "int32", low=-5, high=6).astype(np.float32)
NAN = X.copy()
NAN[0, 1, 2] = NAN[2, 0, 0] = np.nan


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("x", [X, NAN], ids=["numbers", "nan"])
def test_sort_and_argsort(axis, x):
    check_all_ways(lambda a: cnp.sort(a, axis), lambda a: np.sort(a, axis), x)
    check_all_ways(lambda a: cnp.argsort(a, axis), lambda a: np.argsort(a, axis, kind="stable"), x)
    check(cnp.sort(x, axis, descending=True), np.flip(np.sort(x, axis), -1 if axis is None else axis))


def test_descending_argsort_is_stable():
    x = np.array([1, 3, 3, 2, 1])
    check(cnp.argsort(x, descending=True), np.array([1, 2, 3, 0, 4]))


@pytest.mark.parametrize("name", ["argmax", "argmin", "nanargmax", "nanargmin"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_argmax(name, axis):
    x = X if not name.startswith("nan") else NAN
    check_all_ways(lambda a: getattr(cnp, name)(a, axis), lambda a: getattr(np, name)(a, axis), x)
    assert getattr(cnp, name)(x, axis, keepdims=True).shape == np.argmax(X, axis, keepdims=True).shape


def test_other_orders():
    keys = np.array([[1, 0, 1, 0], [2, 2, 1, 1]])
    check(cnp.lexsort(list(keys)), np.lexsort(keys))
    check(cnp.partition(X, 2)[..., 2], np.partition(X, 2)[..., 2])
    check(cnp.take_along_axis(X, cnp.argpartition(X, 2), -1)[..., 2], np.partition(X, 2)[..., 2])
    check(cnp.sort_complex(X[0, 0]), np.sort_complex(X[0, 0]).astype(np.complex64))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("method", ["scan", "scan_unrolled", "compare_all", "sort"])
@pytest.mark.parametrize("size", [0, 1, 5, 40])
def test_searchsorted(side, method, size):
    a = np.sort(numbers((size,), "float32"))
    v = np.concatenate([numbers((7,), "float32", seed=4), a[:3], [-np.inf, np.inf, np.nan]]).astype(
        np.float32
    )
    check_all_ways(
        lambda x, y: cnp.searchsorted(x, y, side, method=method),
        lambda x, y: np.searchsorted(x, y, side),
        a,
        v,
    )


def test_searchsorted_with_sorter_and_nan():
    a = np.array([3.0, 1.0, np.nan, 2.0], np.float32)
    order = np.argsort(a)
    check(
        cnp.searchsorted(a, np.float32(2.5), sorter=order), np.searchsorted(a, np.float32(2.5), sorter=order)
    )


def test_nonzero():
    x = (X[0] > 2).astype(np.int32)
    for name in ("nonzero", "flatnonzero", "argwhere"):
        check(getattr(cnp, name)(x), getattr(np, name)(x))
    check(cnp.where(x), np.where(x))
    count = int(x.sum())
    for size in (count, count + 3, count - 2, 0):
        found = ct.jit(lambda a: cnp.nonzero(a, size=size, fill_value=(-1, 9)))(x)
        for got, wanted, fill in zip(found, np.nonzero(x), (-1, 9), strict=True):
            check(got, np.concatenate([wanted, np.full(5, fill)])[:size])
    check(cnp.compress(np.array([True, False, True]), X, 0), np.compress([True, False, True], X, 0))
    check(cnp.extract(X > 2, X), np.extract(X > 2, X))
    with pytest.raises(ct.errors.ConcretizationTypeError, match="size"):
        ct.jit(cnp.nonzero)(x)


# --- choosing -----------------------------------------------------------------------------------


def test_where_and_its_kin():
    x, y, c = X[0], -X[1], X[2] > 0
    check_all_ways(cnp.where, np.where, c, x, y)
    check_all_ways(lambda a: cnp.where(a > 0, a, 0), lambda a: np.where(a > 0, a, np.float32(0)), x)
    check(cnp.where(True, x, 1.0), x)
    check(
        cnp.where(np.array([[1], [0]]), np.float32([1, 2]), np.float32(5)),
        np.array([[1, 2], [5, 5]], np.float32),
    )
    assert cnp.where(True, 1, 2.0).weak_type and cnp.where(c, 1, 2).dtype == "int32"
    check(cnp.select([c, x > 1], [x, y], 7.0), np.select([c, x > 1], [x, y], np.float32(7)))
    check(
        cnp.choose(np.array([0, 1, 1]), [np.arange(3), -np.arange(3)]),
        np.choose([0, 1, 1], [np.arange(3), -np.arange(3)]),
    )
    check(
        cnp.choose(np.array([5, -1]), [np.arange(2), -np.arange(2)], mode="wrap"),
        np.choose([5, -1], [np.arange(2), -np.arange(2)], mode="wrap"),
    )
    check(
        cnp.piecewise(x, [x < -1, x > 1], [lambda v: -v, 3.0, cnp.sin]),
        np.piecewise(x, [x < -1, x > 1], [lambda v: -v, 3.0, np.sin]),
        rtol=1e-5,
    )
    with pytest.raises(ValueError, match="Either both or neither"):
        cnp.where(c, x)


def test_clip_round_nan_to_num():
    check_all_ways(lambda a: cnp.clip(a, -1, 2), lambda a: np.clip(a, -1, 2), X)
    check(cnp.clip(X, max=1.5), np.minimum(X, np.float32(1.5)))
    check(cnp.clip(X, min=0), np.maximum(X, 0))
    assert cnp.clip(cnp.arange(3), 0, 2.5).dtype == "float32"
    v = np.array([0.5, 1.5, 2.675, -1234.5, 12.345], np.float32)
    for decimals in (0, 1, 2, -2):
        check_all_ways(lambda a: cnp.round(a, decimals), lambda a: np.round(a, decimals), v, rtol=1e-5)
    check(
        cnp.round(np.array([1.25 + 2.35j], np.complex64), 1),
        np.round(np.array([1.25 + 2.35j], np.complex64), 1),
        rtol=1e-5,
    )
    w = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    check(cnp.nan_to_num(w), np.nan_to_num(w))
    check(cnp.nan_to_num(w, nan=5.0, posinf=6.0, neginf=7.0), np.nan_to_num(w, nan=5, posinf=6, neginf=7))
    with pytest.raises(ValueError, match="complex"):
        cnp.clip(cnp.array([1j]), 0, 1)


def test_comparisons_within_a_tolerance():
    a = np.array([1.0, 1.00001, np.nan, np.inf, -np.inf, 2.0], np.float32)
    b = np.array([1.0, 1.0, np.nan, np.inf, np.inf, 2.1], np.float32)
    for equal_nan in (False, True):
        check(cnp.isclose(a, b, equal_nan=equal_nan), np.isclose(a, b, equal_nan=equal_nan))
        check(cnp.array_equal(a, a, equal_nan), np.array_equal(a, a, equal_nan))
    check(cnp.allclose(a[:2], b[:2], rtol=1e-4), np.bool_(True))
    check(cnp.isclose(np.array([1, 2]), np.array([1, 3])), np.array([True, False]))
    check(cnp.array_equiv(np.ones(2), np.ones((3, 2))), np.bool_(True))
    check(cnp.array_equal(np.ones(2), np.ones(3)), np.bool_(False))


def test_complex_parts():
    z = numbers((4,), "complex64")
    for name in ("real", "imag", "angle", "iscomplex", "isreal", "iscomplexobj", "isrealobj"):
        wanted = getattr(np, name)(z)
        found = getattr(cnp, name)(z)
        assert (found == wanted) if isinstance(wanted, bool) else check(found, wanted, 1e-5) is None
    check(cnp.imag(X), np.zeros_like(X))


def test_interp():
    xp, fp = np.array([0.0, 1.0, 2.5, 4.0], np.float32), np.array([1.0, -1.0, 3.0, 0.0], np.float32)
    x = np.linspace(-2, 6, 23).astype(np.float32)
    check_all_ways(cnp.interp, np.interp, x, xp, fp)
    check(cnp.interp(x, xp, fp, left=-9, right=9), np.interp(x, xp, fp, left=-9, right=9), rtol=1e-4)
    check(cnp.interp(x, xp, fp, period=5), np.interp(x, xp, fp, period=5), rtol=1e-3)
    assert float(cnp.interp(6.0, xp, fp, right="extrapolate")) == pytest.approx(-4)


# --- sets ---------------------------------------------------------------------------------------


def test_unique():
    x = np.array([[3, 1, 3], [2, 1, 2]])
    flags = {"return_index": True, "return_inverse": True, "return_counts": True}
    check(cnp.unique(x), np.unique(x))
    check(cnp.unique(x, **flags), np.unique(x, **flags))
    check(cnp.unique(x, axis=1, **flags), np.unique(x, axis=1, **flags))
    found = ct.jit(lambda a: cnp.unique(a, size=5, fill_value=-1, **flags))(x)
    values, index, inverse, counts = np.unique(x, **flags)
    check(found[0], np.concatenate([values, [-1, -1]]))
    check(found[2], inverse)
    check(found[3], np.concatenate([counts, [0, 0]]))
    check(found[1][:3], index)
    check(cnp.unique(x, size=2), values[:2])
    check(ct.jit(lambda a: cnp.unique(a, axis=1, size=3))(x)[:, :2], np.unique(x, axis=1))
    check(cnp.unique(np.array([np.nan, 1, np.nan], np.float32), size=2), np.array([1, np.nan], np.float32))
    assert cnp.unique_all(x).counts.shape == (3,) and cnp.unique_values(x).shape == (3,)
    with pytest.raises(ct.errors.ConcretizationTypeError, match="size"):
        ct.jit(cnp.unique)(x)


def test_set_operations():
    a, b = np.array([1, 2, 3, 2]), np.array([2, 5, 3])
    for name in ("union1d", "intersect1d", "setdiff1d", "setxor1d", "isin"):
        check(getattr(cnp, name)(a, b), getattr(np, name)(a, b))
    check(cnp.intersect1d(a, b, return_indices=True), np.intersect1d(a, b, return_indices=True))
    check(ct.jit(lambda x, y: cnp.union1d(x, y, size=6))(a, b), np.array([1, 2, 3, 5, 1, 1]))
    check(ct.jit(lambda x, y: cnp.setdiff1d(x, y, size=2))(a, b), np.array([1, 0]))
    check(ct.jit(lambda x, y: cnp.isin(x, y, invert=True))(a, b), np.isin(a, b, invert=True))


# --- statistics ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf"])
@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 1.0, [0.1, 0.75]])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_quantiles(method, q, axis):
    q = np.array(q, np.float32)
    x = numbers((3, 4, 5), "float32")
    check(cnp.quantile(x, q, axis, method=method), np.quantile(x, q, axis, method=method), rtol=1e-4)
    if method == "linear":
        check(
            cnp.percentile(x, q * 100, axis, keepdims=True),
            np.percentile(x, q * 100, axis, keepdims=True),
            rtol=1e-4,
        )
        check(cnp.nanquantile(NAN, q, axis), np.nanquantile(NAN, q, axis), rtol=1e-4)


def test_histograms_and_counts():
    x = numbers((50,), "float32")
    for bins in (4, np.array([-3.0, 0.0, 0.5, 2.0], np.float32)):
        for density in (False, True):
            found, wanted = cnp.histogram(x, bins, density=density), np.histogram(x, bins, density=density)
            check(found[0], wanted[0].astype(np.float32), rtol=1e-4)
            check(found[1], wanted[1].astype(np.float32), rtol=1e-5)
    check(cnp.histogram(x, 3, range=(-1, 1))[0], np.histogram(x, 3, range=(-1, 1))[0].astype(np.float32))
    check(cnp.histogram(x, 3, weights=np.abs(x))[0], np.histogram(x, 3, weights=np.abs(x))[0], rtol=1e-4)
    n = np.array([1, 4, 4, 0])
    check(cnp.bincount(n), np.bincount(n))
    check(cnp.bincount(n, minlength=9), np.bincount(n, minlength=9))
    check(ct.jit(lambda a: cnp.bincount(a, length=3))(n), np.array([1, 1, 0]))
    check(cnp.bincount(n, weights=np.float32([1, 2, 3, 4])), np.bincount(n, weights=np.float32([1, 2, 3, 4])))
    for bins in (np.array([-1.0, 0.0, 2.0]), np.array([2.0, 0.0, -1.0])):
        for right in (False, True):
            check(cnp.digitize(x, bins, right), np.digitize(x, bins, right))


def test_covariances():
    x, y = numbers((3, 8), "float32"), numbers((3, 8), "float32", seed=1)
    w = np.arange(1, 9)
    for options in (
        {},
        {"bias": True},
        {"ddof": 0},
        {"rowvar": False},
        {"fweights": w},
        {"aweights": w},
        {"fweights": w, "aweights": w},
    ):
        if options.get("rowvar") is False:
            check(cnp.cov(x, **options), np.cov(x, **options), rtol=1e-4)
        else:
            check(cnp.cov(x, y, **options), np.cov(x, y, **options), rtol=1e-4)
    check(cnp.cov(x[0]), np.cov(x[0]), rtol=1e-4)
    check(cnp.corrcoef(x), np.corrcoef(x), rtol=1e-4)


def test_differences():
    x = numbers((3, 7), "float32")
    for n, axis in ((1, -1), (2, 0), (3, 1)):
        check(cnp.diff(x, n, axis), np.diff(x, n, axis), rtol=1e-4)
    check(cnp.diff(x, prepend=0.0, append=x[:, :2]), np.diff(x, prepend=0.0, append=x[:, :2]))
    check(cnp.ediff1d(x, to_begin=9.0), np.ediff1d(x, to_begin=9.0))
    check(cnp.gradient(x), tuple(np.gradient(x)), rtol=1e-4)
    check(cnp.gradient(x, 2.0, axis=1), np.gradient(x, 2.0, axis=1), rtol=1e-4)
    t = np.cumsum(np.abs(numbers((7,), "float32", seed=2)) + 0.1).astype(np.float32)
    check(cnp.gradient(x, t, axis=1), np.gradient(x, t, axis=1), rtol=1e-3)
    check(cnp.trapezoid(x, t), np.trapezoid(x, t), rtol=1e-4)
    check(cnp.trapezoid(x, dx=0.5, axis=0), np.trapezoid(x, dx=0.5, axis=0), rtol=1e-4)
    angles = np.array([0, 3, -3, 0.5, 7, -7], np.float32)
    check(cnp.unwrap(angles), np.unwrap(angles), rtol=1e-4)
    check(cnp.unwrap(angles, discont=5, period=8), np.unwrap(angles, discont=5, period=8), rtol=1e-4)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (6, 1), (5, 2)])
def test_convolve_and_correlate(mode, sizes):
    a, v = (numbers((n,), "float32", seed=i) for i, n in enumerate(sizes))
    check(cnp.convolve(a, v, mode), np.convolve(a, v, mode), rtol=1e-4)
    check(cnp.correlate(a, v, mode), np.correlate(a, v, mode), rtol=1e-4)
    z = a + 1j * a[::-1]
    check(cnp.correlate(z, v, mode), np.correlate(z, v, mode), rtol=1e-4)


# --- functions of functions ---------------------------------------------------------------------


def test_vectorize():
    f = cnp.vectorize(lambda a, b: a - b)
    check(f(X[0], X[1, :1]), X[0] - X[1, :1])
    dot = cnp.vectorize(cnp.dot, signature="(n),(n)->()")
    check(dot(X, X[0, 0]), X @ X[0, 0], rtol=1e-4)
    check(
        dot(X[:, :1], X[None, 0]),
        np.einsum("ijk,ijk->ij", *np.broadcast_arrays(X[:, :1], X[None, 0])),
        rtol=1e-4,
    )
    pair = cnp.vectorize(lambda v: (v.sum(), v * 2), signature="(n)->(),(n)")
    check(pair(X), (X.sum(-1), X * 2), rtol=1e-4)
    scaled = cnp.vectorize(lambda v, k: v * k, excluded={1})
    check(scaled(X, 3), X * 3)
    with pytest.raises(ValueError, match="core dimension 'n'"):
        dot(X, X[0, 0, :2])
    with pytest.raises(ValueError, match="signature"):
        cnp.vectorize(cnp.dot, signature="n,n->")


def test_apply():
    check(cnp.apply_along_axis(cnp.sum, 1, X), np.apply_along_axis(np.sum, 1, X))
    check(cnp.apply_along_axis(lambda v: v[:2], 0, X), np.apply_along_axis(lambda v: v[:2], 0, X))
    check(cnp.apply_along_axis(lambda v: v[:2], 1, X), np.apply_along_axis(lambda v: v[:2], 1, X))
    check(cnp.apply_over_axes(cnp.sum, X, [0, 2]), np.apply_over_axes(np.sum, X, [0, 2]))
