"""Matrix products and convolutions against NumPy."""

import enum
import itertools
from collections import namedtuple

import ml_dtypes
import numpy as np
import pytest

from canter_mlir.driver import lower_jaxpr_to_module
from tests.mlir.harness import apply, aval, program

RNG = np.random.default_rng(2)


class Precision(enum.Enum):
    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


def dot(x, y, numbers, out, precision=None, preferred_element_type=None):
    return apply(
        "dot_general",
        x,
        y,
        out=out,
        dimension_numbers=numbers,
        precision=precision,
        preferred_element_type=preferred_element_type,
        out_sharding=None,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex64])
def test_batched_products(dtype):
    x, y = (RNG.integers(-4, 4, size=shape).astype(dtype) for shape in ((2, 3, 4), (4, 5, 2)))
    got = dot(x, y, (((2,), (0,)), ((0,), (2,))), aval(2, 3, 5, dtype=dtype))
    np.testing.assert_allclose(got, np.einsum("bik,kjb->bij", x, y), rtol=1e-6)


def test_precision_reaches_the_module():
    numbers = (((1,), (0,)), ((), ()))
    closed = program(
        "dot_general",
        [aval(2, 3), aval(3, 2)],
        aval(2, 2),
        dimension_numbers=numbers,
        precision=(Precision.HIGHEST, Precision.DEFAULT),
        preferred_element_type=None,
        out_sharding=None,
    )
    assert "precision = [HIGHEST, DEFAULT]" in str(lower_jaxpr_to_module(closed))


def test_narrow_operands_accumulate_in_the_preferred_type():
    x = RNG.normal(size=(4, 256)).astype(ml_dtypes.bfloat16)
    out = aval(4, 4)
    got = dot(x, x, (((1,), (1,)), ((), ())), out, preferred_element_type=np.dtype(np.float32))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(got, wide @ wide.T, rtol=1e-4, atol=1e-3)


def test_operands_of_two_dtypes():
    x, y = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4, 2)).astype(ml_dtypes.bfloat16)
    got = dot(x, y, (((1,), (0,)), ((), ())), aval(3, 2), preferred_element_type=np.dtype(np.float32))
    np.testing.assert_allclose(got, x @ y.astype(np.float32), rtol=1e-5)


DotAlgorithmPreset = enum.Enum(
    "DotAlgorithmPreset", ["DEFAULT", "F32_F32_F32", "BF16_BF16_F32_X3", "F16_F16_F16", "UNKNOWN"]
)


@pytest.mark.parametrize("preset", ["DEFAULT", "F32_F32_F32", "F16_F16_F16"])
def test_algorithm_presets(preset):
    x = RNG.normal(size=(3, 3)).astype(np.float32)
    got = dot(x, x, (((1,), (0,)), ((), ())), aval(3, 3), precision=DotAlgorithmPreset[preset])
    np.testing.assert_allclose(
        got, x @ x, rtol=2e-2 if "16" in preset else 1e-5, atol=2e-2 if "16" in preset else 0
    )


def test_algorithms_in_the_module():
    params = {
        "dimension_numbers": (((1,), (0,)), ((), ())),
        "preferred_element_type": None,
        "out_sharding": None,
    }
    shapes = [aval(2, 2), aval(2, 2)]
    split = program(
        "dot_general", shapes, aval(2, 2), precision=DotAlgorithmPreset.BF16_BF16_F32_X3, **params
    )
    assert "num_primitive_operations = 3" in str(lower_jaxpr_to_module(split))
    unknown = program("dot_general", shapes, aval(2, 2), precision=DotAlgorithmPreset.UNKNOWN, **params)
    with pytest.raises(NotImplementedError, match="no algorithm UNKNOWN"):
        lower_jaxpr_to_module(unknown)


# Convolutions

Numbers = namedtuple("Numbers", ["lhs_spec", "rhs_spec", "out_spec"])


def convolve(lhs, rhs, strides, padding, lhs_dilation, rhs_dilation, groups=1, batch_groups=1):
    """The definition, for one spatial dimension: lhs is (batch, features, n), rhs (out, in, m)."""
    batch, features, n = lhs.shape
    wide = np.zeros((batch, features, (n - 1) * lhs_dilation + 1), lhs.dtype)
    wide[..., ::lhs_dilation] = lhs
    wide = np.pad(wide, ((0, 0), (0, 0), padding))
    outs, ins, m = rhs.shape
    kernel = np.zeros((outs, ins, (m - 1) * rhs_dilation + 1), rhs.dtype)
    kernel[..., ::rhs_dilation] = rhs
    count = (wide.shape[2] - kernel.shape[2]) // strides + 1
    result = np.zeros((batch // batch_groups, outs, count), lhs.dtype)
    for o, i in itertools.product(range(outs), range(count)):
        group = o // (outs // groups)
        rows = slice(None)
        if batch_groups > 1:
            part = o // (outs // batch_groups)
            size = batch // batch_groups
            rows = slice(part * size, (part + 1) * size)
        window = wide[rows, group * ins : (group + 1) * ins, i * strides : i * strides + kernel.shape[2]]
        result[:, o, i] = (window * kernel[o]).sum((1, 2))
    return result


@pytest.mark.parametrize(
    "strides, padding, lhs_dilation, rhs_dilation, groups, batch_groups",
    [(1, (0, 0), 1, 1, 1, 1), (2, (1, 2), 1, 2, 1, 1), (1, (2, 2), 2, 1, 2, 1), (1, (1, 0), 1, 1, 1, 2)],
)
def test_convolution(strides, padding, lhs_dilation, rhs_dilation, groups, batch_groups):
    lhs = RNG.normal(size=(4, 4, 7)).astype(np.float32)
    rhs = RNG.normal(size=(6, 4 // groups, 3)).astype(np.float32)
    expected = convolve(lhs, rhs, strides, padding, lhs_dilation, rhs_dilation, groups, batch_groups)
    got = apply(
        "conv_general_dilated",
        lhs.transpose(2, 0, 1),
        rhs,
        out=aval(*expected.transpose(1, 0, 2).shape),
        window_strides=(strides,),
        padding=(padding,),
        lhs_dilation=(lhs_dilation,),
        rhs_dilation=(rhs_dilation,),
        dimension_numbers=Numbers((1, 2, 0), (0, 1, 2), (1, 0, 2)),
        feature_group_count=groups,
        batch_group_count=batch_groups,
        precision=None,
        preferred_element_type=None,
        out_sharding=None,
    )
    np.testing.assert_allclose(got, expected.transpose(1, 0, 2), rtol=1e-4, atol=1e-5)


def test_complex_convolution():
    lhs, rhs = (
        (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(np.complex64)
        for shape in ((1, 2, 5), (3, 2, 2))
    )
    expected = convolve(lhs, rhs, 1, (0, 0), 1, 1)
    got = apply(
        "conv_general_dilated",
        lhs,
        rhs,
        out=aval(*expected.shape, dtype=np.complex64),
        window_strides=(1,),
        padding=((0, 0),),
        lhs_dilation=(1,),
        rhs_dilation=(1,),
        dimension_numbers=Numbers((0, 1, 2), (0, 1, 2), (0, 1, 2)),
        feature_group_count=1,
        batch_group_count=1,
        precision=None,
        preferred_element_type=None,
        out_sharding=None,
    )
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
