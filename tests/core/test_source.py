"""Whose lines they are, and tracebacks without the framework's frames."""

import os
import subprocess
import sys
import traceback
import warnings

import numpy as np
import pytest

import canter as ct
from canter.core import errors, source
from canter.core.config import traceback_filtering


def test_user_files():
    assert source.is_user_file(__file__)
    assert source.is_user_file("<stdin>")
    assert source.is_user_file("/home/me/canter/train.py")
    assert not source.is_user_file(ct.__file__)
    assert not source.is_user_file(source.__file__)
    assert not source.is_user_file(np.__file__) or "site-packages" in np.__file__
    assert not source.is_user_file("<frozen importlib._bootstrap>")


def test_exclusions(tmp_path):
    file = os.path.join(tmp_path, "library", "file.py")
    assert source.is_user_file(file)
    source.register_exclusion(os.path.join(tmp_path, "library"))
    assert not source.is_user_file(file)
    source._excluded.pop()
    source.is_user_file.cache_clear()


def test_user_frame_of_the_stack():
    frame = source.user_frame()
    assert frame.file_name == __file__ and frame.function_name == "test_user_frame_of_the_stack"
    assert str(frame).startswith(f"{__file__}:{frame.line_number}")


def test_user_frame_of_an_equation():
    def model(x):
        return ct.lax.sin(x)

    eqn = ct.make_jaxpr(model)(1.0).eqns[0]
    frame = source.user_frame(eqn.source_info)
    assert frame.file_name == __file__ and frame.function_name.endswith("model")
    assert frame.line_number == model.__code__.co_firstlineno + 1
    assert source.summarize(eqn.source_info) == str(frame)
    assert source.summarize(None) == "unknown location"
    outer = list(source.user_frames(eqn.source_info, 2))
    assert len(outer) == 2 and outer[1].function_name == "test_user_frame_of_an_equation"


def test_warnings_point_to_the_user():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source.warn("careful")
    assert caught[0].filename == __file__


def test_each_line_warns_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            source.warn("careful")
    assert len(caught) == 1


@errors.api_boundary
def _boundary(function):
    return function()


def _fail():
    def model(x):
        return ct.lax.add(x, np.ones(4, np.float32))

    ct.jit(model)(np.ones(3, np.float32))


def _frames(error):
    return [entry.filename for entry in traceback.extract_tb(error.__traceback__)]


def test_framework_frames_are_hidden():
    with pytest.raises(TypeError) as caught:
        _fail()
    assert set(_frames(caught.value)) == {__file__}
    assert any("CANTER_TRACEBACK_FILTERING=off" in note for note in caught.value.__notes__)


def test_and_shown_on_request():
    with traceback_filtering("off"), pytest.raises(TypeError) as caught:
        _fail()
    assert any("canter" in name and name != __file__ for name in _frames(caught.value))
    assert not getattr(caught.value, "__notes__", None)


def test_quiet_filtering_adds_no_note():
    with traceback_filtering("quiet_remove_frames"), pytest.raises(TypeError) as caught:
        _fail()
    assert set(_frames(caught.value)) == {__file__}
    assert not getattr(caught.value, "__notes__", None)


def test_causes_are_filtered_too():
    def chained():
        try:
            _fail()
        except TypeError as error:
            raise ValueError("outer") from error

    with pytest.raises(ValueError) as caught:
        _boundary(chained)
    assert set(_frames(caught.value.__cause__)) == {__file__}


def test_boundary_keeps_name_and_result():
    @errors.api_boundary
    def function(x):
        """Doc."""
        return x

    assert function(3) == 3 and function.__name__ == "function" and function.__doc__ == "Doc."


def test_argument_paths():
    def model(params, x, *rest, scale):
        pass

    paths = errors.argument_paths(model, ({"w": [1, 2]}, 3, 4, (5,)), {"scale": 6})
    assert paths == ["params['w'][0]", "params['w'][1]", "x", "rest[0]", "rest[1][0]", "scale"]
    assert errors.argument_paths(max, (1, [2]), {}) == ["args[0]", "args[1][0]"]


def _shapes_differ(x):
    return ct.lax.add(x, np.ones(4, np.float32))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ct.grad(_shapes_differ)(x),
        lambda x: ct.vmap(_shapes_differ)(np.ones((2, 3), np.float32)),
        lambda x: ct.jvp(_shapes_differ, (x,), (x,)),
        lambda x: ct.vjp(_shapes_differ, x),
        lambda x: ct.linearize(_shapes_differ, x),
        lambda x: ct.jacfwd(_shapes_differ)(x),
        lambda x: ct.jacrev(_shapes_differ)(x),
        lambda x: ct.make_jaxpr(_shapes_differ)(x),
        lambda x: ct.eval_shape(_shapes_differ, x),
        lambda x: ct.jit(_shapes_differ).lower(x),
        lambda x: ct.lax.cond(True, _shapes_differ, _shapes_differ, x),
        lambda x: ct.lax.scan(lambda c, _: (_shapes_differ(c), None), x, length=2),
        lambda x: ct.lax.while_loop(lambda c: True, _shapes_differ, x),
        lambda x: ct.lax.fori_loop(0, 2, lambda i, c: _shapes_differ(c), x),
    ],
    ids="grad vmap jvp vjp linearize jacfwd jacrev make_jaxpr eval_shape lower cond scan while_loop fori_loop".split(),
)
def test_every_transformation_hides_its_frames(call):
    with pytest.raises(TypeError, match=r"\(3,\), \(4,\)") as caught:
        call(np.ones(3, np.float32))
    assert set(_frames(caught.value)) == {__file__}


def test_uncaught_errors_of_eager_calls_hide_frames():
    code = "import canter.numpy as cnp\ncnp.ones(3)[7]"
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert run.returncode == 1
    assert run.stderr.count("  File ") == 1 and "out of bounds" in run.stderr
    off = subprocess.run(
        [sys.executable, "-c", code],
        text=True,
        capture_output=True,
        env={**os.environ, "CANTER_TRACEBACK_FILTERING": "off"},
    )
    assert off.stderr.count("  File ") > 1
