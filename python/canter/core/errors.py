"""Exceptions, and the help that their messages give.

A message says what was wrong in the user's terms, where, and what to do. Exceptions that concern a
tracer take the tracer itself and find out what it stands for: which argument, or which line.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from canter_pjrt.jaxlib_door import JaxRuntimeError

from . import config, source

__all__ = [
    "ConcretizationTypeError",
    "InconclusiveDimensionOperation",
    "JAXIndexError",
    "JAXTypeError",
    "JaxRuntimeError",
    "JaxprTypeError",
    "KeyReuseError",
    "NonConcreteBooleanIndexError",
    "RetracingError",
    "ShardingTypeError",
    "TracerArrayConversionError",
    "TracerBoolConversionError",
    "TracerIntegerConversionError",
    "UnexpectedTracerError",
    "api_boundary",
    "argument_path",
    "argument_paths",
    "describe_value",
    "filter_traceback",
    "origin",
    "unknown_attribute",
]

F = TypeVar("F", bound=Callable[..., Any])


# ---------------------------------------------------------------- what a tracer stands for


def _line(lead: str) -> str:
    """A sentence that ends with the user's innermost line, or nothing where there is none."""
    frame = source.user_frame()
    return "" if frame is None else f"{lead}{frame}."


def _innermost(tracer: Any) -> Any:
    """The tracer of the outermost recording trace under wrappers for differentiation and batching."""
    for _ in range(64):
        inner = getattr(tracer, "primal", None)
        if inner is None:
            inner = getattr(tracer, "value", None)
        if inner is None or not hasattr(inner, "_trace"):
            return tracer
        tracer = inner
    return tracer


def origin(tracer: Any) -> str:
    """A sentence on where a tracer's value comes from."""
    inner = _innermost(tracer)
    trace: Any = getattr(inner, "_trace", None)
    var = getattr(inner, "_var", None)
    if var is None or not hasattr(trace, "eqns"):
        return ""
    name = trace.debug_info.func_name
    for position, argument in enumerate(trace.invars):
        if argument is var:
            names = trace.debug_info.arg_names
            known = names is not None and position < len(names)
            return f"It is the argument {names[position] if known else f'number {position}'} of {name}."
    for eqn in reversed(trace.eqns):
        if any(out is var for out in eqn.outvars):
            line = source.summarize(eqn.source_info, "")
            return f"It was computed by {eqn.primitive.name}{' at ' + line if line else ''}."
    return ""


_TRANSFORMATIONS = {
    "JaxprTracer": "traced",
    "JVPTracer": "differentiated",
    "BatchTracer": "vectorised by vmap",
}


def _situation(tracer: Any) -> str:
    """What is being done to which function: 'while f is traced'."""
    trace = getattr(_innermost(tracer), "_trace", None)
    info = getattr(trace, "debug_info", None)
    what = _TRANSFORMATIONS.get(type(_innermost(tracer)).__name__, "transformed")
    name = getattr(info, "func_name", None) or "the function"
    return f"while {'the function' if name == '<unknown>' else name} is being {what}"


def describe_value(value: Any) -> str:
    """A short description of any value for a message: type, and shape where it has one."""
    aval = getattr(value, "aval", None)
    if aval is not None:
        return aval.str_short()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{value.dtype}[{','.join(map(str, value.shape))}] ({type(value).__module__.split('.')[0]})"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} of type {type(value).__name__}"


def _tracer_message(tracer: Any, need: str, advice: str) -> str:
    lines = [f"{need}, but {_situation(tracer)} only its type is known: {tracer.aval.str_short()}."]
    lines += [line for line in (origin(tracer), _line("It was needed at ")) if line]
    return "\n".join([*lines, advice])


# ---------------------------------------------------------------- documented classes


class JAXTypeError(TypeError):
    """Base class of the type errors that concern tracing."""


class JAXIndexError(IndexError):
    """Base class of the index errors that concern tracing."""


class JaxprTypeError(TypeError):
    """A jaxpr breaks a rule of its language; a defect of the code that built it."""


class ConcretizationTypeError(JAXTypeError):
    """A value was needed that tracing does not know.

    Args:
      tracer: the tracer whose value was needed, or the whole message.
      context: a sentence on what it was needed for.
    """

    _need = "The value of an array is needed here"
    _advice = (
        "If it is the same in most calls, make the argument static: "
        "canter.jit(f, static_argnames=...); otherwise keep to operations on arrays."
    )

    def __init__(self, tracer: Any, context: str = "") -> None:
        if isinstance(tracer, str):
            super().__init__(tracer)
            return
        advice = f"{context.rstrip('.')}.\n{self._advice}" if context else self._advice
        super().__init__(_tracer_message(tracer, self._need, advice))


