"""Writes modules that JAX makes of programs, with inputs, outputs and gradients.

Run it where jax is installed: `python make_jax.py`.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

HERE = pathlib.Path(__file__).parent
GENERATOR = np.random.default_rng(0)


def random(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


def recurrent(x, w):
    def step(h, row):
        return jnp.tanh(row + h @ w), h.sum()

    h, sums = lax.scan(step, jnp.zeros(4), x)
    return h, sums, lax.fori_loop(0, 3, lambda i, c: c * 0.5 + i, x)


def decompositions(x):
    q, r = jnp.linalg.qr(x)
    s = x @ x.T + jnp.diag(jnp.arange(3.0))
    return q, r, jnp.linalg.inv(x), jnp.linalg.cholesky(s), jnp.linalg.eigh(s)[0], jnp.linalg.svd(x)[1]


def indices(x, i):
    y = x.at[i].add(x[i] * 2).at[0, 1].set(3.0)
    return (
        y,
        x.at[i, 1].multiply(2.0, unique_indices=True),
        jnp.take_along_axis(x, i[:, None], 1),
        x[::-1, 1:],
    )


def orders(x):
    values, places = lax.top_k(x, 2)
    return (
        jnp.sort(x, 1),
        jnp.argsort(x, 0),
        values,
        places,
        jnp.cumsum(x, 1),
        jnp.argmax(x, 1),
        lax.cummax(x, 1),
    )


def pictures(x, k):
    y = jax.nn.relu(lax.conv_general_dilated(x, k, (1, 1), "SAME"))
    return lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def attention(q, k):
    q, k = (x.reshape(1, 4, 2, 3) for x in (q, k))
    return jax.nn.dot_product_attention(q, k, k, is_causal=True), jax.nn.gelu(q, approximate=False)


def chances(key, x):
    a, b = jax.random.split(key)
    return (
        jax.random.normal(a, (3,)),
        jax.random.categorical(b, x),
        jax.random.permutation(a, 5),
        lax.lgamma(x * x + 1),
    )


def branches(x, n):
    y = lax.switch(n, [jnp.sin, jnp.cos, lambda v: v * 2], x)
    z = lax.while_loop(lambda v: v.sum() < 30, lambda v: v * 1.5 + 1, x)
    return lax.cond(x.sum() > 0, lambda: y, lambda: -y), lax.stop_gradient(z)


PROGRAMS = {
    "recurrent": (recurrent, [random(3, 4), random(4, 4)], (0, 1)),
    "decompositions": (decompositions, [random(3, 3) + 2 * np.eye(3, dtype="float32")], (0,)),
    "indices": (indices, [random(3, 4), np.array([2, 0, 1], np.int32)], (0,)),
    "orders": (orders, [random(3, 4)], (0,)),
    "pictures": (pictures, [random(1, 2, 4, 4), random(3, 2, 3, 3)], (0, 1)),
    "attention": (attention, [random(4, 6), random(4, 6)], (0, 1)),
    "chances": (chances, [np.array([1, 2], np.uint32), random(3, 4)], (1,)),
    "branches": (branches, [random(3, 4), np.int32(1)], (0,)),
}


def main():
    for name, (function, arrays, wrt) in PROGRAMS.items():
        inputs = [jnp.asarray(x) for x in arrays]

        def total(*args, function=function):
            outputs = jax.tree.leaves(function(*args))
            return sum(jnp.sum(jnp.sin(y)) for y in outputs if y.dtype == "float32")

        (HERE / f"jax_{name}.mlir").write_text(jax.jit(function).lower(*inputs).as_text())
        arrays = {f"in{i}": x for i, x in enumerate(inputs)}
        arrays |= {f"out{i}": y for i, y in enumerate(jax.tree.leaves(function(*inputs)))}
        if name != "branches":
            grads = jax.grad(total, wrt)(*inputs)
            arrays |= {f"grad{i}": g for i, g in zip(wrt, grads)}
        np.savez(HERE / f"jax_{name}.npz", **arrays)


main()
