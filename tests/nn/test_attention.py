"""Attention against a loop over heads."""

import numpy as np
import pytest

import canter as ct
from canter import nn

_RNG = np.random.default_rng(0)
_B, _T, _S, _N, _K, _H = 2, 4, 5, 6, 3, 8
_Q = _RNG.normal(size=(_B, _T, _N, _H)).astype(np.float32)
_KEY = _RNG.normal(size=(_B, _S, _K, _H)).astype(np.float32)
_VALUE = _RNG.normal(size=(_B, _S, _K, _H)).astype(np.float32)
_BIAS = _RNG.normal(size=(_B, _N, _T, _S)).astype(np.float32)
_MASK = _RNG.random((_B, _N, _T, _S)) < 0.7
_MASK[..., 0] = True


def _loop(seen, bias=None, scale=None):
    out = np.zeros((_B, _T, _N, _H))
    sums = np.zeros((_B, _T, _N))
    for b in range(_B):
        for n in range(_N):
            k = n // (_N // _K)
            logits = _Q[b, :, n] @ _KEY[b, :, k].T * (_H**-0.5 if scale is None else scale)
            logits = logits + (0 if bias is None else bias[b, n])
            logits = np.where(np.broadcast_to(seen, (_B, _N, _T, _S))[b, n], logits, -1e38)
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            sums[b, :, n] = np.log(weights.sum(-1)) + logits.max(-1)
            out[b, :, n] = weights / weights.sum(-1, keepdims=True) @ _VALUE[b, :, k]
    return out, sums


_ROW, _COLUMN = np.arange(_T)[:, None], np.arange(_S)[None, :]
_CASES = {
    "plain": ({}, True),
    "causal": ({"is_causal": True}, _COLUMN <= _ROW),
    "window": ({"local_window_size": (1, 2)}, (_COLUMN >= _ROW - 1) & (_COLUMN <= _ROW + 2)),
    "one window": ({"local_window_size": 1}, abs(_COLUMN - _ROW) <= 1),
    "mask": ({"mask": _MASK}, _MASK),
    "mask of heads": ({"mask": _MASK[:, :1]}, _MASK[:, :1]),
    "lengths": (
        {"key_value_seq_lengths": np.array([2, 5], np.int32)},
        (_COLUMN < np.array([2, 5])[:, None, None])[:, None],
    ),
}


@pytest.mark.parametrize("case", sorted(_CASES))
def test_equals_the_loop(case):
    options, seen = _CASES[case]
    out, sums = nn.dot_product_attention(_Q, _KEY, _VALUE, **options, return_residual=True)
    want, want_sums = _loop(seen)
    np.testing.assert_allclose(out, want, atol=2e-6)
    np.testing.assert_allclose(sums, want_sums, atol=2e-6)


def test_bias_and_scale():
    out = nn.dot_product_attention(_Q, _KEY, _VALUE, _BIAS, scale=2.0, implementation="xla")
    np.testing.assert_allclose(out, _loop(True, _BIAS, 2.0)[0], atol=5e-6)


def test_queries_that_are_padding_give_zero():
    out = nn.dot_product_attention(_Q, _KEY, _VALUE, query_seq_lengths=np.array([1, 3], np.int32))
    assert (np.asarray(out)[0, 1:] == 0).all() and (np.asarray(out)[1, 3:] == 0).all()
    np.testing.assert_allclose(np.asarray(out)[1, :3], _loop(True)[0][1, :3], atol=2e-6)


def test_without_batch_and_under_vmap():
    single = nn.dot_product_attention(_Q[0], _KEY[0], _VALUE[0])
    np.testing.assert_allclose(single, _loop(True)[0][0], atol=2e-6)
    np.testing.assert_allclose(ct.vmap(nn.dot_product_attention)(_Q, _KEY, _VALUE), _loop(True)[0], atol=2e-6)


def test_query_that_sees_nothing_gets_the_mean():
    out = nn.dot_product_attention(_Q, _KEY, _VALUE, mask=np.zeros((1, 1, 1, _S), bool))
    np.testing.assert_allclose(out[0, 0, 0], _VALUE[0, :, 0].mean(0), atol=1e-6)


def test_gradient():
    with ct.enable_x64(True):
        q, k, v = (x.astype(np.float64) for x in (_Q, _KEY, _VALUE))
        loss = lambda q: (nn.dot_product_attention(q, k, v, is_causal=True) ** 2).sum()
        slopes = np.asarray(ct.grad(loss)(q))
        step = np.zeros_like(q)
        step[1, 2, 3, 4] = 1e-6
        want = (float(loss(q + step)) - float(loss(q - step))) / 2e-6
        np.testing.assert_allclose(slopes[1, 2, 3, 4], want, rtol=1e-6)


@pytest.mark.parametrize(
    ("operands", "options", "words"),
    [
        ((_Q, _KEY[:, :, :2], _VALUE), {}, "one shape"),
        ((_Q[:, :, :5], _KEY, _VALUE), {}, "multiple of key/value heads"),
        ((_Q[0, 0], _KEY, _VALUE), {}, "must be of shape"),
        ((_Q, _KEY, _VALUE.astype(np.float16)), {}, "one float dtype"),
        ((_Q, _KEY, _VALUE), {"mask": np.ones((4, 5))}, "mask dtype should be bool"),
        ((_Q, _KEY, _VALUE), {"bias": np.ones((3, 6, 4, 5))}, "bias must be broadcastable"),
        ((_Q, _KEY, _VALUE), {"implementation": "other"}, "unsupported implementation"),
        ((_Q, _KEY, _VALUE), {"local_window_size": (1, 2, 3)}, "local_window_size"),
        ((_Q, _KEY, _VALUE), {"query_seq_lengths": np.ones(2)}, "int32"),
    ],
)
def test_mistakes(operands, options, words):
    with pytest.raises(ValueError, match=words):
        nn.dot_product_attention(*operands, **options)


def test_cudnn_is_refused():
    with pytest.raises(NotImplementedError, match="cudnn"):
        nn.dot_product_attention(_Q, _KEY, _VALUE, implementation="cudnn")
