# ruff: noqa: E501 - operations of MLIR have long lines
"""Operations that no framework at hand emits, from text; and modules over several devices."""

from __future__ import annotations

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export, lax
from canter.sharding import Mesh, NamedSharding, PartitionSpec as P

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def function(signature, body, result, **options):
    return export.from_stablehlo(f"func.func @main({signature}) -> {result} {{\n{body}\n}}", **options)


def test_map_if_tuples_and_tokens():
    f = function(
        "%x: tensor<3x4xf32>, %p: tensor<i1>",
        """%0 = "stablehlo.map"(%x) <{dimensions = array<i64: 0, 1>}> ({
        ^bb0(%a: tensor<f32>):
          %s = stablehlo.sine %a : tensor<f32>
          stablehlo.return %s : tensor<f32>
        }) : (tensor<3x4xf32>) -> tensor<3x4xf32>
        %t = "stablehlo.tuple"(%0, %x) : (tensor<3x4xf32>, tensor<3x4xf32>) -> tuple<tensor<3x4xf32>, tensor<3x4xf32>>
        %1 = "stablehlo.get_tuple_element"(%t) <{index = 0 : i32}> : (tuple<tensor<3x4xf32>, tensor<3x4xf32>>) -> tensor<3x4xf32>
        %k = "stablehlo.create_token"() : () -> !stablehlo.token
        %l = "stablehlo.after_all"(%k) : (!stablehlo.token) -> !stablehlo.token
        %2 = "stablehlo.if"(%p) ({ stablehlo.return %1 : tensor<3x4xf32> },
                                 { stablehlo.return %x : tensor<3x4xf32> }) : (tensor<i1>) -> tensor<3x4xf32>
        return %2 : tensor<3x4xf32>""",
        "tensor<3x4xf32>",
    )
    np.testing.assert_allclose(f(X, True), np.sin(X), rtol=1e-6)
    np.testing.assert_allclose(f(X, arg1=False), X)
    gradient = ct.vmap(ct.grad(lambda x, p: f(x, p).sum()), (None, 0))(X, np.array([True, False]))
    np.testing.assert_allclose(gradient[0], np.cos(X), rtol=1e-5)
    np.testing.assert_allclose(gradient[1], np.ones_like(X))


def test_general_regions_have_derivatives():
    """A product by a region of two operations: nothing that lax differentiates by itself."""
    f = function(
        "%x: tensor<3x4xf32>",
        """%one = stablehlo.constant dense<1.0> : tensor<f32>
        %0 = stablehlo.reduce(%x init: %one) across dimensions = [1] : (tensor<3x4xf32>, tensor<f32>) -> tensor<3xf32>
          reducer(%a: tensor<f32>, %b: tensor<f32>) {
            %n = stablehlo.negate %a : tensor<f32>
            %m = stablehlo.multiply %n, %b : tensor<f32>
            %r = stablehlo.negate %m : tensor<f32>
            stablehlo.return %r : tensor<f32>
          }
        %1 = "stablehlo.reduce_window"(%x, %one) <{window_dimensions = array<i64: 2, 2>}> ({
          ^bb0(%a: tensor<f32>, %b: tensor<f32>):
            %m = stablehlo.multiply %a, %b : tensor<f32>
            stablehlo.return %m : tensor<f32>
        }) : (tensor<3x4xf32>, tensor<f32>) -> tensor<2x3xf32>
        return %0, %1 : tensor<3xf32>, tensor<2x3xf32>""",
        "(tensor<3xf32>, tensor<2x3xf32>)",
    )

    def plain(x):
        return cnp.prod(x, 1), x[:-1, :-1] * x[1:, :-1] * x[:-1, 1:] * x[1:, 1:]

    for got, want in zip(f(X), plain(X), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)

    def total(g):
        return lambda x: sum(cnp.sum(cnp.sin(y)) for y in g(x))

    np.testing.assert_allclose(ct.grad(total(f))(X), ct.grad(total(plain))(X), rtol=1e-4, atol=1e-5)
    # vmap of the derivative, and the second derivative
    np.testing.assert_allclose(
        ct.jvp(ct.grad(total(f)), (X,), (X,))[1],
        ct.jvp(ct.grad(total(plain)), (X,), (X,))[1],
        rtol=1e-3,
        atol=1e-4,
    )


