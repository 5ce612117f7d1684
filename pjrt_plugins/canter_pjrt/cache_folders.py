"""Where the compilation cache keeps its entries: a plain folder, or whatever fsspec can open.

A folder raises OSError for everything that can go wrong with it, and nothing else. A remote one never
holds the program up: it has a limited time to answer, is left alone for the rest of the process once it
did not, and takes what is written to it in a thread of its own.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

__all__ = ["Entry", "Folder", "LocalFolder", "RemoteFolder", "folder_of", "forget_folders"]

_SUFFIX = ".xla"
_UNFINISHED = ".writing-"
_NOTE = ".note"
# Seconds after which a file goes: one that is unfinished is of a process that was killed.
_ABANDONED_AFTER = {_UNFINISHED: 3600.0, _NOTE: 30 * 86400.0}
_AHEAD = 3600.0  # seconds by which the clocks of those who share a folder may differ


class Entry(NamedTuple):
    """A program in the cache: its key, its size in bytes, and when it was last used (Unix time)."""

    name: str
    size: int
    last_used: float


class Folder(Protocol):
    """What the cache asks of a folder. Every method may raise OSError."""

    place: str

    def read(self, name: str) -> bytes:
        """An entry; raises FileNotFoundError where there is none."""

    def write(self, name: str, data: bytes, max_bytes: int, done: Callable[[OSError | None], None]) -> None:
        """Adds an entry, removes those used longest ago beyond `max_bytes` (-1: no limit), and calls `done`."""

    def touch(self, name: str) -> None:
        """Notes that an entry has been used."""

    def remove(self, names: Sequence[str]) -> None:
        """Removes entries; one that is gone already is no error."""

    def entries(self) -> list[Entry]:
        """All entries, the latest used first; none where there is no such folder."""


def folder_of(directory: str, seconds: float = 10.0) -> Folder:
    """The folder of a path or URL.

    Args:
      directory: a path, a URL such as "file:///cache", or one that fsspec knows, such as "gs://bucket/cache".
      seconds: how long a remote folder has to answer.
    """
    if directory.startswith("file://"):
        return LocalFolder(directory.removeprefix("file://"))
    if re.match(r"[\w+.-]{2,}(::[\w+.-]+)*://", directory):  # the names of drives have one letter
        return _remote(directory, seconds)
    return LocalFolder(os.path.expanduser(directory))


@functools.cache
def _remote(url: str, seconds: float) -> RemoteFolder:
    return RemoteFolder(url, seconds)


def forget_folders() -> None:
    """Remote folders that did not answer are asked again."""
    _remote.cache_clear()


def _too_many(entries: Sequence[Entry], max_bytes: int, written: str) -> list[str]:
    """Entries to remove so that the others fit: those that were used longest ago, never the one just written.

    A time that is yet to come tells nothing, and would keep its entry for ever: these go first.
    """
    latest = time.time() + _AHEAD
    total, names = 0, []
    for entry in sorted(entries, key=lambda e: (e.name != written, e.last_used > latest, -e.last_used)):
        total += entry.size
        if total > max_bytes >= 0 and entry.name != written:
            names.append(entry.name)
    return names


class LocalFolder:
    """A folder of this machine, or one that the system makes look so."""

    def __init__(self, directory: str):
        self.place = directory

    def _path(self, name: str, suffix: str = _SUFFIX) -> str:
        path = os.path.join(self.place, name + suffix)
        try:
            if b"\0" not in os.fsencode(path):
                return path
        except UnicodeEncodeError:
            pass
        raise OSError(errno.EINVAL, "no file can have this name", path)

    def read(self, name: str) -> bytes:
        with open(self._path(name), "rb", opener=_open_at_once) as file:
            return file.read()

    def write(self, name: str, data: bytes, max_bytes: int, done: Callable[[OSError | None], None]) -> None:
        path = self._path(name)
        for left in (2, 1, 0):
            try:
                os.makedirs(self.place, exist_ok=True)
                self._write(path, data)
                break
            except FileNotFoundError:  # somebody has removed the folder in between
                if not left:
                    raise
        with suppress(OSError):  # the entry is there, whatever becomes of the others
            self._evict(max_bytes, name)
        done(None)

    def read_note(self, name: str) -> bytes:
        """A note beside the entries, see `early`."""
        with open(self._path(name, _NOTE), "rb", opener=_open_at_once) as file:
            return file.read()

    def write_note(self, name: str, data: bytes) -> None:
        """Writes or replaces a note."""
        self._write(self._path(name, _NOTE), data)

    def _write(self, path: str, data: bytes) -> None:
        """By way of another file, so that nobody ever sees half of one."""
        temporary = os.path.join(self.place, _UNFINISHED + os.urandom(8).hex())
        try:
            with open(temporary, "xb") as file:  # with the permissions that the user gives to new files
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            _try_to_remove(temporary)
            raise

    def _evict(self, max_bytes: int, written: str) -> None:
        for file in os.scandir(self.place):
            kind = _UNFINISHED if file.name.startswith(_UNFINISHED) else os.path.splitext(file.name)[1]
            if kind in _ABANDONED_AFTER and abs(time.time() - _status(file)[1]) > _ABANDONED_AFTER[kind]:
                _try_to_remove(file.path)
        for name in _too_many(self.entries(), max_bytes, written):
            with suppress(OSError):
                self._remove(name)

    def touch(self, name: str) -> None:
        os.utime(self._path(name))

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self._remove(name)
        if not self.entries():
            for file in os.scandir(self.place) if os.path.isdir(self.place) else ():
                if file.name.endswith(_NOTE):  # they are about entries
                    _try_to_remove(file.path)

    def _remove(self, name: str) -> None:
        path = self._path(name)
        with suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                import shutil

                shutil.rmtree(path)
            else:
                os.unlink(path)

    def entries(self) -> list[Entry]:
        found = []
        with suppress(FileNotFoundError):
            for file in os.scandir(self.place) if os.path.exists(self.place) else ():
                if file.name.endswith(_SUFFIX):
                    found.append(Entry(file.name.removesuffix(_SUFFIX), *_status(file)))
        return sorted(found, key=lambda entry: -entry.last_used)


def _open_at_once(path: str, flags: int) -> int:
    """Opens a file; a pipe in its place is empty, instead of waiting for somebody to write to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _status(file: Any) -> tuple[int, float]:
    """Size and time of a file; of one that is gone meanwhile, or a link in circles, none and now."""
    try:
        status = file.stat()
    except OSError:
        return 0, time.time()
    return status.st_size, status.st_mtime


