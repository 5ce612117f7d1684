"""Products of arrays: dot, matmul, tensordot, einsum and their kin, on lax.dot_general."""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .creation import place
from .shaping import moveaxis
from .util import (
    broadcast_shape,
    canonical_axes,
    canonical_axis,
    check_arraylike,
    convert,
    promote_args,
    promote_dtypes,
    refuse_out,
    shape_of,
)

__all__ = [
    "cross", "dot", "einsum", "einsum_path", "inner", "kron", "matmul", "matvec", "outer", "tensordot", "vdot",
    "vecdot", "vecmat",
]  # fmt: skip

_STATIC = ("precision", "preferred_element_type")
_PRODUCT_DOC = """  precision: None, a `lax.Precision`, its name, or a pair of them.
  preferred_element_type: the dtype of the result and of the accumulation."""


def _operands(name: str, a: Any, b: Any, preferred: Any) -> tuple[Any, Any, Any]:
    """The operands at their common dtype, and the dtype of their product."""
    check_arraylike(name, a, b)
    a, b = promote_dtypes(a, b)
    if preferred is None:
        preferred, weak_type = dtypes.result_type(a, b, return_weak_type_flag=True)
        if weak_type:
            return a, b, None
        return a, b, preferred
    return a, b, dtypes.canonicalize_dtype(preferred)


def contract(
    a: Any,
    b: Any,
    contracting: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]],
    precision: Any,
    preferred: Any,
    dot_general: Callable[..., Any] = lax.dot_general,
) -> Any:
    """lax.dot_general on operands of one dtype."""
    numbers = (tuple(map(tuple, contracting)), tuple(map(tuple, batch)))
    return dot_general(a, b, numbers, precision=precision, preferred_element_type=preferred)


def _check_contracted(name: str, a: Any, b: Any, i: int, j: int) -> None:
    if shape_of(a)[i] != shape_of(b)[j]:
        raise TypeError(
            f"{name}: the contracted dimensions must have the same size, got {shape_of(a)[i]} (dimension {i} of "
            f"shape {shape_of(a)}) and {shape_of(b)[j]} (dimension {j} of shape {shape_of(b)}). "
            "Transpose an operand, or check which axes to contract."
        )


@composite(static_argnames=_STATIC)
def _dot(a: Any, b: Any, *, precision: Any, preferred_element_type: Any) -> Any:
    a, b, preferred = _operands("dot", a, b, preferred_element_type)
    rank_a, rank_b = len(shape_of(a)), len(shape_of(b))
    if not rank_a or not rank_b:
        out = _product(a, b)
        return out if preferred is None else convert(out, preferred)
    i, j = rank_a - 1, (0 if rank_b == 1 else rank_b - 2)
    _check_contracted("dot", a, b, i, j)
    return contract(a, b, ((i,), (j,)), ((), ()), precision, preferred)


def _product(a: Any, b: Any) -> Any:
    from .ufunc_bodies import multiply

    return multiply(a, b)


def dot(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None
) -> Any:
    """The product over the last axis of a and the last but one of b, as `numpy.dot`.

    Args:
      a, b: arrays or numbers; numbers multiply.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      TypeError: the contracted dimensions differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.dot(cnp.array([1.0, 2.0]), cnp.array([3.0, 4.0]))
      Array(11., dtype=float32)
    """
    out = _dot(a, b, precision=precision, preferred_element_type=preferred_element_type)
    return place(out, None, out_sharding)


def matmul_body(a: Any, b: Any, precision: Any = None, preferred: Any = None) -> Any:
    """The body of matmul, for operators and other functions."""
    a, b, preferred = _operands("matmul", a, b, preferred)
    shape_a, shape_b = shape_of(a), shape_of(b)
    for position, shape in enumerate((shape_a, shape_b)):
        if not shape:
            raise ValueError(
                f"matmul input operand {position} must have ndim at least 1, but it has ndim 0. "
                "Multiply by numbers with *."
            )
    rank_a, rank_b = len(shape_a), len(shape_b)
    j = 0 if rank_b == 1 else rank_b - 2
    _check_contracted("matmul", a, b, rank_a - 1, j)
    if rank_b <= 2 or (rank_a <= 2 and rank_b <= 2):
        return contract(a, b, ((rank_a - 1,), (j,)), ((), ()), precision, preferred)
    return _batched_matmul(a, b, precision, preferred)


