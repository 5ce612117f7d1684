"""Functions of functions, and index arithmetic: vectorize, apply_along_axis, unravel_index, grids."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core.trace import Tracer
from canter.lax.common import const
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from . import ufunc_bodies as bodies
from .creation import asarray
from .joining import concatenate, stack
from .ranges import arange, linspace
from .shaping import expand_dims, reshape, squeeze
from .util import broadcast_shape, canonical_axes, canonical_axis, canonical_shape, check_arraylike, shape_of

__all__ = [
    "apply_along_axis", "apply_over_axes", "c_", "ix_", "mgrid", "ogrid", "r_", "ravel_multi_index", "unravel_index",
    "vectorize",
]  # fmt: skip


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of vectors applied along an axis, as `numpy.apply_along_axis`, by `vmap`.

    Args:
      func1d: a function of a one-dimensional array.
      axis: the axis.
      arr: an array.
      *args, **kwargs: passed to the function.

    Returns:
      An array with the axis replaced by the dimensions of the function's results.

    Raises:
      ValueError: the axis is out of bounds.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.apply_along_axis(cnp.sum, 0, cnp.ones((2, 3)))
      Array([2., 2., 2.], dtype=float32)
    """
    from canter.transforms.vmap import vmap

    check_arraylike("apply_along_axis", arr)
    arr = as_array(arr)
    rank = len(shape_of(arr))
    axis = canonical_axis(axis, rank)

    def function(vector: Any) -> Any:
        return func1d(vector, *args, **kwargs)

    for i in range(1, rank - axis):
        function = vmap(function, in_axes=i, out_axes=-1)
    for _ in range(axis):
        function = vmap(function, in_axes=0, out_axes=0)
    return function(arr)


def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: Any) -> Any:
    """A reducing function applied over axes one after the other, as `numpy.apply_over_axes`.

    Args:
      func: a function of an array and an axis.
      a: an array.
      axes: the axes.

    Returns:
      An array of as many dimensions.

    Raises:
      ValueError: the function changes the number of dimensions by more than the axis.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.apply_over_axes(cnp.sum, cnp.ones((2, 3)), [0, 1])
      Array([[6.]], dtype=float32)
    """
    check_arraylike("apply_over_axes", a)
    out = as_array(a)
    rank = len(shape_of(out))
    for axis in canonical_axes(tuple(axes) if isinstance(axes, (tuple, list)) else (axes,), rank):
        found = func(out, axis)
        if len(shape_of(found)) == rank - 1:
            found = expand_dims(found, axis)
        if len(shape_of(found)) != rank:
            raise ValueError("function is not returning an array of the correct shape")
        out = found
    return out


# --- vectorize ----------------------------------------------------------------------------------

_DIMENSIONS = r"\(\s*(?:\w+(?:\s*,\s*\w+)*)?\s*\)"
_SIGNATURE = re.compile(
    rf"^\s*(?:{_DIMENSIONS}(?:\s*,\s*{_DIMENSIONS})*)?\s*->\s*{_DIMENSIONS}(?:\s*,\s*{_DIMENSIONS})*\s*$"
)
CoreDims = tuple[str, ...]


def _read_signature(signature: str) -> tuple[list[CoreDims], list[CoreDims]]:
    """The core dimensions of the arguments and of the results."""
    if not _SIGNATURE.match(signature):
        raise ValueError(f"not a valid gufunc signature: {signature!r}; an example is '(m,n),(n)->(m)'.")
    sides = []
    for side in signature.split("->"):
        groups = re.findall(_DIMENSIONS, side)
        sides.append([tuple(re.findall(r"\w+", group)) for group in groups])
    return sides[0], sides[1]


