"""Vector quantization, as in `scipy.cluster.vq`."""

from __future__ import annotations

from typing import Any as _Any

from canter import numpy as _np
from canter.core import dtypes as _dtypes
from canter.numpy.util import (
    check_arraylike as _check_arraylike,
    promote_dtypes_inexact as _promote,
    shape_of as _shape_of,
)
from canter.runtime.composite import composite as _composite

__all__ = ["vq"]


@_composite
def _nearest(obs: _Any, code_book: _Any) -> tuple[_Any, _Any]:
    obs, code_book = _promote(obs, code_book)
    if len(_shape_of(obs)) == 1:
        obs, code_book = obs[:, None], code_book[:, None]
    distances = _np.linalg.norm(obs[:, None, :] - code_book[None, :, :], axis=-1)
    code = _np.argmin(distances, axis=-1)
    nearest = _np.min(distances, axis=-1)
    return code.astype(_dtypes.canonicalize_dtype("int32")), nearest


def vq(obs: _Any, code_book: _Any, check_finite: bool = True) -> tuple[_Any, _Any]:
    """The nearest code to each observation.

    Args:
      obs: (n, d), or (n,) for d = 1.
      code_book: (k, d), or (k,).
      check_finite: without effect; NaN is the nearest to nothing.

    Returns:
      A pair of (n,): the codes' places in the book, and the distances to them.

    Raises:
      ValueError: the ranks or the dimensions differ.

    Source: `scipy.cluster.vq.vq`.

    Example:
      >>> import canter as ct
      >>> print(ct.scipy.cluster.vq.vq(ct.numpy.array([1.0, 8.0]), ct.numpy.array([0.0, 9.0]))[0])
      [0 1]
    """
    _check_arraylike("vq", obs, code_book)
    if len(_shape_of(obs)) != len(_shape_of(code_book)):
        raise ValueError("cluster.vq: the observations and the code book should have the same rank.")
    if len(_shape_of(obs)) not in (1, 2):
        raise ValueError("cluster.vq: observations must have one or two dimensions.")
    if len(_shape_of(obs)) == 2 and _shape_of(obs)[1] != _shape_of(code_book)[1]:
        raise ValueError(
            f"cluster.vq: observations have {_shape_of(obs)[1]} features, codes {_shape_of(code_book)[1]}."
        )
    return _nearest(obs, code_book)


def __dir__() -> list[str]:
    return __all__
