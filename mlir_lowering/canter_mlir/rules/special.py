"""Special functions that XLA or CHLO has; the others are lowered from canter.lax code."""

from __future__ import annotations

from typing import Any

from ..registry import Rule, cache_lowering, lower_fun, register_table

__all__: list[str] = []


def _program(name: str) -> Rule:
    """The rule of a function that canter.lax computes with others: one private function for it."""

    def run(*operands: Any) -> Any:
        from canter.lax import special_programs

        return getattr(special_programs, name)(*operands)

    run.__name__ = name
    return cache_lowering(lower_fun(run, multiple_results=False))


register_table(
    {
        "erf": "chlo.erf",
        "erfc": "chlo.erfc",
        "erf_inv": "chlo.erf_inv",
        "lgamma": "chlo.lgamma",
        "digamma": "chlo.digamma",
        "polygamma": "chlo.polygamma",
        "zeta": "chlo.zeta",
        "bessel_i1e": "chlo.bessel_i1e",
        "bessel_i0e": _program("bessel_i0e_program"),
        "igamma": _program("igamma_program"),
        "igammac": _program("igammac_program"),
        "igamma_grad_a": _program("igamma_grad_a_program"),
        "random_gamma_grad": _program("random_gamma_grad_program"),
        "regularized_incomplete_beta": _program("betainc_program"),
    }
)
