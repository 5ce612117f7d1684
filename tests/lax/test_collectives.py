"""Collectives along an axis of vmap, against NumPy on the whole batch."""

import numpy as np
import pytest

import canter as ct
from canter import lax

X = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
SQUARE = np.arange(32, dtype=np.float32).reshape(4, 4, 2)
WIDE = np.arange(64, dtype=np.float32).reshape(4, 8, 2)


def shifted(batch):
    out = np.zeros_like(batch)
    out[1], out[2] = batch[0], batch[1]
    return out


def exchanged_tiled(batch):
    """Element i gets block i of every element, joined along axis 1."""
    return np.stack([np.concatenate([row[2 * i : 2 * i + 2] for row in batch], axis=1) for i in range(4)])


CASES = {
    "psum": (lambda v: lax.psum(v, "i"), X, lambda b: np.broadcast_to(b.sum(0), b.shape)),
    "pmean": (lambda v: lax.pmean(v, "i"), X, lambda b: np.broadcast_to(b.mean(0), b.shape)),
    "pmax": (lambda v: lax.pmax(v, "i"), X, lambda b: np.broadcast_to(b.max(0), b.shape)),
    "pmin": (lambda v: lax.pmin(v, "i"), X, lambda b: np.broadcast_to(b.min(0), b.shape)),
    "all_gather": (lambda v: lax.all_gather(v, "i"), X, lambda b: np.broadcast_to(b, (4, *b.shape))),
    "all_gather tiled": (
        lambda v: lax.all_gather(v, "i", axis=1, tiled=True),
        X,
        lambda b: np.broadcast_to(np.concatenate(list(b), axis=1), (4, 2, 12)),
    ),
    "all_to_all": (lambda v: lax.all_to_all(v, "i", 0, 0), SQUARE, lambda b: b.swapaxes(0, 1)),
    "all_to_all moved": (
        lambda v: lax.all_to_all(v, "i", 0, 1),
        SQUARE,
        lambda b: np.stack([np.stack([row[i] for row in b], axis=1) for i in range(4)]),
    ),
    "all_to_all tiled": (lambda v: lax.all_to_all(v, "i", 0, 1, tiled=True), WIDE, exchanged_tiled),
    "ppermute": (lambda v: lax.ppermute(v, "i", [(0, 1), (1, 2)]), X, shifted),
    "pshuffle": (lambda v: lax.pshuffle(v, "i", [3, 1, 0, 2]), X, lambda b: b[[3, 1, 0, 2]]),
    "pbroadcast": (lambda v: lax.pbroadcast(v, "i", 2), X, lambda b: np.broadcast_to(b[2], b.shape)),
    "psum_scatter": (lambda v: lax.psum_scatter(v, "i"), SQUARE, lambda b: b.sum(0)),
    "psum_scatter tiled": (
        lambda v: lax.psum_scatter(v, "i", tiled=True),
        WIDE,
        lambda b: b.sum(0).reshape(4, 2, 2),
    ),
    "axis_index in jit": (
        lambda v: ct.jit(lambda w: lax.mul(w, lax.convert_element_type(lax.axis_index("i"), np.float32)))(v),
        X,
        lambda b: b * np.arange(4, dtype=np.float32)[:, None, None],
    ),
    "psum in scan": (
        lambda v: lax.scan(lambda c, _: (lax.psum(c, "i"), None), v, None, length=2)[0],
        X,
        lambda b: np.broadcast_to(4 * b.sum(0), b.shape),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_adjoints(name):
    f, batch, expected = CASES[name]
    mapped = ct.vmap(f, axis_name="i")
    np.testing.assert_allclose(ct.jit(mapped)(batch), expected(batch), rtol=1e-6)
    if name in ("pmax", "pmin"):
        return
    # Each is linear, so <f(x), y> = <x, fT(y)> for all x, y.
    rng = np.random.default_rng(0)
    y = rng.normal(size=expected(batch).shape).astype(np.float32)
    (pulled,) = ct.jit(lambda x: ct.vjp(mapped, x)[1](y))(batch)
    np.testing.assert_allclose(np.vdot(expected(batch), y), np.vdot(batch, pulled), rtol=1e-3)


def test_gradient_of_pmax_goes_to_the_largest():
    gradient = ct.grad(
        lambda xs: lax.reduce_sum(ct.vmap(lambda x: lax.pmax(x, "i"), axis_name="i")(xs), (0,))
    )
    assert gradient(np.array([1.0, 3.0, 2.0], np.float32)).tolist() == [0.0, 3.0, 0.0]


def test_nested_axes():
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    both = ct.vmap(ct.vmap(lambda x: lax.psum(x, ("row", "column")), axis_name="column"), axis_name="row")
    assert np.all(np.asarray(both(grid)) == grid.sum())
    one = ct.vmap(ct.vmap(lambda x: lax.psum(x, "row"), axis_name="column"), axis_name="row")
    np.testing.assert_allclose(one(grid), np.broadcast_to(grid.sum(0), grid.shape))
    index = ct.vmap(ct.vmap(lambda x: lax.axis_index(("row", "column")), axis_name="column"), axis_name="row")
    assert index(grid).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_sizes_and_unbound_names():
    assert ct.vmap(lambda x: lax.psum(1, "i"), axis_name="i", out_axes=None)(X) == 4
    with pytest.raises(NameError, match="unbound axis name: 'j'"):
        ct.vmap(lambda x: lax.psum(x, "j"), axis_name="i")(X)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: lax.all_to_all(x, "i", 5, 0), "all_to_all: axis 5 is out of bounds"),
        (lambda x: lax.psum_scatter(x, "i", scatter_dimension=3), "psum_scatter: axis 3 is out of bounds"),
        (lambda x: lax.all_gather(x, "i", axis=4), "all_gather: axis 4 is out of bounds"),
        (lambda x: lax.ppermute(x, "i", [(0, 9)]), r"each destination must be in \[0, 4\)"),
    ],
)
def test_axes_and_positions_out_of_range(f, message):
    with pytest.raises(ValueError, match=message):
        ct.vmap(f, axis_name="i")(X)


def test_shapes_depend_on_the_size_of_the_named_axis():
    shapes = []

    def f(x):
        y = lax.all_to_all(x, "i", 0, 1, tiled=True)
        shapes.append(y.shape)
        return y

    for size in (2, 4):
        ct.vmap(ct.jit(lambda x: f(x)), axis_name="i")(np.ones((size, 4, 1), np.float32))
    assert shapes == [(2, 2), (1, 4)]
