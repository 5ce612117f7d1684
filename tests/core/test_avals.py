"""Types of values."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array(np.arange(3.0), [True, False, False])
    for f in (
        ct.typeof,
        ct.jit(lambda x: x),
        cnp.sin,
        ct.grad(cnp.sum),
        ct.device_put,
        lambda x: x + cnp.ones(3),
    ):
        with pytest.raises(ValueError, match=r"masked arrays are not supported"):
            f(masked)
    assert cnp.array(masked.filled(0)).tolist() == [0, 1, 2]
