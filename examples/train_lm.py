"""Train a small language model from scratch in plain Canter, and let it write.

The model is a byte-level GPT: it reads some bytes of English and says which byte comes next. The text is the language
reference that every Python installation carries in `pydoc_data.topics`, so nothing is downloaded. Run `make demo`, or

    python examples/train_lm.py --size small --steps 400 --seed 0 --data my_text.txt

The same program runs on many devices; where there are none, the CPU plays them:

    python examples/train_lm.py --mesh data=4,model=2 --save-every 100
    python examples/train_lm.py --mesh fsdp=8 --restore demo-output/step-100
    python examples/train_lm.py --mesh data=4,model=2 --processes 2

Everything is a function of arrays: parameters are a dictionary, the optimizer is a page, and Canter's transformations
do the rest. `vmap` turns functions of one head and of one sequence into functions of many, `grad` differentiates the
loss, `scan` runs the layers and the training steps, `jit` compiles the lot. How arrays are spread over the devices of a
mesh is said by partition specs, a line each: PARTITIONS. The rest knows of one device.
"""

import argparse
import functools
import math
import os
import pathlib
import subprocess
import sys
import time
from typing import Any, NamedTuple, NoReturn

import checkpoint  # beside this file
import devices
import numpy as np

import canter as ct
import canter.numpy as cnp
from canter import P, export, lax, nn, random

Params = dict[str, Any]
Losses = dict[int, float]  # by step


class Size(NamedTuple):
    layers: int
    width: int
    heads: int
    context: int  # bytes that the model sees
    batch: int


SIZES = {
    "tiny": Size(layers=2, width=32, heads=2, context=32, batch=8),
    "small": Size(layers=3, width=128, heads=4, context=64, batch=16),
    "medium": Size(layers=6, width=256, heads=8, context=256, batch=16),
    "large": Size(layers=12, width=512, heads=8, context=512, batch=16),
}
STEPS_PER_CALL = 10
VOCABULARY = 256  # every byte is a token
SAMPLE_LENGTH = 400


# Over what mesh axes each dimension of a parameter is divided. Along `data` there are examples only, and every device
# has all parameters; along `fsdp` there are examples and parameters, which are gathered when they are needed; along
# `model` devices share the work on one example, by whole heads and by units of the hidden layers.
PARTITIONS: Params = {
    "bytes": P(("model", "fsdp")),
    "positions": P(),
    "layers": {
        "attention_scale": P(),
        "qkv": P(None, "fsdp", "model"),
        "attention_out": P(None, "model", "fsdp"),
        "mlp_scale": P(),
        "mlp_in": P(None, "fsdp", "model"),
        "mlp_out": P(None, "model", "fsdp"),
    },
    "final_scale": P(),
}
MOMENTS = {
    "step": P(),
    "mean": PARTITIONS,
    "square": PARTITIONS,
}  # the optimizer's state lies as the parameters do
BATCH = P(("data", "fsdp"))


# --- the model -------------------------------------------------------------------------------------------------------


def init_params(key: ct.Array, size: Size) -> Params:
    """Random parameters. Those of the layers are stacked on a leading axis, for `scan` to walk over."""
    width, layers = size.width, size.layers
    keys = iter(random.split(key, 6))

    def normal(*shape: int, scale: float) -> ct.Array:
        return scale * random.normal(next(keys), shape)

    into_stream = 0.02 / math.sqrt(2 * layers)  # keeps the sum over all layers at the size of one
    return {
        "bytes": normal(VOCABULARY, width, scale=0.02),
        "positions": normal(size.context, width, scale=0.02),
        "layers": {
            "attention_scale": cnp.ones((layers, width)),
            "qkv": normal(layers, width, 3 * width, scale=0.02),
            "attention_out": normal(layers, width, width, scale=into_stream),
            "mlp_scale": cnp.ones((layers, width)),
            "mlp_in": normal(layers, width, 4 * width, scale=0.02),
            "mlp_out": normal(layers, 4 * width, width, scale=into_stream),
        },
        "final_scale": cnp.ones(width),
    }