class TracerBoolConversionError(ConcretizationTypeError):
    """`if`, `while`, `and`, `or`, `not`, `assert` or `bool()` on a tracer."""

    _need = "The truth value of an array decides what Python does next (if, while, and, or, not, assert)"
    _advice = (
        "Instead of `if`, use canter.numpy.where(condition, a, b) or canter.lax.cond; instead of `while`, "
        "canter.lax.while_loop; instead of `and`, `or`, `not`: &, |, ~. Or make the argument static: "
        "canter.jit(f, static_argnames=...)."
    )


class TracerArrayConversionError(ConcretizationTypeError):
    """`numpy.asarray` on a tracer, often through a NumPy function."""

    _need = "A NumPy array is asked for (by numpy.asarray, or a NumPy function)"
    _advice = (
        "Use the function of the same name in canter.numpy. To run NumPy code on the value all the same, "
        "use canter.pure_callback; or make the argument static: canter.jit(f, static_argnames=...)."
    )


class TracerIntegerConversionError(ConcretizationTypeError):
    """A tracer used where Python needs an integer: an index of a list, range(), a shape."""

    _need = "Python needs an integer (as the index of a list, in range(), as a length or shape)"
    _advice = (
        "To index with it, make the list an array: canter.numpy.asarray(values)[i]. Instead of range(), use "
        "canter.lax.fori_loop. A shape must be known: make the argument static with "
        "canter.jit(f, static_argnames=...)."
    )


class NonConcreteBooleanIndexError(JAXIndexError):
    """A boolean mask of unknown content as an index: the result's shape would be unknown."""

    def __init__(self, tracer: Any) -> None:
        if isinstance(tracer, str):
            super().__init__(tracer)
            return
        need = "The shape of x[mask] depends on how many elements of the boolean mask are True"
        advice = (
            "Use canter.numpy.where(mask, x, 0), or canter.numpy.nonzero(mask, size=...) with a fixed size; "
            "to assign, x = canter.numpy.where(mask, value, x); to reduce, sum(x, where=mask)."
        )
        super().__init__(_tracer_message(tracer, need, advice))


class UnexpectedTracerError(JAXTypeError):
    """A tracer used after its function has returned, or in another thread."""

    def __init__(self, tracer: Any) -> None:
        if isinstance(tracer, str):
            super().__init__(tracer)
            return
        lines = [
            f"A value of type {tracer.aval.str_short()} has leaked out of the function that computed it: "
            "it exists only while that function is being transformed.",
            origin(tracer),
            _line("It was used at "),
            "Return the value from the function instead of keeping it in a global, an attribute, a list or a "
            "closure; and do not cache functions of arrays (functools.lru_cache) across transformations.",
        ]
        super().__init__("\n".join(line for line in lines if line))


class ShardingTypeError(Exception):
    """The layouts in the types of operands do not fit together, or leave the layout of a result open."""


class KeyReuseError(JAXTypeError):
    """A random key was used twice."""


class RetracingError(RuntimeError):
    """A function was traced or compiled more often than `jit(max_traces=...)` or a test allows."""


class InconclusiveDimensionOperation(Exception):
    """A comparison of symbolic dimensions that holds for some sizes and not for others."""


# ---------------------------------------------------------------- argument paths


def argument_paths(fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> list[str]:
    """The name of every leaf of a call's arguments: `x`, `params['w'][0]`, `rest[1]`.

    Args:
      fun: the function, whose signature names the arguments where it can be had.
      args, kwargs: those of the call.

    Returns:
      One string a leaf, in the order in which `tree_flatten((args, kwargs))` gives them.
    """
    from . import pytree

    names = _positional_names(fun, len(args))
    paths = []
    for path, _ in pytree.tree_leaves_with_path((tuple(args), dict(kwargs))):
        head = names[path[1].idx] if path[0].idx == 0 else path[1].key
        paths.append(head + pytree.keystr(path[2:]))
    return paths


def argument_path(fun: Callable[..., Any], path: Sequence[Any], numbers: Sequence[int] | None = None) -> str:
    """The name of one leaf of a call's positional arguments: `params['w'][0]`.

    Args:
      fun: the function, whose signature names the arguments where it can be had.
      path: key path of the leaf in the tuple of arguments.
      numbers: where that tuple has only some of the arguments, their positions.
    """
    from . import pytree

    position = path[0].idx if numbers is None else numbers[path[0].idx]
    return _positional_names(fun, position + 1)[position] + pytree.keystr(tuple(path[1:]))


def _positional_names(fun: Callable[..., Any], count: int) -> list[str]:
    import inspect

    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind == parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(max(0, count - len(names)))]
    return names[:count] + [f"args[{i}]" for i in range(len(names), count)]


