"""Einstein's summation, as a sequence of contractions that opt_einsum orders."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter import lax
from canter.core import dtypes
from canter.lax.conversion import as_array
from canter.runtime.composite import composite

from .creation import placed
from .util import check_arraylike, convert, promote_dtypes, refuse_out, shape_of

__all__ = ["einsum", "einsum_path"]

_GUESSED_SIZE = 8  # of a symbolic dimension, where contractions are ordered


def _reordered(x: Any, names: Sequence[Any], wanted: Sequence[Any]) -> Any:
    """x with its axes, called `names`, in the wanted order."""
    permutation = tuple(names.index(n) for n in wanted)
    return x if permutation == tuple(range(len(permutation))) else lax.transpose(x, permutation)


# --- einsum -------------------------------------------------------------------------------------


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
            raise _error(
                subscripts, shapes, f"term {term!r} does not have the {len(shape)} labels of its operand."
            )
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
        sizes = [tuple(size if type(size) is int else _GUESSED_SIZE for size in shape) for shape in shapes]
        path, _ = opt_einsum.contract_path(expression, *sizes, shapes=True, optimize=strategy)
    steps = []
    for step in path:
        taken = [labels[i] for i in step]
        for i in sorted(step, reverse=True):
            del labels[i]
        needed = set(result).union(*labels)
        left = result if not labels else "".join(dict.fromkeys(c for t in taken for c in t if c in needed))
        if len(taken) > 2:
            raise NotImplementedError(
                f"einsum contracts at most two operands at a time, the path asks for {step}."
            )
        steps.append(
            (
                tuple(sorted(step)),
                tuple(labels_ for _, labels_ in sorted(zip(step, taken, strict=True))),
                left,
            )
        )
        labels.append(left)
    return tuple(steps)


def _diagonal(x: Any, labels: str) -> tuple[Any, str]:
    """x with each repeated label once: its diagonals."""
    for c, times in Counter(labels).items():
        while times > 1:
            i, j = (
                (k for k, other in enumerate(labels) if other == c) if times == 2 else _first_two(labels, c)
            )
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


def _pair(
    x: Any, y: Any, labels_x: str, labels_y: str, left: str, dot: Callable[..., Any]
) -> tuple[Any, str]:
    """One contraction of two operands."""
    size_x, size_y = dict(zip(labels_x, shape_of(x))), dict(zip(labels_y, shape_of(y)))
    thin = {
        c for c in size_x if c in size_y and size_x[c] != size_y[c]
    }  # size 1 in one: that one gives it up
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
    options = {
        "subscripts": subscripts,
        "optimize": _optimize(optimize),
        "precision": precision,
        "preferred_element_type": preferred_element_type,
        "dot_general": _dot_general,
    }
    if out_sharding is not None:
        return placed(lambda: _einsum(arrays, **options), out_sharding, "einsum")
    return _einsum(arrays, **options)


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
    return opt_einsum.contract_path(
        text, *shapes, shapes=True, optimize="auto" if optimize is True else optimize
    )
