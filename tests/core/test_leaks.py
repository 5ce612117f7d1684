"""The flags that look for defects while tracing: leaked tracers, illegal jaxprs."""

import numpy as np
import pytest

import canter as ct
from canter import lax
from canter.errors import UnexpectedTracerError

VECTOR = np.ones(3, np.float32)

TRANSFORMED = {
    "jit": lambda f: ct.jit(f)(VECTOR),
    "make_jaxpr": lambda f: ct.make_jaxpr(f)(VECTOR),
    "grad": lambda f: ct.grad(lambda x: lax.reduce_sum(f(x), (0,)))(VECTOR),
    "jvp": lambda f: ct.jvp(f, (VECTOR,), (VECTOR,)),
    "vmap": lambda f: ct.vmap(f)(np.ones((2, 3), np.float32)),
    "scan": lambda f: lax.scan(lambda c, _: (f(c), None), VECTOR, length=2),
    "vmap of grad of jit": lambda f: ct.vmap(ct.grad(ct.jit(lambda x: lax.reduce_sum(f(x), (0,)))))(
        VECTOR[None]
    ),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_leaks_are_found(name):
    kept = []

    def leaky(x):
        kept.append(lax.sin(x))
        return x

    with ct.checking_leaks(), pytest.raises(UnexpectedTracerError, match="leaked") as caught:
        TRANSFORMED[name](leaky)
    message = str(caught.value)
    assert "f32[3]" in message and "held by a list" in message and "Return values" in message
    assert len(message.splitlines()) <= 15


@pytest.mark.parametrize("name", TRANSFORMED)
def test_clean_functions_pass(name):
    with ct.checking_leaks():
        TRANSFORMED[name](lambda x: lax.sin(lax.mul(x, x)))


def test_the_flag_makes_compiled_functions_trace_again():
    kept = []

    @ct.jit
    def leaky(x):
        kept.append(x)
        return x

    leaky(VECTOR)
    with ct.check_tracer_leaks(True), pytest.raises(UnexpectedTracerError):
        leaky(VECTOR)


def test_holders_are_named():
    class Model:
        pass

    model = Model()

    def forward(x):
        model.activation = lax.sin(x)
        return x

    with ct.checking_leaks(), pytest.raises(UnexpectedTracerError, match=r"'activation'|a Model") as caught:
        ct.jit(forward)(VECTOR)
    assert "computed by sin" in str(caught.value)


@pytest.mark.parametrize("name", TRANSFORMED)
def test_every_jaxpr_of_the_transformations_is_legal(name):
    with ct.enable_checks(True):
        TRANSFORMED[name](lambda x: lax.sin(lax.mul(x, lax.add(x, 1.0))))
