"""Convolutions with strides, dilations and groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.avals import ShapedArray
from ..core.primitive import Primitive
from ..core.tracing import infer_avals
from ..transforms.batching import unbatched_aval
from ..transforms.rules import defbilinear, moveaxis
from .common import laid_out, ops
from .conv_shapes import (
    ConvDimensionNumbers,
    conv_dimension_numbers,
    conv_shape_tuple,
    dilate,
    explicit_pads,
    transpose_pad,
    unpermuted,
)
from .products import canonical_element_type, canonicalize_precision, dot_general, product_dtype
from .shapes import aval_of, int_tuple, reshape, rev, shape_of, transpose

__all__ = [
    "conv",
    "conv_general_dilated",
    "conv_general_dilated_local",
    "conv_general_dilated_p",
    "conv_general_dilated_patches",
    "conv_transpose",
    "conv_with_general_padding",
]


# ----------------------------------------------------------------------------------------------
# public functions


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """Convolution (in the sense of neural networks: the kernel is not flipped) over any number of axes.

    Args:
      lhs: the input: batch, feature and spatial axes.
      rhs: the kernel: output feature, input feature and spatial axes; of the dtype of `lhs`.
      window_strides: for each spatial axis, the step of the window.
      padding: "SAME", "SAME_LOWER", "VALID", or for each spatial axis (low, high), which may be negative.
      lhs_dilation: for each spatial axis, 1 + the number of zeros between neighbours of the input.
      rhs_dilation: for each spatial axis, 1 + the number of zeros between neighbours of the kernel.
      dimension_numbers: the layouts, see `conv_dimension_numbers`; None is NCHW, OIHW, NCHW.
      feature_group_count: into how many groups the features are divided; each group of input
        features makes one group of output features.
      batch_group_count: into how many groups the batch is divided; each makes a group of output features.
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result; None is that of the operands.
      out_sharding: how the result is laid out over devices; None leaves it to the compiler.

    Returns:
      The result: batch, feature and spatial axes in the layout asked for.

    Raises:
      TypeError: ranks, dtypes or layouts do not fit.
      ValueError: sizes, groups, strides, dilations or padding do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.conv_general_dilated(cnp.ones((1, 3, 8, 8)), cnp.ones((4, 3, 3, 3)), (2, 2), "SAME").shape
      (1, 4, 4, 4)
    """
    if out_sharding is not None:
        return laid_out(
            lambda: conv_general_dilated(
                lhs,
                rhs,
                window_strides,
                padding,
                lhs_dilation,
                rhs_dilation,
                dimension_numbers,
                feature_group_count,
                batch_group_count,
                precision,
                preferred_element_type,
            ),
            out_sharding,
            "conv_general_dilated",
        )
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    spatial = len(numbers.lhs_spec) - 2
    strides = int_tuple(window_strides, "conv_general_dilated")
    lhs_dilation = _dilation(lhs_dilation, spatial)
    rhs_dilation = _dilation(rhs_dilation, spatial)
    options = {"window_strides": strides, "lhs_dilation": lhs_dilation, "rhs_dilation": rhs_dilation}
    _check_positive(spatial, options)
    if isinstance(padding, str) and any(by != 1 for by in lhs_dilation):
        raise ValueError(
            f"conv_general_dilated: padding={padding!r} has no meaning with lhs_dilation={lhs_dilation}; "
            "give (low, high) pairs, or use conv_transpose."
        )
    lhs_sizes = [shape_of(lhs)[axis] for axis in numbers.lhs_spec[2:]]
    rhs_sizes = [shape_of(rhs)[axis] for axis in numbers.rhs_spec[2:]]
    pads = explicit_pads(padding, lhs_sizes, dilate(rhs_sizes, rhs_dilation), strides)
    return conv_general_dilated_p.bind(
        lhs,
        rhs,
        window_strides=strides,
        padding=pads,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=ConvDimensionNumbers(*(int_tuple(spec, "convolution") for spec in numbers)),
        feature_group_count=int(feature_group_count),
        batch_group_count=int(batch_group_count),
        precision=canonicalize_precision(precision),
        preferred_element_type=canonical_element_type(preferred_element_type),
        out_sharding=None,
    )


def _dilation(dilation: Any, spatial: int) -> tuple[int, ...]:
    return (1,) * spatial if dilation is None else int_tuple(dilation, "conv_general_dilated")


def _check_positive(spatial: int, options: dict[str, tuple[int, ...]]) -> None:
    for name, values in options.items():
        if len(values) != spatial or any(value < 1 for value in values):
            raise ValueError(
                f"conv_general_dilated: {name} must be {spatial} positive integers, one for each spatial axis; "
                f"got {values}."
            )


def conv(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """Convolution with a named padding, in the layout NCHW, OIHW.

    Args:
      lhs: the input: batch, feature and spatial axes.
      rhs: the kernel: output feature, input feature and spatial axes.
      window_strides: for each spatial axis, the step of the window.
      padding: "SAME", "SAME_LOWER" or "VALID".
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result; None is that of the operands.

    Returns:
      The result: batch, feature and spatial axes.

    Raises:
      TypeError: ranks or dtypes do not fit.
      ValueError: sizes or strides do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.conv(cnp.ones((1, 3, 8, 8)), cnp.ones((4, 3, 3, 3)), (1, 1), "VALID").shape
      (1, 4, 6, 6)
    """
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """Convolution with any padding and dilations, in the layout NCHW, OIHW.

    Args:
      lhs: the input: batch, feature and spatial axes.
      rhs: the kernel: output feature, input feature and spatial axes.
      window_strides: for each spatial axis, the step of the window.
      padding: a name of padding, or (low, high) for each spatial axis.
      lhs_dilation: as for `conv_general_dilated`.
      rhs_dilation: as for `conv_general_dilated`.
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result; None is that of the operands.

    Returns:
      The result: batch, feature and spatial axes.

    Raises:
      TypeError: ranks or dtypes do not fit.
      ValueError: sizes, strides, dilations or padding do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> x, k = cnp.ones((1, 1, 8)), cnp.ones((1, 1, 3))
      >>> lax.conv_with_general_padding(x, k, (1,), ((1, 0),), (1,), (2,)).shape
      (1, 1, 5)
    """
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


_CHANNELS_LAST = {
    2: ("NC", "IO", "NC"),
    3: ("NHC", "HIO", "NHC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NHWDC", "HWDIO", "NHWDC"),
}


def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Any:
    """Transposed convolution, also called fractionally strided convolution or deconvolution.

    Args:
      lhs: the input: batch, feature and spatial axes.
      rhs: the kernel.
      strides: the strides of the convolution of which this is the transpose: the result is larger.
      padding: "SAME", "VALID", or (low, high) for each spatial axis.
      rhs_dilation: for each spatial axis, 1 + the number of zeros between neighbours of the kernel.
      dimension_numbers: the layouts; None is channels last, as ("NHWC", "HWIO", "NHWC").
      transpose_kernel: whether the kernel is that of the convolution of which this is the transpose,
        so that it is flipped and its feature axes are exchanged.
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result; None is that of the operands.
      use_consistent_padding: whether explicit pairs are the padding of the convolution of which this
        is the transpose, as in other frameworks; otherwise they pad the dilated input.

    Returns:
      The result: batch, feature and spatial axes in the layout asked for.

    Raises:
      TypeError: ranks, dtypes or layouts do not fit.
      ValueError: sizes or padding do not fit, or there is no default layout for the rank.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.conv_transpose(cnp.ones((1, 8, 8, 3)), cnp.ones((3, 3, 3, 4)), (2, 2), "SAME").shape
      (1, 16, 16, 4)
    """
    ndim = len(shape_of(lhs))
    if dimension_numbers is None:
        dimension_numbers = _CHANNELS_LAST.get(ndim)
        if dimension_numbers is None:
            raise ValueError(
                f"conv_transpose has no default layout for an input of {ndim} dimensions; give "
                f"dimension_numbers."
            )
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    strides = int_tuple(strides, "conv_transpose")
    rhs_dilation = _dilation(rhs_dilation, ndim - 2)
    window = dilate([shape_of(rhs)[axis] for axis in numbers.rhs_spec[2:]], rhs_dilation)
    if isinstance(padding, str):
        pairs = zip(window, strides, strict=True)
        pads: Any = tuple(transpose_pad(size, stride, padding) for size, stride in pairs)
    elif use_consistent_padding:
        pads = tuple((k - 1 - low, k - 1 - high) for k, (low, high) in zip(window, padding, strict=True))
    else:
        pads = padding
    if transpose_kernel:
        rhs = rev(rhs, tuple(sorted(numbers.rhs_spec[2:])))
        rhs = _swap_axes(rhs, numbers.rhs_spec[0], numbers.rhs_spec[1])
    return conv_general_dilated(
        lhs,
        rhs,
        (1,) * (ndim - 2),
        pads,
        lhs_dilation=strides,
        rhs_dilation=rhs_dilation,
        dimension_numbers=numbers,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def _swap_axes(x: Any, first: int, second: int) -> Any:
    order = list(range(len(shape_of(x))))
    order[first], order[second] = second, first
    return transpose(x, order)


def conv_general_dilated_patches(
    lhs: Any,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """The windows that a convolution sees, laid out along the feature axis ("im2col").

    Args:
      lhs: the input: batch, feature and spatial axes.
      filter_shape: spatial sizes of the window.
      window_strides: for each spatial axis, the step of the window.
      padding: a name of padding, or (low, high) for each spatial axis.
      lhs_dilation: as for `conv_general_dilated`.
      rhs_dilation: as for `conv_general_dilated`.
      dimension_numbers: the layouts, see `conv_dimension_numbers`.
      precision: see `canonicalize_precision`.
      preferred_element_type: dtype of the result; None is that of the input.

    Returns:
      An array whose feature axis runs over (feature, window positions), features first.

    Raises:
      TypeError: ranks or layouts do not fit.
      ValueError: sizes, strides, dilations or padding do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> lax.conv_general_dilated_patches(cnp.ones((1, 3, 8, 8)), (3, 2), (1, 1), "VALID").shape
      (1, 18, 6, 7)
    """
    shape = shape_of(lhs)
    window = int_tuple(filter_shape, "conv_general_dilated_patches")
    numbers = conv_dimension_numbers(shape, (1, 1, *window), dimension_numbers)
    features = shape[numbers.lhs_spec[1]]
    count = math.prod(window)
    dtype = aval_of(lhs).dtype
    # A kernel that picks each position of the window once, the same for each feature.
    rows, columns = (ops.broadcasted_iota(np.int32, (count, count), axis) for axis in (0, 1))
    picks = ops.convert_element_type(ops.eq(rows, columns), dtype)
    kernel = reshape(ops.broadcast(picks, (features,)), (features * count, 1, *window))
    inverse = sorted(range(len(shape)), key=numbers.rhs_spec.__getitem__)
    return conv_general_dilated(
        lhs,
        transpose(kernel, inverse),
        window_strides,
        padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=numbers,
        feature_group_count=features,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def conv_general_dilated_local(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
) -> Any:
    """Convolution with another kernel in each place ("locally connected").

    Args:
      lhs: the input: batch, feature and spatial axes.
      rhs: the kernels: output feature, (input feature times window positions), and the spatial axes
        of the result, in the layout of the kernel.
      window_strides: for each spatial axis, the step of the window.
      padding: a name of padding, or (low, high) for each spatial axis.
      filter_shape: spatial sizes of the window.
      lhs_dilation: as for `conv_general_dilated`.
      rhs_dilation: as for `conv_general_dilated`.
      dimension_numbers: the layouts, see `conv_dimension_numbers`.
      precision: see `canonicalize_precision`.

    Returns:
      The result: batch, feature and spatial axes in the layout asked for.

    Raises:
      TypeError: ranks, dtypes or layouts do not fit.
      ValueError: sizes, strides, dilations or padding do not fit.

    Example:
      >>> from canter import lax
      >>> import canter.numpy as cnp
      >>> x, k = cnp.ones((1, 3, 8)), cnp.ones((5, 6, 7))
      >>> lax.conv_general_dilated_local(x, k, (1,), "VALID", (2,)).shape
      (1, 5, 7)
    """
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    precision = canonicalize_precision(precision)
    lhs_precision = precision[0] if type(precision) is tuple else precision
    patches = conv_general_dilated_patches(
        lhs,
        filter_shape,
        window_strides,
        padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=ConvDimensionNumbers(numbers.lhs_spec, numbers.rhs_spec, numbers.lhs_spec),
        precision=lhs_precision,
    )
    lhs_spec, rhs_spec = tuple(numbers.lhs_spec), tuple(numbers.rhs_spec)
    product = dot_general(
        patches, rhs, (((lhs_spec[1],), (rhs_spec[1],)), (lhs_spec[2:], rhs_spec[2:])), precision
    )
    # Its axes: the spatial ones, batch, output feature.
    spatial = len(lhs_spec) - 2
    sources = (spatial, spatial + 1, *range(spatial))
    return transpose(product, unpermuted(sources, numbers.out_spec))


# ----------------------------------------------------------------------------------------------
# shapes


def _conv_shape_rule(
    lhs: Any,
    rhs: Any,
    *,
    window_strides: Any,
    padding: Any,
    lhs_dilation: Any,
    rhs_dilation: Any,
    dimension_numbers: ConvDimensionNumbers,
    feature_group_count: int,
    batch_group_count: int,
    preferred_element_type: Any,
    **_: Any,
) -> Any:
    where = f"; got input shape {lhs.shape}, kernel shape {rhs.shape}, {dimension_numbers}."
    if len(lhs.shape) != len(rhs.shape) or len(lhs.shape) < 2:
        raise TypeError(
            f"conv_general_dilated: input and kernel need the same number of axes, at least 2{where}"
        )
    if lhs.dtype != rhs.dtype:
        raise TypeError(
            f"lax.conv_general_dilated requires arguments to have the same dtypes, got {lhs.dtype.name}, "
            f"{rhs.dtype.name}. Convert one with lax.convert_element_type."
        )
    lhs_spec, rhs_spec, out_spec = dimension_numbers
    for name, spec in zip(("lhs_spec", "rhs_spec", "out_spec"), dimension_numbers, strict=True):
        if sorted(spec) != list(range(len(lhs.shape))):
            raise TypeError(f"conv_general_dilated: {name} must name every axis once{where}")
    left = tuple(lhs.shape[axis] for axis in lhs_spec)
    right = tuple(rhs.shape[axis] for axis in rhs_spec)
    _check_groups(left, right, feature_group_count, batch_group_count, where)
    shape = conv_shape_tuple(
        (*left[:2], *dilate(left[2:], lhs_dilation)),
        (*right[:2], *dilate(right[2:], rhs_dilation)),
        window_strides,
        padding,
        batch_group_count,
    )
    dtype = product_dtype("conv_general_dilated", lhs, rhs, preferred_element_type)
    return ShapedArray(unpermuted(shape, out_spec), dtype, lhs.weak_type and rhs.weak_type)


def _check_groups(left: Any, right: Any, feature_groups: int, batch_groups: int, where: str) -> None:
    name = "conv_general_dilated"
    if feature_groups < 1 or batch_groups < 1:
        raise ValueError(
            f"{name}: feature_group_count and batch_group_count must be positive, got {feature_groups} and "
            f"{batch_groups}."
        )
    if feature_groups > 1 and batch_groups > 1:
        raise ValueError(
            f"{name}: at most one of feature_group_count and batch_group_count may be larger than 1, got "
            f"{feature_groups} and {batch_groups}."
        )
    if left[1] % feature_groups or left[1] // feature_groups != right[1]:
        raise ValueError(
            f"{name}: the input has {left[1]} features in feature_group_count={feature_groups} groups, so "
            f"the kernel must have {left[1]}/{feature_groups} input features, not {right[1]}{where}"
        )
    if left[0] % batch_groups:
        raise ValueError(
            f"{name}: batch_group_count={batch_groups} must divide the batch size {left[0]}{where}"
        )
    if right[0] % feature_groups or right[0] % batch_groups:
        raise ValueError(
            f"{name}: the number of groups, {max(feature_groups, batch_groups)}, must divide the {right[0]} "
            f"output features of the kernel{where}"
        )


# ----------------------------------------------------------------------------------------------
# derivatives


def _spatial(x_shape: Any, spec: Any) -> tuple[int, ...]:
    return tuple(x_shape[axis] for axis in spec[2:])


def _exchanged(spec: Any) -> tuple[int, ...]:
    """A spec with its first two axes exchanged."""
    return (spec[1], spec[0], *spec[2:])


def _merge_axis(x: Any, source: int, destination: int) -> Any:
    """Makes axis `source` the slow part of axis `destination` (counted without `source`)."""
    moved = moveaxis(x, source, destination)
    shape = list(shape_of(moved))
    shape[destination : destination + 2] = [shape[destination] * shape[destination + 1]]
    return reshape(moved, tuple(shape))


def _split_axis(x: Any, axis: int, size: int) -> Any:
    """Splits an axis in two, of which the first has the given size."""
    shape = list(shape_of(x))
    shape[axis : axis + 1] = [size, shape[axis] // size]
    return reshape(x, tuple(shape))


def _cast_like(x: Any, dtype: Any) -> Any:
    return x if aval_of(x).dtype == dtype else ops.convert_element_type(x, dtype)


def _conv_transpose_lhs(ct: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
    lhs_spec, rhs_spec, out_spec = params["dimension_numbers"]
    strides, lhs_dilation, rhs_dilation = (
        params["window_strides"],
        params["lhs_dilation"],
        params["rhs_dilation"],
    )
    batch_groups = params["batch_group_count"]
    groups = max(batch_groups, params["feature_group_count"])
    lhs_shape = lhs.aval.shape
    window = dilate(_spatial(shape_of(rhs), rhs_spec), rhs_dilation)
    wanted = dilate(_spatial(lhs_shape, lhs_spec), lhs_dilation)
    given = dilate(_spatial(shape_of(ct), out_spec), strides)
    pads = []
    for k, size, out, (low, _) in zip(window, wanted, given, params["padding"], strict=True):
        before = k - 1 - low
        pads.append((before, size + k - 1 - out - before))
    if groups > 1:
        # Output features become input features, and those are what the groups divide.
        rhs = _regroup(rhs, rhs_spec[0], rhs_spec[1], groups)
    rhs = rev(rhs, rhs_spec[2:])
    params.update(
        window_strides=lhs_dilation,
        lhs_dilation=strides,
        padding=tuple(pads),
        dimension_numbers=ConvDimensionNumbers(out_spec, _exchanged(rhs_spec), lhs_spec),
        feature_group_count=groups,
        batch_group_count=1,
    )
    result = conv_general_dilated_p.bind(ct, _cast_like(rhs, aval_of(ct).dtype), **params)
    if batch_groups > 1:
        result = _regroup(result, lhs_spec[1], lhs_spec[0], batch_groups)
    return _cast_like(result, lhs.aval.dtype)


def _regroup(x: Any, source: int, destination: int, groups: int) -> Any:
    """Takes the slow part, of size `groups`, from one axis and makes it the slow part of another."""
    split = _split_axis(x, source, groups)
    # In `split` the groups are axis `source`; without them, `destination` is where it was in `x`.
    return _merge_axis(split, source, destination)


def _conv_transpose_rhs(ct: Any, lhs: Any, rhs: Any, **params: Any) -> Any:
    lhs_spec, rhs_spec, out_spec = params["dimension_numbers"]
    strides, lhs_dilation, rhs_dilation = (
        params["window_strides"],
        params["lhs_dilation"],
        params["rhs_dilation"],
    )
    window = dilate(_spatial(rhs.aval.shape, rhs_spec), rhs_dilation)
    size = dilate(_spatial(shape_of(lhs), lhs_spec), lhs_dilation)
    given = dilate(_spatial(shape_of(ct), out_spec), strides)
    pads = tuple(
        (low, k + out - n - low - 1)
        for k, n, out, (low, _) in zip(window, size, given, params["padding"], strict=True)
    )
    # The sum runs over the batch, so batch and feature exchange their parts; so do the kinds of groups.
    params.update(
        window_strides=rhs_dilation,
        rhs_dilation=strides,
        padding=pads,
        dimension_numbers=ConvDimensionNumbers(
            _exchanged(lhs_spec), _exchanged(out_spec), _exchanged(rhs_spec)
        ),
        feature_group_count=params["batch_group_count"],
        batch_group_count=params["feature_group_count"],
    )
    result = conv_general_dilated_p.bind(_cast_like(lhs, aval_of(ct).dtype), ct, **params)
    return _cast_like(result, rhs.aval.dtype)


# ----------------------------------------------------------------------------------------------
# batching


def _conv_batch(args: Any, dims: Any, **params: Any) -> tuple[Any, int]:
    lhs, rhs = args
    lhs_dim, rhs_dim = dims
    lhs_spec, rhs_spec, out_spec = params["dimension_numbers"]
    feature_groups, batch_groups = params["feature_group_count"], params["batch_group_count"]
    if any(d is not None and shape_of(x)[d] == 0 for x, d in zip(args, dims, strict=True)):
        pairs = zip(map(aval_of, args), dims, strict=True)
        elements = tuple(aval if d is None else unbatched_aval(aval, d) for aval, d in pairs)
        of_element, _ = infer_avals(conv_general_dilated_p, elements, params)
        return ops.full((0, *of_element.shape), 0, of_element.dtype), 0
    if lhs_dim is not None and rhs_dim is not None:
        # One convolution with a group for each batch element.
        size = shape_of(lhs)[lhs_dim]
        kind, axis = ("batch_group_count", 0) if batch_groups > 1 else ("feature_group_count", 1)
        params[kind] *= size
        lhs = _merge_axis(lhs, lhs_dim, lhs_spec[axis])
        rhs = _merge_axis(rhs, rhs_dim, rhs_spec[0])
        out = conv_general_dilated_p.bind(lhs, rhs, **params)
        return _split_axis(out, out_spec[1], size), out_spec[1]
    if lhs_dim is not None:
        size = shape_of(lhs)[lhs_dim]
        lhs = _merge_inside_groups(lhs, lhs_dim, lhs_spec[0], batch_groups)
        out = conv_general_dilated_p.bind(lhs, rhs, **params)
        return _split_axis(out, out_spec[0], size), out_spec[0]
    size = shape_of(rhs)[rhs_dim]
    groups = max(feature_groups, batch_groups)
    rhs = _merge_inside_groups(rhs, rhs_dim, rhs_spec[0], groups)
    out = conv_general_dilated_p.bind(lhs, rhs, **params)
    feature = out_spec[1]
    if groups == 1:
        return _split_axis(out, feature, size), feature
    # The feature axis is (groups, batch, features of a group): take the batch out of the middle.
    out = _split_axis(_split_axis(out, feature, groups), feature + 1, size)
    return _merge_axis(out, feature, feature + 1), feature


def _merge_inside_groups(x: Any, source: int, destination: int, groups: int) -> Any:
    """Merges a batch axis into an axis that is divided into groups, as the slow part in each group."""
    if groups == 1:
        return _merge_axis(x, source, destination)
    moved = moveaxis(x, source, destination)  # (..., batch, groups * rest, ...)
    split = moveaxis(_split_axis(moved, destination + 1, groups), destination + 1, destination)
    shape = list(shape_of(split))
    shape[destination : destination + 3] = [math.prod(shape[destination : destination + 3])]
    return reshape(split, tuple(shape))


conv_general_dilated_p = Primitive("conv_general_dilated")
conv_general_dilated_p.def_abstract_eval(_conv_shape_rule)
conv_general_dilated_p.def_batching(_conv_batch)
defbilinear(conv_general_dilated_p, _conv_transpose_lhs, _conv_transpose_rhs)
