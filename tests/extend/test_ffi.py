"""Foreign functions in C++, compiled here against the headers that jaxlib ships."""

import ctypes
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import ffi, lax
from canter.extend.core import Primitive
from canter.interpreters import mlir

SOURCE = pathlib.Path(__file__).parent / "kernels" / "kernels.cc"
X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler (g++ or clang++) to compile foreign functions with")
    target = tmp_path_factory.mktemp("kernels") / "kernels.so"
    command = [
        compiler,
        "-std=c++17",
        "-O0",
        "-shared",
        "-fPIC",
        f"-I{ffi.include_dir()}",
        str(SOURCE),
        "-o",
        str(target),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    library = ctypes.cdll.LoadLibrary(str(target))
    ffi.register_ffi_target("test_affine", ffi.pycapsule(library.AffineHandler), platform="cpu")
    ffi.register_ffi_target("test_rows", {"execute": ffi.pycapsule(library.RowsHandler)})
    ffi.register_ffi_target("test_counting", ffi.pycapsule(library.CountingHandler))
    ffi.register_ffi_target_as_batch_partitionable("test_counting")
    library.NumberOfCalls.restype = ctypes.c_int64
    return library


def affine(x, factor=2.0, shift=(1.0,), mode="plain", **options):
    results = [ct.ShapeDtypeStruct(x.shape, x.dtype), ct.ShapeDtypeStruct((), "int32")]
    call = ffi.ffi_call("test_affine", results, **options)
    return call(x, factor=np.float32(factor), shift=np.asarray(shift), mode=mode)


def rows(x, by, **options):
    return ffi.ffi_call("test_rows", ct.ShapeDtypeStruct(x.shape, x.dtype), **options)(x, by)


def counting(x, **options):
    return ffi.ffi_call("test_counting", ct.ShapeDtypeStruct(x.shape, x.dtype), **options)(x)


def test_attributes_and_several_results(library):
    for transform in (lambda f: f, ct.jit):
        y, count = transform(affine)(X)
        np.testing.assert_array_equal(y, 2 * X + 1)
        assert count == 6 and count.dtype == np.int32
    assert affine(X, 3.0, (5.0,))[0][1, 2] == 20
    with pytest.raises(Exception, match="knows the mode plain only"):
        affine(X, mode="other")[0].block_until_ready()


def test_layouts(library):
    np.testing.assert_array_equal(rows(X, np.float32(10)), X + [[0], [10]])
    # By columns the memory of a 2 x 3 array is that of its transpose; the width is still 3.
    got = rows(X, np.float32(10), input_layouts=[(1, 0), None], output_layouts=(1, 0))
    flat = X.T.ravel() + 10 * (np.arange(6) // 3)
    np.testing.assert_array_equal(got, flat.reshape(3, 2).T)
    with pytest.raises(ValueError, match="layout"):
        rows(X, np.float32(10), input_layouts=[(0,), None])
    with pytest.raises(ValueError, match="number of input"):
        rows(X, np.float32(10), input_layouts=[(1, 0)])
    with pytest.raises(ValueError, match="number of output"):
        affine(X, output_layouts=[(1, 0)])


def test_vmap_by_every_method(library):
    batch = np.stack([X, X + 1, X + 2])
    by = np.float32([1, 2, 3])
    want = np.stack([x + [[0], [b]] for x, b in zip(batch, by, strict=True)])
    for method in ("sequential", "sequential_unrolled"):
        mapped = ct.vmap(lambda x, b, m=method: rows(x, b, vmap_method=m))
        np.testing.assert_array_equal(mapped(batch, by), want)
    for method, shape in (("expand_dims", (1,)), ("broadcast_all", (3,)), ("legacy_vectorized", ())):
        mapped = ct.vmap(lambda x, b, m=method: rows(x, b, vmap_method=m), in_axes=(1, None))
        eqn = ct.make_jaxpr(mapped)(np.moveaxis(batch, 0, 1), by[0]).eqns[-1]
        assert [v.aval.shape for v in eqn.invars] == [(3, 2, 3), shape]
        assert eqn.params["input_layouts"] == ((2, 1, 0), (0,) if shape else ())
        got = mapped(np.moveaxis(batch, 0, 1), by[0])  # a kernel that sees the batch as more rows
        np.testing.assert_array_equal(got, batch + np.arange(6, dtype=np.float32).reshape(3, 2, 1))
    with pytest.raises(NotImplementedError, match="vmap_method"):
        ct.vmap(rows)(batch, by)
    with pytest.raises(ValueError, match="vmap_method"):
        rows(X, by, vmap_method="all")


def test_derivatives_need_a_rule(library):
    with pytest.raises(ValueError, match="`test_counting` cannot be differentiated"):
        ct.grad(lambda x: counting(x).sum())(X)

    @ct.custom_jvp
    def doubled(x):
        return affine(x)[0]

    doubled.defjvp(lambda primals, tangents: (doubled(*primals), 2 * tangents[0]))
    np.testing.assert_array_equal(ct.grad(lambda x: (doubled(x) ** 2).sum())(X), 4 * (2 * X + 1))


def test_effects_keep_a_call(library):
    def called(f):
        before = library.NumberOfCalls()
        ct.block_until_ready(ct.jit(f)(X))
        return library.NumberOfCalls() - before

    assert called(lambda x: (counting(x), x)[1]) == 0
    assert called(lambda x: (counting(x, has_side_effect=True), x)[1]) == 1
    assert (
        called(lambda x: lax.fori_loop(0, 3, lambda i, y: (counting(y, has_side_effect=True), y)[1], x)) == 3
    )
    jaxpr = ct.make_jaxpr(lambda x: counting(x, has_side_effect=True))(X)
    assert str(jaxpr.effects) == "frozenset({FfiEffect()})"


def test_in_loops_and_branches(library):
    np.testing.assert_array_equal(lax.fori_loop(0, 5, lambda i, x: counting(x), X), X + 5)
    np.testing.assert_array_equal(lax.cond(True, counting, lambda x: x, X), X + 1)


def test_aliases(library):
    f = ct.jit(lambda x: counting(x, input_output_aliases={0: 0}))
    np.testing.assert_array_equal(f(X), X + 1)
    assert "output_operand_alias" in f.lower(X).as_text()
    for aliases, message in (({1: 0}, "input index 1"), ({0: 1}, "output index 1")):
        with pytest.raises(ValueError, match=message):
            counting(X, input_output_aliases=aliases)
    with pytest.raises(ValueError, match="different abstract value"):
        ffi.ffi_call("test_counting", ct.ShapeDtypeStruct((2,), "float32"), input_output_aliases={0: 0})(X)


def test_divided_among_devices(library):
    if ct.device_count() < 2:
        pytest.skip("needs two devices")
    mesh = ct.make_mesh((2,), ("i",))
    sharding = ct.sharding.NamedSharding(mesh, ct.sharding.PartitionSpec("i"))
    y = ct.jit(lambda x: counting(x))(ct.device_put(X, sharding))
    np.testing.assert_array_equal(y, X + 1)


def test_a_primitive_that_is_a_foreign_function(library):
    p = Primitive("counted")
    p.def_abstract_eval(lambda x: x)
    mlir.register_lowering(p, ffi.ffi_lowering("test_counting"))
    np.testing.assert_array_equal(ct.jit(p.bind)(X), X + 1)


def test_what_is_refused():
    struct = ct.ShapeDtypeStruct((2,), "float32")
    x = cnp.ones(2)
    with pytest.raises(TypeError, match="Non-hashable"):
        ffi.ffi_call("none", struct)(x, a=[1])
    with pytest.raises(ValueError, match="at least 4"):
        ffi.ffi_call("none", struct, custom_call_api_version=2)(x, a=1)
    with pytest.raises(ValueError, match="legacy_backend_config"):
        ffi.ffi_call("none", struct, legacy_backend_config="a")
    with pytest.raises(ValueError, match="position 1"):
        ffi.ffi_call("none", [struct, 3])
    with pytest.raises(TypeError, match="attribute"):
        ct.jit(lambda x: ffi.ffi_call("none", struct)(x, a=object())).lower(x)
    with pytest.raises(Exception, match="none"):
        ffi.ffi_call("none", struct)(x)
    with pytest.raises(RuntimeError):
        ffi.register_ffi_target("none", 3)
    old = ffi.ffi_call("old", struct, custom_call_api_version=2, legacy_backend_config="text")
    assert 'backend_config = "text"' in ct.jit(old).lower(x).as_text()
    nested = ffi.ffi_call("new", struct)
    text = ct.jit(lambda x: nested(x, d={"e": {"f": np.ones(2, np.int8)}}, t=(1, True))).lower(x).as_text()
    assert "d = {e = {f = dense<1> : tensor<2xi8>}}" in text and "t = [1, true]" in text
