"""Training steps of small classifiers with Adam: the time of a step once compiled, in PyTorch of an eager one."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import repeated

CLASSES = 10
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
WIDTHS = (784, 512, 512, CLASSES)
CHANNELS, STRIDES = (3, 32, 64, 128), (1, 2, 2)


def _normal(generator: np.random.Generator, fan_in: int, *shape: int) -> np.ndarray:
    return ((2 / fan_in) ** 0.5 * generator.standard_normal(shape)).astype(np.float32)


def _dense(generator: np.random.Generator, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {"weight": _normal(generator, inputs, inputs, outputs), "bias": np.zeros(outputs, np.float32)}


def mlp_params() -> list[dict[str, np.ndarray]]:
    """Layers of 784, 512, 512 and 10 units."""
    generator = np.random.default_rng(0)
    return [_dense(generator, inputs, outputs) for inputs, outputs in pairwise(WIDTHS)]


def convnet_params() -> list[dict[str, np.ndarray]]:
    """Three convolutions with normalization, and a dense layer; weights are height, width, inputs, outputs."""
    generator = np.random.default_rng(0)
    convolutions = [
        {
            "weight": _normal(generator, 9 * inputs, 3, 3, inputs, outputs),
            "scale": np.ones(outputs, np.float32),
            "shift": np.zeros(outputs, np.float32),
        }
        for inputs, outputs in pairwise(CHANNELS)
    ]
    return [*convolutions, _dense(generator, CHANNELS[-1], CLASSES)]


def batch_of(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and the classes that they belong to."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, CLASSES, shape[0]).astype(np.int32)
    return generator.standard_normal(shape).astype(np.float32), labels


def array_mlp(api: Any) -> Callable[[Any, Any], Any]:
    """(params, inputs) -> logits in Canter's or JAX's array code."""

    def logits(params, x):
        for p in params[:-1]:
            x = api.nn.relu(x @ p["weight"] + p["bias"])
        return x @ params[-1]["weight"] + params[-1]["bias"]

    return logits


def array_convnet(api: Any) -> Callable[[Any, Any], Any]:
    """(params, images) -> logits; images are batch, height, width, channels."""
    cnp, lax, nn = api.cnp, api.lax, api.nn

    def norm(x, p):
        mean, variance = cnp.mean(x, (0, 1, 2)), cnp.var(x, (0, 1, 2))
        return (x - mean) / cnp.sqrt(variance + 1e-5) * p["scale"] + p["shift"]

    def logits(params, x):
        for p, stride in zip(params[:-1], STRIDES):
            layout = ("NHWC", "HWIO", "NHWC")
            padding = ((1, 1), (1, 1))
            x = lax.conv_general_dilated(x, p["weight"], (stride, stride), padding, dimension_numbers=layout)
            x = nn.relu(norm(x, p))
        return cnp.mean(x, (1, 2)) @ params[-1]["weight"] + params[-1]["bias"]

    return logits


def array_step(api: Any, logits: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """(params, state, inputs, labels) -> (params, state, loss)."""
    ct, cnp, tree_map = api.ct, api.cnp, api.tree.tree_map

    def loss(params, inputs, labels):
        log_probabilities = api.nn.log_softmax(logits(params, inputs))
        return -cnp.mean(cnp.take_along_axis(log_probabilities, labels[:, None], axis=-1))

    def step(params, state, inputs, labels):
        value, grads = ct.value_and_grad(loss)(params, inputs, labels)
        count = state["count"] + 1
        mean = tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, state["mean"], grads)
        square = tree_map(lambda s, g: BETA2 * s + (1 - BETA2) * g**2, state["square"], grads)

        def move(p, m, s):
            return p - RATE * (m / (1 - BETA1**count)) / (cnp.sqrt(s / (1 - BETA2**count)) + EPSILON)

        return tree_map(move, params, mean, square), {"count": count, "mean": mean, "square": square}, value

    return step


def array_run(api: Any, logits: Callable[[Any, Any], Any], params: Any, batch: Any) -> Callable[[], float]:
    """One step a call, which answers the loss."""
    inputs, labels = (api.cnp.asarray(array) for array in batch)
    params = api.tree.tree_map(api.cnp.asarray, params)
    zeros = (api.tree.tree_map(api.cnp.zeros_like, params) for _ in range(2))
    state = {"count": api.cnp.zeros((), np.float32), "mean": next(zeros), "square": next(zeros)}
    step = api.ct.jit(array_step(api, logits), donate_argnums=(0, 1))

    def run() -> float:
        nonlocal params, state
        params, state, value = step(params, state, inputs, labels)
        return float(value)

    return run


def torch_run(torch: Any, params: Any, batch: Any) -> Callable[[], float]:
    """The same model and optimizer in PyTorch, in its own layout: channels before height and width."""
    F = torch.nn.functional
    inputs, labels = batch
    images = inputs.ndim == 4
    data = torch.from_numpy(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)) if images else inputs)
    targets = torch.from_numpy(labels.astype(np.int64))

    def parameter(array):
        ordered = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        return torch.nn.Parameter(torch.from_numpy(ordered.copy()))

    layers = [{name: parameter(array) for name, array in layer.items()} for layer in params]
    leaves = [leaf for layer in layers for leaf in layer.values()]
    optimizer = torch.optim.Adam(leaves, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON)

    def logits(x):
        for p, stride in zip(layers[:-1], STRIDES):
            if images:
                x = F.conv2d(x, p["weight"], stride=stride, padding=1)
                x = F.relu(F.batch_norm(x, None, None, p["scale"], p["shift"], training=True))
            else:
                x = F.relu(x @ p["weight"] + p["bias"])
        x = x.mean((2, 3)) if images else x
        return x @ layers[-1]["weight"] + layers[-1]["bias"]

    def run() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits(data), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def _run(framework: str, model: Callable[[Any], Any], params: Any, batch: Any) -> Callable[[], float]:
    api = load(framework)
    if api.name == "torch":
        return torch_run(api.torch, params, batch)
    return array_run(api, model(api), params, batch)


def mlp(framework: str) -> Callable[[], float]:
    """One training step a call, of 784-512-512-10 units and batch 128."""
    return _run(framework, array_mlp, mlp_params(), batch_of(128, WIDTHS[0]))


def convnet(framework: str) -> Callable[[], float]:
    """One training step a call, of images of 32 x 32 x 3 and batch 32."""
    return _run(framework, array_convnet, convnet_params(), batch_of(32, 32, 32, CHANNELS[0]))


def step_mlp(framework: str) -> Callable[[], dict[str, float]]:
    return repeated(mlp(framework))


def step_convnet(framework: str) -> Callable[[], dict[str, float]]:
    return repeated(convnet(framework))
