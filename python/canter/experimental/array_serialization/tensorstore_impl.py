"""Arrays in tensorstore: where each lies, how it is cut into chunks, and writing and reading one of them."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

try:
    import tensorstore as ts
except ImportError as error:
    raise ImportError(
        "canter.experimental.array_serialization needs the package tensorstore: pip install canter[arrays]"
    ) from error

from ...core.sharding import Sharding
from ...runtime.device_put import device_put
from ...runtime.layouts import Format
from ...runtime.shape_dtype import ShapeDtypeStruct
from ...runtime.sharded_arrays import make_array_from_callback

__all__ = [
    "async_deserialize",
    "async_serialize",
    "estimate_read_memory_footprint",
    "get_tensorstore_spec",
    "run_together",
]

CONTEXT = ts.Context(
    {
        "cache_pool": {"total_bytes_limit": 10_000_000_000},
        "cache_pool#remote": {"total_bytes_limit": 10_000_000_000},
        "data_copy_concurrency": {"limit": 128},
        "file_io_concurrency": {"limit": 128},
    }
)
CHUNK_LAYOUT = ts.ChunkLayout(
    {"read_chunk": {"elements": 100_000_000}, "write_chunk": {"elements": 100_000_000}}
)

_BUCKETS = {"gs": "gcs", "s3": "s3"}


# --- where an array lies ----------------------------------------------------------------------------------------


def get_tensorstore_spec(
    ckpt_path: str | os.PathLike[str],
    ocdbt: bool = True,
    process_idx: int | None = None,
    arr: Any = None,
    driver: str = "zarr3",
) -> dict[str, Any]:
    """What tensorstore is to open for an array.

    Args:
      ckpt_path: the array's path: a file's, or `gs://bucket/path` or `s3://bucket/path`.
      ocdbt: whether arrays of one folder share one database.
      process_idx: the process whose own folder it is; None for a folder of all.
      arr: an array whose shape, dtype and shards say how the file is cut; None leaves that to the writer.
      driver: "zarr" or "zarr3".

    Returns:
      A specification, as a dict.

    Raises:
      ValueError: a path that is not absolute where arrays share a database, or without what its store needs.

    Example:
      >>> from canter.experimental.array_serialization.serialization import get_tensorstore_spec
      >>> get_tensorstore_spec("/data/weights")["kvstore"]
      {'driver': 'file', 'path': '/data/weights'}
    """
    given = os.fspath(ckpt_path)
    scheme = re.match(r"(gs|s3)://", given)
    rest = given[scheme.end() :] if scheme else given
    path = os.path.normpath(rest)
    folder, name = os.path.split(path)
    if scheme and not folder:
        raise ValueError(f"The path of an array in a bucket is {scheme[0]}bucket/path, got {given!r}.")
    if process_idx is not None:
        folder = os.path.join(folder, f"process_{process_idx}")
    if not ocdbt:
        store = _store(scheme, os.path.join(folder, name))
    elif scheme and "/" not in folder:
        raise ValueError(
            f"With ocdbt=True arrays lie in a folder of their bucket, {scheme[0]}bucket/folder/name; got {given!r}."
        )
    elif not scheme and not os.path.isabs(folder):
        raise ValueError(f"Checkpoint path should be absolute where ocdbt=True. Got {given!r}")
    else:
        store = {"driver": "ocdbt", "base": _store(scheme, folder), "path": name}
    spec: dict[str, Any] = {"driver": driver, "kvstore": store}
    if arr is not None:
        spec["metadata"] = _metadata(arr, driver)
    return spec


def _store(scheme: Any, path: str) -> dict[str, Any]:
    if not scheme:
        return {"driver": "file", "path": path}
    bucket, _, rest = path.partition("/")
    return {"driver": _BUCKETS[scheme[1]], "bucket": bucket, "path": rest}


def _metadata(arr: Any, driver: str) -> dict[str, Any]:
    """How a file is cut: one chunk a shard, so that no two processes write the same one."""
    shape = tuple(arr.shape)
    cut = shape if getattr(arr, "sharding", None) is None else arr.sharding.shard_shape(shape)
    chunk = [max(1, int(size)) for size in cut]
    if driver == "zarr":
        return {"compressor": {"id": "zstd"}, "shape": shape, "chunks": chunk}
    grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
    return {"codecs": [], "shape": shape, "data_type": np.dtype(arr.dtype).name, "chunk_grid": grid}


def _as_dict(spec: Any) -> dict[str, Any]:
    return dict(spec.to_json()) if isinstance(spec, ts.Spec) else dict(spec)


def _has_metadata(spec: Any) -> bool:
    """Whether a specification, or one inside it, says how its file is cut."""
    return isinstance(spec, dict) and ("metadata" in spec or any(map(_has_metadata, spec.values())))


# --- writing ----------------------------------------------------------------------------------------------------


async def async_serialize(
    arr_inp: Any,
    tensorstore_spec: Any,
    commit_future: list[Any] | None = None,
    context: Any = CONTEXT,
    chunk_layout: Any = CHUNK_LAYOUT,
    primary_host: int | None = None,
    replica_id: int = 0,
    transaction: Any = None,
) -> None:
    """Writes the shards of an array that this process holds.

    Args:
      arr_inp: an array, over any devices.
      tensorstore_spec: where to; made by `get_tensorstore_spec`.
      commit_future: a list to which futures are added that end when the data is in the store. None waits for them;
        otherwise the function returns when the data has been copied, and the array may be changed or donated.
      context: tensorstore's context.
      chunk_layout: the sizes of chunks where the specification does not fix them.
      primary_host: the process that makes the file; None for all.
      replica_id: which of the equal shards on several devices is written.
      transaction: a transaction of tensorstore's, which the caller commits.

    Raises:
      TypeError: no array of devices.
      ValueError: there are several processes and the array is one process's; the file holds another array.
    """
    from ... import process_count, process_index

    if not hasattr(arr_inp, "addressable_shards"):
        raise TypeError(
            f"async_serialize takes an array on devices, got {type(arr_inp).__name__}: bring it there with device_put."
        )
    if process_count() > 1 and arr_inp.is_fully_addressable:
        raise ValueError(
            f"The array {arr_inp.aval.str_short()} lies on this process's devices alone, and every process would "
            "write its own to the same file. Serialize arrays over the devices of all processes."
        )
    spec = _as_dict(tensorstore_spec)
    if not _has_metadata(spec):
        spec["metadata"] = _metadata(arr_inp, spec.get("driver", "zarr"))
    spec.setdefault("dtype", np.dtype(arr_inp.dtype).name)
    makes = primary_host is None or process_index() == primary_host
    how: dict[str, Any] = {"create": True} if makes else {"assume_metadata": True}
    store = await ts.open(ts.Spec(spec), open=True, context=context, chunk_layout=chunk_layout, **how)
    if transaction is not None:
        store = store.with_transaction(transaction)
    shards = [shard for shard in arr_inp.addressable_shards if shard.replica_id == replica_id]
    for shard in shards:
        shard.data.copy_to_host_async()

    async def write(shard: Any) -> None:
        written = store[shard.index].write(np.asarray(shard.data))
        if transaction is not None:
            await written
        elif commit_future is None:
            await written.commit
        else:
            commit_future.append(written.commit)
            await written.copy

    await asyncio.gather(*map(write, shards))


# --- reading ----------------------------------------------------------------------------------------------------


class _LimitInFlightBytes:
    """Lets readings begin as long as all of them together need at most so many bytes."""

    def __init__(self, num_bytes: int):
        self._max_bytes = self._available_bytes = num_bytes
        self._changed = asyncio.Condition()

    async def wait_for_bytes(self, requested_bytes: int) -> None:
        if requested_bytes > self._max_bytes:
            raise ValueError(
                f"A shard needs {requested_bytes} bytes while it is read, more than the {self._max_bytes} allowed "
                "at a time: give a larger concurrent_gb."
            )
        async with self._changed:
            await self._changed.wait_for(lambda: self._available_bytes >= requested_bytes)
            self._available_bytes -= requested_bytes

    async def release_bytes(self, requested_bytes: int) -> None:
        async with self._changed:
            self._available_bytes += requested_bytes
            self._changed.notify_all()


def estimate_read_memory_footprint(t: Any, domain: Any) -> int:
    """The bytes that tensorstore holds while it reads a part: whole chunks, as far as the part touches them.

    Args:
      t: an open array of tensorstore's.
      domain: the part.
    """
    count = t.dtype.numpy_dtype.itemsize
    chunk = t.chunk_layout.read_chunk.shape
    if not chunk or domain.size == 0:
        return int(count * domain.size)
    origin = t.chunk_layout.grid_origin or (0,) * len(chunk)
    for low, high, zero, size in zip(domain.inclusive_min, domain.exclusive_max, origin, chunk, strict=True):
        first, last = (low - zero) // size, -((zero - high) // size)
        count *= (last - first) * size
    return int(count)


async def async_deserialize(
    in_type: Any,
    tensorstore_spec: Any,
    global_shape: Sequence[int] | None = None,
    dtype: Any = None,
    byte_limiter: _LimitInFlightBytes | None = None,
    context: Any = CONTEXT,
    chunk_layout: Any = CHUNK_LAYOUT,
    assume_metadata: bool = False,
) -> Any:
    """Reads the shards of an array that this process's devices hold.

    Args:
      in_type: the array's sharding, or a `Format`, or a `ShapeDtypeStruct` that has one of them.
      tensorstore_spec: where from.
      global_shape: the array's shape, where it is not the file's: what lies outside the file is zero.
      dtype: the array's dtype, where it is not the file's.
      byte_limiter: shared by the readings that may need only so many bytes at a time.
      context: tensorstore's context.
      chunk_layout: tensorstore's, for reading.
      assume_metadata: whether to trust the specification's metadata without a look at the file's.

    Returns:
      The array.

    Raises:
      ValueError: no sharding; no such file, or one that is not as the specification says.
    """
    wanted = in_type
    if isinstance(in_type, ShapeDtypeStruct):
        global_shape = in_type.shape if global_shape is None else global_shape
        dtype = in_type.dtype if dtype is None else dtype
        form = in_type.format
        wanted = form if form is not None and form.layout is not None else in_type.sharding
    sharding = wanted.sharding if isinstance(wanted, Format) else wanted
    if not isinstance(sharding, Sharding):
        raise ValueError(
            "sharding passed to deserialization should be specified, concrete and an instance of "
            f"`canter.sharding.Sharding`. Got {sharding!r}"
        )
    store = await ts.open(
        ts.Spec(_as_dict(tensorstore_spec)),
        open=True,
        assume_metadata=assume_metadata,
        context=context,
        chunk_layout=chunk_layout,
    )
    shape = tuple(store.shape if global_shape is None else global_shape)
    if len(shape) != store.rank:
        raise ValueError(
            f"The file holds an array of shape {tuple(store.shape)}, which is not to be read as {shape}."
        )
    indices = {str(i): i for i in sharding.addressable_devices_indices_map(shape).values()}
    parts = await asyncio.gather(
        *(_read(store, index, shape, dtype, byte_limiter) for index in indices.values())
    )
    by_index = dict(zip(indices, parts, strict=True))
    kind = np.dtype(store.dtype.numpy_dtype if dtype is None else dtype)
    result = make_array_from_callback(shape, sharding, lambda index: by_index[str(index)], dtype=kind)
    return device_put(result, wanted) if isinstance(wanted, Format) else result


async def _read(store: Any, index: Any, shape: tuple[int, ...], dtype: Any, limiter: Any) -> np.ndarray:
    """One shard; zeros where the array is larger than the file."""
    wanted = ts.IndexTransform(input_shape=shape)[index].domain
    there = store.domain.intersect(wanted)
    needed = 0 if limiter is None else estimate_read_memory_footprint(store, there)
    if limiter is not None:
        await limiter.wait_for_bytes(needed)
    try:
        part = np.zeros(wanted.shape, store.dtype.numpy_dtype)
        if there.size:
            target = ts.array(part, copy=False)[ts.d[:].translate_to[wanted.origin]]
            await target[there].write(store[there])
        return part if dtype is None else part.astype(np.dtype(dtype))
    finally:
        if limiter is not None:
            await limiter.release_bytes(needed)


def run_together(work: Callable[[], Awaitable[Any]]) -> Any:
    """Runs a coroutine to its end, also where an event loop runs already, as in notebooks.

    Args:
      work: makes it.
    """

    async def started() -> Any:
        return await work()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(started())
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, started()).result()
