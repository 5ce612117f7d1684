"""`Format` and `Layout` as placements: what arrays can be is taken at its word, the rest is refused."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
from canter.experimental.layout import Format, Layout

from .meshes import named

X = np.arange(32, dtype=np.float32).reshape(8, 4)
ROWS, COLUMNS = Layout((0, 1)), Layout((1, 0))
ONE = ct.sharding.SingleDeviceSharding(ct.devices()[1])


@pytest.mark.parametrize("sharding", [named("x"), ONE], ids=["mesh", "device"])
def test_row_major_formats_are_those_of_arrays(sharding):
    put = ct.device_put(X, Format(ROWS, sharding))
    assert put.sharding == sharding and put.format.layout.major_to_minor == (0, 1)
    f = ct.jit(
        lambda x: x + 1, in_shardings=Format(ROWS, sharding), out_shardings=Format(Layout.AUTO, sharding)
    )
    np.testing.assert_array_equal(f(X), X + 1)
    compiled = f.lower(X).compile()
    ((own,), _), out = compiled.input_formats, compiled.output_formats
    assert own == out == put.format
    assert ct.device_put(X, put.format).format == put.format


REFUSED = {
    "device_put, columns": (lambda: ct.device_put(X, Format(COLUMNS, ONE)), NotImplementedError, "row-major"),
    "device_put, automatic": (lambda: ct.device_put(X, Format(Layout.AUTO, ONE)), ValueError, "concrete"),
    "device_put, rank": (lambda: ct.device_put(X, Format(Layout((0, 1, 2)), ONE)), ValueError, "rank.*has 2"),
    "jit argument": (
        lambda: ct.jit(lambda x: x, in_shardings=Format(COLUMNS, named("x")))(X), NotImplementedError, "in_shardings",
    ),
    "jit argument, rank": (
        lambda: ct.jit(lambda x: x, in_shardings=Format(Layout((0,)), named("x")))(X), ValueError, "argument x.*rank",
    ),
    "jit result": (
        lambda: ct.jit(lambda x: x, out_shardings=Format(COLUMNS, ONE))(X), NotImplementedError, "out_shardings",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_other_formats_are_refused(case):
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()
