"""What the runtime's errors say: of those that tell that memory is exhausted, who has it."""

from __future__ import annotations

from typing import Any

from canter_pjrt.jaxlib_door import JaxRuntimeError

__all__ = ["blame"]

_plain = JaxRuntimeError.__str__


def blame(error: JaxRuntimeError, program: Any) -> None:
    """Has an error of exhausted memory tell of the program that failed; others stay as they are.

    Args:
      error: what it raised.
      program: an `Executable` that ran, or a `LoweredProgram` that was compiled.
    """
    if type(error) is not JaxRuntimeError:  # of a callback
        return
    text = _plain(error)
    if text.startswith("RESOURCE_EXHAUSTED"):
        from .out_of_memory import report_for

        error._report = report_for(text, program)


def _text(error: JaxRuntimeError) -> str:
    text = _plain(error)
    if not text.startswith("RESOURCE_EXHAUSTED"):
        return text
    report = error.__dict__.get("_report")
    if report is None:
        # Calls run in C++ and raise there, so what is to be said is found out when somebody reads the message.
        from .out_of_memory import report_for

        error._report = ""  # of an error within the report
        report = report_for(text)
        error._report = report
    return text + report


JaxRuntimeError.__str__ = _text
