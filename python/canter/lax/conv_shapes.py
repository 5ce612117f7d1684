"""Dimension numbers, padding and result shapes of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from canter.core.dimensions import max_dim, size_of

from .shapes import int_tuple

__all__ = [
    "ConvDimensionNumbers",
    "ConvGeneralDilatedDimensionNumbers",
    "conv_dimension_numbers",
    "conv_general_permutations",
    "conv_general_shape_tuple",
    "conv_shape_tuple",
    "conv_transpose_shape_tuple",
    "dilate",
    "padtype_to_pads",
]


class ConvDimensionNumbers(NamedTuple):
    """Which axis of a convolution's operands and result means what.

    Attributes:
      lhs_spec: axes of the input: batch, feature, then the spatial ones.
      rhs_spec: axes of the kernel: output feature, input feature, then the spatial ones.
      out_spec: axes of the result: batch, feature, then the spatial ones.

    Example:
      >>> from canter import lax
      >>> lax.conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC")).lhs_spec
      (0, 3, 1, 2)
    """

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


ConvGeneralDilatedDimensionNumbers = None | ConvDimensionNumbers | tuple[str, str, str]

# Letters of the axes that are not spatial, in the order of a spec.
_LETTERS = (("lhs_spec", "NC"), ("rhs_spec", "OI"), ("out_spec", "NC"))


def conv_dimension_numbers(lhs_shape: Any, rhs_shape: Any, dimension_numbers: Any) -> ConvDimensionNumbers:
    """The `ConvDimensionNumbers` that a `dimension_numbers` argument means.

    Args:
      lhs_shape: shape of the input.
      rhs_shape: shape of the kernel.
      dimension_numbers: None for batch, feature, spatial axes and output feature, input feature,
        spatial axes; or three strings as `("NHWC", "HWIO", "NHWC")`, with N batch, C feature, O
        output feature, I input feature, other letters spatial; or a `ConvDimensionNumbers`.

    Returns:
      A `ConvDimensionNumbers`.

    Raises:
      TypeError: ranks or letters do not fit.

    Example:
      >>> from canter import lax
      >>> lax.conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC")).rhs_spec
      (3, 2, 0, 1)
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    ndim = len(lhs_shape)
    if len(rhs_shape) != ndim:
        raise TypeError(
            f"convolution: input and kernel must have the same number of dimensions, got shapes "
            f"{tuple(lhs_shape)} and {tuple(rhs_shape)}."
        )
    if dimension_numbers is None:
        return ConvDimensionNumbers(tuple(range(ndim)), tuple(range(ndim)), tuple(range(ndim)))
    if not isinstance(dimension_numbers, (list, tuple)) or len(dimension_numbers) != 3:
        raise TypeError(
            f"convolution: dimension_numbers must be None, a ConvDimensionNumbers, or three strings as "
            f"('NHWC', 'HWIO', 'NHWC'); got {dimension_numbers!r}."
        )
    for spec in dimension_numbers:
        if not isinstance(spec, str) or len(spec) != ndim:
            raise TypeError(
                f"convolution: each of dimension_numbers={tuple(dimension_numbers)!r} must be a string of "
                f"{ndim} letters, one for each axis of the shapes {tuple(lhs_shape)} and {tuple(rhs_shape)}."
            )
    return ConvDimensionNumbers(*conv_general_permutations(dimension_numbers))


