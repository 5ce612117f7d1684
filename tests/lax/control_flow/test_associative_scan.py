"""associative_scan against a loop."""

import functools

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax


def by_loop(fn, elems, reverse=False):
    order = elems[::-1] if reverse else elems
    prefixes = [order[0]]
    for x in order[1:]:
        prefixes.append(fn(prefixes[-1], x))
    return prefixes[::-1] if reverse else prefixes


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 7, 8, 13])
def test_matrix_products(length, reverse):
    elems = np.random.default_rng(length).normal(size=(length, 2, 2)).astype(np.float32)
    got = ct.jit(functools.partial(lax.associative_scan, cnp.matmul, reverse=reverse))(elems)
    assert got.shape == elems.shape
    if length:
        np.testing.assert_allclose(got, np.stack(by_loop(np.matmul, elems, reverse)), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_axes_and_trees(axis):
    # The affine maps x -> a x + b under composition, which do not commute.
    a, b = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    compose = lambda f, g: {"a": f["a"] * g["a"], "b": f["b"] * g["a"] + g["b"]}
    got = lax.associative_scan(compose, {"a": a, "b": b}, axis=axis)
    rows = [{"a": x, "b": y} for x, y in zip(np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0), strict=True)]
    want = by_loop(compose, rows)
    for name in "ab":
        np.testing.assert_allclose(got[name], np.stack([w[name] for w in want], axis), rtol=1e-5, atol=1e-5)


def test_derivatives_and_batches():
    x = np.random.default_rng(2).uniform(1, 2, (2, 6)).astype(np.float32)
    product = functools.partial(lax.associative_scan, cnp.multiply)
    np.testing.assert_allclose(ct.vmap(product)(x), np.cumprod(x, 1), rtol=1e-5)
    got = ct.grad(lambda x: product(x)[-1])(x[0])
    np.testing.assert_allclose(got, np.prod(x[0]) / x[0], rtol=1e-5)


def test_depth_is_logarithmic():
    def multiplications(length):
        jaxpr = ct.make_jaxpr(functools.partial(lax.associative_scan, lax.mul))(np.ones(length, np.float32))
        return sum(eqn.primitive.name == "mul" for eqn in jaxpr.eqns)

    assert multiplications(1024) == multiplications(512) + 2


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "function", lambda: lax.associative_scan(1, np.ones(3))),
        (ValueError, "one length", lambda: lax.associative_scan(cnp.add, (cnp.ones(3), cnp.ones(2)))),
        (ValueError, "axis 2", lambda: lax.associative_scan(cnp.add, cnp.ones(3), axis=2)),
        (ValueError, "axis 0", lambda: lax.associative_scan(cnp.add, 1.0)),
        (TypeError, "structure", lambda: lax.associative_scan(lambda a, b: (a, b), cnp.ones(3))),
        (TypeError, "types", lambda: lax.associative_scan(lambda a, b: a[:1], cnp.ones(5))),
    ],
)
def test_what_does_not_fit_is_named(error, match, call):
    with pytest.raises(error, match=match):
        call()
