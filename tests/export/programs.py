"""Programs whose modules are read back: each is a function and its arguments, small and of every family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.lax import linalg


class Program(NamedTuple):
    """A function, its arguments, and which of them are differentiated."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    wrt: tuple[int, ...]


def _floats(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def _complex(*shape: int, seed: int = 0) -> np.ndarray:
    return (_floats(*shape, seed=seed) + 1j * _floats(*shape, seed=seed + 1)).astype(np.complex64)


X = _floats(3, 4)
Y = _floats(3, 4, seed=1)
POSITIVE = _floats(3, 4, seed=2, low=0.2, high=0.9)
SQUARE = _floats(3, 3, seed=3) + 2 * np.eye(3, dtype=np.float32)
BATCH = np.stack([SQUARE, SQUARE.T + 0.3])
SYMMETRIC = SQUARE @ SQUARE.T + np.diag([0.0, 1.0, 2.5]).astype(np.float32)
INTS = np.array([[5, -3, 7, 0], [2, 2, -8, 1], [9, 4, 4, -1]], np.int32)
UINTS = np.array([[5, 3, 7, 0], [2, 2, 8, 1], [9, 4, 4, 11]], np.uint32)
FLAGS = INTS > 2
COMPLEX = _complex(3, 4)
IMAGE = _floats(1, 2, 6, 5, seed=5)
KERNEL = _floats(4, 2, 3, 2, seed=6)

PROGRAMS: dict[str, dict[str, Program]] = {}


def program(family: str, name: str, function: Callable[..., Any], *arguments: Any, wrt: Any = None) -> None:
    """Adds one; `wrt` is by default all arguments that are floats."""
    if wrt is None:
        wrt = tuple(i for i, x in enumerate(arguments) if np.asarray(x).dtype.kind == "f")
    PROGRAMS.setdefault(family, {})[name] = Program(function, arguments, tuple(wrt))


# --- elementwise ----------------------------------------------------------------------------------

for _name in (
    "acos asin atan asinh atanh cbrt cos cosh digamma erf erfc erf_inv exp exp2 expm1 lgamma log log1p logistic "
    "rsqrt sin sinh sqrt square tan tanh bessel_i0e bessel_i1e neg abs sign floor ceil is_finite"
).split():
    program("unary", _name, getattr(lax, _name), POSITIVE)
program("unary", "acosh", lax.acosh, POSITIVE + 1)
program("unary", "round", lambda x: (lax.round(x), lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)), 4 * X)
program("unary", "reduce_precision", lambda x: lax.reduce_precision(x, 5, 7), X)
program("unary", "integer_pow", lambda x: (x**3, x**-2), POSITIVE)
for _name in "add sub mul div max min atan2 rem".split():
    program("binary", _name, getattr(lax, _name), X, POSITIVE)
program("binary", "pow", lax.pow, POSITIVE, Y)
program("binary", "nextafter", lax.nextafter, X, Y, wrt=())
program("binary", "zeta", lambda x, y: lax.zeta(x + 2, y), POSITIVE, POSITIVE, wrt=())
program("binary", "polygamma", lambda x: lax.polygamma(cnp.ones_like(x), x), POSITIVE)
program("binary", "compare", lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y), X, Y, wrt=())
program("binary", "select", lambda p, x, y: lax.select(p, x, y), FLAGS, X, Y)
program("binary", "clamp", lambda x: lax.clamp(-0.5, x, 0.25), X)
program("binary", "scalar_predicate", lambda x, y: lax.select(x[0, 0] > 0, x, y), X, Y)
for _name in "add sub mul div rem max min".split():
    program("integers", _name, getattr(lax, _name), INTS, INTS[::-1].copy())
