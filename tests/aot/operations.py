"""Calls of every operation of canter.lax, as functions of arrays to compile for other hardware."""

import canter as ct
import canter.numpy as cnp
from canter import lax

F, N32, B, C, U = "float32", "int32", "bool", "complex64", "uint32"
L = lax.linalg
Struct = ct.ShapeDtypeStruct


def _arrays(*specs):
    return [Struct(shape, dtype) for shape, dtype in specs]


UNARY = (
    "abs acos acosh asin asinh atan atanh bessel_i0e bessel_i1e cbrt ceil cos cosh digamma erf erf_inv erfc exp exp2 "
    "expm1 floor integer_pow_3 is_finite lgamma log log1p logistic neg reciprocal round rsqrt sign sin sinh sqrt "
    "square tan tanh"
).split()
BINARY = (
    "add atan2 div eq ge gt le lt max min mul ne nextafter pow rem sub igamma igammac zeta polygamma".split()
)
INTEGER = (
    "bitwise_and bitwise_or bitwise_xor shift_left shift_right_logical shift_right_arithmetic rem div".split()
)
COMPLEX = (
    "abs add conj cos div exp expm1 imag log log1p mul neg pow real sign sin sqrt rsqrt tan tanh".split()
)

X, Y, N, M3, V = (
    Struct((4, 8), F), Struct((4, 8), F), Struct((4, 8), N32), Struct((3, 6, 6), F), Struct((6,), F)
)  # fmt: skip
IMAGE, KERNEL = Struct((2, 8, 8, 3), F), Struct((3, 3, 3, 4), F)
_NHWC = ("NHWC", "HWIO", "NHWC")


def _unary(name):
    if name == "integer_pow_3":
        return lambda x: lax.integer_pow(x, 3)
    return getattr(lax, name)


def _gather(x, i):
    return x[i, :, None]


def _while(x):
    return lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, lax.sin(c[1])), (0, x))


def _scan(x):
    return lax.scan(lambda c, row: (c + row, c * row), x[0], x)


