"""Models in the ONNX format give what the functions give, in ONNX Runtime or the evaluator of the package onnx."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export, lax, nn
from tests.export.test_other_frameworks import MODELS, random

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnx") is None, reason="onnx is not installed (pip install onnx onnxruntime)"
)
X, Y, N = random(4, 6), random(4, 6, seed=1), np.arange(24, dtype=np.int32).reshape(4, 6) - 9
IMAGE, KERNEL = random(2, 8, 8, 3), random(3, 3, 3, 4)
NHWC = ("NHWC", "HWIO", "NHWC")


def outputs(path, names, values):
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    else:
        from onnx.reference import ReferenceEvaluator

        session = ReferenceEvaluator(str(path))
    return session.run(None, dict(zip(names, map(np.asarray, values), strict=True)))


def check(path, function, *values, **options):
    export.to_onnx(path, function, *values, **options)
    weights = options.get("weights")
    want = ct.tree.leaves(
        ct.jit(function)(*values) if weights is None else ct.jit(function)(weights, *values)
    )
    names = options.get("input_names") or [f"arg{i}" for i in range(len(values))]
    for got, wanted in zip(outputs(path, names, values), want, strict=True):
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@needs_onnx
@pytest.mark.parametrize("name", MODELS)
def test_models(name, tmp_path):
    function, weights, x = MODELS[name]
    check(tmp_path / "model.onnx", function, x, weights=weights, input_names=["x"])


FUNCTIONS = {
    "elementwise": (
        lambda x, y: [
            cnp.sin(x),
            cnp.log1p(cnp.abs(x)),
            cnp.expm1(x),
            lax.erf(x),
            lax.erfc(x),
            x**3,
            cnp.maximum(x, y),
            cnp.sign(x),
            cnp.arctan(x),
            cnp.log(cnp.abs(y)),
            lax.rsqrt(cnp.abs(x)),
            cnp.round(x),
            lax.round(x),
            cnp.isfinite(x),
            x % y,
            cnp.where(x > y, x, y),
            cnp.clip(x, -0.5, 0.5),
            cnp.square(x),
            nn.silu(x),
            nn.elu(x),
            nn.softplus(x),
            nn.leaky_relu(x),
            nn.log_softmax(x),
            cnp.exp(x) ** cnp.abs(y),
            cnp.log1p(x * 1e-6 - 0.5e-6),
            x != y,
        ],
        (X, Y),
    ),
    "integers": (
        lambda n: [
            n + 1,
            n // 2,
            lax.div(n, np.int32(4)),
            lax.rem(n, np.int32(4)),
            n & 3,
            n | 4,
            n ^ 5,
            ~n,
            n > 2,
            n.astype(np.float32),
            (n > 2) & (n < 5),
            ~(n > 2),
            n.max(1),
            n.sum(0),
            (n > 3).any(1),
            (n > 3).all(0),
            n.argmax(1),
            n.argmin(0),
        ],
        (N,),
    ),
    "shapes": (
        lambda x: [
            x.T,
            x.reshape(3, 8),
            x[:, None],
            x[1:3, ::2],
            x[::-1, 1],
            cnp.concatenate([x, x], 1),
            cnp.stack([x, x]),
            cnp.pad(x, ((1, 0), (2, 1))),
            cnp.split(x, 3, 1),
            cnp.broadcast_to(x, (2, 4, 6)),
            cnp.tril(x),
            cnp.eye(3) + x[0, 0],
            cnp.repeat(x, 2, 0),
            lax.pad(x, 7.0, ((-1, 0, 0), (0, -2, 0))),
            cnp.flip(x),
            x.squeeze(),
            x[..., 0].ravel(),
        ],
        (X,),
    ),
    "indexing": (
        lambda x, i, j: [
            x[i],
            x[:, i],
            cnp.take(x, j, axis=0),
            cnp.take(x, j, axis=1, mode="clip"),
            lax.dynamic_slice(x, (i[0], 3), (2, 4)),
            cnp.take(x, i, axis=1, mode="fill"),
            lax.dynamic_index_in_dim(x, i[1], 0),
            x[np.array([3, 1])],
        ],
        (X, np.array([1, -1, 2], np.int32), np.array([[0, 3], [9, 1]], np.int32)),
    ),
    "reductions": (
        lambda x: [
            x.sum(),
            x.mean(0),
            x.var(1),
            x.prod(0),
            x.max(),
            x.min(1),
            cnp.cumsum(x, 1),
            lax.cumsum(x, 0, reverse=True),
            lax.top_k(x, 3),
            nn.logsumexp(x, 1),
            nn.standardize(x),
            cnp.linalg.norm(x, axis=1),
        ],
        (X,),
    ),
    "products": (
        lambda x, y: [
            x @ y.T,
            x[0] @ y[0],
            cnp.einsum("ij,kj->ki", x, y),
            cnp.einsum("ij,ij->i", x, y),
            cnp.outer(x[0], y[1]),
            cnp.tensordot(x, y, 2),
            x.reshape(2, 2, 6) @ y.reshape(2, 6, 2),
        ],
        (X, Y),
    ),
    "convolutions": (
        lambda x, k: [
            lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NHWC),
            lax.conv_general_dilated(
                x, k, (2, 1), ((0, 1), (2, 0)), rhs_dilation=(1, 2), dimension_numbers=NHWC
            ),
            lax.conv_general_dilated(
                x, k.reshape(3, 3, 1, 12), (1, 1), "VALID", dimension_numbers=NHWC, feature_group_count=3
            ),
        ],
        (IMAGE, KERNEL),
    ),
    "windows": (
        lambda x: [
            lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
            lax.reduce_window(x, -np.inf, lax.max, (1, 3, 2, 1), (1, 2, 1, 1), "SAME"),
            lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME"),
            lax.reduce_window(x, -np.inf, lax.max, (1, 2, 1, 2), (1, 1, 1, 1), "VALID"),
        ],
        (IMAGE,),
    ),
    "programs in programs": (
        lambda x: [
            ct.jit(cnp.tanh)(x),
            ct.checkpoint(cnp.sin)(x),
            nn.relu(x),
            nn.gelu(x, approximate=False),
            lax.stop_gradient(x),
        ],
        (X,),
    ),
}


@needs_onnx
@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations(name, tmp_path):
    function, values = FUNCTIONS[name]
    check(tmp_path / "model.onnx", function, *values)


@needs_onnx
def test_names_of_inputs_and_outputs(tmp_path):
    import onnx

    export.to_onnx(
        tmp_path / "m.onnx", lambda t, s: {"y": t["a"] * s, "z": t["b"]}, {"a": X, "b": N}, np.float32(2)
    )
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [one.name for one in graph.input] == ["arg0.a", "arg0.b", "arg1"]
    assert [one.name for one in graph.output] == ["y", "z"]


REFUSED = {
    "scan": lambda x: lax.scan(lambda c, r: (c + r, c), x[0], x)[1],
    "while": lambda x: lax.while_loop(lambda c: c.sum() < 9, lambda c: c + 1, x),
    "qr": lambda x: cnp.linalg.qr(x)[1],
    "scatter": lambda x: x.at[np.array([0, 2])].set(1.0),
    "conv_general_dilated": lambda x: lax.conv_transpose(
        x[None, :, :, None], KERNEL[:, :, :1], (2, 2), "SAME"
    ),
}


@needs_onnx
@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form_is_named_with_its_line(name, tmp_path):
    with pytest.raises(
        NotImplementedError, match=rf"the operation '{name}' \(.*test_onnx.py.*has no form in ONNX"
    ):
        export.to_onnx(tmp_path / "m.onnx", REFUSED[name], X)
    assert not (tmp_path / "m.onnx").exists()


@needs_onnx
def test_symbolic_sizes_are_refused(tmp_path):
    with pytest.raises(NotImplementedError, match="known sizes"):
        export.to_onnx(tmp_path / "m.onnx", cnp.sin, *export.symbolic_args_specs((X,), "b, _"))


def test_the_package_is_named_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match="pip install onnx"):
        export.to_onnx(tmp_path / "m.onnx", cnp.sin, X)
