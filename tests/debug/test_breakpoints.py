"""debug.breakpoint: what the prompt shows, in a terminal too."""

import io
import os
import pty
import select
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import canter as ct
import canter.numpy as cnp
from canter import lax
from canter.debug import breakpoints


def session(run, commands):
    """What is written while a function that takes `stdin` and `stdout` runs."""
    out = io.StringIO()
    run(stdin=io.StringIO(commands), stdout=out)
    ct.effects_barrier()
    return out.getvalue()


def inner(y, **options):
    z = {"twice": y * 2, "name": "inner"}
    ct.debug.breakpoint(**options)
    return z["twice"]


def outer(x, **options):
    return inner(x + 1, **options)


def test_commands_look_at_the_frames_with_the_values_of_the_run():
    commands = (
        "p y\nz\npp z['twice'] + 1\n[y * i for i in range(2)]\nbt\nu\nx\nz\nd\nd\nl\nnonsense(\n\nc\np y\n"
    )
    text = session(lambda **options: ct.jit(lambda x: outer(x, **options))(np.float32(1)), commands)
    replies = text.split("(cdb) ")
    assert replies[0] == "Entering the debugger:\n"
    assert replies[1] == "Array(2., dtype=float32)\n"
    assert replies[2] == "{'name': 'inner', 'twice': Array(4., dtype=float32)}\n"
    assert replies[3] == "Array(5., dtype=float32)\n"
    assert replies[4] == "[Array(0., dtype=float32), Array(2., dtype=float32)]\n"
    assert "in outer\n    return inner(x + 1, **options)" in replies[5]
    assert replies[6].startswith(f"> {__file__}(") and "->     return inner(x + 1" in replies[6]
    assert replies[7] == "Array(1., dtype=float32)\n"
    assert replies[8] == "*** NameError: name 'z' is not defined\n"
    assert "->     ct.debug.breakpoint(**options)" in replies[9]
    assert replies[10] == "*** Newest frame\n"
    assert "def inner(y" in replies[11]
    assert replies[12].startswith("*** SyntaxError")
    assert replies[13:] == ["", ""]  # an empty line repeats nothing; after c nothing is read


def test_transformations():
    def count(transform, *args):
        text = session(lambda **options: transform(lambda x: inner(x, **options))(*args), "y\nc\n" * 9)
        return text.count("Entering")

    x = np.float32([1, 2, 3])
    assert count(ct.vmap, x) == 3
    assert count(ct.grad, 1.0) == 1
    assert count(lambda f: ct.jit(ct.value_and_grad(f)), 1.0) == 1
    assert count(lambda f: lambda x: lax.scan(lambda c, x: (f(c) * x, None), 0.5, x), x) == 3
    assert count(lambda f: lambda x: lax.cond(x > 0, f, cnp.sin, x), -1.0) == 0
    assert count(lambda f: f, 1.0) == 1


def test_token_says_when():
    def f(x, use, **options):
        y = ct.debug.breakpoint(token={"x": x * 2}, **options)
        return y["x"] + 1 if use else x

    out = session(
        lambda **o: np.testing.assert_equal(np.asarray(ct.jit(lambda x: f(x, True, **o))(3.0)), 7.0), "x\nc\n"
    )
    assert "Array(3., dtype=float32" in out
    assert session(lambda **o: ct.jit(lambda x: f(x, False, **o))(3.0), "c\n") == ""
    session(
        lambda **o: np.testing.assert_equal(np.asarray(ct.grad(lambda x: f(x, True, **o))(3.0)), 2.0), "c\n"
    )


def test_options():
    with pytest.raises(ValueError, match="There is no debugger 'web'; there are 'cli'"):
        ct.debug.breakpoint(backend="web")
    with pytest.raises(ValueError, match="`token` and `ordered`"):
        ct.debug.breakpoint(token=1.0, ordered=True)
    seen = []
    breakpoints.register_debugger(
        "test", lambda frames, thread, **options: seen.append((frames, options)), -1
    )
    try:
        ct.jit(lambda x: inner(x, backend="test", num_frames=1, colour=3))(2.0)
        inner(2.0, backend="test", filter_frames=False)
    finally:
        del breakpoints._debuggers["test"]
    (frame,), options = seen[0]
    assert frame.function == "inner" and frame.locals["y"] == 2.0 and options == {"colour": 3}
    assert len(seen[1][0]) > 1


def test_values_do_not_leak():
    with ct.checking_leaks():
        ct.jit(lambda x: inner(x, stdin=io.StringIO("c"), stdout=io.StringIO()))(2.0)


def converse(code, exchanges, tmp_path):
    """Runs a program in a terminal: sends each line when the text before it has been printed."""
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(code))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
        env={**os.environ, "TERM": "dumb"},
    )  # fmt: skip
    os.close(theirs)
    text, deadline = "", time.monotonic() + 90

    def read():
        ready, _, _ = select.select([ours], [], [], 0.2)
        try:
            return os.read(ours, 4096).decode() if ready else ""
        except OSError:  # the other end is closed
            return None

    try:
        for wanted, line in exchanges:
            start = len(text)
            while wanted not in text[start:]:
                piece = read()
                assert piece is not None and time.monotonic() < deadline, text
                text += piece
            os.write(ours, line.encode() + b"\n")
        while (piece := read()) is not None and time.monotonic() < deadline:
            text += piece
        return text.replace("\r\n", "\n"), process.wait(30)
    finally:
        process.kill()
        os.close(ours)


PROGRAM = """
    import canter as ct
    import canter.numpy as cnp

    @ct.jit
    def f(x):
        total = cnp.sin(x).sum()
        ct.debug.breakpoint()
        return total * 2

    print("result", f(cnp.zeros(3)) + 1)
"""


def test_prompt_in_a_terminal(tmp_path):
    text, code = converse(PROGRAM, [("(cdb) ", "p total, x.shape"), ("(cdb) ", "c")], tmp_path)
    assert "(Array(0., dtype=float32), (3,))" in text and "result 1.0" in text and code == 0


def test_quit_ends_the_program(tmp_path):
    text, code = converse(PROGRAM, [("(cdb) ", "q")], tmp_path)
    assert "result" not in text and "Traceback" not in text and code == 0
