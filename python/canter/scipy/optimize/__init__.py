"""Minimization, as in `scipy.optimize`."""

from .minimization import OptimizeResults as OptimizeResults, minimize as minimize

__all__ = ["OptimizeResults", "minimize"]


def __dir__() -> list[str]:
    return __all__
