"""Products of block-scaled numbers: a few bits for each number, and a scale for each block of them.

The formats are those of the OCP Microscaling specification (mxfp8) and of NVIDIA's nvfp4. Here they are
computed as they are defined: numbers times scales, multiplied and added in float32.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import ml_dtypes
import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.lax.products import dot_general
from canter.numpy.util import check_arraylike, dtype_of, shape_of
from canter.transforms.custom_rules import custom_vjp

__all__ = ["BlockScaleConfig", "get_scaled_dot_general_config", "scaled_dot_general", "scaled_matmul"]


@dataclasses.dataclass
class BlockScaleConfig:
    """How an operand of `scaled_dot_general` is quantized.

    Attributes:
      mode: "nvfp4" or "mxfp8".
      block_size: how many numbers have a scale in common.
      data_type: of the numbers.
      scale_type: of the scales.
      global_scale: (1,): what all scales are multiplied by, for nvfp4.
      infer_only: whether it is for inference only.
    """

    mode: str
    block_size: int
    data_type: Any
    scale_type: Any
    global_scale: Any
    infer_only: bool = False


def get_scaled_dot_general_config(mode: str, global_scale: Any = None) -> BlockScaleConfig:
    """How an operand of `scaled_dot_general` is quantized, by the format's name.

    Args:
      mode: "mxfp8": float8_e4m3fn in blocks of 32, whose scales are powers of two; or "nvfp4": float4_e2m1fn in
        blocks of 16, whose scales are float8_e4m3fn.
      global_scale: (1,) float32, for nvfp4: by default 1.

    Raises:
      ValueError: there is no such format.

    Example:
      >>> import canter as ct
      >>> ct.nn.get_scaled_dot_general_config("mxfp8").block_size
      32
    """
    if mode == "nvfp4":
        scale = cnp.ones((1,), np.float32) if global_scale is None else global_scale
        return BlockScaleConfig(mode, 16, ml_dtypes.float4_e2m1fn, ml_dtypes.float8_e4m3fn, scale)
    if mode == "mxfp8":
        return BlockScaleConfig(mode, 32, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e8m0fnu, None)
    raise ValueError(f"nn.get_scaled_dot_general_config: unsupported mode {mode!r}; use 'nvfp4' or 'mxfp8'.")


def scaled_matmul(
    lhs: Any, rhs: Any, lhs_scales: Any, rhs_scales: Any, preferred_element_type: Any = np.float32
) -> Any:
    """The product of two batches of block-scaled matrices, along the last dimension of both.

    Args:
      lhs: (B, M, K).
      rhs: (B, N, K).
      lhs_scales: (B, M, K / size of a block).
      rhs_scales: (B, N, K / size of a block).
      preferred_element_type: of the result.

    Returns:
      An array (B, M, N).

    Raises:
      ValueError: the shapes do not fit.

    Source: OCP Microscaling Formats (MX) Specification 1.0, 2023.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> a, scale = cnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3), cnp.array([0.5]).reshape(1, 1, 1)
      >>> print(ct.nn.scaled_matmul(a, a, scale, scale))
      [[[3.5]]]
    """
    check_arraylike("scaled_matmul", lhs, rhs, lhs_scales, rhs_scales)
    shapes = [shape_of(x) for x in (lhs, rhs, lhs_scales, rhs_scales)]
    if any(len(s) != 3 for s in shapes):
        raise ValueError(
            f"scaled_matmul requires all inputs to be 3-dimensional arrays, got shapes {shapes}."
        )
    one, other, one_scales, other_scales = shapes
    if one[0] != other[0] or one[2] != other[2]:
        raise ValueError(
            f"scaled_matmul requires inputs to have matching batch (B) and contract (K) dimensions, but got shapes "
            f"{one} and {other}."
        )
    if one_scales[0] != other_scales[0] or one_scales[2] != other_scales[2]:
        raise ValueError(
            "scaled_matmul requires scales to have matching batch (B) and contract (K) dimensions, but got shapes "
            f"{one_scales} and {other_scales}."
        )
    for operand, scales in ((one, one_scales), (other, other_scales)):
        if scales[:2] != operand[:2] or not scales[2] or operand[2] % scales[2]:
            raise ValueError(
                f"scaled_matmul requires scales of shape (B, M, K / block) for an operand (B, M, K), but got {scales} "
                f"for {operand}."
            )
    values = _dequantized(lhs, lhs_scales), _dequantized(rhs, rhs_scales)
    product = dot_general(*values, (((2,), (2,)), ((0,), (0,))), precision=lax.Precision.HIGHEST)
    return product.astype(preferred_element_type)


def _dequantized(x: Any, scales: Any) -> Any:
    x, scales = cnp.asarray(x).astype(np.float32), cnp.asarray(scales).astype(np.float32)
    return x * cnp.repeat(scales, x.shape[-1] // scales.shape[-1], axis=-1)


def _quantized(x: Any, config: BlockScaleConfig) -> tuple[Any, Any]:
    """Numbers and scales for blocks along the last dimension of a (B, M, K)."""
    batch, rows, size = shape_of(x)
    if size % config.block_size:
        raise ValueError(
            f"scaled_dot_general: {config.mode} has blocks of {config.block_size} numbers, which do not fill the "
            f"{size} of a contracted dimension. Pad it with zeros."
        )
    blocks = x.astype(np.float32).reshape(batch, rows, size // config.block_size, config.block_size)
    most = float(dtypes.finfo(config.data_type).max)
    needed = cnp.max(cnp.abs(blocks), axis=-1) / most
    if config.mode == "mxfp8":
        # The next power of two: no number is beyond the format's range.
        fraction, exponent = cnp.frexp(needed)
        exponent = cnp.where(fraction == 0.5, exponent - 1, exponent)
        scales = cnp.ldexp(cnp.ones_like(needed), cnp.clip(exponent, -126, 127))
        full = scales
    else:
        limits = dtypes.finfo(config.scale_type)
        scales = cnp.clip(needed / config.global_scale, 0, float(limits.max))
        scales = scales.astype(config.scale_type)
        full = scales.astype(np.float32) * config.global_scale
    divisor = cnp.where(full == 0, 1, full)
    numbers = cnp.clip(blocks / divisor[..., None], -most, most).reshape(batch, rows, size)
    return numbers.astype(config.data_type), scales.astype(config.scale_type)


def _product(lhs: Any, rhs: Any, one: BlockScaleConfig, other: BlockScaleConfig) -> Any:
    """(B, M, K) times (B, N, K), quantized along K."""
    (a, a_scales), (b, b_scales) = _quantized(lhs, one), _quantized(rhs, other)
    product = scaled_matmul(a, b, a_scales, b_scales)
    for config in (one, other):
        if config.global_scale is not None:
            product = product * config.global_scale
    return product


def _quantized_product(configs: list[BlockScaleConfig]) -> Any:
    """The product of (B, M, K) and (B, N, K), whose derivatives are quantized products too."""
    lhs_config, rhs_config, gradient_config = configs

    @custom_vjp
    def product(lhs: Any, rhs: Any) -> Any:
        return _product(lhs, rhs, lhs_config, rhs_config)

    def forward(lhs: Any, rhs: Any) -> Any:
        return product(lhs, rhs), (lhs, rhs)

    def backward(operands: Any, gradient: Any) -> Any:
        lhs, rhs = operands
        turned = cnp.swapaxes(gradient, 1, 2)
        by_lhs = _product(gradient, cnp.swapaxes(rhs, 1, 2), gradient_config, rhs_config)
        by_rhs = _product(turned, cnp.swapaxes(lhs, 1, 2), gradient_config, lhs_config)
        return by_lhs.astype(dtype_of(lhs)), by_rhs.astype(dtype_of(rhs))

    product.defvjp(forward, backward)
    return product


def scaled_dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: Any,
    preferred_element_type: Any = np.float32,
    configs: list[BlockScaleConfig] | None = None,
    implementation: str | None = None,
) -> Any:
    """`lax.dot_general` of operands that are quantized in blocks first; its derivatives are so as well.

    Args:
      lhs: array.
      rhs: array.
      dimension_numbers: as for `lax.dot_general`. The contracted dimensions together are a multiple of the block
        size; for derivatives the free ones of each operand too.
      preferred_element_type: of the result: float32, bfloat16 or float16.
      configs: three of `get_scaled_dot_general_config`: for lhs, for rhs, for gradients. None quantizes nothing.
      implementation: without effect; JAX has it for older programs.

    Returns:
      An array of the batch dimensions, then the free ones of lhs, then those of rhs.

    Raises:
      TypeError: another element type is preferred.
      ValueError: blocks do not fill a dimension, or there are not three configs.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> x = cnp.ones((1, 2, 32))
      >>> configs = [ct.nn.get_scaled_dot_general_config("mxfp8")] * 3
      >>> print(ct.nn.scaled_dot_general(x, x, (((2,), (2,)), ((0,), (0,))), configs=configs)[0, 0])
      [32. 32.]
    """
    check_arraylike("scaled_dot_general", lhs, rhs)
    lhs, rhs = cnp.asarray(lhs), cnp.asarray(rhs)
    wanted = np.dtype(preferred_element_type)
    if configs is None:
        return dot_general(lhs, rhs, dimension_numbers, preferred_element_type=wanted)
    if wanted not in (np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)):
        raise TypeError(
            f"scaled_dot_general: preferred_element_type must be float32, bfloat16 or float16, got {wanted}."
        )
    if len(configs) != 3:
        raise ValueError(
            f"scaled_dot_general: configs must be three, for lhs, rhs and gradients; got {len(configs)}."
        )
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = (
        tuple(map(tuple, pair)) for pair in dimension_numbers
    )
    one, lhs_free = _as_matrices(lhs, lhs_contract, lhs_batch)
    other, rhs_free = _as_matrices(rhs, rhs_contract, rhs_batch)
    product = _quantized_product(configs)(one, other)
    shape = (*(lhs.shape[d] for d in lhs_batch), *lhs_free, *rhs_free)
    return product.reshape(shape).astype(wanted)


def _as_matrices(x: Any, contract: tuple[int, ...], batch: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """An operand as (B, M, K), and the sizes of its free dimensions."""
    free = tuple(d for d in range(x.ndim) if d not in contract and d not in batch)
    sizes = [math.prod(x.shape[d] for d in dims) for dims in (batch, free, contract)]
    return x.transpose(*batch, *free, *contract).reshape(sizes), tuple(x.shape[d] for d in free)
