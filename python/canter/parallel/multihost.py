"""What the processes of a program that runs on several hosts need to agree.

With one process there is nobody to agree with: the functions give what they would give then.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core import pytree
from ..core.mesh import Mesh
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding
from ..core.trace import Tracer
from ..runtime.backend import devices, local_devices, process_count, process_index
from ..runtime.device_put import device_put
from ..runtime.jit import jit
from ..runtime.sharded_arrays import make_array_from_callback

__all__ = [
    "assert_equal",
    "broadcast_one_to_all",
    "global_array_to_host_local_array",
    "host_local_array_to_global_array",
    "live_devices",
    "process_allgather",
    "reached_preemption_sync_point",
    "sync_global_devices",
]


def _process_mesh() -> Mesh:
    grid: list[list[Any]] = [[] for _ in range(process_count())]
    for device in devices():
        grid[device.process_index].append(device)
    width = min(map(len, grid))
    return Mesh(np.array([row[:width] for row in grid], object), ("processes", "local_devices"))


def _copy(x: Any) -> Any:
    return x


def _everywhere(in_tree: Any) -> Any:
    """The values of all processes, stacked along a new first axis, on each of them."""
    mesh = _process_mesh()

    def spread(x: Any) -> Any:
        row = np.asarray(x)[None]
        sharding = NamedSharding(mesh, PartitionSpec("processes"))
        shape = (process_count(), *row.shape[1:])
        return make_array_from_callback(shape, sharding, lambda index: row)

    gather = jit(_copy, out_shardings=NamedSharding(mesh, PartitionSpec()))
    return pytree.tree_map(lambda x: np.asarray(gather(spread(x)).addressable_data(0)), in_tree)


def process_allgather(in_tree: Any, tiled: bool = False) -> Any:
    """The values of all processes.

    Args:
      in_tree: a tree of arrays. Those that span devices of other processes are given whole.
      tiled: whether the values are joined along their first axis instead of stacked along a new one.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.process_allgather([1.0, 2.0])
    [array([1.], dtype=float32), array([2.], dtype=float32)]
    """

    def gathered(x: Any) -> Any:
        if hasattr(x, "is_fully_addressable") and not x.is_fully_addressable:
            whole = NamedSharding(x.sharding.mesh, PartitionSpec())
            return np.asarray(jit(_copy, out_shardings=whole)(x).addressable_data(0))
        host = np.asarray(x) if not isinstance(x, (bool, int, float, complex)) else np.asarray(device_put(x))
        stacked = host[None] if process_count() == 1 else _everywhere(host)
        if tiled and not host.shape:
            raise ValueError(
                "process_allgather(tiled=True) joins along the first axis, which a scalar does not have."
            )
        return stacked.reshape(-1, *host.shape[1:]) if tiled else stacked

    return pytree.tree_map(gathered, in_tree)


def broadcast_one_to_all(in_tree: Any, is_source: bool | None = None) -> Any:
    """The values that one process has, on all processes.

    Args:
      in_tree: a tree of arrays of the same shapes and dtypes on each process.
      is_source: whether this process is the one; None means the first one is.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.broadcast_one_to_all(3.0)
    array(3., dtype=float32)
    """
    source = process_index() == 0 if is_source is None else bool(is_source)

    def sent(x: Any) -> Any:
        host = np.asarray(device_put(x))
        if process_count() == 1:
            return host
        # Only the source has something else than zeros, so that the sum is its value.
        rows = _everywhere(host if source else np.zeros_like(host))
        return rows.any(0) if host.dtype == np.bool_ else rows.sum(0, dtype=host.dtype)

    return pytree.tree_map(sent, in_tree)


def sync_global_devices(name: str) -> None:
    """Waits until all processes have come here.

    Args:
      name: of the place; all processes must give the same.

    Raises:
      AssertionError: a process waits at another place.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.sync_global_devices("start")
    """
    if process_count() == 1:
        return
    assert_equal(np.uint32(zlib.crc32(name.encode())), f"sync_global_devices name mismatch ('{name}')")


def assert_equal(in_tree: Any, fail_message: str = "") -> None:
    """Checks that all processes have the same values.

    Args:
      in_tree: a tree of arrays.
      fail_message: what the error says first.

    Raises:
      AssertionError: they differ from those of the first process.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.assert_equal({"step": 3})
    """
    expected = broadcast_one_to_all(in_tree)
    pairs = zip(pytree.tree_leaves_with_path(in_tree), pytree.tree_leaves(expected), strict=True)
    for (path, own), first in pairs:
        if not np.array_equal(np.asarray(own), first):
            raise AssertionError(
                f"{fail_message} The value{pytree.keystr(path)} of process {process_index()} is {own!r:.80}, but that "
                f"of process 0 is {first!r:.80}."
            )


def host_local_array_to_global_array(local_inputs: Any, global_mesh: Mesh, pspecs: Any) -> Any:
    """Arrays over all processes from the part that each of them has.

    Args:
      local_inputs: a tree of arrays, what the devices of this process are to hold.
      global_mesh: the mesh of all processes.
      pspecs: how the arrays are laid out: a `PartitionSpec`, or a tree of them that is a prefix.

    >>> import canter as ct
    >>> from canter.experimental import multihost_utils
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> multihost_utils.host_local_array_to_global_array(ct.numpy.arange(2), mesh, ct.P("x")).sharding.spec
    P('x',)
    """

    def joined(x: Any, spec: Any) -> Any:
        from ..runtime.sharded_arrays import make_array_from_process_local_data

        if isinstance(x, Tracer):
            raise TypeError("host_local_array_to_global_array takes concrete arrays; call it outside of jit.")
        return make_array_from_process_local_data(NamedSharding(global_mesh, _spec(spec)), x)

    return _with_specs(joined, local_inputs, pspecs)


def global_array_to_host_local_array(global_inputs: Any, global_mesh: Mesh, pspecs: Any) -> Any:
    """The parts of arrays that this process has, as arrays over its own devices.

    Args:
      global_inputs: a tree of arrays over the mesh.
      global_mesh: the mesh of all processes.
      pspecs: how the arrays are laid out: a `PartitionSpec`, or a tree of them that is a prefix.

    >>> import canter as ct
    >>> from canter.experimental import multihost_utils
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> multihost_utils.global_array_to_host_local_array(ct.numpy.arange(2), mesh, ct.P("x")).tolist()
    [0, 1]
    """

    def own(x: Any, spec: Any) -> Any:
        placed = device_put(x, NamedSharding(global_mesh, _spec(spec)))
        local = NamedSharding(global_mesh.local_mesh, _spec(spec))
        if placed.is_fully_addressable:
            return device_put(placed, local)
        boxes = [
            [cut.indices(n) for cut, n in zip(s.index, x.shape, strict=True)]
            for s in placed.addressable_shards
        ]
        low = [min(box[dim][0] for box in boxes) for dim in range(len(x.shape))]
        high = [max(box[dim][1] for box in boxes) for dim in range(len(x.shape))]
        host = np.empty([b - a for a, b in zip(low, high, strict=True)], x.dtype)
        for shard, box in zip(placed.addressable_shards, boxes, strict=True):
            host[tuple(slice(a - start, b - start) for (a, b, _), start in zip(box, low, strict=True))] = (
                shard.data
            )
        return device_put(host, local)

    return _with_specs(own, global_inputs, pspecs)


def _spec(given: Any) -> PartitionSpec:
    return PartitionSpec() if given is None else given


def _with_specs(function: Any, tree: Any, pspecs: Any) -> Any:
    leaves, structure = pytree.tree_flatten(tree)
    if pspecs is None or isinstance(pspecs, PartitionSpec):
        specs: Sequence[Any] = [pspecs] * len(leaves)
    else:
        specs = pytree.flatten_axes("pspecs", structure, pspecs)
    return structure.unflatten([function(*pair) for pair in zip(leaves, specs, strict=True)])


def reached_preemption_sync_point(step_id: int) -> bool:
    """Whether all processes have to save their state now, because one of them is about to be stopped.

    Args:
      step_id: the number of the step, the same on all processes.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.reached_preemption_sync_point(7)
    False
    """
    return False


@contextlib.contextmanager
def live_devices(devices: Sequence[Any]) -> Iterator[list[Any]]:
    """Those of the devices whose processes answer.

    Args:
      devices: the devices.

    >>> import canter as ct
    >>> from canter.experimental import multihost_utils
    >>> with multihost_utils.live_devices(ct.devices()) as alive:
    ...     len(alive) == ct.device_count()
    True
    """
    if process_count() > 1:
        raise NotImplementedError("live_devices among several processes is not supported.")
    yield [device for device in devices if device in set(local_devices())]
