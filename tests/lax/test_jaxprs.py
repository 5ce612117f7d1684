"""Printed jaxprs of lax calls against those that JAX prints."""

import json
import re

import pytest

import canter as ct
from canter import lax
from tests.lax.jaxpr_programs import GOLDEN, programs

_PROGRAMS = programs(lax)
_PRINTED = json.loads(GOLDEN.read_text())


def _comparable(text):
    """Without line breaks, addresses, and where the accuracy class lives."""
    return re.sub(r"0x[0-9A-Fa-fX]+", "0x", " ".join(text.split()))


@pytest.mark.parametrize("name", sorted(_PRINTED))
def test_prints_as_jax(name):
    fun, args = _PROGRAMS[name]
    printed = str(ct.make_jaxpr(fun)(*args))
    assert _comparable(printed) == _comparable(_PRINTED[name])
    if "0x" not in printed:
        assert printed == _PRINTED[name]
