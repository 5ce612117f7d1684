"""Derived programs grow with the program, and no faster, however it is nested."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.core.jaxpr import subjaxprs

POINT = np.array([0.3, 0.7, 1.1], np.float32)


def chain(x, times):
    for _ in range(times):
        x = lax.mul(lax.sin(x), x)
    return x


def nested(wrap):
    def build(x, depth):
        if depth == 0:
            return lax.sin(x)
        return wrap(lambda y: lax.mul(build(y, depth - 1), y))(x)

    return build


def scanned(f):
    return lambda x: lax.scan(lambda c, _: (f(c), c), x, None, length=3)[0]


def chosen(f):
    return lambda x: lax.cond(lax.gt(lax.reduce_sum(x, (0,)), 0.0), f, lax.cos, x)


PROGRAMS = {
    "chain": chain,
    "jit": nested(ct.jit),
    "scan": nested(scanned),
    "cond": nested(chosen),
    "custom_jvp": nested(lambda f: _with_jvp(f)),
    "custom_vjp": nested(lambda f: _with_vjp(f)),
}


def _with_jvp(f):
    wrapped = ct.custom_jvp(lambda x: f(x))
    wrapped.defjvp(lambda primals, tangents: ct.jvp(f, primals, tangents))
    return wrapped


def _with_vjp(f):
    wrapped = ct.custom_vjp(lambda x: f(x))
    wrapped.defvjp(lambda x: ct.vjp(f, x), lambda pull, ct: pull(ct))
    return wrapped


def total(f):
    return lambda x: lax.reduce_sum(f(x), (0,))


TRANSFORMATIONS = {
    "jvp": lambda f: lambda x: ct.jvp(f, (x,), (x,)),
    "vmap": lambda f: lambda x: ct.vmap(f)(lax.broadcast(x, (2,))),
    "grad": lambda f: ct.grad(total(f)),
    "grad of grad": lambda f: ct.grad(total(ct.grad(total(f)))),
    "vmap of grad": lambda f: lambda x: ct.vmap(ct.grad(total(f)))(lax.broadcast(x, (2,))),
}


def count_equations(jaxpr):
    """All equations, those of each inner program once, as it is compiled once."""
    pending, seen, count = [jaxpr], set(), 0
    while pending:
        jaxpr = pending.pop()
        if id(jaxpr) not in seen:
            seen.add(id(jaxpr))
            count += len(jaxpr.eqns)
            pending.extend(subjaxprs(jaxpr))
    return count


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_growth_is_linear(name, transformation):
    if name == "custom_vjp" and transformation == "jvp":
        pytest.skip("custom_vjp has no forward mode")
    program, transform = PROGRAMS[name], TRANSFORMATIONS[transformation]
    sizes = []
    for depth in (2, 4, 6):
        closed = ct.make_jaxpr(transform(lambda x: program(x, depth)))(POINT)
        sizes.append(count_equations(closed.jaxpr))
    first, second = sizes[1] - sizes[0], sizes[2] - sizes[1]
    assert second <= 1.3 * first + 4, f"{sizes} equations for depths 2, 4 and 6"