def test_a_scatter_by_any_region():
    f = function(
        "%x: tensor<4xf32>, %i: tensor<3x1xi32>, %u: tensor<3xf32>",
        """%0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<
            inserted_window_dims = [0], scatter_dims_to_operand_dims = [0], index_vector_dim = 1>}> ({
          ^bb0(%a: tensor<f32>, %b: tensor<f32>):
            %s = stablehlo.sine %a : tensor<f32>
            %m = stablehlo.add %s, %b : tensor<f32>
            stablehlo.return %m : tensor<f32>
        }) : (tensor<4xf32>, tensor<3x1xi32>, tensor<3xf32>) -> tensor<4xf32>
        return %0 : tensor<4xf32>""",
        "tensor<4xf32>",
    )
    x, u, i = X[0], X[1, :3], np.array([[2], [7], [2]], np.int32)  # the second is out of bounds
    want = x.copy()
    want[2] = np.sin(np.sin(want[2]) + u[0]) + u[2]
    np.testing.assert_allclose(f(x, i, u), want, rtol=1e-6)
    gradient = ct.grad(lambda u: f(x, i, u).sum())(u)
    np.testing.assert_allclose(gradient, [np.cos(np.sin(x[2]) + u[0]), 0, 1], rtol=1e-5)


@pytest.mark.parametrize("direction, kind", [("GT", "FLOAT"), ("LT", "TOTALORDER"), ("GE", "FLOAT")])
def test_sorts_by_other_comparators(direction, kind):
    f = function(
        "%x: tensor<3x4xf32>, %y: tensor<3x4xf32>",
        f"""%0:2 = "stablehlo.sort"(%x, %y) <{{dimension = 1 : i64, is_stable = true}}> ({{
          ^bb0(%a: tensor<f32>, %b: tensor<f32>, %c: tensor<f32>, %d: tensor<f32>):
            %r = stablehlo.compare {direction}, %c, %d, {kind} : (tensor<f32>, tensor<f32>) -> tensor<i1>
            stablehlo.return %r : tensor<i1>
        }}) : (tensor<3x4xf32>, tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>)
        return %0#0, %0#1 : tensor<3x4xf32>, tensor<3x4xf32>""",
        "(tensor<3x4xf32>, tensor<3x4xf32>)",
    )
    y = X[::-1].copy()
    order = np.argsort(y if direction == "LT" else -y, 1, kind="stable")
    for got, x in zip(f(X, y), (X, y), strict=True):
        np.testing.assert_array_equal(got, np.take_along_axis(x, order, 1))


def test_a_sort_by_a_comparator_of_its_own():
    """By the absolute value: found by a sorting network, ties in order."""
    f = function(
        "%x: tensor<3x7xf32>",
        """%0 = "stablehlo.sort"(%x) <{dimension = 1 : i64, is_stable = true}> ({
          ^bb0(%a: tensor<f32>, %b: tensor<f32>):
            %c = stablehlo.abs %a : tensor<f32>
            %d = stablehlo.abs %b : tensor<f32>
            %r = stablehlo.compare LT, %c, %d : (tensor<f32>, tensor<f32>) -> tensor<i1>
            stablehlo.return %r : tensor<i1>
        }) : (tensor<3x7xf32>) -> tensor<3x7xf32>
        return %0 : tensor<3x7xf32>""",
        "tensor<3x7xf32>",
    )
    x = np.random.default_rng(1).integers(-3, 4, (3, 7)).astype(np.float32)
    order = np.argsort(abs(x), 1, kind="stable")
    np.testing.assert_array_equal(f(x), np.take_along_axis(x, order, 1))
    weights = np.arange(21, dtype=np.float32).reshape(3, 7)
    want = np.zeros_like(x)
    np.put_along_axis(want, order, weights, 1)
    np.testing.assert_array_equal(ct.grad(lambda x: (f(x) * weights).sum())(x), want)


