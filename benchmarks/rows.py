"""The rows of the bench: what is measured, against whom, and the ceiling that Canter has to keep."""

from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(frozen=True)
class Row:
    """One figure.

    `workload` names the function that measures it, and `field` the entry of that function's answer when it measures
    several figures at once. `ceiling` bounds Canter's median divided by JAX's, and `torch_ceiling` the one divided by
    PyTorch's; in a growth row it bounds how much dearer an equation gets for Canter in a longer program. None:
    reported without a ceiling. `alias` is a second name to ask for the row by.

    A row with `each` has a workload of many calls, one field a call. Its figure is the median of their ratios, and no
    single ratio may be above `each`, nor above the ceiling that `families` gives to a call's family: that is what
    stands before the colon in its name.
    """

    name: str
    title: str
    unit: str
    ceiling: float | None
    workload: str
    field: str = "value"
    peers: tuple[str, ...] = ("jax",)
    fresh: bool = False  # one new process a sample
    growth: bool = False
    each: float | None = None
    families: tuple[tuple[str, float], ...] = ()
    rounds: int = 7
    torch_ceiling: float | None = None
    alias: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What the row can be asked for by."""
        return (self.name, self.alias) if self.alias else (self.name,)

    def ceiling_of(self, call: str) -> float | None:
        """The ceiling of one call of a row with `each`."""
        return dict(self.families).get(call.split(":")[0], self.each)


def _row(name: str, title: str, unit: str, ceiling: float | None, workload: str = "", **more) -> Row:
    return Row(name, title, unit, ceiling, workload or name, **more)


WITH_TORCH = ("jax", "torch")
CALL_ROUNDS = 31  # of the rows that time single calls: samples are short, and the noise is large

FAST_FAMILIES = ("concatenate", "where", "stack", "zeros", "arange", "index", "at", "split", "normal")

ROWS = (
    _row(
        "import", "import the package and its numpy module", "s", 0.35, "startup", field="import", fresh=True
    ),
    _row("first_result", "process start to the first jitted result", "s", 0.55, "startup", fresh=True),
    _row(
        "memory", "peak memory at the first jitted result", "MB", 0.9, "startup", field="memory", fresh=True
    ),
    _row("trace_lax", "trace, per equation, lax calls", "us", 0.5),
    _row("trace_numpy", "trace, per call, numpy calls", "us", 0.35),
    _row("trace_jvp", "trace of jvp, per forward equation", "us", 0.4),
    _row("trace_vmap", "trace of vmap, per equation", "us", 0.5),
    _row("trace_grad", "trace of grad, per forward equation", "us", 0.18),
    _row("lower", "lower, per equation", "us", 0.35),
    _row("gpt_trace", "GPT step, 12 layers: trace", "s", 0.35, "gpt12", field="trace", fresh=True, rounds=7),
    _row("gpt_lower", "GPT step, 12 layers: lower", "s", 0.35, "gpt12", field="lower", fresh=True, rounds=7),
    _row(
        "gpt_compile",
        "GPT step, 12 layers: compile",
        "s",
        None,
        "gpt12",
        field="compile",
        fresh=True,
        rounds=7,
    ),
    _row("compile_gpt12", "GPT step, 12 layers: lower and compile", "s", 0.3, fresh=True, rounds=2),
    _row("compile_fast", 'the same with effort="fast"', "s", None, peers=(), fresh=True, rounds=1),
    _row("compile_gpt24", "GPT step, 24 layers: lower and compile", "s", 0.15, fresh=True, rounds=1),
    _row(
        "compile_wide12",
        "GPT step, 12 layers of width 256: lower and compile",
        "s",
        0.3,
        fresh=True,
        rounds=1,
    ),
    _row(
        "compile_growth",
        "GPT step: compile 24 layers, in times of 12 layers",
        "s",
        2.2,
        peers=(),
        fresh=True,
        growth=True,
        rounds=2,
    ),
    _row(
        "compile_scan24",
        "GPT step, 24 layers: compile, in times of a scan",
        "s",
        1.5,
        peers=(),
        fresh=True,
        growth=True,
        rounds=2,
    ),
    _row(
        "compile_outlining",
        "GPT step, 12 layers: search for repetitions, in times of the trace",
        "ms",
        0.1,
        peers=(),
        growth=True,
        rounds=3,
    ),
    _row("compile_rnn", "grad of an RNN of 200 steps: lower and compile", "s", 0.3, fresh=True, rounds=1),
    _row("compile_ode", "grad of a solver of 50 steps: lower and compile", "s", 0.3, fresh=True, rounds=1),
    _row("compile_resnet", "grad of 50 residual blocks: lower and compile", "s", 1.0, fresh=True, rounds=2),
    _row("compile_adam", "Adam over 1,000 leaves: lower and compile", "s", 0.3, fresh=True, rounds=1),
    _row(
        "gpt_step",
        "GPT step, 12 layers: run",
        "ms",
        1.0,
        "gpt12",
        field="step",
        fresh=True,
        rounds=7,
        alias="step_gpt12",
    ),
    _row(
        "gpt4_step",
        "GPT step, 4 layers of width 256: run",
        "ms",
        0.8,
        peers=WITH_TORCH,
        rounds=7,
        torch_ceiling=1.0,
        alias="step_gpt4",
    ),
    _row("step_mlp", "MLP training step: run", "ms", 1.0, peers=WITH_TORCH, rounds=15, torch_ceiling=1.0),
    _row(
        "step_convnet",
        "conv net training step: run",
        "ms",
        1.0,
        peers=WITH_TORCH,
        rounds=15,
        torch_ceiling=1.0,
    ),
    _row("nested_gpt", "vmap of jvp of grad of checkpoint of a GPT: trace", "s", 0.35, rounds=5),
    _row("export_gpt", "GPT step, 12 layers: export and serialize", "s", 0.35, rounds=5),
    _row(
        "artifact_size",
        "GPT step, 12 layers: size of the artifact",
        "MB",
        1.0,
        "export_gpt",
        field="size",
        rounds=5,
    ),
    _row("load_artifact", "process start to the first result of an artifact", "s", 0.5, fresh=True),
    _row("cache_warm", "warm process start to the first GPT-12 training step", "s", 0.3, rounds=7),
    _row("cache_hits", "1,000 random programs that another process finds", "x", None, peers=(), rounds=1),
    _row(
        "cache_race", "50 programs of 8 processes at once that a ninth finds", "x", None, peers=(), rounds=1
    ),
    _row("scan_grad", "grad of a scan, 600 steps of 60 scalars, in runs of the scan", "x", 0.3, rounds=9),
    _row("scan_growth", "trace and lower a scan's grad, 250 to 8,000 steps: growth", "ms", 1.3, growth=True),
    _row("jit_scalar", "call of a jitted function, scalar", "us", 1.0, rounds=CALL_ROUNDS),
    _row("jit_dict50", "call of a jitted function, dict of 50 arrays", "us", 1.0, rounds=CALL_ROUNDS),
    _row("jit_dict2000", "call of a jitted function, dict of 2,000 arrays", "us", 1.0, rounds=CALL_ROUNDS),
    _row("eager_add", "eager x + y", "us", 1.0, peers=WITH_TORCH, rounds=CALL_ROUNDS),
    _row("eager_index", "eager x[i]", "us", 0.12, peers=WITH_TORCH, rounds=CALL_ROUNDS),
    _row("eager_set", "eager x.at[0].set(1)", "us", 0.1, peers=WITH_TORCH, rounds=CALL_ROUNDS),
    _row("eager_grad", "eager grad(sin)(1.0)", "us", 0.15, peers=WITH_TORCH, rounds=CALL_ROUNDS),
    _row(
        "eager_calls",
        "eager calls, 120 common ones: median of the ratios",
        "us",
        0.7,
        each=1.3,
        families=tuple((name, 0.5) for name in FAST_FAMILIES),
        rounds=8,
    ),
    _row("sharded_call", "call of a jitted function, an array over 8 devices", "us", 1.0, rounds=CALL_ROUNDS),
    _row(
        "sharded_call20", "call of a jitted function, 20 arrays over 8 devices", "us", 1.0, rounds=CALL_ROUNDS
    ),
    _row("sharded_put", "device_put of 64 MB to 8 devices", "ms", 1.0, rounds=15),
    _row("sharded_map", "shard_map over 8 devices: trace and lower", "ms", 0.35, rounds=9),
    _row("sharded_step", "GPT step, 4 layers, over 8 devices: run", "ms", 1.0, rounds=5),
    _row("grow_trace", "trace, 250 to 8,000 equations: growth", "us", 1.3, growth=True, rounds=9),
    _row("grow_grad", "grad, 250 to 8,000 equations: growth", "us", 1.3, growth=True, rounds=9),
    _row("grow_vmap", "vmap, 250 to 8,000 equations: growth", "us", 1.3, growth=True, rounds=9),
    _row("grow_lower", "lower, 250 to 8,000 equations: growth", "us", 1.3, growth=True, rounds=9),
)

UNITS = {
    "s": 1.0,
    "ms": 1e3,
    "us": 1e6,
    "MB": 1.0,
    "x": 1.0,
}  # from what workloads answer: seconds, megabytes, ratios


def select(patterns: str) -> list[Row]:
    """The rows that a comma-separated list of names, beginnings of names or patterns asks for."""
    wanted = [pattern.strip() for pattern in patterns.split(",") if pattern.strip()]
    if wanted == ["all"]:
        return list(ROWS)
    exact = {name for row in ROWS for name in row.names}
    unknown = [w for w in wanted if not any(_matches(row, w, exact) for row in ROWS)]
    if unknown or not wanted:
        raise ValueError(
            f"no row {', '.join(unknown) or patterns!r}; there are: {', '.join(row.name for row in ROWS)}"
        )
    return [row for row in ROWS if any(_matches(row, w, exact) for w in wanted)]


def _matches(row: Row, wanted: str, exact: set[str]) -> bool:
    pattern = wanted if wanted in exact else f"{wanted}*"
    return any(fnmatch(name, pattern) for name in row.names)
