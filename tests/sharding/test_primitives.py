"""Every primitive with operands over eight devices gives what it gives on one."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax

from .meshes import P, mesh

_random = np.random.default_rng(0)
X = (_random.uniform(0.2, 0.8, (8, 16))).astype(np.float32)
Y = (_random.uniform(0.2, 0.8, (8, 16))).astype(np.float32)
N = _random.integers(0, 8, (8, 16)).astype(np.int32)
B = N > 3
C = (X + 1j * Y).astype(np.complex64)
S = (X @ X.T + 8 * np.eye(8)).astype(np.float32)
INDICES = np.arange(8, dtype=np.int32)[:, None] * 2

ROWS = lax.ScatterDimensionNumbers((1,), (0,), (0,))

UNARY = (
    "neg sign floor ceil is_finite exp exp2 expm1 log log1p tanh logistic sin cos tan asin acos atan sinh cosh asinh "
    "atanh sqrt rsqrt cbrt square reciprocal abs round erf erfc erf_inv lgamma digamma bessel_i0e bessel_i1e"
).split()
BINARY = (
    "add sub mul div rem max min atan2 nextafter pow igamma igammac complex eq ne lt le gt ge random_gamma_grad"
).split()
BITS = "bitwise_and bitwise_or bitwise_xor shift_left shift_right_logical shift_right_arithmetic".split()


def _table():
    table = {name: (getattr(lax, name), X) for name in UNARY}
    table |= {name: (getattr(lax, name), X, Y) for name in BINARY}
    table |= {name: (getattr(lax, name), N, N) for name in BITS}
    table |= {name: (getattr(lax, name), N) for name in ("bitwise_not", "population_count", "clz")}
    table |= {f"{name} complex": (getattr(lax, name), C) for name in ("real", "imag", "conj")}
    for axis in (0, 1):
        for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min"):
            table[f"{name} {axis}"] = (lambda x, name=name, a=axis: getattr(lax, name)(x, (a,)), X)
        for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"):
            table[f"{name} {axis}"] = (lambda x, name=name, a=axis: getattr(lax, name)(x, a, True), X)
        for name in ("argmax", "argmin"):
            table[f"{name} {axis}"] = (lambda x, name=name, a=axis: getattr(lax, name)(x, a, np.int32), X)
        table[f"sort {axis}"] = (lambda x, a=axis: lax.sort(x, dimension=a), X)
        table[f"concatenate {axis}"] = (lambda x, y, a=axis: lax.concatenate([x, y], a), X, Y)
        table[f"reduce_and {axis}"] = (lambda b, a=axis: lax.reduce_and(b, (a,)), B)
        table[f"reduce_or {axis}"] = (lambda b, a=axis: lax.reduce_or(b, (a,)), B)
        table[f"rev {axis}"] = (lambda x, a=axis: lax.rev(x, (a,)), X)
    numbers = lax.GatherDimensionNumbers((1,), (0,), (0,))
    rows = ROWS
    return table | {
        "select_n": (lax.select_n, B, X, Y),
        "clamp": (lambda x, y: lax.clamp(np.float32(0.3), x, y), X, Y),
        "integer_pow": (lambda x: lax.integer_pow(x, 3), X),
        "convert": (lambda x: lax.convert_element_type(x, np.int32), X),
        "bitcast": (lambda x: lax.bitcast_convert_type(x, np.int32), X),
        "reduce_precision": (lambda x: lax.reduce_precision(x, 5, 10), X),
        "reshape": (lambda x: lax.reshape(x, (4, 32)), X),
        "transpose": (lambda x: lax.transpose(x, (1, 0)), X),
        "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (8, 3, 16), (0, 2)), X),
        "squeeze": (lambda x: lax.squeeze(lax.expand_dims(x, (1,)), (1,)), X),
        "pad": (lambda x: lax.pad(x, np.float32(0), [(1, -2, 0), (0, 1, 1)]), X),
        "slice": (lambda x: lax.slice(x, (1, 3), (7, 15), (2, 3)), X),
        "dynamic_slice": (lambda x, n: lax.dynamic_slice(x, (n[0, 0], n[1, 1]), (3, 5)), X, N),
        "dynamic_update_slice": (lambda x, y: lax.dynamic_update_slice(x, y[:3, :5], (2, 4)), X, Y),
        "gather": (lambda x, i: lax.gather(x, i % 8, numbers, (1, 16)), X, INDICES),
        "scatter": (lambda x, i, y: lax.scatter(x, i % 8, y, rows), X, INDICES // 2, Y),
        "scatter_add": (lambda x, i, y: lax.scatter_add(x, i % 8, y, rows), X, INDICES // 4, Y),
        "scatter_max": (lambda x, i, y: lax.scatter_max(x, i % 8, y, rows), X, INDICES // 4, Y),
        "iota": (lambda x: lax.broadcasted_iota(np.int32, x.shape, 1) + lax.convert_element_type(x, np.int32), X),
        "top_k": (lambda x: lax.top_k(x, 3)[0], X),
        "dot, rows": (lambda x, y: lax.dot_general(x, y, (((1,), (1,)), ((), ()))), X, Y),
        "dot, columns": (lambda x, y: lax.dot_general(x, y, (((0,), (0,)), ((), ()))), X, Y),
        "dot, batch": (lambda x, y: lax.dot_general(x, y, (((1,), (1,)), ((0,), (0,)))), X, Y),
        "conv": (
            lambda x, y: lax.conv(lax.expand_dims(x, (1,)), lax.expand_dims(y[:, :3], (1,)), (1,), "SAME"), X, Y,
        ),
        "reduce_window": (lambda x: lax.reduce_window(x, -np.inf, lax.max, (2, 3), (1, 2), "SAME"), X),
        "fft": (lambda x: lax.fft(x, "FFT", (16,)), C),
        "cholesky": (lax.linalg.cholesky, S),
        "qr": (lambda x: lax.linalg.qr(x, full_matrices=False)[1], X),
        "eigh": (lambda x: lax.linalg.eigh(x)[1], S),
        "triangular_solve": (lambda s, x: lax.linalg.triangular_solve(s, x, left_side=True, lower=True), S, X),
        "cond": (lambda x, y: lax.cond(x[0, 0] > 0.5, lambda: x, lambda: y), X, Y),
        "while": (lambda x: lax.while_loop(lambda v: v.sum() < 100, lambda v: v * 2, x), X),
        "scan": (lambda x, y: lax.scan(lambda c, row: (c * 0.5 + row, c.sum()), y[0], x), X, Y),
        "map": (lambda x: lax.map(cnp.sort, x), X),
        "rng": (lambda n: ct.random.uniform(ct.random.wrap_key_data(n[0, :2].astype(np.uint32)), (8, 16)), N),
        "optimization_barrier": (lambda x, y: lax.optimization_barrier((x, y))[1], X, Y),
    }  # fmt: skip


def _more():
    """Primitives that few functions have by themselves: compared where all operands are divided."""
    rows = ROWS
    add, window = (0.0, lax.add), ((2, 2), (2, 2), "VALID")
    return {
        "acosh": (lambda x: lax.acosh(1 + x), X),
        "zeta": (lambda x, y: lax.zeta(1.5 + x, y), X, Y),
        "polygamma": (lambda n, x: lax.polygamma(lax.convert_element_type(n % 3, np.float32), x), N, X),
        "betainc": (lambda x, y: lax.betainc(x, y, np.float32(0.4) * y), X, Y),
        "igamma_grad_a": (lax.igamma_grad_a, X, Y),
        "mulhi": (lambda n: lax.mulhi(n << 28, n << 27), N),
        "approx_top_k": (lambda x: lax.approx_max_k(x, 3)[0], X),
        "reduce_xor": (lambda n: (lax.reduce_xor(n, (0,)), lax.reduce_xor(n, (1,))), N),
        "reduce": (lambda x: [lax.reduce(x, 0.0, lambda a, b: a + b + a * b, (i,)) for i in (0, 1)], X),
        "reduce_max complex": (lambda z: (lax.reduce_max(z, (0,)), lax.reduce_min(z, (1,))), C),
        "reduce_window, sum": (lambda x: lax.reduce_window(x, *add, *window), X),
        "reduce_window, min": (lambda x: lax.reduce_window(x, np.inf, lax.min, *window), X),
        "pool": (ct.grad(lambda x: (lax.reduce_window(x, -np.inf, lax.max, *window) ** 2).sum()), X),
        "pool, jvp": (lambda x, y: ct.jvp(lambda v: lax.reduce_window(v, -np.inf, lax.max, *window), (x,), (y,)), X, Y),
        "scatter_min": (lambda x, i, y: lax.scatter_min(x, i % 8, y, rows), X, INDICES // 4, Y),
        "scatter_mul": (lambda x, i, y: lax.scatter_mul(x, i % 8, y, rows), X, INDICES // 4, Y),
        "scatter_sub": (lambda x, i, y: lax.scatter_sub(x, i % 8, y, rows), X, INDICES // 4, Y),
        "split": (lambda x: lax.split(x, (3, 5), 0) + lax.split(x, (6, 10), 1), X),
        "tile": (lambda x: lax.tile(x, (2, 1)), X),
        "stack": (lambda x, y: cnp.stack([x, y], 1), X, Y),
        "unstack": (lambda x: list(cnp.unstack(x, axis=1)), X),
        "lu": (lambda s: lax.linalg.lu(s)[0], S),
        "lu_pivots": (lambda s: lax.linalg.lu(s)[2], S),
        "svd": (lambda x: lax.linalg.svd(x, compute_uv=False), X),
        "eig": (lambda s: cnp.sort(cnp.abs(lax.linalg.eig(s)[0])), S),
        "schur": (lambda s: cnp.sort(cnp.diagonal(lax.linalg.schur(s)[0])), S),
        "hessenberg": (lambda s: lax.linalg.hessenberg(s)[0], S),
        "tridiagonal": (lambda s: lax.linalg.tridiagonal(s)[1], S),
        "tridiagonal_solve": (lambda s, x: lax.linalg.tridiagonal_solve(s[0] * 0, s[1] + 9, s[2] * 0, x), S, X),
        "cholesky_update": (lambda s, x: lax.linalg.cholesky_update(lax.linalg.cholesky(s).T, x[:, 0]), S, X),
        "symmetric_product": (lambda x, s: lax.linalg.symmetric_product(x, s), X, S),
        "linear_solve": (lambda s, x: lax.custom_linear_solve(lambda v: s @ v, x, lambda _, b: b / 9), S, X),
        "custom_jvp": (ct.nn.relu, X),
        "custom_vjp": (_own_gradient(), X),
        "remat": (ct.grad(lambda x: ct.checkpoint(lambda v: cnp.sin(v).sum())(x)), X),
        "bits": (lambda n: lax.rng_bit_generator(n[0, :4].astype(np.uint32), (8, 16))[1], N),
        "random": (lambda n: ct.random.gamma(ct.random.fold_in(ct.random.key(n[0, 0]), 3), 2.0, (8, 16)), N),
        "keys": (lambda n: ct.random.key_data(ct.random.split(ct.random.key(n[0, 0]), 8)), N),
        "reference": (_swapped, X, Y),
    }  # fmt: skip


def _own_gradient():
    f = ct.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, x), lambda x, ct: (ct * x,))
    return f


def _swapped(x, y):
    held = ct.new_ref(x)
    held[1] = y[2]
    held[3] += 1
    return held[...]


MORE = _more()
TABLE = _table() | MORE


def _everything(arguments):
    return {name: TABLE[name][0](*own) for name, own in arguments.items()}


@pytest.fixture(scope="module")
def expected():
    return ct.device_get(ct.jit(_everything)({name: row[1:] for name, row in TABLE.items()}))


@pytest.mark.parametrize("operands, dimension", [("all", 0), ("all", 1), ("first", 0), ("last", 1)])
def test_sharded_operands_change_nothing(expected, dimension, operands):
    line = mesh((8,), ("x",))

    def sharding(own, position):
        chosen = {"all": True, "first": position == 0, "last": position == len(own) - 1}[operands]
        dim = min(dimension, own[position].ndim - 1)
        fits = own[position].shape[dim] % 8 == 0
        return ct.NamedSharding(line, P(*[None] * dim, "x") if chosen and fits else P())

    arguments = {
        name: tuple(ct.device_put(x, sharding(row[1:], i)) for i, x in enumerate(row[1:]))
        for name, row in TABLE.items()
        if (operands == "all" or len(row) > 2) and (name not in MORE or (operands, dimension) == ("all", 0))
    }
    found = ct.device_get(ct.jit(_everything)(arguments))
    for name in found:
        for a, b in zip(ct.tree.leaves(found[name]), ct.tree.leaves(expected[name]), strict=True):
            np.testing.assert_allclose(np.abs(a), np.abs(b), rtol=2e-5, atol=2e-5, err_msg=name)
            assert a.dtype == b.dtype


#: What has no values to divide, stands for a loop or a call of its own, or is compared elsewhere.
ELSEWHERE = set(
    """add_any all_gather all_to_all axis_index check collective_permute copy create_token dce_sink debug_callback
    debug_print device_put empty expand_dims ffi_call geqrf householder_product inspect_sharding io_callback
    layout_constraint name optimization_barrier ormqr pbroadcast pmax pmin ppermute psum psum_invariant pure_callback
    pvary random_bits random_clone random_wrap random_unwrap reshard rng_uniform elementwise select_and_gather_add
    lu_pivots_to_permutation reduce_window threefry2x32 scaled_dot select_and_scatter borrow_active choose_active
    reduce_scatter ragged_all_to_all all_gather_invariant
    """.split()
)


def test_every_rule_of_layouts_has_a_row():
    from canter.core.jaxpr import subjaxprs
    from canter.lax.explicit_rules import RULES

    def names(jaxpr):
        found = {eqn.primitive.name for eqn in jaxpr.eqns}
        return found.union(*map(names, subjaxprs(jaxpr)))

    arguments = {name: row[1:] for name, row in TABLE.items()}
    assert set(RULES) - names(ct.make_jaxpr(_everything)(arguments).jaxpr) <= ELSEWHERE