#: name -> (function, arguments)
CALLS = {
    **{f"{name} f32": (_unary(name), (X,)) for name in UNARY},
    **{f"{name} f32,f32": (getattr(lax, name), (X, Y)) for name in BINARY},
    **{f"{name} i32,i32": (getattr(lax, name), (N, N)) for name in INTEGER},
    **{
        f"{name} c64": (getattr(lax, name), (Struct((4,), C),) * (2 if name in ("add", "div", "mul", "pow") else 1))
        for name in COMPLEX
    },
    "not": (lax.bitwise_not, (N,)),
    "population_count": (lax.population_count, (N,)),
    "clz": (lax.clz, (N,)),
    "betainc": (lax.betainc, (X, Y, X)),
    "regularized random_gamma_grad": (lax.random_gamma_grad, (X, Y)),
    "clamp": (lambda x: lax.clamp(0.0, x, 1.0), (X,)),
    "select": (lambda p, x, y: lax.select(p, x, y), (Struct((4, 8), B), X, Y)),
    "select_n": (lambda i, x, y: lax.select_n(i, x, y, x), (N, X, Y)),
    "convert": (lambda x: (x.astype("bfloat16"), x.astype(N32), x.astype("float8_e4m3fn")), (X,)),
    "bitcast": (lambda x: (lax.bitcast_convert_type(x, N32), lax.bitcast_convert_type(x, "uint8")), (X,)),
    "reduce_precision": (lambda x: lax.reduce_precision(x, 5, 10), (X,)),
    "complex": (lax.complex, (X, Y)),
    "broadcast": (lambda x: (lax.broadcast(x, (2,)), lax.broadcast_in_dim(x, (4, 3, 8), (0, 2))), (X,)),
    "reshape": (lambda x: lax.reshape(x, (8, 4), (1, 0)), (X,)),
    "squeeze, expand_dims": (lambda x: lax.squeeze(lax.expand_dims(x, (0, 2)), (2,)), (X,)),
    "transpose, rev": (lambda x: lax.rev(lax.transpose(x, (1, 0)), (1,)), (X,)),
    "concatenate": (lambda x, y: lax.concatenate([x, y], 1), (X, Y)),
    "pad": (lambda x: lax.pad(x, 0.0, ((1, 2, 1), (-1, 0, 0))), (X,)),
    "slice": (lambda x: lax.slice(x, (1, 2), (3, 8), (1, 2)), (X,)),
    "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i, 0), (2, 3)), (X, Struct((), N32))),
    "dynamic_update_slice": (lambda x, i: lax.dynamic_update_slice(x, x[:2], (i, 0)), (X, Struct((), N32))),
    "gather": (_gather, (X, Struct((5,), N32))),
    "scatter": (lambda x, i: (x.at[i].set(1.0), x.at[i].add(2.0), x.at[i].mul(3.0)), (X, Struct((5,), N32))),
    "scatter extremes": (lambda x, i: (x.at[i].min(1.0), x.at[i].max(2.0)), (X, Struct((5,), N32))),
    "scatter apply": (lambda x, i: x.at[i].apply(lax.sin), (X, Struct((5,), N32))),
    "iota": (lambda: (lax.iota(F, 5), lax.broadcasted_iota(N32, (2, 3), 1)), ()),
    "reductions": (lambda x: (x.sum(0), x.max(1), x.min(), x.prod(0), (x > 0).all(), (x > 0).any(1)), (X,)),
    "reduce_xor": (lambda x: lax.reduce_xor(x, (0,)), (N,)),
    "reduce": (lambda x: lax.reduce(x, 0.0, lambda a, b: a + 2 * b, (0,)), (X,)),
    "argmax, argmin": (lambda x: (lax.argmax(x, 0, N32), lax.argmin(x, 1, N32)), (X,)),
    "cumulative": (
        lambda x: (lax.cumsum(x), lax.cumprod(x, 1), lax.cummax(x), lax.cummin(x), lax.cumlogsumexp(x)), (X,)
    ),
    "associative_scan": (lambda x: lax.associative_scan(lax.add, x), (X,)),
    "reduce_window": (lambda x: lax.reduce_window(x, -cnp.inf, lax.max, (2, 2), (1, 1), "SAME"), (X,)),
    "pooling and its derivative": (
        ct.grad(lambda x: lax.reduce_window(x, -cnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID").sum()),
        (IMAGE,),
    ),
    "sort": (lambda x: (lax.sort(x), lax.sort((x, x), num_keys=2), lax.sort(x, is_stable=False)), (X,)),
    "top_k": (lambda x: lax.top_k(x, 3), (X,)),
    "approx_max_k": (lambda x: (lax.approx_max_k(x, 3), lax.approx_min_k(x, 2)), (X,)),
    "dot": (lambda x, y: (lax.dot(x, y.T), lax.dot_general(x, y, (((1,), (1,)), ((0,), (0,))))), (X, Y)),
    "dot of bfloat16": (
        lambda x: lax.dot(x, x.T, preferred_element_type=F), (Struct((16, 32), "bfloat16"),)
    ),
    "dot at a precision": (lambda x, y: lax.dot(x, y.T, precision="highest"), (X, Y)),
    "dot of int8": (lambda x: lax.dot(x, x.T, preferred_element_type=N32), (Struct((16, 32), "int8"),)),
    "ragged_dot": (lax.ragged_dot, _arrays(((8, 4), F), ((3, 4, 5), F), ((3,), N32))),
    "convolution": (
        lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=_NHWC), (IMAGE, KERNEL)
    ),
    "convolution and its derivatives": (
        ct.grad(
            lambda x, k: lax.conv_general_dilated(x, k, (2, 2), "VALID", dimension_numbers=_NHWC).sum(), (0, 1)
        ),
        (IMAGE, KERNEL),
    ),
    "convolution, transposed": (
        lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=_NHWC), (IMAGE, KERNEL)
    ),
    "convolution, depthwise": (
        lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=_NHWC, feature_group_count=3),
        (IMAGE, Struct((3, 3, 1, 6), F)),
    ),
    "patches": (lambda x: lax.conv_general_dilated_patches(x, (2, 2), (1, 1), "VALID"), (Struct((1, 2, 5, 5), F),)),
    "fft": (lambda z: (lax.fft(z, "fft", (8,)), lax.fft(z, "ifft", (8,))), (Struct((4, 8), C),)),
    "rfft": (lambda x: lax.fft(lax.fft(x, "rfft", (8,)), "irfft", (8,)), (X,)),
    "cond": (lambda x: lax.cond(x[0, 0] > 0, lax.sin, lax.cos, x), (X,)),
    "switch": (lambda i, x: lax.switch(i, [lax.sin, lax.cos, lax.tan], x), (Struct((), N32), X)),
    "while": (_while, (X,)),
    "fori": (lambda x: lax.fori_loop(0, 3, lambda i, c: c * x, x), (X,)),
    "scan": (_scan, (X,)),
    "scan and its derivative": (ct.grad(lambda x: _scan(x)[1].sum()), (X,)),
    "map": (lambda x: lax.map(lax.sin, x), (X,)),
    "custom_root": (
        lambda a: lax.custom_root(lambda x: x * x - a, a, lambda f, x: x - f(x), lambda g, y: y / g(1.0)),
        (Struct((), F),),
    ),
    "custom_linear_solve": (
        lambda a, b: lax.custom_linear_solve(lambda x: a @ x, b, lambda mv, b: b, lambda mv, b: b),
        _arrays(((3, 3), F), ((3,), F)),
    ),
    "optimization_barrier": (lax.optimization_barrier, (X,)),
    "stop_gradient": (lax.stop_gradient, (X,)),
    "rng_uniform": (lambda: lax.rng_uniform(0.0, 1.0, (4,)), ()),
    "rng_bit_generator": (lambda key: lax.rng_bit_generator(key, (5,)), (Struct((4,), U),)),
    "platform_dependent": (lambda x: lax.platform_dependent(x, tpu=lax.sin, cuda=lax.cos, default=lax.tan), (X,)),
}  # fmt: skip

