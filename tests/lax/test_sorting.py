"""Sorting, largest elements, and the device's random bits."""

import numpy as np
import pytest

import canter as ct
from canter import lax

from .rule_checks import Case, rule_tests


def shuffled(*shapes):
    """Different numbers in random order."""
    return lambda rng: tuple(
        rng.permutation(np.arange(float(np.prod(shape)))).reshape(shape) for shape in shapes
    )


def take(x, order, axis):
    return np.take_along_axis(x, order, axis)


CASES = [
    Case(
        "sort",
        lambda x: [lax.sort(x), lax.sort(x, dimension=0)],
        shuffled((3, 4)),
        lambda x: [np.sort(x), np.sort(x, 0)],
    ),
    Case(
        "sort_key_val",
        lambda x, y: lax.sort_key_val(x, y, 0),
        shuffled((3, 4), (3, 4)),
        lambda x, y: (np.sort(x, 0), take(y, np.argsort(x, 0), 0)),
    ),
    Case(
        "top_k",
        lambda x: [lax.top_k(x, 2)[0], lax.top_k(x, 2, axis=0)[0]],
        shuffled((3, 4)),
        lambda x: [np.sort(x)[:, :-3:-1], np.sort(x, 0)[:-3:-1]],
    ),
    Case(
        "approx_top_k",
        lambda x: [lax.approx_max_k(x, 2)[0], lax.approx_min_k(x, 2, 0)[0]],
        shuffled((3, 4)),
        lambda x: [np.sort(x)[:, :-3:-1], np.sort(x, 0)[:2]],
    ),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


def test_order_of_special_numbers():
    x = np.float32([1, np.nan, -0.0, 0.0, -np.inf, -np.nan, np.inf])
    np.testing.assert_array_equal(np.asarray(lax.sort(x)), [-np.inf, 0, 0, 1, np.inf, np.nan, np.nan])
    z = np.complex64([1 + 1j, 1 - 1j, 2j])
    np.testing.assert_array_equal(np.asarray(lax.sort(z)), [2j, 1 - 1j, 1 + 1j])


def test_several_keys_and_stability():
    first, second = np.array([1, 0, 1, 0], np.int32), np.array([3, 2, 1, 2], np.int32)
    places = np.arange(4, dtype=np.int32)
    order = np.lexsort((second, first))
    outs = lax.sort((first, second, places), num_keys=2)
    for got, operand in zip(outs, (first, second, places), strict=True):
        np.testing.assert_array_equal(np.asarray(got), operand[order])


def test_top_k_takes_the_first_of_equals():
    values, indices = lax.top_k(np.array([2, 7, 7, 1], np.int32), 3)
    assert np.asarray(values).tolist() == [7, 7, 2] and np.asarray(indices).tolist() == [1, 2, 0]
    assert lax.top_k(np.ones((2, 3)), 0)[0].shape == (2, 0)
    assert lax.sort(np.ones((0, 3))).shape == (0, 3)


def test_random_bits():
    key = np.arange(4, dtype=np.uint32)
    state, bits = lax.rng_bit_generator(key, (3,))
    # What XLA's CPU backend gives for this key.
    assert np.asarray(state).tolist() == [0, 1, 3, 3]
    assert np.asarray(bits).tolist() == [895509795, 3230209149, 3834998268]
    _, threefry = lax.rng_bit_generator(key, (4, 2), np.uint8, lax.RandomAlgorithm.RNG_THREE_FRY)
    assert threefry.shape == (4, 2) and threefry.dtype == np.uint8
    states, many = ct.vmap(lambda key: lax.rng_bit_generator(key, (5,)))(np.stack([key, key]))
    assert states.shape == (2, 4) and many.shape == (2, 5) and not np.array_equal(many[0], many[1])
    assert ct.grad(lambda x: lax.mul(x, 2.0) if lax.rng_bit_generator(key, ()) else x)(1.0) == 2.0


def test_random_uniform():
    numbers = np.asarray(ct.jit(lambda: lax.rng_uniform(np.float32(2), np.float32(3), (100,)))())
    assert (numbers >= 2).all() and (numbers < 3).all() and len(set(numbers.tolist())) > 90


F = np.ones((3, 4), np.float32)


@pytest.mark.parametrize(
    "error, message, call",
    [
        (TypeError, r"at least one operand", lambda: lax.sort(())),
        (TypeError, r"equal shapes, got \(3, 4\), \(4,\)", lambda: lax.sort((F, F[0]))),
        (ValueError, r"axis 2 is out of bounds", lambda: lax.sort(F, 2)),
        (ValueError, r"num_keys=2 must be between 1", lambda: lax.sort((F,), num_keys=2)),
        (ValueError, r"out of bounds for array of dimension 0", lambda: lax.sort(F[0, 0])),
        (ValueError, r"k=5 with shape=\(3, 4\) and axis=1", lambda: lax.top_k(F, 5)),
        (ValueError, r"nonnegative, got -1", lambda: lax.top_k(F, -1)),
        (TypeError, r"complex64", lambda: lax.top_k(F + 0j, 1)),
        (ValueError, r"recall_target", lambda: lax.approx_max_k(F, 1, recall_target=2.0)),
        (NotImplementedError, r"aggregate_to_topk", lambda: lax.approx_max_k(F, 1, aggregate_to_topk=False)),
        (
            TypeError,
            r"unsupported dtype float32",
            lambda: lax.rng_bit_generator(np.zeros(4, np.uint32), (3,), np.float32),
        ),
        (
            TypeError,
            r"key must be a uint32 array",
            lambda: lax.rng_bit_generator(np.zeros(3, np.uint32), (3,)),
        ),
        (
            ValueError,
            r"unknown algorithm",
            lambda: lax.rng_bit_generator(np.zeros(4, np.uint32), (3,), algorithm="mt"),
        ),
        (TypeError, r"bounds must be scalars", lambda: lax.rng_uniform(F, F, (3,))),
    ],
)
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        call()
