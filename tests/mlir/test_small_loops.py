"""Which modules ask the compiler to run their loops as one piece of code, and that it makes no difference."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import debug, lax
from canter_mlir.driver import lower_jaxpr_to_module
from canter_mlir.small_loops import small_loops_attribute
from canter_pjrt.compile import _with_marked_options, compile_options


def scalars(leaves):
    def body(carry, _):
        rotated = carry[1:] + carry[:1]
        return [cnp.sin(x) * a + 0.1 * y for x, a, y in zip(carry, leaves, rotated, strict=True)], None

    return sum(lax.scan(body, list(leaves), None, length=20)[0])


def in_python(leaves):
    carry = list(leaves)
    for _ in range(20):
        carry = [
            np.sin(x) * a + 0.1 * y for x, a, y in zip(carry, leaves, carry[1:] + carry[:1], strict=True)
        ]
    return sum(carry)


def matrix(x):
    return lax.scan(lambda c, _: (cnp.tanh(c @ c), None), x, None, length=20)[0]


def callback(x):
    def body(c, _):
        debug.print("{}", c)
        return c + 1.0, None

    return lax.scan(body, x, None, length=20)[0]


LEAVES = [np.float32(0.1 * i) for i in range(6)]


@pytest.mark.parametrize(
    ("fun", "argument", "marked"),
    [
        (scalars, LEAVES, True),
        (ct.grad(scalars), LEAVES, True),
        (lambda n: lax.while_loop(lambda i: i * i < n, lambda i: i + 1, 0), 50, True),
        (matrix, np.ones((4, 4), np.float32), False),
        (lambda x: lax.fori_loop(0, 9, lambda i, y: y * 2.0, x), np.ones(1000, np.float32), False),
        (lambda x: (scalars(x), matrix(cnp.ones((4, 4)))), LEAVES, False),
        (callback, 1.0, False),
        (lambda x: x + 1, 1.0, False),
    ],
)
def test_marked_are_modules_all_of_whose_loops_are_small(fun, argument, marked):
    for platform in ("cpu", "cuda"):
        module = lower_jaxpr_to_module(ct.make_jaxpr(fun)(argument), platforms=(platform,))
        assert (small_loops_attribute in module.operation.attributes) == (marked and platform == "cpu")


def test_the_mark_becomes_an_option_of_the_compiler():
    module = lower_jaxpr_to_module(ct.make_jaxpr(scalars)(LEAVES))
    plain = compile_options(ct.devices()[:1], {"xla_cpu_enable_fast_math": False})
    made = _with_marked_options(module, plain)
    assert b"xla_cpu_small_while_loop_byte_threshold" in made.SerializeAsString()
    assert made.env_option_overrides == plain.env_option_overrides
    assert made.num_replicas == plain.num_replicas
    assert _with_marked_options("module {}", plain) is plain


def test_results_are_those_of_the_loop():
    value, grads = ct.jit(ct.value_and_grad(scalars))(LEAVES)
    np.testing.assert_allclose(value, in_python(LEAVES), rtol=1e-5)
    step = 1e-6
    for i, got in enumerate(grads):
        up, down = (
            [np.float64(x) + sign * step * (i == k) for k, x in enumerate(LEAVES)] for sign in (1, -1)
        )
        np.testing.assert_allclose(got, (in_python(up) - in_python(down)) / (2 * step), rtol=1e-4, atol=1e-5)


def test_rows_of_many_small_arrays_are_read_and_written_together():
    def stacked(xs):
        def body(carry, x):
            scalars, pairs, whole = x
            total = sum(scalars) + sum(p.sum() for p in pairs)
            return carry + total, ([s * carry for s in scalars], [p + carry for p in pairs], whole + 1)

        return lax.scan(body, np.float32(0), xs, reverse=True, unroll=2)

    generator = np.random.default_rng(0)
    scalars = [generator.normal(size=7).astype(np.float32) for _ in range(5)]
    pairs = [generator.normal(size=(7, 2)).astype(np.float32) for _ in range(4)]
    xs = (scalars, pairs, np.arange(7))
    text = str(lower_jaxpr_to_module(ct.make_jaxpr(stacked)(xs)))
    assert "tensor<7x13xf32>" in text and text.count("stablehlo.dynamic_update_slice") == 6  # of three steps
    last, (by_carry, shifted, counted) = ct.jit(stacked)(xs)
    with ct.disable_jit():
        want_last, (want_by_carry, want_shifted, want_counted) = stacked(xs)
    np.testing.assert_allclose(last, want_last, rtol=1e-5)
    np.testing.assert_array_equal(counted, want_counted)
    for got, want in zip([*by_carry, *shifted], [*want_by_carry, *want_shifted], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
