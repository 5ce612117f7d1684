"""Errors as values: checks inside compiled functions, whose first failure the caller hears of.

A check cannot raise while a compiled program runs. `checkify` makes of a function one that also returns
an `Error`: which check was the first to fail, and with which values. Names and parameters are those of
`jax.experimental.checkify`.
"""

from .checks import check, check_error, debug_check
from .errors import (
    Error,
    ErrorCategory,
    JaxRuntimeError,
    all_checks,
    automatic_checks,
    div_checks,
    float_checks,
    index_checks,
    init_error,
    nan_checks,
    user_checks,
)
from .transform import checkify

__all__ = [
    "Error",
    "ErrorCategory",
    "JaxRuntimeError",
    "all_checks",
    "automatic_checks",
    "check",
    "check_error",
    "checkify",
    "debug_check",
    "div_checks",
    "float_checks",
    "index_checks",
    "init_error",
    "nan_checks",
    "user_checks",
]
