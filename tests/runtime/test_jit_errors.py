"""jit: what is said of wrong arguments."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from canter import lax
from canter.core import errors
from canter.runtime.jit import jit


def step(params, x):
    return lax.add(params["w"], x)


ARRAY = np.ones(3, np.float32)

CALLS = {
    "string argument": (lambda: jit(step)({"w": "a"}, ARRAY), TypeError, [r"params\['w'\]", "type str", "static_argn"]),
    "object argument": (lambda: jit(step)({"w": ARRAY}, object()), TypeError, ["Argument x", "type object"]),
    "string array": (lambda: jit(step)({"w": np.array(["a"])}, ARRAY), TypeError, [r"params\['w'\]", "<U1"]),
    "object array": (lambda: jit(step)({"w": np.array([None])}, ARRAY), TypeError, [r"params\['w'\]", "object"]),
    "keyword argument": (lambda: jit(step)(params={"w": ARRAY}, x="b"), TypeError, ["Argument x", "type str"]),
    "extra argument": (lambda: jit(lambda *rest: rest[0])(1.0, "s"), TypeError, [r"rest\[1\]"]),
    "static list": (lambda: jit(step, static_argnums=1)({"w": ARRAY}, [1]), ValueError, ["ashable", "list"]),
    "returns string": (lambda: jit(lambda x: {"a": [x, "s"]})(1.0), TypeError, [r"result\['a'\]\[1\]", "type str"]),
    "not a function": (lambda: jit(3), TypeError, ["takes a function", "int"]),
    "called result": (lambda: jit(ARRAY), TypeError, ["takes a function"]),
    "generator": (lambda: jit(lambda: (yield)), TypeError, ["generator function"]),
    "argnums too big": (lambda: jit(step, static_argnums=5), ValueError, ["static_argnums=5", "params, x", "step at"]),
    "argnums too small": (lambda: jit(step, static_argnums=-3), ValueError, ["static_argnums=-3"]),
    "argnums a string": (lambda: jit(step, static_argnums="x"), TypeError, ["static_argnums takes an int", "'x'"]),
    "argnums a float": (lambda: jit(step, static_argnums=1.5), TypeError, ["static_argnums takes an int"]),
    "argnames an int": (lambda: jit(step, static_argnames=1), TypeError, ["static_argnames takes a name"]),
    "unknown argname": (lambda: jit(step, static_argnames="y"), ValueError, ["'y'", r"\(params, x\)"]),
    "unknown donated name": (lambda: jit(step, donate_argnames="y"), ValueError, ["donate_argnames", "'y'"]),
    "donate out of range": (lambda: jit(step, donate_argnums=4), ValueError, ["donate_argnums=4"]),
    "static and donated": (lambda: jit(step, static_argnums=0, donate_argnums=0), ValueError, ["params", "both"]),
    "device and backend": (lambda: jit(step, device=object(), backend="cpu"), ValueError, ["not both"]),
    "shardings": (lambda: jit(step, in_shardings=3), TypeError, ["in_shardings takes", "3"]),
    "abstracted axes": (lambda: jit(step, abstracted_axes={0: "n"}), NotImplementedError, ["abstracted_axes"]),
    "missing argument": (lambda: jit(step)({"w": ARRAY}), TypeError, ["missing 1 required positional argument: 'x'"]),
    "unknown option": (
        lambda: jit(step, compiler_options={"xla_nope": 1})({"w": ARRAY}, ARRAY), ValueError, ["xla_nope"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_message(name):
    call, kind, words = CALLS[name]
    with pytest.raises(kind) as caught:
        call()
    for word in words:
        caught.match(word)
    assert str(caught.value).count("\n") < 15


def test_frames_of_the_framework_are_hidden():
    with pytest.raises(TypeError) as caught:
        jit(step)({"w": "a"}, ARRAY)
    files = [entry.path.name for entry in caught.traceback if hasattr(entry.path, "name")]
    assert files == ["test_jit_errors.py"]


def test_leaked_tracer():
    kept = []
    jit(lambda x: kept.append(x) or x)(1.0)
    with pytest.raises(errors.UnexpectedTracerError, match="leaked"):
        jit(lambda x: lax.neg(x))(kept[0])
    with pytest.raises(errors.UnexpectedTracerError, match="leaked"):
        lax.neg(kept[0])


def test_use_after_donation_names_the_call():
    negate = lax.neg
    take = jit(lambda state: lax.neg(state), donate_argnames="state")
    x = jit(lambda y: lax.neg(y))(np.arange(5, dtype=np.float32))
    y = take(x)
    assert x.is_deleted()
    np.testing.assert_array_equal(y, np.arange(5))
    with pytest.raises(RuntimeError, match=r"state of <lambda> at .*test_jit_errors.py"):
        np.asarray(x)
    negate(y)
    take(y)
    with pytest.raises(RuntimeError, match=r"state of <lambda> at .*test_jit_errors.py"):
        negate(y)


def test_unusable_donation_warns():
    f = jit(lambda x: lax.convert_element_type(x, np.int32), donate_argnums=0)
    with pytest.warns(UserWarning, match=r"donated buffers were not usable: x: f32\[3\]") as caught:
        f(ARRAY)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        f(ARRAY)  # said once


def test_an_array_donated_twice():
    f = jit(lambda a, b: (lax.neg(a["w"]), lax.neg(b)), donate_argnums=0)
    x = lax.neg(ARRAY)
    with pytest.raises(
        ValueError, match=r"argument a\['w'\] of <lambda>, which is donated, and as argument b"
    ):
        f({"w": x}, x)
    assert not x.is_deleted()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu"}, "device takes a device .* Did you mean backend='cpu'"),
        ({"device": 3}, "device takes a device"),
        ({"backend": 3}, "backend takes the name of a platform"),
    ],
)
def test_devices_and_backends_of_another_type(options, message):
    with pytest.raises(TypeError, match=message):
        jit(lambda x: [x], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({1: True, "xla_cpu_enable_fast_math": True}, "named by strings, 'xla_cpu_...'; got 1"),
        ({"xla_cpu_enable_fast_math": [True]}, "'xla_cpu_enable_fast_math' takes a bool.*of type list"),
        ({"xla_cpu_enable_fast_math": None}, "'xla_cpu_enable_fast_math' takes a bool.*got None"),
    ],
)
def test_compiler_options_of_another_type(options, message):
    with pytest.raises(ValueError, match=message):
        jit(lambda x: x + 1, compiler_options=options)
    with pytest.raises(ValueError, match=message):
        jit(lambda x: x + 1).lower(1.0).compile(compiler_options=options)
