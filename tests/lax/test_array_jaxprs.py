"""Printed jaxprs of shapes, slices, gather, scatter, products and convolutions against JAX's."""

import json

import pytest

import canter as ct
from canter import lax
from tests.lax.array_programs import GOLDEN, programs

_PROGRAMS = programs(lax)
_PRINTED = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", sorted(_PROGRAMS))
def test_prints_as_jax(name):
    fun, args = _PROGRAMS[name]
    assert str(ct.make_jaxpr(fun)(*args)) == _PRINTED[name]
