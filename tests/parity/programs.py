"""Programs that run on Canter and on JAX alike, and print what both should agree on.

Run as a script: `python programs.py canter` or `python programs.py jax` prints a JSON object.
"""

import json
import sys

import numpy as np

X = np.array([0.5, -1.25, 2.0], np.float32)
M = np.arange(12, dtype=np.float32).reshape(3, 4) / 10
INDICES = np.array([3, 1, 2], np.int32)


def printed(api, lax):
    """Functions of lax calls whose jaxprs print the same."""

    @api.custom_jvp
    def triple(x):
        return lax.mul(x, 3.0)

    triple.defjvp(lambda p, t: (triple(*p), lax.mul(t[0], 3.0)))

    @api.custom_vjp
    def scaled(x):
        return lax.mul(x, 3.0)

    scaled.defvjp(lambda x: (scaled(x), x), lambda saved, g: (lax.mul(g, saved),))
    dims = (((1,), (0,)), ((), ()))
    return {
        "elementwise": (lambda x: lax.add(lax.sin(x), lax.mul(x, 2.0)), X),
        "integer_pow": (lambda x: lax.integer_pow(lax.neg(x), 3), X),
        "comparison": (lambda x: lax.select(lax.gt(x, 0.0), lax.exp(x), lax.tanh(x)), X),
        "reductions": (
            lambda x: (lax.reduce_sum_p.bind(x, axes=(0,), out_sharding=None), lax.argmax(x, 0, np.int32)),
            M,
        ),
        "shapes": (lambda x: lax.transpose(lax.reshape(x, (2, 6)), (1, 0)), M),
        "broadcast": (lambda x: lax.broadcast_in_dim(x, (2, 3), (1,)), X),
        "slices": (lambda x: lax.concatenate([lax.slice(x, (0, 1), (2, 3)), lax.rev(x, (1,))[:, :2]], 0), M),
        "dynamic": (lambda x, i: lax.dynamic_slice(x, (i[0], i[1]), (1, 2)), M, INDICES),
        "update": (lambda x, i: lax.dynamic_update_slice(x, x[:1, :1], (i[0], i[1])), M, INDICES),
        "dot": (lambda x: lax.dot_general(x, lax.transpose(x, (1, 0)), dims), M),
        "convert": (lambda x: lax.convert_element_type(x, np.int32), X),
        "iota": (lambda: lax.iota(np.int32, 3),),
        "cumulative": (lambda x: lax.cumsum(x, axis=1, reverse=True), M),
        "sort": (lambda x: lax.sort((x, x), num_keys=1), X),
        "top_k": (lambda x: lax.top_k(x, 2), X),
        "pad": (lambda x: lax.pad(x, 0.0, ((1, 2, 1),)), X),
        "nested jit": (lambda x: api.jit(lambda y: lax.sin(y))(x), X),
        "cond": (lambda x: lax.cond(True, lambda y: lax.sin(y), lambda y: lax.neg(y), x), X),
        "while": (lambda n: lax.while_loop(lambda c: lax.lt(c, 10), lambda c: lax.mul(c, 2), n), 1),
        "scan": (lambda c, x: lax.scan(lambda c, y: (lax.mul(c, y), lax.add(c, y)), c, x), np.float32(1), X),
        "fori": (lambda x: lax.fori_loop(0, 3, lambda i, y: lax.mul(y, y), x), X),
        "custom_jvp": (lambda x: triple(x), X),
        "custom_vjp": (lambda x: scaled(x), X),
        "vmap": (lambda x: api.vmap(lambda y: lax.dot_general(y, y, (((0,), (0,)), ((), ()))))(x), M),
        "jvp": (lambda x: api.jvp(lambda y: lax.sin(lax.mul(y, y)), (x,), (x,)), X),
        "grad": (lambda x: api.grad(lambda y: lax.sin(lax.mul(y, 2.0)))(x), 1.0),
        "closed over": (lambda x: lax.add(x, X), X),
    }


def values(api, lax):
    """Functions whose values agree to rounding."""
    f = lambda x: lax.scan(lambda c, y: (lax.sin(lax.mul(c, y)), c), x, X)[0]
    conv = lambda x: lax.conv_general_dilated(x, x[:, :, :2, :2], (1, 1), "SAME")
    image = np.arange(18, dtype=np.float32).reshape(1, 2, 3, 3) / 10
    return {
        "scan gradient": (api.grad(f), np.float32(0.7)),
        "second derivative": (api.grad(api.grad(f)), np.float32(0.7)),
        "hessian": (
            api.hessian(
                lambda x: lax.reduce_sum_p.bind(lax.tanh(lax.mul(x, x)), axes=(0,), out_sharding=None)
            ),
            X,
        ),
        "convolution": (conv, image),
        "convolution gradient": (
            api.grad(lambda x: lax.reduce(lax.sin(conv(x)), 0.0, lax.add, (0, 1, 2, 3))),
            image,
        ),
        "gather": (lambda x, i: lax.index_take(x, (i,), (0,)), M, INDICES),
        "special": (lambda x: (lax.erf(x), lax.lgamma(x), lax.digamma(x), lax.erf_inv(lax.mul(x, 0.3))), X),
        "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, axis=0), M),
        "reduce_window": (
            lambda x: lax.reduce_window(x, -np.inf, lax.max, (2, 2), (1, 2), "SAME"),
            M,
        ),
    }


def main(framework):
    if framework == "jax":
        import jax as api
        from jax import lax
    else:
        import canter as api
        from canter import lax
    out = {}
    for name, (f, *args) in printed(api, lax).items():
        out["printed " + name] = str(api.make_jaxpr(f)(*args))
    for name, (f, *args) in values(api, lax).items():
        leaves = api.tree_util.tree_leaves(api.jit(f)(*args))
        out["value " + name] = [np.asarray(x, np.float64).ravel().tolist() for x in leaves]
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1])
