"""The checker finds each way in which a jaxpr can be wrong."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.avals import ShapedArray
from canter.core.checker import check_jaxpr
from canter.core.jaxpr import ClosedJaxpr, DropVar, Jaxpr, Literal, Var
from canter.errors import JaxprTypeError


def _program():
    def f(x, y):
        z = lax.add(lax.sin(x), y)
        return ct.jit(lambda a: lax.mul(a, 2.0))(z), lax.reduce_sum(z, (0,))

    return ct.make_jaxpr(f)(np.ones(3, np.float32), np.ones(3, np.float32))


def test_legal_programs_pass():
    closed = _program()
    check_jaxpr(closed)
    check_jaxpr(closed.jaxpr)
    check_jaxpr(ct.make_jaxpr(ct.grad(lambda x: lax.sin(lax.mul(x, x))))(1.0))
    check_jaxpr(ct.make_jaxpr(ct.vmap(lambda x: lax.cumsum(x)))(np.ones((2, 3), np.float32)))
    check_jaxpr(ct.make_jaxpr(lambda: 1.0)())


def _replace_eqn(jaxpr, index, **changes):
    eqns = list(jaxpr.eqns)
    eqns[index] = eqns[index].replace(**changes)
    return jaxpr.replace(eqns=eqns)


def _var(*shape, dtype="float32"):
    return Var(ShapedArray(shape, dtype))


def _swapped(j):
    return j.replace(eqns=[j.eqns[1], j.eqns[0], *j.eqns[2:]])


def _inner_broken(j):
    position = next(i for i, eqn in enumerate(j.eqns) if eqn.primitive.name == "jit")
    inner = j.eqns[position].params["jaxpr"]
    broken = ClosedJaxpr(_replace_eqn(inner.jaxpr, 0, outvars=[_var(4)]), inner.consts)
    return _replace_eqn(j, position, params={**j.eqns[position].params, "jaxpr": broken})


BROKEN = {
    "used before bound": (_swapped, "used before it is bound"),
    "foreign variable": (
        lambda j: _replace_eqn(j, 0, invars=[_var(3)]),
        "operand 0.*used before it is bound",
    ),
    "bound twice": (lambda j: _replace_eqn(j, 0, outvars=[j.invars[0]]), "bound twice"),
    "argument twice": (
        lambda j: j.replace(invars=[j.invars[0]] * 2),
        "bound twice, the second time as argument",
    ),
    "result of wrong shape": (lambda j: _replace_eqn(j, 0, outvars=[_var(4)]), r"f32\[4\].*gives f32\[3\]"),
    "result of wrong dtype": (lambda j: _replace_eqn(j, 0, outvars=[_var(3, dtype="int32")]), r"i32\[3\]"),
    "too many results": (
        lambda j: _replace_eqn(j, 0, outvars=[_var(3), _var(3)]),
        "gives 1 results.*binds 2",
    ),
    "operands of wrong type": (
        lambda j: _replace_eqn(j, 0, invars=[Literal(1, ShapedArray((), "int32"))]),
        "sin",
    ),
    "literal with dimensions": (
        lambda j: _replace_eqn(j, 0, invars=[Literal(np.ones(3, np.float32), ShapedArray((3,), "float32"))]),
        "must be a scalar",
    ),
    "literal of wrong dtype": (
        lambda j: j.replace(outvars=[Literal(np.float32(1), ShapedArray((), "int32")), j.outvars[1]]),
        "result 0 is a literal of dtype float32",
    ),
    "dropped variable used": (
        lambda j: j.replace(outvars=[DropVar(ShapedArray((3,), "float32")), j.outvars[1]]),
        "dropped variable",
    ),
    "not an atom": (lambda j: j.replace(outvars=[1.0, j.outvars[1]]), "variable or a literal"),
    "argument that is no variable": (
        lambda j: j.replace(invars=[1.0]),
        "argument of a jaxpr must be a variable",
    ),
    "inner jaxpr": (_inner_broken, r"f32\[4\]"),
    "effects not declared": (lambda j: _replace_eqn(j, 0, effects=frozenset({"io"})), "effects.*io"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_programs(name):
    breaking, words = BROKEN[name]
    with pytest.raises(JaxprTypeError) as error:
        check_jaxpr(breaking(_program().jaxpr))
    message = str(error.value)
    import re

    assert re.search(words, message, re.S), message
    assert len(message.splitlines()) <= 15


def test_the_message_shows_the_equation_and_the_line():
    with pytest.raises(JaxprTypeError, match=r"= sin (.|\n)*test_checker.py:\d+"):
        check_jaxpr(_replace_eqn(_program().jaxpr, 0, outvars=[_var(4)]))


def test_constants():
    closed = ct.make_jaxpr(lambda x: lax.add(x, np.arange(3, dtype=np.float32)))(np.ones(3, np.float32))
    check_jaxpr(closed)
    closed.consts[0] = np.ones(4, np.float32)
    with pytest.raises(JaxprTypeError, match=r"shape \(4,\)"):
        check_jaxpr(closed)


def test_open_jaxpr_by_hand():
    x = _var()
    check_jaxpr(Jaxpr([], [x], [x], []))
