"""`debug.breakpoint`: a prompt at a point of a running program, on the frames of the code that was traced there.

The frames are those of tracing; where their local variables were tracers, they have the values of this
run.
"""

from __future__ import annotations

import cmd
import pprint
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..core import pytree, source
from ..core.effects import debug_effect, ordered_debug_effect
from ..core.errors import api_boundary
from ..core.trace import Tracer
from ..lax.callbacks import debug_callback_p
from ..runtime import callbacks as _callbacks

__all__ = ["DebuggerFrame", "breakpoint", "register_debugger"]


class DebuggerFrame(NamedTuple):
    """A frame to look at.

    Attributes:
      filename, function, lineno: where it is; lines are counted from 1.
      locals, globals: its variables.
      lines: the lines around, as (number, text); empty where the source is not to be had.
    """

    filename: str
    function: str
    lineno: int
    locals: dict[str, Any]
    globals: dict[str, Any]
    lines: tuple[tuple[int, str], ...]


# name -> priority and what runs it: run(frames, thread_id, **kwargs), innermost frame first
_debuggers: dict[str, tuple[int, Callable[..., None]]] = {}


def register_debugger(name: str, run: Callable[..., None], priority: int) -> None:
    """Adds a debugger for `breakpoint(backend=name)`.

    Args:
      name: of the debugger; one that is there already is replaced.
      run: called as `run(frames, thread_id, **kwargs)` with `DebuggerFrame`s, innermost first, and the
        keyword arguments that `breakpoint` does not know. It returns when the program is to go on.
      priority: the one with the highest is taken where no backend is named.
    """
    _debuggers[name] = (priority, run)


@api_boundary
def breakpoint(
    *,
    backend: str | None = None,
    filter_frames: bool = True,
    num_frames: int | None = None,
    ordered: bool = False,
    token: Any = None,
    **kwargs: Any,
) -> Any:
    """Stops the program here each time it comes by, with a prompt at which its values can be looked at.

    The commands are those of pdb that look at things: `p` and `pp` print an expression, `u` and `d`
    move between frames, `l` lists the source, `bt` the frames; `c` goes on, `q` ends Python.

    Args:
      backend: the debugger: "cli", or one from `debug.breakpoints.register_debugger`; None takes that of
        the highest priority.
      filter_frames: whether Canter's own frames are left out.
      num_frames: at most so many frames; None is all.
      ordered: whether it happens in the order of the program, among ordered prints and breakpoints.
      token: a tree of arrays; given one, it is returned unchanged and the program stops when its
        values are there, if somebody needs what is returned.
      **kwargs: for the debugger. "cli" takes `stdin` and `stdout`, files to read commands from and to
        write to.

    Returns:
      The token; None without one.

    Example:
      >>> import canter as ct
      >>> import io
      >>> @ct.jit
      ... def f(x):
      ...     y = x + 1
      ...     ct.debug.breakpoint(stdin=io.StringIO("p y * 2"))
      ...     return y
      >>> _ = f(1.0)
      Entering the debugger:
      (cdb) Array(4., dtype=float32...)
      (cdb)
    """
    name = backend
    if name is None:
        name = max(_debuggers, key=lambda key: _debuggers[key][0])
    if name not in _debuggers:
        raise ValueError(
            f"There is no debugger {name!r}; there are {', '.join(map(repr, sorted(_debuggers)))}. Others come with "
            "canter.debug.breakpoints.register_debugger."
        )
    if token is not None and ordered:
        raise ValueError("breakpoint: `token` and `ordered` are two ways to say when it happens; give one.")
    stop = _Stop(_frames_here(filter_frames, num_frames), name, tuple(kwargs.items()))
    tracers, stop.tracers = stop.tracers, []  # it must not keep the trace alive
    if token is None:
        effect = ordered_debug_effect if ordered else debug_effect
        debug_callback_p.bind(*tracers, callback=stop, effect=effect, partitioned=False)
        return None
    return _after_token(token, stop, tracers)


def _after_token(token: Any, stop: _Stop, tracers: Sequence[Any]) -> Any:
    """The token, which nobody gets before the program has stopped."""
    import numpy as np

    from ..transforms.custom_rules import custom_jvp

    def stopped(token: Any, tracers: Any) -> Any:
        stop(*tracers)
        return pytree.tree_map(np.asarray, token)

    @custom_jvp
    def passed(token: Any, tracers: Any) -> Any:
        return _callbacks.pure_callback(stopped, token, token, tracers, vmap_method="sequential")

    passed.defjvp(lambda primals, tangents: (passed(*primals), tangents[0]))
    return passed(token, list(tracers))


def _frames_here(filter_frames: bool, limit: int | None) -> list[DebuggerFrame]:
    """The frames of the caller of the public function, innermost first."""
    found: list[DebuggerFrame] = []
    frame: Any = sys._getframe(1)
    while frame is not None and (limit is None or len(found) < limit):
        name = frame.f_code.co_filename
        if source.is_user_file(name) or (not filter_frames and name != __file__):
            lines = _lines_around(frame)
            found.append(
                DebuggerFrame(
                    name, frame.f_code.co_name, frame.f_lineno, dict(frame.f_locals), frame.f_globals, lines
                )
            )
        frame = frame.f_back
    return found


def _lines_around(frame: Any, reach: int = 5) -> tuple[tuple[int, str], ...]:
    """The lines of a frame's function near the one that runs."""
    import inspect

    try:
        lines, first = inspect.getsourcelines(frame)
    except (OSError, TypeError):
        return ()
    first = max(1, first)
    around = [(n, text) for n, text in enumerate(lines, first) if abs(n - frame.f_lineno) <= reach]
    return tuple((n, text.rstrip("\n")) for n, text in around)


