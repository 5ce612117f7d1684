"""Products of matrices, convolutions, Fourier transforms, decompositions, normalisation of batches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from canter import lax
from canter_mlir.reading import Operation

from .elementwise import convert
from .evaluation import Rule, static

__all__ = ["RULES"]


def _precision(op: Operation) -> Any:
    """The precision, or the algorithm, that an operation asks for."""
    if algorithm := op.attributes.get("algorithm"):
        return _algorithm(algorithm)
    config = op.attributes.get("precision_config")
    if not config or all(each == "DEFAULT" for each in config):
        return None
    return tuple(lax.Precision[each] for each in config)


def _algorithm(text: str) -> Any:
    """A dot algorithm from the text of its attribute: the preset of that name, if there is one."""
    fields = dict(re.findall(r"(\w+) = ([^,>]+)", text))
    types = [
        fields[name].strip() for name in ("lhs_precision_type", "rhs_precision_type", "accumulation_type")
    ]
    steps = int(fields["num_primitive_operations"])
    name = "_".join(types).upper() + (f"_X{steps}" if steps > 1 else "")
    if name in lax.DotAlgorithmPreset.__members__:
        return lax.DotAlgorithmPreset[name]
    words = {"bf": "bfloat", "f": "float", "i": "int"}
    left, right, accumulation = (
        np.dtype(re.sub(r"^[a-z]+", lambda found: words[found[0]], kind)) for kind in types
    )
    left_count, right_count = int(fields["lhs_component_count"]), int(fields["rhs_component_count"])
    imprecise = fields["allow_imprecise_accumulation"].strip() == "true"
    return lax.DotAlgorithm(left, right, accumulation, left_count, right_count, steps, imprecise)


def _dot_general(run: Any, op: Operation, x: Any, y: Any) -> Any:
    numbers = op.attributes["dot_dimension_numbers"]
    sides = ("lhs", "rhs")
    contracting = tuple(numbers[f"{side}_contracting_dimensions"] for side in sides)
    batch = tuple(numbers[f"{side}_batching_dimensions"] for side in sides)
    dtype = op.results[0].type.dtype
    return lax.dot_general(x, y, (contracting, batch), _precision(op), preferred_element_type=dtype)


def _dot(run: Any, op: Operation, x: Any, y: Any) -> Any:
    contracting = ((x.ndim - 1,), (0,))
    dtype = op.results[0].type.dtype
    return lax.dot_general(x, y, (contracting, ((), ())), _precision(op), preferred_element_type=dtype)


def _einsum(run: Any, op: Operation, *operands: Any) -> Any:
    from canter.numpy import einsum

    return einsum(op.attributes["einsum_config"], *operands, preferred_element_type=op.results[0].type.dtype)


def _convolution(run: Any, op: Operation, x: Any, kernel: Any) -> Any:
    padding = op.attributes.get("padding")
    count = len(op.attributes["dimension_numbers"]["input_spatial_dimensions"])
    pairs = np.zeros((count, 2), int) if padding is None else np.reshape(padding, (-1, 2))
    return _convolve(op, x, kernel, pairs.tolist())


def _dynamic_conv(run: Any, op: Operation, x: Any, kernel: Any, padding: Any) -> Any:
    return _convolve(op, x, kernel, np.reshape(static(op, padding, "its padding"), (-1, 2)).tolist())


def _convolve(op: Operation, x: Any, kernel: Any, padding: Sequence[Any]) -> Any:
    numbers = op.attributes["dimension_numbers"]
    spatial = numbers["kernel_spatial_dimensions"]
    ones = (1,) * len(spatial)
    turned = [dim for dim, yes in zip(spatial, op.attributes.get("window_reversal") or ()) if yes]
    if turned:
        kernel = lax.rev(kernel, turned)
    return lax.conv_general_dilated(
        x,
        kernel,
        op.attributes.get("window_strides") or ones,
        [tuple(pair) for pair in padding],
        op.attributes.get("lhs_dilation") or ones,
        op.attributes.get("rhs_dilation") or ones,
        lax.ConvDimensionNumbers(
            (
                numbers["input_batch_dimension"],
                numbers["input_feature_dimension"],
                *numbers["input_spatial_dimensions"],
            ),
            (numbers["kernel_output_feature_dimension"], numbers["kernel_input_feature_dimension"], *spatial),
            (
                numbers["output_batch_dimension"],
                numbers["output_feature_dimension"],
                *numbers["output_spatial_dimensions"],
            ),
        ),
        op.attributes["feature_group_count"],
        op.attributes["batch_group_count"],
        _precision(op),
        op.results[0].type.dtype,
    )


def _fft(run: Any, op: Operation, x: Any) -> Any:
    return lax.fft(x, lax.FftType[op.attributes["fft_type"]], op.attributes["fft_length"])


def _adjoint(x: Any) -> Any:
    swapped = lax.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
    return lax.conj(swapped) if x.dtype.kind == "c" else swapped


def _cholesky(run: Any, op: Operation, x: Any) -> Any:
    """Only one triangle is read; the derivative is that of a symmetric matrix."""
    from canter.lax import linalg

    if op.attributes.get("lower", False):
        return linalg.cholesky(x, symmetrize_input=False)
    return _adjoint(linalg.cholesky(_adjoint(x), symmetrize_input=False))


def _triangular_solve(run: Any, op: Operation, a: Any, b: Any) -> Any:
    from canter.lax import linalg

    mode = op.attributes.get("transpose_a", "NO_TRANSPOSE")
    return linalg.triangular_solve(
        a,
        b,
        left_side=op.attributes["left_side"],
        lower=op.attributes["lower"],
        transpose_a=mode != "NO_TRANSPOSE",
        conjugate_a=mode == "ADJOINT",
        unit_diagonal=op.attributes["unit_diagonal"],
    )


# Normalisation over all dimensions but one: StableHLO's specification gives these formulas.


def _along(op: Operation, value: Any, like: Any) -> Any:
    return lax.broadcast_in_dim(value, like.shape, (op.attributes["feature_index"],))


def _others(op: Operation, x: Any) -> tuple[list[int], int]:
    dims = [d for d in range(x.ndim) if d != op.attributes["feature_index"]]
    return dims, int(np.prod([x.shape[d] for d in dims]))


def _mean(op: Operation, x: Any) -> Any:
    dims, count = _others(op, x)
    total = lax.reduce_sum(x, dims)
    return lax.div(total, lax.full_like(total, count))


def _inverse_deviation(op: Operation, variance: Any) -> Any:
    return lax.rsqrt(lax.add(variance, lax.full_like(variance, op.attributes["epsilon"])))


def _batch_norm_inference(
    run: Any, op: Operation, x: Any, scale: Any, offset: Any, mean: Any, variance: Any
) -> Any:
    centred = lax.sub(x, _along(op, mean, x))
    factor = lax.mul(scale, _inverse_deviation(op, variance))
    return lax.add(lax.mul(centred, _along(op, factor, x)), _along(op, offset, x))


def _batch_norm_training(run: Any, op: Operation, x: Any, scale: Any, offset: Any) -> Any:
    mean = _mean(op, x)
    centred = lax.sub(x, _along(op, mean, x))
    variance = _mean(op, lax.square(centred))
    return [_batch_norm_inference(run, op, x, scale, offset, mean, variance), mean, variance]


def _batch_norm_grad(run: Any, op: Operation, x: Any, scale: Any, mean: Any, variance: Any, grad: Any) -> Any:
    dims, count = _others(op, x)
    inverse = _inverse_deviation(op, variance)
    normal = lax.mul(lax.sub(x, _along(op, mean, x)), _along(op, inverse, x))
    grad_scale, grad_offset = lax.reduce_sum(lax.mul(grad, normal), dims), lax.reduce_sum(grad, dims)
    n = lax.full_like(grad_offset, count)
    shared = lax.add(
        _along(op, lax.div(grad_offset, n), x), lax.mul(normal, _along(op, lax.div(grad_scale, n), x))
    )
    grad_x = lax.mul(lax.sub(grad, shared), _along(op, lax.mul(scale, inverse), x))
    return [grad_x, grad_scale, grad_offset]


def _ragged_dot(run: Any, op: Operation, x: Any, y: Any, sizes: Any) -> Any:
    text = str(op.attributes["ragged_dot_dimension_numbers"])
    found = {
        name: tuple(map(int, re.findall(r"\d+", dims)))
        for name, dims in re.findall(r"(\w+) = \[([^\]]*)\]", text)
    }
    names = ("lhs_contracting", "rhs_contracting", "lhs_batching", "rhs_batching")
    dims = [found.get(f"{name}_dimensions", ()) for name in names]
    numbers = lax.RaggedDotDimensionNumbers(
        ((dims[0], dims[1]), (dims[2], dims[3])),
        found.get("lhs_ragged_dimensions", ()),
        found.get("rhs_group_dimensions", ()),
    )
    result = lax.ragged_dot_general(x, y, sizes, numbers, _precision(op))
    return convert(result, op.results[0].type.dtype)


RULES: dict[str, Rule] = {
    "stablehlo.batch_norm_grad": _batch_norm_grad,
    "stablehlo.batch_norm_inference": _batch_norm_inference,
    "stablehlo.batch_norm_training": _batch_norm_training,
    "stablehlo.cholesky": _cholesky,
    "stablehlo.convolution": _convolution,
    "stablehlo.dot": _dot,
    "stablehlo.dot_general": _dot_general,
    "stablehlo.dynamic_conv": _dynamic_conv,
    "stablehlo.einsum": _einsum,
    "stablehlo.fft": _fft,
    "stablehlo.triangular_solve": _triangular_solve,
    "stablehlo.unary_einsum": _einsum,
    "chlo.ragged_dot": _ragged_dot,
}
