"""Small programs whose printed jaxprs are to be those of JAX 0.10.2.

`PYTHON_WITH_JAX tests/lax/jaxpr_programs.py` writes what JAX prints to golden/jaxprs.json.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden" / "jaxprs.json"

UNARY = (
    "neg sign floor ceil is_finite exp exp2 expm1 log log1p tanh logistic sin cos tan asin acos atan sinh cosh "
    "asinh acosh atanh sqrt rsqrt cbrt square reciprocal abs conj round erf erfc erf_inv lgamma digamma "
    "bessel_i0e bessel_i1e stop_gradient"
).split()
BINARY = (
    "add sub mul div rem max min atan2 nextafter pow zeta polygamma igamma igammac igamma_grad_a complex "
    "eq ne lt le gt ge"
).split()
BITS = "bitwise_and bitwise_or bitwise_xor shift_left shift_right_logical shift_right_arithmetic".split()
REDUCERS = "reduce_sum reduce_prod reduce_max reduce_min".split()
CUMULATIVE = "cumsum cumprod cummax cummin".split()


def programs(lax: Any) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Functions written with `jax.lax` or `canter.lax`, and their arguments, by name."""
    x = np.ones((3, 4), np.float32)
    i = np.ones((3, 4), np.int32)
    b = i > 0
    c = x.astype(np.complex64)
    key = np.zeros(4, np.uint32)
    table: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    table.update({name: (getattr(lax, name), (x,)) for name in UNARY})
    table.update({name: (getattr(lax, name), (x, x)) for name in BINARY})
    table.update({name: (getattr(lax, name), (i, i)) for name in BITS})
    table.update({name: (getattr(lax, name), (i,)) for name in ("bitwise_not", "population_count", "clz")})
    table.update(
        {f"{name} complex": (getattr(lax, name), (c,)) for name in ("real", "imag", "abs", "conj", "sign")}
    )
    for name in REDUCERS:
        table[name] = (lambda x, name=name: getattr(lax, name)(x, (1, 0)), (x,))
    for name in ("reduce_and", "reduce_or", "reduce_xor"):
        table[name] = (lambda b, name=name: getattr(lax, name)(b, (0,)), (b,))
    for name in CUMULATIVE:
        table[name] = (lambda x, name=name: getattr(lax, name)(x, 1, True), (x,))
    lowest, highest = -np.inf, np.inf
    table |= {
        "add number": (lambda x: lax.add(x, 2.0), (x,)),
        "add number first": (lambda i: lax.add(2, i), (i,)),
        "add numpy scalar": (lambda x: lax.add(x, np.float32(2)), (x,)),
        "add sizes of 1": (lambda x, y: lax.add(x, y), (x, x[:1])),
        "pow by integer": (lambda x: lax.pow(x, 2), (x,)),
        "integer_pow": (lambda x: lax.integer_pow(x, 3), (x,)),
        "round to even": (lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN), (x,)),
        "exp accurate": (lambda x: lax.exp(x, accuracy=lax.AccuracyMode.HIGHEST), (x,)),
        "betainc": (lax.betainc, (x, x, x)),
        "select_n": (lax.select_n, (b, x, x)),
        "select_n scalar": (lambda x: lax.select_n(True, x, x), (x,)),
        "select_n three": (lax.select_n, (i, x, x, x)),
        "select": (lax.select, (b, x, c.real)),
        "clamp": (lambda x: lax.clamp(0.0, x, 1.0), (x,)),
        "convert": (lambda x: lax.convert_element_type(x, np.int32), (x,)),
        "convert same": (lambda x: lax.convert_element_type(x, np.float32), (x,)),
        "convert number": (lambda x: lax.convert_element_type(2.0, np.float32), (x,)),
        "bitcast": (lambda x: lax.bitcast_convert_type(x, np.int8), (x,)),
        "reduce_precision": (lambda x: lax.reduce_precision(x, 5, 10), (x,)),
        "iota": (lambda: lax.iota(np.float32, 3), ()),
        "broadcasted_iota": (lambda: lax.broadcasted_iota(int, (3, 4), 1), ()),
        "full": (lambda: lax.full((3,), 1, np.float32), ()),
        "full scalar": (lambda: lax.full((), 1.0, np.float32), ()),
        "full_like": (lambda x: lax.full_like(x, 1, np.int32, (3,)), (x,)),
        "optimization_barrier": (lambda x: lax.optimization_barrier((x, x)), (x,)),
        "reduce add": (lambda x: lax.reduce(x, 0.0, lax.add, (0,)), (x,)),
        "reduce max": (lambda x: lax.reduce(x, lowest, lax.max, (0,)), (x,)),
        "reduce and": (lambda b: lax.reduce(b, True, lax.bitwise_and, (0,)), (b,)),
        "reduce from 1": (lambda x: lax.reduce(x, np.float32(1), lax.add, (0,)), (x,)),
        "argmax": (lambda x: lax.argmax(x, 1, np.int32), (x,)),
        "argmin": (lambda x: lax.argmin(x, 0, np.int32), (x,)),
        "reduce_window sum": (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (1, 1), "SAME"), (x,)),
        "reduce_window max": (lambda x: lax.reduce_window(x, lowest, lax.max, (2, 2), (2, 2), "VALID"), (x,)),
        "reduce_window min": (
            lambda x: lax.reduce_window(
                x, highest, lax.min, (2, 2), (2, 2), ((0, 1), (1, 0)), (2, 1), (1, 2)
            ),
            (x,),
        ),
        "reduce_window mul": (lambda x: lax.reduce_window(x, 1.0, lax.mul, (2, 2), (2, 2), "VALID"), (x,)),
        "sort": (lax.sort, (x,)),
        "sort by two": (lambda x, i: lax.sort((x, i), dimension=0, num_keys=2, is_stable=False), (x, i)),
        "sort_key_val": (lax.sort_key_val, (x, i)),
        "top_k": (lambda x: lax.top_k(x, 2), (x,)),
        "top_k first axis": (lambda x: lax.top_k(x, 2, axis=0), (x,)),
        "rng_bit_generator": (lambda key: lax.rng_bit_generator(key, (3, 4)), (key,)),
        "rng_uniform": (lambda a, b: lax.rng_uniform(a, b, (3,)), (np.float32(0), np.float32(1))),
    }
    return table


def main() -> None:
    """Writes the golden file; needs JAX."""
    import jax

    printed = {name: str(jax.make_jaxpr(fun)(*args)) for name, (fun, args) in programs(jax.lax).items()}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(printed, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
