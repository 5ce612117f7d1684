"""The generators on the device's bits: keys as JAX makes them on a CPU."""

import numpy as np
import pytest

import canter as ct
from canter import random


def test_rbg_keys():
    key = random.key(7, impl="rbg")
    assert str(key.dtype) == "key<rbg>" and random.key_data(key).tolist() == [0, 7, 0, 7]
    assert random.key_data(random.split(key, 2)).tolist() == [
        [3625411723, 1954958720, 3625411723, 1954958720],
        [195045567, 4062205631, 195045567, 4062205631],
    ]
    assert random.key_data(random.fold_in(key, 3)).tolist() == [276534068, 1641862660] * 2


def test_unsafe_rbg_keys():
    key = random.key(7, impl="unsafe_rbg")
    assert random.key_data(random.split(key, 2)).tolist() == [
        [3109483441, 1367189518, 2515982561, 3310080778],
        [3848958661, 3271070264, 2639373597, 23941900],
    ]
    assert random.key_data(random.fold_in(key, 3)).tolist() == [56543296, 1826787330, 2453521982, 2503663986]


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_samples(impl):
    key = random.key(7, impl=impl)
    assert random.bits(key, (3,)).tolist() == [3109483441, 1367189518, 2515982561]
    assert random.bits(key, (3,), "uint8").tolist() == [177, 14, 225]
    assert 0.2 < float(abs(ct.jit(lambda k: random.normal(k, (100,)))(key)).mean()) < 1.5
    assert sorted(random.permutation(key, 5).tolist()) == list(range(5))


def test_default_generator_by_configuration():
    with ct.default_prng_impl("rbg"):
        assert random.PRNGKey(7).shape == (4,)
        assert random.key_impl(random.key(7)) == "rbg"


def test_poisson_is_refused():
    with pytest.raises(NotImplementedError, match="threefry"):
        random.poisson(random.key(0, impl="rbg"), np.float32(3.0))
