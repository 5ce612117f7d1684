"""Element types: kinds, limits, promotion."""

from typing import Any

from .core.dtypes import (
    TypePromotionError,
    bfloat16,
    canonicalize_dtype as _canonicalize_dtype,
    extended,
    finfo,
    float0,
    iinfo,
    issubdtype,
    itemsize_bits,
    prng_key,
    result_type,
    scalar_type_of,
)

__all__ = [
    "TypePromotionError",
    "bfloat16",
    "canonicalize_dtype",
    "extended",
    "finfo",
    "float0",
    "iinfo",
    "issubdtype",
    "itemsize_bits",
    "prng_key",
    "result_type",
    "scalar_type_of",
]


def canonicalize_dtype(dtype: Any, allow_extended_dtype: bool = False) -> Any:
    """The type that an array of the given one has: with 64-bit types off, the 32-bit one.

    Args:
      dtype: a dtype, its name or a scalar class.
      allow_extended_dtype: whether extended dtypes, those of keys, pass.

    Raises:
      TypeError: no array can have the type.
      ValueError: the dtype is an extended one, and these do not pass.

    >>> import canter as ct
    >>> ct.dtypes.canonicalize_dtype("float64")
    dtype('float32')
    """
    return _canonicalize_dtype(dtype, allow_extended_dtype)
