"""Compile effort: what reaches the compiler, and that programs of different effort are told apart."""

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter.core import config
from canter.runtime import autotuning, effort
from canter_pjrt.jaxlib_door import jaxlib_version

X = np.ones((3, 3), np.float32)


def f(x):
    return cnp.sin(x) @ x


def test_each_effort_is_a_program_of_its_own_and_gives_the_same():
    results = [ct.jit(f, effort=name)(X) for name in effort.EFFORTS]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)


def test_the_configuration_decides_where_jit_does_not():
    g = ct.jit(lambda x: f(x) + 1)
    h = ct.jit(lambda x: f(x) + 2, effort="fast")
    g(X), h(X)
    with config.effort("fast"):
        g(X), h(X)
    g(X), h(X)
    assert g.cache_info()[:2] == (1, 2) and h.cache_info()[:2] == (1, 1)
    assert "effort: default -> fast" in str(g.why_retraced())


def test_levers_reach_the_compiler(monkeypatch):
    from canter_pjrt import compile as compiler

    seen = []
    original = compiler.compile_options

    def spy(*args, **kwargs):
        seen.append(original(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(compiler, "compile_options", spy)
    lowered = ct.jit(lambda x: f(x) * 3).lower(X)
    lowered.compile()
    lowered.compile(effort="fast")
    lowered.compile({"xla_backend_optimization_level": 2}, effort="fast")
    with config.exec_time_optimization_effort(0.5), config.optimization_level("O1"):
        ct.jit(lambda x: f(x) * 4).lower(X).compile()
    plain, fast, own, numbers = seen
    assert list(plain.env_option_overrides) == []
    fast_options = dict(fast.env_option_overrides)
    assert fast_options.items() >= effort.LEVERS["fast"].cpu.items()
    plain_options = effort.LEVERS["fast"].cpu_plain if jaxlib_version < (0, 11) else {}
    assert fast_options == {**effort.LEVERS["fast"].cpu, **plain_options}
    assert (
        dict(own.env_option_overrides)["xla_backend_optimization_level"] == 2
    )  # what is asked by name counts
    if hasattr(numbers.executable_build_options, "exec_time_optimization_effort"):
        assert numbers.executable_build_options.exec_time_optimization_effort == 0.5
    assert numbers.executable_build_options.optimization_level == 19


def test_other_platforms_are_told_the_effort_in_the_compilers_own_terms():
    asked = {name: effort.Effort(name).build_options("cuda") for name in effort.EFFORTS}
    assert [asked[name].get("exec_time_optimization_effort", 0) for name in effort.EFFORTS] == [-1, 0, 1]
    assert effort.Effort("fast", exec_time=0.25).build_options("tpu")["exec_time_optimization_effort"] == 0.25
    assert effort.Effort("fast").compiler_options("cuda", None) == {}


@pytest.mark.parametrize("dtype", ["int2", "uint4", "int4", "float8_e4m3fn", "float4_e2m1fn"])
def test_fast_leaves_narrow_numbers_to_the_emitters_that_know_them(dtype):
    def through(x):
        return cnp.where(x > 1, x, 0).astype(dtype)

    lowered = ct.jit(through, effort="fast").lower(X)
    module = lowered.compiler_ir("stablehlo")
    assert effort.Effort("fast").compiler_options("cpu", module) == dict(effort.LEVERS["fast"].cpu)
    np.testing.assert_array_equal(np.asarray(lowered.compile()(X)).astype(np.float32), np.zeros((3, 3)))


def test_narrow_numbers_are_found_wherever_a_program_has_them():
    inside = ct.jit(lambda x: ct.lax.map(lambda row: row.astype("int4").astype("float32"), x), effort="fast")
    exported = ct.export.export(ct.jit(lambda x: x.astype("int4") + 1))(X)
    for g in (inside, ct.jit(lambda x: exported.call(x).astype("float32"), effort="fast")):
        module = g.lower(X).compiler_ir("stablehlo")
        assert effort.Effort("fast").compiler_options("cpu", module) == dict(effort.LEVERS["fast"].cpu)
    plain = ct.jit(lambda x: x.astype("int8") + x.astype("bfloat16") + 2j).lower(X).compiler_ir("stablehlo")
    assert effort._is_plain(plain)


@pytest.mark.skipif(
    jaxlib_version >= (0, 11), reason="the option that loops pay with is known of jaxlib 0.10"
)
def test_fast_makes_loops_of_a_few_layers():
    def layers(h, w):
        for _ in range(10):
            h = cnp.tanh(cnp.sin(h @ w) @ w) * 2 - cnp.cos(h) + cnp.exp(h) * cnp.sin(h)
        return h

    counts = [
        ct.jit(layers, effort=name).lower(X, X).as_text().count("while") for name in ("default", "fast")
    ]
    assert counts[0] == 0 < counts[1]
    results = [ct.jit(layers, effort=name)(X / 9, X / 9) for name in ("default", "fast")]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)


@pytest.fixture
def tuned(monkeypatch, caplog):
    """What effort="max" said of a call, if "in order" is the fastest way; and the options it compiled with."""
    from canter_pjrt import compile as compiler

    seen = []
    original = compiler.compile_options

    def spy(devices, options=None, **rest):
        seen.append(dict(options or {}))
        return original(devices, options, **rest)

    def measured(executables, run, times):
        assert all(run(executable, 2) > 0 for executable in executables.values())
        return {label: 1.0 - 0.5 * (label == "in order") for label in executables}

    monkeypatch.setattr(compiler, "compile_options", spy)
    monkeypatch.setattr(autotuning, "_measured", measured)
    monkeypatch.setattr(autotuning, "_TOO_SHORT", 0.0)

    def call(f, *args, **options):
        seen.clear()
        caplog.clear()
        with config.log_compiles(True), caplog.at_level("DEBUG"):
            result = ct.jit(f, effort="max", **options)(*args)
        return result, [m for m in caplog.messages if "effort='max'" in m], list(seen)

    return call


def test_max_compiles_in_several_ways_and_keeps_the_fastest(tuned, monkeypatch):
    x, index, flag = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), np.int32(2), np.bool_(True)
    kept = []
    original = autotuning.fastest
    monkeypatch.setattr(autotuning, "fastest", lambda *args: kept.append(original(*args)) or kept[-1])

    def g(x, index, flag, key, empty):
        return cnp.where(flag, cnp.sin(x)[index], 0) + ct.random.key_data(key)[0] * 0 + empty.sum()

    args = (x, index, flag, ct.random.key(0), np.zeros((0, 2), np.float32))
    result, told, seen = tuned(g, *args)
    np.testing.assert_allclose(result, np.sin(x)[2], rtol=1e-6)
    assert len(told) == 1 and "chose 'in order' for jit(g): default 1e+03 ms" in told[0]
    asked = [options for options in seen if options]
    assert asked == [options for options in autotuning.VARIANTS.values() if options] and len(kept) == 1

    donated = ct.device_put(x)
    result, told, _ = tuned(lambda x: x * 3, donated, donate_argnums=0)
    np.testing.assert_allclose(result, x * 3)
    assert "chose" in told[0] and donated.is_deleted()
    _, told, seen = tuned(lambda x: x * 4, x, compiler_options=dict(autotuning.VARIANTS["memory scheduler"]))
    assert all("xla_cpu_scheduler_type" in options for options in seen) and "memory" not in told[0]


