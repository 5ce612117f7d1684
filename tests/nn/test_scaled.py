"""Block-scaled products against the same quantization written with NumPy."""

import ml_dtypes
import numpy as np
import pytest

import canter as ct
from canter import nn

RANDOM = np.random.default_rng(0)
LEFT = RANDOM.normal(size=(2, 32, 64)).astype(np.float32)
RIGHT = RANDOM.normal(size=(2, 64, 64)).astype(np.float32)
NUMBERS = (((2,), (2,)), ((0,), (0,)))


def quantized(x, block, data_type, power_of_two):
    blocks = x.reshape(*x.shape[:-1], -1, block)
    scale = np.abs(blocks).max(-1, keepdims=True) / float(ml_dtypes.finfo(data_type).max)
    if power_of_two:
        scale = 2 ** np.ceil(np.log2(scale))
    else:
        scale = scale.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    rounded = (blocks / scale).clip(-6 if not power_of_two else -448, 6 if not power_of_two else 448)
    return (rounded.astype(data_type).astype(np.float32) * scale).reshape(x.shape)


FORMATS = {
    "mxfp8": lambda x: quantized(x, 32, ml_dtypes.float8_e4m3fn, True),
    "nvfp4": lambda x: quantized(x, 16, ml_dtypes.float4_e2m1fn, False),
}


def test_scales_belong_to_blocks_of_the_contracted_dimension():
    scales = [np.exp2(RANDOM.integers(-3, 3, (*x.shape[:2], 4))).astype(np.float32) for x in (LEFT, RIGHT)]
    a, b = (x * np.repeat(s, 16, -1) for x, s in zip((LEFT, RIGHT), scales, strict=True))
    got = nn.scaled_matmul(LEFT, RIGHT, *scales)
    np.testing.assert_allclose(got, np.einsum("bmk,bnk->bmn", a, b), rtol=1e-4, atol=1e-3)
    assert nn.scaled_matmul(LEFT, RIGHT, *scales, preferred_element_type=np.float16).dtype == np.float16


@pytest.mark.parametrize("mode", FORMATS)
def test_products_and_gradients_are_of_quantized_operands(mode):
    configs = [nn.get_scaled_dot_general_config(mode)] * 3
    round_, weights = FORMATS[mode], RANDOM.normal(size=(2, 32, 64)).astype(np.float32)

    def product(a, b):
        return nn.scaled_dot_general(a, b, NUMBERS, configs=configs)

    expected = np.einsum("bmk,bnk->bmn", round_(LEFT), round_(RIGHT))
    np.testing.assert_allclose(product(LEFT, RIGHT), expected, rtol=1e-4, atol=1e-3)
    by_left = ct.jit(ct.grad(lambda a: (product(a, RIGHT) * weights).sum()))(LEFT)
    turned = round_(np.ascontiguousarray(RIGHT.swapaxes(1, 2)))
    np.testing.assert_allclose(
        by_left, np.einsum("bmn,bkn->bmk", round_(weights), turned), rtol=1e-4, atol=1e-3
    )


def test_mistakes():
    with pytest.raises(ValueError, match="unsupported mode"):
        nn.get_scaled_dot_general_config("fp3")
    with pytest.raises(ValueError, match="3-dimensional"):
        nn.scaled_matmul(LEFT[0], RIGHT, LEFT, RIGHT)
    with pytest.raises(ValueError, match="blocks of 32"):
        nn.scaled_dot_general(
            LEFT[..., :20], RIGHT[..., :20], NUMBERS, configs=[nn.get_scaled_dot_general_config("mxfp8")] * 3
        )