def test_select_and_scatter_by_other_regions():
    f = function(
        "%x: tensor<4xf32>, %s: tensor<2xf32>",
        """%z = stablehlo.constant dense<1.0> : tensor<f32>
        %0 = "stablehlo.select_and_scatter"(%x, %s, %z) <{window_dimensions = array<i64: 2>,
            window_strides = array<i64: 2>}> ({
          ^bb0(%a: tensor<f32>, %b: tensor<f32>):
            %r = stablehlo.compare GT, %a, %b : (tensor<f32>, tensor<f32>) -> tensor<i1>
            stablehlo.return %r : tensor<i1>
        }, {
          ^bb0(%a: tensor<f32>, %b: tensor<f32>):
            %m = stablehlo.multiply %a, %b : tensor<f32>
            stablehlo.return %m : tensor<f32>
        }) : (tensor<4xf32>, tensor<2xf32>, tensor<f32>) -> tensor<4xf32>
        return %0 : tensor<4xf32>""",
        "tensor<4xf32>",
    )
    result = f(np.array([1, 3, 5, 5], "f"), np.array([7, 9], "f"))
    np.testing.assert_array_equal(result, [1, 7, 1, 9])  # of equals the later one, as the region says


def test_shapes_that_are_computed():
    f = function(
        "%x: tensor<?x4xf32>",
        """%n = stablehlo.get_dimension_size %x, dim = 0 : (tensor<?x4xf32>) -> tensor<i32>
        %one = stablehlo.constant dense<[1]> : tensor<1xi32>
        %four = stablehlo.constant dense<[4]> : tensor<1xi32>
        %m = stablehlo.reshape %n : (tensor<i32>) -> tensor<1xi32>
        %all = stablehlo.multiply %m, %four : tensor<1xi32>
        %flat = stablehlo.dynamic_reshape %x, %all : (tensor<?x4xf32>, tensor<1xi32>) -> tensor<?xf32>
        %s = stablehlo.concatenate %m, %all, dim = 0 : (tensor<1xi32>, tensor<1xi32>) -> tensor<2xi32>
        %b = stablehlo.dynamic_broadcast_in_dim %flat, %s, dims = [1] : (tensor<?xf32>, tensor<2xi32>) -> tensor<?x?xf32>
        %i = stablehlo.dynamic_iota %s, dim = 0 : (tensor<2xi32>) -> tensor<?x?xf32>
        %r = stablehlo.add %b, %i : tensor<?x?xf32>
        %zero = stablehlo.constant dense<0> : tensor<2xi32>
        %ones = stablehlo.constant dense<1> : tensor<2xi32>
        %p0 = stablehlo.constant dense<0.5> : tensor<f32>
        %p = stablehlo.dynamic_pad %r, %p0, %ones, %zero, %zero : (tensor<?x?xf32>, tensor<f32>, tensor<2xi32>, tensor<2xi32>, tensor<2xi32>) -> tensor<?x?xf32>
        return %p : tensor<?x?xf32>""",
        "tensor<?x?xf32>",
    )
    assert f.in_avals[0].shape == (None, 4)
    want = np.pad(X.reshape(1, -1) + np.arange(3)[:, None], ((1, 0), (1, 0)), constant_values=0.5)
    np.testing.assert_allclose(f(X), want, rtol=1e-6)
    assert f(X[:2]).shape == (3, 9)
    with pytest.raises(ValueError, match=r"Argument '.*' should be float32\[\?,4\], but is float32\[3,3\]"):
        f(X[:, :3])


