"""The remainder that integers are drawn with, against NumPy's."""

import numpy as np
import pytest

import canter as ct
from canter.random.bodies import _remainder_by

PER_SPAN = 2000


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_remainders_near_multiples_of_any_span(dtype):
    random = np.random.default_rng(0)
    top = 1 << dtype().itemsize * 8
    root = 1 << dtype().itemsize * 4
    spans = [1, 2, 3, 5, 7, root - 1, root, root + 1, top // 3, top // 2 - 1, top // 2, top // 2 + 1, top - 1]
    spans += [int(2**power) for power in random.uniform(0, dtype().itemsize * 8, 100)]
    with ct.enable_x64(True):
        remainders = ct.jit(lambda x, span: _remainder_by(span, x.shape)(x))
        for span in map(dtype, spans):
            multiples = random.integers(0, max(1, top // int(span)), PER_SPAN, dtype) * span
            x = np.concatenate([multiples, multiples - dtype(1), random.integers(0, top, PER_SPAN, dtype)])
            np.testing.assert_array_equal(remainders(x, span), x % span)
        np.testing.assert_array_equal(remainders(x, dtype(0)), x)
