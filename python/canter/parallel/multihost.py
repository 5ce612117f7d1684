"""What the processes of a program that runs on several hosts need to agree.

With one process there is nobody to agree with: the functions give what they would give then.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from canter_pjrt import coordination
from canter_pjrt.coordination import ProcessFailureError
from canter_pjrt.jaxlib_door import ArrayImpl

from ..core import config, dtypes, pytree
from ..core.mesh import Mesh
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding
from ..core.trace import Tracer
from ..runtime.backend import get_backend, process_count, process_index
from ..runtime.device_put import device_put
from ..runtime.jit import jit
from ..runtime.sharded_arrays import local_view, make_array_from_callback

__all__ = [
    "ProcessFailureError",
    "assert_equal",
    "broadcast_one_to_all",
    "global_array_to_host_local_array",
    "host_local_array_to_global_array",
    "live_devices",
    "process_allgather",
    "reached_preemption_sync_point",
    "sync_global_devices",
]


@functools.lru_cache(maxsize=4)
def _process_mesh(devices: tuple[Any, ...]) -> Mesh:
    """One device of each process: what a process says is said once."""
    firsts: dict[int, Any] = {}
    for device in devices:
        firsts.setdefault(device.process_index, device)
    return Mesh(np.array([firsts[process] for process in sorted(firsts)], object), ("processes",))


def _copy(x: Any) -> Any:
    return x


def _sum(x: Any) -> Any:
    return x.sum(0, dtype=x.dtype)


@functools.lru_cache(maxsize=16)
def _replicated(function: Any, mesh: Mesh) -> Any:
    """A function whose results each device has whole, compiled once a type."""
    return jit(function, out_shardings=NamedSharding(mesh, PartitionSpec()))


def _together(function: Any, row: np.ndarray) -> np.ndarray:
    """What a function makes of the rows of all processes, stacked."""
    mesh = _process_mesh(tuple(get_backend().devices()))
    sharding = NamedSharding(mesh, PartitionSpec("processes"))
    # Bits travel, not numbers: neither the sign of a zero nor what a NaN carries is lost.
    bits = np.ascontiguousarray(row)[None].view(np.uint8) if row.dtype.itemsize else row[None]
    stacked = make_array_from_callback((mesh.size, *bits.shape[1:]), sharding, lambda index: bits)
    return np.asarray(_replicated(function, mesh)(stacked).addressable_data(0))


def _on_host(x: Any) -> np.ndarray:
    """A value of this process as a NumPy array of the dtype that it has on devices."""
    return np.asarray(device_put(x))


def _wrapped(function: Any, x: Any) -> Any:
    """A function of NumPy arrays, applied to what may be an array of random keys."""
    dtype = getattr(x, "dtype", None)
    if isinstance(dtype, dtypes.ExtendedDType):
        return dtype.from_physical(device_put(function(dtype.to_physical(x))))
    return function(x)


def process_allgather(in_tree: Any, tiled: bool = False) -> Any:
    """The values of all processes.

    Args:
      in_tree: a tree of arrays. Those that span devices of other processes are given whole.
      tiled: whether the values are joined along their first axis instead of stacked along a new one.

    Returns:
      A tree of NumPy arrays, the same in all processes.

    Raises:
      ValueError: `tiled` with a scalar of several processes, or shapes or dtypes that differ between processes.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.process_allgather([1.0, 2.0])
    [array([1.], dtype=float32), array([2.], dtype=float32)]
    """

    def gathered(x: Any) -> Any:
        if isinstance(x, ArrayImpl) and not x.is_fully_addressable:
            return _whole(x)
        host = _on_host(x)
        if tiled and not host.shape:
            if process_count() == 1:
                return host
            raise ValueError(
                "process_allgather(tiled=True) joins along the first axis, which a scalar does not have."
            )
        if process_count() == 1:
            stacked = host[None]
        else:
            _check_types([host], "process_allgather")
            flat = _together(_copy, host.reshape(-1))
            stacked = flat.view(host.dtype).reshape(-1, *host.shape)
        return stacked.reshape(-1, *host.shape[1:]) if tiled else stacked

    return pytree.tree_map(functools.partial(_wrapped, gathered), in_tree)


def _whole(x: Any) -> np.ndarray:
    if not x.is_fully_replicated:
        devices = x.sharding._device_assignment
        mesh = getattr(x.sharding, "mesh", None)
        if not isinstance(mesh, Mesh):
            mesh = Mesh(np.array(devices, object), ("devices",))
        x = _replicated(_copy, mesh)(x)
    return np.asarray(x)


def _check_types(hosts: Sequence[np.ndarray], what: str) -> None:
    """Checks that all processes give arrays of the same shapes and dtypes, where that can be asked."""
    said = json.dumps([f"{host.dtype.name}{list(host.shape)}" for host in hosts])
    texts = _said_by_all("types", said, what)
    if texts is not None:
        different = {process: json.loads(text) for process, text in texts.items()}
        raise ValueError(
            f"{what} takes arrays of the same shapes and dtypes in all processes; they have, by process: {different}. "
            "Pad them to one shape."
        )


def _said_by_all(subject: str, said: str, doing: str) -> dict[int, bytes] | None:
    """What the processes say, if it is not the same."""
    group = coordination.current()
    if group is None or group.num_processes == 1:
        return None
    processes = range(group.num_processes)
    found = group.agree(
        subject, processes, said.encode(), config.process_agreement_timeout_seconds.value, doing
    )
    return None if found is None else found.said


def broadcast_one_to_all(in_tree: Any, is_source: bool | None = None) -> Any:
    """The values that one process has, on all processes.

    Args:
      in_tree: a tree of arrays of the same shapes and dtypes on each process.
      is_source: whether this process is the one; None means the first one is.

    Returns:
      A tree of NumPy arrays.

    Raises:
      ValueError: shapes or dtypes differ between processes.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.broadcast_one_to_all(3.0)
    array(3., dtype=float32)
    """
    source = process_index() == 0 if is_source is None else bool(is_source)

    def sent(x: Any) -> Any:
        host = _on_host(x)
        if process_count() == 1:
            return host
        _check_types([host], "broadcast_one_to_all")
        # Only the source has something else than zeros, so that the sum is its value.
        flat = host.reshape(-1)
        return _together(_sum, flat if source else np.zeros_like(flat)).view(host.dtype).reshape(host.shape)

    return pytree.tree_map(functools.partial(_wrapped, sent), in_tree)


def sync_global_devices(name: str) -> None:
    """Waits until all processes have come here, and their devices are done with what was started before.

    Args:
      name: of the place; all processes must give the same.

    Raises:
      AssertionError: a process waits at another place.
      ProcessFailureError: a process has failed, or does not come.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.sync_global_devices("start")
    """
    if process_count() == 1:
        return
    texts = _said_by_all("places", name, f"sync_global_devices({name!r})")
    if texts is not None:
        places = {process: text.decode() for process, text in texts.items()}
        raise AssertionError(
            f"sync_global_devices name mismatch ('{name}'): all processes must wait at the same place; the places, by "
            f"process, are {places}."
        )
    if get_backend().platform != "cpu" or coordination.current() is None:
        _together(_sum, np.zeros(1, np.uint8))


def assert_equal(in_tree: Any, fail_message: str = "") -> None:
    """Checks that all processes have the same values.

    Args:
      in_tree: a tree of arrays.
      fail_message: what the error says first.

    Raises:
      AssertionError: they differ from those of the first process.
      ValueError: shapes or dtypes differ.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.assert_equal({"step": 3})
    """
    expected = broadcast_one_to_all(in_tree)
    pairs = zip(pytree.tree_leaves_with_path(in_tree), pytree.tree_leaves(expected), strict=True)
    differing = [
        (path, own, first) for (path, own), first in pairs if not _same_values(_on_host_value(own), first)
    ]
    if process_count() > 1:
        # All raise if one has something else; else the others would go on without it.
        everyone = process_allgather(np.uint8(bool(differing)))
        if everyone.any() and not differing:
            wrong = np.flatnonzero(everyone).tolist()
            raise AssertionError(
                f"{fail_message} The values of processes {wrong} differ from those of process 0."
            )
    for path, own, first in differing:
        raise AssertionError(
            f"{fail_message} The value{pytree.keystr(path)} of process {process_index()} is {own!r:.80}, but that of "
            f"process 0 is {first!r:.80}."
        )


def _on_host_value(x: Any) -> np.ndarray:
    dtype = getattr(x, "dtype", None)
    return _on_host(dtype.to_physical(x) if isinstance(dtype, dtypes.ExtendedDType) else x)


def _same_values(own: np.ndarray, first: Any) -> bool:
    other = _on_host_value(first)
    return own.dtype == other.dtype and own.shape == other.shape and own.tobytes() == other.tobytes()


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
        if isinstance(x, ArrayImpl) and not x.is_fully_addressable:
            return x
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
        return local_view(placed)

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

    The notice is the signal SIGTERM, to any of them. All are then told the same step, one that none has reached yet.

    Args:
      step_id: the number of the step. Each process calls this at each step, beginning with the same.

    Raises:
      RuntimeError: there are several processes, and the flag `enable_preemption_service` was off when they met.

    >>> from canter.experimental import multihost_utils
    >>> multihost_utils.reached_preemption_sync_point(7)
    False
    """
    group = coordination.current()
    if group is None:
        return False
    if group.preemption is None:
        if group.num_processes == 1:
            return False
        raise RuntimeError(
            "The preemption sync manager has not been initialized: set canter.config.enable_preemption_service before "
            "canter.distributed.initialize."
        )
    return group.preemption.reached_sync_point(step_id)


