"""The notation of printed jaxprs, against what JAX 0.10.2 prints for the same programs."""

import json
import pathlib

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.avals import ShapedArray
from canter.core.tracing import trace_to_jaxpr
from tests.counting import count_calls

PROGRAMS = json.loads((pathlib.Path(__file__).parent / "data" / "printed_jaxprs.json").read_text())

NAMES = {
    "lax": lax,
    "jit": ct.jit,
    "np": np,
    "f": lambda *shape: np.ones(shape, np.float32),
    "i": lambda *shape: np.ones(shape, np.int32),
}


@pytest.mark.parametrize("title", PROGRAMS)
def test_prints_as_jax_does(title):
    case = PROGRAMS[title]
    function = eval(case["program"], NAMES)
    args = eval(f"({case['arguments']},)" if case["arguments"] else "()", NAMES)
    assert str(ct.make_jaxpr(function)(*args)) == case["printed"]


def _chain(length):
    def program(x):
        for _ in range(length):
            x = lax.sin(x)
        return [x]

    return trace_to_jaxpr(program, [ShapedArray((3,), "float32")])


def test_equation_prints_alone():
    assert str(_chain(2).eqns[1]) == "a:f32[3] = sin b"


def test_source_lines_and_scopes_stand_beside_the_equations():
    with ct.named_scope("outer"):
        closed = _chain(1)
    assert "# " + __file__ in closed.pretty_print(source_info=True)
    assert "# [outer]" in closed.pretty_print(name_stack=True)


def test_options():
    closed = _chain(1)
    assert closed.pretty_print(print_shapes=False) == "{ lambda ; a. let b = sin a in (b,) }"
    assert "sin[accuracy=None]" in closed.pretty_print(custom_pp_eqn_rules=False)
    assert ": {  }" in closed.pretty_print(print_effects=True)
    assert "\x1b[" in closed.pretty_print(use_color=True)
    assert "\x1b[" not in closed.pretty_print()


def test_unused_results_print_as_underscore():
    closed = ct.make_jaxpr(lambda x: lax.top_k(x, 2)[0])(np.ones(3, np.float32))
    assert "_:i32[2]" in str(closed)


def test_cost_is_linear():
    def calls_per_equation(length):
        closed = _chain(length)
        return count_calls(lambda: str(closed)) / length

    assert calls_per_equation(4000) < 1.1 * calls_per_equation(500)  # names get longer
