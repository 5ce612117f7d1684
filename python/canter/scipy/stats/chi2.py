"""The chi-square distribution: a gamma distribution of shape df / 2 and twice the scale."""

from __future__ import annotations

from typing import Any

from canter.numpy.util import promote_args_inexact

from . import gamma
from .common import distribution

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]

_method = distribution("the chi-square distribution", df="degrees of freedom, positive")


def _of_gamma(name: str, x: Any, df: Any, loc: Any, scale: Any) -> Any:
    x, df, loc, scale = promote_args_inexact(f"chi2.{name}", x, df, loc, scale)
    return getattr(gamma, name)(x, df / 2, loc, scale * 2)


@_method("0.5, 3.0", -1.516)
def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _of_gamma("logpdf", x, df, loc, scale)


@_method("0.5, 3.0", 0.22)
def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _of_gamma("pdf", x, df, loc, scale)


@_method("0.5, 3.0", 0.081)
def cdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _of_gamma("cdf", x, df, loc, scale)


@_method("0.5, 3.0", -2.512)
def logcdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _of_gamma("logcdf", x, df, loc, scale)


@_method("0.5, 3.0", 0.919)
def sf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _of_gamma("sf", x, df, loc, scale)


@_method("0.5, 3.0", -0.085)
def logsf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _of_gamma("logsf", x, df, loc, scale)
