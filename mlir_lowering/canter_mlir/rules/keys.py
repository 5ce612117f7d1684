"""Random keys: words and keys are the same on a device; the generator is one private function."""

from __future__ import annotations

from typing import Any

from ..registry import cache_lowering, lower_fun, register_table

__all__: list[str] = []


def _threefry2x32(*words: Any) -> Any:
    from canter.lax.threefry import threefry_rounds

    return threefry_rounds(*words)


def _threefry2x32_cpu(*words: Any) -> Any:
    from canter.lax.threefry import threefry_rounds_cpu

    return threefry_rounds_cpu(*words)


_generator = lower_fun(_threefry2x32)
_generator_cpu = lower_fun(_threefry2x32_cpu)


def _rounds(ctx: Any, *words: Any) -> Any:
    only_cpu = ctx.module_context.platforms == ("cpu",)
    return (_generator_cpu if only_cpu else _generator)(ctx, *words)


def _program(name: str) -> Any:
    """The lowering of a primitive of samplers: the program that it stands for."""

    def program(*operands: Any, **params: Any) -> Any:
        from canter.lax.threefry import sampler_programs

        return sampler_programs[name](*operands, **params)

    return lower_fun(program, multiple_results=False)


register_table(
    {
        "random_wrap": lambda ctx, words, *, impl: [words],
        "random_unwrap": lambda ctx, keys: [keys],
        "random_clone": lambda ctx, keys: [keys],
        "consume": lambda ctx, keys: [keys],
        "assert_consumed_value": lambda ctx, keys, *, value: [],
        "random_gamma": cache_lowering(_program("random_gamma")),
        **{f"random_{name}": _program(f"random_{name}") for name in ("seed", "split", "fold_in", "bits")},
        "threefry2x32": cache_lowering(_rounds, differs=False),
    }
)
