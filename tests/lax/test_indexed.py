"""Gather and scatter: values against loops, derivatives, batching, modes, errors."""

import itertools

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.config import enable_x64

from .rule_checks import Case, rule_tests

G, S = lax.GatherDimensionNumbers, lax.ScatterDimensionNumbers


# The meaning of gather and scatter, written out index by index.


def places(operand_shape, indices, window, removed, index_map, operand_batching, indices_batching, mode):
    """For each index vector: its place among the batch axes, and the box of the operand, or None."""
    for batch in np.ndindex(*indices.shape[:-1]):
        origin = [0] * len(operand_shape)
        for component, axis in enumerate(index_map):
            origin[axis] = int(indices[batch][component])
        inside = all(0 <= o <= size - w for o, size, w in zip(origin, operand_shape, window, strict=True))
        if mode == "clip":
            origin = [
                int(np.clip(o, 0, size - w)) for o, size, w in zip(origin, operand_shape, window, strict=True)
            ]
        elif not inside:
            yield batch, None
            continue
        for axis, index_axis in zip(operand_batching, indices_batching, strict=True):
            origin[axis] = batch[index_axis]
        yield (
            batch,
            tuple(
                o if axis in removed else slice(o, o + w)
                for axis, (o, w) in enumerate(zip(origin, window, strict=True))
            ),
        )


def full_index(batch, window_dims, ndim):
    rest = iter(batch)
    return tuple(slice(None) if axis in window_dims else next(rest) for axis in range(ndim))


def np_gather(x, indices, numbers, sizes, mode="fill", fill=np.nan):
    removed = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    window = [size for axis, size in enumerate(sizes) if axis not in removed]
    ndim = indices.ndim - 1 + len(window)
    rest, inner = iter(indices.shape[:-1]), iter(window)
    out = np.zeros([next(inner if a in numbers.offset_dims else rest) for a in range(ndim)], x.dtype)
    maps = (numbers.start_index_map, numbers.operand_batching_dims, numbers.start_indices_batching_dims)
    for batch, box in places(x.shape, indices, sizes, removed, *maps, mode):
        out[full_index(batch, numbers.offset_dims, ndim)] = fill if box is None else x[box]
    return out


def np_scatter(x, indices, updates, numbers, combine, mode="drop"):
    removed = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    inner = iter(updates.shape[d] for d in numbers.update_window_dims)
    window = [1 if axis in removed else next(inner) for axis in range(x.ndim)]
    maps = (
        numbers.scatter_dims_to_operand_dims,
        numbers.operand_batching_dims,
        numbers.scatter_indices_batching_dims,
    )
    x = x.copy()
    for batch, box in places(x.shape, indices, window, removed, *maps, mode):
        if box is not None:
            update = updates[full_index(batch, numbers.update_window_dims, updates.ndim)]
            x[box] = combine(x[box], update)
    return x


# Configurations: operand shape, indices shape, gather numbers, slice sizes.
LAYOUTS = {
    "rows": ((4, 3), (5, 1), G((1,), (0,), (0,)), (1, 3)),
    "windows": ((5, 4), (3, 2), G((1, 2), (), (0, 1)), (2, 3)),
    "elements": ((4, 3), (2, 3, 2), G((), (0, 1), (1, 0)), (1, 1)),
    "columns first": ((4, 3), (2, 1), G((0,), (1,), (1,)), (4, 1)),
    "batching": ((2, 4, 3), (2, 3, 1), G((2,), (1,), (1,), (0,), (0,)), (1, 1, 3)),
    "batching window": ((4, 2, 3), (3, 2, 1), G((0, 2), (), (0,), (1,), (1,)), (2, 1, 3)),
    "one": ((4, 3), (1,), G((0,), (0,), (0,)), (1, 3)),
}


def scatter_numbers(numbers):
    return S(
        numbers.offset_dims,
        numbers.collapsed_slice_dims,
        numbers.start_index_map,
        numbers.operand_batching_dims,
        numbers.start_indices_batching_dims,
    )


