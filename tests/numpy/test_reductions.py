"""Reductions and cumulative functions against NumPy, over axes, dtypes, masks and empty arrays."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check, check_all_ways, numbers

REDUCTIONS = "sum prod max min mean var std all any ptp count_nonzero".split()
NANS = "nansum nanprod nanmax nanmin nanmean nanvar nanstd nanmedian".split()
AXES = [None, 0, 1, -1, (0, 2), (1,), (), (2, -3)]


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", AXES)
def test_axes(name, axis):
    if name == "ptp" and axis == ():
        return
    x = numbers((2, 3, 4), "float32", low=-1, high=2)
    x[0, 0] = 0
    check_all_ways(lambda a: getattr(cnp, name)(a, axis), lambda a: getattr(np, name)(a, axis), x)
    kept = getattr(cnp, name)(x, axis=axis, keepdims=True)
    assert kept.shape == getattr(np, name)(x, axis=axis, keepdims=True).shape


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of slices that are all nan
@pytest.mark.parametrize("name", ["median", *NANS])
@pytest.mark.parametrize("axis", [None, 1, (0, 2)])
def test_without_nan(name, axis):
    x = numbers((2, 3, 4), "float32")
    if name != "median":
        x[0, 1, 2] = x[1, :, 0] = np.nan
    check_all_ways(lambda a: getattr(cnp, name)(a, axis), lambda a: getattr(np, name)(a, axis), x)
    kept = getattr(cnp, name)(x, axis=axis, keepdims=True)
    assert kept.shape == getattr(np, name)(x, axis=axis, keepdims=True).shape


# function, dtype in, dtype out as JAX has it with 32-bit types
DTYPES = [
    ("sum", "int8", "int32"), ("sum", "uint8", "uint32"), ("sum", "bool", "int32"), ("sum", "bfloat16", "bfloat16"),
    ("prod", "int16", "int32"), ("max", "int8", "int8"), ("max", "bool", "bool"), ("mean", "int32", "float32"),
    ("mean", "float16", "float16"), ("mean", "bool", "float32"), ("var", "complex64", "float32"),
    ("std", "int8", "float32"), ("cumsum", "int8", "int8"), ("cumsum", "bool", "int32"), ("all", "float32", "bool"),
    ("argmax", "float32", "int32"), ("count_nonzero", "bool", "int32"), ("median", "int32", "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "wanted"), DTYPES)
def test_dtypes(name, given, wanted):
    assert getattr(cnp, name)(cnp.ones((2, 3), given)).dtype == wanted


def test_dtype_argument_and_promotion():
    x = np.full(3, 100, np.int8)
    assert cnp.sum(x, dtype="float32").dtype == "float32"
    assert cnp.sum(x, promote_integers=False).dtype == "int8"
    assert cnp.sum(x) == 300
    assert cnp.mean(x, dtype=cnp.float16).dtype == "float16"


def test_half_precision_accumulates_in_single():
    x = cnp.full(4096, 1.0, "bfloat16")
    assert cnp.sum(x) == 4096 and cnp.mean(x) == 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "name", ["sum", "prod", "max", "min", "mean", "var", "std", "all", "any", "nansum", "nanmean"]
)
def test_masks(name):
    x, mask = numbers((3, 4), "float32"), numbers((3, 4), "bool", seed=3)
    mask[:, 0] = True
    extra = {"max": {"initial": -9.0}, "min": {"initial": 9.0}, "sum": {"initial": 2.0}}.get(name, {})
    f, g = getattr(cnp, name), getattr(np, name)
    check_all_ways(
        lambda a, w: f(a, axis=1, where=w, **extra), lambda a, w: g(a, axis=1, where=w, **extra), x, mask
    )
    check(f(x, where=mask[:1], axis=0, **extra), g(x, where=mask[:1], axis=0, **extra))


def test_empty_arrays():
    empty = np.zeros((0, 3), np.float32)
    assert cnp.sum(empty) == 0 and cnp.prod(empty) == 1 and bool(cnp.all(empty)) and not bool(cnp.any(empty))
    assert cnp.max(empty, axis=1).shape == (0,)
    assert cnp.max(empty, initial=1.0) == 1
    with pytest.raises(ValueError, match="no identity"):
        cnp.max(empty)
    assert np.isnan(cnp.mean(empty))


def test_ddof_and_correction():
    x = numbers((5,), "float32")
    check(cnp.var(x, ddof=1), np.var(x, ddof=1))
    check(cnp.std(x, correction=1), np.std(x, ddof=1))
    check(cnp.var(x, mean=np.float32([0.0])), np.mean(x**2))
    assert np.isnan(cnp.var(x[:1], ddof=1))
    with pytest.raises(ValueError, match="simultaneously"):
        cnp.var(x, ddof=1, correction=1)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_cumulative(name, axis):
    x = numbers((3, 4), "float32")
    if name.startswith("nan"):
        x[1, 2] = np.nan
    check_all_ways(lambda a: getattr(cnp, name)(a, axis), lambda a: getattr(np, name)(a, axis), x)


def test_cumulative_of_the_array_api():
    x = np.array([1, 2, 3])
    check(cnp.cumulative_sum(x, include_initial=True), np.array([0, 1, 3, 6]))
    check(cnp.cumulative_prod(np.array([[2, 3]]), axis=1), np.array([[2, 6]]))
    with pytest.raises(ValueError, match="axis"):
        cnp.cumulative_sum(np.ones((2, 2)))


def test_average():
    x, w = numbers((3, 4), "float32"), np.abs(numbers((4,), "float32", seed=1)) + 1
    check(cnp.average(x, 1, w), np.average(x, 1, w))
    check(cnp.average(x, weights=x + 9, returned=True), np.average(x, weights=x + 9, returned=True))
    check(cnp.average(x, 0, returned=True)[0], np.average(x, 0))
    with pytest.raises(ValueError, match="weights"):
        cnp.average(x, 0, w)


MISTAKES = [
    (lambda x: cnp.sum(x, axis=2), ValueError, "axis 2 is out of bounds for array of dimension 2"),
    (lambda x: cnp.sum(x, axis=(0, 0)), ValueError, "duplicate value"),
    (lambda x: cnp.sum(x, out=x), NotImplementedError, "'out' argument to canter.numpy.sum"),
    (lambda x: cnp.sum([1, 2]), TypeError, "position 0.*asarray"),
    (lambda x: cnp.max(x, where=x > 1), ValueError, "specify 'initial'"),
    (lambda x: cnp.argmax(x, axis=3), ValueError, "out of bounds"),
    (lambda x: cnp.argmax(cnp.zeros((0,))), ValueError, "empty sequence"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(cnp.ones((2, 3)))


def test_lists_of_axes():
    assert cnp.sum(np.ones((2, 3)), axis=[0, 1]) == 6


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "max", "cumsum", "cumprod"])
def test_gradients(name):
    with ct.enable_x64(True):
        x = np.array([[1.5, -0.5, 2.0], [0.25, 3.0, -1.0]])
        f = lambda a: cnp.sum(getattr(cnp, name)(a, axis=1) ** 2)
        wanted = np.zeros_like(x)
        for i in np.ndindex(*x.shape):
            step = np.zeros_like(x)
            step[i] = 1e-5
            wanted[i] = (f(x + step) - f(x - step)) / 2e-5
        np.testing.assert_allclose(ct.grad(f)(x), wanted, rtol=1e-6, atol=1e-8)
