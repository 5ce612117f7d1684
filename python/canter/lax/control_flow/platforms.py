"""`platform_dependent`: one of several functions, chosen by the platform a program is lowered for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ...core.avals import ShapedArray
from ...core.errors import api_boundary
from ...core.primitive import Primitive
from .common import check_callable
from .conditionals import select_branch

__all__ = ["platform_dependent", "platform_index_p"]

R = TypeVar("R")

platform_index_p = Primitive("platform_index")
platform_index_p.def_abstract_eval(lambda *, platforms: ShapedArray((), np.dtype(np.int32)))


@api_boundary
def platform_dependent(
    *args: Any, default: Callable[..., R] | None = None, **per_platform: Callable[..., R]
) -> R:
    """Applies the function that is given for the platform on which the program will run.

    Args:
      *args: trees of arrays, the operands of all functions.
      default: the function for platforms that are not named; without it lowering fails there.
      **per_platform: functions by platform, "cpu", "cuda", "rocm" or "tpu". All are traced, and must give
        the same structure, shapes and dtypes; only the one of the platform is lowered.

    Returns:
      The result of the function for the platform.

    Raises:
      TypeError: no function is given, something else than a function is, or the results differ in type.
      ValueError: a function is given for "gpu": that is "cuda" or "rocm".
      NotImplementedError: while lowering, there is no function for the platform.

    Example:
      >>> from canter import lax
      >>> float(lax.platform_dependent(3.0, cpu=lambda x: x + 1.0, default=lambda x: 2.0 * x))
      4.0
    """
    functions: dict[Any, Callable[..., R]] = {(name,): fun for name, fun in per_platform.items()}
    if default is not None:
        functions[None] = default
    if not functions:
        raise TypeError(
            "platform_dependent needs at least one function: give default=, or one by a platform's name."
        )
    if "gpu" in per_platform:
        raise ValueError("platform_dependent: use 'cuda' or 'rocm' instead of 'gpu'.")
    check_callable("platform_dependent", *functions.values())
    platforms = tuple(functions)
    labels = [*per_platform, *["default"] * (default is not None)]
    index = platform_index_p.bind(platforms=platforms)
    branches = tuple(functions.values())
    return select_branch("platform_dependent", index, branches, args, labels, branches_platforms=platforms)
