"""The line that a terminal shows while a program compiles for long."""

import io
import os
import pty
import sys
import time

import numpy as np

import canter as ct
from canter.runtime import progress


def _read(descriptor):
    text = b""
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:  # how a pseudo-terminal ends
            return text.decode()
        if not part:
            return text.decode()
        text += part


def _compile_slowly(monkeypatch, stream, seconds):
    from canter_pjrt import compile as compiler

    original = compiler.compile_or_load

    def slow(*args, **kwargs):
        time.sleep(seconds)
        return original(*args, **kwargs)

    monkeypatch.setattr(compiler, "compile_or_load", slow)
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    monkeypatch.setattr(progress, "_INTERVAL", 0.05)
    monkeypatch.setattr(sys, "stderr", stream)

    def tremendous(x):
        return x * 2 + 1

    ct.jit(tremendous).lower(np.float32(1)).compile()


def test_a_slow_compile_is_told_in_a_terminal_and_wiped(monkeypatch):
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        _compile_slowly(monkeypatch, terminal, 0.4)
    shown = _read(master)
    os.close(master)
    lines = [line for line in shown.split("\r") if line.strip()]
    assert len(lines) >= 2 and all(line.startswith("compiling tremendous for") for line in lines)
    assert ".py:" in lines[0] and lines[0].rstrip().endswith("0 s")
    assert shown.endswith("\r") and not shown.split("\r")[-2].strip() and "\n" not in shown


def test_a_quick_compile_and_one_outside_of_a_terminal_show_nothing(monkeypatch):
    text = io.StringIO()
    _compile_slowly(monkeypatch, text, 0.2)
    assert text.getvalue() == ""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.compiling("quick"):
            pass
    assert _read(master) == ""
    os.close(master)


def test_a_long_path_is_cut_to_the_width_of_the_terminal():
    text = progress._fitted("compiling f for /" + "folder/" * 40 + "file.py:12, 7 s", io.StringIO())
    assert len(text) == 79 and text.startswith("compiling f for /") and text.endswith("file.py:12, 7 s")