def update_shape(indices_shape, numbers, sizes):
    removed = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    inner = iter(size for axis, size in enumerate(sizes) if axis not in removed)
    rest = iter(indices_shape[:-1])
    ndim = len(indices_shape) - 1 + len(numbers.offset_dims)
    return tuple(next(inner if axis in numbers.offset_dims else rest) for axis in range(ndim))


def gather_case(layout, mode, dtype=np.int32):
    shape, indices_shape, numbers, sizes = LAYOUTS[layout]

    def make(rng):
        low = 0 if np.issubdtype(dtype, np.unsignedinteger) else -1
        return rng.normal(size=shape), rng.integers(low, 6, size=indices_shape).astype(dtype)

    return Case(
        f"gather {layout} {mode} {np.dtype(dtype).name}",
        lambda x, i: lax.gather(x, i, numbers, sizes, mode=mode, fill_value=7.0),
        make,
        lambda x, i: np_gather(x, i, numbers, sizes, mode, 7.0),
    )


SCATTERS = {
    "scatter_add": (lax.scatter_add, lambda x, u: x + u),
    "scatter_sub": (lax.scatter_sub, lambda x, u: x - u),
    "scatter_mul": (lax.scatter_mul, lambda x, u: x * u),
    "scatter_min": (lax.scatter_min, np.minimum),
    "scatter_max": (lax.scatter_max, np.maximum),
    "scatter": (lax.scatter, lambda x, u: u),
}


def distinct_places(shape, indices_shape, numbers, sizes, rng):
    """Indices, some out of bounds, whose windows do not overlap."""
    while True:
        indices = rng.integers(-1, 6, size=indices_shape).astype(np.int32)
        ones = np.ones(update_shape(indices_shape, numbers, sizes))
        hits = np_scatter(np.zeros(shape), indices, ones, scatter_numbers(numbers), np.add)
        if hits.max() <= 1 <= hits.max():
            return indices


def scatter_case(name, layout, mode, unique=False, wrt=None):
    shape, indices_shape, numbers, sizes = LAYOUTS[layout]
    function, combine = SCATTERS[name]

    def make(rng):
        if unique:
            indices = distinct_places(shape, indices_shape, numbers, sizes, rng)
        else:
            indices = rng.integers(-1, 6, size=indices_shape).astype(np.int32)
        return rng.normal(size=shape), indices, rng.normal(size=update_shape(indices_shape, numbers, sizes))

    dims = scatter_numbers(numbers)
    ordered = name != "scatter" or unique
    return Case(
        f"{name} {layout} {mode}{' unique' if unique else ''}",
        lambda x, i, u: function(x, i, u, dims, mode=mode, unique_indices=unique),
        make,
        (lambda x, i, u: np_scatter(x, i, u, dims, combine, mode)) if ordered else None,
        wrt,
    )


GATHER_CASES = [
    *(gather_case(layout, mode) for layout, mode in itertools.product(LAYOUTS, ("clip", "fill"))),
    gather_case("rows", "clip", np.uint8),
    gather_case("windows", "fill", np.int8),
    Case(
        "index_take",
        lambda x, i, j: lax.index_take(x, [i, j], (0, 2)),
        lambda rng: (rng.normal(size=(3, 2, 4)), *rng.integers(-3, 3, size=(2, 5)).astype(np.int32)),
        lambda x, i, j: x[i % 3, :, j % 4],
    ),
]
SCATTER_CASES = [
    *(
        scatter_case("scatter_add", layout, mode)
        for layout, mode in itertools.product(LAYOUTS, ("clip", "drop"))
    ),
    scatter_case("scatter_sub", "rows", "drop"),
    scatter_case("scatter_mul", "rows", "drop", wrt=(0,)),
    scatter_case("scatter_mul", "rows", "drop", unique=True),
    scatter_case("scatter_mul", "batching", "drop", unique=True),
    *(scatter_case(name, "windows", "drop") for name in ("scatter_min", "scatter_max")),
    *(scatter_case(name, "rows", "clip") for name in ("scatter_min", "scatter_max")),
    *(scatter_case("scatter", layout, "drop") for layout in ("rows", "windows", "batching", "one")),
    *(scatter_case("scatter", layout, "drop", unique=True) for layout in ("rows", "elements", "batching")),
    scatter_case("scatter", "windows", "clip"),
    Case(
        "scatter_apply",
        lambda x, i: lax.scatter_apply(
            x, i, lax.sin, S((1,), (0,), (0,)), update_shape=(2, 3), unique_indices=True
        ),
        lambda rng: (rng.normal(size=(4, 3)), rng.permutation(5)[:2, None].astype(np.int32)),
        lambda x, i: np.where(np.isin(np.arange(4), i)[:, None], np.sin(x), x),
    ),
]
CASES = GATHER_CASES + SCATTER_CASES


