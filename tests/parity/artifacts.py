"""Exported programs as files, written and read by either framework.

In an environment that has the framework, from the root of the repository:

    python -m tests.parity.artifacts write jax tests/data/artifacts      # adds what is not there yet
    python -m tests.parity.artifacts write canter tests/data/artifacts
    python -m tests.parity.artifacts check jax tests/data/artifacts      # runs every file there

A program NAME gives NAME.FRAMEWORK-VERSION.bin, and NAME.npz with arguments and results, which the framework that wrote
first computed. `manifest.json` has the digest of each file; what is in it stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import sys
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Point = namedtuple("Point", "x y")


class Tagged:
    """A container with auxiliary data."""

    def __init__(self, value, tag):
        self.value, self.tag = value, tag


class Program(NamedTuple):
    """A function of arrays, and how it is exported."""

    function: Any
    args: tuple
    vjp_order: int = 0
    platforms: tuple[str, ...] | None = None
    x64: bool = False
    devices: int = 1
    shapes: tuple[str | None, ...] | None = None  # of the arguments, with symbolic dimensions
    constraints: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()  # targets of calls that make no promise to stay
    explicit: bool = False  # whether types have the layouts over the mesh of devices
    key: bool = False  # whether the first argument, two words, is to be a random key


def load(framework: str) -> Any:
    """The framework, with the containers of this module registered once."""
    fw = importlib.import_module(framework)
    importlib.import_module(f"{framework}.export")
    if not getattr(fw, "_artifact_containers", False):
        export = fw.export
        fw.tree_util.register_pytree_node(
            Tagged, lambda t: ((t.value,), t.tag), lambda tag, children: Tagged(children[0], tag)
        )
        export.register_pytree_node_serialization(
            Tagged,
            serialized_name="tests.Tagged",
            serialize_auxdata=lambda tag: tag.encode(),
            deserialize_auxdata=lambda data: bytes(data).decode(),
        )
        export.register_namedtuple_serialization(Point, serialized_name="tests.Point")
        fw._artifact_containers = True
    return fw


def programs(fw: Any) -> dict[str, Program]:
    """The programs of the corpus, in array code of either framework."""
    np_ = importlib.import_module(f"{fw.__name__}.numpy")
    lax, nn = fw.lax, fw.nn
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    def mlp(params, x):
        for weight, bias in params[:-1]:
            x = np_.tanh(x @ weight + bias)
        return x @ params[-1][0] + params[-1][1]

    def attention(x, weights):
        q, k, v = (np_.einsum("td,dhe->hte", x, weights[name]) for name in "qkv")
        scores = np_.where(np_.tri(6, dtype=bool), q @ k.swapaxes(-1, -2) / 2.0, -1e9)
        return np_.einsum("hte,hed->td", nn.softmax(scores) @ v, weights["o"])

    def random_numbers(words):
        key = fw.random.wrap_key_data(words)
        first, second = fw.random.split(key)
        return fw.random.normal(first, (4,)), fw.random.randint(second, (5,), 0, 100)

    def linalg(a, b):
        square = a @ a.T + 4 * np_.eye(4)
        q, r = np_.linalg.qr(a)
        return np_.linalg.solve(square, b), np_.linalg.cholesky(square), np_.linalg.eigvalsh(square), q @ r

    def control_flow(x, n):
        total, steps = lax.scan(lambda c, row: (c + row, c * row), x[0], x)
        power = lax.fori_loop(0, n, lambda i, c: c * 1.5 + i, total)
        root = lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, (c[1] + 2.0 / c[1]) / 2), (0, 1.0))[1]
        return lax.cond(power.sum() > 0, lambda p: p + root, lambda p: p - root, power), steps

    def containers(point, tagged, ordered, plain):
        total = point.x + point.y[0] + tagged.value + ordered["b"] + plain["k"][0]
        return Point(total, {"t": Tagged(total * 2, tagged.tag), "n": None}), [ordered["a"] - total, ()]

    def dtypes(x):
        whole = (x * 10).astype("int32")
        return (
            x.astype("bfloat16") * 2, whole.astype("int8"), whole > 3, x + 1j * x, whole.astype("uint16") << 1,
            x.astype("float16").sum(),
        )  # fmt: skip

    def convolution(x, kernel):
        y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME")
        return lax.reduce_window(nn.relu(y), -np.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def indexing(x, i):
        return x[i], x.at[i].add(1.0), np_.sort(x, axis=0), np_.argmax(x, axis=1), np_.cumsum(x, axis=0)

    def sharded(x, weight):
        return np_.sin(x) @ weight

    def symbolic_shapes(x):
        rows, columns = x.shape
        return (
            x.reshape(-1) * rows, np_.arange(columns), x[:-1, ::2], np_.concatenate([x, x[:1]], 0).mean(0),
            np_.pad(x, ((0, 1), (rows, 0))), np_.cumsum(x, 1), x @ x.T / columns, np_.where(x > 0, x, columns),
        )  # fmt: skip

    def symbolic_loops(x, y):
        rows = lax.scan(lambda c, row: (c + row, c.sum()), np_.zeros(x.shape[1]), x)
        grown = lax.fori_loop(0, x.shape[0], lambda i, z: z + i * x[i], y)
        return rows, grown, lax.cond(y.sum() > 0, lambda z: z * 2, lambda z: z - z.shape[0], y)

    def symbolic_indexing(x, i):
        return (
            x[i],
            x[-1],
            x.at[i].add(1.0),
            np_.sort(x, axis=0),
            np_.argmax(x, axis=1),
            np_.tril(x),
            np_.flip(x),
        )

    def keys(key, shift):
        first, second = fw.random.split(key)
        return fw.random.fold_in(first, 7), fw.random.normal(second, (4,)) + shift

    def pivoted(a):
        q, r, order = lax.linalg.qr(a, pivoting=True)
        return q @ r, order

    def typed_layouts(x, weight):
        return np_.sin(x) @ weight, (x * 2).sum(0)

    layers = [(normal(5, 8), normal(8)), (normal(8, 8), normal(8)), (normal(8, 3), normal(3))]
    heads = {"q": normal(8, 2, 4), "k": normal(8, 2, 4), "v": normal(8, 2, 4), "o": normal(2, 4, 8)}
    grid = normal(4, 4)
    return {
        "mlp": Program(mlp, (layers, normal(2, 5)), vjp_order=2),
        "attention": Program(attention, (normal(6, 8), heads), vjp_order=1),
        "random": Program(random_numbers, (np.array([3, 5], np.uint32),)),
        "linalg": Program(linalg, (grid, normal(4))),
        "control_flow": Program(control_flow, (normal(3, 4), np.int32(5))),
        "platforms": Program(
            lambda a: np_.linalg.eigvalsh(a + a.T) * 2, (grid,), platforms=("tpu", "cpu", "cuda")
        ),
        "containers": Program(
            containers,
            (
                Point(normal(2), [normal(2)]),
                Tagged(normal(2), "metres"),
                OrderedDict(b=normal(2), a=normal(2)),
                {"k": (normal(2),), "empty": ()},
            ),
            vjp_order=1,
        ),
        "dtypes": Program(dtypes, (normal(3),)),
        "convolution": Program(convolution, (normal(1, 2, 6, 6), normal(3, 2, 3, 3)), vjp_order=1),
        "indexing": Program(indexing, (normal(4, 3), np.array([1, 3], np.int32)), vjp_order=1),
        "float64": Program(lambda x: np_.exp(x) / 3, (np.linspace(0, 1, 4),), vjp_order=1, x64=True),
        "sharded": Program(sharded, (normal(8, 4), normal(4, 4)), vjp_order=1, devices=8),
        "explicit": Program(
            typed_layouts, (normal(8, 4), normal(4, 4)), vjp_order=1, devices=8, explicit=True
        ),
        "keys": Program(keys, (np.array([3, 5], np.uint32), normal(4)), key=True),
        "no_promise": Program(pivoted, (grid,), disabled=("lapack_sgeqp3_ffi",)),
        "symbolic_mlp": Program(mlp, (layers, normal(2, 5)), vjp_order=1, shapes=(None, "batch, _")),
        "symbolic_shapes": Program(
            symbolic_shapes, (normal(3, 4),), shapes=("a, b",), constraints=("a >= 2",)
        ),
        "symbolic_loops": Program(symbolic_loops, (normal(3, 4), normal(4)), shapes=("n, 2*m", "2*m")),
        "symbolic_indexing": Program(
            symbolic_indexing,
            (normal(4, 3), np.array([1, 3], np.int32)),
            shapes=("a, b", "c"),
            constraints=("a >= b + 1", "mod(a, 2) == 0"),
        ),
        "symbolic": Program(
            lambda x, w: (nn.softmax(x @ w), x.reshape(-1), np_.concatenate([x, x]), x.sum(0) / x.shape[0]),
            (normal(3, 4), normal(4, 5)),
            vjp_order=1,
            shapes=("b, d", "d, 5"),
        ),
        "unused": Program(lambda x, y, z: (y * 2, y.shape[0]), (normal(2), normal(3), normal(1))),
    }


def jitted(fw: Any, program: Program) -> Any:
    if program.devices == 1:
        return fw.jit(program.function)
    first, second = shardings(fw, program.explicit)
    outs = None if program.explicit else first  # types say it
    return fw.jit(program.function, in_shardings=(first, second), out_shardings=outs)


def shardings(fw: Any, explicit: bool) -> Any:
    spec, kinds = fw.sharding.PartitionSpec, fw.sharding.AxisType
    kind = kinds.Explicit if explicit else kinds.Auto
    mesh = fw.make_mesh((2, 4), ("x", "y"), axis_types=(kind, kind))
    return fw.NamedSharding(mesh, spec(("x", "y"))), fw.NamedSharding(mesh, spec())


@contextlib.contextmanager
def surroundings(fw: Any, program: Program) -> Any:
    """What a program is run in: 64-bit types, a mesh."""
    with contextlib.ExitStack() as stack:
        if program.x64:
            stack.enter_context(fw.enable_x64(True))
        if program.explicit:
            stack.enter_context(fw.set_mesh(shardings(fw, True)[0].mesh))
        yield


def arguments(fw: Any, program: Program) -> tuple[Any, ...]:
    first, *rest = program.args
    return (fw.random.wrap_key_data(first) if program.key else first, *rest)


def plain(array: Any) -> np.ndarray:
    """An array that `np.savez` can write: others as float32, which holds them exactly; of keys the words."""
    array = np.asarray(array._base_array if hasattr(array, "_base_array") else array)
    return array if array.dtype.isbuiltin == 1 else array.astype(np.float32)


def version_of(fw: Any) -> str:
    return f"{fw.__name__}-{fw.__version__}"


def blob_of(fw: Any, program: Program) -> bytes:
    with surroundings(fw, program):
        args = arguments(fw, program)
        if program.shapes is not None:
            args = fw.export.symbolic_args_specs(args, program.shapes, constraints=program.constraints)
        checks = list(map(fw.export.DisabledSafetyCheck.custom_call, program.disabled))
        export = fw.export.export(jitted(fw, program), platforms=program.platforms, disabled_checks=checks)
        exported = export(*args)
        return bytes(exported.serialize(vjp_order=program.vjp_order))


def write(framework: str, folder: Path) -> None:
    """Adds the artifacts of a framework that are not there yet, and the numbers of programs that have none."""
    fw = load(framework)
    fw.config.update("jax_traceback_in_locations_limit", 0)  # no paths of this machine
    manifest_file = folder / "manifest.json"
    manifest = json.loads(manifest_file.read_text()) if manifest_file.exists() else {}
    for name, program in programs(fw).items():
        numbers, artifact = folder / f"{name}.npz", folder / f"{name}.{version_of(fw)}.bin"
        if not numbers.exists():
            with surroundings(fw, program):
                function = jitted(fw, program)
                results = fw.tree.leaves(function(*arguments(fw, program)))
                gradients = program.vjp_order and derivatives(fw, function, program.args, program.vjp_order)
            arrays = {f"in{i:02}": plain(x) for i, x in enumerate(fw.tree.leaves(program.args))}
            arrays |= {f"out{i:02}": plain(x) for i, x in enumerate(results)}
            arrays |= {f"grad{i:02}": plain(x) for i, x in enumerate(gradients or ())}
            np.savez_compressed(numbers, **arrays)
        if not artifact.exists():
            artifact.write_bytes(blob_of(fw, program))
        for file in (numbers, artifact):
            manifest.setdefault(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    manifest_file.write_text(json.dumps(dict(sorted(manifest.items())), indent=2) + "\n")


def run(fw: Any, program: Program, blob: bytes, numbers: Path) -> str | None:
    """Loads an artifact, runs it on the arguments of a file and compares; says what is wrong, or None."""
    with np.load(numbers) as arrays:
        given = [arrays[n] for n in sorted(arrays.files) if n.startswith("in")]
        expected = [arrays[n] for n in sorted(arrays.files) if n.startswith("out")]
        gradients = [arrays[n] for n in sorted(arrays.files) if n.startswith("grad")]
    with surroundings(fw, program):
        exported = fw.export.deserialize(bytearray(blob))
        if len(given) != len(exported.in_avals):
            return f"{len(given)} arguments in the file, {len(exported.in_avals)} in the artifact"
        if program.key:
            given[0] = fw.random.wrap_key_data(given[0])
        if program.devices > 1:
            mesh = shardings(fw, program.explicit)[0].mesh
            given = [fw.device_put(x, s) for x, s in zip(given, exported.in_shardings_jax(mesh), strict=True)]
        args, kwargs = fw.tree.unflatten(exported.in_tree, given)
        found = fw.tree.leaves(exported.call(*args, **kwargs))
        if len(found) != len(expected):
            return f"{len(found)} results, expected {len(expected)}"
        for position, (x, y) in enumerate(zip(found, expected, strict=True)):
            if not np.allclose(plain(x), y, rtol=3e-5, atol=3e-5):
                return f"result {position} is {plain(x)!r:.300}, expected {y!r:.300}"
        if program.vjp_order:
            found = derivatives(fw, exported.call, args, program.vjp_order)
            for position, (x, y) in enumerate(zip(found, gradients, strict=True)):
                if not np.allclose(plain(x), y, rtol=3e-4, atol=3e-5):
                    return f"gradient {position} is {plain(x)!r:.300}, expected {y!r:.300}"
        elif exported.has_vjp():
            return "there is a derivative that was not written"
    return None


def derivatives(fw: Any, function: Any, args: Any, order: int) -> list[Any]:
    """Gradients of a scalar of the results by all float arguments; then of a scalar of these gradients."""
    np_ = importlib.import_module(f"{fw.__name__}.numpy")
    leaves, tree = fw.tree.flatten(args)
    varied = tuple(i for i, x in enumerate(leaves) if np.issubdtype(np.asarray(x).dtype, np.floating))

    def scalar(results):
        return sum(np_.sum(np_.sin(x)) for x in results if np_.issubdtype(x.dtype, np_.floating))

    def total(*leaves):
        return scalar(fw.tree.leaves(function(*fw.tree.unflatten(tree, leaves))))

    first = fw.jit(fw.grad(total, argnums=varied))
    found = list(first(*leaves))
    if order > 1:
        found += fw.jit(fw.grad(lambda *leaves: scalar(first(*leaves)), argnums=varied))(*leaves)
    return found


def check(framework: str, folder: Path) -> dict[str, str]:
    """Runs every artifact of a folder; gives what is wrong by file name."""
    fw = load(framework)
    known = programs(fw)
    problems = {}
    for artifact in sorted(folder.glob("*.bin")):
        name = artifact.name.partition(".")[0]
        if name not in known:
            continue
        try:
            problem = run(fw, known[name], artifact.read_bytes(), folder / f"{name}.npz")
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            problems[artifact.name] = problem
    return problems


def main() -> None:
    command, framework, folder = sys.argv[1:]
    if command == "write":
        write(framework, Path(folder))
        return
    problems = check(framework, Path(folder))
    print(json.dumps(problems, indent=2))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
    main()
