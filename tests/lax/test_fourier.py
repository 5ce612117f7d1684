"""Fourier transforms: values against NumPy, derivatives, batching, errors."""

import numpy as np
import pytest

import canter as ct
from canter import lax

from .rule_checks import Case, rule_tests


def real(*shape):
    return lambda rng: (rng.normal(size=shape),)


def complex_(*shape):
    return lambda rng: (rng.normal(size=shape) + 1j * rng.normal(size=shape),)


CASES = [
    Case("FFT", lambda x: lax.fft(x, "FFT", (5,)), complex_(2, 5), np.fft.fft),
    Case("FFT of real", lambda x: lax.fft(x, "fft", (4,)), real(2, 4), np.fft.fft),
    Case("FFT twice", lambda x: lax.fft(x, lax.FftType.FFT, (2, 3)), complex_(4, 2, 3), np.fft.fft2),
    Case("IFFT", lambda x: lax.fft(x, "IFFT", (2, 3)), complex_(2, 3), np.fft.ifft2),
    Case("RFFT even", lambda x: lax.fft(x, "RFFT", (6,)), real(2, 6), np.fft.rfft),
    Case("RFFT odd", lambda x: lax.fft(x, "RFFT", (3, 5)), real(2, 3, 5), np.fft.rfft2),
    Case("IRFFT even", lambda x: lax.fft(x, "IRFFT", (6,)), complex_(2, 4), np.fft.irfft),
    Case(
        "IRFFT odd", lambda x: lax.fft(x, "IRFFT", (3, 5)), complex_(3, 3), lambda x: np.fft.irfft2(x, (3, 5))
    ),
    Case("three axes", lambda x: lax.fft(x, "RFFT", (2, 3, 4)), real(2, 3, 4), np.fft.rfftn),
    Case("no axes", lambda x: lax.fft(x, "FFT", ()), complex_(3), lambda x: x),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


def test_parameters_are_those_of_the_field():
    (eqn,) = ct.make_jaxpr(lambda x: lax.fft(x, "RFFT", [4]))(np.ones(4, np.float32)).eqns
    assert eqn.params == {"fft_type": lax.FftType.RFFT, "fft_lengths": (4,)}
    assert [kind.value for kind in lax.FftType] == [0, 1, 2, 3]


x, c = np.ones((3, 4), np.float32), np.ones((3, 4), np.complex64)

ERRORS = [
    (lambda: lax.fft(c, "bogus", (4,)), ["'bogus'", "IRFFT"]),
    (lambda: lax.fft(c, "RFFT", (4,)), ["RFFT", "complex64"]),
    (lambda: lax.fft(c, "FFT", (5,)), ["(5,)", "(3, 4)"]),
    (lambda: lax.fft(c, "IRFFT", (4,)), ["(3,)", "IRFFT", "(3, 4)"]),
    (lambda: lax.fft(c, "FFT", (1, 1, 3, 4)), ["one to three", "(3, 4)"]),
]


@pytest.mark.parametrize("call, words", ERRORS)
def test_errors(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message


def test_rfft_of_other_types_of_real_numbers():
    whole = np.array([1, 2, 3], np.int32)
    np.testing.assert_allclose(lax.fft(whole, "RFFT", (3,)), np.fft.rfft(whole), rtol=1e-6)
    for dtype in ("bfloat16", "float16"):
        with pytest.raises(ValueError, match=f"float32 or float64, got dtype {dtype}"):
            lax.fft(ct.numpy.ones(3, dtype), "RFFT", (3,))
