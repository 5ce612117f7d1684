"""The command `canter`: its parser, and how commands end.

A command is a module with `SUMMARY`, `add_arguments(parser)` and `run(options)`, which returns the exit code. Such
modules import the framework inside `run` only, so that help is there at once and `doctor` works where jaxlib does not.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..version import __version__
from . import cache, compile_artifact, doctor, environment, export_function, inspect_artifact, run_artifact
from .report import CommandError, one_line

__all__ = ["main"]

_COMMANDS = {
    "doctor": doctor,
    "export": export_function,
    "inspect": inspect_artifact,
    "run": run_artifact,
    "compile": compile_artifact,
    "cache": cache,
    "env": environment,
}
_EPILOGUE = "Exit codes: 0 all is well, 1 something is wrong, 2 the command was not understood."


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="canter", description="Canter: array programs, transformed and compiled.", epilog=_EPILOGUE
    )
    parser.add_argument("--version", action="version", version=f"canter {__version__}")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.__doc__,
            epilog=_EPILOGUE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Args:
      arguments: what follows the command's name; None for those of the process.

    Example:
      >>> from canter.cli import main
      >>> main(["env", "CANTER_ENABLE_X64", "--names"])
      CANTER_ENABLE_X64
      0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not know all letters of a name
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stopped:  # after help, and after a mistake
        return stopped.code if isinstance(stopped.code, int) else 2
    try:
        code = options.run(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if options.traceback:
            raise
        print(f"canter {options.command}: {one_line(_message(error))}", file=sys.stderr)
        return error.code if isinstance(error, CommandError) else 1


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; `canter doctor` says what is missing"
    if isinstance(error, CommandError | ValueError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"
