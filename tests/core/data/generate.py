"""Writes the golden data of this folder by running JAX; needs an environment that has it.

    python tests/core/data/generate.py

`promotion.json`: result types of all pairs of types. `printed_jaxprs.json`: programs of lax calls as
text, and the jaxprs that JAX prints for them.
"""

import json
import pathlib
import random
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax import dtypes, lax

HERE = pathlib.Path(__file__).parent

TYPES = (
    "bool uint2 uint4 uint8 uint16 uint32 uint64 int2 int4 int8 int16 int32 int64 float4_e2m1fn float8_e3m4 "
    "float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu "
    "bfloat16 float16 float32 float64 complex64 complex128 int float complex"
).split()
PYTHON_TYPES = {"int": int, "float": float, "complex": complex}

# Programs see the names lax, jit, np, f(*shape) for a float32 array of ones, i(...) for an int32 one.
PROGRAMS = {
    "one equation": ("lambda x: lax.sin(x)", "f(3)"),
    "two equations": ("lambda x, y: (lax.add(x, y), lax.mul(x, 2.0))", "f(3), f(3)"),
    "two short equations": ("lambda x: lax.sin(lax.sin(x))", "1.0"),
    "captured array": ("lambda x: lax.add(x, np.arange(3, dtype='float32'))", "f(3)"),
    "captured scalar": ("lambda x: lax.add(x, np.float32(3))", "1.0"),
    "no equations": ("lambda x: x", "1.0"),
    "no arguments": ("lambda: 1.0", ""),
    "literal results": ("lambda x: (x, 2.0, True, 3)", "1.0"),
    "literals": (
        "lambda x, i, b: (lax.add(x, 0.1), lax.add(i, -3), lax.bitwise_and(b, True), "
        "lax.add(x, float('inf')), lax.add(x, float('nan')), lax.mul(x, 1 / 3), lax.add(x, 1e20))",
        "1.0, 1, True",
    ),
    "complex literal": ("lambda x: lax.mul(x, 1j)", "1j"),
    "float32 literal": ("lambda x: lax.mul(x, np.float32(1 / 3))", "np.float32(1)"),
    "dot_general": ("lambda a, b: lax.dot_general(a, b, (((1,), (0,)), ((), ())))", "f(3, 4), f(4, 3)"),
    "dot_general with options": (
        "lambda a, b: lax.dot_general(a, b, (((2,), (1,)), ((0,), (0,))), "
        "precision='highest', preferred_element_type=np.float32)",
        "f(2, 3, 4), f(2, 4, 5)",
    ),
    "broadcast_in_dim": ("lambda a: lax.broadcast_in_dim(a, (3, 4), (0,))", "f(3)"),
    "broadcast_in_dim of a scalar": ("lambda a: lax.broadcast_in_dim(a, (3,), ())", "1.0"),
    "convert_element_type": ("lambda a: lax.convert_element_type(a, np.int8)", "f(3)"),
    "cond": ("lambda p, x: lax.cond(p, lambda y: lax.sin(y), lambda y: y, x)", "True, f(3)"),
    "cond of closures": ("lambda x, y: lax.cond(True, lambda: lax.sin(x), lambda: lax.cos(y))", "f(3), f(3)"),
    "switch": ("lambda i, x: lax.switch(i, [lax.sin, lax.cos, lambda y: y], x)", "1, f(3)"),
    "while_loop": (
        "lambda x: lax.while_loop(lambda c: lax.lt(c[0], 3), lambda c: (lax.add(c[0], 1), lax.sin(c[1])), (0, x))",
        "f(3)",
    ),
    "fori_loop": ("lambda x: lax.fori_loop(0, 10, lambda i, c: lax.mul(c, x), x)", "f(3)"),
    "scan": ("lambda x: lax.scan(lambda c, y: (lax.add(c, y), lax.mul(c, y)), 0.0, x)", "f(3)"),
    "scan with options": (
        "lambda x, w: lax.scan(lambda c, y: (lax.add(c, y), lax.mul(c, w)), 0.0, x, reverse=True, unroll=2)",
        "f(3), 1.0",
    ),
    "jit": ("lambda x: jit(lambda y: lax.sin(y))(x)", "f(3)"),
    "jit of a literal": ("lambda x: jit(lambda y, z: lax.add(y, z))(x, 2.0)", "f(3)"),
    "jit, same operand twice": ("lambda x: jit(lambda y, z: lax.add(y, z))(x, x)", "f(3)"),
    "jit, operand is result": ("lambda x: jit(lambda y: y)(x)", "f(3)"),
    "jit, results twice": ("lambda x: jit(lambda y: (lax.sin(y),) * 2)(x)", "f(3)"),
    "jit keep_unused": ("lambda x: jit(lambda y: lax.sin(y), keep_unused=True)(x)", "f(3)"),
    "jit inline": ("lambda x: jit(lambda y: lax.sin(y), inline=True)(x)", "f(3)"),
    "jit in jit": (
        "lambda x: jit(lambda y: jit(lambda z: lax.sin(lax.mul(z, 2.0)))(lax.cos(y)))(x)",
        "f(3)",
    ),
    "shared jit": ("lambda x, g=jit(lambda y: lax.sin(y)): g(g(x))", "f(3)"),
    "two shared jits": (
        "lambda x, g=jit(lambda y: lax.sin(y)), h=jit(lambda y: lax.cos(y)): h(h(g(g(x))))",
        "f(3)",
    ),
    "shared in a loop": (
        "lambda x, g=jit(lambda y: lax.sin(y)): lax.scan(lambda c, _: (g(c), None), g(x), length=3)[0]",
        "np.float32(1)",
    ),
    "top_k, unused result": ("lambda x: lax.top_k(x, 2)[0]", "f(3)"),
    "transpose": ("lambda x: lax.transpose(x, (1, 0))", "f(3, 4)"),
    "reshape": ("lambda x: lax.reshape(x, (4, 3))", "f(3, 4)"),
    "squeeze": ("lambda x: lax.squeeze(x, (0,))", "f(1, 3)"),
    "rev": ("lambda x: lax.rev(x, (0,))", "f(3)"),
    "slice": ("lambda x: lax.slice(x, (0,), (2,))", "f(3)"),
    "dynamic_slice": ("lambda x, i: lax.dynamic_slice(x, (i,), (2,))", "f(3), np.uint32(1)"),
    "dynamic_update_slice": ("lambda x, i: lax.dynamic_update_slice(x, x, (i,))", "f(3), np.uint32(1)"),
    "pad": ("lambda x: lax.pad(x, 0.0, ((1, 1, 0),))", "f(3)"),
    "concatenate": ("lambda x: lax.concatenate([x, x], 0)", "f(3)"),
    "concatenate of many": ("lambda *a: lax.concatenate(a, 0)", "*[f(3)] * 20"),
    "split": ("lambda x: lax.split(x, (1, 2))", "f(3)"),
    "select_n": ("lambda p, x: lax.select_n(p, x, x)", "np.ones(3, bool), f(3)"),
    "clamp": ("lambda x: lax.clamp(0.0, x, 1.0)", "f(3)"),
    "argmax": ("lambda x: lax.argmax(x, 0, np.int32)", "f(3)"),
    "reduce_max": ("lambda x: lax.reduce_max(x, (0,))", "f(3, 4)"),
    "cumsum": ("lambda x: lax.cumsum(x)", "f(3)"),
    "sort": ("lambda x: lax.sort((x, x), num_keys=1)", "f(3)"),
    "iota": ("lambda: lax.iota(np.int32, 5)", ""),
    "integer_pow": ("lambda x: lax.integer_pow(x, 3)", "f(3)"),
    "comparison": ("lambda x: lax.lt(x, 0.0)", "1.0"),
    "round": ("lambda x: lax.round(x)", "f(3)"),
    "erf": ("lambda x: lax.erf(x)", "f(3)"),
    "stop_gradient": ("lambda x: lax.mul(lax.stop_gradient(x), x)", "f(3)"),
    "reduce_window": ("lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), 'SAME')", "f(3)"),
    "convolution": (
        "lambda x, w: lax.conv_general_dilated(x, w, (1, 1), 'SAME')",
        "f(1, 3, 8, 8), f(4, 3, 3, 3)",
    ),
    "bitcast_convert_type": ("lambda x: lax.bitcast_convert_type(x, np.int32)", "f(3)"),
    "many results": ("lambda x: [lax.sin(x)] + [lax.cos(x)] * 29", "f(3)"),
    "long chain": (
        "lambda x: __import__('functools').reduce(lambda y, _: lax.sin(y), range(60), x)",
        "f(3)",
    ),
}


