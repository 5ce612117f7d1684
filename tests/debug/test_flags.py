"""no_tracing, no_execution, explain_cache_misses, log_compiles; what bug reports should say."""

import logging

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp


def test_no_tracing_refuses_what_has_not_been_traced():
    f = ct.jit(lambda x: x * 2 + 1)
    f(np.float32(1))
    with ct.no_tracing():
        assert float(f(np.float32(3))) == 7
        with pytest.raises(
            RuntimeError, match=r"re-tracing function <lambda> at .*test_flags.*'no_tracing' is set"
        ):
            f(np.ones(2, np.float32))
        with pytest.raises(RuntimeError, match="re-tracing"):
            ct.lax.sinh(np.ones((1, 2, 1, 3, 1), np.float32))
    assert f(np.ones(2, np.float32))[0] == 3


def test_no_execution_lets_compile_but_not_run():
    f = ct.jit(lambda x: x - 3)
    x = cnp.ones(3)
    assert f(x)[0] == -2
    with ct.no_execution(True):
        with pytest.raises(RuntimeError, match=r"tried to execute function jit\(<lambda>\)"):
            f(x)
        compiled = f.lower(np.float32([1, 2])).compile()
        with pytest.raises(RuntimeError, match="no_execution"):
            compiled(np.float32([1, 2]))
        with pytest.raises(RuntimeError, match="no_execution"):
            x + 1
        assert ct.make_jaxpr(f)(x).out_avals[0].shape == (3,)
    assert f(x)[0] == -2 and compiled(np.float32([4, 5]))[1] == 2


def test_cache_misses_are_explained(caplog):
    @ct.jit
    def f(x, y=1, *, mode=None):
        return x + y

    g = ct.jit(lambda x, n: x + n, static_argnums=1)
    calls = [
        (lambda: f(cnp.ones(3)), ["never seen function: f at "]),
        (lambda: f(cnp.ones(3)), None),
        (lambda: f(cnp.ones(4)), ["shape of x: (3,) -> (4,)"]),
        (lambda: f(1.0), ["weak type of x: False -> True"]),
        (lambda: f(cnp.ones(3), y=2.0), ["argument y: not given -> an array"]),
        (lambda: g(1.0, 1), ["never seen function: <lambda> at "]),
        (lambda: g(1.0, 2), ["static argument 'n': 1 -> 2"]),
    ]
    with ct.explain_cache_misses(True), caplog.at_level(logging.WARNING, "canter.runtime"):
        for call, expected in calls:
            caplog.clear()
            call()
            messages = [r.getMessage() for r in caplog.records if "TRACING CACHE MISS" in r.getMessage()]
            if expected is None:
                assert messages == []
                continue
            assert len(messages) == 1 and f"TRACING CACHE MISS at {__file__}:" in messages[0]
            for text in expected:
                assert text in messages[0]
        caplog.clear()
        with ct.enable_x64(True):
            f(cnp.ones(3, np.float32))
        assert "setting of enable_x64: False -> True" in caplog.text
    caplog.clear()
    f(cnp.ones(7))
    assert caplog.text == ""


def test_compiles_are_logged(caplog):
    with ct.log_compiles(True), caplog.at_level(logging.DEBUG, "canter"):
        ct.jit(lambda x: x * 5)(2.0)
    for text in ("Finished tracing <lambda>", "Compiling jit(<lambda>)", "Finished XLA compilation"):
        assert text in caplog.text


def test_environment(capsys):
    text = ct.print_environment_info(return_string=True)
    for word in ("canter:", "jaxlib:", "numpy:", "python:", "device info: cpu", "process_count: 1"):
        assert word in text
    assert ct.print_environment_info() is None and capsys.readouterr().out == text + "\n"
