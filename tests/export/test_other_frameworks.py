"""Artifacts that TensorFlow and IREE run, where their packages are installed."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import export, lax

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="tensorflow is not installed (pip install tensorflow-cpu)",
)
needs_iree = pytest.mark.skipif(
    importlib.util.find_spec("iree") is None,
    reason="IREE is not installed (pip install iree-base-compiler iree-base-runtime)",
)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def mlp(weights, x):
    for layer in weights[:-1]:
        x = ct.nn.gelu(x @ layer["w"] + layer["b"])
    return ct.nn.softmax(x @ weights[-1]["w"])


def cnn(weights, x):
    for kernel in weights["kernels"]:
        x = ct.nn.relu(lax.conv_general_dilated(x, kernel, (1, 1), "SAME"))
        x = lax.reduce_window(x, -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return cnp.mean(x, (2, 3)) @ weights["head"]


def gpt(weights, tokens):
    def norm(x):
        return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)

    x = cnp.asarray(weights["tokens"])[tokens] + weights["places"][: tokens.shape[1]]
    for layer in weights["layers"]:
        q, k, v = cnp.split(norm(x) @ layer["attend"], 3, -1)
        heads = (*x.shape[:2], 2, x.shape[-1] // 2)
        y = ct.nn.dot_product_attention(q.reshape(heads), k.reshape(heads), v.reshape(heads), is_causal=True)
        x = x + y.reshape(x.shape) @ layer["join"]
        x = x + ct.nn.gelu(norm(x) @ layer["up"]) @ layer["down"]
    return norm(x) @ weights["tokens"].T


def gpt_weights(width=16, vocabulary=32, layers=2):
    return {
        "tokens": random(vocabulary, width),
        "places": random(8, width, seed=1),
        "layers": [
            {
                "attend": random(width, 3 * width, seed=i) / 4,
                "join": random(width, width, seed=i + 10) / 4,
                "up": random(width, 4 * width, seed=i + 20) / 4,
                "down": random(4 * width, width, seed=i + 30) / 8,
            }
            for i in range(layers)
        ],
    }


MODELS = {
    "mlp": (mlp, [{"w": random(4, 8), "b": random(8)}, {"w": random(8, 3)}], random(5, 4)),
    "cnn": (
        cnn,
        {"kernels": [random(4, 1, 3, 3), random(8, 4, 3, 3) / 3], "head": random(8, 3)},
        random(2, 1, 8, 8),
    ),
    "gpt": (gpt, gpt_weights(), np.arange(12, dtype=np.int32).reshape(2, 6) % 7),
}


@needs_iree
@pytest.mark.parametrize("name", MODELS)
def test_iree_gives_the_same(name):
    function, weights, x = MODELS[name]
    exported = export.export(ct.jit(lambda x: function(weights, x)))(x)
    module = export.to_iree(exported)
    np.testing.assert_allclose(export.run_iree(module, x), function(weights, x), rtol=1e-4, atol=1e-5)


@needs_iree
def test_iree_says_what_it_cannot():
    exported = export.export(ct.jit(lambda x: cnp.linalg.qr(x)[1]))(random(3, 3))
    with pytest.raises(ValueError, match="IREE cannot compile"):
        export.to_iree(exported)


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_tensorflow_gives_the_same_and_comes_back(name, tmp_path):
    function, weights, x = MODELS[name]
    export.to_saved_model(tmp_path, function, x, weights=weights, input_names=["x"])
    import tensorflow as tf

    want = function(weights, x)
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](x=tf.constant(x))
    np.testing.assert_allclose(served["output_0"].numpy(), want, rtol=1e-5, atol=1e-5)


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_symbolic_dimensions_in_tensorflow(tmp_path):
    function, weights, x = MODELS["mlp"]
    specs = export.symbolic_args_specs((x,), "b, _")
    export.to_saved_model(tmp_path, function, x, weights=weights, input_names=["x"], specs=specs)
    import tensorflow as tf

    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert served(x=tf.zeros((9, 4)))["output_0"].shape == (9, 3)


@needs_tensorflow
@pytest.mark.filterwarnings("ignore")
def test_a_model_of_tensorflow_is_a_function(tmp_path):
    import tensorflow as tf

    class Model(tf.Module):
        def __init__(self):
            self.w = tf.Variable(random(3, 2))
            self.k = tf.Variable(random(2, 2, seed=1))

        @tf.function(input_signature=[tf.TensorSpec((4, 3), tf.float32)])
        def __call__(self, x):
            y = tf.nn.softmax(tf.sin(x) @ self.w @ self.k)
            return {"y": y, "top": tf.argmax(x, 1), "sorted": tf.sort(x, 1, direction="DESCENDING")}

    model = Model()
    tf.saved_model.save(model, str(tmp_path), signatures=model.__call__)
    function = export.from_saved_model(tmp_path)
    x = random(4, 3, seed=2)
    want = model(tf.constant(x))
    for name, got in function(x).items():
        np.testing.assert_allclose(got, want[name].numpy(), rtol=1e-5, atol=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(model.w)
        loss = tf.reduce_sum(model(tf.constant(x))["y"] ** 2)
    grads = ct.grad(lambda w: (function(x, weights=w)["y"] ** 2).sum())(function.weights)
    wanted = tape.gradient(loss, model.w).numpy()
    assert any(g.shape == wanted.shape and np.allclose(g, wanted, atol=1e-5) for g in grads)
    with pytest.raises(ValueError, match="no signature 'other'"):
        export.from_saved_model(tmp_path, "other")
    generator = np.random.default_rng(0)
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        whole = (tmp_path / file).read_bytes()
        for _ in range(3):
            (tmp_path / file).write_bytes(whole[: generator.integers(len(whole))])
            with pytest.raises(export.DamagedFile, match="cannot read the SavedModel"):
                export.from_saved_model(tmp_path)
        (tmp_path / file).write_bytes(whole)
    with pytest.raises(FileNotFoundError, match="no SavedModel"):
        export.from_saved_model(tmp_path / "variables")


@pytest.mark.parametrize(
    "package, call",
    [
        ("tensorflow-cpu", "export.to_saved_model('x', lambda x: x, 1.0)"),
        ("tensorflow-cpu", "export.from_saved_model('x')"),
        ("iree-base-compiler", "export.to_iree('module {}')"),
        ("iree-base-runtime", "export.run_iree(b'')"),
    ],
)
def test_missing_packages_are_named(package, call, monkeypatch):
    for name in ("tensorflow", "iree", "iree.compiler", "iree.compiler.tools", "iree.runtime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        eval(call, {"export": export})
