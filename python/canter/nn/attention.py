"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from canter import lax, numpy as cnp
from canter.core import dtypes
from canter.numpy.util import broadcast_to, check_arraylike, convert, dtype_of, shape_of
from canter.runtime.composite import composite

from .normalization import _softmax, logsumexp

__all__ = ["dot_product_attention"]


class _Options(NamedTuple):
    """What is static about a call."""

    scale: float
    is_causal: bool
    window: tuple[int, int] | None
    residual: bool


def _positions(batch: int, queries: int, keys: int, options: _Options, lengths: tuple[Any, Any]) -> list[Any]:
    """The masks by position, each of a shape that broadcasts to (batch, 1, queries, 1, keys)."""
    query = lax.broadcasted_iota(np.dtype(np.int32), (1, 1, queries, 1, 1), 2)
    key = lax.broadcasted_iota(np.dtype(np.int32), (1, 1, 1, 1, keys), 4)
    masks = []
    if options.is_causal:
        masks.append(key <= query)
    if options.window is not None:
        left, right = options.window
        masks += [key >= query - np.int32(left), key <= query + np.int32(right)]
    for position, length in zip((query, key), lengths, strict=True):
        if length is not None:
            masks.append(position < lax.reshape(length, (batch, 1, 1, 1, 1)))
    return masks


def _by_group(x: Any, heads: int, groups: int) -> Any:
    """A bias or mask (B, N, T, S), sizes 1 allowed, laid out as the logits (B, K, T, G, S)."""
    b, n, t, s = shape_of(x)
    split = (b, heads, groups, t, s) if n != 1 else (b, 1, 1, t, s)
    return lax.transpose(lax.reshape(x, split), (0, 1, 3, 2, 4))


@composite(static_argnames=("options",))
def _attend(
    query: Any,
    key: Any,
    value: Any,
    bias: Any,
    mask: Any,
    query_lengths: Any,
    key_lengths: Any,
    *,
    options: _Options,
) -> Any:
    """Attention of (B, T, N, H) queries over (B, S, K, H) keys; N = K * G."""
    (batch, queries, total, width), (_, keys, heads, _) = shape_of(query), shape_of(key)
    groups = total // heads
    logits_dtype = dtypes.promote_types(dtype_of(query), np.float32)
    grouped = lax.reshape(query, (batch, queries, heads, groups, width))
    logits = lax.dot_general(
        grouped, key, (((4,), (3,)), ((0, 2), (0, 2))), preferred_element_type=logits_dtype
    ) * logits_dtype.type(options.scale)
    if bias is not None:
        logits = logits + convert(_by_group(bias, heads, groups), logits_dtype)
    masks = _positions(batch, queries, keys, options, (query_lengths, key_lengths))
    if mask is not None:
        masks.append(_by_group(mask, heads, groups))
    if masks:
        seen = masks[0]
        for other in masks[1:]:
            seen = seen & other
        # Not -inf: a query that sees no key at all gets the mean of the values instead of nan.
        logits = cnp.where(seen, logits, logits_dtype.type(-0.7 * float(dtypes.finfo(logits_dtype).max)))
    probabilities = convert(_softmax(logits, None, axis=-1), dtype_of(value))
    out = lax.dot_general(
        probabilities, value, (((4,), (1,)), ((0, 1), (0, 2))), preferred_element_type=dtype_of(value)
    )
    out = lax.reshape(lax.transpose(out, (0, 2, 1, 3, 4)), (batch, queries, total, width))
    if query_lengths is not None:
        real = lax.iota(np.dtype(np.int32), queries)[None, :] < query_lengths[:, None]
        out = out * convert(real, dtype_of(out))[:, :, None, None]
    if not options.residual:
        return out
    residual = lax.stop_gradient(logsumexp(logits, axis=-1))
    residual = lax.reshape(lax.transpose(residual, (0, 2, 1, 3)), (batch, queries, total))
    return out, convert(residual, dtype_of(query))


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
    return_residual: bool = False,
) -> Any:
    """softmax(query · key * scale + bias) · value, head by head.

    B is the batch, T and S the lengths of queries and keys, N the heads of the query and K those of
    key and value, of which each serves N / K heads of the query; H is a head's width.

    Args:
      query: (B, T, N, H), or (T, N, H).
      key: (B, S, K, H), or (S, K, H), of the same dtype.
      value: likewise.
      bias: added to the logits, broadcastable to (B, N, T, S).
      mask: booleans, broadcastable to (B, N, T, S); False where a query does not see a key.
      scale: of the logits; by default 1 / sqrt(H).
      is_causal: whether a query sees only keys at positions not behind its own.
      query_seq_lengths: int32 (B,): how many queries are real; the results of others are 0.
      key_value_seq_lengths: int32 (B,): how many keys are real.
      local_window_size: how far a query sees to the left and to the right, one number or a pair.
      implementation: "xla", or None for the best there is.
      return_residual: whether to return also the logarithm of the sum of exponentials of each query.

    Returns:
      An array of the shape and dtype of `query`; with `return_residual` a pair with one (B, T, N).

    Raises:
      ValueError: shapes or dtypes do not fit together.
      NotImplementedError: the implementation is "cudnn", which is not supported yet.

    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> x = cnp.ones((1, 4, 2, 8))
      >>> ct.nn.dot_product_attention(x, x, x, is_causal=True).shape
      (1, 4, 2, 8)
    """
    if implementation == "cudnn":
        raise NotImplementedError(
            "nn.dot_product_attention: implementation='cudnn' is not supported yet; use 'xla' or leave it out."
        )
    if implementation not in (None, "xla"):
        raise ValueError(
            f"nn.dot_product_attention: unsupported implementation {implementation!r}; use 'xla'."
        )
    check_arraylike("dot_product_attention", query, key, value)
    query, key, value = (cnp.asarray(x) for x in (query, key, value))
    single = query.ndim == 3
    if single:
        query, key, value = (x[None] if x.ndim == 3 else x for x in (query, key, value))
    _check_operands(query, key, value)
    batch, queries, heads, width = query.shape
    full = (batch, heads, queries, key.shape[1])
    bias, mask = _checked_extra("bias", bias, full), _checked_extra("mask", mask, full)
    if mask is not None and dtype_of(mask) != np.bool_:
        raise ValueError(f"nn.dot_product_attention: mask dtype should be bool, but got {dtype_of(mask)}.")
    lengths = [
        _checked_lengths(name, x, batch)
        for name, x in (
            ("query_seq_lengths", query_seq_lengths),
            ("key_value_seq_lengths", key_value_seq_lengths),
        )
    ]
    options = _Options(
        1 / math.sqrt(width) if scale is None else float(scale),
        bool(is_causal),
        _window(local_window_size),
        bool(return_residual),
    )
    out = _attend(query, key, value, bias, mask, *lengths, options=options)
    if not single:
        return out
    return tuple(x[0] for x in out) if return_residual else out[0]


