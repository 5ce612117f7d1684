"""A GPT's AdamW training step, written as array code is usually written: a Python loop over the layers."""

import math

import numpy as np

from benchmarks.frameworks import load
from benchmarks.timing import seconds

VOCABULARY = 256
RATE, BETA1, BETA2, EPSILON, DECAY = 1e-3, 0.9, 0.99, 1e-8, 0.1


def initial_params(layers: int, width: int, context: int) -> dict:
    """NumPy arrays, so that every framework begins from the same numbers."""
    generator = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (0.02 * generator.standard_normal(shape)).astype(np.float32)

    def layer() -> dict:
        return {
            "norm1": {"scale": np.ones(width, np.float32), "shift": np.zeros(width, np.float32)},
            "qkv": normal(width, 3 * width),
            "out": normal(width, width),
            "norm2": {"scale": np.ones(width, np.float32), "shift": np.zeros(width, np.float32)},
            "mlp_in": normal(width, 4 * width),
            "bias_in": np.zeros(4 * width, np.float32),
            "mlp_out": normal(4 * width, width),
            "bias_out": np.zeros(width, np.float32),
        }

    return {
        "tokens": normal(VOCABULARY, width),
        "positions": normal(context, width),
        "layers": [layer() for _ in range(layers)],
        "norm": {"scale": np.ones(width, np.float32), "shift": np.zeros(width, np.float32)},
    }


def batch_of(batch: int, context: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, VOCABULARY, (batch, context + 1)).astype(np.int32)


