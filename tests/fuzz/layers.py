"""Random models of repeated layers, with what makes layers unlike: shared weights, skips, numbers of their own."""

from __future__ import annotations

import random as python_random
from collections.abc import Callable
from typing import Any

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax

WIDTH = 3

# Each takes the value, the layer's input, the model's input, and a number of the layer's own or of all.
STEPS: tuple[Callable[[Any, Any, Any, float], Any], ...] = (
    lambda y, x, first, c: cnp.sin(y),
    lambda y, x, first, c: y * c,
    lambda y, x, first, c: cnp.tanh(y) + x,
    lambda y, x, first, c: cnp.where(y > c, y, 0.0),
    lambda y, x, first, c: y + first,
    lambda y, x, first, c: y - y.mean(0),
    lambda y, x, first, c: y.reshape(WIDTH, 2).reshape(2, WIDTH),
    lambda y, x, first, c: y + 0.1 * cnp.cumsum(y, int(10 * c) % 2),
    lambda y, x, first, c: lax.integer_pow(y, 2) * 0.1,
    lambda y, x, first, c: cnp.concatenate([y[:1], y[1:]], 0),
)


def random_model(seed: int) -> tuple[Callable[..., Any], tuple[Any, Any]]:
    """A function of weights and an input, often a gradient, and arguments for it."""
    choose, numbers = python_random.Random(seed), np.random.default_rng(seed)
    depth = choose.randint(4, 9)
    steps = [choose.choice(STEPS) for _ in range(choose.randint(6, 14))]
    shares, keeps, own_numbers, is_gradient = (choose.random() < p for p in (0.4, 0.3, 0.4, 0.6))
    odd = choose.choice([None, choose.randrange(depth)])
    twice = choose.choice([None, choose.randrange(depth)])
    weights = [tuple(numbers.normal(size=(2, WIDTH, WIDTH)) / 2) for _ in range(depth)]

    def model(weights: Any, first: Any) -> Any:
        x, kept = first, []
        for t, pair in enumerate(weights):
            a, b = weights[0] if shares and t % 2 else pair
            y = x @ a
            for step in steps:
                y = step(y, x, first, 0.1 * (t + 1) if own_numbers else 0.3)
            if t == odd:
                y = y * 2.0 + first
            x = cnp.tanh(y @ (a if t == twice else b)) + x
            if keeps and t % 2 == 0:
                kept.append(x)
        return x.sum() + sum((k * k).sum() for k in kept)

    function = ct.grad(model, argnums=(0, 1)) if is_gradient else model
    return function, (weights, numbers.normal(size=(2, WIDTH)))