def _bind_core(shape: tuple[int, ...], dims: CoreDims, sizes: dict[str, int], what: str) -> tuple[int, ...]:
    """Checks an argument's core dimensions and returns those before them."""
    if len(shape) < len(dims):
        raise ValueError(
            f"input with shape {shape} does not have enough dimensions for all core dimensions {dims} {what}"
        )
    for name, size in zip(dims, shape[len(shape) - len(dims) :], strict=True):
        if sizes.setdefault(name, size) != size:
            raise ValueError(f"inconsistent size for core dimension {name!r}: {size} vs {sizes[name]} {what}")
    return shape[: len(shape) - len(dims)]


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Collection[int | str] = frozenset(), signature: str | None = None
) -> Callable[..., Any]:
    """A function of small arrays as one that broadcasts over all others, as `numpy.vectorize`, by `vmap`.

    Args:
      pyfunc: the function.
      excluded: positions and names of arguments that are passed as they are.
      signature: the core dimensions of arguments and results, as "(m,n),(n)->(m)"; scalars by default.

    Returns:
      A function.

    Raises:
      TypeError: excluded holds something else.
      ValueError: the signature is malformed; or, when called, dimensions do not fit it.

    Example:
      >>> import canter.numpy as cnp
      >>> f = cnp.vectorize(cnp.dot, signature="(n),(n)->()")
      >>> f(cnp.ones((2, 3)), cnp.ones(3))
      Array([3., 3.], dtype=float32)
    """
    if any(not isinstance(item, (int, str)) for item in excluded):
        raise TypeError(
            f"canter.numpy.vectorize can only exclude positions and names of arguments, got {excluded!r}."
        )
    if any(isinstance(item, int) and item < 0 for item in excluded):
        raise ValueError(f"excluded={excluded!r} contains negative numbers.")
    read = None if signature is None else _read_signature(signature)

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        mapped = [i for i in range(len(args)) if i not in excluded and args[i] is not None]
        names = [n for n in kwargs if n not in excluded]
        arrays = [args[i] for i in mapped] + [kwargs[n] for n in names]
        check_arraylike("vectorize", *arrays)
        arrays = [as_array(a) for a in arrays]

        def inner(*values: Any) -> Any:
            full, named = list(args), dict(kwargs)
            for i, value in zip(mapped, values):
                full[i] = value
            for n, value in zip(names, values[len(mapped) :]):
                named[n] = value
            return pyfunc(*full, **named)

        return _broadcast_call(
            inner, arrays, read, f"on vectorized function with {excluded=} and {signature=}"
        )

    return vectorized


def _broadcast_call(function: Callable[..., Any], arrays: list[Any], signature: Any, what: str) -> Any:
    from canter.transforms.vmap import vmap

    inputs, outputs = signature if signature is not None else ([()] * len(arrays), None)
    if len(inputs) != len(arrays):
        raise TypeError(
            f"wrong number of positional arguments: expected {len(inputs)}, got {len(arrays)} {what}"
        )
    sizes: dict[str, int] = {}
    leading = [_bind_core(shape_of(a), dims, sizes, what) for a, dims in zip(arrays, inputs, strict=True)]
    common = broadcast_shape(*leading) if leading else ()
    checked = _checked_results(function, outputs, sizes, what)
    # From the last broadcast dimension outwards, map over it where an argument has it.
    batches, squeezed = [], []
    for array, own in zip(arrays, leading, strict=True):
        thin = tuple(i for i, n in enumerate(own) if n == 1)
        squeezed.append(squeeze(array, thin) if thin else array)
        offset = len(common) - len(own)
        batches.append({offset + i for i, n in enumerate(own) if n != 1})
    for axis in reversed(range(len(common))):
        in_axes = tuple(0 if axis in batch else None for batch in batches)
        if all(a is None for a in in_axes):
            checked = _unmapped(checked, common[axis])
        else:
            checked = vmap(checked, in_axes=in_axes)
    return checked(*squeezed)