def _try_to_remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


# Stores in which a file appears at once and whole, so that it need not be written under another name first.
_WHOLE = {"abfs", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "r2", "s3", "s3a"}
_QUEUE = 200  # entries that may wait to be written


class RemoteFolder:
    """A folder that the package fsspec opens.

    When an entry was used is not known to such stores: the limit of the size removes the oldest.

    Args:
      url: such as "gs://bucket/cache".
      seconds: how long the store has to answer a question.
    """

    def __init__(self, url: str, seconds: float):
        self.place = url.rstrip("/")
        self.seconds = seconds
        self._silent = False
        self._files: Any = None
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._writer: threading.Thread | None = None
        self._flushed_at_exit = False

    def read(self, name: str) -> bytes:
        if self._silent:
            raise FileNotFoundError(name)
        return self._ask(lambda: bytes(self._store().cat_file(self._path(name))))

    def touch(self, name: str) -> None:
        pass

    def remove(self, names: Sequence[str]) -> None:
        self._ask(lambda: self._remove(names))

    def entries(self) -> list[Entry]:
        return self._ask(self._entries)

    def write(self, name: str, data: bytes, max_bytes: int, done: Callable[[OSError | None], None]) -> None:
        def work() -> None:
            try:
                _as_os_error(lambda: self._write(name, data, max_bytes))
            except OSError as error:
                done(error)
            else:
                done(None)

        with self._lock:
            if self._silent or len(self._waiting) >= _QUEUE:
                return
            self._waiting.append(work)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, daemon=True, name="compilation cache")
                self._writer.start()
            if not self._flushed_at_exit:
                import atexit

                self._flushed_at_exit = True
                atexit.register(self.flush)

    def flush(self) -> None:
        """Waits until all is written, or the time of the store is over."""
        writer = self._writer
        if writer is not None:
            writer.join(self.seconds)

    def _write_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._writer = None
                    return
                work = self._waiting.popleft()
            try:
                work()
            except Exception as error:  # a warning that is an error, which nobody here can catch
                print(f"{type(error).__name__}: {error}", file=sys.stderr)

    def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer of the store, which is asked in another thread: that one may hang for ever."""
        answers: list[Any] = []
        problems: list[OSError] = []

        def ask() -> None:
            try:
                answers.append(_as_os_error(question))
            except OSError as error:
                problems.append(error)

        thread = threading.Thread(target=ask, daemon=True, name="compilation cache")
        thread.start()
        thread.join(self.seconds)
        if answers:
            return answers[0]
        if problems:
            raise problems[0]
        self._silent = True
        self._waiting.clear()
        raise TimeoutError(f"no answer within {self.seconds:g} s; it is not asked again")

    def _store(self) -> Any:
        if self._files is None:
            self._files = _opened(self.place)
        return self._files

    def _path(self, name: str) -> str:
        return f"{self.place}/{name}{_SUFFIX}"

    def _write(self, name: str, data: bytes, max_bytes: int) -> None:
        store, path = self._store(), self._path(name)
        if _WHOLE.isdisjoint(_protocols(store)):
            import uuid

            store.makedirs(store._strip_protocol(self.place), exist_ok=True)
            unfinished = f"{self.place}/{_UNFINISHED}{uuid.uuid4().hex}"
            store.pipe_file(unfinished, data)
            store.mv(unfinished, path)
        else:
            store.pipe_file(path, data)
        with suppress(Exception):  # the entry is there, whatever becomes of the others
            self._remove(_too_many(self._entries(), max_bytes, name))

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._store().rm_file(self._path(name))
            except FileNotFoundError:
                pass

    def _entries(self) -> list[Entry]:
        store = self._store()
        try:
            files = store.ls(store._strip_protocol(self.place), detail=True, refresh=True)
        except TypeError:  # stores without a cache of their listings
            files = store.ls(store._strip_protocol(self.place), detail=True)
        except FileNotFoundError:
            return []
        found = []
        for file in files:
            name = file["name"].rpartition("/")[2]
            if name.endswith(_SUFFIX):
                found.append(Entry(name.removesuffix(_SUFFIX), int(file.get("size") or 0), _time_of(file)))
        return sorted(found, key=lambda entry: -entry.last_used)


def _as_os_error(work: Callable[[], Any]) -> Any:
    """What `work` gives; stores raise errors of many kinds, of which the cache knows one."""
    try:
        return work()
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def _opened(url: str) -> Any:
    try:
        import fsspec  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        raise OSError("the package fsspec opens it, which is not installed: pip install fsspec") from None
    return fsspec.core.url_to_fs(url)[0]


def _protocols(store: Any) -> set[str]:
    protocol = store.protocol
    return {protocol} if isinstance(protocol, str) else set(protocol)


_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created", "modified")


def _time_of(file: dict[str, Any]) -> float:
    """When a file was written, as far as the store tells."""
    from datetime import datetime

    for name in _TIMES:
        value = file.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, str):
            try:
                return datetime.fromisoformat(value).timestamp()
            except ValueError:
                continue
    return 0.0