test_values, test_derivatives, test_batching = rule_tests(CASES)


def test_of_repeated_updates_the_winner_has_the_derivative():
    numbers = S((), (0,), (0,))
    indices = np.array([[1], [1], [0], [1]], np.int32)
    x, u = np.zeros(3), np.array([1.0, 2.0, 3.0, 4.0])
    with enable_x64(True):
        out, gradient = ct.value_and_grad(
            lambda u: lax.reduce_sum(lax.scatter(x, indices, u, numbers), (0,))
        )(u)
    gradient = np.asarray(gradient)
    winner = int(np.argmax(gradient[[0, 1, 3]]))
    assert gradient[2] == 1 and sorted(gradient[[0, 1, 3]]) == [0, 0, 1]
    assert float(out) == 3 + u[[0, 1, 3][winner]]


def test_ties_of_an_extremum_share_the_derivative():
    numbers = S((), (0,), (0,))
    indices = np.array([[0], [0], [1]], np.int32)
    x, u = np.array([2.0, 5.0], np.float32), np.array([2.0, 2.0, 1.0], np.float32)
    grad_x, grad_u = ct.grad(
        lambda x, u: lax.reduce_sum(lax.scatter_max(x, indices, u, numbers), (0,)), (0, 1)
    )(x, u)
    np.testing.assert_allclose(grad_x, [1 / 3, 1])
    np.testing.assert_allclose(grad_u, [1 / 3, 1 / 3, 0])


def test_a_constant_update_needs_no_numbering():
    numbers = S((), (0,), (0,))

    def set_ones(x):
        return lax.reduce_sum(
            lax.scatter(x, np.array([[1], [1]], np.int32), np.ones(2, np.float32), numbers), (0,)
        )

    jaxpr = ct.make_jaxpr(ct.grad(set_ones))(np.zeros(3, np.float32))
    assert "scatter-add" not in [eqn.primitive.name for eqn in jaxpr.eqns]
    np.testing.assert_array_equal(ct.grad(set_ones)(np.zeros(3, np.float32)), [1, 0, 1])


@pytest.mark.parametrize(
    "dtype, fill",
    [("float32", np.nan), ("int8", -128), ("uint16", 65535), ("bool", True), ("bfloat16", np.nan)],
)
def test_default_fill_values(dtype, fill):
    x = lax.convert_element_type(np.zeros(3), dtype)
    out = lax.gather(x, np.array([[5]]), G((), (0,), (0,)), (1,), mode="fill")
    np.testing.assert_array_equal(np.asarray(out).astype(np.float64), [fill])


def test_modes():
    assert lax.GatherScatterMode.from_any(None) is lax.GatherScatterMode.FILL_OR_DROP
    assert lax.GatherScatterMode.from_any("clip") is lax.GatherScatterMode.CLIP
    assert str(lax.GatherScatterMode.CLIP) == "GatherScatterMode.CLIP"
    assert [mode.value for mode in lax.GatherScatterMode] == [1, 2, 3, 4]


