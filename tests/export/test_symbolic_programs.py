"""Programs exported for symbolic shapes do at each shape what the same function does there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export, lax
from canter.core.dimensions import max_dim

F32 = np.float32
KERNEL = np.ones((3, 3, 1, 1), F32)
IMAGES = ("NHWC", "HWIO", "NHWC")


def image(x):
    return x[None, :, :, None]


def cut(axis):
    return lambda x: lax.dynamic_slice_in_dim(x, 1, x.shape[axis] - 1, axis)


SHAPES = {
    "reshape": lambda x: x.reshape(-1),
    "reshape_transposed": lambda x: x.reshape(x.shape[1], -1),
    "broadcast": lambda x: cnp.broadcast_to(x[0], x.shape),
    "outer_sum": lambda x: x[:, None, :] + x[None, :, :],
    "concatenate": lambda x: cnp.concatenate([x, x * 2], 0),
    "stack": lambda x: cnp.stack([x, x], 1),
    "tile": lambda x: cnp.tile(x, (2, 1)),
    "repeat": lambda x: cnp.repeat(x, 2, axis=0),
    "pad": lambda x: cnp.pad(x, ((0, 1), (x.shape[1], 0))),
    "pad_edge": lambda x: cnp.pad(x, 1, mode="edge"),
    "roll": lambda x: cnp.roll(x, 1, 0),
    "flip": cnp.flip,
    "tril": cnp.tril,
    "triu": lambda x: cnp.triu(x, 1),
    "eye": lambda x: cnp.eye(x.shape[0]),
    "ones": lambda x: cnp.ones((x.shape[0], 2 * x.shape[1] - 1)),
    "iota": lambda x: lax.broadcasted_iota(np.int32, x.shape, 1),
    "arange": lambda x: cnp.arange(1, x.shape[0] + 3, 2),
    "linspace": lambda x: cnp.linspace(0, 1, x.shape[0]),
    "meshgrid": lambda x: cnp.meshgrid(x[0], x[:, 0]),
    "kron": lambda x: cnp.kron(x, np.eye(2, dtype=F32)),
    "diag": lambda x: cnp.diag(x[0]),
    "zeros_where_empty": lambda x: cnp.zeros(max_dim(x.shape[0] - 3, 0)),
}
INDEXING = {
    "row": lambda x: x[0],
    "last": lambda x: x[-1],
    "second": lambda x: x[1],
    "without_last": lambda x: x[:-1],
    "every_second": lambda x: x[::2],
    "backwards": lambda x: x[1:, ::-1],
    "at_most_three": lambda x: x[:3],
    "at_most_nine": lambda x: x[:9, -9:],
    "symbolic_index": lambda x: x[x.shape[0] - 1],
    "symbolic_slice": lambda x: x[: x.shape[0] // 2],
    "static_array": lambda x: x[np.array([0, 1, -1])],
    "take": lambda x: cnp.take(x, np.array([0, 1]), axis=0),
    "take_along": lambda x: cnp.take_along_axis(x, cnp.argsort(x, 1), 1),
    "set_row": lambda x: x.at[0].set(1.0),
    "set_last": lambda x: x.at[-1].set(0.0),
    "set_slice": lambda x: x.at[1:].set(0.0),
    "set_strided": lambda x: x.at[::2].set(0.0),
    "add_column": lambda x: x.at[:, 0].add(1.0),
    "multiply_rows": lambda x: x.at[np.array([0, 1])].multiply(2.0),
    "dynamic_slice": cut(0),
    "dynamic_index": lambda x: lax.dynamic_index_in_dim(x, 1, 0),
    "dynamic_update": lambda x: lax.dynamic_update_slice(x, cnp.zeros((1, x.shape[1])), (1, 0)),
    "one_hot": lambda x: ct.nn.one_hot(cnp.arange(x.shape[0]), x.shape[1]),
    "repeat_by_size": lambda x: cnp.repeat(x[0], x.shape[0]),
    "nonzero": lambda x: cnp.nonzero(x[0] > 0, size=x.shape[1]),
    "delete_and_insert": lambda x: (
        cnp.delete(x, -1, 0),
        cnp.insert(x, np.array([2, 0, 1]), 7.0, axis=1),
        cnp.insert(x, -1, x[0], axis=0),
    ),
    "searchsorted": lambda x: cnp.searchsorted(cnp.sort(x[0]), x[1]),
    "segment_sum": lambda x: ct.ops.segment_sum(x, cnp.zeros(x.shape[0], np.int32), num_segments=x.shape[1]),
}
VALUES = {
    "times_size": lambda x: x * x.shape[0] + 2 * x.shape[1],
    "by_count": lambda x: x / x.size,
    "by_root": lambda x: x / cnp.sqrt(x.shape[1]),
    "power": lambda x: x * x.shape[0] ** 2 - x.shape[0] / 2.0,
    "numpy_scalar": lambda x: x * (np.float32(2) * x.shape[0]),
    "size_as_result": lambda x: (x.shape[0] * 2, cnp.array(x.shape), cnp.asarray(x.shape[0])),
    "floor_and_mod": lambda x: (x.shape[0] // 2 + x.shape[1] % 3, -x.shape[0] // 3),
    "compared": lambda x: cnp.where(cnp.arange(x.shape[0]) < x.shape[0] // 2, 1, 0),
    "int8": lambda x: cnp.ones(x.shape[0], np.int8) * x.shape[0],
}
COMPUTING = {
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(),
    "std": lambda x: cnp.std(x, axis=1, ddof=1),
    "max": lambda x: (x.max(1), x.argmax(0)),
    "softmax": ct.nn.softmax,
    "logsumexp": lambda x: ct.nn.logsumexp(x, axis=1),
    "median": lambda x: cnp.median(x, 0),
    "cumsum": lambda x: (cnp.cumsum(x, 0), lax.cumsum(x, 1, reverse=True)),
    "cumulative": lambda x: (cnp.cumprod(x, 1), lax.cumlogsumexp(x, 0)),
    "associative_scan": lambda x: lax.associative_scan(cnp.add, x),
    "sort": lambda x: cnp.sort(x, 0),
    "top_k": lambda x: (lax.top_k(x, 1), lax.top_k(x, x.shape[1] - 1)),
    "matmul": lambda x: x @ x.T,
    "einsum": lambda x: cnp.einsum("ij,kj->ik", x, x),
    "convolution": lambda x: lax.conv_general_dilated(
        image(x), KERNEL, (1, 1), "SAME", dimension_numbers=IMAGES
    ),
    "convolution_strided": lambda x: lax.conv_general_dilated(
        image(x), KERNEL, (2, 2), "SAME", dimension_numbers=IMAGES
    ),
    "convolution_valid": lambda x: lax.conv_general_dilated(
        image(x), KERNEL[:2, :2], (1, 1), "VALID", dimension_numbers=IMAGES
    ),
    "convolution_without_room": lambda x: lax.conv_general_dilated(
        x[None], cnp.ones((1, x.shape[1], 5)), (2,), "VALID", dimension_numbers=("NWC", "OIW", "NWC")
    ),
    "window": lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 1), "SAME"),
    "window_valid": lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2), (2, 2), "VALID"),
    "spectra": lambda x: (cnp.fft.fftshift(x), cnp.fft.ifftshift(x, 1), cnp.fft.fftfreq(x.shape[0], 0.5)),
    "multi_dot": lambda x: cnp.linalg.multi_dot([x.T, x, x.T]),
    "dirichlet": lambda x: ct.random.dirichlet(ct.random.key(0), cnp.abs(x) + 1),
    "cholesky": lambda x: cnp.linalg.cholesky(x @ x.T + 3 * cnp.eye(x.shape[0])),
    "solve": lambda x: cnp.linalg.solve(x @ x.T + 3 * cnp.eye(x.shape[0]), x),
    "svd": lambda x: cnp.linalg.svd(x)[1],
    "qr": lambda x: cnp.abs(cnp.linalg.qr(x)[1]),
    "attention": lambda x: ct.nn.dot_product_attention(
        *[cnp.ones((1, 1, 1, 4)) * image(x)[:, :, :1]] * 3, is_causal=True
    ),
    "normal": lambda x: ct.random.normal(ct.random.key(0), x.shape),
    "choice": lambda x: ct.random.choice(ct.random.key(0), x.shape[0], (3,)),
    "resize": lambda x: ct.image.resize(x, (2 * x.shape[0], x.shape[1]), "linear"),
    "resize_nearest": lambda x: ct.image.resize(x, (3 * x.shape[0], 2), "nearest"),
    "categorical": lambda x: ct.random.categorical(ct.random.key(0), x),
    "permutation": lambda x: ct.random.permutation(ct.random.key(1), x),
    "split": lambda x: ct.random.key_data(ct.random.split(ct.random.key(0), x.shape[0])),
}
CONTROL = {
    "fori": lambda x: lax.fori_loop(0, x.shape[0], lambda i, y: y + i * x.shape[0], x),
    "scan": lambda x: lax.scan(lambda c, y: (c + y, c * y.shape[0]), cnp.zeros(x.shape[1]), x),
    "scan_unrolled": lambda x: lax.scan(lambda c, y: (c + y, c), cnp.zeros(x.shape[1]), x, unroll=2),
    "scan_reversed": lambda x: lax.scan(lambda c, y: (c + y, c), cnp.zeros(x.shape[1]), x, reverse=True),
    "scan_of_length": lambda x: lax.scan(lambda c, _: (c * 2, None), x, None, length=x.shape[1]),
    "while": lambda x: lax.while_loop(lambda y: y.sum() < 100, lambda y: y * 2 + 1, cnp.abs(x)),
    "cond": lambda x: lax.cond(x.sum() > 0, lambda y: y * 2, lambda y: y + y.shape[0], x),
    "map": lambda x: lax.map(lambda row: row.sum() * row.shape[0], x),
    "jit": lambda x: ct.jit(lambda y: y * y.shape[0])(x),
    "vmap": lambda x: ct.vmap(lambda row: cnp.sin(row).sum() * row.shape[0])(x),
    "vmap_columns": lambda x: ct.vmap(lambda column: cnp.dot(column, column), in_axes=1)(x),
    "vmap_scan": lambda x: ct.vmap(lambda row: lax.scan(lambda c, y: (c + y, c), 0.0, row)[1])(x),
}


def slope(f):
    return lambda x: ct.grad(lambda y: f(y).sum())(x)


DERIVATIVES = {
    "mean": slope(lambda y: (y**2).mean()),
    "slice": slope(lambda y: y[:-1] * y[1:]),
    "strided": slope(lambda y: y[::2] ** 2),
    "cumsum": slope(lambda y: cnp.cumsum(y, 0) ** 2),
    "concatenate": slope(lambda y: cnp.concatenate([y, y * 2]) ** 2),
    "index": slope(lambda y: y[0] ** 2 + y[-1]),
    "scan": slope(lambda y: lax.scan(lambda c, r: (c * r + 1, c.sum()), cnp.ones(y.shape[1]), y)[1]),
    "max": slope(lambda y: y.max(0)),
    "softmax": slope(lambda y: ct.nn.softmax(y) * y),
    "sort": slope(lambda y: cnp.sort(y, 0) * cnp.arange(y.shape[0])[:, None]),
    "take": slope(lambda y: y[np.array([0, 0, 1])] ** 2),
    "matmul": slope(lambda y: (y @ y.T) ** 2),
    "checkpoint": slope(lambda y: ct.checkpoint(cnp.sin)(y)),
    "jvp": lambda x: ct.jvp(cnp.tanh, (x,), (x,)),
    "jacfwd": lambda x: ct.jacfwd(lambda y: y**2)(x[0]),
    "hessian": lambda x: ct.hessian(lambda y: (y**3).sum())(x[0]),
}
GROUPS = {
    "shapes": SHAPES,
    "indexing": INDEXING,
    "values": VALUES,
    "computing": COMPUTING,
    "control": CONTROL,
    "derivatives": DERIVATIVES,
}


def spec(shape, **options):
    return ct.ShapeDtypeStruct(export.symbolic_shape(shape, **options), F32)


def compare(found, expected, where):
    pairs = zip(ct.tree.leaves(found), ct.tree.leaves(expected), strict=True)
    for x, y in pairs:
        assert (x.shape, x.dtype) == (y.shape, y.dtype), where
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-4, atol=1e-5, err_msg=where)


@pytest.mark.parametrize("group", GROUPS)
def test_symbolic_programs_agree_with_concrete_ones(group):
    programs = GROUPS[group]

    def every(x):
        return {name: program(x) for name, program in programs.items()}

    exported = export.export(ct.jit(every))(spec("a, b", constraints=["a >= 2", "b >= 2"]))
    concrete = ct.jit(every)
    random = np.random.default_rng(0)
    for shape in ((4, 3), (3, 6)) if group not in ("computing", "derivatives") else ((3, 6),):
        x = random.standard_normal(shape).astype(F32)
        found, expected = exported.call(x), concrete(x)
        for name in programs:
            compare(found[name], expected[name], f"{name} of shape {shape}")


def test_divisible_sizes():
    def f(x):
        return x.reshape(2, -1), cnp.split(x, 2), x.reshape(x.shape[0] // 2, 2, -1)

    exported = export.export(ct.jit(f))(spec("2*a, b"))
    assert [str(aval.shape) for aval in exported.out_avals][:3] == ["(2, a*b)", "(a, b)", "(a, b)"]
    x = np.arange(12, dtype=F32).reshape(4, 3)
    compare(exported.call(x), f(cnp.asarray(x)), "")
    with pytest.raises(ct.errors.InconclusiveDimensionOperation, match="Cannot divide evenly"):
        export.export(ct.jit(lambda x: x.reshape(-1, 2)))(spec("a"))
    assert export.export(ct.jit(lambda x: x.reshape(-1, 2)))(spec("a", constraints=["mod(a, 2) == 0"]))


def test_sizes_in_jaxprs_print_as_jax_prints_them():
    (b,) = export.symbolic_shape("b")
    jaxpr = ct.make_jaxpr(lambda x: x * (2 * x.shape[0] - 1))(ct.ShapeDtypeStruct((b, 3), F32))
    assert str(jaxpr) == (
        "{ lambda ; a:f32[b,3]. let\n"
        "    b:i32[] = dim_as_value[dim=2*b - 1] \n"
        "    c:f32[] = convert_element_type[new_dtype=float32 weak_type=False] b\n"
        "    d:f32[b,3] = mul a c\n"
        "  in (d,) }"
    )


def test_wide_numbers():
    with ct.enable_x64(True):
        (n,) = export.symbolic_shape("n")
        exported = export.export(ct.jit(lambda x: (x * x.shape[0], x.shape[0])))(
            ct.ShapeDtypeStruct((n,), np.float64)
        )
        scaled, size = exported.call(np.ones(3))
        assert scaled.dtype == np.float64 and size.dtype == np.int64 and int(size) == 3


def test_calls_in_other_programs():
    inner = export.export(ct.jit(lambda x: cnp.sin(x).sum(0) * x.shape[0]))(
        spec("a, b", constraints=["a >= b", "mod(a, 2) == 0"])
    )
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(F32)
    expected = np.sin(x).sum(0) * 4
    np.testing.assert_allclose(ct.jit(lambda x: inner.call(x) + 1)(x), expected + 1, rtol=1e-5)
    outer = export.export(ct.jit(lambda x: inner.call(x) * x.shape[0]))(
        spec("2*c, 3", constraints=["c >= 2"])
    )
    assert str(outer.out_avals[0].shape) == "(3,)"
    np.testing.assert_allclose(outer.call(x), expected * 4, rtol=1e-5)
    both = ct.jit(lambda x: (inner.call(x), inner.call(x[:2, :1])))
    np.testing.assert_allclose(both(x)[1], np.sin(x[:2, :1]).sum(0) * 2, rtol=1e-5)
    with pytest.raises(ValueError, match=r"constraint mod\(a, 2\) == 0.*found mod\(c, 2\)"):
        export.export(ct.jit(inner.call))(spec("c, 1"))


def test_derivatives_and_batches_of_exported_programs():
    def f(x):
        return cnp.sin(x).sum() * x.shape[0]

    exported = export.export(ct.jit(f))(spec("n"))
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(F32)
    compare(ct.grad(exported.call)(x[0]), ct.grad(f)(x[0]), "grad")
    compare(ct.vmap(exported.call)(x), ct.vmap(f)(x), "vmap")
    compare(ct.vmap(exported.call, in_axes=1)(x), ct.vmap(f, in_axes=1)(x), "vmap over columns")
    compare(ct.vmap(ct.grad(exported.call))(x), ct.vmap(ct.grad(f))(x), "vmap of grad")
    again = export.deserialize(exported.serialize(vjp_order=2))
    assert [str(aval) for aval in again.vjp().in_avals] == ["float32[n]", "float32[]"]
    compare(again.vjp().call(x[0], np.float32(1)), (ct.grad(f)(x[0]),), "vjp from bytes")


def test_several_platforms():
    exported = export.export(ct.jit(lambda x: x * x.shape[0]), platforms=("tpu", "cpu"))(spec("n"))
    np.testing.assert_array_equal(exported.call(np.ones(3, F32)), np.full(3, 3, F32))


def problem_of(exported, *shapes, dtype=F32):
    with pytest.raises(ValueError) as caught:
        exported.call(*(np.ones(shape, dtype) for shape in shapes))
    return str(caught.value)


@pytest.mark.parametrize("through_bytes", [False, True])
def test_wrong_shapes_are_explained(through_bytes):
    def make(f, *args, **options):
        specs = [ct.ShapeDtypeStruct(s, F32) for s in args]
        exported = export.export(ct.jit(f))(*specs)
        return export.deserialize(exported.serialize()) if through_bytes else exported

    a, b = export.symbolic_shape("a, b", constraints=["a >= b + 1"])
    two = make(lambda x, y: x.sum() + y.sum(), (a, b), (2 * a,))
    text = problem_of(two, (3, 2), (5,))
    assert "Found inconsistency" in text and "(= 5) and the specification '2*a' (= 6)" in text
    assert ".shape[0]" in text and "'a' = 3 from specification 'a'" in text
    text = problem_of(two, (2, 2), (4,))
    assert "symbolic shape constraint a >= b + 1" in text
    assert "Expected value >= 1 for dimension variable 'b'" in problem_of(two, (2, 0), (4,))
    assert "Rank mismatch for args[1]" in problem_of(two, (2, 1), (2, 2))
    assert "Dtype mismatch for args[0]" in problem_of(two, (2, 1), (4,), dtype=np.int32)
    (c,) = export.symbolic_shape("c")
    odd = make(lambda x: x.sum(), (2 * c + 1,))
    assert "Division had remainder 1" in problem_of(odd, (4,))
    fixed = make(lambda x: x.sum(), (c, 3))
    assert "specification '3'" in problem_of(fixed, (4, 2))


def test_what_cannot_be_exported_is_explained():
    a, b = export.symbolic_shape("a, b")
    with pytest.raises(ValueError, match=r"Cannot solve for values of dimension variables \{'a', 'b'\}"):
        export.export(ct.jit(cnp.sum))(ct.ShapeDtypeStruct((a * b,), F32))
    with pytest.raises(ValueError, match="mixing of symbolic scopes"):
        export.export(ct.jit(lambda x, y: x.sum() + y.sum()))(spec("n"), spec("m"))
    with pytest.raises((TypeError, ValueError), match=r"\(a,\), \(b,\)"):
        export.export(ct.jit(cnp.add))(ct.ShapeDtypeStruct((a,), F32), ct.ShapeDtypeStruct((b,), F32))
    with pytest.raises(ct.errors.InconclusiveDimensionOperation, match="'a' > '3' is inconclusive"):
        export.export(ct.jit(lambda x: x if x.shape[0] > 3 else -x))(ct.ShapeDtypeStruct((a,), F32))
    with pytest.raises(NotImplementedError, match="fft_length"):
        export.export(ct.jit(cnp.fft.fft))(ct.ShapeDtypeStruct((a,), F32))
    with pytest.raises(ValueError, match="Export it"):
        ct.jit(cnp.sin).lower(ct.ShapeDtypeStruct((a,), F32)).compile()
    with pytest.raises(NotImplementedError, match="no value outside"):
        cnp.ones(3) * a


def test_specs_of_arguments():
    args = (np.ones((2, 3), F32), {"w": np.ones((2, 3)), "b": 1.0})
    specs = export.symbolic_args_specs(args, ("batch, _", {"w": "batch, ...", "b": None}))
    assert str(specs[0]) == "ShapeDtypeStruct(shape=(batch, 3), dtype=float32)"
    assert specs[1]["w"].shape[0] == specs[0].shape[0] and specs[1]["b"].shape == ()
    assert str(export.symbolic_args_specs(args[:1], "n, ...")[0].shape) == "(n, 3)"
    with pytest.raises(ValueError, match="differs from the known size"):
        export.symbolic_args_specs(args[:1], "a, 5")
    with pytest.raises(ValueError):
        export.symbolic_args_specs(args, ("a", "b", "c"))


def test_nothing_symbolic_is_loaded_before_it_is_used():
    code = (
        "import sys, canter as ct, canter.numpy as cnp; ct.jit(lambda x: x[1:] + cnp.sum(x))(cnp.ones(3));"
        "print([m for m in sys.modules if m.startswith('canter.core.symbolic') or m == 'canter_mlir.dynamic'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "function, error, message",
    [
        (
            lambda x: cnp.delete(x, 5, 0),
            IndexError,
            "whether the index 5 is within a dimension of the symbolic size a",
        ),
        (lambda x: cnp.delete(x, slice(1, 2), 0), TypeError, "takes ints that all count from its start"),
        (
            lambda x: cnp.insert(x, np.array([0, -1]), 1.0, axis=0),
            TypeError,
            "takes ints that all count from its",
        ),
        (
            lambda x: x.reshape(x.shape[0] // 2, 2, x.shape[1]),
            TypeError,
            r"for all values of the dimension variables: .* or add a constraint such as 'mod\(b, 2\) == 0'",
        ),
        (cnp.fft.fft, NotImplementedError, "fft_length"),
        (lambda x: ct.scipy.signal.fftconvolve(x, x), NotImplementedError, "fft_length"),
    ],
)
def test_what_symbolic_sizes_do_not_allow_is_said(function, error, message):
    with pytest.raises(error, match=message):
        export.export(ct.jit(function))(spec("a, b"))
