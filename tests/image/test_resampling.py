"""Resized images against interpolation in NumPy, and against values of JAX."""

import json
import pathlib

import numpy as np
import pytest

import canter as ct

_IMAGE = (np.arange(24) ** 2 % 17).reshape(4, 3, 2).astype(np.float32)
_GOLDEN = json.loads((pathlib.Path(__file__).parent / "data" / "resized.json").read_text())


@pytest.mark.parametrize("name", sorted(_GOLDEN))
def test_resize_as_jax(name):
    method, *shape, antialias = name.split()
    got = ct.image.resize(_IMAGE, tuple(map(int, shape)), method, antialias=antialias == "True")
    np.testing.assert_allclose(got, _GOLDEN[name], atol=2e-5)


def test_linear_is_interpolation():
    line = np.array([0.0, 1.0, 4.0, 9.0], np.float32)
    places = (np.arange(10) + 0.5) * 0.4 - 0.5
    np.testing.assert_allclose(
        ct.image.resize(line, (10,), "linear"), np.interp(places, np.arange(4), line), atol=1e-6
    )


def test_translation_and_gradient():
    line = np.arange(4, dtype=np.float32)
    moved = ct.image.scale_and_translate(line, (4,), (0,), np.ones(1), np.ones(1), "linear")
    assert moved.tolist() == [0.0, 0.0, 1.0, 2.0]
    np.testing.assert_allclose(
        ct.grad(lambda x: ct.image.resize(x, (8,), "cubic").sum())(line).sum(), 8.0, rtol=1e-5
    )


def test_mistakes():
    with pytest.raises(ValueError, match="dimensions"):
        ct.image.resize(_IMAGE, (2, 2), "linear")
    with pytest.raises(ValueError, match="Unknown resize method"):
        ct.image.resize(_IMAGE, _IMAGE.shape, "blurred")
    with pytest.raises(ValueError, match="nearest"):
        ct.image.scale_and_translate(_IMAGE, _IMAGE.shape, (0,), np.ones(1), np.ones(1), "nearest")