program("integers", "bits", lambda x, y: (x & y, x | y, x ^ y, ~x), INTS, INTS[::-1].copy())
program(
    "integers", "shifts", lambda x: (x << 2, lax.shift_right_arithmetic(x, cnp.full_like(x, 1)), x >> 1), INTS
)
program(
    "integers", "unsigned", lambda x: (x << 2, x >> 1, -x, x // 3, lax.clz(x), lax.population_count(x)), UINTS
)
program("integers", "power", lambda x: (cnp.power(x, x[::-1] & 3), x**3), INTS)
program("integers", "mulhi", lambda x: lax.mulhi(x, x + np.uint32(1 << 31)), UINTS)
program(
    "integers",
    "booleans",
    lambda p: (p & ~p[::-1], p | p[::-1], p ^ p[::-1], p.sum(), p.all(1), p.any(0)),
    FLAGS,
)
program(
    "integers",
    "converts",
    lambda x: (x.astype("float32"), x.astype("uint8"), x.astype(bool), x.astype("int8")),
    INTS,
)
program(
    "complex", "arithmetic", lambda x: (x * x[::-1], x / (x + 2), abs(x), x.real, x.imag, x.conj()), COMPLEX
)
program(
    "complex", "functions", lambda x: (cnp.exp(x), cnp.sin(x), cnp.log(x), cnp.sqrt(x), cnp.tanh(x)), COMPLEX
)
program("complex", "from_parts", lambda x, y: abs(lax.complex(x, y)) + cnp.angle(lax.complex(x, y)), X, Y)
program(
    "complex",
    "constant",
    lambda x: x * np.complex64(1 + 2j) + np.array([1j, 2, 3 + 1j, 4], np.complex64),
    COMPLEX,
)
program("complex", "through", lambda x: cnp.real(cnp.exp(x * (1 + 2j))), X)

# --- shapes ---------------------------------------------------------------------------------------

program("shapes", "reshape", lambda x: x.reshape(2, 6).T.reshape(-1), X)
program("shapes", "broadcast", lambda x: cnp.broadcast_to(x[:, None, :], (3, 2, 4)) * 2, X)
program("shapes", "transpose", lambda x: lax.transpose(x, (1, 0)), X)
program("shapes", "reverse", lambda x: lax.rev(x, (1,)), X)
program("shapes", "concatenate", lambda x, y: lax.concatenate([x, y, x], 1), X, Y)
program("shapes", "stack", lambda x, y: cnp.stack([x, y], 1), X, Y)
program("shapes", "pad", lambda x: lax.pad(x, np.float32(0.5), [(1, 2, 0), (-1, 0, 1)]), X)
program("shapes", "slice", lambda x: lax.slice(x, (0, 1), (3, 4), (2, 2)), X)
program("shapes", "split", lambda x: lax.split(x, (1, 3), 1), X)
program("shapes", "dynamic_slice", lambda x, i: lax.dynamic_slice(x, (i, i + 5), (2, 2)), X, np.int32(1))
program(
    "shapes",
    "dynamic_update",
    lambda x, y, i: lax.dynamic_update_slice(x, y[:2, :2], (i, i)),
    X,
    Y,
    np.int32(1),
)
program("shapes", "iota", lambda x: x + lax.broadcasted_iota("float32", (3, 4), 1) + cnp.arange(4), X)
program("shapes", "bitcast", lambda x: lax.bitcast_convert_type(x, "int32"), X, wrt=())
program("shapes", "bitcast_narrow", lambda x: lax.bitcast_convert_type(x, "uint8"), UINTS)
program("shapes", "half", lambda x: (x.astype("bfloat16") * 1.5).astype("float32") + x.astype("float16"), X)
program(
    "shapes", "constants", lambda x: x * np.arange(12, dtype=np.float32).reshape(3, 4) + cnp.ones((3, 4)), X
)
program("shapes", "squeeze", lambda x: cnp.squeeze(x[None, :, :1], (0, 2)), X)
program("shapes", "tile", lambda x: cnp.tile(x, (2, 1)), X)
program("shapes", "empty", lambda x: (x[:0], cnp.sum(x[:0], 0)), X)

# --- indices --------------------------------------------------------------------------------------

ROWS = np.array([2, 0, 2, 1])
program("indexed", "gather_rows", lambda x, i: x[i], X, ROWS)
program("indexed", "gather_points", lambda x, i: x[i, i], X, ROWS)
program(
    "indexed",
    "gather_outside",
    lambda x, i: (x.at[i].get(mode="fill"), x.at[i].get(mode="clip")),
    X,
    ROWS + 1,
)
program(
    "indexed",
    "take_along",
    lambda x, i: cnp.take_along_axis(x, i[None, :] * cnp.ones((3, 1), int), 1),
    X,
    ROWS,
)
program("indexed", "batched_gather", lambda x, i: ct.vmap(lambda a, b: a[b])(x, i), X, ROWS[:3])
for _name in "add multiply min max set".split():
    program(
        "indexed",
        f"scatter_{_name}",
        lambda x, y, i, name=_name: getattr(x.at[i[:3]], name)(y[:, :4]),
        X,
        Y,
        ROWS[1:],
        wrt=(0,) if _name == "multiply" else None,
    )
program("indexed", "scatter_outside", lambda x, y, i: x.at[i, 1].add(y[0], mode="drop"), X, Y, ROWS + 1)
program(
    "indexed",
    "scatter_window",
    lambda x, y, i: lax.scatter_add(
        x, i[:1, None], y[:2][None], lax.ScatterDimensionNumbers((1, 2), (), (0,)), mode="drop"
    ),
    X,
    Y,
    ROWS,
)
program("indexed", "scatter_apply", lambda x, i: x.at[i].apply(cnp.sin, unique_indices=True), X, ROWS[:2])
program("indexed", "batched_scatter", lambda x, i: ct.vmap(lambda a, b: a.at[b].add(2.0))(x, i), X, ROWS[:3])
program("indexed", "segments", lambda x, i: ct.ops.segment_sum(x, i[:3], 3), X, ROWS)
program("indexed", "masked", lambda x: cnp.where(x > 0, x, 0.1 * x), X)

# --- reductions and windows -----------------------------------------------------------------------

for _name in "sum prod max min mean var".split():
    program("reductions", _name, lambda x, name=_name: getattr(cnp, name)(x, 1), X)
program("reductions", "whole", lambda x: cnp.sum(x), X)
program("reductions", "with_start", lambda x: lax.reduce(x, np.float32(2), lax.add, (0,)), X, wrt=())
program("reductions", "argmax", lambda x: (cnp.argmax(x, 1), cnp.argmin(x, 0)), X, wrt=())
program("reductions", "argmax_used", lambda x: x[cnp.argmax(x[:, 0])] * x.max(), X)
program("reductions", "xor", lambda x: lax.reduce_xor(x, (0,)), INTS)
program("reductions", "bitwise", lambda x: (lax.reduce_and(x, (0,)), lax.reduce_or(x, (1,))), INTS)
program(
    "reductions",
    "general",
    lambda x: lax.reduce(x, np.float32(1), lambda a, b: a * b + 0 * a, (1,)),
    X,
    wrt=(),
)
program(
    "reductions",
    "pair",
    lambda x: lax.reduce(
        (x, x * x), (np.float32(0), np.float32(1)), lambda a, b: (a[0] + b[0], a[1] * b[1]), (1,)
    ),
    X,
    wrt=(),
)
program("reductions", "logsumexp", lambda x: ct.scipy.special.logsumexp(x, 1), X)
program("reductions", "softmax", lambda x: ct.nn.softmax(x), X)
program("reductions", "norm", lambda x: cnp.linalg.norm(x, axis=1), X)
program("windows", "cumsum", lambda x: (cnp.cumsum(x, 1), lax.cumsum(x, 0, reverse=True)), X)
program("windows", "cumprod", lambda x: cnp.cumprod(x, 1), X)
program("windows", "cummax", lambda x: (lax.cummax(x, 1), lax.cummin(x, 0)), X)
program("windows", "cumlogsumexp", lambda x: lax.cumlogsumexp(x, 1), X)
program(
    "windows",
    "sum_pool",
    lambda x: lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 1), "SAME"),
    IMAGE,
)
program(
    "windows",
    "max_pool",
    lambda x: lax.reduce_window(x, -np.inf, lax.max, (1, 1, 3, 2), (1, 1, 2, 2), "SAME"),
    IMAGE,
)
program(
    "windows",
    "min_pool",
    lambda x: lax.reduce_window(x, np.inf, lax.min, (1, 1, 3, 2), (1, 1, 1, 1), "VALID"),
    IMAGE,
)
program(
    "windows",
    "dilated",
    lambda x: lax.reduce_window(
        x,
        0.0,
        lax.add,
        (1, 1, 2, 2),
        (1, 1, 1, 1),
        "VALID",
        window_dilation=(1, 1, 2, 1),
        base_dilation=(1, 1, 1, 2),
    ),
    IMAGE,
)
program(
    "windows",
    "product",
    lambda x: lax.reduce_window(x, np.float32(1), lax.mul, (2, 2), (1, 2), "SAME"),
    X,
    wrt=(),
)
program(
    "windows",
    "grad_of_max_pool",
    ct.grad(
        lambda x: cnp.sum(
            cnp.sin(lax.reduce_window(x, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID"))
        )
    ),
    IMAGE,
    wrt=(),
)

# --- sorting --------------------------------------------------------------------------------------

program("sorting", "sort", lambda x: (cnp.sort(x, 1), cnp.sort(x, 0)), X)
program("sorting", "descending", lambda x: cnp.sort(x, 1, descending=True), X)
program("sorting", "argsort", lambda x: cnp.argsort(x, 0), X, wrt=())
program("sorting", "two_keys", lambda x, y: lax.sort((cnp.round(x), y, x), num_keys=2), X, Y)
program(
    "sorting",
    "special",
    lambda x: lax.sort(x),
    np.array([np.nan, 0.0, -0.0, np.inf, -1, -np.inf, np.nan], "f"),
    wrt=(),
)
program("sorting", "complex", lambda x: lax.sort(x), COMPLEX)
program("sorting", "integers", lambda x: (cnp.sort(x), cnp.argsort(x, 1)), INTS)
program("sorting", "top_k", lambda x: lax.top_k(x, 2), X)
program("sorting", "median", lambda x: cnp.median(x, 1), X)
program("sorting", "unique", lambda x: cnp.unique(x, size=6, fill_value=0), INTS)

# --- contractions ---------------------------------------------------------------------------------

program("contractions", "matmul", lambda x, y: x @ y.T, X, Y)
program("contractions", "precise", lambda x, y: cnp.matmul(x, y.T, precision="highest"), X, Y)
program("contractions", "batched", lambda x, y: cnp.einsum("bij,bkj->bik", x, y), BATCH, BATCH + 1)
program(
    "contractions",
    "preferred",
    lambda x: lax.dot(x, x.T, preferred_element_type="float32"),
    INTS.astype(np.int8),
)
program("contractions", "conv", lambda x, k: lax.conv_general_dilated(x, k, (1, 2), "SAME"), IMAGE, KERNEL)
program(
    "contractions",
    "conv_dilated",
    lambda x, k: lax.conv_general_dilated(
        x, k, (2, 1), [(1, 1), (0, 1)], lhs_dilation=(1, 2), rhs_dilation=(2, 1)
    ),
    IMAGE,
    KERNEL,
)
program(
    "contractions",
    "conv_grouped",
    lambda x, k: lax.conv_general_dilated(x, k[:, :1], (1, 1), "VALID", feature_group_count=2),
    IMAGE,
    KERNEL,
)
program(
    "contractions",
    "conv_channels_last",
    lambda x, k: lax.conv_general_dilated(
        x.transpose(0, 2, 3, 1),
        k.transpose(2, 3, 1, 0),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    ),
    IMAGE,
    KERNEL,
)
program(
    "contractions",
    "conv_transpose",
    lambda x, k: lax.conv_transpose(x, k[:2], (2, 2), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")),
    IMAGE,
    KERNEL,
)
program("contractions", "fft", lambda x: cnp.abs(cnp.fft.fft(x)) + cnp.fft.irfft(cnp.fft.rfft(x)), X)
program("contractions", "fft2", lambda x: (cnp.fft.fft2(x), cnp.fft.ifft(x)), COMPLEX)
program(
    "contractions", "ragged", lambda x, w: lax.ragged_dot(x, w, np.array([1, 2], np.int32)), SQUARE, BATCH
)
program(
    "contractions",
    "attention",
    lambda q, k: ct.nn.dot_product_attention(
        q.reshape(1, 3, 2, 2), k.reshape(1, 3, 2, 2), k.reshape(1, 3, 2, 2), is_causal=True
    ),
    X,
    Y,
)

# --- linear algebra -------------------------------------------------------------------------------

program("linalg", "cholesky", lambda x: linalg.cholesky(x), SYMMETRIC)
program("linalg", "cholesky_failed", lambda x: linalg.cholesky(-x), SYMMETRIC, wrt=())
program(
    "linalg",
    "triangular",
    lambda a, b: linalg.triangular_solve(a, b, left_side=True, lower=True, transpose_a=True),
    SQUARE,
    X,
)
program("linalg", "solve", lambda a, b: cnp.linalg.solve(a, b), SQUARE, X)
program(
    "linalg", "inverse", lambda a: (cnp.linalg.inv(a), cnp.linalg.det(a), cnp.linalg.slogdet(a)[1]), BATCH
)
program("linalg", "qr", lambda a: cnp.linalg.qr(a), BATCH)
program("linalg", "qr_complete", lambda a: cnp.linalg.qr(a, mode="complete")[1], X[:, :2] + POSITIVE[:, :2])
program("linalg", "qr_pivoting", lambda a: linalg.qr(a, pivoting=True)[1:], SQUARE, wrt=())
program("linalg", "eigh", lambda a: cnp.linalg.eigh(a)[0], SYMMETRIC)
program("linalg", "svd", lambda a: cnp.linalg.svd(a, compute_uv=False), X)
program("linalg", "svd_vectors", lambda a: cnp.abs(cnp.linalg.svd(a, full_matrices=False)[0]), X)
program("linalg", "eig", lambda a: cnp.sort(cnp.abs(cnp.linalg.eigvals(a))), SQUARE)
program("linalg", "pinv", lambda a: cnp.linalg.pinv(a), X, wrt=())
program("linalg", "schur", lambda a: linalg.schur(a), SQUARE, wrt=())
program("linalg", "hessenberg", lambda a: linalg.hessenberg(a), SQUARE, wrt=())
program("linalg", "tridiagonal", lambda a: linalg.tridiagonal(a), SYMMETRIC, wrt=())
program(
    "linalg",
    "tridiagonal_solve",
    lambda d, b: linalg.tridiagonal_solve(
        np.array([0, 0.1, 0.2], "f"), d + 2, np.array([0.3, 0.1, 0], "f"), b
    ),
    X[:, 0],
    X,
)
program(
    "linalg",
    "complex",
    lambda a: (cnp.linalg.inv(a), cnp.linalg.qr(a)[1]),
    SQUARE.astype(np.complex64) + 1j * np.eye(3, dtype="f"),
)

# --- control flow ---------------------------------------------------------------------------------

program("control", "cond", lambda x: lax.cond(x.sum() > 0, cnp.sin, cnp.cos, x), X)
program(
    "control", "switch", lambda x, i: lax.switch(i, [cnp.sin, cnp.cos, lambda a: a * 3], x), X, np.int32(5)
)
program("control", "fori", lambda x: lax.fori_loop(0, 4, lambda i, c: c * 0.9 + i, x), X)
program("control", "fori_backwards", lambda x: lax.fori_loop(2, 5, lambda i, c: cnp.sin(c) + x * i, x), X)
program("control", "scan", lambda x: lax.scan(lambda c, r: (cnp.tanh(c + r), c * r), x[0], x), X)
program("control", "scan_reverse", lambda x: lax.scan(lambda c, r: (c * r + 1, c), x[0], x, reverse=True), X)
program("control", "scan_unrolled", lambda x: lax.scan(lambda c, r: (c * r + 1, c), x[0], x, unroll=2), X)
program(
    "control",
    "nested",
    lambda x: lax.scan(lambda c, r: (lax.fori_loop(0, 2, lambda i, d: d * r + i, c), c), x[0], x),
    X,
)
program(
    "control", "while", lambda x: lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 1.5 + 1, x), X, wrt=()
)
program(
    "control",
    "batched_while",
    ct.vmap(lambda x: lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 1.5 + 1, x)),
    X,
    wrt=(),
)
program(
    "control",
    "dynamic_fori",
    lambda x, n: lax.fori_loop(0, n, lambda i, c: c * 0.5 + 1, x),
    X,
    np.int32(3),
    wrt=(),
)
program("control", "map", lambda x: lax.map(lambda r: cnp.cumsum(r) * 2, x), X)
program("control", "associative_scan", lambda x: lax.associative_scan(cnp.multiply, x, axis=1), X)
program("control", "checkpoint", ct.checkpoint(lambda x: cnp.sin(cnp.sin(x))), X)
program("control", "barrier", lambda x: lax.optimization_barrier((x, x * 2)), X)
program("control", "calls", lambda x: ct.jit(_layer)(ct.jit(_layer)(x)) + ct.jit(_layer)(x), X)
program("control", "composite", lambda x: lax.composite(lambda y: cnp.sin(y) * 2, "my.sin2")(x), X, wrt=())
program("control", "custom_jvp", lambda x: ct.nn.relu(x) + ct.nn.gelu(x) + ct.nn.silu(x), X)


def _layer(x: Any) -> Any:
    for _ in range(4):
        x = cnp.tanh(x * 1.1 + 0.1) + x * 0.5
    return x


# --- random numbers -------------------------------------------------------------------------------

KEY = np.array([1, 2], np.uint32)
program("random", "uniform", lambda k: ct.random.uniform(k, (5,)), KEY)
program("random", "normal", lambda k: ct.random.normal(k, (5,)), KEY)
program("random", "categorical", lambda k, x: ct.random.categorical(k, x), KEY, X, wrt=())
program("random", "permutation", lambda k: ct.random.permutation(k, 7), KEY)
program("random", "split", lambda k: ct.random.split(k, 3), KEY)
program(
    "random",
    "bits",
    lambda k: lax.rng_bit_generator(cnp.concatenate([k, k]), (4,), algorithm="three_fry"),
    KEY,
)

# --- whole models ---------------------------------------------------------------------------------


def _mlp(x: Any, w: Any, v: Any) -> Any:
    return ct.nn.log_softmax(ct.nn.relu(x @ w) @ v)


def _step(w: Any, v: Any, x: Any) -> Any:
    """A step of training, gradients and all."""
    loss, (dw, dv) = ct.value_and_grad(lambda w, v: -cnp.mean(_mlp(x, w, v)[:, 0]), (0, 1))(w, v)
    return loss, w - 0.1 * dw, v - 0.1 * dv


def _cnn(x: Any, k: Any) -> Any:
    y = ct.nn.relu(lax.conv_general_dilated(x, k, (1, 1), "SAME"))
    y = lax.reduce_window(y, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return cnp.mean(y, (2, 3))


def _rnn(x: Any, w: Any) -> Any:
    return lax.scan(lambda h, r: (cnp.tanh(r + h @ w), h.sum()), cnp.zeros(4), x)


_W, _V = _floats(4, 5, seed=8), _floats(5, 2, seed=9)
program("models", "mlp", _mlp, X, _W, _V)
program("models", "training_step", _step, _W, _V, X, wrt=())
program("models", "cnn", _cnn, IMAGE, KERNEL)
program("models", "rnn", _rnn, X, _floats(4, 4, seed=10))
program(
    "models", "rnn_gradient", ct.grad(lambda x, w: _rnn(x, w)[1].sum(), 1), X, _floats(4, 4, seed=10), wrt=()
)
program("models", "hessian", ct.hessian(lambda x: cnp.sum(cnp.sin(x) ** 2)), X[0], wrt=())
