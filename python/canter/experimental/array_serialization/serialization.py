"""Arrays written while the program goes on, and read again over any devices."""

from __future__ import annotations

import abc
import asyncio
import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from canter_pjrt import coordination

from . import tensorstore_impl
from .tensorstore_impl import (
    _LimitInFlightBytes as _LimitInFlightBytes,
    async_deserialize as async_deserialize,
    async_serialize as async_serialize,
    run_together,
)

__all__ = [
    "TS_CONTEXT",
    "AsyncManager",
    "BarrierTimeoutError",
    "GlobalAsyncCheckpointManager",
    "GlobalAsyncCheckpointManagerBase",
    "async_deserialize",
    "async_serialize",
    "get_tensorstore_spec",
    "is_remote_storage",
    "run_deserialization",
    "run_serialization",
]

TS_CONTEXT = tensorstore_impl.CONTEXT
get_tensorstore_spec = functools.partial(tensorstore_impl.get_tensorstore_spec, ocdbt=False, driver="zarr")

_commits = itertools.count()  # the same in all processes, which write the same arrays in the same order

_REMOTE = ("gcs", "gcs_grpc", "s3", "http", "gs://", "s3://", "http://", "https://")


class BarrierTimeoutError(Exception):
    """Other processes did not finish writing in time."""


def is_remote_storage(tspec: dict[str, Any] | str) -> bool:
    """Whether a specification, or a path, is of data that is not on this machine's file systems.

    Args:
      tspec: the specification, or a URL.

    Example:
      >>> from canter.experimental.array_serialization.serialization import is_remote_storage
      >>> is_remote_storage("gs://bucket/weights")
      True
    """
    if isinstance(tspec, str):
        return tspec.startswith(tuple(place for place in _REMOTE if place.endswith("://")))
    inner = (tspec[key] for key in ("base", "kvstore") if key in tspec)
    return tspec.get("driver") in _REMOTE or any(map(is_remote_storage, inner))


def run_serialization(arrays: Sequence[Any], tensorstore_specs: Sequence[Any]) -> None:
    """Writes arrays, and returns when they are in the store.

    Args:
      arrays: arrays over any devices.
      tensorstore_specs: for each array where to.
    """

    async def write() -> None:
        await asyncio.gather(*map(async_serialize, arrays, tensorstore_specs))

    run_together(write)


def run_deserialization(
    shardings: Sequence[Any],
    tensorstore_specs: Sequence[Any],
    global_shapes: Sequence[Any] | None = None,
    dtypes: Sequence[Any] | None = None,
    concurrent_gb: int = 32,
) -> list[Any]:
    """Reads arrays.

    Args:
      shardings: for each array how it lies over devices, see `async_deserialize`.
      tensorstore_specs: for each array where from.
      global_shapes: for each array its shape, or None for the file's.
      dtypes: for each array its dtype, or None for the file's.
      concurrent_gb: how many times 10⁹ bytes of memory reading may take at a time.

    Returns:
      The arrays.

    Raises:
      ValueError: the sequences are of different lengths; see also `async_deserialize`.
    """
    count = len(tensorstore_specs)
    shapes = [None] * count if global_shapes is None else global_shapes
    kinds = [None] * count if dtypes is None else dtypes
    if not len(shardings) == len(shapes) == len(kinds) == count:
        raise ValueError(
            f"Each array needs a sharding, a shape and a dtype: got {len(shardings)} shardings, {len(shapes)} shapes "
            f"and {len(kinds)} dtypes for {count} specifications."
        )

    async def read() -> list[Any]:
        limiter = _LimitInFlightBytes(concurrent_gb * 10**9)
        calls = zip(shardings, tensorstore_specs, shapes, kinds, strict=True)
        return await asyncio.gather(*(async_deserialize(*call, byte_limiter=limiter) for call in calls))

    found: list[Any] = run_together(read)
    return found


class GlobalAsyncCheckpointManagerBase(metaclass=abc.ABCMeta):
    """What something that writes arrays in the background can do."""

    @abc.abstractmethod
    def check_for_errors(self) -> None:
        """Raises what went wrong in the background, if something did."""

    @abc.abstractmethod
    def wait_until_finished(self) -> None:
        """Waits until everything has been written."""

    @abc.abstractmethod
    def serialize(
        self, arrays: Any, tensorstore_specs: Any, *, on_commit_callback: Callable[[], None]
    ) -> None:
        """Writes arrays; `on_commit_callback` is called when they are in the store."""

    @abc.abstractmethod
    def deserialize(
        self,
        shardings: Sequence[Any],
        tensorstore_specs: Sequence[dict[str, Any]],
        global_shapes: Sequence[Any] | None = None,
        dtypes: Sequence[Any] | None = None,
    ) -> Any:
        """Reads arrays."""