def _batched_matmul(a: Any, b: Any, precision: Any, preferred: Any) -> Any:
    """matmul where b has batch dimensions: those of size 1 in one operand are free in the other."""
    shape_a, shape_b = shape_of(a), shape_of(b)
    batch_a, batch_b = shape_a[:-2], shape_b[:-2]
    row = len(shape_a) > 1
    try:
        common = broadcast_shape(batch_a, batch_b)
    except ValueError:
        raise TypeError(
            f"matmul: the leading dimensions must broadcast together, got shapes {shape_a} and {shape_b}."
        ) from None
    count = len(common)
    names_a = list(range(count - len(batch_a), count))
    names_b = list(range(count - len(batch_b), count))
    size_a, size_b = dict(zip(names_a, batch_a, strict=True)), dict(zip(names_b, batch_b, strict=True))
    drop_a = [i for i, n in enumerate(names_a) if size_a[n] == 1 and n in size_b and size_b[n] != 1]
    drop_b = [i for i, n in enumerate(names_b) if size_b[n] == 1 and n in size_a and n not in _at(names_a, drop_a)]
    a, b = lax.squeeze(a, tuple(drop_a)), lax.squeeze(b, tuple(drop_b))
    names_a = [n for i, n in enumerate(names_a) if i not in drop_a] + ([-2] if row else []) + [-3]
    names_b = [n for i, n in enumerate(names_b) if i not in drop_b] + [-3, -1]
    shared = [n for n in names_a if n in names_b and n >= 0]
    out = contract(
        a,
        b,
        ((names_a.index(-3),), (names_b.index(-3),)),
        (tuple(map(names_a.index, shared)), tuple(map(names_b.index, shared))),
        precision,
        preferred,
    )
    names = shared + [n for n in (*names_a, *names_b) if n not in shared and n != -3]
    wanted = [*range(count), *([-2] if row else []), -1]
    return _reordered(out, names, wanted)


def _at(items: Sequence[int], positions: Sequence[int]) -> list[int]:
    return [items[i] for i in positions]


def _reordered(x: Any, names: Sequence[Any], wanted: Sequence[Any]) -> Any:
    """x with its axes, called `names`, in the wanted order."""
    permutation = tuple(names.index(n) for n in wanted)
    return x if permutation == tuple(range(len(permutation))) else lax.transpose(x, permutation)


@composite(static_argnames=_STATIC)
def _matmul(a: Any, b: Any, *, precision: Any, preferred_element_type: Any) -> Any:
    return matmul_body(a, b, precision, preferred_element_type)


def matmul(
    a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None
) -> Any:
    """The matrix product, over stacks of matrices, as `numpy.matmul`.

    Args:
      a: an array of shape (..., n, k) or (k,).
      b: an array of shape (..., k, m) or (k,).
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.
      out_sharding: a sharding to put the result on.

    Returns:
      An array of shape (..., n, m), less the dimensions that vectors lack.

    Raises:
      TypeError: the shapes do not go together.
      ValueError: an operand is a number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.matmul(cnp.array([[1.0, 2.0]]), cnp.array([[3.0], [4.0]]))
      Array([[11.]], dtype=float32)
    """
    out = _matmul(a, b, precision=precision, preferred_element_type=preferred_element_type)
    return place(out, None, out_sharding)


@composite(static_argnames=("axes", *_STATIC))
def _tensordot(a: Any, b: Any, *, axes: Any, precision: Any, preferred_element_type: Any) -> Any:
    a, b, preferred = _operands("tensordot", a, b, preferred_element_type)
    for i, j in zip(*axes, strict=True):
        _check_contracted("tensordot", a, b, i, j)
    return contract(a, b, axes, ((), ()), precision, preferred)