class _Stop:
    """What a program calls at a breakpoint: the frames, with holes for the values of this run."""

    def __init__(self, frames: Sequence[DebuggerFrame], debugger: str, options: tuple[tuple[str, Any], ...]):
        self.frames = [frame._replace(locals={}) for frame in frames]
        self.debugger = debugger
        self.options = options
        self.tracers: list[Any] = []
        places: dict[int, int] = {}
        self._variables = [
            {name: self._with_holes(value, places) for name, value in frame.locals.items()}
            for frame in frames
        ]

    def _with_holes(self, value: Any, places: dict[int, int]) -> Any:
        """A variable as (leaves, structure), in which tracers have given way to their places."""
        try:
            leaves, tree = pytree.tree_flatten(value)
        except Exception:  # not every object that looks like a tree is one
            leaves, tree = [value], None
        return [self._with_hole(leaf, places) for leaf in leaves], tree

    def _with_hole(self, leaf: Any, places: dict[int, int]) -> Any:
        if not isinstance(leaf, Tracer) or not leaf._trace.is_alive():
            return leaf
        place = places.get(id(leaf))
        if place is None:
            place = places[id(leaf)] = len(self.tracers)
            self.tracers.append(leaf)
        return _Hole(place)

    def __call__(self, *values: Any) -> list[Any]:
        frames = []
        for frame, variables in zip(self.frames, self._variables, strict=True):
            found = {}
            for name, (leaves, tree) in variables.items():
                filled = [values[x.place] if type(x) is _Hole else x for x in leaves]
                found[name] = filled[0] if tree is None else tree.unflatten(filled)
            frames.append(frame._replace(locals=found))
        run = _debuggers[self.debugger][1]
        import threading

        run(frames, threading.get_ident(), **dict(self.options))
        return []


class _Hole(NamedTuple):
    place: int


class CommandLine(cmd.Cmd):
    """The prompt."""

    prompt = "(cdb) "

    def __init__(self, frames: Sequence[DebuggerFrame], stdin: Any = None, stdout: Any = None):
        super().__init__(stdin=stdin, stdout=stdout)
        self.use_rawinput = stdin is None
        self.frames = frames
        self.position = 0

    @property
    def frame(self) -> DebuggerFrame:
        """The frame that is being looked at."""
        return self.frames[self.position]

    def say(self, text: str) -> None:
        """Writes a line."""
        self.stdout.write(text + "\n")
        self.stdout.flush()

    def evaluate(self, expression: str) -> tuple[Any, bool]:
        """The value of an expression in the frame, and whether it has one."""
        try:
            # Comprehensions see only globals, so the local variables stand among them.
            return eval(expression, {**self.frame.globals, **self.frame.locals}), True
        except Exception as error:
            self.say("*** " + traceback.format_exception_only(error)[-1].strip())
            return None, False

    def do_p(self, arg: str) -> None:
        """p expression -- print the value of an expression."""
        value, known = self.evaluate(arg)
        if known:
            self.say(repr(value))

    def do_pp(self, arg: str) -> None:
        """pp expression -- print the value of an expression, over several lines if it is long."""
        value, known = self.evaluate(arg)
        if known:
            self.say(pprint.pformat(value))

    def default(self, line: str) -> None:
        """Anything that is no command is an expression."""
        self.do_p(line)

    def emptyline(self) -> bool:
        return False

    def do_up(self, arg: str) -> None:
        """u(p) -- go to the frame that has called this one."""
        self._move(1, "Oldest frame")

    def do_down(self, arg: str) -> None:
        """d(own) -- go to the frame that this one has called."""
        self._move(-1, "Newest frame")

    def _move(self, step: int, end: str) -> None:
        if 0 <= self.position + step < len(self.frames):
            self.position += step
            self.do_list("")
        else:
            self.say(f"*** {end}")

    def do_list(self, arg: str) -> None:
        """l(ist) -- the source around the line of this frame."""
        frame = self.frame
        self.say(f"> {frame.filename}({frame.lineno}) {frame.function}")
        for number, text in frame.lines:
            self.say(f"{'->' if number == frame.lineno else '  '} {text}")

    def do_where(self, arg: str) -> None:
        """bt, w(here) -- the frames, the newest last."""
        self.say("Traceback:")
        for frame in reversed(self.frames):
            text = next((text.strip() for number, text in frame.lines if number == frame.lineno), "")
            self.say(f'  File "{frame.filename}", line {frame.lineno}, in {frame.function}')
            if text:
                self.say(f"    {text}")

    def do_continue(self, arg: str) -> bool:
        """c(ont(inue)) -- go on with the program."""
        return True

    def do_EOF(self, arg: str) -> bool:
        """End of input -- go on with the program."""
        self.say("")
        return True

    def do_quit(self, arg: str) -> bool:
        """q(uit) -- end Python."""
        raise SystemExit(0)

    do_u, do_d, do_l, do_q, do_c, do_cont = do_up, do_down, do_list, do_quit, do_continue, do_continue
    do_w = do_bt = do_where


def _run_command_line(
    frames: Sequence[DebuggerFrame], thread_id: Any, stdin: Any = None, stdout: Any = None
) -> None:
    prompt = CommandLine(frames, stdin, stdout)
    prompt.say("Entering the debugger:")
    prompt.cmdloop()


register_debugger("cli", _run_command_line, 0)
