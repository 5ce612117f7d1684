"""Checks of an operation's rules against oracles that know nothing of them.

A case is a function of arrays and a maker of arguments. Values are compared with NumPy, derivatives
with central differences in float64, batching with a loop. Each check compiles once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import canter as ct
from canter.core.config import enable_x64


class Case(NamedTuple):
    """One function to check.

    Attributes:
      name: for the test's id.
      fun: from arrays to an array or a list of arrays.
      make: from a NumPy generator to a tuple of arguments, floats in float64.
      oracle: the same function in NumPy, or None.
      wrt: positions of the arguments to differentiate by; None is all of floating dtype.
      batched: whether the function may be batched.
    """

    name: str
    fun: Callable[..., Any]
    make: Callable[[np.random.Generator], tuple[Any, ...]]
    oracle: Callable[..., Any] | None = None
    wrt: tuple[int, ...] | None = None
    batched: bool = True


def flat(out: Any) -> list[Any]:
    """The results of a function as a list."""
    return list(out) if isinstance(out, (list, tuple)) else [out]


def _is_inexact(x: Any) -> bool:
    return np.issubdtype(np.asarray(x).dtype, np.inexact)


def random_like(x: Any, rng: np.random.Generator) -> np.ndarray:
    """Normal numbers of the shape and dtype of x."""
    x = np.asarray(x)
    values = rng.normal(size=x.shape)
    if np.issubdtype(x.dtype, np.complexfloating):
        values = values + 1j * rng.normal(size=x.shape)
    return np.asarray(values, x.dtype)


def check_values(case: Case, rtol: float = 1e-6) -> None:
    """Compares the function, eager and compiled, with its oracle."""
    with enable_x64(True):
        args = case.make(np.random.default_rng(0))
        compiled = flat(ct.jit(case.fun)(*args))
        if case.oracle is not None:
            for got, wanted in zip(compiled, flat(case.oracle(*args)), strict=True):
                assert got.dtype == np.asarray(wanted).dtype
                np.testing.assert_allclose(np.asarray(got), wanted, rtol=rtol, atol=1e-9)
        for got, wanted in zip(flat(case.fun(*args)), compiled, strict=True):
            np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=rtol, atol=1e-9)


def check_derivatives(case: Case, rtol: float = 1e-5, step: float = 1e-6) -> None:
    """Compares jvp with central differences, and vjp with the transpose of jvp."""
    rng = np.random.default_rng(1)
    with enable_x64(True):
        args = case.make(rng)
        wrt = case.wrt
        if wrt is None:
            wrt = tuple(i for i, x in enumerate(args) if _is_inexact(x))

        def of_active(*active: Any) -> list[Any]:
            full = list(args)
            for i, x in zip(wrt, active, strict=True):
                full[i] = x
            return flat(case.fun(*full))

        point = [np.asarray(args[i]) for i in wrt]
        direction = [random_like(x, rng) for x in point]
        compiled = ct.jit(of_active)
        ahead, behind = (
            compiled(*(x + sign * step * v for x, v in zip(point, direction, strict=True)))
            for sign in (1, -1)
        )
        numeric = [(np.asarray(a) - np.asarray(b)) / (2 * step) for a, b in zip(ahead, behind, strict=True)]
        cotangent = [random_like(x, rng) for x in numeric]

        @ct.jit
        def both(xs: Any, vs: Any, cts: Any) -> Any:
            outs, tangents = ct.jvp(of_active, tuple(xs), tuple(vs))
            return outs, tangents, ct.vjp(of_active, *xs)[1](cts)

        outs, tangents, gradients = both(point, direction, cotangent)
        for got, wanted in zip(outs, compiled(*point), strict=True):
            np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), rtol=1e-9, atol=1e-12)
        for got, wanted in zip(tangents, numeric, strict=True):
            np.testing.assert_allclose(np.asarray(got), wanted, rtol=rtol, atol=1e-6)
        forward = sum(np.sum(np.asarray(t) * c) for t, c in zip(tangents, cotangent, strict=True))
        backward = sum(np.sum(np.asarray(g) * v) for g, v in zip(gradients, direction, strict=True))
        # Of complex numbers only the real parts of both products are defined to agree.
        np.testing.assert_allclose(np.real(forward), np.real(backward), rtol=1e-7, atol=1e-9)
        for x, gradient in zip(point, gradients, strict=True):
            assert gradient.shape == x.shape and gradient.dtype == x.dtype


def check_batching(case: Case, rtol: float = 1e-6, size: int = 3) -> None:
    """Compares vmap, for every choice of mapped arguments and their axes, with a loop."""
    rng = np.random.default_rng(2)
    with enable_x64(True):
        samples = [case.make(rng) for _ in range(size)]
        compiled = ct.jit(case.fun)
        count = len(samples[0])
        # Every subset of the arguments along the first axis, and each alone along the last one.
        choices = [axes for axes in itertools.product((None, 0), repeat=count) if any(a == 0 for a in axes)]
        choices += [
            tuple(-1 if i == j else None for j in range(count))
            for i in range(count)
            if np.ndim(samples[0][i])
        ]
        operands = [
            tuple(
                np.asarray(samples[0][i])
                if axis is None
                else np.stack([np.asarray(sample[i]) for sample in samples], axis)
                for i, axis in enumerate(axes)
            )
            for axes in choices
        ]

        @ct.jit
        def all_choices(operands: Any) -> Any:
            return [
                flat(ct.vmap(lambda *args: tuple(flat(case.fun(*args))), axes)(*args))
                for axes, args in zip(choices, operands, strict=True)
            ]

        for axes, results in zip(choices, all_choices(operands), strict=True):
            rows = [
                flat(compiled(*(samples[0 if a is None else k][i] for i, a in enumerate(axes))))
                for k in range(size)
            ]
            for j, got in enumerate(results):
                wanted = np.stack([np.asarray(row[j]) for row in rows])
                np.testing.assert_allclose(
                    np.asarray(got), wanted, rtol=rtol, atol=1e-9, err_msg=f"in_axes={axes}"
                )


def rule_tests(cases: list[Case]) -> tuple[Callable[..., None], ...]:
    """The tests of a module's cases: of values, of derivatives, of batching."""
    each = pytest.mark.parametrize("case", cases, ids=lambda case: case.name)

    @each
    def test_values(case: Case) -> None:
        check_values(case)

    @each
    def test_derivatives(case: Case) -> None:
        check_derivatives(case)

    @each
    def test_batching(case: Case) -> None:
        check_batching(case)

    return test_values, test_derivatives, test_batching