@contextlib.contextmanager
def live_devices(devices: Sequence[Any]) -> Iterator[list[Any]]:
    """Runs a block on those of the devices whose processes have not failed.

    All processes that have not failed wait for each other before and after the block, and are given the same devices.
    Either all of them leave the block without an exception, or each of them leaves it by one. Set the flag
    `enable_recoverability`, so that no process ends because another one has.

    Args:
      devices: the devices, some of this process among them.

    Raises:
      RuntimeError: `canter.distributed.initialize` has not been called.
      ValueError: no device of this process is among them.
      ProcessFailureError: a process failed during the block; `failed_devices` are its devices.

    >>> import canter as ct
    >>> from canter.experimental import multihost_utils
    >>> with multihost_utils.live_devices(ct.devices()) as alive:  # doctest: +SKIP
    ...     mesh = ct.sharding.Mesh(alive, "x")
    """
    group = coordination.current()
    if group is None:
        raise RuntimeError("live_devices needs canter.distributed.initialize to have been called.")
    chosen = list(devices)
    processes = sorted({device.process_index for device in chosen})
    if group.process_id not in processes:
        raise ValueError(
            "live_devices: none of the devices is of this process, which then has nothing to do there."
        )
    alive = _meet(group, processes)
    error: BaseException | None = None
    try:
        yield [device for device in chosen if device.process_index in alive]
    except BaseException as raised:
        error = raised
    said = b"" if error is None else f"{type(error).__name__}: {error!s:.200}".encode()
    try:
        found = group.agree(
            "leave", alive, said, config.process_agreement_timeout_seconds.value, "live_devices"
        )
    except ProcessFailureError:
        if error is not None:
            raise error from None
        raise
    if error is not None:
        raise error
    if found is not None:
        problems = "; ".join(f"process {p}: {text.decode()}" for p, text in found.said.items() if text)
        raise RuntimeError(f"The block of live_devices failed in other processes: {problems}")


def _meet(group: Any, processes: Sequence[int]) -> list[int]:
    """Waits for the processes that answer; what they say is who that is, so that all agree on it."""
    while True:
        alive = [process for process in processes if process not in group.failed()]
        try:
            group.agree("meet", alive, b"", config.process_agreement_timeout_seconds.value, "live_devices")
        except ProcessFailureError:
            if all(process not in group.failed() for process in alive):
                raise  # one is late, and nobody knows why
            continue
        return alive
