"""jit: values, signatures, caching, methods, nesting."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
import sys
import types
import weakref

import numpy as np
import pytest

from canter import lax
from canter.core import config
from canter.runtime.abstract import make_jaxpr
from canter.runtime.backend import devices
from canter.runtime.device_put import device_put
from canter.runtime.jit import clear_caches, jit


def counting(function):
    """The function, counting in `.traces` how often its Python body runs."""

    @functools.wraps(function)
    def counted(*args, **kwargs):
        counted.traces += 1
        return function(*args, **kwargs)

    counted.traces = 0
    return counted


def test_values_and_one_trace_per_type():
    body = counting(lambda x, y: {"sum": lax.add(x, y), "x": x})
    f = jit(body)
    x, y = np.arange(3, dtype=np.float32), np.ones(3, np.float32)
    for _ in range(3):
        out = f(x, y)
        np.testing.assert_array_equal(out["sum"], x + y)
        np.testing.assert_array_equal(out["x"], x)
    assert body.traces == 1
    out = f(out["sum"], y)  # device arrays: another signature for C++, the same trace
    np.testing.assert_array_equal(out["sum"], x + 2)
    assert body.traces == 1
    f(np.ones(4, np.float32), np.ones(4, np.float32))
    assert body.traces == 2


def test_weak_types_have_their_own_trace():
    body = counting(lambda x: lax.neg(x))
    f = jit(body)
    assert float(f(2.0)) == -2.0 and f(2.0).aval.weak_type
    assert float(f(np.float32(2))) == -2.0 and not f(np.float32(2)).aval.weak_type
    assert body.traces == 2


def test_decorator_forms():
    @jit
    def one(x):
        """Doc of one."""
        return lax.neg(x)

    @jit(static_argnames="n")
    def two(x, n):
        return lax.mul(x, float(n))

    @functools.partial(jit, static_argnums=(1,))
    def three(x, n):
        return lax.mul(x, float(n))

    assert float(one(1.0)) == -1.0 and one.__name__ == "one" and one.__doc__ == "Doc of one."
    assert one.__wrapped__(2.0) is not None
    for function in (two, three):
        assert float(function(2.0, 3)) == float(function(2.0, n=3)) == 6.0


@pytest.mark.parametrize("given", [{"static_argnums": 1}, {"static_argnames": "n"}, {"static_argnums": -1}])
def test_static_arguments_by_number_and_name(given):
    def power(x, n):
        assert isinstance(n, int)
        out = x
        for _ in range(n - 1):
            out = lax.mul(out, x)
        return out

    body = counting(power)
    f = jit(body, **given)
    assert float(f(2.0, 3)) == 8.0
    assert float(f(2.0, n=3)) == 8.0
    assert float(f(3.0, 2)) == 9.0
    assert body.traces == 3 - 0  # positional 3, keyword 3, positional 2


def test_static_values_of_equal_hash_are_told_apart():
    seen = []

    @functools.partial(jit, static_argnums=0)
    def f(flag, x):
        seen.append(type(flag))
        return lax.neg(x)

    f(1, 1.0), f(1.0, 1.0), f(True, 1.0), f(1, 2.0)
    assert seen == [int, float, bool]


def test_keyword_only_defaults_and_varargs():
    @functools.partial(jit, static_argnames=("scale",))
    def f(*xs, scale=2.0):
        total = xs[0]
        for x in xs[1:]:
            total = lax.add(total, x)
        return lax.mul(total, scale)

    assert float(f(1.0, 2.0)) == 6.0
    assert float(f(1.0, 2.0, scale=3.0)) == 9.0
    g = jit(lambda *args: args[1], static_argnums=(0,))
    assert float(g("name", 4.0)) == 4.0


def test_methods_callables_and_partials():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @functools.partial(jit, static_argnums=0)
        def method(self, x):
            return lax.mul(x, self.scale)

        def plain(self, x):
            return lax.mul(x, self.scale)

        def __call__(self, x):
            return lax.mul(x, self.scale)

    model, other = Model(3.0), Model(4.0)
    assert float(model.method(2.0)) == 6.0
    assert float(other.method(2.0)) == 8.0
    assert float(jit(model.plain)(2.0)) == 6.0
    assert float(jit(other.plain)(2.0)) == 8.0
    assert float(jit(model)(2.0)) == 6.0
    assert float(jit(functools.partial(lax.mul, 5.0))(2.0)) == 10.0


def test_unhashable_callable():
    class Weights:
        __hash__ = None

        def __eq__(self, other):
            return False

        def __call__(self, x):
            return lax.neg(x)

    assert float(jit(Weights())(2.0)) == -2.0


def test_jit_of_jit_and_nested_call_is_one_equation():
    inner = jit(lambda x: lax.sin(x))
    assert float(jit(inner)(0.0)) == 0.0
    closed = make_jaxpr(lambda x: inner(inner(x)))(1.0)
    assert [eqn.primitive.name for eqn in closed.eqns] == ["jit", "jit"]
    first, second = closed.eqns
    assert first.params["jaxpr"] is second.params["jaxpr"]
    assert list(first.params) == [
        "jaxpr", "in_shardings", "out_shardings", "in_layouts", "out_layouts", "donated_invars", "ctx_mesh",
        "name", "keep_unused", "inline", "compiler_options_kvs",
    ]  # fmt: skip


def test_inline_leaves_no_equation():
    inner = jit(lambda x: lax.sin(x), inline=True)
    closed = make_jaxpr(lambda x: inner(x))(1.0)
    assert [eqn.primitive.name for eqn in closed.eqns] == ["sin"]
    assert float(inner(0.0)) == 0.0


def test_captured_arrays_are_arguments_not_constants():
    big = np.arange(1000, dtype=np.float32)
    device_array = jit(lambda x: x)(big)
    f = jit(lambda x: lax.add(lax.mul(x, device_array), big))
    text = f.lower(np.float32(2) * np.ones(1000, np.float32)).as_text()
    assert "constant" not in text
    x = np.full(1000, 2, np.float32)
    np.testing.assert_array_equal(f(x), x * big + big)
    np.testing.assert_array_equal(f(x), x * big + big)  # through C++


def test_captured_tracer_is_an_operand_and_not_cached():
    @jit
    def outer(x):
        inner = jit(lambda y: lax.add(x, y))
        return inner(1.0)

    closed = make_jaxpr(outer)(2.0)
    (eqn,) = closed.eqns[0].params["jaxpr"].eqns
    assert len(eqn.invars) == 2
    assert float(outer(2.0)) == 3.0

    shared = jit(lambda y, f: f(y), static_argnums=1)
    for value in (1.0, 5.0):
        assert float(jit(lambda x: shared(1.0, lambda y: lax.add(x, y)))(value)) == value + 1.0


def test_unused_arguments_are_pruned_unless_kept():
    body = lambda a, b, c: lax.neg(b)
    args = (np.ones(2, np.float32), np.ones(3, np.float32), np.ones(4, np.float32))
    assert jit(body).lower(*args).as_text().count("%arg") < jit(body, keep_unused=True).lower(
        *args
    ).as_text().count("%arg")
    for keep in (False, True):
        f = jit(body, keep_unused=keep)
        for _ in range(3):
            np.testing.assert_array_equal(f(*args), -args[1])
        on_device = [jit(lambda x: x)(arg) for arg in args]
        for _ in range(3):
            np.testing.assert_array_equal(f(*on_device), -args[1])


def test_results_without_arrays_and_constants():
    assert jit(lambda x: None)(1.0) is None
    assert jit(dict)() == {}
    out = jit(lambda x: (3, np.ones(2, np.float32), True))(1.0)
    assert int(out[0]) == 3 and out[2].dtype == bool
    np.testing.assert_array_equal(out[1], [1, 1])


def test_numpy_arguments_may_change_afterwards():
    memory = np.zeros((1 << 20) + 64, np.uint8)
    start = -memory.ctypes.data % 64  # XLA shares memory that is aligned so
    x = memory[start : start + (1 << 20)].view(np.float32)
    for f in (jit(lambda a: a), jit(lambda a: lax.add(a, a)), lax.neg):
        x[:] = 0
        outs = [f(x) for _ in range(4)]
        x[:] = 7
        for out in outs:
            assert float(np.max(out)) == 0


def test_integers_that_do_not_fit():
    f = jit(lambda x: lax.neg(x))
    assert int(f(3)) == -3
    with pytest.raises(OverflowError, match=r"Argument x of .*<lambda>.*4294967296"):
        f(2**32)


def test_traces_die_with_their_function():
    def make():
        weights = np.ones(4, np.float32)

        def f(x):
            return lax.add(x, weights)

        return f

    function = make()
    jitted = jit(function)
    jitted(np.ones(4, np.float32))
    reference = weakref.ref(function)
    del function, jitted
    gc.collect()
    assert reference() is None


def test_clear_cache_and_clear_caches():
    body = counting(lambda x: lax.neg(x))
    f = jit(body)
    f(1.0)
    assert f._cache_size() == 1
    f.clear_cache()
    assert f._cache_size() == 0
    f(1.0)
    assert body.traces == 2
    clear_caches()
    f(1.0)
    assert body.traces == 3


def test_config_is_part_of_the_key():
    body = counting(lambda x: lax.neg(x))
    f = jit(body)
    f(1.0)
    with config.enable_x64(True):
        assert f(1.0).dtype == np.float64
    assert f(1.0).dtype == np.float32
    assert body.traces == 2


def test_disable_jit_runs_python():
    def f(x):
        return x if float(x) > 0 else lax.neg(x)

    with config.disable_jit(True):
        assert float(jit(f)(-3.0)) == 3.0


def test_debug_nans_names_the_line():
    def root(x):
        return lax.sqrt(x)  # the line of the mistake

    def f(x):
        return lax.add(jit(root)(lax.neg(x)), 1.0)

    here = root.__code__.co_firstlineno + 1
    with config.debug_nans(True):
        with pytest.raises(
            FloatingPointError, match=rf"nan.* in sqrt\(f32\[\]\) at .*test_jit_calls.py:{here}"
        ):
            jit(f)(1.0)
        assert float(jit(f)(-4.0)) == 3.0
    with config.debug_infs(True), pytest.raises(FloatingPointError, match=r"inf.* in log"):
        jit(lambda x: lax.log(x))(0.0)
    assert np.isnan(float(jit(f)(1.0)))


def test_log_compiles(caplog):
    with config.log_compiles(True), caplog.at_level("WARNING", logger="canter"):
        jit(lambda x: lax.neg(x))(1.0)
    text = caplog.text
    for words in (
        "Finished tracing <lambda>",
        "Compiling jit(<lambda>)",
        "Finished XLA compilation of jit(<lambda>)",
    ):
        assert words in text


@jit
def at_module_level(x):
    return lax.neg(x)


def plain_at_module_level(x):
    return lax.neg(x)


def test_pickle_and_copy(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or types.ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "at_module_level", at_module_level, raising=False)
    monkeypatch.setattr(sys.modules[__name__], "plain_at_module_level", plain_at_module_level, raising=False)
    assert pickle.loads(pickle.dumps(at_module_level)) is at_module_level
    again = pickle.loads(pickle.dumps(jit(plain_at_module_level, static_argnames=())))
    assert float(again(2.0)) == -2.0
    assert float(copy.deepcopy(jit(lambda x: lax.neg(x)))(2.0)) == -2.0


def test_many_leaves():
    tree = {f"layer{i}": [np.full((2,), i, np.float32)] * 4 for i in range(100)}
    f = jit(lambda t: {k: [lax.add(x, x) for x in v] for k, v in t.items()})
    out = f(f(tree))
    np.testing.assert_array_equal(out["layer7"][3], [28, 28])


def test_small_numpy_constants_stand_in_the_program():
    table = np.array([3, 1, 2], np.float32)
    f = jit(lambda x: lax.add(x, table))
    assert "dense<[3.000000e+00, 1.000000e+00, 2.000000e+00]>" in f.lower(table).as_text()
    for _ in range(3):
        np.testing.assert_array_equal(f(table), table * 2)
    g = jit(lambda x: lax.mul(f(x), table))  # and inside a nested call
    np.testing.assert_array_equal(g(table), table * 2 * table)


def test_an_equal_program_is_compiled_once():
    def build(scale):
        return jit(lambda x: lax.mul(lax.add(x, x), np.float32(scale)))

    x = np.ones(3, np.float32)
    first, again, other = build(3.0), build(3.0), build(4.0)
    a, b, c = (f.lower(x).compile().runtime_executable() for f in (first, again, other))
    assert a is b and a is not c
    np.testing.assert_array_equal(again(x), 6 * x)
    np.testing.assert_array_equal(other(x), 8 * x)


def on(array, device):
    return device_put(np.asarray(array, np.float32), device)


def test_committed_arguments_decide_the_device():
    f = jit(lambda t, y: lax.add(t["w"], y))
    _, second, third = devices()[:3]
    x = on([1, 2], second)
    for _ in range(3):
        out = f({"w": x}, lax.neg(np.ones(2, np.float32)))
        assert out.devices() == {second} and out._committed
        np.testing.assert_array_equal(out, [0, 1])
    with pytest.raises(ValueError, match=r"argument t\['w'\] of .*cpu:1, and argument y of .*cpu:2"):
        f({"w": x}, on([1, 2], third))
    with pytest.raises(ValueError, match=r"operand 0 of add, .*cpu:1, and operand 1"):
        lax.add(x, on([1, 2], third))
    captured = jit(lambda y: lax.add(x, y))
    assert captured(1.0 * np.ones(2, np.float32)).devices() == {second}
    with pytest.raises(ValueError, match="an array captured by"):
        captured(on([1, 2], third))


def test_device_options():
    target = devices()[3]
    for options in (
        {"device": target},
        {"in_shardings": on([1], target).sharding},
        {"out_shardings": [target]},
    ):
        f = jit(lambda x: [lax.neg(x)], **options)
        for _ in range(3):
            (out,) = f(lax.neg(np.ones(2, np.float32)))
            assert out.devices() == {target} and out._committed
    with config.default_device(target):
        assert jit(lambda x: lax.neg(x))(1.0).devices() == {target}


def test_donation_through_the_fast_path():
    f = jit(lambda state, x: {"w": lax.add(state["w"], x)}, donate_argnums=0)
    state = {"w": lax.neg(np.ones(4, np.float32))}
    x = lax.neg(np.ones(4, np.float32))
    for step in range(4):
        old = state["w"]
        state = f(state, x)
        assert old.is_deleted() and not x.is_deleted()
        np.testing.assert_array_equal(state["w"], np.full(4, -2.0 - step))
