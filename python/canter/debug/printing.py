"""`debug.print`, `debug.log` and `debug.callback`: what a program does with its values, seen from Python."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..core import pytree, source
from ..core.avals import get_aval
from ..core.effects import debug_effect, ordered_debug_effect
from ..core.errors import api_boundary
from ..lax.callbacks import FlatCallback, debug_callback_p, debug_print_p
from ..runtime import callbacks as _callbacks  # noqa: F401  tells the primitives what to do outside of programs

__all__ = ["callback", "log", "print"]

_PRINT_OPTIONS = (
    "edgeitems", "threshold", "floatmode", "precision", "suppress", "linewidth", "nanstr", "infstr", "sign",
)  # fmt: skip


def _split_leaves(args: Any, kwargs: Any) -> tuple[list[Any], tuple[tuple[int, Any], ...], Any]:
    """Arrays among the arguments, what is none with its place, and the structure."""
    leaves, in_tree = pytree.tree_flatten((args, kwargs))
    arrays, static = [], []
    for position, leaf in enumerate(leaves):
        try:
            get_aval(leaf)
        except TypeError:
            static.append((position, leaf))
        else:
            arrays.append(leaf)
    return arrays, tuple(static), in_tree


@api_boundary
def callback(
    callback: Callable[..., None] | None = None,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    **kwargs: Any,
) -> Any:
    """Calls a Python function with values of a program, to look at them.

    Transformations treat the call as if it were not there: `vmap` calls it once for each element, `grad`
    in the forward pass, and it may be left out or happen again. Where that matters, use
    `experimental.io_callback`.

    Args:
      callback: called with `args` and `kwargs`, whose arrays are then known; what it returns is not used.
        Without it, the result is a function that takes it and its arguments, so that these may have
        the names of the options: `debug.callback(ordered=True)(f, x, ordered=x)`.
      *args, **kwargs: trees of arrays, and of other objects that are passed on as they are.
      ordered: whether calls happen in the order of the program.
      partitioned: whether, in a program on several devices, each calls it with its own part of the
        arrays, instead of one with whole arrays.

    Raises:
      canter.errors.JaxRuntimeError: from the compiled program, if the callback raises; the exception is
        also of the class of what it raised, and has it as its cause.

    Example:
      >>> import canter as ct
      >>> seen = []
      >>> @ct.jit
      ... def f(x):
      ...     ct.debug.callback(lambda y: seen.append(float(y)), x * 2, ordered=True)
      ...     return x
      >>> _ = f(1.0), f(2.0)
      >>> seen
      [2.0, 4.0]
    """
    if callback is None:
        return _with_options(_callback, args, kwargs, ordered, partitioned)
    return _callback(callback, args, kwargs, ordered, partitioned)


def _callback(callback: Any, args: Any, kwargs: Any, ordered: bool, partitioned: bool) -> None:
    if not callable(callback):
        raise TypeError(
            f"first argument to debug.callback must be callable, but got an object of type {type(callback)}"
        )
    _check_options("debug.callback", ordered, partitioned)
    arrays, static, in_tree = _split_leaves(args, kwargs)
    debug_callback_p.bind(
        *arrays,
        callback=Observer(callback, in_tree, static),
        effect=ordered_debug_effect if ordered else debug_effect,
        partitioned=partitioned,
    )


class Observer(FlatCallback):
    """A callback whose results nobody reads."""

    __slots__ = ()

    def __call__(self, *leaves: Any) -> list[Any]:
        args, kwargs = self.arguments(leaves)
        self.callback_func(*args, **kwargs)
        return []


def _check_options(name: str, ordered: bool, partitioned: bool) -> None:
    if ordered and partitioned:
        raise ValueError(f"{name}: ordered and partitioned cannot be set both: devices have no common order.")


def _with_options(function: Any, args: Any, kwargs: Any, *options: bool) -> Callable[..., None]:
    if args or kwargs:
        raise TypeError("Without a function or format to begin with, only options can be given.")

    @api_boundary
    def with_options(first: Any, *args: Any, **kwargs: Any) -> None:
        function(first, args, kwargs, *options)

    return with_options


@api_boundary
def print(
    fmt: str | None = None,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> Any:
    """Prints values of a program when it runs, also where they are not known yet when it is traced.

    Under `vmap` it prints once for each element, under `grad` in the forward pass, in a loop each time.

    Args:
      fmt: the format, as for `str.format`; no f-string, which would be filled in during tracing. Without
        it, the result is a function that takes it and its arguments.
      *args, **kwargs: what to fill in: trees of arrays, and other objects.
      ordered: whether prints happen in the order of the program.
      partitioned: whether, in a program on several devices, each prints its own part of the arrays.
      skip_format_check: whether arguments that the format does not use are accepted.

    Raises:
      ValueError: an argument that the format does not use.
      IndexError, KeyError: a field without an argument.

    Example:
      >>> import canter as ct
      >>> @ct.jit
      ... def f(x):
      ...     ct.debug.print("x = {x}, twice {:.1f}", 2 * x, x=x)
      ...     return x
      >>> _ = f(1.5)
      x = 1.5, twice 3.0
    """
    options = (ordered, partitioned, skip_format_check, None)
    if fmt is None:
        return _with_options(_print, args, kwargs, *options)  # type: ignore[arg-type]
    return _print(fmt, args, kwargs, *options)


@api_boundary
def log(
    fmt: str | None = None,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> Any:
    """As `debug.print`, to the logger "canter.debug" with level INFO and the user's line.

    Args:
      fmt, *args, ordered, partitioned, skip_format_check, **kwargs: as for `debug.print`.

    Example:
      >>> import canter as ct
      >>> ct.debug.log("step {}", 3)
    """
    options = (ordered, partitioned, skip_format_check, _log_site())
    if fmt is None:
        return _with_options(_print, args, kwargs, *options)  # type: ignore[arg-type]
    return _print(fmt, args, kwargs, *options)


class LogSite(NamedTuple):
    """The user's line that logs."""

    path: str
    line: int
    function: str

    def emit(self, text: str) -> None:
        """Logs a message as coming from there."""
        import logging

        logger = logging.getLogger("canter.debug")
        if logger.isEnabledFor(logging.INFO):
            record = logger.makeRecord(
                logger.name, logging.INFO, self.path, self.line, text, (), None, self.function
            )
            logger.handle(record)


