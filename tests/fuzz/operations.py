"""The operations without inner programs: for each, what it takes, what it gives, and how to call it.

Results are kept of the order of one, so that differences of float64 stay accurate to any depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import canter.numpy as cnp
from canter import lax

from .programs import INDEX


@dataclass(frozen=True)
class Leaf:
    """One operation.

    Attributes:
      takes: one letter an operand: f for a float array, i for an index.
      plan: `(random, *types) -> (params, result types)`, or None where the types do not suit it.
      apply: `(*values, **params) -> result or list of results`.
    """

    takes: str
    plan: Callable[..., Any]
    apply: Callable[..., Any]


LEAVES: dict[str, Leaf] = {}


def _leaf(name: str, takes: str, plan: Any, apply: Any) -> None:
    LEAVES[name] = Leaf(takes, plan, apply)


def _same(random: Any, *types: Any) -> Any:
    return {}, [types[0]]


def _broadcast(random: Any, *types: Any) -> Any:
    try:
        return {}, [np.broadcast_shapes(*types)]
    except ValueError:
        return None


def _with_axis(random: Any, *types: Any) -> Any:
    shape = types[0]
    return {"axis": random.randrange(len(shape))} if shape else None


def _along_axis(random: Any, *types: Any) -> Any:
    params = _with_axis(random, *types)
    return params and (params, [types[0]])


def _reversible(random: Any, *types: Any) -> Any:
    params = _with_axis(random, *types)
    return params and ({**params, "reverse": random.random() < 0.5}, [types[0]])


def _reduced(random: Any, shape: Any) -> Any:
    if not shape:
        return None
    axes = tuple(sorted(random.sample(range(len(shape)), random.randint(1, len(shape)))))
    return {"axes": axes}, [tuple(n for i, n in enumerate(shape) if i not in axes)]


def _without_axis(random: Any, shape: Any) -> Any:
    params = _with_axis(random, shape)
    return params and (params, [_drop(shape, params["axis"])])


def _drop(shape: Any, axis: int) -> Any:
    return shape[:axis] + shape[axis + 1 :]


def _put(shape: Any, axis: int, size: int) -> Any:
    return (*shape[:axis], size, *shape[axis + 1 :])


# --- elementwise ----------------------------------------------------------------------------------

for _name, _function in {
    "sin": lax.sin,
    "cos": lax.cos,
    "tanh": lax.tanh,
    "exp": lambda x: lax.exp(lax.mul(0.3, x)),
    "expm1": lambda x: lax.expm1(0.2 * x),
    "logistic": lax.logistic,
    "log": lambda x: lax.log(1.5 + x * x),
    "log1p": lambda x: lax.log1p(x * x),
    "sqrt": lambda x: lax.sqrt(1.0 + x * x),
    "rsqrt": lambda x: lax.rsqrt(1.0 + x * x),
    "cbrt": lambda x: lax.cbrt(2.0 + lax.sin(x)),
    "neg": lax.neg,
    "abs": lambda x: abs(x),
    "erf": lax.erf,
    "erf_inv": lambda x: lax.erf_inv(0.5 * lax.sin(x)),
    "atan": lax.atan,
    "asin": lambda x: lax.asin(0.5 * lax.sin(x)),
    "asinh": lax.asinh,
    "lgamma": lambda x: lax.lgamma(2.0 + lax.sin(x)),
    "integer_pow": lambda x: lax.integer_pow(lax.sin(x), 3),
    "reciprocal": lambda x: 1.0 / (1.5 + lax.sin(x)),
    "complex": lambda x: lax.real(lax.exp(lax.complex(0.2 * x, lax.sin(x)))),
    "complex_abs": lambda x: lax.abs(lax.complex(1.5 + lax.sin(x), x)),
    "mask": lambda x: x * lax.convert_element_type(x > 0.1, x.dtype),
    "constant": lambda x: x * np.linspace(0.5, 1.5, math.prod(x.shape)).reshape(x.shape),
    "round_trip": lambda x: x + 0.5 * lax.floor(x) - lax.sign(x) * 0.1,
}.items():
    _leaf(_name, "f", _same, _function)

for _name, _function in {
    "add": lambda x, y: 0.7 * (x + y),
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: 0.5 * x * y,
    "div": lambda x, y: x / (1.2 + y * y),
    "max": cnp.maximum,
    "min": cnp.minimum,
    "atan2": lambda x, y: cnp.arctan2(x, 1.5 + lax.sin(y)),
    "pow": lambda x, y: cnp.power(1.5 + lax.sin(x), 0.5 * y),
    "logaddexp": cnp.logaddexp,
    "where": lambda x, y: cnp.where(x > y, lax.sin(x), 0.5 * y),
    "rem": lambda x, y: cnp.remainder(x, 2.3 + lax.sin(y)),
}.items():
    _leaf(_name, "ff", _broadcast, _function)

_leaf("where3", "fff", _broadcast, lambda x, y, z: cnp.where(x < 0.3, y, lax.cos(z)))
_leaf("clip", "fff", _broadcast, lambda x, y, z: cnp.clip(x, -0.5 + 0.1 * y, 0.5 + 0.1 * lax.sin(z)))
_leaf(
    "clamp",
    "fff",
    lambda random, low, x, high: ({}, [x]) if low == high == () else None,
    lambda low, x, high: lax.clamp(-1.0 + 0.1 * low, x, 0.8 + 0.1 * lax.sin(high)),
)
_leaf(
    "select_n",
    "iff",
    lambda random, i, x, y: ({}, [x]) if x == y else None,
    lambda i, x, y: lax.select_n(i, x, lax.sin(y), lax.cos(x)),
)
_leaf(
    "rank0",
    "ff",
    lambda random, x, y: ({}, [x]) if y == () else None,
    lambda x, y: lax.mul(lax.add(x, y), 0.6),
)
_leaf(
    "from_index", "i", lambda random, i: ({}, [()]), lambda i: 0.3 * lax.convert_element_type(i, np.float64)
)

# --- reductions and scans along an axis -----------------------------------------------------------


def _mean(x: Any, axes: Any) -> Any:
    return lax.reduce_sum(x, axes) / math.sqrt(math.prod(x.shape[a] for a in axes))


_leaf("sum", "f", _reduced, _mean)
_leaf("reduce_max", "f", _reduced, lambda x, axes: lax.reduce_max(x, axes))
_leaf("reduce_min", "f", _reduced, lambda x, axes: lax.reduce_min(x, axes))
_leaf("prod", "f", _reduced, lambda x, axes: lax.reduce_prod(lax.sin(x), axes))
_leaf("std", "f", _reduced, lambda x, axes: cnp.sqrt(0.1 + cnp.var(x, axis=axes)))
_leaf("argmax", "f", _without_axis, lambda x, axis: cnp.max(x, axis) * cnp.argmax(x, axis))
_leaf("logsumexp", "f", _without_axis, lambda x, axis: cnp.log(cnp.sum(cnp.exp(0.3 * x), axis)))
for _name, _function in {
    "cumsum": lambda x, axis, reverse: 0.5 * lax.cumsum(x, axis, reverse),
    "cumprod": lambda x, axis, reverse: lax.cumprod(lax.sin(x), axis, reverse),
    "cummax": lambda x, axis, reverse: lax.cummax(x, axis, reverse),
    "cummin": lambda x, axis, reverse: lax.cummin(x, axis, reverse),
    "cumlogsumexp": lambda x, axis, reverse: 0.5 * lax.cumlogsumexp(x, axis, reverse),
}.items():
    _leaf(_name, "f", _reversible, _function)
_leaf(
    "window_sum",
    "f",
    lambda random, s: ({}, [(s[0] - 1, *s[1:])]) if s and s[0] > 1 else None,
    lambda x: (
        0.5
        * lax.reduce_window(x, 0.0, lax.add, (2,) + (1,) * (x.ndim - 1), (1,) * x.ndim, ((0, 0),) * x.ndim)
    ),
)
_leaf(
    "window_max",
    "f",
    lambda random, s: ({}, [s]) if s else None,
    lambda x: lax.reduce_window(
        x, -np.inf, lax.max, (2,) + (1,) * (x.ndim - 1), (1,) * x.ndim, ((0, 1),) + ((0, 0),) * (x.ndim - 1)
    ),
)
_leaf("general_reduce", "f", _reduced, lambda x, axes: lax.reduce(0.3 * x, 0.0, lambda a, b: a + b, axes))

# --- shapes ---------------------------------------------------------------------------------------

_leaf("reverse", "f", _along_axis, lambda x, axis: lax.rev(x, (axis,)))
_leaf("roll", "f", _along_axis, lambda x, axis: cnp.roll(x, 1, axis))
_leaf(
    "transpose",
    "f",
    lambda random, s: ({}, [s[::-1]]) if len(s) > 1 else None,
    lambda x: lax.transpose(x, tuple(reversed(range(x.ndim)))),
)
_leaf(
    "flatten",
    "f",
    lambda random, s: ({}, [(math.prod(s),)]) if len(s) != 1 and math.prod(s) < 13 else None,
    lambda x: lax.reshape(x, (x.size,)),
)
_leaf(
    "expand",
    "f",
    lambda random, s: ({"size": 2}, [(2, *s)]) if len(s) < 2 else None,
    lambda x, size: lax.broadcast_in_dim(x, (size, *x.shape), tuple(range(1, x.ndim + 1))),
)
_leaf(
    "outer",
    "ff",
    lambda random, a, b: ({}, [(*a, *b)]) if len(a) == len(b) == 1 and a[0] * b[0] < 17 else None,
    lambda x, y: x[:, None] * lax.sin(y)[None, :],
)
_leaf(
    "concatenate",
    "ff",
    lambda random, a, b: (
        ({}, [(a[0] + b[0], *a[1:])]) if a and b and a[1:] == b[1:] and a[0] + b[0] < 7 else None
    ),
    lambda x, y: lax.concatenate([x, lax.sin(y)], 0),
)
_leaf(
    "stack",
    "ff",
    lambda random, a, b: ({}, [(*a, 2)]) if a == b and len(a) < 2 else None,
    lambda x, y: cnp.stack([x, y], -1),
)
_leaf(
    "split",
    "f",
    lambda random, s: (
        ({}, [_put(s, len(s) - 1, 1), _put(s, len(s) - 1, s[-1] - 1)]) if s and s[-1] > 1 else None
    ),
    lambda x: lax.split(x, (1, x.shape[-1] - 1), x.ndim - 1),
)
_leaf(
    "pad",
    "f",
    lambda random, s: ({}, [(2 * s[0] - 1, *s[1:])]) if s and 1 < s[0] < 4 else None,
    lambda x: lax.pad(x, 0.3, ((1, -1, 1),) + ((0, 0, 0),) * (x.ndim - 1)),
)
_leaf(
    "pad_value",
    "ff",
    lambda random, s, v: ({}, [(s[0] + 1, *s[1:])]) if s and s[0] < 4 and v == () else None,
    lambda x, v: lax.pad(x, v, ((1, 0, 0),) + ((0, 0, 0),) * (x.ndim - 1)),
)
_leaf(
    "strided",
    "f",
    lambda random, s: ({}, [((s[0] + 1) // 2, *s[1:])]) if s and s[0] > 2 else None,
    lambda x: x[::2],
)
_leaf(
    "tile",
    "f",
    lambda random, s: ({}, [(2 * s[0],)]) if len(s) == 1 and s[0] < 4 else None,
    lambda x: cnp.tile(x, 2),
)
_leaf(
    "repeat",
    "f",
    lambda random, s: ({}, [(2 * s[0],)]) if len(s) == 1 and s[0] < 4 else None,
    lambda x: cnp.repeat(x, 2),
)
_leaf(
    "diagonal", "f", lambda random, s: ({}, [(min(s),)]) if len(s) == 2 else None, lambda x: cnp.diagonal(x)
)
_leaf("triangle", "f", lambda random, s: ({}, [s]) if len(s) == 2 else None, lambda x: cnp.tril(x))

# --- contractions ---------------------------------------------------------------------------------


def _matmul(random: Any, a: Any, b: Any) -> Any:
    if not a or not b or a[-1] != b[0 if len(b) == 1 else -2]:
        return None
    return {}, [(*a[:-1], *(b[-1:] if len(b) > 1 else ()))]


_leaf("matmul", "ff", _matmul, lambda x, y: cnp.sin(cnp.matmul(x, y)))
_leaf(
    "batched_dot",
    "ff",
    lambda random, a, b: ({}, [(a[0],)]) if a == b and len(a) == 2 else None,
    lambda x, y: lax.dot_general(x, lax.sin(y), (((1,), (1,)), ((0,), (0,)))),
)
_leaf(
    "einsum",
    "ff",
    lambda random, a, b: ({}, [(a[1], b[1])]) if len(a) == len(b) == 2 and a[0] == b[0] else None,
    lambda x, y: 0.5 * cnp.einsum("ki,kj->ij", x, y),
)
_leaf(
    "convolution",
    "ff",
    lambda random, a, b: ({}, [a]) if len(a) == 1 and b in [(2,), (3,)] else None,
    lambda x, k: lax.conv_general_dilated(x[None, None], 0.5 * k[None, None], (1,), [(k.shape[0] - 1, 0)])[
        0, 0
    ],
)
_leaf(
    "solve",
    "ff",
    lambda random, a, b: ({}, [b]) if len(a) == 2 and len(b) == 1 and a[0] == a[1] == b[0] else None,
    lambda a, b: cnp.linalg.solve(3.0 * cnp.eye(b.shape[0]) + lax.sin(a), b),
)
_leaf(
    "cholesky",
    "f",
    lambda random, a: ({}, [a]) if len(a) == 2 and a[0] == a[1] else None,
    lambda a: cnp.linalg.cholesky(2.0 * cnp.eye(a.shape[0]) + lax.sin(a) @ lax.sin(a).T),
)

# --- indexing, sorting ----------------------------------------------------------------------------


def _indices(random: Any, shape: Any) -> Any:
    if not shape:
        return None
    indices = tuple(random.randrange(-shape[0], shape[0]) for _ in range(random.randint(1, 4)))
    return {"indices": indices}, [(len(indices), *shape[1:])]


def _updates(random: Any, x: Any, y: Any) -> Any:
    if not x or y != x[1:]:
        return None
    return {"indices": tuple(random.sample(range(x[0]), min(2, x[0])))}, [x]


_leaf("take", "f", _indices, lambda x, indices: x[np.array(indices)])
_leaf(
    "take_mixed",
    "f",
    lambda random, s: ({}, [(2, 2)]) if len(s) == 2 else None,
    lambda x: x[np.array([[0, 1], [1, 0]]), np.array([0, 1])],
)
_leaf("take_traced", "fi", lambda random, s, i: ({}, [s[1:]]) if s else None, lambda x, i: x[i])
_leaf("take_column", "fi", lambda random, s, i: ({}, [s[:-1]]) if s else None, lambda x, i: x[..., i])
_leaf(
    "take_vector",
    "fi",
    lambda random, s, i: ({}, [(3, *s[1:])]) if s else None,
    lambda x, i: cnp.take(x, cnp.stack([i, i + 1, 0 * i]), axis=0, mode="clip"),
)
_leaf(
    "take_along_axis",
    "f",
    _along_axis,
    lambda x, axis: cnp.take_along_axis(x, cnp.argsort(lax.cos(3.0 * x), axis=axis), axis),
)
_leaf(
    "get_fill",
    "fi",
    lambda random, s, i: ({}, [s[1:]]) if s else None,
    lambda x, i: x.at[i + 1].get(mode="fill", fill_value=0.2),
)
for _name, _function in {
    "at_set": lambda x, y, indices: x.at[np.array(indices)].set(y),
    "at_add": lambda x, y, indices: x.at[np.array(indices)].add(0.5 * y),
    "at_multiply": lambda x, y, indices: x.at[np.array(indices)].multiply(
        1.2 + 0.2 * lax.sin(y), unique_indices=True
    ),
    "at_max": lambda x, y, indices: x.at[np.array(indices)].max(y),
    "at_min": lambda x, y, indices: x.at[np.array(indices)].min(y),
    "at_add_twice": lambda x, y, indices: x.at[np.array(indices + indices[:1])].add(0.3 * y),
}.items():
    _leaf(_name, "ff", _updates, _function)


def _updates_traced(random: Any, x: Any, y: Any, i: Any) -> Any:
    return ({}, [x]) if x and y == x[1:] else None


_leaf("at_traced_set", "ffi", _updates_traced, lambda x, y, i: x.at[i].set(y))
_leaf(
    "at_traced_add",
    "ffi",
    _updates_traced,
    lambda x, y, i: x.at[cnp.stack([i, i + 1])].add(0.5 * y, mode="drop"),
)
_leaf("at_apply", "f", lambda random, s: ({}, [s]) if s else None, lambda x: x.at[0].apply(lax.sin))
_leaf(
    "dynamic_slice",
    "fi",
    lambda random, s, i: ({}, [(2, *s[1:])]) if s and s[0] > 1 else None,
    lambda x, i: lax.dynamic_slice(x, (i, *[0] * (x.ndim - 1)), (2, *x.shape[1:])),
)
_leaf(
    "dynamic_update_slice",
    "ffi",
    lambda random, s, y, i: ({}, [s]) if s and y == s[1:] else None,
    lambda x, y, i: lax.dynamic_update_slice(x, y[None], (i, *[0] * (x.ndim - 1))),
)
_leaf("sort", "f", _along_axis, lambda x, axis: lax.sort(x, dimension=axis))
_leaf(
    "sort_pairs",
    "ff",
    lambda random, a, b: ({}, [a, a]) if a == b and a else None,
    lambda x, y: lax.sort((x, y), dimension=x.ndim - 1, num_keys=1),
)
_leaf(
    "top_k",
    "f",
    lambda random, s: ({}, [_put(s, len(s) - 1, 2)]) if s and s[-1] > 1 else None,
    lambda x: lax.top_k(x, 2)[0],
)
_leaf("median", "f", _without_axis, lambda x, axis: cnp.median(x, axis))
_leaf("next_index", "i", lambda random, i: ({}, [INDEX]), lambda i: lax.rem(i + 1, np.int32(3)))
_leaf(
    "index_of_max",
    "f",
    lambda random, s: ({}, [INDEX]) if s else None,
    lambda x: lax.rem(lax.argmax(x.ravel(), 0, np.int32), np.int32(3)),
)


def fit(x: Any, shape: Any) -> Any:
    """Any array as one of a given shape."""
    mean = lax.reduce_sum(x, tuple(range(x.ndim))) / max(1.0, math.sqrt(x.size))
    return lax.broadcast_in_dim(lax.sin(mean), shape, ())


_leaf("fit", "f", lambda random, s: None, fit)  # put in where a certain shape is wanted
