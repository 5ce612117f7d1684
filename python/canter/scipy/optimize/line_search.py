"""A step length along a direction that satisfies the strong Wolfe conditions.

Source: Nocedal, Wright, "Numerical optimization", 2nd edition, algorithms 3.5 and 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from canter import lax, numpy as cnp

__all__ = ["Step", "line_search"]

_DECREASE, _CURVATURE = 1e-4, 0.9


class Step(NamedTuple):
    """A step along the direction.

    Attributes:
      length: how far.
      value: the function there.
      gradient: its gradient there.
      evaluations: how often the function was evaluated.
      failed: whether no length satisfies the conditions.
    """

    length: Any
    value: Any
    gradient: Any
    evaluations: Any
    failed: Any


class _State(NamedTuple):
    done: Any
    zooming: Any
    count: Any
    length: Any  # what is tried next
    low: Any  # of the interval that holds a good length: the end with the lower value
    low_value: Any
    low_slope: Any
    high: Any
    high_value: Any
    best: Any
    best_value: Any
    best_gradient: Any


def _cubic_or_middle(state: _State) -> Any:
    """The minimum of the parabola through what is known of the interval, or its middle."""
    width = state.high - state.low
    bend = state.high_value - state.low_value - state.low_slope * width
    guess = state.low - state.low_slope * width * width / (2 * cnp.where(bend == 0, 1, bend))
    first, last = cnp.minimum(state.low, state.high), cnp.maximum(state.low, state.high)
    margin = 0.1 * (last - first)
    usable = (guess > first + margin) & (guess < last - margin)
    return cnp.where(usable, guess, (first + last) / 2)


def line_search(
    value_and_grad: Callable[[Any], tuple[Any, Any]],
    x: Any,
    direction: Any,
    value: Any,
    gradient: Any,
    steps: int,
    first_length: Any = 1.0,
) -> Step:
    """Searches along a direction of descent.

    Args:
      value_and_grad: the function.
      x: where the search begins.
      direction: where it goes.
      value: the function at `x`.
      gradient: its gradient there.
      steps: how often it evaluates the function at most.
      first_length: the first trial.
    """
    slope = cnp.dot(gradient, direction)
    zero = cnp.zeros_like(value)

    def unfinished(state: _State) -> Any:
        return ~state.done & (state.count < steps)

    def step(state: _State) -> _State:
        length = state.length
        here, here_gradient = value_and_grad(x + length * direction)
        here_slope = cnp.dot(here_gradient, direction)
        fails = (here > value + _DECREASE * length * slope) | ~cnp.isfinite(here)
        fails = fails | ((here >= state.low_value) & (state.count > 0))
        good = ~fails & (cnp.abs(here_slope) <= -_CURVATURE * slope)
        # While no interval is known the steps grow: the first failure, or a rising slope, ends one.
        rising = ~fails & (here_slope >= 0)
        zooms = state.zooming | fails | rising
        turned = cnp.where(state.zooming, here_slope * (state.high - state.low) >= 0, rising)
        high = cnp.where(fails, length, cnp.where(turned, state.low, state.high))
        high_value = cnp.where(fails, here, cnp.where(turned, state.low_value, state.high_value))
        low = cnp.where(fails, state.low, length)
        low_value = cnp.where(fails, state.low_value, here)
        low_slope = cnp.where(fails, state.low_slope, here_slope)
        better = good | (~fails & (here < state.best_value))
        new = _State(
            done=good, zooming=zooms, count=state.count + 1, length=length, low=low, low_value=low_value,
            low_slope=low_slope, high=high, high_value=cnp.where(cnp.isfinite(high_value), high_value, here),
            best=cnp.where(better, length, state.best), best_value=cnp.where(better, here, state.best_value),
            best_gradient=cnp.where(better, here_gradient, state.best_gradient),
        )  # fmt: skip
        halved = (new.low + new.high) / 2
        inside = cnp.where(cnp.isfinite(new.high_value), _cubic_or_middle(new), halved)
        return new._replace(length=cnp.where(zooms, inside, 2 * length))

    start = _State(
        done=cnp.asarray(False), zooming=cnp.asarray(False), count=cnp.asarray(0), length=zero + first_length,
        low=zero, low_value=value, low_slope=slope, high=zero, high_value=value, best=zero, best_value=value,
        best_gradient=gradient,
    )  # fmt: skip
    end = lax.while_loop(unfinished, step, start)
    # A length that lowers the value is worth taking, even where the slope is still steep.
    return Step(end.best, end.best_value, end.best_gradient, end.count, ~end.done & (end.best == 0))
