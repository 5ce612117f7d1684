"""Writes modules that TensorFlow makes of its functions, with inputs and outputs.

Run it where tensorflow is installed: `python make_tensorflow.py`.
"""

import pathlib
import re

import numpy as np
import tensorflow as tf

HERE = pathlib.Path(__file__).parent
GENERATOR = np.random.default_rng(0)


def random(*shape):
    return GENERATOR.normal(size=shape).astype("float32")


def dense(x, w, v):
    y = tf.nn.softmax(tf.nn.gelu(x @ w) @ v)
    return y, tf.argmax(y, 1), tf.reduce_logsumexp(x, 1)


def pictures(x, k):
    y = tf.nn.relu(tf.nn.conv2d(x, k, 1, "SAME"))
    return tf.nn.max_pool2d(y, 2, 2, "VALID"), tf.nn.avg_pool2d(y, 3, 2, "SAME")


def order(x):
    values, places = tf.math.top_k(x, 2)
    return tf.sort(x, 1), tf.argsort(x, 1, "DESCENDING"), values, places, tf.cumsum(x, 1, reverse=True)


def rows(x, i):
    y = tf.tensor_scatter_nd_add(x, i[:, None], tf.gather(x, i) * 2)
    return (
        y,
        tf.gather_nd(x, tf.stack([i, i], 1)),
        tf.math.unsorted_segment_sum(x[: i.shape[0]], i, 3),
        x[::2, 1:],
    )


def loop(x):
    def body(i, y):
        return i + 1, tf.tanh(y) + tf.cast(i, y.dtype)

    _, y = tf.while_loop(lambda i, y: i < 4, body, (0, x))
    return tf.cond(tf.reduce_sum(x) > 0, lambda: y, lambda: -y), tf.linalg.cholesky(
        x @ tf.transpose(x) + 3 * tf.eye(3)
    )


FUNCTIONS = {
    "dense": (dense, [random(3, 4), random(4, 5), random(5, 2)]),
    "pictures": (pictures, [random(1, 6, 6, 2), random(3, 3, 2, 3)]),
    "order": (order, [random(3, 4)]),
    "rows": (rows, [random(3, 4), np.array([2, 0, 2], np.int32)]),
    "loop": (loop, [random(3, 4)]),
}


def main():
    for name, (function, inputs) in FUNCTIONS.items():
        compiled = tf.function(function, jit_compile=True, autograph=False)
        tensors = [tf.constant(x) for x in inputs]
        text = compiled.experimental_get_compiler_ir(*tensors)(stage="stablehlo")
        (HERE / f"tensorflow_{name}.mlir").write_text(re.sub(r'"/[^"]*/', '"', text))  # without machine paths
        arrays = {f"in{i}": x for i, x in enumerate(inputs)}
        arrays |= {f"out{i}": y.numpy() for i, y in enumerate(function(*tensors))}
        np.savez(HERE / f"tensorflow_{name}.npz", **arrays)


main()
