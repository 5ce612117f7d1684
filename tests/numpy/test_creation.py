"""Making arrays: data of every kind, shapes, ranges, scalar types."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from tests.numpy.oracle import check

# data, dtype, weak type of the array
DATA = [
    (1, "int32", True), (1.5, "float32", True), (2j, "complex64", True), (True, "bool", False),
    ([1, 2], "int32", False), ([1, 2.5], "float32", False), ([True, False], "bool", False), ([], "float32", False),
    ([[1], [2]], "int32", False), ((1, 2), "int32", False), (np.float64(1), "float32", False),
    (np.arange(3), "int32", False), (np.ones(2, np.uint16), "uint16", False), ([np.int8(1), 2], "int8", False),
    (np.ones(2, ml_dtypes.bfloat16), "bfloat16", False), (range(3), "int32", False),
]  # fmt: skip


@pytest.mark.parametrize(("data", "dtype", "weak"), DATA)
def test_dtypes_of_data(data, dtype, weak):
    for x in (cnp.array(data), cnp.asarray(data), ct.jit(lambda: cnp.asarray(data))()):
        assert (x.dtype.name, x.weak_type) == (dtype, weak)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(data).astype(x.dtype))
    assert not cnp.array(data, dtype="float32").weak_type


def test_data_that_holds_arrays():
    x = cnp.arange(2.0)
    check(cnp.array([x, x + 1]), np.array([[0, 1], [1, 2]], np.float32))
    check(cnp.array([[x[0], 1.0], [2.0, x[1]]]), np.array([[0, 1], [2, 1]], np.float32))
    check(ct.jit(lambda a: cnp.array([a[0], 5.0]))(x), np.array([0, 5], np.float32))
    check(ct.grad(lambda a: cnp.sum(cnp.array([a, 2 * a])))(1.0), np.float32(3))


def test_copies_do_not_share_memory():
    source = np.zeros(64, np.float32)
    x = cnp.array(source)
    y = cnp.asarray(source)
    source[:] = 1
    assert not np.asarray(x).any() and not np.asarray(y).any()
    assert cnp.asarray(x) is x
    assert cnp.array(x) is not x
    assert cnp.array(x).unsafe_buffer_pointer() != x.unsafe_buffer_pointer()


def test_ndmin_order_and_foreign_objects():
    assert cnp.array([1, 2], ndmin=3).shape == (1, 1, 2)
    with pytest.raises(NotImplementedError, match="order"):
        cnp.array([1], order="F")

    class Holder:
        def __jax_array__(self):
            return cnp.arange(2)

    class Exporter:
        def __array__(self, dtype=None, copy=None):
            return np.array([3, 4], dtype)

    check(cnp.asarray(Holder()), np.array([0, 1]))
    check(cnp.asarray(Exporter()), np.array([3, 4]))
    check(cnp.asarray(bytearray(b"\x01\x02")), np.array([1, 2], np.uint8))
    check(cnp.add(Holder(), 1), np.array([1, 2]))


@pytest.mark.parametrize(
    ("data", "error"),
    [("a", TypeError), ([1, None], ValueError), (None, ValueError), ([[1, 2], [3]], ValueError), (object(), TypeError),
     (["a"], TypeError), ([2**40], OverflowError), (2**40, OverflowError)],
)  # fmt: skip
def test_bad_data(data, error):
    with pytest.raises(error):
        cnp.array(data)


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_constant_arrays(name):
    f = getattr(cnp, name)
    for shape in (3, (2, 3), [2, 0], (), np.int64(2)):
        assert f(shape).shape == (tuple(shape) if isinstance(shape, (tuple, list)) else (int(shape),))
        assert f(shape).dtype == "float32"
    assert f(2, cnp.int8).dtype == "int8" and f(2, dtype="bfloat16").dtype == "bfloat16"
    assert f(2, bool).dtype == bool and not f(2).weak_type
    if name != "empty":
        check(f((2, 3), int), getattr(np, name)((2, 3), int))
    with pytest.raises(ValueError, match="non-negative"):
        f(-1)
    with pytest.raises(TypeError, match="integer type"):
        f(1.5)
    with pytest.warns(UserWarning, match="float64"):
        f(1, "float64")


def test_full_and_like():
    check(cnp.full((2, 2), 7), np.full((2, 2), 7))
    check(cnp.full(2, np.array([1.0, 2.0], np.float32)), np.array([1, 2], np.float32))
    assert cnp.full(2, 1).weak_type and not cnp.full(2, 1, "int32").weak_type
    assert cnp.full(2, 3.0, bool).dtype == bool
    x = cnp.ones((2, 3), "int8")
    for f, value in (
        (cnp.zeros_like, 0),
        (cnp.ones_like, 1),
        (lambda a, *r, **k: cnp.full_like(a, 5, *r, **k), 5),
    ):
        check(f(x), np.full((2, 3), value, np.int8))
        assert f(x, shape=(4,)).shape == (4,) and f(x, "float32").dtype == "float32"
        assert f(1.0).shape == () and f(1.0).weak_type
    assert cnp.zeros_like(ct.ShapeDtypeStruct((2,), np.int8)).shape == (2,)
    with pytest.raises(ValueError, match="broadcast"):
        cnp.full((2,), np.ones(3, np.float32))


RANGES = [
    (5,),
    (0,),
    (-3,),
    (2, 7),
    (7, 2),
    (0, 10, 3),
    (10, 0, -3),
    (0.0, 1.0, 0.25),
    (1.5,),
    (0, 1, 0.3),
    (1, 9, 2.0),
]


@pytest.mark.parametrize("args", RANGES)
def test_arange(args):
    check(cnp.arange(*args), np.arange(*args), rtol=1e-6)
    check(ct.jit(lambda: cnp.arange(*args))(), np.arange(*args), rtol=1e-6)
    assert cnp.arange(*args, dtype="float32").dtype == "float32"
    assert not cnp.arange(*args).weak_type


def test_arange_refuses_tracers_and_zero_steps():
    with pytest.raises(ct.errors.ConcretizationTypeError, match="arange"):
        ct.jit(lambda n: cnp.arange(n))(3)
    with pytest.raises(ZeroDivisionError):
        cnp.arange(0, 3, 0)
    check(cnp.arange(cnp.int32(3)), np.arange(3))


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize("num", [0, 1, 2, 7])
def test_spaces(num, endpoint):
    check(cnp.linspace(-1, 2, num, endpoint), np.linspace(-1, 2, num, endpoint), rtol=1e-6)
    check(cnp.logspace(0, 2, num, endpoint), np.logspace(0, 2, num, endpoint), rtol=1e-5)
    check(cnp.geomspace(1, 100, num, endpoint), np.geomspace(1, 100, num, endpoint), rtol=1e-5)


def test_linspace_details():
    ends = np.array([0.0, 1.0], np.float32), np.array([2.0, 5.0], np.float32)
    check(cnp.linspace(*ends, 3, axis=-1), np.linspace(*ends, 3, axis=-1), rtol=1e-6)
    check(cnp.linspace(0, 10, 4, dtype=int), np.linspace(0, 10, 4, dtype=int))
    values, step = cnp.linspace(0.0, 1.0, 5, retstep=True)
    assert float(step) == 0.25 and float(values[-1]) == 1.0
    assert float(cnp.linspace(0, 0.1, 11)[-1]) == np.float32(0.1)


def test_frombuffer_fromfunction_dlpack():
    check(cnp.frombuffer(b"\x01\x00\x02\x00", np.int16), np.array([1, 2], np.int16))
    check(
        cnp.fromfunction(lambda i, j: i * j, (2, 3), dtype=int),
        np.fromfunction(lambda i, j: i * j, (2, 3), dtype=int),
    )
    check(cnp.from_dlpack(np.arange(3.0, dtype=np.float32)), np.arange(3, dtype=np.float32))


def test_astype():
    x = cnp.array([-1.5, 0.0, 2.7])
    check(x.astype(int), np.array([-1, 0, 2]))
    check(x.astype(bool), np.array([True, False, True]))
    assert x.astype(None).dtype == "float32" and cnp.astype(1, "float16").dtype == "float16"
    assert x.astype("float32") is x and x.astype("float32", copy=True) is not x
    with pytest.warns(np.exceptions.ComplexWarning):
        check(cnp.array([1 + 2j]).astype("float32"), np.array([1], np.float32))


# --- scalar types -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["float32", "int8", "uint64", "bfloat16", "float8_e4m3fn", "int4", "complex64", "bool"]
)
def test_scalar_types(name):
    kind = getattr(cnp, name)
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    assert np.dtype(kind) == dtype == kind.dtype
    assert (
        kind == dtype and kind == dtype.type and hash(kind) == hash(dtype.type) and kind != np.dtype("int16")
    )
    assert kind.__name__ == name and kind is getattr(cnp, name)
    assert isinstance(dtype.type(1), kind) and not isinstance(cnp.ones(1), kind)
    assert cnp.zeros(1, cnp.int8 if name == "uint64" else kind).dtype == (
        np.int8 if name == "uint64" else dtype
    )


def test_scalar_types_make_arrays():
    assert cnp.float32(3).dtype == "float32" and cnp.float32(3).shape == () and not cnp.float32(3).weak_type
    check(cnp.int32(2.7), np.int32(2))
    check(cnp.float32([1, 2]), np.array([1, 2], np.float32))
    assert cnp.issubdtype(cnp.bfloat16, cnp.floating) and cnp.issubdtype(cnp.int4, cnp.integer)
    assert cnp.float_ == np.float64 and cnp.bool_ is cnp.bool
    with ct.enable_x64(True):
        assert cnp.float_(1).dtype == "float64"


def test_questions_about_dtypes():
    assert cnp.finfo(cnp.bfloat16).bits == 16 and cnp.iinfo("int8").max == 127
    assert cnp.result_type(1, 2.0) == "float32" and cnp.promote_types("int32", "float16") == "float16"
    assert cnp.isdtype(cnp.int8, ("real floating", "integral")) and not cnp.isdtype("float32", "bool")
    assert cnp.can_cast("int8", "int16") and not cnp.can_cast("float32", "int8")
    assert (
        cnp.isscalar(1)
        and cnp.isscalar(cnp.float32(1))
        and not cnp.isscalar([1])
        and not cnp.isscalar(cnp.ones(1))
    )
    assert (
        cnp.shape([1, 2]) == (2,) and cnp.ndim(cnp.ones((1, 2))) == 2 and cnp.size(cnp.ones((2, 3)), 1) == 3
    )
    assert cnp.dtype is np.dtype and cnp.newaxis is None and cnp.pi == np.pi


SCALARS = {
    "zeros_like": (2.0,), "ones_like": (2.0,), "empty_like": (2.0,), "full_like": (2.0, 3.0), "full": ((), 2.0),
    "zeros": ((),), "asarray": (2.0,), "broadcast_to": (2.0, ()), "reshape": (2.0, ()), "where": (True, 1.0, 2.0),
    "squeeze": (2.0,), "transpose": (2.0,), "copy": (2.0,), "real": (2.0,), "positive": (2.0,), "sum": (2.0,),
    "max": (2.0,), "add": (1.0, 2.0), "ravel": (2.0,), "round": (2,), "conj": (2.0,), "flip": (np.float32(2), ()),
}  # fmt: skip


def test_results_of_numbers_are_arrays_while_tracing():
    made = {}

    def fun(x):
        made.update({name: getattr(cnp, name)(*args) for name, args in SCALARS.items()})
        made["of a traced one"] = cnp.zeros_like(x)
        return x

    ct.make_jaxpr(fun)(1.0)
    assert [name for name, value in made.items() if not hasattr(value, "aval")] == []