class AsyncManager:
    """Waits in a thread of its own until data is in the store of all processes.

    Args:
      timeout_secs: how long to wait for other processes.
    """

    def __init__(self, timeout_secs: int = 300):
        self._timeout_secs = timeout_secs
        self._futures: list[Any] = []
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._commit = -1

    def _add_futures(self, futures: Sequence[Any]) -> None:
        self._futures = list(futures)

    def _start_async_commit(self, on_commit_callback: Callable[[], None] | None) -> None:
        self._commit = next(_commits)
        self._thread = threading.Thread(
            target=self._finish, args=(self._futures, on_commit_callback), name="canter-commit"
        )
        self._futures = []
        self._thread.start()

    def _finish(self, futures: Sequence[Any], on_commit_callback: Callable[[], None] | None) -> None:
        try:
            for future in futures:
                future.result()
            self._meet("written")
            if on_commit_callback is not None:
                if _process_index() == 0:
                    on_commit_callback()
                self._meet("committed")
        except Exception as error:  # raised in the thread that asks
            self._failure = error

    def _meet(self, what: str) -> None:
        """Waits for the other processes."""
        group = coordination.current()
        if group is None:
            return
        try:
            group.client.wait_at_barrier(f"canter_arrays_{what}_{self._commit}", self._timeout_secs * 1000)
        except Exception as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
            raise BarrierTimeoutError(
                f"Other processes had not {what} their arrays after {self._timeout_secs} s."
            ) from error

    def check_for_errors(self) -> None:
        """Raises what went wrong in the background, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def wait_until_finished(self) -> None:
        """Waits until what was begun is in the store, and raises what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check_for_errors()


def _process_index() -> int:
    from ... import process_index

    return process_index()


class GlobalAsyncCheckpointManager(AsyncManager, GlobalAsyncCheckpointManagerBase):
    """Writes arrays while the program goes on, and reads them over any devices.

    Args:
      timeout_secs: how long to wait for other processes.

    Example:
      >>> import canter as ct, tempfile
      >>> from canter.experimental.array_serialization.serialization import GlobalAsyncCheckpointManager
      >>> manager = GlobalAsyncCheckpointManager()
      >>> x = ct.numpy.arange(3)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     manager.serialize_with_paths([x], [folder + "/x"])
      ...     manager.wait_until_finished()
      ...     manager.deserialize_with_paths([x.sharding], [folder + "/x"])
      [Array([0, 1, 2], dtype=int32)]
    """

    def serialize(
        self,
        arrays: Any,
        tensorstore_specs: Any,
        *,
        on_commit_callback: Callable[[], None] | None = None,
        transaction: Any = None,
    ) -> None:
        """Begins to write arrays; returns when they have been copied.

        Args:
          arrays: a tree of arrays over any devices.
          tensorstore_specs: a tree of the same structure; for each array where to.
          on_commit_callback: called when all processes' data is in the store, in process 0.
          transaction: a transaction of tensorstore's, which the caller commits.

        Raises:
          Exception: what went wrong in an earlier call.
        """
        self.wait_until_finished()
        commits: list[Any] = []

        async def write() -> None:
            calls = zip(list(arrays), list(tensorstore_specs), strict=True)
            await asyncio.gather(
                *(async_serialize(*call, commit_future=commits, transaction=transaction) for call in calls)
            )

        run_together(write)
        self._add_futures(commits)
        self._start_async_commit(on_commit_callback)

    def serialize_with_paths(
        self,
        arrays: Sequence[Any],
        paths: Sequence[str],
        *,
        on_commit_callback: Callable[[], None] | None = None,
        transaction: Any = None,
    ) -> None:
        """Begins to write arrays to paths; see `serialize`.

        Args:
          arrays: arrays over any devices.
          paths: for each its path.
          on_commit_callback: called when all processes' data is in the store, in process 0.
          transaction: a transaction of tensorstore's, which the caller commits.
        """
        specs = [get_tensorstore_spec(path) for path in paths]
        self.serialize(arrays, specs, on_commit_callback=on_commit_callback, transaction=transaction)

    def deserialize(
        self,
        shardings: Sequence[Any],
        tensorstore_specs: Sequence[dict[str, Any]],
        global_shapes: Sequence[Any] | None = None,
        dtypes: Sequence[Any] | None = None,
        concurrent_gb: int = 32,
    ) -> list[Any]:
        """Reads arrays, after what is being written; see `run_deserialization`."""
        self.wait_until_finished()
        return run_deserialization(shardings, tensorstore_specs, global_shapes, dtypes, concurrent_gb)

    def deserialize_with_paths(
        self,
        shardings: Sequence[Any],
        paths: Sequence[str],
        global_shapes: Sequence[Any] | None = None,
        dtypes: Sequence[Any] | None = None,
        concurrent_gb: int = 32,
    ) -> list[Any]:
        """Reads arrays from paths; see `deserialize`."""
        specs = [get_tensorstore_spec(path) for path in paths]
        return self.deserialize(shardings, specs, global_shapes, dtypes, concurrent_gb)
