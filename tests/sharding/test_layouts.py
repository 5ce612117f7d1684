"""`Format` and `Layout`: arrays in other than row-major order are values like any other."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.experimental.layout import Format, Layout, with_layout_constraint

from .meshes import named

X = np.arange(32, dtype=np.float32).reshape(8, 4)
ROWS, COLUMNS = Layout((0, 1)), Layout((1, 0))
ONE = ct.sharding.SingleDeviceSharding(ct.devices()[1])
LINE = named("x")


def order(array):
    return array.format.layout.major_to_minor


def columns(sharding=LINE):
    return ct.device_put(X, Format(COLUMNS, sharding))


@pytest.mark.parametrize("sharding", [LINE, ONE], ids=["mesh", "device"])
def test_programs_take_and_give_what_formats_say(sharding):
    put = columns(sharding)
    assert put.sharding == sharding and order(put) == (1, 0)
    np.testing.assert_array_equal(put, X)
    f = ct.jit(lambda x: x + 1, in_shardings=Format(COLUMNS, sharding), out_shardings=Format(ROWS, sharding))
    result = f(put)
    np.testing.assert_array_equal(result, X + 1)
    np.testing.assert_array_equal(f(X), X + 1)
    compiled = f.lower(X).compile()
    ((own,), _), out = compiled.input_formats, compiled.output_formats
    assert own == put.format and out == result.format and order(result) == (0, 1)
    np.testing.assert_array_equal(compiled(put), X + 1)
    with pytest.raises(ValueError, match=r"(?s)disagree with the layouts.*argument x.*f32\[8.*Required"):
        compiled(ct.device_put(X, sharding))
    with pytest.raises(ValueError, match=r"Layout passed to jit does not match.*\n.*argument x"):
        f(ct.device_put(X, sharding))


def test_functions_without_wishes_take_every_order():
    f = ct.jit(lambda x: cnp.cumsum(x * 2, 1))
    expected = np.cumsum(X * 2, 1)
    rows, across = ct.device_put(X, LINE), columns()
    one = columns(ONE)
    for x in (rows, across, across, rows, one, across):  # C++ tells them apart, the first time and after
        np.testing.assert_array_equal(f(x), expected)
    np.testing.assert_array_equal(ct.grad(lambda x: (x**3).sum())(one), 3 * X**2)
    np.testing.assert_array_equal(one + one, X + X)
    np.testing.assert_array_equal(ct.jit(lambda x: x + one)(ct.device_put(X, ONE)), X + X)
    np.testing.assert_array_equal(ct.jit(lambda x: x * 2, donate_argnums=0)(columns(ONE)), X * 2)


COPIES = {
    "deepcopy": (copy.deepcopy, (1, 0)),
    "device_put, a copy": (lambda x: ct.device_put(x, ONE, may_alias=False), (1, 0)),
    "device_put, another device": (lambda x: ct.device_put(x, ct.devices()[2]), (1, 0)),
    "device_put, rows": (lambda x: ct.device_put(x, Format(ROWS, ONE)), (0, 1)),
    "device_put, over devices": (lambda x: ct.device_put(x, LINE), (0, 1)),
    "constraint": (lambda x: with_layout_constraint(x, ROWS), (0, 1)),
    "copy": (lambda x: x.copy(), (0, 1)),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_have_the_same_elements(name):
    make, expected = COPIES[name]
    copied = make(columns(ONE))
    np.testing.assert_array_equal(copied, X)
    np.testing.assert_array_equal(copied + 0, X)
    assert order(copied) == expected


def test_columns_of_another_library_are_shared():
    memory = np.empty(X.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    foreign = memory[start : start + X.nbytes].view(np.float32).reshape(4, 8).T
    foreign[...] = X
    shared = ct.dlpack.from_dlpack(foreign)
    assert shared.unsafe_buffer_pointer() == foreign.ctypes.data and order(shared) == (1, 0)
    np.testing.assert_array_equal(shared + 0, X)
    assert np.from_dlpack(shared).strides == foreign.strides


def test_the_compiler_chooses():
    f = ct.jit(lambda x: with_layout_constraint(x, COLUMNS), out_shardings=Format(Layout.AUTO))
    assert 'mhlo.layout_mode = "auto"' in f.lower(X).as_text()
    assert order(f(X)) == (1, 0) and not f(X).committed
    automatic = ct.jit(lambda x: x + 1, in_shardings=Format(Layout.AUTO))
    assert 'mhlo.layout_mode = "auto"' in automatic.lower(ct.ShapeDtypeStruct((8, 4), "float32")).as_text()
    np.testing.assert_array_equal(automatic(columns(ONE)), X + 1)


def test_constraints_are_transformed():
    def f(x):
        return with_layout_constraint(x, COLUMNS)

    jaxpr = str(ct.make_jaxpr(ct.vmap(f, in_axes=1, out_axes=1))(np.ones((8, 2, 4))))
    assert "major_to_minor=(1, 2, 0)" in jaxpr or "major_to_minor=(0, 2, 1)" in jaxpr
    gradient = ct.jit(ct.grad(lambda x: (f(x) ** 2).sum()))(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    inner = ct.jit(lambda x: x * 2, in_shardings=Format(COLUMNS, ONE), out_shardings=Format(COLUMNS, ONE))
    np.testing.assert_array_equal(ct.jit(ct.vmap(inner))(X[None]), 2 * X[None])
    assert order(ct.vmap(inner)(X[None])) == (0, 2, 1)
    assert order(ct.jit(lambda x: ct.device_put(x, Format(COLUMNS, ONE)))(X)) == (1, 0)


def test_types_have_formats():
    struct = ct.ShapeDtypeStruct((8, 4), "float32", sharding=Format(COLUMNS, LINE))
    assert struct.format == Format(COLUMNS, LINE) and struct.sharding == LINE
    assert repr(struct).endswith(f"format={COLUMNS})")
    assert '"{0,1}"' in ct.jit(lambda x: x + 1).lower(struct).as_text()


def test_derived_calls_are_laid_out_like_the_first():
    sharding = named(None, "x")
    f = ct.jit(lambda x: x * 2, in_shardings=named("x"), out_shardings=sharding)
    x = np.ones((8, 8), np.float32)
    jaxpr = str(ct.make_jaxpr(ct.vmap(f))(x[None]))
    assert "spec=P(None, 'x')" in jaxpr and "spec=P(None, None, 'x')" in jaxpr
    assert ct.vmap(f)(x[None]).sharding.spec == ct.P(None, None, "x")
    assert ct.jvp(f, (x,), (x,))[1].sharding == sharding
    assert ct.grad(lambda x: f(x).sum())(x).sharding == named("x")


TREE = {"a": X, "b": X[0]}
REFUSED = {
    "device_put, automatic": (lambda: ct.device_put(X, Format(Layout.AUTO, ONE)), "concrete"),
    "device_put, rank": (lambda: ct.device_put(X, Format(Layout((0, 1, 2)), ONE)), r"(?s)rank.*shape=\(8, 4\)"),
    "device_put, twice": (lambda: ct.device_put(X, Format(Layout((0, 0)), ONE)), "each dimension once"),
    "jit argument": (
        lambda: ct.jit(lambda x: x, in_shardings=Format(COLUMNS, LINE))(TREE), r"argument x\['b'\].*rank",
    ),
    "jit result": (lambda: ct.jit(lambda x: x, out_shardings=Format(COLUMNS, ONE))(TREE), r"result\['b'\].*rank"),
    "constraint, rank": (lambda: with_layout_constraint(cnp.ones(3), COLUMNS), "with_layout_constraint.*rank"),
    "constraint, automatic": (lambda: with_layout_constraint(cnp.ones(3), Layout.AUTO), "must be of type `Layout`"),
    "constraint, NumPy": (lambda: with_layout_constraint(X, COLUMNS), "device_put"),
    "layout alone": (lambda: Format(COLUMNS), "needs a sharding"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_formats_that_do_not_fit_are_refused(case):
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        call()
