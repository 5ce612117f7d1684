"""vmap against an explicit loop, and its messages."""

import numpy as np
import pytest

import canter as ct
from canter import lax

from .programs import FORWARD, POINT

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(3, 4)).astype(np.float32)
VECTOR = RNG.normal(size=4).astype(np.float32)


def dot(a, b):
    return lax.dot_general(a, b, (((a.ndim - 1,), (0,)), ((), ())))


@pytest.mark.parametrize("name", FORWARD)
def test_batched_programs_are_loops(name):
    points = np.stack([POINT, POINT + 0.2, 2 * POINT]).astype(np.float32)
    f = FORWARD[name]
    expected = np.stack([f(p) for p in points])
    np.testing.assert_allclose(ct.vmap(f)(points), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        ct.jit(ct.vmap(f, in_axes=1, out_axes=1))(points.T), expected.T, rtol=2e-5, atol=1e-6
    )


def test_axes_of_arguments_and_results():
    product = ct.vmap(dot, in_axes=(0, None))(MATRIX, VECTOR)
    np.testing.assert_allclose(product, MATRIX @ VECTOR, rtol=1e-6)
    outer = ct.vmap(ct.vmap(lax.mul, in_axes=(None, 0)), in_axes=(0, None))(VECTOR[:3], VECTOR)
    np.testing.assert_allclose(outer, np.outer(VECTOR[:3], VECTOR), rtol=1e-6)
    moved = ct.vmap(lambda row: lax.mul(row, 2.0), in_axes=-1, out_axes=-1)(MATRIX)
    np.testing.assert_allclose(moved, 2 * MATRIX)


def test_trees_keywords_and_unmapped_results():
    def f(tree, *, shift):
        return {"sum": lax.add(tree["a"], tree["b"][0]), "shift": shift, "constant": 1.0}

    tree = {"a": np.arange(3.0), "b": (np.float32(2.0),)}
    out = ct.vmap(f, in_axes=({"a": 0, "b": None},), out_axes={"sum": 0, "shift": 0, "constant": None})(
        tree, shift=np.arange(3)
    )
    np.testing.assert_allclose(out["sum"], [2.0, 3.0, 4.0])
    assert out["shift"].tolist() == [0, 1, 2] and out["constant"] == 1.0


def test_axis_size_without_mapped_arguments():
    assert ct.vmap(lambda x: lax.add(x, 1.0), in_axes=None, axis_size=3)(1.0).tolist() == [2.0, 2.0, 2.0]


def test_batched_loops_stop_one_by_one():
    double_until = lambda x: lax.while_loop(lambda s: lax.lt(s, 100.0), lambda s: lax.mul(s, 2.0), x)
    starts = np.array([1.0, 3.0, 200.0], np.float32)
    assert ct.vmap(double_until)(starts).tolist() == [128.0, 192.0, 200.0]


def test_unbatched_predicate_stays_a_branch():
    f = lambda p, x: lax.cond(p, lax.sin, lax.cos, x)
    names = [e.primitive.name for e in ct.make_jaxpr(ct.vmap(f, in_axes=(None, 0)))(True, VECTOR).eqns]
    assert "cond" in names and "select_n" not in names
    names = [e.primitive.name for e in ct.make_jaxpr(ct.vmap(f))(VECTOR > 0, VECTOR).eqns]
    assert "cond" not in names and "select_n" in names


@pytest.mark.parametrize(
    ("axes", "args", "error", "words"),
    [
        (0, (np.ones(3), np.ones(4)), ValueError, ["xs[0]", "xs[1]", "(3,)", "(4,)"]),
        ((0,), (np.ones(3), np.ones(3)), ValueError, ["1 entries", "2 positional"]),
        (2, (np.ones((3, 4)),), ValueError, ["axis 2", "xs[0]", "(3, 4)"]),
        (None, (np.ones(3),), ValueError, ["axis_size"]),
        (0, ("text",), TypeError, ["xs[0]", "str"]),
        ("rows", (np.ones(3),), TypeError, ["in_axes", "rows"]),
        (0, (1.0,), ValueError, ["xs[0]", "()"]),
    ],
)
def test_mistakes_are_named(axes, args, error, words):
    with pytest.raises(error) as caught:
        ct.vmap(lambda *xs: xs, in_axes=axes)(*args)
    for word in words:
        assert word in str(caught.value)


def test_batched_result_cannot_be_declared_unmapped():
    with pytest.raises(ValueError, match="out_axes is None"):
        ct.vmap(lambda x: x, out_axes=None)(np.ones(3))


def test_sum_of_cotangents_of_which_one_has_no_batch_axis():
    """Two uses of a scalar, one of them with the same cotangent for all elements."""

    def f(x, y):
        return ct.vjp(lambda z: (lax.mul(z, 3.0), lax.mul(z, 2.0)), 2.0)[1]((x, y))[0]

    x, y = np.arange(3.0, dtype=np.float32), np.float32(1.0)
    np.testing.assert_allclose(ct.vmap(f, in_axes=(0, None))(x, y), 3.0 * x + 2.0)
    np.testing.assert_allclose(ct.vmap(f, in_axes=(None, 0))(y, x), 3.0 + 2.0 * x)
    twice = ct.vmap(ct.vmap(f, in_axes=(0, None)), in_axes=(None, 0))(x, x)
    np.testing.assert_allclose(twice, 3.0 * x[None] + 2.0 * x[:, None])


def test_sum_match_sums_what_has_no_axis_to_go_to():
    def total(x, y):
        return x * y, y

    x = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    products, same = ct.vmap(total, in_axes=(0, None), out_axes=None, sum_match=True)(x, 2.0)
    np.testing.assert_allclose(products, 2 * x.sum(0))
    assert float(same) == 2.0