def normalize(x: ct.Array, scale: ct.Array) -> ct.Array:
    """Root-mean-square normalization over the last axis."""
    return x * lax.rsqrt(cnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale


def attend(query: ct.Array, key: ct.Array, value: ct.Array) -> ct.Array:
    """Causal attention of one head: [time, depth] arrays in, one out."""
    time_steps, depth = query.shape
    scores = query @ key.T / math.sqrt(depth)
    seen = cnp.tril(cnp.ones((time_steps, time_steps), bool))
    return nn.softmax(cnp.where(seen, scores, -1e9)) @ value


def block(x: ct.Array, layer: Params, heads: int) -> ct.Array:
    """One transformer layer on one sequence: [time, width] -> [time, width]."""
    time_steps, width = x.shape
    # Heads before the three: devices that share the columns of the weights then have whole heads.
    qkv = (normalize(x, layer["attention_scale"]) @ layer["qkv"]).reshape(
        time_steps, heads, 3, width // heads
    )
    mixed = ct.vmap(attend, in_axes=1, out_axes=1)(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
    x = x + mixed.reshape(time_steps, width) @ layer["attention_out"]
    hidden = nn.gelu(normalize(x, layer["mlp_scale"]) @ layer["mlp_in"])
    return x + hidden @ layer["mlp_out"]


def predict(params: Params, tokens: ct.Array, heads: int) -> ct.Array:
    """Logits of the byte after each of `tokens`: i32[time] -> f32[time, 256]."""
    x = params["bytes"][tokens] + params["positions"][: len(tokens)]
    # Unrolled, because XLA can fuse across the few layers; a deep model compiles sooner as a loop.
    x, _ = lax.scan(lambda x, layer: (block(x, layer, heads), None), x, params["layers"], unroll=True)
    return normalize(x, params["final_scale"]) @ params["bytes"].T


def sequence_loss(params: Params, tokens: ct.Array, heads: int) -> ct.Array:
    """Mean cross-entropy in nats per byte of one sequence."""
    log_probabilities = nn.log_softmax(predict(params, tokens[:-1], heads))
    return -cnp.mean(cnp.take_along_axis(log_probabilities, tokens[1:, None], axis=-1))


def loss(params: Params, batch: ct.Array, heads: int) -> ct.Array:
    return cnp.mean(ct.vmap(sequence_loss, in_axes=(None, 0, None))(params, batch, heads))


# --- the optimizer ---------------------------------------------------------------------------------------------------


class AdamW(NamedTuple):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), gradient clipping and a cosine schedule."""

    total_steps: int
    peak_rate: float = 4e-3
    beta1: float = 0.9
    beta2: float = 0.98
    decay: float = 0.1
    clip: float = 1.0

    def init(self, params: Params) -> dict[str, Any]:
        zeros = ct.tree.map(cnp.zeros_like, params)
        return {"step": cnp.zeros((), cnp.int32), "mean": zeros, "square": zeros}

    def rate(self, step: ct.Array) -> ct.Array:
        """A short linear warm-up, then a cosine down to a twentieth of the peak."""
        warmup = min(50, self.total_steps // 10 + 1)
        progress = cnp.clip((step - warmup) / max(1, self.total_steps - warmup), 0.0, 1.0)
        cosine = 0.05 + 0.95 * 0.5 * (1 + cnp.cos(math.pi * progress))
        return self.peak_rate * cosine * cnp.minimum(1.0, step / warmup)

    def update(self, params: Params, grads: Params, state: dict[str, Any]) -> tuple[Params, dict[str, Any]]:
        step = state["step"] + 1
        norm = cnp.sqrt(sum(cnp.sum(g * g) for g in ct.tree.leaves(grads)))
        grads = ct.tree.map(lambda g: g * cnp.minimum(1.0, self.clip / (norm + 1e-6)), grads)
        mean = ct.tree.map(lambda m, g: self.beta1 * m + (1 - self.beta1) * g, state["mean"], grads)
        square = ct.tree.map(lambda s, g: self.beta2 * s + (1 - self.beta2) * g * g, state["square"], grads)
        rate, unbias1, unbias2 = self.rate(step), 1 - self.beta1**step, 1 - self.beta2**step

        def move(p: ct.Array, m: ct.Array, s: ct.Array) -> ct.Array:
            direction = (m / unbias1) / (cnp.sqrt(s / unbias2) + 1e-8)
            return p - rate * (direction + self.decay * p * (p.ndim > 1))  # matrices decay, scales don't

        params = ct.tree.map(move, params, mean, square)
        return params, {"step": step, "mean": mean, "square": square}


# --- training --------------------------------------------------------------------------------------------------------


def windows(text: ct.Array, starts: ct.Array, length: int) -> ct.Array:
    """The pieces of `text` that begin at `starts`, [batch, length], divided over the devices."""
    pieces = ct.vmap(lambda start: lax.dynamic_slice(text, (start,), (length,)))(starts)
    return lax.with_sharding_constraint(pieces, BATCH)


def make_starter(size: Size, optimizer: AdamW) -> Any:
    """A compiled function key -> (params, state), each part of which is made on the device that keeps it."""

    @functools.partial(ct.jit, out_shardings=(PARTITIONS, MOMENTS))
    def start(key: ct.Array) -> Any:
        params = init_params(key, size)
        return params, optimizer.init(params)

    return start


def make_trainer(size: Size, optimizer: AdamW) -> Any:
    """A compiled function that does one step a key: (params, state, keys, text) -> (params, state, mean loss)."""

    def step(carry: Any, key: ct.Array, text: ct.Array) -> Any:
        params, state = carry
        starts = random.randint(key, (size.batch,), 0, len(text) - size.context)
        batch = windows(text, starts, size.context + 1)
        value, grads = ct.value_and_grad(loss)(params, batch, size.heads)
        return optimizer.update(params, grads, state), value

    @functools.partial(ct.jit, donate_argnums=(0, 1), out_shardings=(PARTITIONS, MOMENTS, P()))
    def train(params: Params, state: Any, keys: ct.Array, text: ct.Array) -> Any:
        (params, state), losses = lax.scan(lambda carry, key: step(carry, key, text), (params, state), keys)
        return params, state, cnp.mean(losses)

    return train


def make_evaluator(size: Size, batches: int = 16) -> Any:
    """A compiled function (params, text) -> mean loss over windows spread evenly over `text`."""

    @ct.jit
    def evaluate(params: Params, text: ct.Array) -> ct.Array:
        spread = np.linspace(0, len(text) - size.context - 1, batches * size.batch).astype(np.int32)

        def batch_loss(starts: ct.Array) -> ct.Array:
            return loss(params, windows(text, starts, size.context + 1), size.heads)

        return cnp.mean(lax.map(batch_loss, spread.reshape(batches, size.batch)))

    return evaluate


def bigram_loss(train: np.ndarray, validation: np.ndarray) -> float:
    """Nats per byte of the best add-constant bigram model: what counting pairs of bytes on the same split achieves."""
    pairs = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(pairs, (train[:-1], train[1:]), 1)

    def cross_entropy(smoothing: float) -> float:
        smooth = pairs + smoothing
        probabilities = smooth / smooth.sum(axis=1, keepdims=True)
        return float(-np.log(probabilities[validation[:-1], validation[1:]]).mean())

    return min(cross_entropy(smoothing) for smoothing in (1.0, 0.1, 0.01, 0.001))


def learn(options: argparse.Namespace, size: Size, text: np.ndarray, output: pathlib.Path) -> Any:
    """Train on the mesh in force: (params, training losses, validation losses)."""
    split = len(text) * 9 // 10
    train_text, validation_text = cnp.asarray(text[:split]), cnp.asarray(text[split:])
    init_key, train_key = random.split(random.key(options.seed))
    optimizer = AdamW(total_steps=options.steps)
    start, train, evaluate = (
        make_starter(size, optimizer),
        make_trainer(size, optimizer),
        make_evaluator(size),
    )
    begin = 0
    if options.restore is None:
        params, state = start(init_key)
    else:
        like = laid_out(ct.eval_shape(start, init_key), (PARTITIONS, MOMENTS))
        try:
            begin = checkpoint.step_of(options.restore)
            params, state = checkpoint.load(options.restore, like)
        except (OSError, ValueError, KeyError) as error:
            fail(f"cannot restore {options.restore}: {error}")
        if begin >= options.steps:
            fail(
                f"{options.restore} has done {begin} steps already; --steps {options.steps} asks for no more"
            )

    train_losses: Losses = {}
    validation_losses = {begin: float(evaluate(params, validation_text))}
    print(f"step {begin:5d}  validation loss {validation_losses[begin]:.3f}", flush=True)
    keys = random.split(train_key, options.steps)
    report_every = max(1, options.steps // 12)
    clock_start = clock = time.perf_counter()
    reported = begin
    for first in range(begin, options.steps, STEPS_PER_CALL):
        params, state, value = train(params, state, keys[first : first + STEPS_PER_CALL], train_text)
        step = min(first + STEPS_PER_CALL, options.steps)
        train_losses[step] = float(value)
        if step - reported >= report_every or step == options.steps:
            speed = (step - reported) * size.batch * size.context / (time.perf_counter() - clock)
            validation_losses[step] = float(evaluate(params, validation_text))
            print(
                f"step {step:5d}  loss {train_losses[step]:.3f}  validation loss {validation_losses[step]:.3f}"
                f"  {speed:8,.0f} tokens/s  {time.perf_counter() - clock_start:4.0f} s",
                flush=True,
            )
            clock, reported = time.perf_counter(), step
        if options.save_every and step // options.save_every > first // options.save_every:
            checkpoint.save(output / f"step-{step}", (params, state), step)
    return params, train_losses, validation_losses


def laid_out(shapes: Any, specs: Any) -> Any:
    """Types of arrays, with specs over the mesh in force."""
    mesh = ct.sharding.get_mesh()
    return ct.tree.map(lambda a, spec: a.update(sharding=ct.NamedSharding(mesh, spec)), shapes, specs)


# --- writing text ----------------------------------------------------------------------------------------------------


def make_sampler(size: Size, length: int, temperature: float = 0.7) -> Any:
    """A function (params, window, filled, key) -> `length` bytes, each drawn from the model's prediction.

    The model sees the first `filled` bytes of `window`, and what it wrote itself, as far as the context reaches.
    """

    def sample(params: Params, window: ct.Array, filled: ct.Array, key: ct.Array) -> ct.Array:
        def next_byte(carry: Any, key: ct.Array) -> Any:
            window, filled = carry
            logits = predict(params, window, size.heads)[filled - 1]
            byte = random.categorical(key, logits / temperature).astype(cnp.int32)
            full = filled == size.context
            window = cnp.where(full, cnp.roll(window, -1), window)
            filled = cnp.where(full, filled, filled + 1)
            return (window.at[filled - 1].set(byte), filled), byte

        return lax.scan(next_byte, (window, filled), random.split(key, length))[1].astype(cnp.uint8)

    return sample


def generate(params: Params, size: Size, prompt: bytes, length: int, seed: int) -> bytes:
    """Continue `prompt`, or the part of it that the model can see, by `length` bytes."""
    prompt = prompt[-size.context :]
    window = np.zeros(size.context, np.int32)
    window[: len(prompt)] = np.frombuffer(prompt, np.uint8)
    sample = ct.jit(make_sampler(size, length))
    return bytes(np.asarray(sample(params, window, np.int32(len(prompt)), random.key(seed))))


def export_sampler(path: pathlib.Path, params: Params, size: Size, length: int) -> None:
    """Write the sampler, with the parameters inside, as an artifact that `write_text.py` runs without this file."""
    sample = ct.jit(functools.partial(make_sampler(size, length), params))
    window = ct.ShapeDtypeStruct((size.context,), cnp.int32)
    filled = ct.ShapeDtypeStruct((), cnp.int32)
    exported = export.export(sample)(window, filled, random.key(0))
    path.write_bytes(exported.serialize())


def write_elsewhere(path: pathlib.Path, prompt: str, seed: int) -> bytes:
    """What the artifact writes, in a process of its own that has never seen the model."""
    script = pathlib.Path(__file__).with_name("write_text.py")
    command = [sys.executable, str(script), str(path), "--prompt", prompt, "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE)
    if done.returncode:
        fail(f"{script.name} ended with exit code {done.returncode}")
    return done.stdout


# --- text, files, command line ---------------------------------------------------------------------------------------


def fail(message: str) -> NoReturn:
    sys.exit(f"train_lm: {message}")


def check_divides(mesh: dict[str, int], size: Size) -> None:
    """Ends the program where the devices of a mesh cannot share a model equally."""
    shares = [
        ("heads", size.heads, ("model",)),
        ("columns", size.width, ("fsdp",)),
        ("bytes", VOCABULARY, ("model", "fsdp")),
        ("sequences in a batch", size.batch, ("data", "fsdp")),
    ]
    for what, count, axes in shares:
        parts = math.prod(mesh[axis] for axis in axes)
        if count % parts:
            fail(
                f"argument --mesh: {count} {what} cannot be shared equally by {'*'.join(axes)} = {parts} devices"
            )


def read_text(path: str | None, context: int) -> np.ndarray:
    """The bytes to learn from: those of the file, or the language reference inside Python itself."""
    if path is None:
        from pydoc_data.topics import topics

        # Long topics repeat whole paragraphs of short ones. Each is kept once, so that what the model is
        # validated on has not been seen in training.
        paragraphs = [p.strip("\n") for topic in sorted(topics) for p in topics[topic].split("\n\n")]
        content = "\n\n".join(dict.fromkeys(paragraphs)).encode()
    else:
        try:
            content = pathlib.Path(path).read_bytes()
        except OSError as error:
            fail(f"cannot read {path}: {error.strerror}")
    if len(content) < 20 * (context + 1):
        fail(f"{path} has {len(content)} bytes; a context of {context} needs {20 * (context + 1)} or more")
    return np.frombuffer(content, np.uint8).astype(np.int32)


def save_params(path: pathlib.Path, params: Params) -> None:
    """One array a leaf, under the name of its path in the tree."""
    leaves, _ = ct.tree_util.tree_flatten_with_path(params)
    arrays: Params = {ct.tree_util.keystr(where): np.asarray(leaf) for where, leaf in leaves}
    np.savez(path, **arrays)


def load_params(path: pathlib.Path, like: Params) -> Params:
    """Parameters of the structure of `like` from the file that `save_params` wrote."""
    with np.load(path) as file:
        return ct.tree_util.tree_map_with_path(
            lambda where, _: cnp.asarray(file[ct.tree_util.keystr(where)]), like
        )


def plot(path: pathlib.Path, train: dict[int, float], validation: dict[int, float], bigram: float) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.plot(list(train), list(train.values()), label="training", alpha=0.7)
    axes.plot(list(validation), list(validation.values()), "o-", label="validation", markersize=3)
    axes.axhline(bigram, linestyle="--", color="gray", label="bigram model, validation")
    axes.set(xlabel="step", ylabel="loss, nats per byte", title="Byte-level language model")
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(f"{message} (see --help)")


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    def at_least(low: int, what: str) -> Any:
        def convert(text: str) -> int:
            if not text.isdecimal() or int(text) < low:
                raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
            return int(text)

        return convert

    def mesh(text: str) -> dict[str, int]:
        try:
            return devices.parse_mesh(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser = Parser(description="Train a byte-level language model in plain Canter.")
    parser.add_argument("--size", choices=SIZES, default="small", help="of the model (default: small)")
    parser.add_argument("--steps", type=at_least(1, "a number of steps"), default=1000, help="of training")
    parser.add_argument("--seed", type=at_least(0, "a seed (0 or more)"), default=0, help="of all randomness")
    parser.add_argument("--data", help="a file to learn from (default: the reference inside Python)")
    parser.add_argument("--prompt", default="The Python ", help="what the sample begins with")
    parser.add_argument("--output", default="demo-output", help="folder for curve and checkpoint")
    parser.add_argument("--mesh", type=mesh, help="devices by axis, such as data=4,model=2 (default: one)")
    parser.add_argument(
        "--processes", type=at_least(1, "a number of processes"), default=1, help="on this machine"
    )
    parser.add_argument(
        "--save-every", type=at_least(1, "a number of steps"), help="write OUTPUT/step-N/ this often"
    )
    parser.add_argument("--restore", type=pathlib.Path, help="a folder step-N to go on from, of any mesh")
    options = parser.parse_args(arguments)
    if options.mesh is None:
        options.mesh = mesh(f"data={options.processes}")
    if math.prod(options.mesh.values()) % options.processes:
        parser.error(f"argument --processes: {options.processes} cannot share the mesh's devices equally")
    if not options.prompt:
        parser.error("argument --prompt: must not be empty")
    return options


def main() -> None:
    options = parse_options()
    size = SIZES[options.size]
    check_divides(options.mesh, size)
    text = read_text(options.data, size.context)
    output = pathlib.Path(options.output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("MPLCONFIGDIR", str(output))
        import matplotlib  # noqa: F401 - better missed now than after the training
    except OSError as error:
        fail(f"cannot write to {output}: {error.strerror}")
    except ImportError:
        fail("matplotlib is missing: pip install 'canter[demo]'")
    try:
        if devices.is_one_of_several():
            devices.meet()
        elif options.processes > 1:
            sys.exit(devices.run_processes(options.processes))
        mesh = devices.make_mesh(options.mesh, options.processes)
    except ValueError as error:
        fail(f"argument --mesh: {error}")

    split = len(text) * 9 // 10
    bigram = bigram_loss(text[:split], text[split:])
    count = sum(
        leaf.size
        for leaf in ct.tree.leaves(ct.eval_shape(functools.partial(init_params, size=size), random.key(0)))
    )
    print(f"{count:,} parameters, {split:,} bytes to learn from, {len(text) - split:,} to validate on")
    print(f"bigram model, validation loss {bigram:.3f} nats per byte", flush=True)
    with ct.set_mesh(mesh):
        params, train_losses, validation_losses = learn(options, size, text, output)
        params = ct.tree.map(np.asarray, ct.device_put(params, P()))  # whole, from all devices
    if ct.process_index() > 0:
        return  # the first process writes the results
    final = validation_losses[max(validation_losses)]
    print(f"validation loss {final:.3f} nats per byte; the bigram model's {bigram:.3f}")
    archive, curve = output / "checkpoint.npz", output / "loss.png"
    save_params(archive, params)
    restored = load_params(archive, params)
    assert all(ct.tree.leaves(ct.tree.map(cnp.array_equal, params, restored))), "the checkpoint differs"
    plot(curve, train_losses, validation_losses, bigram)
    print(f"wrote {curve} and {archive}, which was read back and is equal")
    artifact = output / "model.canter"
    export_sampler(artifact, restored, size, SAMPLE_LENGTH)
    sample = generate(restored, size, options.prompt.encode(), SAMPLE_LENGTH, options.seed)
    written = write_elsewhere(artifact, options.prompt, options.seed)
    assert written == options.prompt.encode() + sample, "the exported model writes another text"
    print(f"wrote {artifact}, which wrote this in a process without the model, as the model does itself")
    print("--- a sample " + "-" * 60, flush=True)
    print(written.decode(errors="replace"))


if __name__ == "__main__":
    main()