def conv_general_permutations(dimension_numbers: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For three layout strings, the positions of (batch, feature, spatial), (out, in, spatial), (batch, ...).

    Args:
      dimension_numbers: three strings, as in `conv_dimension_numbers`. The spatial axes are in the
        order in which the kernel's string has them.

    Returns:
      Three permutations.

    Raises:
      TypeError: a string repeats a letter, lacks one, or has other spatial letters than the kernel's.

    Example:
      >>> from canter import lax
      >>> lax.conv_general_permutations(("NHWC", "HWIO", "NHWC"))
      ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    """
    kernel = dimension_numbers[1]
    spatial = [letter for letter in kernel if letter not in "OI"]
    result = []
    for spec, (field, letters) in zip(dimension_numbers, _LETTERS, strict=True):
        if len(set(spec)) != len(spec):
            raise TypeError(f"convolution: {field} {spec!r} repeats a letter.")
        if sorted(spec) != sorted([*letters, *spatial]):
            raise TypeError(
                f"convolution: {field} {spec!r} must have the letters {letters[0]!r} and {letters[1]!r} and "
                f"the spatial letters of the kernel, {''.join(spatial)!r}; got {tuple(dimension_numbers)!r}."
            )
        result.append(tuple(map(spec.index, (*letters, *spatial))))
    return tuple(result)


# ----------------------------------------------------------------------------------------------
# padding


def dilate(sizes: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Sizes after `dilation - 1` holes are put between neighbours."""
    return tuple(0 if size == 0 else (size - 1) * by + 1 for size, by in zip(sizes, dilation, strict=True))


def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int], padding: Any
) -> list[tuple[int, int]]:
    """The amounts of padding that a name means.

    Args:
      in_shape: spatial sizes of the input.
      window_shape: spatial sizes of the window.
      window_strides: its steps.
      padding: "VALID" (none), "SAME" (as many results as input positions over the stride, the odd
        one of padding at the end), or "SAME_LOWER" (the odd one at the beginning), in any case.

    Returns:
      For each axis, (before, after).

    Raises:
      ValueError: the name is unknown.

    Example:
      >>> from canter import lax
      >>> lax.padtype_to_pads((8,), (3,), (2,), "SAME")
      [(0, 1)]
    """
    name = padding.upper() if isinstance(padding, str) else getattr(padding, "name", str(padding))
    if name == "VALID":
        return [(0, 0)] * len(in_shape)
    if name not in ("SAME", "SAME_LOWER"):
        raise ValueError(
            f"padding={padding!r} is unknown: use 'SAME', 'SAME_LOWER', 'VALID', or a (low, high) pair for "
            "each spatial axis."
        )
    pads = []
    for size, window, stride in zip(in_shape, window_shape, window_strides, strict=True):
        needed = max_dim((-(-size // stride) - 1) * stride + window - size, 0)
        fewer, more = needed // 2, needed - needed // 2
        pads.append((fewer, more) if name == "SAME" else (more, fewer))
    return pads


def explicit_pads(
    padding: Any, in_shape: Sequence[int], window_shape: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The amounts of padding that a `padding` argument of a convolution means."""
    if isinstance(padding, str):
        return tuple(padtype_to_pads(in_shape, window_shape, strides, padding))
    try:
        pads = tuple((size_of(low), size_of(high)) for low, high in padding)
    except (TypeError, ValueError):
        raise TypeError(
            "convolution: padding must be 'SAME', 'SAME_LOWER', 'VALID' or a sequence of (low, high) pairs, "
            f"got {padding!r}."
        ) from None
    if len(pads) != len(in_shape):
        raise ValueError(
            f"convolution: padding needs a (low, high) pair for each of the {len(in_shape)} spatial axes, "
            f"got {pads}."
        )
    return pads


# ----------------------------------------------------------------------------------------------
# result shapes


def _permuted(shape: Sequence[int], spec: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in spec)


def unpermuted(shape: Sequence[int], spec: Sequence[int]) -> tuple[int, ...]:
    """Sizes in the order of a spec, brought back to the order of the axes."""
    result = [0] * len(shape)
    for size, axis in zip(shape, spec, strict=True):
        result[axis] = size
    return tuple(result)


def conv_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    strides: Sequence[int],
    pads: Any,
    batch_group_count: int = 1,
) -> tuple[int, ...]:
    """The result shape of a convolution in the canonical layout, dilations already applied.

    Args:
      lhs_shape: (batch, feature, spatial sizes) of the input.
      rhs_shape: (output feature, input feature, spatial sizes) of the kernel.
      strides: the window's steps.
      pads: a name of padding, or a (low, high) pair for each spatial axis.
      batch_group_count: number of groups that the batch is divided into.

    Returns:
      (batch, feature, spatial sizes) of the result.

    Raises:
      ValueError: there is not a pair of padding for each spatial axis.

    Example:
      >>> from canter import lax
      >>> lax.conv_shape_tuple((1, 3, 8, 8), (4, 3, 3, 3), (2, 2), ((1, 1), (1, 1)))
      (1, 4, 4, 4)
    """
    pads = explicit_pads(pads, lhs_shape[2:], rhs_shape[2:], strides)
    spatial = []
    for size, window, stride, (low, high) in zip(lhs_shape[2:], rhs_shape[2:], strides, pads, strict=True):
        room = size + low + high - window
        spatial.append(max_dim(room // stride + 1, 0))
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *spatial)


def conv_general_shape_tuple(
    lhs_shape: Any, rhs_shape: Any, window_strides: Any, padding: Any, dimension_numbers: Any
) -> tuple[int, ...]:
    """The result shape of a convolution without dilation or groups.

    Args:
      lhs_shape: shape of the input.
      rhs_shape: shape of the kernel.
      window_strides: the window's steps.
      padding: a name of padding, or a (low, high) pair for each spatial axis.
      dimension_numbers: as for `conv_dimension_numbers`.

    Returns:
      The shape, in the layout of the result.

    Raises:
      TypeError: ranks or letters do not fit.

    Example:
      >>> from canter import lax
      >>> lax.conv_general_shape_tuple((1, 8, 8, 3), (3, 3, 3, 4), (1, 1), "SAME", ("NHWC", "HWIO", "NHWC"))
      (1, 8, 8, 4)
    """
    numbers = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    lhs, rhs = _permuted(lhs_shape, numbers.lhs_spec), _permuted(rhs_shape, numbers.rhs_spec)
    return unpermuted(conv_shape_tuple(lhs, rhs, window_strides, padding), numbers.out_spec)


def conv_transpose_shape_tuple(
    lhs_shape: Any, rhs_shape: Any, window_strides: Any, padding: Any, dimension_numbers: Any
) -> tuple[int, ...]:
    """The result shape of `conv_transpose` without dilation of the kernel.

    Args:
      lhs_shape: shape of the input.
      rhs_shape: shape of the kernel.
      window_strides: the strides of the convolution of which this is the transpose.
      padding: "SAME", "VALID", or a (low, high) pair for each spatial axis.
      dimension_numbers: as for `conv_dimension_numbers`.

    Returns:
      The shape, in the layout of the result.

    Raises:
      TypeError: ranks or letters do not fit.

    Example:
      >>> from canter import lax
      >>> lax.conv_transpose_shape_tuple((1, 8, 8, 3), (3, 3, 3, 4), (2, 2), "SAME", ("NHWC", "HWIO", "NHWC"))
      (1, 16, 16, 4)
    """
    numbers = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    lhs, rhs = _permuted(lhs_shape, numbers.lhs_spec), _permuted(rhs_shape, numbers.rhs_spec)
    strides = int_tuple(window_strides, "conv_transpose_shape_tuple")
    pads = padding
    if isinstance(padding, str):
        pairs = zip(rhs[2:], strides, strict=True)
        pads = [transpose_pad(window, stride, padding) for window, stride in pairs]
    dilated = (*lhs[:2], *dilate(lhs[2:], strides))
    return unpermuted(conv_shape_tuple(dilated, rhs, (1,) * len(strides), pads), numbers.out_spec)


def transpose_pad(window: int, stride: int, padding: str) -> tuple[int, int]:
    """Padding of the stride-dilated input with which `conv_transpose` undoes a named padding."""
    name = padding.upper()
    if name == "SAME":
        total = window + stride - 2
        low = window - 1 if stride > window - 1 else -(-total // 2)
    elif name == "VALID":
        total = window + stride - 2 + max(window - stride, 0)
        low = window - 1
    else:
        raise ValueError(f"conv_transpose: padding={padding!r} must be 'SAME', 'VALID' or (low, high) pairs.")
    return low, total - low