def _tensordot_axes(rank_a: int, rank_b: int, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    try:
        count = operator.index(axes)
    except TypeError:
        if not isinstance(axes, (tuple, list)) or len(axes) != 2:
            raise TypeError(f"tensordot axes must be an int or a pair of axes, got {axes!r}.") from None
        pair = [canonical_axes(tuple(ax) if isinstance(ax, (tuple, list)) else (ax,), n)
                for ax, n in zip(axes, (rank_a, rank_b), strict=True)]  # fmt: skip
        if len(pair[0]) != len(pair[1]):
            raise TypeError(f"tensordot requires axes lists to have equal length, got {axes[0]} and {axes[1]}.") from None
        return pair[0], pair[1]
    if count < 0 or count > rank_a or count > rank_b:
        raise TypeError(f"Number of tensordot axes ({count}) exceeds input ranks ({rank_a} and {rank_b}).")
    return tuple(range(rank_a - count, rank_a)), tuple(range(count))


def tensordot(
    a: Any,
    b: Any,
    axes: Any = 2,
    *,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product summed over chosen axes, as `numpy.tensordot`.

    Args:
      a, b: arrays.
      axes: how many (the last of a with the first of b), or a pair of axes or sequences of axes.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.
      out_sharding: a sharding to put the result on.

    Returns:
      An array with the other axes of a, then of b.

    Raises:
      TypeError: the axes or their sizes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.tensordot(cnp.ones((2, 3)), cnp.ones((3, 4)), 1).shape
      (2, 4)
    """
    check_arraylike("tensordot", a, b)
    axes = _tensordot_axes(len(shape_of(a)), len(shape_of(b)), axes)
    out = _tensordot(a, b, axes=axes, precision=precision, preferred_element_type=preferred_element_type)
    return place(out, None, out_sharding)


@composite(static_argnames=_STATIC)
def inner(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product summed over the last axes, as `numpy.inner`.

    Args:
      a, b: arrays or numbers.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.

    Returns:
      An array with the other axes of a, then of b.

    Raises:
      TypeError: the last dimensions differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.inner(cnp.array([1, 2]), cnp.array([3, 4]))
      Array(11, dtype=int32)
    """
    a, b, preferred = _operands("inner", a, b, preferred_element_type)
    rank_a, rank_b = len(shape_of(a)), len(shape_of(b))
    if not rank_a or not rank_b:
        return _product(a, b)
    _check_contracted("inner", a, b, rank_a - 1, rank_b - 1)
    return contract(a, b, ((rank_a - 1,), (rank_b - 1,)), ((), ()), precision, preferred)


@composite(static_argnames=_STATIC)
def vdot(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of all elements summed, a conjugated, as `numpy.vdot`.

    Args:
      a, b: arrays of one size.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.

    Returns:
      An array without dimensions.

    Raises:
      TypeError: the sizes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vdot(cnp.array([1, 2]), cnp.array([3, 4]))
      Array(11, dtype=int32)
    """
    a, b, preferred = _operands("vdot", a, b, preferred_element_type)
    a, b = (lax.reshape(as_array(x), (math.prod(shape_of(x)),)) for x in (a, b))
    _check_contracted("vdot", a, b, 0, 0)
    return contract(_conjugated(a), b, ((0,), (0,)), ((), ()), precision, preferred)


def _conjugated(x: Any) -> Any:
    from .ufunc_bodies import conjugate

    return conjugate(x)


@composite
def _outer(a: Any, b: Any) -> Any:
    a, b = promote_dtypes(a, b)
    m, n = (math.prod(shape_of(x)) for x in (a, b))
    a, b = lax.reshape(a, (m, 1)), lax.reshape(b, (1, n))
    return _product(a, b)


def outer(a: Any, b: Any, out: None = None) -> Any:
    """The products of each element of a with each of b, as `numpy.outer`.

    Args:
      a, b: arrays or numbers, flattened.
      out: must be None.

    Returns:
      An array of shape (a.size, b.size).

    Raises:
      TypeError: an operand is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.outer(cnp.array([1, 2]), cnp.array([3, 4]))
      Array([[3, 4],
             [6, 8]], dtype=int32)
    """
    refuse_out("outer", out)
    check_arraylike("outer", a, b)
    return _outer(a, b)


@composite(static_argnames=("axis", *_STATIC))
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product summed over an axis, x1 conjugated, as `numpy.vecdot`.

    Args:
      x1, x2: arrays that broadcast together.
      axis: the axis.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulation.

    Returns:
      An array without the axis.

    Raises:
      ValueError: the axis is out of bounds, or its sizes differ.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vecdot(cnp.ones((2, 3)), cnp.ones(3))
      Array([3., 3.], dtype=float32)
    """
    check_arraylike("vecdot", x1, x2)
    x1, x2 = (moveaxis(as_array(x), axis, -1) for x in (x1, x2))
    if shape_of(x1)[-1] != shape_of(x2)[-1]:
        raise ValueError(f"vecdot requires arguments to have equal size along axis {axis}, got {shape_of(x1)[-1]} "
                         f"and {shape_of(x2)[-1]}.")  # fmt: skip
    return einsum_body(
        ("...n,...n->...",), (_conjugated(x1), x2), "optimal", precision, preferred_element_type, lax.dot_general
    )


@composite
def matvec(x1: Any, x2: Any, /) -> Any:
    """The product of matrices with vectors, as `numpy.matvec`.

    Args:
      x1: an array of shape (..., n, k).
      x2: an array of shape (..., k).

    Returns:
      An array of shape (..., n).

    Raises:
      ValueError: the shapes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.matvec(cnp.ones((2, 3)), cnp.ones(3))
      Array([3., 3.], dtype=float32)
    """
    check_arraylike("matvec", x1, x2)
    return einsum_body(("...nk,...k->...n",), (x1, x2), "optimal", None, None, lax.dot_general)


@composite
def vecmat(x1: Any, x2: Any, /) -> Any:
    """The product of vectors, conjugated, with matrices, as `numpy.vecmat`.

    Args:
      x1: an array of shape (..., k).
      x2: an array of shape (..., k, n).

    Returns:
      An array of shape (..., n).

    Raises:
      ValueError: the shapes do not go together.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.vecmat(cnp.ones(3), cnp.ones((3, 2)))
      Array([3., 3.], dtype=float32)
    """
    check_arraylike("vecmat", x1, x2)
    return einsum_body(("...k,...kn->...n",), (_conjugated(as_array(x1)), x2), "optimal", None, None, lax.dot_general)


@composite
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product, as `numpy.kron`.

    Args:
      a, b: arrays or numbers.

    Returns:
      An array whose sizes are the products of those of a and b.

    Raises:
      TypeError: an operand is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.kron(cnp.array([1, 10]), cnp.array([1, 2]))
      Array([ 1,  2, 10, 20], dtype=int32)
    """
    check_arraylike("kron", a, b)
    a, b = promote_dtypes(a, b)
    rank = max(len(shape_of(a)), len(shape_of(b)))
    shape_a, shape_b = ((1,) * (rank - len(shape_of(x))) + shape_of(x) for x in (a, b))
    a = lax.reshape(a, tuple(n for m in shape_a for n in (m, 1)))
    b = lax.reshape(b, tuple(n for m in shape_b for n in (1, m)))
    return lax.reshape(_product(a, b), tuple(m * n for m, n in zip(shape_a, shape_b, strict=True)))


def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """The cross product of vectors of size 3 or 2, as `numpy.cross`.

    Args:
      a, b: arrays that broadcast together.
      axisa, axisb, axisc: the axis of the vectors in a, in b and in the result.
      axis: one axis for all three.

    Returns:
      An array; for two vectors of size 2, the third component alone.

    Raises:
      ValueError: the vectors' size is neither 2 nor 3.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.cross(cnp.array([1, 0, 0]), cnp.array([0, 1, 0]))
      Array([0, 0, 1], dtype=int32)
    """
    check_arraylike("cross", a, b)
    if axis is not None:
        axisa = axisb = axisc = axis
    return _cross(as_array(a), as_array(b), axes=(int(axisa), int(axisb), int(axisc)))


@composite(static_argnames=("axes",))
def _cross(a: Any, b: Any, *, axes: tuple[int, int, int]) -> Any:
    a, b = promote_dtypes(moveaxis(a, axes[0], -1), moveaxis(b, axes[1], -1))
    sizes = (shape_of(a)[-1], shape_of(b)[-1])
    if not set(sizes) <= {2, 3}:
        raise ValueError(f"cross: the vectors' size must be 2 or 3, got {sizes[0]} and {sizes[1]}.")

    def component(x: Any, i: int) -> Any:
        last = len(shape_of(x)) - 1
        return lax.index_in_dim(x, i, last, keepdims=False)

    def determinant(i: int, j: int) -> Any:
        one, two = promote_args("cross", component(a, i), component(b, j))
        three, four = promote_args("cross", component(a, j), component(b, i))
        return lax.sub(_product(one, two), _product(three, four))

    if sizes == (2, 2):
        return determinant(0, 1)
    if sizes[0] == 2 or sizes[1] == 2:
        widened = []
        for x in (a, b):
            if shape_of(x)[-1] == 2:
                config = [(0, 0, 0)] * (len(shape_of(x)) - 1) + [(0, 1, 0)]
                x = lax.pad(x, np.zeros((), x.dtype)[()], config)
            widened.append(x)
        a, b = widened
    out = lax.stack([determinant(1, 2), determinant(2, 0), determinant(0, 1)], 0)
    return moveaxis(out, 0, canonical_axis(axes[2], len(shape_of(out))))


# --- einsum -------------------------------------------------------------------------------------


def _letters(taken: str) -> list[str]:
    return [c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in taken]


def _error(subscripts: str, shapes: Any, what: str) -> ValueError:
    listed = ", ".join(map(str, shapes))
    return ValueError(f"einsum {subscripts!r} on operands of shapes {listed}: {what}")


def _parse(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    """Labels of each operand and of the result, ellipses spelt out."""
    text = subscripts.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise _error(subscripts, shapes, f"there are {len(terms)} subscripts for {len(shapes)} operands.")
    strange = [c for c in text.replace("...", "").replace(",", "").replace("->", "") if not c.isalpha()]
    if strange:
        raise _error(subscripts, shapes, f"{strange[0]!r} is not a label; labels are letters.")
    spare = _letters(text)
    widths = [len(s) - len(t.replace("...", "")) for t, s in zip(terms, shapes, strict=True)]
    widest = max([w for w, t in zip(widths, terms, strict=True) if "..." in t], default=0)
    stars = spare[:widest][::-1]  # the labels of the ellipsis, aligned at its end
    labels = []
    for term, width, shape in zip(terms, widths, shapes, strict=True):
        if width < 0 or (width and "..." not in term):
            raise _error(subscripts, shapes, f"term {term!r} does not have the {len(shape)} labels of its operand.")
        labels.append(term.replace("...", "".join(stars[widest - width :])))
    everywhere = "".join(stars)
    if arrow:
        result = output.replace("...", everywhere)
    else:
        counts = Counter("".join(labels))
        single = sorted(c for c in counts if counts[c] == 1 and c not in everywhere)
        result = everywhere + "".join(single)
    for c in result:
        if result.count(c) > 1:
            raise _error(subscripts, shapes, f"label {c!r} occurs twice in the result.")
        if c not in "".join(labels):
            raise _error(subscripts, shapes, f"label {c!r} of the result is in no operand.")
    _check_sizes(subscripts, shapes, labels)
    return labels, result


def _check_sizes(subscripts: str, shapes: Any, labels: list[str]) -> None:
    sizes: dict[str, int] = {}
    for term, shape in zip(labels, shapes, strict=True):
        for c, n in zip(term, shape, strict=True):
            if sizes.setdefault(c, n) == 1:
                sizes[c] = n
            elif n not in (1, sizes[c]):
                raise _error(subscripts, shapes, f"label {c!r} has sizes {sizes[c]} and {n}.")


@functools.lru_cache(maxsize=4096)
def _plan(subscripts: str, shapes: tuple[tuple[int, ...], ...], optimize: Any) -> tuple[Any, ...]:
    """The steps of an einsum: which operands to take, their labels, the labels to leave."""
    labels, result = _parse(subscripts, shapes)
    count = len(shapes)
    if count <= 2:
        path: Sequence[tuple[int, ...]] = [tuple(range(count))]
    elif optimize is False:
        path = [(0, 1)] * (count - 1)
    elif isinstance(optimize, tuple):
        path = optimize
    else:
        import opt_einsum

        expression = f"{','.join(labels)}->{result}"
        strategy = "auto" if optimize is True else optimize
        path, _ = opt_einsum.contract_path(expression, *shapes, shapes=True, optimize=strategy)
    steps = []
    for step in path:
        taken = [labels[i] for i in step]
        for i in sorted(step, reverse=True):
            del labels[i]
        needed = set(result).union(*labels)
        left = result if not labels else "".join(dict.fromkeys(c for t in taken for c in t if c in needed))
        if len(taken) > 2:
            raise NotImplementedError(f"einsum contracts at most two operands at a time, the path asks for {step}.")
        steps.append((tuple(sorted(step)), tuple(labels_ for _, labels_ in sorted(zip(step, taken, strict=True))), left))
        labels.append(left)
    return tuple(steps)


def _diagonal(x: Any, labels: str) -> tuple[Any, str]:
    """x with each repeated label once: its diagonals."""
    for c, times in Counter(labels).items():
        while times > 1:
            i, j = (k for k, other in enumerate(labels) if other == c) if times == 2 else _first_two(labels, c)
            shape = shape_of(x)
            rows = lax.broadcasted_iota(np.int32, shape, i)
            mask = lax.eq(rows, lax.broadcasted_iota(np.int32, shape, j))
            x = lax.reduce_sum(lax.select(mask, x, lax.full_like(x, 0)), (j,))
            labels = labels[:j] + labels[j + 1 :]
            times -= 1
    return x, labels


def _first_two(labels: str, c: str) -> tuple[int, int]:
    i = labels.index(c)
    return i, labels.index(c, i + 1)


def _summed(x: Any, labels: str, keep: str) -> tuple[Any, str]:
    axes = tuple(i for i, c in enumerate(labels) if c not in keep)
    if not axes:
        return x, labels
    return lax.reduce_sum(x, axes), "".join(c for c in labels if c in keep)


def _pair(x: Any, y: Any, labels_x: str, labels_y: str, left: str, dot: Callable[..., Any]) -> tuple[Any, str]:
    """One contraction of two operands."""
    size_x, size_y = dict(zip(labels_x, shape_of(x))), dict(zip(labels_y, shape_of(y)))
    thin = {c for c in size_x if c in size_y and size_x[c] != size_y[c]}  # size 1 in one: that one gives it up
    x, labels_x = _without(x, labels_x, [c for c in thin if size_x[c] == 1])
    y, labels_y = _without(y, labels_y, [c for c in thin if size_y[c] == 1])
    both = [c for c in labels_x if c in labels_y]
    # A label that only one operand has now, and the result has not, is summed before the product.
    x, labels_x = _summed(x, labels_x, left + labels_y)
    y, labels_y = _summed(y, labels_y, left + labels_x)
    batch = [c for c in both if c in left]
    contracted = [c for c in both if c not in left]
    names = "".join(batch + [c for c in labels_x if c not in both] + [c for c in labels_y if c not in both])
    swapped = "".join(batch + [c for c in labels_y if c not in both] + [c for c in labels_x if c not in both])
    if swapped == left != names:
        x, y, labels_x, labels_y, names = y, x, labels_y, labels_x, swapped
    out = dot(
        x,
        y,
        (tuple(map(labels_x.index, contracted)), tuple(map(labels_y.index, contracted))),
        (tuple(map(labels_x.index, batch)), tuple(map(labels_y.index, batch))),
    )
    return out, names


def _without(x: Any, labels: str, given_up: Sequence[str]) -> tuple[Any, str]:
    if not given_up:
        return x, labels
    return lax.squeeze(x, tuple(map(labels.index, given_up))), "".join(c for c in labels if c not in given_up)


def einsum_body(
    subscripts: tuple[str],
    operands: Sequence[Any],
    optimize: Any,
    precision: Any,
    preferred_element_type: Any,
    dot_general: Callable[..., Any],
) -> Any:
    """einsum on operands of any dtypes, in the current trace."""
    values = promote_dtypes(*operands)
    preferred, weak_type = dtypes.result_type(*values, return_weak_type_flag=True)
    if preferred_element_type is not None:
        preferred, weak_type = dtypes.canonicalize_dtype(preferred_element_type), False

    def dot(x: Any, y: Any, contracting: Any, batch: Any) -> Any:
        return contract(x, y, contracting, batch, precision, preferred, dot_general)

    steps = _plan(subscripts[0], tuple(shape_of(x) for x in values), optimize)
    for taken, labels, left in steps:
        chosen = [_diagonal(as_array(values[i]), t) for i, t in zip(taken, labels, strict=True)]
        for i in reversed(taken):
            del values[i]
        if len(chosen) == 1:
            out, names = _summed(*chosen[0], left)
        else:
            (x, labels_x), (y, labels_y) = chosen
            out, names = _pair(x, y, labels_x, labels_y, left, dot)
        values.append(_reordered(out, names, left))
    return convert(values[0], preferred, weak_type)


@composite(static_argnames=("subscripts", "optimize", "precision", "preferred_element_type", "dot_general"))
def _einsum(
    operands: Sequence[Any],
    *,
    subscripts: str,
    optimize: Any,
    precision: Any,
    preferred_element_type: Any,
    dot_general: Callable[..., Any],
) -> Any:
    return einsum_body((subscripts,), operands, optimize, precision, preferred_element_type, dot_general)


def _subscripts(first: Any, rest: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Both call forms of einsum as a string and operands."""
    if isinstance(first, str):
        return first, list(rest)
    import opt_einsum

    text, operands = opt_einsum.parser.convert_interleaved_input((first, *rest))
    return text, list(operands)


def _optimize(optimize: Any) -> Any:
    if isinstance(optimize, (list, tuple)):
        return tuple(tuple(step) for step in optimize if not isinstance(step, str))
    return optimize


def einsum(
    subscripts: Any,
    /,
    *operands: Any,
    out: None = None,
    optimize: Any = "auto",
    precision: Any = None,
    preferred_element_type: Any = None,
    _dot_general: Callable[..., Any] = lax.dot_general,
    out_sharding: Any = None,
) -> Any:
    """Einstein's summation over labelled axes, as `numpy.einsum`.

    Args:
      subscripts: labels of each operand and the result, "ij,jk->ik"; or the first operand, where operands
        and lists of labels alternate.
      *operands: arrays.
      out: must be None.
      optimize: how to find the order of contractions: a strategy of opt_einsum, True, False, or a path.
      precision: None, a `lax.Precision`, its name, or a pair of them.
      preferred_element_type: the dtype of the result and of the accumulations.
      out_sharding: a sharding to put the result on.

    Returns:
      An array.

    Raises:
      ValueError: the subscripts do not fit the operands.
      TypeError: an operand is not an array or number.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.einsum("ij,j->i", cnp.array([[1, 2], [3, 4]]), cnp.array([1, 1]))
      Array([3, 7], dtype=int32)
    """
    refuse_out("einsum", out)
    subscripts, arrays = _subscripts(subscripts, operands)
    if not arrays:
        raise ValueError("einsum needs at least one operand.")
    check_arraylike("einsum", *arrays)
    result = _einsum(
        arrays,
        subscripts=subscripts,
        optimize=_optimize(optimize),
        precision=precision,
        preferred_element_type=preferred_element_type,
        dot_general=_dot_general,
    )
    return place(result, None, out_sharding)


def einsum_path(subscripts: Any, /, *operands: Any, optimize: Any = "auto") -> tuple[list[Any], Any]:
    """The order in which `einsum` would contract its operands, as `numpy.einsum_path`.

    Args:
      subscripts: as in `einsum`.
      *operands: arrays.
      optimize: how to find the order.

    Returns:
      The path, and opt_einsum's description of it.

    Raises:
      ValueError: the subscripts do not fit the operands.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.einsum_path("ij,jk->ik", cnp.ones((2, 3)), cnp.ones((3, 4)))[0]
      [(0, 1)]
    """
    import opt_einsum

    text, arrays = _subscripts(subscripts, operands)
    shapes = [shape_of(a) for a in arrays]
    return opt_einsum.contract_path(text, *shapes, shapes=True, optimize="auto" if optimize is True else optimize)
