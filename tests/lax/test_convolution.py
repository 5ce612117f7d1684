"""Convolutions: values against loops, derivatives, batching, layouts, padding, errors."""

import numpy as np
import pytest
import scipy.signal

import canter as ct
from canter import lax

from .rule_checks import Case, rule_tests


def floats(*shapes):
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


def spread(x, by):
    """Zeros between neighbours along the spatial axes."""
    for axis, step in enumerate(by, 2):
        if x.shape[axis] > 1:
            shape = list(x.shape)
            shape[axis] = (shape[axis] - 1) * step + 1
            wide = np.zeros(shape, x.dtype)
            wide[(slice(None),) * axis + (slice(None, None, step),)] = x
            x = wide
    return x


def pad(x, pads):
    pads = [(0, 0), (0, 0), *pads]
    x = np.pad(x, [(max(low, 0), max(high, 0)) for low, high in pads])
    return x[
        tuple(slice(max(-low, 0), n - max(-high, 0)) for (low, high), n in zip(pads, x.shape, strict=True))
    ]


def np_conv(x, k, strides, pads, lhs_dilation=None, rhs_dilation=None, groups=1, batch_groups=1):
    """NCHW convolution: window by window."""
    ndim = x.ndim - 2
    x = pad(spread(x, lhs_dilation or (1,) * ndim), pads)
    k = spread(k, rhs_dilation or (1,) * ndim)
    if batch_groups > 1:
        parts = zip(np.split(x, batch_groups), np.split(k, batch_groups), strict=True)
        return np.concatenate([np_conv(a, b, strides, ((0, 0),) * ndim) for a, b in parts], 1)
    if groups > 1:
        parts = zip(np.split(x, groups, 1), np.split(k, groups), strict=True)
        return np.concatenate([np_conv(a, b, strides, ((0, 0),) * ndim) for a, b in parts], 1)
    sizes = [max((n - w) // s + 1, 0) for n, w, s in zip(x.shape[2:], k.shape[2:], strides, strict=True)]
    out = np.zeros((x.shape[0], k.shape[0], *sizes), x.dtype)
    for place in np.ndindex(*sizes):
        box = tuple(slice(i * s, i * s + w) for i, s, w in zip(place, strides, k.shape[2:], strict=True))
        window = x[(slice(None), slice(None), *box)].reshape(x.shape[0], -1)
        out[(slice(None), slice(None), *place)] = window @ k.reshape(k.shape[0], -1).T
    return out


def conv_case(name, x, k, strides, pads, lhs_dilation=None, rhs_dilation=None, groups=1, batch_groups=1):
    return Case(
        name,
        lambda a, b: lax.conv_general_dilated(
            a, b, strides, pads, lhs_dilation, rhs_dilation, None, groups, batch_groups
        ),
        floats(x, k),
        lambda a, b: np_conv(a, b, strides, pads, lhs_dilation, rhs_dilation, groups, batch_groups),
    )


NO_PADS = ((0, 0), (0, 0))
CASES = [
    conv_case("plain", (2, 3, 5, 4), (4, 3, 2, 3), (1, 1), NO_PADS),
    conv_case("one axis", (2, 3, 6), (4, 3, 2), (2,), ((1, 0),)),
    conv_case("no axis", (2, 3), (4, 3), (), ()),
    conv_case("strides, pads", (1, 2, 6, 5), (2, 2, 3, 2), (2, 3), ((1, 2), (0, 1))),
    conv_case("negative pads", (1, 2, 6, 5), (2, 2, 2, 2), (1, 2), ((-1, 1), (1, -2))),
    conv_case("dilations", (1, 2, 4, 5), (2, 2, 3, 2), (2, 1), ((1, 2), (0, 1)), (2, 1), (1, 2)),
    conv_case("all", (2, 2, 4, 5), (3, 2, 2, 2), (2, 3), ((2, 1), (1, 3)), (2, 3), (3, 2)),
    conv_case("groups", (1, 4, 5, 4), (6, 2, 2, 2), (1, 2), ((1, 0), (0, 0)), None, (2, 1), 2),
    conv_case("depthwise", (2, 3, 5, 4), (6, 1, 2, 2), (1, 1), NO_PADS, None, None, 3),
    conv_case("batch groups", (4, 2, 5, 4), (4, 2, 2, 2), (2, 1), ((1, 0), (0, 0)), None, (1, 2), 1, 2),
    Case(
        "layout",
        lambda x, k: lax.conv_general_dilated(
            x, k, (1, 2), "SAME", dimension_numbers=("HNWC", "WIHO", "CWNH"), feature_group_count=2
        ),
        floats((4, 2, 5, 4), (3, 2, 2, 6)),
        lambda x, k: np_conv(
            x.transpose(1, 3, 2, 0), k.transpose(3, 1, 0, 2), (1, 2), ((1, 1), (0, 0)), groups=2
        ).transpose(1, 2, 0, 3),
    ),
    Case(
        "conv",
        lambda x, k: lax.conv(x, k, (1, 1), "same"),
        floats((1, 1, 4, 5), (1, 1, 3, 3)),
        lambda x, k: scipy.signal.correlate2d(x[0, 0], k[0, 0], "same")[None, None],
    ),
    Case(
        "conv_with_general_padding",
        lambda x, k: lax.conv_with_general_padding(x, k, (1,), ((1, 0),), None, (2,)),
        floats((1, 2, 6), (2, 2, 2)),
        lambda x, k: np_conv(x, k, (1,), ((1, 0),), None, (2,)),
    ),
    Case(
        "patches",
        lambda x: lax.conv_general_dilated_patches(x, (2, 3), (1, 2), ((0, 1), (1, 0))),
        floats((2, 2, 3, 5)),
        lambda x: np_conv(
            x, np.tile(np.eye(6).reshape(6, 1, 2, 3), (2, 1, 1, 1)), (1, 2), ((0, 1), (1, 0)), groups=2
        ),
    ),
    Case(
        "local",
        lambda x, k: lax.conv_general_dilated_local(x, k, (2,), "VALID", (2,)),
        floats((2, 2, 6), (3, 4, 3)),
        lambda x, k: np.stack(
            [x[:, :, 2 * i : 2 * i + 2].reshape(2, 4) @ k[:, :, i].T for i in range(3)], -1
        ),
    ),
    Case(
        "conv_transpose",
        lambda x, k: lax.conv_transpose(x, k, (2,), ((1, 2),), dimension_numbers=("NCH", "OIH", "NCH")),
        floats((1, 2, 4), (3, 2, 3)),
        lambda x, k: np_conv(x, k, (1,), ((1, 2),), (2,)),
    ),
]


test_values, test_derivatives, test_batching = rule_tests(CASES)


@pytest.mark.parametrize(
    "window, stride, padding", [(3, 2, "SAME"), (3, 2, "VALID"), (2, 3, "VALID"), (4, 1, "SAME")]
)
def test_conv_transpose_is_the_transpose(window, stride, padding):
    """With transpose_kernel, it is the derivative of the convolution by its input."""
    rng = np.random.default_rng(0)
    layout = ("NHC", "HIO", "NHC")
    x = rng.normal(size=(1, 12, 2)).astype(np.float32)
    k = rng.normal(size=(window, 2, 3)).astype(np.float32)
    forward = lambda x: lax.conv_general_dilated(x, k, (stride,), padding, dimension_numbers=layout)
    y, pullback = ct.vjp(forward, x)
    (wanted,) = pullback(y)
    got = lax.conv_transpose(y, k, (stride,), padding, transpose_kernel=True)
    assert got.shape == lax.conv_transpose_shape_tuple(
        y.shape, np.swapaxes(k, 1, 2).shape, (stride,), padding, layout
    )
    common = min(got.shape[1], wanted.shape[1])
    np.testing.assert_allclose(
        np.asarray(got)[:, :common], np.asarray(wanted)[:, :common], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "size, window, stride, dilation, padding, consistent, pads",
    [  # as JAX 0.10.2 has them
        (8, 3, 2, 1, "SAME", False, (2, 1)),
        (8, 3, 2, 1, "VALID", False, (2, 2)),
        (8, 2, 3, 1, "SAME", False, (1, 2)),
        (8, 5, 2, 1, "SAME", False, (3, 2)),
        (8, 4, 4, 1, "VALID", False, (3, 3)),
        (8, 1, 3, 1, "VALID", False, (0, 2)),
        (7, 5, 4, 1, "SAME", False, (4, 3)),
        (8, 3, 2, 2, "SAME", False, (3, 2)),
        (8, 3, 2, 2, "VALID", True, (4, 4)),
        (8, 3, 2, 3, "SAME", True, (4, 3)),
        (8, 3, 2, 2, ((1, 2),), False, (1, 2)),
        (8, 3, 2, 2, ((1, 2),), True, (3, 2)),
    ],
)
def test_padding_of_conv_transpose(size, window, stride, dilation, padding, consistent, pads):
    x, k = np.zeros((1, size, 1), np.float32), np.zeros((window, 1, 1), np.float32)
    jaxpr = ct.make_jaxpr(
        lambda x, k: lax.conv_transpose(
            x, k, (stride,), padding, rhs_dilation=(dilation,), use_consistent_padding=consistent
        )
    )(x, k)
    assert jaxpr.eqns[-1].params["padding"] == (pads,)


def test_shapes_without_arrays():
    layout = ("NHWC", "HWIO", "NHWC")
    assert lax.padtype_to_pads((8, 8), (3, 3), (2, 2), "SAME") == [(0, 1), (0, 1)]
    assert lax.padtype_to_pads((8, 8), (3, 3), (2, 2), "SAME_LOWER") == [(1, 0), (1, 0)]
    assert lax.padtype_to_pads((8, 8), (3, 3), (2, 2), "valid") == [(0, 0), (0, 0)]
    assert lax.conv_general_permutations(layout) == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    numbers = lax.conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 4), layout)
    assert numbers == lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    assert lax.conv_general_shape_tuple((1, 8, 8, 3), (3, 3, 3, 4), (1, 1), "SAME", layout) == (1, 8, 8, 4)
    assert lax.conv_shape_tuple((1, 3, 8, 8), (4, 3, 3, 3), (2, 2), ((1, 1), (1, 1))) == (1, 4, 4, 4)
    assert lax.conv_transpose_shape_tuple((1, 8, 8, 3), (3, 3, 3, 4), (2, 2), "SAME", layout) == (
        1,
        16,
        16,
        4,
    )
    assert lax.conv(np.zeros((1, 3, 2, 2)), np.zeros((4, 3, 3, 3)), (1, 1), "VALID").shape == (1, 4, 0, 0)