def operand(name):
    return PYTHON_TYPES.get(name) or jnp.dtype(name)


def promoted(*names):
    try:
        dtype, weak = dtypes.result_type(*map(operand, names), return_weak_type_flag=True)
    except dtypes.TypePromotionError:
        return "error"
    return f"{dtype}*" if weak else str(dtype)


def promotion():
    out = {"types": TYPES}
    for x64 in (False, True):
        jax.config.update("jax_enable_x64", x64)
        switch = "on" if x64 else "off"
        for mode in ("standard", "strict"):
            with jax.numpy_dtype_promotion(mode):
                out[f"{mode}_x64_{switch}"] = [[promoted(a, b) for b in TYPES] for a in TYPES]
        out[f"inexact_x64_{switch}"] = {
            name: str(jax.eval_shape(jnp.sin, jax.ShapeDtypeStruct((), jnp.dtype(name))).dtype)
            for name in TYPES[:-3]
            if name not in ("int2", "uint2")
        }
    picks = random.Random(0)
    triples = [picks.choices(TYPES, k=3) for _ in range(300)]
    out["triples_standard_x64_on"] = [[*triple, promoted(*triple)] for triple in triples]
    jax.config.update("jax_enable_x64", False)
    return out


def printed_jaxprs():
    names = {
        "lax": lax, "jit": jax.jit, "np": np,
        "f": lambda *shape: np.ones(shape, np.float32), "i": lambda *shape: np.ones(shape, np.int32),
    }  # fmt: skip
    out = {}
    for title, (program, arguments) in PROGRAMS.items():
        function, args = eval(program, names), eval(f"({arguments},)" if arguments else "()", names)
        printed = str(jax.make_jaxpr(function)(*args))
        out[title] = {"program": program, "arguments": arguments, "printed": printed}
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    text = json.dumps(promotion()).replace("]], ", "]],\n").replace("], [", "],\n [")
    (HERE / "promotion.json").write_text(text + "\n")
    (HERE / "printed_jaxprs.json").write_text(json.dumps(printed_jaxprs(), indent=1) + "\n")
