"""Segment reductions against a loop."""

import numpy as np
import pytest

import canter as ct
from canter import ops

_DATA = np.array([[1.0, 5.0], [2.0, -1.0], [3.0, 0.5], [4.0, 2.0], [7.0, 7.0]], np.float32)
_IDS = np.array([0, 2, 0, 7, -1])
_REDUCE = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}
_EMPTY = {"sum": 0.0, "prod": 1.0, "max": -np.inf, "min": np.inf}


def _loop(name, count):
    rows = [_DATA[i == _IDS] for i in range(count)]
    return np.array([_REDUCE[name](r, axis=0) if len(r) else [_EMPTY[name]] * 2 for r in rows])


@pytest.mark.parametrize("name", sorted(_REDUCE))
@pytest.mark.parametrize("bucket_size", [None, 2])
def test_segments(name, bucket_size):
    function = getattr(ops, f"segment_{name}")
    np.testing.assert_allclose(function(_DATA, _IDS, 4, bucket_size=bucket_size), _loop(name, 4))
    assert function(_DATA, _IDS).shape == (8, 2)


def test_integers_and_bools():
    assert ops.segment_max(np.array([3, 4]), np.array([1, 1]), 2).tolist() == [-(2**31), 4]
    assert ops.segment_min(np.array([True, False]), np.array([1, 1]), 2).tolist() == [True, False]


def test_gradient_and_batching():
    slopes = ct.grad(lambda d: (ops.segment_sum(d, _IDS, 4) ** 2).sum())(_DATA[:, 0])
    assert slopes.tolist() == [8.0, 4.0, 8.0, 0.0, 0.0]
    columns = ct.vmap(lambda d: ops.segment_sum(d, _IDS, 4), in_axes=1, out_axes=1)(_DATA)
    np.testing.assert_allclose(columns, _loop("sum", 4))


def test_mistakes():
    with pytest.raises(TypeError, match="num_segments"):
        ct.jit(ops.segment_sum)(_DATA, _IDS)
    with pytest.raises(TypeError, match="integers"):
        ops.segment_sum(_DATA, _IDS.astype(np.float32))
    with pytest.raises(ValueError, match="first dimensions"):
        ops.segment_sum(_DATA, np.array([0, 1]))
