"""Integers of 2 and 4 bits: the operations that XLA cannot do with them, against NumPy's bytes."""

import ml_dtypes
import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

RNG = np.random.default_rng(0)
# On arrays of Canter's, and on NumPy's int8: both take the module of array functions as their first argument.
PROGRAMS = {
    "sort": lambda m, x, y: m.sort(x),
    "argsort": lambda m, x, y: m.argsort(x, axis=0, stable=True),
    "argmax": lambda m, x, y: m.argmax(x, axis=1),
    "argmin": lambda m, x, y: m.argmin(x),
    "max": lambda m, x, y: x.max(axis=1),
    "concatenate": lambda m, x, y: m.concatenate([x, y], axis=1),
    "stack": lambda m, x, y: m.stack([x, y], axis=1),
    "tile": lambda m, x, y: m.tile(x, (2, 1)),
    "roll": lambda m, x, y: m.roll(x, 1, axis=1),
    "pad": lambda m, x, y: m.pad(x, 1),
    "flip": lambda m, x, y: x[:, ::-1],
    "take": lambda m, x, y: x[m.array([2, 0])],
    "column": lambda m, x, y: x[:, 3],
    "transpose": lambda m, x, y: x.T,
    "where": lambda m, x, y: m.where(y > 0, x, y),
    "maximum": lambda m, x, y: m.maximum(x, y),
    "compare": lambda m, x, y: x < y,
    "tril": lambda m, x, y: m.tril(x),
}


@pytest.mark.parametrize("name", ["int2", "uint2", "int4", "uint4"])
def test_against_bytes(name):
    dtype = np.dtype(getattr(ml_dtypes, name))
    info = ml_dtypes.iinfo(dtype)
    whole = [RNG.integers(info.min, info.max + 1, (3, 5)).astype(np.int8) for _ in range(2)]
    narrow = [cnp.asarray(x.astype(dtype)) for x in whole]

    @ct.jit
    def run(x, y):
        results = {key: program(cnp, x, y) for key, program in PROGRAMS.items()}
        results["top_k"] = lax.top_k(x, 2)
        results["product"] = lax.dot_general(x, y, (((1,), (1,)), ((), ())), preferred_element_type=np.int32)
        results["narrow product"] = lax.dot_general(x, y, (((1,), (1,)), ((), ())))
        return results

    found = run(*narrow)
    for key, program in PROGRAMS.items():
        expected = program(np, *whole)
        np.testing.assert_array_equal(np.asarray(found[key]).astype(np.int64), expected, err_msg=key)
        if expected.dtype == np.int8:
            assert found[key].dtype == dtype, key
    x, y = (a.astype(np.int64) for a in whole)
    values, places = (np.asarray(a).astype(np.int64) for a in found["top_k"])
    np.testing.assert_array_equal(values, -np.sort(-x)[:, :2])
    np.testing.assert_array_equal(np.take_along_axis(x, places, 1), values)
    np.testing.assert_array_equal(found["product"], x @ y.T)
    assert found["narrow product"].dtype == dtype
    wrapped = (x @ y.T).astype(np.int8).astype(dtype).astype(np.int64)
    np.testing.assert_array_equal(np.asarray(found["narrow product"]).astype(np.int64), wrapped)
    eager = cnp.concatenate([narrow[0], narrow[1]])
    np.testing.assert_array_equal(np.asarray(eager).astype(np.int8), np.concatenate(whole))
