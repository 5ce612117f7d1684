"""Values of high types in programs, and primitives that are objects with rules."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.experimental import hijax


@dataclass(frozen=True)
class Quantized:
    numbers: Any
    scale: Any


@dataclass(frozen=True)
class QuantizedType(hijax.HiType):
    shape: tuple[int, ...]

    rows = hijax.aval_property(lambda self: self.aval.shape[0])
    restored = hijax.aval_method(lambda self: restore.bind(self))

    def str_short(self, short_dtypes=True):
        return f"Q{list(self.shape)}"

    def lo_ty(self):
        return [hijax.ShapedArray(self.shape, np.int8), hijax.ShapedArray(self.shape[:1], np.float32)]

    def lower_val(self, hi_val):
        return [hi_val.numbers, hi_val.scale]

    def raise_val(self, numbers, scale):
        return Quantized(numbers, scale)

    def to_tangent_aval(self):
        return hijax.ShapedArray(self.shape, np.float32)


hijax.register_hitype(Quantized, lambda q: QuantizedType(tuple(q.numbers.shape)))


class Quantize(hijax.HiPrimitive):
    def abstract_eval(self, x):
        return QuantizedType(x.shape), set()

    def to_lojax(self, x):
        scale = cnp.max(cnp.abs(x), axis=1) / 127
        return Quantized((x / scale[:, None]).astype(np.int8), scale)

    def jvp(self, primals, tangents):
        return self.bind(*primals), hijax.instantiate_zeros(tangents[0])


class Restore(hijax.HiPrimitive):
    def abstract_eval(self, q):
        return hijax.ShapedArray(q.shape, np.float32), set()

    def to_lojax(self, q):
        return q.numbers.astype(np.float32) * q.scale[:, None]

    def jvp(self, primals, tangents):
        return self.bind(*primals), hijax.instantiate_zeros(tangents[0])


quantize, restore = Quantize("quantize"), Restore("restore")
X = np.arange(6, dtype=np.float32).reshape(2, 3) + 1


def round_trip(x):
    return restore.bind(quantize.bind(x))


def expected(x):
    scale = np.abs(x).max(1, keepdims=True) / 127
    return np.trunc(x / scale).astype(np.int8) * scale


def test_high_values_in_and_around_programs():
    q = quantize.bind(X)
    assert isinstance(q, Quantized) and ct.typeof(q) == QuantizedType((2, 3))
    text = "{ lambda ; a:f32[2,3]. let b:Q[2, 3] = quantize a c:f32[2,3] = restore b in (c,) }"
    assert " ".join(str(ct.make_jaxpr(round_trip)(X)).split()) == text
    for got in (
        round_trip(X),
        ct.jit(round_trip)(X),
        ct.jit(restore.bind)(q),
        restore.bind(ct.jit(quantize.bind)(X)),
        restore.bind(ct.jit(lambda p: p)(q)),
        ct.jit(lambda x: ct.jit(restore.bind)(q) + 0 * x)(X),
        ct.jit(lambda x: restore.bind(ct.jit(quantize.bind)(x)))(X),
        ct.jit(lambda p: p.restored())(q),
        ct.jit(round_trip).lower(X).compile()(X),
    ):
        np.testing.assert_allclose(got, expected(X), rtol=1e-6)
    assert ct.jit(lambda p: cnp.float32(p.rows))(q) == 2


def test_derivatives_pass_through():
    loss = lambda x: (round_trip(x) ** 2).sum()
    for transform in (lambda f: f, ct.jit):
        np.testing.assert_allclose(transform(ct.grad(loss))(X), 2 * expected(X), rtol=1e-6)
    q = quantize.bind(X)
    np.testing.assert_allclose(ct.grad(lambda p: (restore.bind(p) ** 2).sum())(q), 2 * expected(X), rtol=1e-6)
    value, tangent = ct.jvp(round_trip, (X,), (X,))
    np.testing.assert_allclose(tangent, X)
    np.testing.assert_allclose(value, expected(X), rtol=1e-6)


def test_in_loops_and_branches():
    def twice(x):
        step = lambda c, _: (quantize.bind(restore.bind(c) + 1), None)
        return restore.bind(lax.scan(step, quantize.bind(x), None, length=2)[0])

    want = expected(expected(expected(X) + 1) + 1)
    for f in (twice, ct.jit(twice)):
        np.testing.assert_allclose(f(X), want, rtol=1e-5)
    q = quantize.bind(X)
    branch = lambda p: restore.bind(lax.cond(p, lambda v: v, lambda v: quantize.bind(restore.bind(v) * 2), q))
    np.testing.assert_allclose(ct.jit(branch)(True), expected(X), rtol=1e-6)
    np.testing.assert_allclose(branch(False), expected(2 * expected(X)), rtol=1e-5)
    loop = lambda p: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1]), (0, p))[1]
    np.testing.assert_allclose(restore.bind(ct.jit(loop)(q)), expected(X), rtol=1e-6)


class Product(hijax.VJPHiPrimitive):
    def __init__(self, x, y, factor=1.0):
        self.in_avals, self.out_aval, self.params = ({"x": x}, y), x, {"factor": factor}
        super().__init__()

    def expand(self, first, y):
        return first["x"] * y * self.factor

    def vjp_fwd(self, nzs_in, first, y):
        return self(first, y), (first["x"], y)

    def vjp_bwd_retval(self, res, outgrad):
        x, y = res
        return {"x": 10 * outgrad * y}, outgrad * x

    def batch(self, axis_data, args, dims):
        assert axis_data.size == 2 and dims == ({"x": 0}, 0)
        first, y = args
        return first["x"] * y * self.factor, 0


class WithJVP(Product):
    def jvp(self, primals, tangents):
        (first, y), (dfirst, dy) = primals, tangents
        return self(first, y), dfirst["x"] * y + first["x"] * dy


def product(x, y, kind=Product, **params):
    return kind(ct.typeof(x), ct.typeof(y), **params)({"x": x}, y)


def test_primitives_that_are_objects():
    x, y = cnp.float32([1.0, 2.0]), cnp.float32([3.0, 4.0])
    for f in (product, ct.jit(product), ct.vmap(product)):
        np.testing.assert_array_equal(f(x, y), [3, 8])
    assert "call_hi_primitive[_prim=Product[{'factor': 2.0}]] a b" in str(
        ct.make_jaxpr(lambda x, y: product(x, y, factor=2.0))(x, y)
    )
    for transform in (lambda f: f, ct.jit):
        dx, dy = transform(ct.grad(lambda x, y: product(x, y).sum(), (0, 1)))(x, y)
        np.testing.assert_array_equal(dx, 10 * y)
        np.testing.assert_array_equal(dy, x)
    _, tangent = ct.jvp(lambda x: product(x, y, WithJVP), (x,), (x,))
    np.testing.assert_array_equal(tangent, x * y)
    np.testing.assert_array_equal(ct.grad(lambda x: product(x, y, WithJVP).sum())(x), 10 * y)
    aval = ct.typeof(x)
    assert Product(aval, aval) == Product(aval, aval) != Product(aval, aval, 2.0)
    with pytest.raises(TypeError, match="structure"):
        Product(aval, aval)(x, y)


def test_what_is_not_there_says_so():
    class Bare(hijax.HiPrimitive):
        def abstract_eval(self, x):
            return x, set()

    bare = Bare("bare")
    with pytest.raises(NotImplementedError, match="to_lojax"):
        bare.bind(1.0)
    with pytest.raises(NotImplementedError, match="bare"):
        ct.grad(bare.bind)(1.0)

    class Growing(hijax.MutableHiType):
        pass

    class Box:
        pass

    hijax.register_hitype(Box, lambda box: Growing())
    with pytest.raises(NotImplementedError, match="Box does not define cur_qdd"):
        ct.jit(lambda box: 1.0)(Box())
    with pytest.raises(NotImplementedError, match="lo_ty"):
        hijax.HiType().lo_ty()
    assert hijax.AvalQDD(QuantizedType((2, 3)), None).lo_ty()[0].dtype == np.int8
