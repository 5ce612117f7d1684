"""Profiles of running programs, by the profiler that comes with jaxlib.

A trace is written below the folder given, as `plugins/profile/<time>/<host>.xplane.pb`, which TensorBoard, XProf and
`ProfileData` read, and as `<host>.trace.json.gz`, which Perfetto (https://ui.perfetto.dev) reads.
"""

from __future__ import annotations

import functools
import glob
import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from canter_pjrt.jaxlib_door import profile_data as _profile_data, profiler as _profiler

if TYPE_CHECKING:
    _TraceMe: Any = object
else:
    _TraceMe = _profiler.TraceMe

__all__ = [
    "ProfileData",
    "ProfileEvent",
    "ProfileOptions",
    "ProfilePlane",
    "StepTraceAnnotation",
    "TraceAnnotation",
    "annotate_function",
    "device_memory_profile",
    "register_subprocess",
    "save_device_memory_profile",
    "start_server",
    "start_trace",
    "stop_server",
    "stop_trace",
    "trace",
]

ProfileData = _profile_data.ProfileData
ProfileEvent = _profile_data.ProfileEvent
ProfilePlane = _profile_data.ProfilePlane
ProfileOptions = _profiler.ProfileOptions


class _Running:
    """The one session and the one server that a process can have."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.server: Any = None
        self.session: Any = None
        self.folder = ""
        self.perfetto_link = self.perfetto_trace = False


_running = _Running()


def start_server(port: int, requires_backend: bool = True) -> Any:
    """Starts a server from which XProf and TensorBoard can ask for traces of this process.

    Args:
      port: where it listens.
      requires_backend: whether the devices are started first, without which they do not show in traces.

    Raises:
      ValueError: a server runs already.

    Example:
      >>> import canter as ct
      >>> server = ct.profiler.start_server(49731)
      >>> ct.profiler.stop_server()
    """
    with _running.lock:
        if _running.server is not None:
            raise ValueError("Only one profiler server can be active at a time: call stop_server first.")
        if requires_backend:
            _start_devices()
        _running.server = _profiler.start_server(port)
        return _running.server


def stop_server() -> None:
    """Ends the server that `start_server` started; ValueError if there is none."""
    with _running.lock:
        if _running.server is None:
            raise ValueError("No active profiler server.")
        _running.server = None


def _start_devices() -> None:
    """A profiler that starts before the devices do would not see them."""
    from .runtime.backend import get_backend

    get_backend()


def start_trace(
    log_dir: os.PathLike[str] | str,
    create_perfetto_link: bool = False,
    create_perfetto_trace: bool = False,
    profiler_options: Any = None,
) -> None:
    """Begins to record what host and devices do, until `stop_trace`.

    Args:
      log_dir: the folder to write to.
      create_perfetto_link: print a link to the trace in Perfetto's user interface at the end, and wait until it is
        opened.
      create_perfetto_trace: write `perfetto_trace.json.gz` as well.
      profiler_options: a `ProfileOptions`.

    Raises:
      RuntimeError: a trace is being recorded already.

    Example:
      >>> import canter as ct, tempfile
      >>> ct.profiler.start_trace(tempfile.mkdtemp())
      >>> ct.profiler.stop_trace()
    """
    with _running.lock:
        if _running.session is not None:
            raise RuntimeError("Profile has already been started. Only one profile may be run at a time.")
        _start_devices()
        options = () if profiler_options is None else (profiler_options,)
        _running.session = _profiler.ProfilerSession(*options)
        _running.folder = os.fspath(log_dir)
        _running.perfetto_link = create_perfetto_link
        _running.perfetto_trace = create_perfetto_trace or create_perfetto_link


def stop_trace() -> None:
    """Ends the trace that `start_trace` began, and writes it; RuntimeError if there is none."""
    with _running.lock:
        if _running.session is None:
            raise RuntimeError("No profile started")
        session, _running.session = _running.session, None
        session.stop_and_export(_running.folder)
        if _running.perfetto_trace:
            path = _write_perfetto_trace(_running.folder)
            if _running.perfetto_link:
                _serve_to_perfetto(path)


@contextmanager
def trace(
    log_dir: os.PathLike[str] | str,
    create_perfetto_link: bool = False,
    create_perfetto_trace: bool = False,
    profiler_options: Any = None,
) -> Iterator[None]:
    """Records what happens in a `with` block; arguments and errors as for `start_trace`.

    Example:
      >>> import canter as ct, tempfile
      >>> with ct.profiler.trace(tempfile.mkdtemp()):
      ...     _ = ct.numpy.ones(3) + 1
    """
    start_trace(log_dir, create_perfetto_link, create_perfetto_trace, profiler_options)
    try:
        yield
    finally:
        stop_trace()


def _write_perfetto_trace(folder: str) -> str:
    """The newest run's trace without what Perfetto does not read; returns the path."""
    runs = sorted(
        glob.glob(os.path.join(glob.escape(folder), "plugins", "profile", "*", "")), key=os.path.getmtime
    )
    traces = glob.glob(os.path.join(glob.escape(runs[-1]), "*.trace.json.gz")) if runs else []
    if not traces:
        raise ValueError(f"The profiler wrote no trace below {folder}.")
    with gzip.open(traces[0], "rt") as file:
        content = json.load(file)
    content.pop("metadata", None)
    path = os.path.join(runs[-1], "perfetto_trace.json.gz")
    with gzip.open(path, "wt") as file:
        json.dump(content, file)
    return path