def test_max_leaves_layers_as_they_are_where_that_is_faster(monkeypatch):
    def layers(h, w):
        for _ in range(8):
            h = cnp.tanh(cnp.sin(h @ w) @ w) * 2 - cnp.cos(h) + cnp.exp(h) * cnp.sin(h)
        return h

    monkeypatch.setattr(autotuning, "VARIANTS", {"default": {}})
    monkeypatch.setattr(autotuning, "_TOO_SHORT", 0.0)
    names = []
    monkeypatch.setattr(
        autotuning,
        "_measured",
        lambda executables, *_: names.extend(executables) or dict.fromkeys(names, 1.0),
    )
    result = ct.jit(layers, effort="max")(X / 9, X / 9)
    assert names == ["default", "no outlining"]
    np.testing.assert_allclose(result, ct.jit(layers, effort="fast")(X / 9, X / 9), rtol=1e-5)


@pytest.mark.parametrize(
    ("reason", "f"),
    {
        "while": lambda x: ct.lax.while_loop(lambda c: c.sum() < 50, lambda c: c * 2, x),
        "calls Python": lambda x: ct.pure_callback(lambda x: np.asarray(x) * 2, x, x),
        "has effects": lambda x: [x * 2, ct.debug.print("{}", x.sum())][0],
        "which takes": lambda x: x + 1,
    }.items(),
)
def test_max_runs_only_what_nobody_notices(tuned, reason, f, monkeypatch):
    if reason == "which takes":
        monkeypatch.setattr(autotuning, "_TOO_SHORT", 10.0)
    result, told, seen = tuned(f, X)
    np.testing.assert_allclose(result, ct.jit(f)(X))
    assert len(told) == 1 and reason in told[0] and not any(seen)


def test_the_choice_of_max_is_kept_on_disk(tuned, tmp_path):
    settings = {
        name: config.flags[name].value for name in ("enable_compilation_cache", "compilation_cache_dir")
    }
    try:
        ct.config.update("compilation_cache_dir", str(tmp_path))
        ct.config.update("enable_compilation_cache", True)
        _, told, _ = tuned(lambda x: f(x) * 5, X)
        ct.clear_caches()
        result, again, _ = tuned(lambda x: f(x) * 5, X)
    finally:
        for name, value in settings.items():
            ct.config.update(name, value)
    assert told and not again
    np.testing.assert_allclose(result, np.sin(X) @ X * 5, rtol=1e-6)


def test_other_words_are_refused():
    for wrong in (
        lambda: ct.jit(f, effort="quick"),
        lambda: ct.jit(f, outline="on"),
        lambda: ct.jit(f).lower(X).compile(effort="0"),
        lambda: ct.config.update("jax_optimization_level", "O4"),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()


def test_an_inner_jit_takes_part_in_the_outer_program():
    inner = ct.jit(f, effort="fast", outline="off")
    np.testing.assert_allclose(ct.jit(lambda x: inner(x) + 1)(X), f(X) + 1, rtol=1e-6)
    np.testing.assert_allclose(
        ct.grad(lambda x: inner(x).sum())(X), ct.grad(lambda x: f(x).sum())(X), rtol=1e-6
    )