#: Decompositions of a batch of matrices.
LINALG = {
    "cholesky": (L.cholesky, (M3,)),
    "cholesky and its derivative": (ct.grad(lambda x: L.cholesky(x).sum()), (M3,)),
    "cholesky_update": (L.cholesky_update, _arrays(((6, 6), F), ((6,), F))),
    "eigh": (L.eigh, (M3,)),
    "eigh and its derivative": (ct.grad(lambda x: L.eigh(x)[0].sum()), (M3,)),
    "householder_product": (L.householder_product, _arrays(((3, 6, 6), F), ((3, 6), F))),
    "geqrf": (L.geqrf, (M3,)),
    "hessenberg": (L.hessenberg, (M3,)),
    "lu": (L.lu, (M3,)),
    "lu_pivots_to_permutation": (lambda p: L.lu_pivots_to_permutation(p, 6), _arrays(((3, 6), N32))),
    "ormqr": (L.ormqr, _arrays(((6, 6), F), ((6,), F), ((6, 6), F))),
    "qr": (L.qr, (M3,)),
    "qr pivoting": (lambda x: L.qr(x, pivoting=True), (M3,)),
    "schur": (L.schur, (M3,)),
    "svd": (L.svd, (M3,)),
    "svd values": (lambda x: L.svd(x, compute_uv=False), (M3,)),
    "symmetric_product": (L.symmetric_product, (M3, M3)),
    "triangular_solve": (lambda x: L.triangular_solve(x, x), (M3,)),
    "tridiagonal": (L.tridiagonal, (M3,)),
    "tridiagonal_solve": (L.tridiagonal_solve, _arrays(((6,), F), ((6,), F), ((6,), F), ((6, 2), F))),
    "qdwh": (L.qdwh, _arrays(((6, 6), F))),
    "solve": (cnp.linalg.solve, _arrays(((6, 6), F), ((6,), F))),
    "inv, det": (lambda x: (cnp.linalg.inv(x), cnp.linalg.slogdet(x)), (M3,)),
    "eig": (L.eig, (M3,)),
}