def test_an_empty_batch():
    numbers = G((), (0,), (0,))
    x, i = np.zeros((0, 4), np.float32), np.zeros((0, 2, 1), np.int32)
    assert ct.vmap(lambda x, i: lax.gather(x, i, numbers, (1,)))(x, i).shape == (0, 2)
    u = np.zeros((0, 2), np.float32)
    assert ct.vmap(lambda x, i, u: lax.scatter_add(x, i, u, S((), (0,), (0,))))(x, i, u).shape == (0, 4)


x32, i41 = np.zeros((3, 2), np.float32), np.zeros((4, 1), np.int32)
u42 = np.zeros((4, 2), np.float32)
rows = G((1,), (0,), (0,))
srows = S((1,), (0,), (0,))


def gather(numbers, sizes, x=x32, i=i41, **options):
    return lambda: lax.gather(x, i, numbers, sizes, **options)


def scatter(numbers=srows, x=x32, i=i41, u=u42, **options):
    return lambda: lax.scatter(x, i, u, numbers, **options)


ERRORS = [
    (gather(rows, (2, 2)), TypeError, ["axis 0 is collapsed", "(3, 2)", "(4, 1)", "(2, 2)"]),
    (gather(rows, (1, 3)), TypeError, ["slice size on axis 1", "[0, 2]"]),
    (gather(rows, (1,)), TypeError, ["one entry for each axis", "(1,)"]),
    (gather(G((0, 1), (0,), (0,)), (1, 2)), TypeError, ["offset_dims"]),
    (gather(G((5,), (0,), (0,)), (1, 2)), TypeError, ["offset_dims", "[0, 2)"]),
    (gather(G((1,), (5,), (0,)), (1, 2)), TypeError, ["collapsed_slice_dims", "[0, 2)"]),
    (gather(G((1,), (0,), (0, 1)), (1, 2)), TypeError, ["start_index_map", "1 entries"]),
    (gather(G((1,), (0,), (7,)), (1, 2)), TypeError, ["start_index_map", "[0, 2)"]),
    (gather(G((1,), (0,), (0,), (0,), (0,)), (1, 2)), TypeError, ["operand_batching_dims", "share"]),
    (gather(rows, (1, 2), i=i41.astype(np.float32)), ValueError, ["integer", "float32"]),
    (gather(rows, (1, 2), mode="wrap"), ValueError, ["'wrap'", "'clip'"]),
    (gather(rows, (1, 2), mode="one_hot"), ValueError, ["one_hot"]),
    (gather(((1,), (0,), (0,)), (1, 2)), TypeError, ["GatherDimensionNumbers"]),
    (scatter(u=np.zeros((4, 3), np.float32)), TypeError, ["axis 1 of the updates", "3 long", "2 long"]),
    (scatter(u=np.zeros((5, 2), np.float32)), TypeError, ["batch axes", "(5, 2)", "(4, 1)"]),
    (scatter(u=np.zeros(4, np.float32)), TypeError, ["updates need 2 axes"]),
    (scatter(S((0, 1), (), (0,))), TypeError, ["updates need 3 axes"]),
    (scatter(S((1,), (7,), (0,))), TypeError, ["inserted_window_dims"]),
    (scatter(S((1,), (0,), (0, 1))), TypeError, ["scatter_dims_to_operand_dims"]),
    (scatter(u=u42.astype(np.int32)), TypeError, ["float32, int32"]),
    (scatter(i=i41.astype(np.float32)), ValueError, ["integer"]),
    (scatter(i=np.int32(0)), TypeError, ["at least one axis"]),
    (
        lambda: ct.grad(lambda u: lax.reduce_sum(lax.scatter_mul(x32, i41, u, srows), (0, 1)))(u42),
        NotImplementedError,
        ["scatter_mul", "unique_indices=True"],
    ),
    (
        lambda: lax.scatter_apply(x32, i41, lax.is_finite, srows, update_shape=(4, 2)),
        TypeError,
        ["scatter_apply", "bool[]"],
    ),
]


@pytest.mark.parametrize("call, error, words", ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message
