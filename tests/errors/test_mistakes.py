"""What users get to read when they make a mistake: class, line, words, advice, length."""

import inspect
import traceback

import pytest

from canter.core.errors import filter_traceback

from . import arrays, calls, control, shapes, tracing
from .table import Mistake

MISTAKES = [m for module in (tracing, calls, shapes, control, arrays) for m in module.MISTAKES]


def _marked_line(mistake: Mistake) -> int:
    """The line of the source that carries the mark."""
    lines, start = inspect.getsourcelines(mistake.make)
    (offset,) = [i for i, line in enumerate(lines) if "# <-" in line]
    return start + offset


@pytest.mark.parametrize("mistake", MISTAKES, ids=[m.make.__name__ for m in MISTAKES])
def test_mistake(mistake):
    with pytest.raises(mistake.kind) as caught:
        mistake.make()
    error = caught.value
    filter_traceback(error)  # as for every error that nobody catches
    message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    told = f"{type(error).__name__}: {message}"

    package = type(error).__module__.split(".")[0]
    assert package in ("builtins", "canter", "canter_pjrt", "jaxlib", "numpy"), told
    for words in (*mistake.shows, mistake.fix):
        assert words in message, f"{words!r} is missing in: {told}"
    assert len(message.splitlines()) <= 15, told
    assert "Traceback" not in message and "__" not in message, told

    frames = traceback.extract_tb(error.__traceback__)
    file = inspect.getsourcefile(mistake.make)
    users = [frame for frame in frames if frame.filename == file]
    assert users, f"no line of the user in: {frames}"
    assert not [frame for frame in frames if "/canter" in frame.filename], frames
    assert users[-1].lineno == _marked_line(mistake), users[-1]


def test_there_are_enough():
    assert len(MISTAKES) >= 60
