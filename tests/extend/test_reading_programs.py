"""Programs as text, in colours and with the user's lines, and what is counted in them."""

import io
import re
from contextlib import redirect_stdout

import numpy as np

import canter as ct
from canter import lax
from canter.core import JaxprPpContext
from canter.core.printer import pp_jaxpr
from canter.extend import jaxpr_util


def program():
    def f(x):
        with ct.named_scope("outer"):
            y = lax.sin(x)
        return ct.jit(lambda v: lax.mul(v, y), inline=False)(x)

    return ct.make_jaxpr(f)(1.0)


def test_options_of_printing():
    closed = ct.make_jaxpr(lambda x: lax.mul(lax.sin(x), 2.0))(1.0)
    plain = "{ lambda ; a:f32[]. let b:f32[] = sin a; c:f32[] = mul b 2.0:f32[] in (c,) }"
    assert str(closed) == closed.pretty_print() == closed.jaxpr.pretty_print() == plain
    coloured = closed.pretty_print(use_color=True)
    assert coloured == (
        "{ \x1b[34;1mlambda \x1b[39;22m; a\x1b[35m:f32[]\x1b[39m. \x1b[34;1mlet\x1b[39;22m b\x1b[35m:f32[]\x1b[39m = "
        "sin a; c\x1b[35m:f32[]\x1b[39m = mul b 2.0:f32[] \x1b[34;1min \x1b[39;22m(c,) }"
    )
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert (
        closed.pretty_print(print_shapes=False)
        == "{ lambda ; a. let b = sin a; c = mul b 2.0:f32[] in (c,) }"
    )
    assert "accuracy=None" in closed.pretty_print(custom_pp_eqn_rules=False)
    assert closed.pretty_print(print_effects=True).endswith("in (c,) : {  } }")
    narrow = closed.pretty_print(width=20)
    assert narrow.splitlines() == [
        "{ lambda ; a:f32[]. let",
        "    b:f32[] = sin a",
        "    c:f32[] = mul b 2.0:f32[]",
        "  in (c,) }",
    ]


def test_lines_and_scopes_beside_equations():
    closed = program()
    text = closed.pretty_print(source_info=True, name_stack=True)
    assert f"{__file__}:" in text and "# [outer]" in text and "(program.<locals>.f)" in text
    assert "# " not in closed.pretty_print()
    assert "\x1b[2m" in closed.pretty_print(source_info=True, use_color=True)


def test_names_may_be_given():
    closed = ct.make_jaxpr(lambda x: lax.sin(x))(1.0)
    context = JaxprPpContext({closed.jaxpr.invars[0]: "speed"})
    assert pp_jaxpr(closed, context=context) == "{ lambda ; speed:f32[]. let a:f32[] = sin speed in (a,) }"


def test_counts():
    def f(x):
        y = lax.scan(lambda c, _: (lax.sin(lax.sin(c)), None), x, None, length=4)[0]
        return lax.cond(y.sum() > 0, lax.sin, lax.cos, y)

    closed = ct.make_jaxpr(f)(np.ones(3, np.float32))
    counts = jaxpr_util.primitives(closed)
    assert counts["sin"] == 3 and counts["cos"] == 1 and counts["scan"] == 1 and counts["cond"] == 1
    assert sum(counts.values()) == jaxpr_util.count_eqns(closed)
    assert jaxpr_util.primitives_by_shape(closed)["sin :: float32[3]"] == 3
    lines = jaxpr_util.source_locations(closed)
    assert sum(lines.values()) == sum(counts.values()) and all(__file__ in line for line in lines)
    here = ct.make_jaxpr(lambda x: lax.cond(x.sum() > 0, lax.sin, lax.cos, x))(np.ones(3, np.float32))
    again = jaxpr_util.source_locations(here)
    assert not set(again) & set(lines)  # though the same functions were traced for another line before
    by_source = jaxpr_util.primitives_by_source(closed)
    assert any(key.startswith("sin @ ") and count == 2 for key, count in by_source.items())
    out = io.StringIO()
    with redirect_stdout(out):
        jaxpr_util.print_histogram(counts)
    assert out.getvalue().splitlines()[0] == "3 sin"


def test_where_variables_come_from_and_go():
    closed = ct.make_jaxpr(lambda x: lax.mul(x, lax.sin(x)))(1.0)
    ((program_, variables),) = jaxpr_util.var_defs_and_refs(closed)
    (x, origin, uses), (_, sine, sine_uses), (_, _, result_uses) = variables
    assert program_ is closed.jaxpr and origin is None and [e.primitive.name for e in uses] == ["sin", "mul"]
    assert sine is closed.eqns[0] and sine_uses == [closed.eqns[1]] and result_uses == [None]
    assert list(jaxpr_util.eqns_using_var(closed, x)) == closed.eqns
    shared = ct.jit(lambda v: v + 1)
    twice = ct.make_jaxpr(lambda x: shared(shared(x)))(1.0)
    assert jaxpr_util.count_eqns(twice) == 4 and jaxpr_util.count_eqns(twice, revisit_inner_jaxprs=False) == 3