def test_older_operations():
    f = function(
        "%x: tensor<3x4xf32>, %y: tensor<4x2xf32>, %i: tensor<2xi32>",
        """%0 = "stablehlo.einsum"(%x, %y) <{einsum_config = "ij,jk->ik"}> : (tensor<3x4xf32>, tensor<4x2xf32>) -> tensor<3x2xf32>
        %1 = "stablehlo.dot"(%x, %y) : (tensor<3x4xf32>, tensor<4x2xf32>) -> tensor<3x2xf32>
        %2 = "stablehlo.torch_index_select"(%x, %i) <{dim = 1 : i64, batch_dims = 0 : i64}> : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<3x2xf32>
        %3 = chlo.broadcast_add %2, %0 : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
        %4 = "stablehlo.broadcast"(%3) <{broadcast_sizes = array<i64: 2>}> : (tensor<3x2xf32>) -> tensor<2x3x2xf32>
        %a = stablehlo.constant dense<3> : tensor<3x4xi32>
        %b = stablehlo.convert %x : (tensor<3x4xf32>) -> tensor<3x4xi32>
        %5 = stablehlo.power %b, %a : tensor<3x4xi32>
        return %1, %4, %5 : tensor<3x2xf32>, tensor<2x3x2xf32>, tensor<3x4xi32>""",
        "(tensor<3x2xf32>, tensor<2x3x2xf32>, tensor<3x4xi32>)",
    )
    y, i = X.T[:, :2].copy(), np.array([3, 1], np.int32)
    product, wide, power = f(3 * X, y, i)
    np.testing.assert_allclose(product, 3 * X @ y, rtol=1e-5)
    np.testing.assert_allclose(wide, np.stack([3 * X[:, i] + 3 * X @ y] * 2), rtol=1e-5)
    np.testing.assert_array_equal(power, (3 * X).astype(np.int32) ** 3)


