"""Distributions and statistics, as in `scipy.stats`; each distribution is a module of functions."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any as _Any

if TYPE_CHECKING:
    from . import (
        bernoulli as bernoulli,
        beta as beta,
        betabinom as betabinom,
        binom as binom,
        cauchy as cauchy,
        chi2 as chi2,
        dirichlet as dirichlet,
        expon as expon,
        gamma as gamma,
        gennorm as gennorm,
        geom as geom,
        gumbel_l as gumbel_l,
        gumbel_r as gumbel_r,
        laplace as laplace,
        logistic as logistic,
        multinomial as multinomial,
        multivariate_normal as multivariate_normal,
        nbinom as nbinom,
        norm as norm,
        pareto as pareto,
        poisson as poisson,
        t as t,
        truncnorm as truncnorm,
        uniform as uniform,
        vonmises as vonmises,
        wrapcauchy as wrapcauchy,
    )
    from .density_estimate import gaussian_kde as gaussian_kde
    from .ranks import mode as mode, rankdata as rankdata, sem as sem

_names = {"gaussian_kde": "density_estimate", "mode": "ranks", "rankdata": "ranks", "sem": "ranks"}
_submodules = frozenset(
    "bernoulli beta betabinom binom cauchy chi2 dirichlet expon gamma gennorm geom gumbel_l gumbel_r laplace "
    "logistic multinomial multivariate_normal nbinom norm pareto poisson t truncnorm uniform vonmises "
    "wrapcauchy".split()
)

__all__ = [*_names, *_submodules]


def __getattr__(name: str) -> _Any:
    if name in _submodules:
        return _import_module(f"{__name__}.{name}")
    if name not in _names:
        from canter.core.errors import unknown_attribute

        raise unknown_attribute(__name__, name, __dir__())
    value = globals()[name] = getattr(_import_module(f"{__name__}.{_names[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
