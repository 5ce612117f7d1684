"""Special functions that XLA or CHLO has; the others are lowered from canter.lax code."""

from __future__ import annotations

from ..registry import register_table

__all__: list[str] = []

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
    }
)
