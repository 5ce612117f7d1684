"""Operations on every dtype. Where JAX is installed, `python dtype_operations.py > data/dtype_operations.json`.

For each operation and dtype: the dtype of the result, with a star if it is weak, its shape and its values; or the
class of the error.
"""

import json

import ml_dtypes
import numpy as np

NAMES = (
    "bool int2 int4 int8 int16 int32 int64 uint2 uint4 uint8 uint16 uint32 uint64 bfloat16 float16 float32 float64 "
    "complex64 complex128 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 "
    "float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn"
).split()


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def operand(name):
    """Four numbers that every dtype has."""
    return np.asarray([1, 0, 1, 1], np.float32).astype(dtype_of(name))


def shown(result):
    if isinstance(result, (list, tuple)):
        return [shown(r) for r in result]
    values = np.asarray(result)
    values = np.asarray(values.astype(np.complex128 if values.dtype.kind == "c" else np.float64))
    if values.dtype.kind == "c":
        values = np.stack([values.real, values.imag])
    return [
        str(result.dtype) + ("*" if result.weak_type else ""),
        list(result.shape),
        values.ravel().tolist(),
    ]


def outcome(function, *args):
    try:
        return shown(function(*args))
    except Exception as error:
        bases = [c.__name__ for c in type(error).__mro__]
        return next(n for n in ("TypeError", "ValueError", "NotImplementedError", "Exception") if n in bases)


#: One operand of four elements of the dtype.
OPERATIONS = {
    "zeros": lambda np_, lax, x: np_.zeros(2, x.dtype),
    "full": lambda np_, lax, x: np_.full(2, 1, x.dtype),
    "add": lambda np_, lax, x: x + x,
    "multiply": lambda np_, lax, x: x * x,
    "subtract": lambda np_, lax, x: x - x,
    "divide": lambda np_, lax, x: x[:1] / x[2:3],
    "scalar": lambda np_, lax, x: x + 1,
    "float_scalar": lambda np_, lax, x: x * 0.5,
    "negative": lambda np_, lax, x: -x,
    "maximum": lambda np_, lax, x: np_.maximum(x, x[::-1]),
    "equal": lambda np_, lax, x: x == x[::-1],
    "less": lambda np_, lax, x: x < x[::-1],
    "sum": lambda np_, lax, x: x.sum(),
    "prod": lambda np_, lax, x: x.prod(),
    "max": lambda np_, lax, x: x.max(),
    "mean": lambda np_, lax, x: x.mean(),
    "any": lambda np_, lax, x: x.any(),
    "argmax": lambda np_, lax, x: x.argmax(),
    "cumsum": lambda np_, lax, x: x.cumsum(),
    "sort": lambda np_, lax, x: np_.sort(x),
    "matmul": lambda np_, lax, x: x @ x,
    "dot_wide": lambda np_, lax, x: lax.dot(x, x, preferred_element_type="float32"),
    "index": lambda np_, lax, x: x[2],
    "slice": lambda np_, lax, x: x[1:3],
    "gather": lambda np_, lax, x: x[np.array([3, 1])],
    "set": lambda np_, lax, x: x.at[0].set(0),
    "at_add": lambda np_, lax, x: x.at[1].add(1),
    "concatenate": lambda np_, lax, x: np_.concatenate([x, x]),
    "where": lambda np_, lax, x: np_.where(np.array([True, False, True, False]), x, x[::-1]),
    "abs": lambda np_, lax, x: np_.abs(x),
    "exp": lambda np_, lax, x: np_.exp(x[1:2]),
    "logical_not": lambda np_, lax, x: np_.logical_not(x),
    "bitwise_and": lambda np_, lax, x: x & x,
    "reshape": lambda np_, lax, x: x.reshape(2, 2).T,
    "to_float32": lambda np_, lax, x: x.astype("float32"),
    "to_int8": lambda np_, lax, x: x.astype("int8"),
    "to_bool": lambda np_, lax, x: x.astype(bool),
    "to_bfloat16": lambda np_, lax, x: x.astype("bfloat16"),
    "bitcast": lambda np_, lax, x: lax.bitcast_convert_type(x, "uint8"),
    "pad": lambda np_, lax, x: np_.pad(x, 1),
    "flip": lambda np_, lax, x: np_.flip(x),
    "isnan": lambda np_, lax, x: np_.isnan(x),
    "zeros_like": lambda np_, lax, x: np_.zeros_like(x),
    "clip": lambda np_, lax, x: np_.clip(x, 0, 1),
    "power": lambda np_, lax, x: x**2,
}


#: XLA for the CPU ends the process where it fuses some operations on types of less than a byte: not compared.
NARROW = "int2 int4 uint2 uint4 float4_e2m1fn".split()
NOT_NARROW = "concatenate where abs exp logical_not bitwise_and bitcast pad flip isnan clip power".split()


def compared(op, name):
    """Whether an operation on a dtype is in the table."""
    return name not in NARROW or op not in NOT_NARROW


if __name__ == "__main__":
    import jax
    import jax.numpy as jnp

    found = {
        op: {n: outcome(f, jnp, jax.lax, jnp.asarray(operand(n))) for n in NAMES if compared(op, n)}
        for op, f in OPERATIONS.items()
    }
    print(json.dumps(found))