def test_normalisation_of_batches():
    attributes = "epsilon = 1.0e-3 : f32, feature_index = 1 : i64"
    f = function(
        "%x: tensor<3x4xf32>, %s: tensor<4xf32>, %o: tensor<4xf32>, %g: tensor<3x4xf32>",
        f"""%0:3 = "stablehlo.batch_norm_training"(%x, %s, %o) <{{{attributes}}}> : (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>)
        %1:3 = "stablehlo.batch_norm_grad"(%x, %s, %0#1, %0#2, %g) <{{{attributes}}}> : (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>)
        return %0#0, %1#0, %1#1, %1#2 : tensor<3x4xf32>, tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>""",
        "(tensor<3x4xf32>, tensor<3x4xf32>, tensor<4xf32>, tensor<4xf32>)",
    )
    s, o, g = X[0] + 2, X[1], X[::-1].copy()

    def plain(x, s, o):
        return (x - x.mean(0)) / cnp.sqrt(x.var(0) + 1e-3) * s + o

    result, *grads = f(X, s, o, g)
    want, pullback = ct.vjp(plain, X, s, o)
    np.testing.assert_allclose(result, want, rtol=1e-5, atol=1e-5)
    for got, expected in zip(grads, pullback(cnp.asarray(g)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_what_is_not_known_is_named():
    text = "%0 = stablehlo.custom_call @my_kernel(%x) {api_version = 4 : i32, backend_config = {scale = 3.0 : f32}} : (tensor<2xf32>) -> tensor<2xf32>\nreturn %0 : tensor<2xf32>"
    f = function("%x: tensor<2xf32>", text, "tensor<2xf32>")
    with pytest.raises(
        export.UnsupportedOperation, match=r"'stablehlo.custom_call' @my_kernel \(operation 1 of @main"
    ):
        f(np.ones(2, np.float32))
    known = {"my_kernel": lambda x, scale: x * scale}
    f = function("%x: tensor<2xf32>", text, "tensor<2xf32>", custom_calls=known)
    assert ct.grad(lambda x: f(x).sum())(np.ones(2, np.float32)).tolist() == [3, 3]


def test_functions_names_and_wide_numbers():
    text = """func.func public @one(%a: tensor<2xi64> loc("count")) -> tensor<2xi64> { return %a : tensor<2xi64> }
    func.func private @two(%a: tensor<2xf64>) -> tensor<2xf64> {
      %0 = stablehlo.add %a, %a : tensor<2xf64>
      return %0 : tensor<2xf64> }"""
    f = export.from_stablehlo(text)
    assert (f.name, f.input_names, f.functions) == ("one", ("count",), ("one", "two"))
    result = f(np.array([1 << 40, 2]))
    assert result.dtype == np.int64 and result.tolist() == [1 << 40, 2]
    two = export.from_stablehlo(text, "two")
    assert two(np.array([1.0, 2.0])).dtype == np.float64
    with pytest.raises(ValueError, match="no function @three; it has @one, @two"):
        export.from_stablehlo(text, "three")
    with pytest.raises(TypeError, match=r"takes 1 arguments \(count: int64\[2\]\); got 2"):
        f(1, 2)


# --- several devices ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mesh():
    return Mesh(np.array(ct.devices()[:4]).reshape(2, 2), ("x", "y"))


def test_collectives_come_back(mesh):
    def body(a):
        total = lax.psum(a, "x") + lax.pmax(a, ("x", "y"))
        moved = lax.ppermute(a, "y", [(0, 1), (1, 0)])
        gathered = lax.all_gather(a, "y", axis=1, tiled=True)
        scattered = lax.psum_scatter(gathered, "y", scatter_dimension=1, tiled=True)
        crossed = lax.all_to_all(a, "x", 1, 0, tiled=True).reshape(a.shape)
        return total + moved + scattered + crossed * lax.axis_index("x") + lax.axis_index("y")

    original = ct.shard_map(body, mesh=mesh, in_specs=P("x", "y"), out_specs=P("x", "y"), check_vma=False)
    x = np.arange(32, dtype=np.float32).reshape(4, 8) / 7
    text = ct.jit(original).lower(x).as_text()
    want = ct.jit(original)(x)
    imported = export.from_stablehlo(text, mesh=mesh)
    np.testing.assert_allclose(imported(x), want, rtol=1e-6)
    np.testing.assert_allclose(export.from_stablehlo(text)(x), want, rtol=1e-6)  # on this process's devices

    def total(f):
        return lambda x: cnp.sum(cnp.sin(f(x)))

    got, wanted = ct.jit(ct.grad(total(imported)))(x), ct.jit(ct.grad(total(original)))(x)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_shardings_come_back(mesh):
    by_rows = NamedSharding(mesh, P("x", None))

    def f(x):
        return lax.with_sharding_constraint(cnp.sin(x), NamedSharding(mesh, P("x", "y"))) * 2

    lowered = ct.jit(f, in_shardings=by_rows).lower(X[:2])
    imported = export.from_stablehlo(lowered, mesh=mesh)
    assert imported.in_specs == (P("x", None),)
    result = ct.jit(imported)(X[:2])
    np.testing.assert_allclose(result, f(X[:2]), rtol=1e-6)
    assert result.sharding.is_equivalent_to(NamedSharding(mesh, P("x", "y")), 2)
    np.testing.assert_allclose(export.from_stablehlo(lowered.as_text())(X[:2]), f(X[:2]), rtol=1e-6)


def test_an_expanded_inverse_error_function_has_its_derivative():
    """chlo's erf_inv, written in StableHLO alone, ends in a choice between x * inf and polynomials."""
    x = np.array([0.1, -0.5, 0.97, 0.0], np.float32)
    expanded = export.to_portable(ct.jit(lax.erf_inv).lower(x), mixed=False)
    function = export.from_stablehlo(expanded)
    assert "chlo" not in export.to_text(expanded)
    for derivative in (ct.grad, lambda f: ct.grad(lambda x: ct.grad(f)(x).sum())):
        found = derivative(lambda x: function(x).sum())(x)
        expected = derivative(lambda x: lax.erf_inv(x).sum())(x)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(function(x), lax.erf_inv(x), rtol=1e-6)


# --- damaged modules ------------------------------------------------------------------------------


def test_damaged_modules_are_refused():
    lowered = ct.jit(lambda x: cnp.tanh(x) @ x.T).lower(X)
    text, artifact = lowered.as_text().encode(), export.to_portable(lowered)
    generator = np.random.default_rng(0)
    for round_ in range(2000):
        data = bytearray(text if round_ % 400 else artifact)
        for place in generator.integers(0, len(data), 2):
            data[place] = generator.integers(256)
        try:
            export.from_stablehlo(bytes(data[: generator.integers(len(data))] if round_ % 3 == 0 else data))
        except (ValueError, NotImplementedError):
            pass
    for other in (b"", b"\x00\x01\x02", "nothing.mlir", 3):
        with pytest.raises((ValueError, TypeError, FileNotFoundError)):
            export.from_stablehlo(other)
