"""Applications of primitives to arrays whose types carry shardings, for Canter and for JAX.

Each case is an expression over the arguments below, in the words that both libraries share. The golden file
says for each what type JAX gives the results, or the class of the error that it raises; to make it again, run
this file in an environment that has `jax` and no `canter`.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

GOLDEN = pathlib.Path(__file__).parent / "data" / "explicit_types.json"

ARGUMENTS = {  # name: (shape, dtype, entries of the spec)
    "x": ((8, 4), "float32", ("x", "y")),
    "r": ((8, 4), "float32", ("x", None)),
    "c": ((8, 4), "float32", (None, "x")),
    "y": ((8, 4), "float32", ("y", "x")),
    "z": ((8, 4), "float32", (None, None)),
    "d": ((8, 4), "float32", (None, "y")),
    "v": ((8,), "float32", ("x",)),
    "u": ((4,), "float32", ("y",)),
    "n": ((8,), "float32", (None,)),
    "s": ((), "float32", ()),
    "w": ((4, 16), "float32", (None, "y")),
    "wx": ((4, 16), "float32", ("y", None)),
    "p": ((16, 4), "float32", (("x", "y"), None)),
    "b": ((8, 4, 2), "float32", ("x", None, "y")),
    "b2": ((8, 2, 4), "float32", ("x", "y", None)),
    "m": ((8, 8), "float32", ("x", None)),
    "t": ((4, 8, 8), "float32", ("x", None, None)),
    "i": ((8, 4), "int32", ("x", "y")),
    "ir": ((8,), "int32", (None,)),
    "ix": ((8,), "int32", ("x",)),
    "l": ((8, 4), "bool", ("x", "y")),
    "lz": ((8, 4), "bool", (None, None)),
    "co": ((8, 4), "complex64", ("x", "y")),
    "im": ((8, 3, 16, 16), "float32", ("x", None, None, None)),
    "ic": ((8, 4, 16, 16), "float32", (None, "x", None, None)),
    "ii": ((8, 3, 16, 16), "float32", (None, None, "x", None)),
    "kr": ((6, 3, 3, 3), "float32", (None, None, None, None)),
    "ky": ((6, 3, 3, 3), "float32", ("y", None, None, None)),
    "kc": ((6, 4, 3, 3), "float32", (None, None, None, None)),
    "j": ((8, 1), "float32", ("x", None)),
    "h": ((1, 4), "float32", (None, "y")),
}  # fmt: skip

_UNARY = "neg sign floor ceil round exp log tanh sin sqrt rsqrt cbrt erf logistic abs square is_finite lgamma"
_BINARY = "add sub mul div max min pow atan2 rem eq lt nextafter"

CASES = [f"lax.{name}(x)" for name in _UNARY.split()]
CASES += [f"lax.{name}({pair})" for name in _BINARY.split() for pair in ("x, x", "r, d", "x, y")]
CASES += """
x + 1
x + s
r + z
z + x
x + y
r + c
x + u
r + j
j + h
j * u
s + s
x * 2.0
l & lz
~l
i + 1
i % 2
i << 1
lax.population_count(i)
lax.real(co)
lax.conj(co)
lax.complex(x, x)
x.astype('int32')
lax.bitcast_convert_type(x, 'int32')
lax.reduce_precision(x, 8, 7)
lax.integer_pow(x, 3)
lax.clamp(0.0, x, 1.0)
lax.clamp(z, x, z)
lax.select(l, x, x)
lax.select(lz, x, z)
lax.select(l, x, z)
jnp.where(l, x, 0.0)
jnp.where(x > 0, r, d)
jnp.where(x > 0, x, y)
lax.select_n(l, x, y)
jnp.clip(x, 0, 1)
lax.stop_gradient(x)
lax.optimization_barrier(x)
jnp.zeros_like(x)
jnp.ones_like(r)
jnp.full_like(x, 2.0)
lax.full_like(x, 2.0)
jnp.zeros((8, 4), out_sharding=P('x', 'y'))
jnp.ones((8, 4), out_sharding=P('x'))
jnp.full((8, 4), 3.0, out_sharding=P(None, 'y'))
jnp.empty((8, 4), out_sharding=P(('x', 'y')))
jnp.arange(8, out_sharding=P('x'))
jnp.eye(8, out_sharding=P('x'))
jnp.zeros((8, 4))
jnp.zeros((6, 4), out_sharding=P('x'))
jnp.zeros((8, 4), out_sharding=P('q'))
lax.iota('int32', 8)
lax.broadcasted_iota('int32', (8, 4), 0)
lax.broadcasted_iota('int32', (8, 4), 0, out_sharding=P('x'))
jnp.broadcast_to(v[:, None], (8, 4))
lax.broadcast_in_dim(v, (8, 4), (0,))
lax.broadcast_in_dim(u, (8, 4), (1,))
lax.broadcast_in_dim(s, (8, 4), ())
lax.broadcast_in_dim(v, (8, 4), (0,), out_sharding=P('x', 'y'))
lax.broadcast_in_dim(v, (8, 4), (0,), out_sharding=P('y', 'x'))
lax.broadcast(v, (4,))
lax.broadcast(v, (4,), out_sharding=P('y', 'x'))
jnp.expand_dims(x, 1)
x[None]
x[:, None]
x[..., None]
jnp.squeeze(j, 1)
lax.squeeze(h, (0,))
x.reshape(32)
r.reshape(32)
c.reshape(32)
r.reshape(2, 4, 4)
r.reshape(4, 2, 4)
r.reshape(8, 2, 2)
r.reshape(8, 1, 4)
r.reshape(1, 8, 4)
x.reshape(1, 8, 4, 1)
c.reshape(4, 2, 4)
c.reshape(2, 4, 4)
x.reshape(8, 2, 2)
b.reshape(8, 8)
b.reshape(32, 2)
b2.reshape(16, 4)
p.reshape(4, 4, 4)
p.reshape(8, 2, 4)
p.reshape(64)
z.reshape(32)
jnp.reshape(x, 32, out_sharding=P('x'))
jnp.reshape(r, (2, 4, 4), out_sharding=P(None, 'x'))
lax.reshape(x, (4, 8), out_sharding=P('x', 'y'))
x.ravel()
r.flatten()
x.T
lax.transpose(b, (2, 0, 1))
jnp.swapaxes(b, 0, 1)
jnp.moveaxis(b, 0, -1)
lax.rev(r, (0,))
lax.rev(r, (1,))
jnp.flip(r, 1)
x.sum()
x.sum(0)
x.sum(1)
r.sum(0)
r.sum(1, keepdims=True)
x.sum(0, keepdims=True)
x.mean(0)
x.mean()
x.max(0)
x.min(1)
x.prod(1)
l.any(0)
l.all()
x.var(1)
x.std(0)
r.argmax(1)
r.argmax(0)
c.argmin(0)
jnp.linalg.norm(r, axis=1)
jax.nn.logsumexp(r, 1)
jax.nn.softmax(r, 1)
jax.nn.softmax(x, 1)
jax.nn.log_softmax(r)
jax.nn.relu(x)
jax.nn.gelu(x)
jax.nn.silu(x)
jax.nn.one_hot(ir, 4)
lax.reduce(x, 0.0, lax.add, (0,))
lax.reduce(r, 0.0, lambda p, q: p * q + 1, (1,))
lax.reduce_max(x, (0,))
x @ w
r @ w
r @ wx
z @ w
x @ wx
x @ x.T
r @ r.T
x.T @ x
z @ c.T
jnp.matmul(x, x.T, out_sharding=P('x'))
jnp.matmul(x, wx, out_sharding=P('x', None))
jnp.matmul(x, wx, out_sharding=P('x', 'y'))
jnp.matmul(x.T, x, out_sharding=P('y'))
jnp.dot(r, w)
jnp.dot(r.T, r, out_sharding=P())
jnp.dot(v, v)
jnp.dot(v, v, out_sharding=P())
jnp.dot(v, n)
jnp.vdot(n, n)
jnp.outer(v, u)
jnp.tensordot(r, w, 1)
jnp.einsum('ab,bc->ac', r, w)
jnp.einsum('ab,bc->ac', x, wx, out_sharding=P('x', None))
jnp.einsum('ab,bc->ca', r, w)
jnp.einsum('abc,acd->abd', b2.swapaxes(1, 2), b2)
jnp.einsum('bij,bjk->bik', t, t)
jnp.einsum('bij,bjk->bik', t, t, out_sharding=P('x', 'y'))
jnp.einsum('ab->b', r)
jnp.einsum('ab->ba', x)
lax.dot(r, w)
lax.dot_general(t, t, (((2,), (1,)), ((0,), (0,))))
lax.dot_general(x, wx, (((1,), (0,)), ((), ())), out_sharding=P('x', None))
lax.batch_matmul(t, t)
lax.conv_general_dilated(im, kr, (1, 1), 'SAME')
lax.conv_general_dilated(im, ky, (1, 1), 'SAME')
lax.conv_general_dilated(ic, kc, (1, 1), 'SAME')
lax.conv_general_dilated(ii, kr, (1, 1), 'SAME')
lax.reduce_window(im, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), 'VALID')
lax.reduce_window(im, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), 'VALID')
lax.reduce_window(ii, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), 'VALID')
jnp.concatenate([r, r])
jnp.concatenate([r, r], 1)
jnp.concatenate([x, x], 1)
jnp.concatenate([r, z], 1)
jnp.concatenate([x, y])
jnp.stack([r, r])
jnp.stack([x, x], 1)
jnp.hstack([v, v])
jnp.pad(r, ((0, 0), (1, 1)))
jnp.pad(r, 1)
jnp.pad(r, ((4, 0), (0, 0)))
lax.pad(r, 0.0, ((0, 0, 0), (2, 2, 0)))
jnp.split(r, 2, 1)[0]
jnp.split(r, 2, 0)[0]
jnp.tile(r, (1, 2))
jnp.repeat(r, 2, 1)
jnp.roll(r, 1, 1)
lax.slice(r, (0, 1), (8, 3))
lax.slice(r, (0, 0), (4, 4))
lax.slice(r, (1, 0), (4, 4))
lax.slice(x, (0, 0), (8, 2))
lax.slice(x, (0, 0), (8, 4))
lax.slice_in_dim(r, 1, 3, axis=1)
lax.index_in_dim(r, 1, 1)
lax.index_in_dim(r, 1, 0)
lax.dynamic_slice(r, (0, 1), (8, 2))
lax.dynamic_slice(r, (1, 0), (4, 4))
lax.dynamic_slice(r, (1, 0), (2, 4))
lax.dynamic_slice(z, (1, 0), (2, 4))
lax.dynamic_slice_in_dim(r, 1, 2, 1)
lax.dynamic_index_in_dim(r, 1, 1)
lax.dynamic_index_in_dim(r, 1, 0)
lax.dynamic_update_slice(r, r, (0, 0))
lax.dynamic_update_slice(r, r[:, :2], (0, 1))
lax.dynamic_update_slice(r, z[:2], (1, 0))
lax.dynamic_update_slice(z, z[:2], (1, 0))
lax.dynamic_update_slice_in_dim(r, r[:, :2], 1, 1)
r[0]
r[:, 0]
r[:, 1:3]
r[:4]
x[:, 1]
z[0]
z[ir]
r[ir]
r[:, ir[:2]]
r[ix]
z[ix]
c[ir]
c[ix]
r.at[0].get(out_sharding=P(None))
r.at[ir].get(out_sharding=P('x', None))
z.at[ix].get(out_sharding=P('x'))
r.at[:4].get(out_sharding=P())
jnp.take(z, ix, 0)
jnp.take(r, ir, 1)
jnp.take_along_axis(r, i[:, :2], 1)
jnp.take_along_axis(r, r.astype('int32'), 1)
r.at[0].set(1.0)
r.at[:, 0].set(1.0)
r.at[:, 0].add(v)
z.at[ir].set(1.0)
z.at[ix].add(r)
r.at[ir].add(r)
c.at[ir].set(0.0)
r.at[ir].set(r, out_sharding=P('x', None))
z.at[0].add(1.0)
jnp.sort(r, 1)
jnp.sort(r, 0)
jnp.sort(z)
jnp.argsort(r, 1)
lax.sort((r, r), dimension=1)
lax.sort((r, z), dimension=1, num_keys=2)
lax.top_k(r, 2)
lax.top_k(c, 2)
lax.cumsum(r, 1)
lax.cumsum(r, 0)
jnp.cumsum(r, 1)
lax.cumprod(c, 0)
lax.cummax(r, 1)
lax.cumlogsumexp(r, 0)
jnp.diff(r, axis=1)
jnp.fft.fft(r, axis=1)
jnp.linalg.cholesky(t)
jnp.linalg.inv(t)
jnp.linalg.qr(t)
jnp.linalg.solve(t, t)
jnp.linalg.eigh(t)
jnp.linalg.svd(t)
jnp.linalg.cholesky(m)
lax.linalg.lu(t)
lax.linalg.triangular_solve(t, t)
jax.random.normal(jax.random.key(0), (8, 4))
jax.random.uniform(jax.random.key(0), (8, 4), out_sharding=P('x'))
jax.random.normal(jax.random.key(0), (8, 4), out_sharding=P('x', 'y'))
jax.random.bits(jax.random.key(0), (8,), out_sharding=P('x'))
jax.random.randint(jax.random.key(0), (8,), 0, 9, out_sharding=P('x'))
jax.random.split(jax.random.key(0), 8)
jax.jit(lambda a: a * 2)(x)
jax.jit(lambda a: a.sum(0))(x)
jax.checkpoint(lambda a: a * 2)(x)
lax.cond(True, lambda a: a * 2, lambda a: a + 1, x)
lax.cond(s > 0, lambda a: a, lambda a: a.T.T, x)
lax.cond(s > 0, lambda a, o: a, lambda a, o: o, x, r)
lax.cond(s > 0, lambda a, o: a, lambda a, o: o, x, z)
lax.switch(ir[0], [lambda a: a * 2, lambda a: a + 1], x)
lax.while_loop(lambda a: a.sum() < 9, lambda a: a * 2, x)
lax.while_loop(lambda a: a.sum() < 9, lambda a: a + x, z)
lax.fori_loop(0, 3, lambda k, a: a * 2, x)
lax.scan(lambda k, a: (k + a, a * 2), jnp.zeros(4), r)
lax.scan(lambda k, a: (k + a, a * 2), jnp.zeros(4), c)
lax.scan(lambda k, a: (k + a, a * 2), jnp.zeros(4, out_sharding=P('x')), c)
lax.scan(lambda k, a: (k + a, k), x, None, length=3) if False else lax.scan(lambda k, _: (k * 2, k), x, None, length=3)
lax.map(lambda a: a * 2, c)
lax.map(lambda a: a * 2, r)
lax.associative_scan(lax.add, r, axis=1)
jax.vmap(lambda a: a.sum())(r)
jax.vmap(lambda a: a * 2)(x)
jax.vmap(lambda a: a * 2, in_axes=1, out_axes=1)(x)
jax.vmap(lambda a, o: a + o)(r, x)
jax.vmap(lambda a, o: a + o, (0, None))(x, u)
jax.vmap(lambda a, o: a + o)(x, y)
jax.vmap(lambda a: a @ w)(r)
jax.vmap(lambda a, o: a @ o)(t, t)
jax.vmap(jnp.dot, (None, 0))(jnp.ones(4), r)
jax.vmap(lambda a: jnp.zeros(3))(r)
jax.vmap(lambda a: a + jnp.arange(4.))(r)
jax.vmap(lambda a: jnp.sort(a))(r)
jax.vmap(lambda a: jnp.cumsum(a))(r)
jax.vmap(lambda a: a[1:3])(r)
jax.vmap(lambda a: jnp.concatenate([a, a]))(r)
jax.vmap(lambda a: jnp.where(a > 0, a, 0))(r)
jax.vmap(lambda a: a.reshape(2, 2))(r)
jax.vmap(jax.vmap(lambda a: a * 2))(x)
jax.vmap(lambda a: a * 2, spmd_axis_name='x')(r)
jax.vmap(lambda a: lax.scan(lambda k, e: (k + e, k), 0.0, a))(r)
jax.grad(lambda a: (a ** 2).sum())(x)
jax.grad(lambda a: jnp.tanh(a).sum())(r)
jax.grad(lambda a: (a @ w).sum())(r)
jax.grad(lambda a: (r @ a).sum())(w)
jax.grad(lambda a: jnp.matmul(x, a, out_sharding=P('x', None)).sum())(wx)
jax.grad(lambda a: jnp.matmul(a, wx, out_sharding=P('x', None)).sum())(x)
jax.grad(lambda a: a.T.reshape(32).sum())(z)
jax.grad(lambda a: (a.reshape(32) * 2).sum())(r)
jax.grad(lambda a: a.max())(r)
jax.grad(lambda a: a.max(1).sum())(r)
jax.grad(lambda a: jax.nn.softmax(a, 1).sum())(r)
jax.grad(lambda a: a[:, 1].sum())(r)
jax.grad(lambda a: a.at[0].get(out_sharding=P(None)).sum())(r)
jax.grad(lambda a: lax.scan(lambda k, e: (k + jnp.sin(e), None), jnp.zeros(4, out_sharding=P('x')), a)[0].sum())(c)
jax.grad(lambda a: jax.checkpoint(lambda o: jnp.sin(jnp.sin(o)))(a).sum())(x)
jax.grad(lambda a: jnp.concatenate([a, a], 1).sum())(r)
jax.grad(lambda a: jnp.sort(a, 1)[:, 0].sum())(r)
jax.grad(lambda a: lax.cumsum(a, 1).sum())(r)
jax.grad(lambda a: jnp.broadcast_to(a[:, None], (8, 4)).sum())(v)
jax.grad(lambda a: (a + r).sum())(z)
jax.grad(lambda a: jnp.where(l, a, 0.).sum())(x)
jax.grad(lambda a: jax.reshard(a, P('y')).sum())(x)
jax.value_and_grad(lambda a: (a ** 2).sum())(x)
jax.jvp(jnp.sin, (x,), (x,))
jax.linearize(jnp.sin, x)[0]
jax.vjp(lambda a: a.sum(0), x)[1](u)
jax.jacrev(lambda a: a.sum(1))(r)
jax.hessian(lambda a: (a ** 3).sum())(v)
jax.reshard(x, P())
jax.reshard(x, P('y'))
jax.reshard(z, P('x', 'y'))
jax.reshard(z, P('q'))
jax.reshard(z, P('x', 'x'))
jax.reshard(z, P('x', None, None))
jax.reshard(jnp.ones((6, 4)), P('x'))
jax.sharding.auto_axes(lambda a: a.T @ a, out_sharding=P('y'))(x)
jax.sharding.auto_axes(lambda a: a + 1, axes='x', out_sharding=P('x', 'y'))(x)
jax.sharding.explicit_axes(lambda a: a * 2, in_sharding=P('x', 'y'))(x)
lax.with_sharding_constraint(x, P('x', 'y'))
lax.with_sharding_constraint(x, P('y', 'x'))
jnp.linspace(0, 1, 8)
jnp.triu(m)
jnp.tril(t)
jnp.meshgrid(v, u)
jnp.cross(r[:, :3], r[:, :3])
jnp.kron(z, z)
jnp.allclose(x, x)
jnp.array_equal(r, r)
jnp.histogram(n, 4)[0]
jnp.bincount(ir, length=4)
jnp.searchsorted(n, v)
jnp.interp(v, n, n)
jnp.nonzero(n, size=3)
jnp.median(r, 1)
jnp.apply_along_axis(jnp.sum, 1, z)
jnp.vectorize(lambda a: a * 2)(x)
jax.lax.custom_root(lambda a: a - 1, s, lambda f, a: a, lambda g, a: a)
""".strip().splitlines()

TYPES = [  # a spec with sets of axes, and how the type prints
    (("x", None), {}),
    ((None, None), {"unreduced": {"x"}}),
    (("y", None), {"unreduced": {"x"}}),
    ((None, None), {"reduced": {"x", "y"}}),
]


def environment(jax: Any) -> dict[str, Any]:
    """What the names in the expressions mean."""
    return {"jax": jax, "jnp": jax.numpy, "lax": jax.lax, "P": jax.sharding.PartitionSpec}


def arguments(jax: Any, mesh: Any) -> dict[str, Any]:
    sharding, spec = jax.sharding.NamedSharding, jax.sharding.PartitionSpec
    return {
        name: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding(mesh, spec(*entries)))
        for name, (shape, dtype, entries) in ARGUMENTS.items()
    }


def outcome(jax: Any, case: str, args: dict[str, Any]) -> str:
    """The types of the results, or the class of the error."""
    code = compile(case, case, "eval")
    inner = {name for const in _codes(code) for name in const.co_names}
    used = [name for name in ARGUMENTS if name in inner]

    def function(*values: Any) -> Any:
        return eval(code, {**environment(jax), **dict(zip(used, values, strict=True))})

    try:
        jaxpr = jax.make_jaxpr(function)(*(args[name] for name in used))
    except Exception as error:
        return type(error).__name__
    return " ".join(aval.str_short(short_dtypes=False) for aval in jaxpr.out_avals)


def _codes(code: Any) -> Any:
    yield code
    for const in code.co_consts:
        if hasattr(const, "co_names"):
            yield from _codes(const)


def outcomes(jax: Any) -> dict[str, str]:
    """For every case its outcome, over eight devices."""
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)
    args = arguments(jax, mesh)
    with jax.set_mesh(mesh):
        return {case: outcome(jax, case, args) for case in CASES}


if __name__ == "__main__":
    import os

    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
    import jax

    GOLDEN.write_text(json.dumps(outcomes(jax), indent=0) + "\n")
