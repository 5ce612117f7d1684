"""Matrix products and convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from canter.core.avals import ShapedArray

from ..mlir_door import ir, stablehlo_attributes
from ..registry import register_table
from .calls import keep_call
from .convolution_patches import as_patches, has_few_places
from .convolution_products import as_product, is_product
from .elementwise import _parts, _real_dtype, convert_dtype, reject_sharding
from .shapes import permuted

__all__: list[str] = []

# lax.DotAlgorithmPreset -> types that the operands are brought to (None: left alone), that the
# algorithm computes with and accumulates in, number of primitive products, imprecise accumulation.
_ALGORITHMS: dict[str, tuple[str | None, str, str, int, bool]] = {
    "F16_F16_F16": ("float16", "f16", "f16", 1, False),
    "F16_F16_F32": ("float16", "f16", "f32", 1, False),
    "BF16_BF16_BF16": ("bfloat16", "bf16", "bf16", 1, False),
    "BF16_BF16_F32": (None, "bf16", "f32", 1, False),
    "BF16_BF16_F32_X3": (None, "bf16", "f32", 3, False),
    "BF16_BF16_F32_X6": (None, "bf16", "f32", 6, False),
    "BF16_BF16_F32_X9": (None, "bf16", "f32", 9, False),
    "TF32_TF32_F32": ("float32", "tf32", "f32", 1, False),
    "TF32_TF32_F32_X3": ("float32", "tf32", "f32", 3, False),
    "F32_F32_F32": ("float32", "f32", "f32", 1, False),
    "F64_F64_F64": ("float64", "f64", "f64", 1, False),
}
# Products of 8-bit floats keep the operands' types: preset -> accumulation type, imprecise.
_EIGHT_BIT_ALGORITHMS: dict[str, tuple[str | None, bool]] = {
    "ANY_F8_ANY_F8_F32": ("f32", False),
    "ANY_F8_ANY_F8_F32_FAST_ACCUM": ("f32", True),
    "ANY_F8_ANY_F8_ANY": (None, False),
    "ANY_F8_ANY_F8_ANY_FAST_ACCUM": (None, True),
}


def precision_attribute(ctx: Any, precision: Any) -> Any:
    """The attribute of a pair of `lax.Precision`s (None: default)."""
    pair = precision if isinstance(precision, (tuple, list)) else (precision, precision)
    names = tuple("DEFAULT" if p is None else str(getattr(p, "name", p)).upper() for p in pair)
    get = stablehlo_attributes.PrecisionAttr.get
    return ctx.types._memo(("precision", names), lambda: ir.ArrayAttr.get([get(name) for name in names]))


def _element_type(name: str) -> Any:
    return ir.Type.parse(name)


def _dtype_named(name: str) -> np.dtype:
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


_ACCUMULATION_DTYPES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}


def _algorithm(ctx: Any, precision: Any, operands: list[Any], avals: list[Any], out: Any) -> Any:
    """The attribute of an algorithm, with operands and result dtype brought to what it takes.

    Returns:
      The attribute (None: the default algorithm), the operands, the dtype of the result.
    """
    get = stablehlo_attributes.DotAlgorithm.get
    name = getattr(precision, "name", None)
    if name is None:  # lax.DotAlgorithm: all is said
        types = [ctx.types.element(np.dtype(getattr(precision, field))) for field in _ALGORITHM_TYPES]
        counts = [int(getattr(precision, field)) for field in _ALGORITHM_COUNTS]
        attribute = get(*types, *counts, bool(precision.allow_imprecise_accumulation))
        return attribute, operands, np.dtype(precision.accumulation_type)
    if name == "DEFAULT":
        return None, operands, out.dtype
    if name in _EIGHT_BIT_ALGORITHMS:
        accumulation, imprecise = _EIGHT_BIT_ALGORITHMS[name]
        if any(aval.dtype.itemsize != 1 or not aval.dtype.name.startswith("float8") for aval in avals):
            raise TypeError(
                f"The dot algorithm {name} takes 8-bit floats, but the operands are {avals[0]} and {avals[1]}."
            )
        kinds = [ctx.types.element(aval.dtype) for aval in avals]
        dtype = out.dtype if accumulation is None else _dtype_named(_ACCUMULATION_DTYPES[accumulation])
        return get(*kinds, ctx.types.element(dtype), 1, 1, 1, imprecise), operands, dtype
    if name not in _ALGORITHMS:
        raise NotImplementedError(f"dot_general has no algorithm {name}. It has: {', '.join(_ALGORITHMS)}.")
    storage, kind, accumulation, products, imprecise = _ALGORITHMS[name]
    if storage is not None:
        target = _dtype_named(storage)
        operands = [
            convert_dtype(ctx, x, aval, aval.update(dtype=target))
            for x, aval in zip(operands, avals, strict=True)
        ]
    attribute = get(
        _element_type(kind), _element_type(kind), _element_type(accumulation), 1, 1, products, imprecise
    )
    return attribute, operands, _dtype_named(_ACCUMULATION_DTYPES[accumulation])


_ALGORITHM_TYPES = ("lhs_precision_type", "rhs_precision_type", "accumulation_type")
_ALGORITHM_COUNTS = ("lhs_component_count", "rhs_component_count", "num_primitive_operations")


def _is_algorithm(precision: Any) -> bool:
    return type(precision).__name__ in ("DotAlgorithm", "DotAlgorithmPreset")


def _same_dtype(ctx: Any, operands: list[Any], avals: list[Any], out: Any) -> tuple[list[Any], list[Any]]:
    """Operands of different dtypes are brought to that of the result; backends take few mixtures."""
    if avals[0].dtype == avals[1].dtype:
        return operands, avals
    targets = [aval.update(dtype=out.dtype) for aval in avals]
    converted = [
        convert_dtype(ctx, x, aval, target) for x, aval, target in zip(operands, avals, targets, strict=True)
    ]
    return converted, targets


def dot_attributes(ctx: Any, numbers: Any, precision: Any) -> dict[str, Any]:
    """Dimension numbers and precision; the dictionary is shared: do not change it."""
    return ctx.types._memo(
        ("dot", numbers, precision),
        lambda: {
            "dot_dimension_numbers": stablehlo_attributes.DotDimensionNumbers.get(*map(list, numbers)),
            "precision_config": precision_attribute(ctx, precision),
        },
    )


def _dot_general(
    ctx: Any,
    lhs: Any,
    rhs: Any,
    *,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    reject_sharding(ctx, out_sharding)
    (lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch) = dimension_numbers
    out = ctx.avals_out[0]
    key = tuple(map(tuple, (lhs_batch, rhs_batch, lhs_contracting, rhs_contracting)))
    dtype, operands, avals = out.dtype, [lhs, rhs], list(ctx.avals_in)
    if _is_algorithm(precision):
        algorithm, operands, dtype = _algorithm(ctx, precision, operands, avals, out)
        attributes = dict(dot_attributes(ctx, key, None))
        if algorithm is not None:
            attributes["algorithm"] = algorithm
    else:
        operands, avals = _same_dtype(ctx, operands, avals, out)
        attributes = dot_attributes(ctx, key, precision)
    product = out if dtype == out.dtype else ShapedArray(out.shape, dtype)
    result = ctx.op("stablehlo.dot_general", operands, product, attributes)
    return result if dtype == out.dtype else ctx.convert(result, out)


# Convolutions


def _convolution_attributes(
    ctx: Any,
    *,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any,
    rhs_dilation: Any,
    dimension_numbers: Any,
    feature_group_count: int,
    batch_group_count: int,
    precision: Any,
) -> dict[str, Any]:
    types = ctx.types
    (lhs_batch, lhs_feature, *lhs_spatial) = dimension_numbers.lhs_spec
    (rhs_out, rhs_in, *rhs_spatial) = dimension_numbers.rhs_spec
    (out_batch, out_feature, *out_spatial) = dimension_numbers.out_spec
    numbers = stablehlo_attributes.ConvDimensionNumbers.get(
        lhs_batch, lhs_feature, lhs_spatial, rhs_in, rhs_out, rhs_spatial, out_batch, out_feature, out_spatial
    )
    return {
        "window_strides": types.ints(window_strides),
        "padding": types.matrix(padding),
        "lhs_dilation": types.ints(lhs_dilation),
        "rhs_dilation": types.ints(rhs_dilation),
        "window_reversal": types.bools((False,) * len(window_strides)),
        "dimension_numbers": numbers,
        "feature_group_count": types.integer(feature_group_count),
        "batch_group_count": types.integer(batch_group_count),
        "precision_config": precision_attribute(ctx, precision),
    }


def _complex_convolution(ctx: Any, lhs: Any, rhs: Any, attributes: dict[str, Any]) -> Any:
    """Three real convolutions instead of four (Gauss): k1 - k3 and k1 + k2 are the parts."""
    avals, out = ctx.avals_in, ctx.avals_out[0]
    (a, b), (c, d) = _parts(ctx, lhs, avals[0]), _parts(ctx, rhs, avals[1])
    left, right, part = (ShapedArray(aval.shape, _real_dtype(aval.dtype)) for aval in (*avals, out))

    def convolve(x: Any, y: Any) -> Any:
        return ctx.op("stablehlo.convolution", (x, y), part, attributes)

    k1 = convolve(ctx.op("stablehlo.add", (a, b), left), c)
    k2 = convolve(a, ctx.op("stablehlo.subtract", (d, c), right))
    k3 = convolve(b, ctx.op("stablehlo.add", (c, d), right))
    real = ctx.op("stablehlo.subtract", (k1, k3), part)
    return ctx.op("stablehlo.complex", (real, ctx.op("stablehlo.add", (k1, k2), part)), out)


def _conv_general_dilated(
    ctx: Any,
    lhs: Any,
    rhs: Any,
    *,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
    **window: Any,
) -> Any:
    reject_sharding(ctx, out_sharding)
    for name in ("lhs_shape", "rhs_shape"):
        window.pop(name, None)
    out = ctx.avals_out[0]
    if any(type(size) is int and size == 0 for aval in ctx.avals_in for size in aval.shape):
        return ctx.full(0, out)  # of no terms; the compiler refuses windows without elements
    if out.dtype.kind == "c":
        return _complex_convolution(ctx, lhs, rhs, _convolution_attributes(ctx, **window))
    module = ctx.module_context
    on_cpu = module.chosen == "cpu" and not module.typed
    if on_cpu and module.device_places is None and has_few_places(window, ctx.avals_in, out):
        # Apart, so that what makes the operands is not computed anew for each patch, nor patches before the kernel is
        # there: they take much memory.
        return keep_call(ctx, ctx.call_rule(_by_patches, (lhs, rhs), window, differs=False))
    operands, avals = _same_dtype(ctx, [lhs, rhs], list(ctx.avals_in), out)
    if on_cpu and is_product(window, avals, out):
        return as_product(ctx, operands, avals, out, window)
    if _should_be_ordered(ctx, window, avals, out):
        return _ordered_convolution(ctx, operands, avals, out, window)
    return ctx.op("stablehlo.convolution", operands, out, _convolution_attributes(ctx, **window))


def _by_patches(ctx: Any, lhs: Any, rhs: Any, **window: Any) -> Any:
    out = ctx.avals_out[0]
    operands, avals = _same_dtype(ctx, [lhs, rhs], list(ctx.avals_in), out)
    return as_patches(ctx, operands, avals, out, window)


def _should_be_ordered(ctx: Any, window: dict[str, Any], avals: list[Any], out: Any) -> bool:
    """Whether the CPU has a fast convolution that it takes only for dimensions in one order.

    Its compiler orders those of the main program itself, but not those of loops and calls.
    """
    if ctx.module_context.chosen != "cpu" or ctx.module_context.typed or window["batch_group_count"] != 1:
        return False
    if out.dtype.name not in ("float32", "float16") or not 3 <= len(out.shape) <= 5:
        return False
    function = ir.InsertionPoint.current.block.owner
    if function.name == "func.func" and function.attributes["sym_name"].value == "main":
        return False
    return all(len(aval.shape) == len(out.shape) for aval in avals)


def _ordered_convolution(ctx: Any, operands: Any, avals: list[Any], out: Any, window: dict[str, Any]) -> Any:
    """Batch, spatial dimensions, features; kernels: spatial dimensions, features in, features out."""
    numbers = window["dimension_numbers"]
    (batch, feature, *spatial), (to, of, *window_dims) = numbers.lhs_spec, numbers.rhs_spec
    out_batch, out_feature, *out_spatial = numbers.out_spec
    last = len(spatial) + 1
    ordered = (0, last, *range(1, last))
    standard = type(numbers)(ordered, (last, last - 1, *range(last - 1)), ordered)
    lhs, _ = permuted(ctx, operands[0], avals[0], (batch, *spatial, feature))
    rhs, _ = permuted(ctx, operands[1], avals[1], (*window_dims, of, to))
    order = (out_batch, *out_spatial, out_feature)
    turned = ShapedArray(tuple(out.shape[i] for i in order), out.dtype)
    attributes = _convolution_attributes(ctx, **{**window, "dimension_numbers": standard})
    result = ctx.op("stablehlo.convolution", (lhs, rhs), turned, attributes)
    return permuted(ctx, result, turned, tuple(map(order.index, range(len(order)))))[0]


register_table({"dot_general": _dot_general, "conv_general_dilated": _conv_general_dilated})
