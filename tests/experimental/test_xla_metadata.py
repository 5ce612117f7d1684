"""Metadata of operations, as the lowered module has it."""

import re

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental.xla_metadata import set_xla_metadata


def marks(fun, *args):
    """The attributes of each operation that has some: [(operation, {key: text})]."""
    text = ct.jit(fun).lower(*args).as_text()
    found = []
    for line in text.splitlines():
        if "frontend_attributes" in line:
            operation = re.search(r"(stablehlo\.\w+|call)", line)  # none where one with regions ends
            name = operation[1].removeprefix("stablehlo.") if operation else "regions"
            pairs = re.search(r"frontend_attributes = \{(.*?)\}", line)[1]
            found.append((name, dict(re.findall(r'(\w+) = "(.*?)"', pairs))))
    return found


def f(x, y):
    with set_xla_metadata(foo="bar", n=3):
        z = lax.sin(x) * y
        with set_xla_metadata(foo="baz", m=True):
            z = z + 1
    return set_xla_metadata(z * 2, a="b")


OUTER, INNER = {"foo": "bar", "n": "3"}, {"foo": "baz", "m": "true", "n": "3"}


def test_scopes_and_values():
    wanted = [("sine", OUTER), ("multiply", OUTER), ("add", INNER), ("multiply", {"a": "b"})]
    assert marks(f, 1.0, 2.0) == wanted
    assert marks(ct.vmap(f), cnp.ones(2), cnp.ones(2)) == wanted
    assert float(ct.jit(f)(1.0, 2.0)) == pytest.approx(2 * (2 * np.sin(1) + 1), rel=1e-6)
    assert float(f(1.0, 2.0)) == pytest.approx(2 * (2 * np.sin(1) + 1), rel=1e-6)


def test_derivatives_keep_what_the_scopes_say():
    assert dict(marks(ct.grad(f), 1.0, 2.0)) == {"cosine": OUTER, "multiply": OUTER}
    assert float(ct.jit(ct.grad(f))(1.0, 2.0)) == pytest.approx(4 * np.cos(1), rel=1e-6)
    primal, tangent = ct.jvp(lambda x: set_xla_metadata(x * x, a=1), (3.0,), (1.0,))
    assert (float(primal), float(tangent)) == (9.0, 6.0)


def test_functions_and_calls_inside():
    @set_xla_metadata(q="r")
    def g(x):
        return lax.cond(x > 0, lax.sin, lax.cos, x), ct.jit(lambda x: lax.exp(x))(x)

    found = dict(marks(g, 1.0))
    assert {"compare", "cosine", "sine", "exponential", "regions"} <= set(found)
    assert all(pairs == {"q": "r"} for pairs in found.values())
    assert g.__name__ == "g"


def test_equal_functions_in_and_outside_are_two():
    inner = ct.jit(lambda x: lax.exp(x), inline=False)

    def both(x):
        with set_xla_metadata(here="yes"):
            y = inner(x)
        return inner(y)

    text = ct.jit(both).lower(1.0).as_text()
    assert len(re.findall(r"stablehlo.exponential", text)) == 2
    assert len(re.findall(r'stablehlo.exponential .*here = "yes"', text)) == 1


def test_repeated_layers_that_have_metadata_keep_it():
    def layers(x, w):
        for i in range(6):
            with set_xla_metadata(layer=i):
                x = cnp.tanh(cnp.tanh(x @ w) @ w)
        return x

    found = [
        pairs["layer"] for name, pairs in marks(layers, cnp.ones((8, 8)), cnp.ones((8, 8))) if name == "tanh"
    ]
    assert found == [str(i) for i in range(6) for _ in range(2)]


def test_a_function_is_traced_again_under_other_metadata():
    traces = []

    @ct.jit
    def h(x):
        traces.append(1)
        return x + 1

    h(1.0)
    with set_xla_metadata(a=1):
        assert "frontend_attributes" in h.lower(1.0).as_text()
        h(1.0)
        h(2.0)
    h(1.0)
    assert len(traces) == 2 or len(traces) == 3  # one may be of `lower`
    assert "frontend_attributes" not in h.lower(1.0).as_text()


def test_values_outside_of_programs_and_arguments_are_left_alone():
    assert set_xla_metadata((1.0, "text"), a="b") == (1.0, "text")
    assert marks(lambda t: set_xla_metadata(t, k=1), (1.0, 2.0)) == []


def test_names_of_scopes_stay_as_they_are():
    def named(x):
        with ct.named_scope("outer"), set_xla_metadata(a=1):
            return lax.sin(x)

    text = ct.jit(named).lower(1.0).as_text(debug_info=True)
    assert "outer/sin" in text and "a=1" not in text
