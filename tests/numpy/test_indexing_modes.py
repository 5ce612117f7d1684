"""Indexing and its modes against JAX, whose results are in `data/indexing_modes.json`."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.numpy import indexing_modes

WANTED = json.loads(Path(__file__).with_name("data").joinpath("indexing_modes.json").read_text())


def compare(found, wanted, expression):
    if isinstance(wanted, list):
        for one, other in zip(found, wanted, strict=True):
            compare(one, other, expression)
        return
    assert found["dtype"] == wanted["dtype"], expression
    np.testing.assert_allclose(
        np.array(found["value"]), np.array(wanted["value"]), rtol=1e-6, err_msg=expression
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of values that lose their fraction
@pytest.mark.parametrize("expression", WANTED)
def test_index(expression):
    found, wanted = indexing_modes.evaluate(expression, "canter"), WANTED[expression]
    if "error" in wanted:
        assert "error" in found, f"{expression} gives {found}; it should raise {wanted['error'][0]}"
        assert wanted["error"][0] in found["error"] or set(wanted["error"][1:-3]) & set(
            found["error"][:-3]
        ), found
    else:
        assert "error" not in found, f"{expression} raises {found}"
        compare(found, wanted, expression)


def test_the_table_is_that_of_the_data():
    assert list(WANTED) == indexing_modes.EXPRESSIONS.strip().splitlines()


@pytest.mark.parametrize("expression", indexing_modes.OUT_OF_BOUNDS.strip().splitlines())
def test_static_indices_out_of_bounds_raise(expression):
    assert "IndexError" in indexing_modes.evaluate(expression, "canter")["error"]