def _serve_to_perfetto(path: str) -> None:
    """Prints a link that opens a file in Perfetto, and hands the file over once."""
    import http.server

    folder, name = os.path.split(path)

    class Handler(http.server.SimpleHTTPRequestHandler):
        done = False

        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, directory=folder, **options)

        def end_headers(self) -> None:
            self.send_header("Access-Control-Allow-Origin", "https://ui.perfetto.dev")
            super().end_headers()

        def do_GET(self) -> None:
            super().do_GET()
            Handler.done = True

        def log_message(self, *_: Any) -> None:
            pass

    # Perfetto's content policy lets its page fetch from this port of the local machine only.
    with http.server.HTTPServer(("127.0.0.1", 9001), Handler) as server:
        print(
            f"Open URL in browser: https://ui.perfetto.dev/#!/?url=http://127.0.0.1:9001/{name}", flush=True
        )
        while not Handler.done:
            server.handle_request()


class TraceAnnotation(_TraceMe):
    """Names what happens in a `with` block in the trace.

    Args:
      name: the name.
      **kwargs: shown with it.

    Example:
      >>> import canter as ct
      >>> with ct.profiler.TraceAnnotation("load data", shard=3):
      ...     pass
    """


class StepTraceAnnotation(TraceAnnotation):
    """Marks a `with` block as one step of a loop, over which tools then sum up times.

    Args:
      name: of the loop.
      **kwargs: shown with it; `step_num` is the step's number.

    Example:
      >>> import canter as ct
      >>> with ct.profiler.StepTraceAnnotation("train", step_num=7):
      ...     pass
    """

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(name, _r=1, **kwargs)  # _r is by what the tools know a step


def annotate_function(
    func: Callable[..., Any] | None = None, name: str | None = None, **decorator_kwargs: Any
) -> Callable[..., Any]:
    """A function whose calls show in the trace under its name.

    Args:
      func: the function.
      name: another name than its own.
      **decorator_kwargs: shown with it.

    Example:
      >>> import canter as ct
      >>> @ct.profiler.annotate_function
      ... def load():
      ...     return 3
      >>> load()
      3
    """
    if func is None:
        return functools.partial(annotate_function, name=name, **decorator_kwargs)
    function, shown = func, name or getattr(func, "__qualname__", None) or repr(func)

    @functools.wraps(function)
    def annotated(*args: Any, **kwargs: Any) -> Any:
        with TraceAnnotation(shown, **decorator_kwargs):
            return function(*args, **kwargs)

    return annotated


def device_memory_profile(backend: str | None = None) -> bytes:
    r"""The memory that arrays and programs hold on the devices, as a gzipped profile for `pprof`.

    Args:
      backend: the platform, None for the default one.

    Example:
      >>> import canter as ct
      >>> ct.profiler.device_memory_profile()[:2]
      b'\x1f\x8b'
    """
    from .runtime.backend import get_backend

    return gzip.compress(get_backend(backend).heap_profile())


def save_device_memory_profile(filename: os.PathLike[str] | str, backend: str | None = None) -> None:
    """Writes `device_memory_profile` to a file.

    Example:
      >>> import canter as ct, os, tempfile
      >>> path = os.path.join(tempfile.mkdtemp(), "memory.prof")
      >>> ct.profiler.save_device_memory_profile(path)
      >>> os.path.getsize(path) > 0
      True
    """
    with open(filename, "wb") as file:
        file.write(device_memory_profile(backend))


def register_subprocess(pid: int, port: int) -> Callable[[], None]:
    """Has the profiler server of a child process take part in traces of this one.

    Args:
      pid: the child's process id.
      port: that of the server that it started.

    Returns:
      A function that ends it.
    """
    return _profiler.register_subprocess(pid, port)