def _unmapped(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """Adds a dimension along which nothing changes."""
    from canter.core import pytree

    def widened(*args: Any) -> Any:
        def widen(x: Any) -> Any:
            x = as_array(x)
            return lax.broadcast(x, (size,))

        return pytree.tree_map(widen, function(*args))

    return widened


def _checked_results(
    function: Callable[..., Any], outputs: Any, sizes: dict[str, int], what: str
) -> Callable[..., Any]:
    if outputs is None:
        return function

    def checked(*args: Any) -> Any:
        out = function(*args)
        several = isinstance(out, tuple)
        results = out if several else (out,)
        if len(results) != len(outputs) or several != (len(outputs) > 1):
            raise TypeError(f"expected {len(outputs)} result(s), got {len(results)} {what}")
        known = dict(sizes)
        for result, dims in zip(results, outputs, strict=True):
            if len(shape_of(result)) != len(dims):
                raise ValueError(
                    f"output shape {shape_of(result)} does not match core dimensions {dims} {what}"
                )
            _bind_core(shape_of(result), dims, known, what)
        return out

    return checked


# --- index arithmetic ---------------------------------------------------------------------------


@composite(static_argnames=("shape",))
def _unravel_index(indices: Any, *, shape: tuple[int, ...]) -> tuple[Any, ...]:
    from .sorting import _unravel

    indices = as_array(indices)
    total = math.prod(shape)
    wrapped = lax.add(indices, const(indices, total))
    indices = bodies.where(lax.lt(indices, const(indices, 0)), wrapped, indices)
    indices = lax.clamp(const(indices, 0), indices, const(indices, max(total - 1, 0)))
    return tuple(_unravel(indices, shape))


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Flat indices as index arrays, as `numpy.unravel_index`; those out of bounds are moved inside.

    Args:
      indices: an array of integers.
      shape: the shape that they index.

    Returns:
      A tuple of arrays, one per dimension.

    Raises:
      TypeError: the shape is not of concrete integers.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.unravel_index(cnp.array([5]), (2, 3))
      (Array([1], dtype=int32), Array([2], dtype=int32))
    """
    check_arraylike("unravel_index", indices)
    return tuple(_unravel_index(indices, shape=canonical_shape(shape)))


def ravel_multi_index(
    multi_index: Sequence[Any],
    dims: Sequence[int],
    mode: str = "raise",
    order: str = "C",
    *,
    dtype: Any = None,
) -> Any:
    """Index arrays as flat indices, as `numpy.ravel_multi_index`.

    Args:
      multi_index: arrays of integers, one per dimension.
      dims: the shape that they index.
      mode: "raise" (concrete indices only), "clip" or "wrap".
      order: "C" or "F".
      dtype: dtype of the result.

    Returns:
      An array of integers.

    Raises:
      ValueError: an index is out of bounds in mode "raise", or an argument is unknown.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.ravel_multi_index((cnp.array([1]), cnp.array([2])), (2, 3))
      Array([5], dtype=int32)
    """
    dims = canonical_shape(dims)
    if len(multi_index) != len(dims):
        raise ValueError(f"len(multi_index)={len(multi_index)} != len(dims)={len(dims)}")
    if order not in ("C", "F"):
        raise ValueError(f"invalid order={order!r}. Expected 'C' or 'F'")
    if mode not in ("raise", "clip", "wrap"):
        raise ValueError(f"invalid mode={mode!r}. Expected 'raise', 'wrap', or 'clip'")
    arrays = [asarray(i) for i in multi_index]
    if mode == "raise":
        for i, n in zip(arrays, dims, strict=True):
            if isinstance(i, Tracer):
                raise ValueError("ravel_multi_index: traced indices need mode='clip' or mode='wrap'.")
            value = np.asarray(i)
            if value.size and (value.min() < 0 or value.max() >= n):
                raise ValueError("invalid entry in coordinates array: index out of bounds.")
    strides = np.cumprod([1, *(reversed(dims[1:]) if order == "C" else dims[:-1])])
    strides = strides[::-1] if order == "C" else strides
    out: Any = 0
    for i, n, stride in zip(arrays, dims, strides.tolist(), strict=True):
        if mode == "clip":
            i = lax.clamp(const(i, 0), i, const(i, n - 1))
        elif mode == "wrap":
            i = bodies.remainder(i, const(i, n))
        out = out + i * stride
    return out if dtype is None else out.astype(dtype)


def ix_(*args: Any) -> tuple[Any, ...]:
    """Vectors of indices as an open grid, as `numpy.ix_`.

    Args:
      *args: one-dimensional arrays of integers, or concrete masks.

    Returns:
      A tuple of arrays that broadcast together.

    Raises:
      ValueError: an argument is not one-dimensional.

    Example:
      >>> import canter.numpy as cnp
      >>> [x.shape for x in cnp.ix_(cnp.array([0, 1]), cnp.array([2]))]
      [(2, 1), (1, 1)]
    """
    out = []
    for i, arg in enumerate(args):
        arg = asarray(arg)
        if len(shape_of(arg)) != 1:
            raise ValueError(
                f"Arguments to canter.numpy.ix_ must be 1-dimensional, got shape {shape_of(arg)}."
            )
        if arg.dtype == np.bool_:
            from .sorting import nonzero

            (arg,) = nonzero(arg)
        out.append(reshape(arg, tuple(-1 if j == i else 1 for j in range(len(args)))))
    return tuple(out)


# --- grids made by indexing ---------------------------------------------------------------------


def _axis_points(part: slice) -> Any:
    """The numbers that a slice in `mgrid[...]` stands for."""
    start = 0 if part.start is None else part.start
    step = 1 if part.step is None else part.step
    if isinstance(step, complex):
        return linspace(start, part.stop, int(abs(step)))
    return arange(start, part.stop, step)


class _Grid:
    """`mgrid` and `ogrid`: indexed by slices, they give grids of coordinates."""

    def __init__(self, name: str, sparse: bool):
        self.name, self.sparse = name, sparse

    def __repr__(self) -> str:
        return f"canter.numpy.{self.name}"

    def __getitem__(self, key: Any) -> Any:
        from .ranges import meshgrid
        from .util import promote_dtypes

        if isinstance(key, slice):
            return _axis_points(key)
        points = promote_dtypes(*(_axis_points(part) for part in key))
        grids = meshgrid(*points, indexing="ij", sparse=self.sparse)
        return grids if self.sparse else stack(grids)


class _Joiner:
    """`r_` and `c_`: indexed by arrays, numbers and slices, they join them.

    A string of up to three numbers in front says along which axis, how many dimensions the parts get at least,
    and at which of these the dimensions of a part with less of them begin.
    """

    def __init__(self, name: str, axis: int, ndmin: int, begin: int):
        self.name, self.directive = name, (axis, ndmin, begin)

    def __repr__(self) -> str:
        return f"canter.numpy.{self.name}"

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        axis, ndmin, begin = self.directive
        if isinstance(parts[0], str):
            axis, ndmin, begin = self._read(parts[0])
            parts = parts[1:]
        arrays = []
        for part in parts:
            array = _axis_points(part) if isinstance(part, slice) else asarray(part)
            more = max(ndmin, 1) - len(shape_of(array))
            if more > 0:
                before = begin if begin >= 0 else begin + more + 1
                array = reshape(array, ((1,) * before + shape_of(array) + (1,) * (more - before)))
            arrays.append(array)
        return concatenate(arrays, axis)

    def _read(self, directive: str) -> tuple[int, int, int]:
        try:
            numbers = [int(word) for word in directive.split(",")]
        except ValueError:
            raise ValueError(
                f"canter.numpy.{self.name}[{directive!r}]: directives are up to three integers; there are no matrices."
            ) from None
        if len(numbers) > 3:
            raise ValueError(
                f"canter.numpy.{self.name}[{directive!r}]: a directive has up to three integers."
            )
        axis, ndmin, begin = (*numbers, *self.directive[len(numbers) :])
        return axis, ndmin, begin


mgrid, ogrid = _Grid("mgrid", False), _Grid("ogrid", True)
r_, c_ = _Joiner("r_", 0, 1, -1), _Joiner("c_", -1, 2, 0)