def unknown_attribute(module: str, name: str, known: Sequence[str]) -> AttributeError:
    """The error for a name that a module does not have; it proposes the nearest ones that there are."""
    import difflib

    near = difflib.get_close_matches(name, known, n=3)
    proposal = f"; did you mean {' or '.join(near)}?" if near else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{proposal}", name=name)


# ---------------------------------------------------------------- tracebacks without framework frames

_NOTE = "(Canter's own frames are left out; set CANTER_TRACEBACK_FILTERING=off to see them.)"


# What to do about errors that jaxlib's C++ raises before any Python runs: a part of the message, the advice.
_ADVICE = {
    "Non-hashable static arguments are not supported. An": (
        "Pass a tuple instead of a list, a frozen dataclass instead of a mutable one; an array should not be static."
    ),
    "sorting pytree dictionary keys": "Use keys of one type, for example strings, or a collections.OrderedDict.",
}


def filter_traceback(error: BaseException) -> None:
    """Removes Canter's own frames from an exception's traceback, as `traceback_filtering` says.

    The exceptions that caused it are filtered too. Errors of C++ get a note that says what to do.
    """
    for words, advice in _ADVICE.items():
        if words in str(error) and advice not in (*getattr(error, "__notes__", ()), *str(error).splitlines()):
            error.add_note(advice)
    mode = config.traceback_filtering.value
    if mode == "off":
        return
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        pending += [current.__cause__, None if current.__suppress_context__ else current.__context__]
        if mode == "tracebackhide":
            _mark_internal_frames(current.__traceback__)
        else:
            kept = _without_internal_frames(current.__traceback__)
            if kept is not current.__traceback__:
                current.__traceback__ = kept
                if mode in ("auto", "remove_frames") and _NOTE not in getattr(current, "__notes__", ()):
                    current.add_note(_NOTE)


def _without_internal_frames(traceback: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback of the user's frames alone; the same object when there is nothing to remove."""
    entries = []
    entry = traceback
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    kept = [e for e in entries if source.is_user_file(e.tb_frame.f_code.co_filename)]
    if len(kept) == len(entries):
        return traceback
    rebuilt: types.TracebackType | None = None
    for e in reversed(kept):
        rebuilt = types.TracebackType(rebuilt, e.tb_frame, e.tb_lasti, e.tb_lineno)
    return rebuilt


def _mark_internal_frames(traceback: types.TracebackType | None) -> None:
    """Sets the local variable by which IPython and pytest know frames to hide."""
    while traceback is not None:
        if not source.is_user_file(traceback.tb_frame.f_code.co_filename):
            traceback.tb_frame.f_locals["__tracebackhide__"] = True
        traceback = traceback.tb_next


def api_boundary(fun: F) -> F:
    """Decorates a public function: exceptions leave it without Canter's own frames.

    Nothing is done before the call or after a normal return.
    """
    boundary: F = functools.wraps(fun)(_boundary(fun))  # type: ignore[assignment]
    return boundary


def derived_boundary(original: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Decorates a function that a transformation made of `original`: an API boundary that takes its name and text."""

    def decorate(fun: Callable[..., Any]) -> Any:
        boundary = _boundary(fun)
        boundary.__wrapped__ = original
        for name in _COPIED:
            value = getattr(original, name, None)
            if value is not None:
                setattr(boundary, name, value)
        return boundary

    return decorate


_COPIED = ("__module__", "__name__", "__qualname__", "__doc__")


def _boundary(fun: Callable[..., Any]) -> Any:
    def boundary(*args: Any, **kwargs: Any) -> Any:
        try:
            return fun(*args, **kwargs)
        except Exception as error:
            filter_traceback(error)
            raise

    return boundary
