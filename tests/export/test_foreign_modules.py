"""Modules that JAX, TensorFlow and PyTorch wrote give what they gave there. tests/export/data has the scripts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export

DATA = Path(__file__).parent / "data"
MODULES = sorted(path.stem for path in DATA.glob("*.mlir"))


def numbered(arrays, prefix):
    return {int(key.removeprefix(prefix)): arrays[key] for key in arrays if key.startswith(prefix)}


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    function = export.from_stablehlo(DATA / f"{name}.mlir")
    arrays = dict(np.load(DATA / f"{name}.npz"))
    inputs = [x for _, x in sorted(numbered(arrays, "in").items())]
    outputs, grads = numbered(arrays, "out"), numbered(arrays, "grad")

    def total(*varied):
        given = list(inputs)
        for i, x in zip(grads, varied, strict=True):
            given[i] = x
        results = function(*given)
        leaves = results if isinstance(results, tuple) else (results,)
        return sum(cnp.sum(cnp.sin(y)) for y in leaves if y.dtype == "float32"), leaves

    if grads:
        varied = [inputs[i] for i in grads]
        places = tuple(range(len(varied)))
        (_, results), found = ct.jit(ct.value_and_grad(total, places, has_aux=True))(*varied)
        for want, got in zip(grads.values(), found, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)
    else:
        results = total()[1]
    for number, want in outputs.items():
        assert results[number].dtype == want.dtype
        np.testing.assert_allclose(results[number], want, rtol=2e-5, atol=2e-5)