def array_loss(api, heads: int, scanned: bool = False):
    """(params, tokens) -> loss in Canter's or JAX's array code; `scanned` takes the layers stacked, as one loop."""
    cnp, nn = api.cnp, api.nn

    def norm(x, p):
        mean = cnp.mean(x, axis=-1, keepdims=True)
        variance = cnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
        return (x - mean) / cnp.sqrt(variance + 1e-5) * p["scale"] + p["shift"]

    def attention(x, p):
        batch, context, width = x.shape
        qkv = (x @ p["qkv"]).reshape(batch, context, 3, heads, width // heads)
        q, k, v = (cnp.transpose(qkv[:, :, i], (0, 2, 1, 3)) for i in range(3))
        scores = q @ cnp.swapaxes(k, -1, -2) / math.sqrt(width // heads)
        mask = cnp.tril(cnp.ones((context, context), dtype=bool))
        weights = nn.softmax(cnp.where(mask, scores, -1e9), axis=-1)
        return cnp.transpose(weights @ v, (0, 2, 1, 3)).reshape(batch, context, width) @ p["out"]

    def block(x, p):
        x = x + attention(norm(x, p["norm1"]), p)
        hidden = nn.gelu(norm(x, p["norm2"]) @ p["mlp_in"] + p["bias_in"])
        return x + hidden @ p["mlp_out"] + p["bias_out"]

    def loss(params, tokens):
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        x = params["tokens"][inputs] + params["positions"]
        if scanned:
            x, _ = api.lax.scan(lambda x, p: (block(x, p), None), x, params["layers"])
        else:
            for p in params["layers"]:
                x = block(x, p)
        logits = norm(x, params["norm"]) @ params["tokens"].T
        log_probabilities = nn.log_softmax(logits, axis=-1)
        return -cnp.mean(cnp.take_along_axis(log_probabilities, targets[..., None], axis=-1))

    return loss


def stacked(api, params: dict) -> dict:
    """The parameters that a loss with `scanned` takes."""
    return params | {"layers": api.tree.tree_map(lambda *leaves: np.stack(leaves), *params["layers"])}


def array_step(api, heads: int, compute_dtype: str | None = None, scanned: bool = False):
    """(params, state, tokens) -> (params, state, loss); the loss takes parameters of another dtype if given."""
    ct, cnp, full_loss = api.ct, api.cnp, array_loss(api, heads, scanned)

    def loss(params, tokens):
        if compute_dtype is not None:
            params = api.tree.tree_map(lambda p: p.astype(compute_dtype), params)
        return full_loss(params, tokens)

    def step(params, state, tokens):
        value, grads = ct.value_and_grad(loss)(params, tokens)
        count = state["count"] + 1
        mean = api.tree.tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, state["mean"], grads)
        square = api.tree.tree_map(lambda s, g: BETA2 * s + (1 - BETA2) * g**2, state["square"], grads)

        def move(p, m, s):
            m, s = m / (1 - BETA1**count), s / (1 - BETA2**count)
            return p - RATE * (m / (cnp.sqrt(s) + EPSILON) + DECAY * p)

        params = api.tree.tree_map(move, params, mean, square)
        return params, {"count": count, "mean": mean, "square": square}, value

    return step


def initial_state(api, params: dict) -> dict:
    return {
        "count": api.cnp.zeros((), np.float32),
        "mean": api.tree.tree_map(api.cnp.zeros_like, params),
        "square": api.tree.tree_map(api.cnp.zeros_like, params),
    }


def gpt12(framework: str):
    """12 layers of width 64: all stages, in a process that has done nothing yet."""
    api = load(framework)
    api.ct.config.update("jax_enable_compilation_cache", False)  # Canter would find the program on disk
    params = api.tree.tree_map(api.cnp.asarray, initial_params(layers=12, width=64, context=64))
    state, tokens = initial_state(api, params), api.cnp.asarray(batch_of(4, 64))

    def measure() -> dict[str, float]:
        nonlocal params, state
        stages = {}
        step = api.ct.jit(array_step(api, heads=4), donate_argnums=(0, 1))
        stages["trace"] = seconds(lambda: stages.update(t=step.trace(params, state, tokens)))
        stages["lower"] = seconds(lambda: stages.update(l=stages.pop("t").lower()))
        stages["compile"] = seconds(lambda: stages.update(c=stages.pop("l").compile()))
        compiled = stages.pop("c")

        def run() -> None:
            nonlocal params, state
            params, state, value = compiled(params, state, tokens)
            value.block_until_ready()

        run()
        times = sorted(seconds(run) for _ in range(15))
        return stages | {"step": times[len(times) // 2]}

    return measure


def gpt4_step(framework: str):
    """4 layers of width 256, sequence 128, batch 8: the time of a step once compiled."""
    api = load(framework)
    params, tokens = initial_params(layers=4, width=256, context=128), batch_of(8, 128)
    if api.name == "torch":
        return _five_of(torch_step(api.torch, params, tokens, heads=8))
    params = api.tree.tree_map(api.cnp.asarray, params)
    state, data = initial_state(api, params), api.cnp.asarray(tokens)
    step = api.ct.jit(array_step(api, heads=8), donate_argnums=(0, 1))

    def run() -> None:
        nonlocal params, state
        params, state, value = step(params, state, data)
        value.block_until_ready()

    return _five_of(run)


def nested_gpt(framework: str):
    """vmap of jvp of grad of checkpoint, over 4 layers of width 32: the time to trace it."""
    api = load(framework)
    ct, params, tokens = api.ct, initial_params(layers=4, width=32, context=16), batch_of(3, 16)

    def sample() -> float:
        loss = array_loss(api, heads=4)

        def curvature(row):
            gradient = ct.grad(lambda p: ct.checkpoint(loss)(p, row[None]))
            return ct.jvp(gradient, (params,), (params,))

        return seconds(lambda: ct.make_jaxpr(ct.vmap(curvature))(tokens))

    sample()  # the first has the framework's own caches to fill
    return lambda: {"value": sample()}


def _five_of(run):
    for _ in range(2):
        run()
    return lambda: {"value": seconds(lambda: [run() for _ in range(5)]) / 5}


def torch_step(torch, params: dict, tokens: np.ndarray, heads: int):
    """The same model and optimizer in PyTorch, with the fused functions that its users call."""
    F = torch.nn.functional
    leaves: list = []

    def parameter(tree):
        if isinstance(tree, dict):
            return {key: parameter(value) for key, value in tree.items()}
        if isinstance(tree, list):
            return [parameter(value) for value in tree]
        leaves.append(torch.nn.Parameter(torch.from_numpy(tree.copy())))
        return leaves[-1]

    p = parameter(params)
    optimizer = torch.optim.AdamW(leaves, lr=RATE, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=DECAY)
    data = torch.from_numpy(tokens.astype(np.int64))

    def norm(x, q):
        return F.layer_norm(x, x.shape[-1:], q["scale"], q["shift"])

    def loss():
        x = p["tokens"][data[:, :-1]] + p["positions"]
        batch, context, width = x.shape
        for q in p["layers"]:
            qkv = (norm(x, q["norm1"]) @ q["qkv"]).view(batch, context, 3, heads, width // heads)
            query, key, value = qkv.permute(2, 0, 3, 1, 4)
            mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + mixed.transpose(1, 2).reshape(batch, context, width) @ q["out"]
            hidden = F.gelu(norm(x, q["norm2"]) @ q["mlp_in"] + q["bias_in"], approximate="tanh")
            x = x + hidden @ q["mlp_out"] + q["bias_out"]
        logits = norm(x, p["norm"]) @ p["tokens"].T
        return F.cross_entropy(logits.reshape(-1, VOCABULARY), data[:, 1:].reshape(-1))

    def run() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return run