def _check_operands(query: Any, key: Any, value: Any) -> None:
    where = "nn.dot_product_attention"
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if any(x.ndim != 4 for x in (query, key, value)):
        raise ValueError(
            f"{where}: query, key and value must be of shape (B, T, N, H) or (T, N, H), got {shapes}."
        )
    batch, _, heads, width = query.shape
    if key.shape != value.shape or key.shape[0] != batch or key.shape[3] != width:
        raise ValueError(
            f"{where}: key and value must have one shape, and query's batch size and width of heads; got {shapes}."
        )
    if not key.shape[2] or heads % key.shape[2]:
        raise ValueError(
            f"{where}: the number of query heads must be a multiple of key/value heads, but got {heads} vs "
            f"{key.shape[2]} ({shapes})."
        )
    if not query.dtype == key.dtype == value.dtype or not dtypes.issubdtype(query.dtype, np.floating):
        raise ValueError(
            f"{where}: query, key and value must have one float dtype, got {query.dtype}, {key.dtype}, {value.dtype}."
        )


def _checked_extra(name: str, x: Any, full: tuple[int, ...]) -> Any:
    """A bias or mask with four dimensions."""
    if x is None:
        return None
    check_arraylike("dot_product_attention", x)
    x = cnp.asarray(x)
    shape = (1,) * (4 - x.ndim) + x.shape
    if len(shape) > 4 or any(n not in (1, m) for n, m in zip(shape, full, strict=True)):
        raise ValueError(
            f"nn.dot_product_attention: {name} must be broadcastable to (B, N, T, S) = {full}, got shape {x.shape}."
        )
    return broadcast_to(x, shape)


def _checked_lengths(name: str, x: Any, batch: int) -> Any:
    if x is None:
        return None
    check_arraylike("dot_product_attention", x)
    x = cnp.asarray(x)
    if x.shape != (batch,) or x.dtype != np.int32:
        raise ValueError(
            f"nn.dot_product_attention: {name} must be an int32 array of shape ({batch},), got {x.dtype} {x.shape}."
        )
    return x


def _window(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(pair) != 2 or any(int(n) < 0 for n in pair):
        raise ValueError(
            f"nn.dot_product_attention: local_window_size must be a number or a pair, not negative, got {size!r}."
        )
    return int(pair[0]), int(pair[1])