def test_dtypes():
    x = lax.convert_element_type(np.ones((1, 1, 3)), "bfloat16")
    k = lax.convert_element_type(np.ones((1, 1, 2)), "bfloat16")
    total = lambda x, k: lax.reduce_sum(
        lax.conv(x, k, (1,), "VALID", preferred_element_type="float32"), (0, 1, 2)
    )
    assert total(x, k).dtype == np.float32
    assert [g.dtype.name for g in ct.grad(total, (0, 1))(x, k)] == ["bfloat16", "bfloat16"]
    ints = lax.conv(np.ones((1, 1, 3), np.int32), np.ones((1, 1, 2), np.int32), (1,), "VALID")
    np.testing.assert_array_equal(ints, [[[2, 2]]])


x, k = np.zeros((2, 3, 8, 8), np.float32), np.zeros((4, 3, 3, 3), np.float32)


def conv(x, k, *args, **options):
    return lambda: lax.conv_general_dilated(x, k, *args, **options)


ERRORS = [
    (conv(x, k[:, :2], (1, 1), "SAME"), ValueError, ["3 features", "not 2", "(2, 3, 8, 8)", "(4, 2, 3, 3)"]),
    (conv(x, k[0], (1, 1), "SAME"), TypeError, ["number of dimensions", "(3, 3, 3)"]),
    (conv(x, k.astype(int), (1, 1), "SAME"), TypeError, ["float32, int32"]),
    (conv(x, k, (1,), "SAME"), ValueError, ["window_strides", "2 positive", "(1,)"]),
    (conv(x, k, (1, 0), "SAME"), ValueError, ["window_strides", "(1, 0)"]),
    (conv(x, k, (1, 1), "SAMEX"), ValueError, ["'SAMEX'", "'VALID'"]),
    (conv(x, k, (1, 1), ((1, 1),)), ValueError, ["2 spatial axes", "((1, 1),)"]),
    (conv(x, k, (1, 1), 3), TypeError, ["padding", "3"]),
    (conv(x, k, (1, 1), "SAME", (2, 1)), ValueError, ["'SAME'", "lhs_dilation", "conv_transpose"]),
    (conv(x, k, (1, 1), "SAME", None, (0, 1)), ValueError, ["rhs_dilation"]),
    (conv(x, k, (1, 1), "SAME", feature_group_count=2), ValueError, ["feature_group_count=2"]),
    (conv(x, k, (1, 1), "SAME", batch_group_count=3), ValueError, ["batch_group_count=3"]),
    (conv(x, k, (1, 1), "SAME", feature_group_count=0), ValueError, ["positive"]),
    (conv(x, k, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHX")), TypeError, ["out_spec 'NCHX'"]),
    (conv(x, k, (1, 1), "SAME", dimension_numbers=("NCH", "OIHW", "NCHW")), TypeError, ["4 letters"]),
    (conv(x, k, (1, 1), "SAME", dimension_numbers=("NNHW", "OIHW", "NCHW")), TypeError, ["repeats"]),
    (conv(x, k, (1, 1), "SAME", dimension_numbers="NCHW"), TypeError, ["three strings"]),
    (conv(x, k, (1, 1), "SAME", out_sharding="x"), TypeError, ["sharding"]),
]


@pytest.mark.parametrize("call, error, words", ERRORS)
def test_errors(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("specs", "order"),
    [
        (("NHWC", "HWIO", "NHWC"), "nhwc,co->nhwo"),
        (("NCHW", "OIHW", "HNWC"), "nchw,oc->hnwo"),
        (("CWN", "WIO", "NCW"), "cwn,co->now"),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_kernels_of_one_element_are_products_on_the_cpu(specs, order, stride):
    sizes = {"N": 3, "C": 4, "H": 5, "W": 6, "I": 4, "O": 2}
    rng = np.random.default_rng(5)
    lhs = rng.normal(size=[sizes[c] for c in specs[0]]).astype(np.float32)
    rhs = rng.normal(size=[sizes.get(c, 1) if c in "IO" else 1 for c in specs[1]]).astype(np.float32)
    spatial = [c for c in specs[0] if c in "HW"]

    def conv(x, w):
        return lax.conv_general_dilated(x, w, (stride,) * len(spatial), "VALID", dimension_numbers=specs)

    read = lhs[tuple(slice(None, None, stride) if c in "HW" else slice(None) for c in specs[0])]
    matrix = rhs.reshape([sizes[c] for c in specs[1] if c in "IO"])
    expected = np.einsum(order, read, matrix)
    np.testing.assert_allclose(ct.jit(conv)(lhs, rhs), expected, rtol=1e-5, atol=1e-5)
    cotangent = rng.normal(size=expected.shape).astype(np.float32)
    by_kernel = ct.vjp(conv, lhs, rhs)[1](cotangent)[1]
    inputs, result = order.split("->")
    left, right = inputs.split(",")
    expected = np.einsum(f"{left},{result}->{right}", read, cotangent)
    np.testing.assert_allclose(np.asarray(by_kernel).reshape(matrix.shape), expected, rtol=1e-4, atol=1e-4)
    texts = {
        platform: ct.jit(conv).trace(lhs, rhs).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert "stablehlo.convolution" not in texts["cpu"] and "stablehlo.convolution" in texts["cuda"]


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_derivatives_of_small_kernels_are_products_on_the_cpu(size, stride):
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=(2, size, size, 3)), rng.normal(size=(1, 1, 3, 4))

    def loss(args):
        out = lax.conv_general_dilated(
            *args, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return (out**2).sum() / 2

    step = ct.jit(ct.grad(loss))
    args = x.astype(np.float32), w.astype(np.float32)
    assert "stablehlo.convolution" not in step.lower(args).as_text()
    by_input, by_kernel = step(args)
    read, out = x[:, ::stride, ::stride], x[:, ::stride, ::stride] @ w[0, 0]
    expected = np.zeros_like(x)
    expected[:, ::stride, ::stride] = out @ w[0, 0].T
    np.testing.assert_allclose(by_input, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_kernel[0, 0], np.einsum("nhwc,nhwo->co", read, out), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("specs", "window", "places", "strides", "dilation", "pads"),
    [
        (("CWN", "WIO", "NCW"), (7,), (3,), (2,), (1,), ((1, -1),)),
        (("CHWN", "IHWO", "HWNC"), (6, 5), (3, 3), (1, 1), (2, 1), ((1, 1), (1, 1))),
        (("NCHW", "OIHW", "NCHW"), (9, 9), (6, 2), (1, 2), (1, 2), ((0, 2), (-1, 0))),
        (("NHWDC", "DHWIO", "NDHWC"), (4, 3, 5), (2, 2, 3), (1, 1, 1), (1, 1, 1), ((1, 0), (0, 0), (1, 1))),
    ],
)
def test_large_kernels_that_meet_few_places_are_products_on_the_cpu(
    specs, window, places, strides, dilation, pads
):
    spatial = [c for c in "HWD" if c in specs[0]]
    sizes = [
        (n - 1) * stride + (k - 1) * apart + 1 - low - high
        for n, k, stride, apart, (low, high) in zip(places, window, strides, dilation, pads, strict=True)
    ]
    rng = np.random.default_rng(7)
    x, k = (a.astype(np.float32) for a in floats((2, 3, *sizes), (4, 3, *window))(rng))
    standard = [["NC", "OI", "NC"][i] + "".join(spatial) for i in range(3)]
    arranged = [array.transpose([standard[i].index(c) for c in specs[i]]) for i, array in enumerate((x, k))]
    # What is given per spatial dimension is in the order of the kernel's letters.
    order = [spatial.index(c) for c in specs[1] if c in spatial]

    def call(x, k):
        columns = ([column[i] for i in order] for column in (strides, pads, dilation))
        by_place = dict(zip(("window_strides", "padding", "rhs_dilation"), columns, strict=True))
        return lax.conv_general_dilated(x, k, **by_place, dimension_numbers=specs)

    lowered = {
        platform: ct.jit(call).trace(*arranged).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    assert "stablehlo.convolution" not in lowered["cpu"] and "stablehlo.convolution" in lowered["cuda"]
    expected = np_conv(x, spread(k, dilation), strides, pads)
    result = np.asarray(ct.jit(call)(*arranged)).transpose([specs[2].index(c) for c in standard[2]])
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_patches_are_gathered_for_the_derivative_by_a_kernel():
    rng = np.random.default_rng(8)
    x, k = (a.astype(np.float32) for a in floats((2, 3, 8, 8), (4, 3, 3, 3))(rng))
    loss = ct.jit(ct.grad(lambda k: (lax.conv(x, k, (1, 1), "SAME") ** 2).sum() / 2))
    text = loss.lower(k).as_text()
    assert text.count("stablehlo.convolution") == 1 and "stablehlo.dot_general" in text
    out = np_conv(x, k, (1, 1), ((1, 1), (1, 1)))
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (8, 8), (2, 3))
    expected = np.einsum("ncijhw,nohw->ocij", windows, out)
    np.testing.assert_allclose(loss(k), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_derivatives_of_convolutions_without_results_are_zero(dtype):
    x, kernel = np.ones((2, 3, 2), dtype), np.ones((4, 3, 3), dtype)
    result, pull = ct.vjp(lambda x, k: lax.conv_general_dilated(x, k, (1,), [(0, 0)]), x, kernel)
    assert result.shape == (2, 4, 0)
    for cotangent, primal in zip(pull(result), (x, kernel), strict=True):
        np.testing.assert_array_equal(cotangent, np.zeros_like(primal))
