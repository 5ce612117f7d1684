"""Programs with effects at run time: their tokens, their callbacks, and waiting for both.

Each ordered effect has a token, an array without elements. A program with the effect takes the token
that the program before has given, so that it starts when that one is done.
"""

from __future__ import annotations

import atexit
import functools
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import numpy as np

from canter_pjrt.jaxlib_door import JaxRuntimeError

from ..core.effects import Effect, NamedAxisEffect, ordered_effects
from .backend import on_clear

__all__ = [
    "CallbackError",
    "ProgramEffects",
    "callback_error",
    "effects_barrier",
    "remember_failure",
    "wait_for_tokens",
]


class CallbackError(JaxRuntimeError):
    """A callback of a compiled program has raised an exception.

    It is also an instance of the class of that exception, wherever Python allows such a class, and has
    the exception as its cause.
    """

    def __str__(self) -> str:
        return str(self.args[0])


class _Tokens(threading.local):
    """What the programs started by this thread have left to wait for."""

    def __init__(self) -> None:
        self.ordered: dict[Effect, tuple[Any, Any]] = {}  # effect -> device, token
        self.running: dict[Any, Any] = {}  # device -> token of the last program with effects


_tokens = _Tokens()


def effects_barrier() -> None:
    """Waits until the effects of all programs started so far have happened.

    Callbacks run while their program does, and a program may still run after its call has returned.

    Raises:
      CallbackError: one of the callbacks has failed.

    Example:
      >>> import canter as ct
      >>> seen = []
      >>> y = ct.jit(lambda x: ct.pure_callback(lambda x: seen.append(1) or x, x, x))(1.0)
      >>> ct.effects_barrier()
    """
    ordered, running = _tokens.ordered, _tokens.running
    _tokens.ordered, _tokens.running = {}, {}
    try:
        for _, token in ordered.values():
            token.block_until_ready()
        for token in running.values():
            token.block_until_ready()
    except JaxRuntimeError as error:
        _raise_explained(error, "a compiled program")


wait_for_tokens = effects_barrier


@atexit.register
def _wait_at_exit() -> None:
    try:
        effects_barrier()
    except Exception as error:
        import sys

        sys.excepthook(type(error), error, error.__traceback__)


@on_clear
def _forget() -> None:
    _tokens.ordered.clear()
    _tokens.running.clear()


class ProgramEffects:
    """What running a compiled program has to observe because of its effects and callbacks."""

    __slots__ = ("name", "ordered")

    def __init__(self, name: str, effects: Iterable[Effect]):
        self.name = name
        self.ordered = ordered_effects.filter_in(effects)

    @staticmethod
    def of(name: str, effects: Iterable[Effect], host_callbacks: Sequence[Any]) -> ProgramEffects | None:
        """None for a program that has neither."""
        real = [effect for effect in effects if not isinstance(effect, NamedAxisEffect)]
        return ProgramEffects(name, real) if real or host_callbacks else None

    def execute(self, loaded: Any, operands: Sequence[Any], device: Any, everywhere: Any = None) -> Any:
        """Runs the program; the results without the tokens are left to the caller.

        Args:
          loaded: the executable.
          operands: its arguments without the tokens.
          device: the device, or the first of several.
          everywhere: the sharding of a token on several devices; None for one device.

        On the CPU it waits for the end, so that an exception in a callback is raised by the call that
        led to it.
        """
        tokens = [_token(effect, device, everywhere) for effect in self.ordered]
        try:
            results = loaded.execute_sharded([*tokens, *operands], with_tokens=True)
            given = results.disassemble_prefix_into_single_device_arrays(len(tokens)) if tokens else ()
            running = results.consume_token()
            if device.platform == "cpu":
                running.block_until_ready()
        except JaxRuntimeError as error:
            for effect in self.ordered:
                _tokens.ordered.pop(effect, None)
            _raise_explained(error, self.name)
        for effect, parts in zip(self.ordered, given, strict=True):
            _tokens.ordered[effect] = (device, parts[0]) if everywhere is None else (None, _Parts(parts))
        if device.platform != "cpu":
            _tokens.running[device] = running
        return results


class _Parts(tuple[Any, ...]):
    """A token on several devices."""

    __slots__ = ()

    def block_until_ready(self) -> None:
        """Waits for it on each."""
        for part in self:
            part.block_until_ready()


def _token(effect: Effect, device: Any, everywhere: Any) -> Any:
    known = _tokens.ordered.get(effect)
    if known is not None:
        where, token = known
        if where is device and everywhere is None:
            return token
        token.block_until_ready()  # tokens do not travel between devices
    empty = np.zeros((0,), np.bool_)
    if everywhere is not None:
        from .device_put import place_on

        return place_on(empty, everywhere)
    from .placement import place

    return place(empty, device)


# --- exceptions in callbacks ----------------------------------------------------------------------

# The runtime gives an exception of a callback as text only. The exceptions themselves wait here.
_failures: deque[BaseException] = deque(maxlen=16)


def remember_failure(error: BaseException) -> None:
    """Keeps the exception of a callback for the call that is about to hear of it."""
    _failures.append(error)


def _raise_explained(error: JaxRuntimeError, name: str) -> NoReturn:
    """Raises the exception of the callback that has made a program fail; the error itself if none has.

    Args:
      error: from running the program, or waiting for it.
      name: of the compiled function.
    """
    text = str(error)
    if "error calling callback" not in text:
        raise error
    for original in reversed(_failures):
        if type(original).__name__ not in text or str(original) not in text:
            continue
        _failures.remove(original)
        if not isinstance(original, Exception):  # KeyboardInterrupt, SystemExit
            raise original from None
        raise callback_error(original, name) from original
    raise error


def callback_error(original: Exception, name: str) -> CallbackError:
    """The error for a callback that has raised: of its class too, with the exception as the cause.

    Args:
      original: what the callback raised.
      name: of what has called it.
    """
    described = str(original)
    if not isinstance(original, CallbackError):
        described = f"{original}\n({type(original).__name__}: raised in a callback of {name})"
    kind: Any = type(original)
    cls = _class_for(kind)
    try:
        result = cls.__new__(cls)
    except TypeError:  # it has a constructor of its own
        result = CallbackError()
    result.args = (described,)
    return result


@functools.cache
def _class_for(original: Any) -> Any:
    """A class of errors that `except` clauses for both kinds catch."""
    if issubclass(original, CallbackError):
        return original
    members = {"__module__": original.__module__, "__str__": CallbackError.__str__}
    try:
        return type(original.__name__, (original, CallbackError), members)
    except TypeError:  # the layouts of the two do not go together
        return CallbackError
