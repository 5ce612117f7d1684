"""Random keys: words and keys are the same on a device; the generator is one private function."""

from __future__ import annotations

from typing import Any

from ..registry import cache_lowering, lower_fun, register_table

__all__: list[str] = []


def _threefry2x32(*words: Any) -> Any:
    from canter.lax.threefry import threefry_rounds

    return threefry_rounds(*words)


def _random_gamma(keys: Any, alpha: Any, *, log_space: bool) -> Any:
    from canter.lax.threefry import sampler_programs

    return sampler_programs["random_gamma"](keys, alpha, log_space=log_space)


register_table(
    {
        "random_wrap": lambda ctx, words, *, impl: [words],
        "random_unwrap": lambda ctx, keys: [keys],
        "random_gamma": cache_lowering(lower_fun(_random_gamma, multiple_results=False)),
        "threefry2x32": cache_lowering(lower_fun(_threefry2x32)),
    }
)