def _log_site() -> LogSite:
    frame = source.user_frame()
    return (
        LogSite("<unknown>", 0, "<unknown>")
        if frame is None
        else LogSite(frame.file_name, frame.line_number, frame.function_name)
    )


def _print(
    fmt: Any, args: Any, kwargs: Any, ordered: bool, partitioned: bool, skip_check: bool, site: LogSite | None
) -> None:
    if not isinstance(fmt, str):
        raise TypeError(
            f"debug.print takes a format, such as 'x = {{}}', and then what to fill in; got {type(fmt).__name__}."
        )
    _check_options("debug.print", ordered, partitioned)
    if not skip_check:
        FormatChecker().vformat(fmt, args, kwargs)
    arrays, static, in_tree = _split_leaves(args, kwargs)
    current: Any = np.get_printoptions()
    debug_print_p.bind(
        *arrays,
        fmt=fmt,
        ordered=ordered,
        partitioned=partitioned,
        in_tree=in_tree,
        static_args=static,
        np_printoptions=tuple((name, current[name]) for name in _PRINT_OPTIONS),
        has_placeholders="{" in fmt or "}" in fmt,
        logging_record=site,
    )


class FormatChecker(string.Formatter):
    """Goes through a format without formatting anything: are all fields and arguments there?

    Args:
      unused: "refused" or "allowed", for arguments that the format does not use.
    """

    def __init__(self, unused: str = "refused"):
        self.refuses_unused = unused == "refused"

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Any) -> Any:
        first = re.split(r"[.\[]", field_name, maxsplit=1)[0]
        key: Any = int(first) if first.isdigit() else first
        return self.get_value(key, args, kwargs), key

    def convert_field(self, value: Any, conversion: Any) -> Any:
        return value

    def format_field(self, value: Any, format_spec: str) -> str:
        return ""

    def check_unused_args(self, used: Any, args: Any, kwargs: Any) -> None:
        if not self.refuses_unused:
            return
        unused = [arg for i, arg in enumerate(args) if i not in used]
        if unused:
            raise ValueError(
                f"Unused positional arguments to `debug.print`: {unused}. The format has fewer fields: add a {{}} "
                "for each."
            )
        names = [name for name in kwargs if name not in used]
        if names:
            raise ValueError(
                f"Unused keyword arguments to `debug.print`: {names}. You may be passing an f-string (i.e, "
                f'`f"{{x}}"`) into `debug.print` and instead should pass in a regular string.'
            )
