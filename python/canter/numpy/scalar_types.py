"""The scalar types: `canter.numpy.float32` and its like.

Each is a class that stands for a dtype wherever one is asked for (`dtype=cnp.float32`), compares
equal to it, and makes an array when called (`cnp.float32(3)`). NumPy scalars of its dtype count as
instances. The abstract kinds (`floating`, `integer`, ...) are NumPy's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SCALAR_NAMES", "scalar_type"]


class _ScalarMeta(type):
    """Makes a class act as its dtype."""

    dtype: np.dtype

    def __hash__(cls) -> int:
        return hash(cls.dtype.type)

    def __eq__(cls, other: object) -> Any:
        if other is cls:
            return True
        if isinstance(other, (np.dtype, type, str)):
            try:
                return bool(cls.dtype == other)
            except TypeError:
                return False
        return NotImplemented

    def __ne__(cls, other: object) -> bool:
        return not cls == other

    def __call__(cls, x: Any) -> Any:
        from .creation import asarray

        if isinstance(x, str):  # "nan", "inf", "1e3"
            x = cls.dtype.type(x)
        return asarray(x, dtype=cls.dtype)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.dtype.type)

    def __reduce__(cls) -> Any:
        return scalar_type, (cls.__name__,)


_made: dict[str, _ScalarMeta] = {}

#: Second names, NumPy's: the 64-bit types where no width is given.
_ALIASES = {
    "single": "float32", "double": "float64", "float_": "float64", "int_": "int64", "uint": "uint64",
    "csingle": "complex64", "cdouble": "complex128", "complex_": "complex128", "bool_": "bool",
}  # fmt: skip

_NUMPY_NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
_ML_NAMES = (
    "bfloat16", "int1", "uint1", "int2", "int4", "uint2", "uint4", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn",
    "float8_e3m4", "float8_e4m3",
    "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip

SCALAR_NAMES = (*_NUMPY_NAMES, *_ML_NAMES, *_ALIASES)


def scalar_type(name: str) -> _ScalarMeta:
    """The scalar type of a name.

    Args:
      name: the name of a dtype, or one of NumPy's second names such as `float_`.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.float32 == cnp.dtype("float32")
      True
    """
    name = _ALIASES.get(name, name)
    made = _made.get(name)
    if made is None:
        if name in _ML_NAMES:
            import ml_dtypes

            dtype = np.dtype(getattr(ml_dtypes, name))
        else:
            dtype = np.dtype(name)
        doc = (
            f"The scalar type of dtype {name}: calling it makes an array of that dtype.\n\n"
            "Args:\n  x: a number, array or nested sequence of numbers.\n\n"
            f"Example:\n  >>> import canter.numpy as cnp\n  >>> print(cnp.{name}.dtype)\n  {dtype}\n"
        )
        members = {"dtype": dtype, "__doc__": doc, "__module__": "canter.numpy"}
        made = _ScalarMeta(name, (object,), members)
        _made[name] = made
    return made
