"""Programs that run as several processes, on one machine or on many.

Each process runs the same program. `initialize`, called before anything else, lets them meet; from then on
`canter.devices()` are the devices of all of them, and a mesh over these makes arrays and computations span them.

>>> from canter import distributed
>>> distributed.is_initialized()
False
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import Any

from canter_pjrt import clients, coordination

from .core import config

__all__ = ["initialize", "is_initialized", "shutdown"]

_AT_EXIT: list[bool] = []


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    local_device_ids: int | Sequence[int] | None = None,
    cluster_detection_method: str | None = None,
    initialization_timeout: int = 300,
    heartbeat_timeout_seconds: int = 100,
    shutdown_timeout_seconds: int = 300,
    coordinator_bind_address: str | None = None,
    slice_index: int | None = None,
    partition_index: int | None = None,
) -> None:
    """Makes this process one of several that compute together. Returns when all have come.

    What is not given is taken from the surroundings: of SLURM, Open MPI, Cloud TPU (machines and Kubernetes),
    and Kubernetes' indexed Jobs and JobSets; of any MPI with `cluster_detection_method="mpi4py"`.

    Args:
      coordinator_address: host and port of a service that process 0 runs and all others reach.
      num_processes: how many processes there are.
      process_id: the number of this one, from 0.
      local_device_ids: ids of the GPUs that this process may use; None for all, but under SLURM and MPI for the
        one that has the process' number on its machine.
      cluster_detection_method: the only surroundings to ask: "slurm", "ompi", "mpi4py", "gketpu", "gcetpu" or
        "k8s"; "deactivate" for none, None for any but mpi4py.
      initialization_timeout: seconds to wait for the others.
      heartbeat_timeout_seconds: seconds without a sign of life after which a process counts as failed. The others
        then say so, and raise an error where they need it.
      shutdown_timeout_seconds: seconds that a process at its end waits for the others.
      coordinator_bind_address: host and port at which process 0 listens, if not on all its interfaces.
      slice_index: earlier name of `partition_index`.
      partition_index: of the devices of this process, where the platform is not to find it.

    Raises:
      RuntimeError: called twice, or after devices have been used; or the others do not come.
      ValueError: something is neither given nor known, or does not fit.

    Example:
      >>> import canter as ct
      >>> ct.distributed.initialize("localhost:8476", 2, 0)  # doctest: +SKIP
    """
    if clients.is_created():
        raise RuntimeError(
            "canter.distributed.initialize() must be called before any device is used: before canter.devices(), "
            "canter.device_put, array functions and calls of compiled functions. Call it first in the program."
        )
    if coordination.current() is not None:
        raise RuntimeError(
            "canter.distributed.initialize() should only be called once; shutdown() ends what it began."
        )
    if slice_index is not None and partition_index is not None and slice_index != partition_index:
        raise ValueError(
            f"slice_index and partition_index mean the same, but are {slice_index} and {partition_index}. Give the "
            "latter."
        )
    timeouts = {
        "initialization_timeout": initialization_timeout,
        "heartbeat_timeout_seconds": heartbeat_timeout_seconds,
        "shutdown_timeout_seconds": shutdown_timeout_seconds,
    }
    for name, seconds in timeouts.items():
        if not isinstance(seconds, (int, float)) or seconds < 1:
            raise ValueError(f"{name} takes a number of seconds of at least 1; got {seconds!r}.")
    local_ids = _ids(local_device_ids)
    address, count, number, found_ids = _completed(
        coordinator_address,
        num_processes,
        process_id,
        local_ids,
        cluster_detection_method,
        initialization_timeout,
    )
    coordination.split_address(address)
    _check_number(count, number)
    if found_ids is not None:
        text = ",".join(map(str, found_ids))
        config.config.update("cuda_visible_devices", text)
        config.config.update("rocm_visible_devices", text)
    coordination.start(
        coordination.Settings(
            address=address,
            num_processes=count,
            process_id=number,
            bind_address=coordinator_bind_address,
            start_timeout=int(initialization_timeout),
            heartbeat_timeout=int(heartbeat_timeout_seconds),
            shutdown_timeout=int(shutdown_timeout_seconds),
            partition_index=slice_index if partition_index is None else partition_index,
            end_when_stuck=not config.enable_recoverability.value,
        ),
        preemption=config.enable_preemption_service.value,
    )
    if not _AT_EXIT:
        _AT_EXIT.append(True)
        atexit.register(_leave_at_exit)


def _ids(given: int | Sequence[int] | None) -> list[int] | None:
    if given is None:
        return None
    ids = [given] if isinstance(given, int) else list(given)
    if not ids or not all(isinstance(each, int) and each >= 0 for each in ids):
        raise ValueError(f"local_device_ids takes ids of devices, such as 0 or [0, 1]; got {given!r}.")
    return ids


def _completed(
    address: str | None,
    count: int | None,
    number: int | None,
    local_ids: list[int] | None,
    method: str | None,
    timeout: float,
) -> tuple[str, int, int, list[int] | None]:
    """What was given, and what the surroundings say about the rest."""
    if None in (address, count, number) or (method is not None and method != "deactivate"):
        from .parallel import clusters

        place = clusters.detect(os.environ, method, timeout, (address, count, number))
        if place is not None:
            address, count, number = place.address, place.num_processes, place.process_id
            # A job scheduler may have left the process a single GPU already.
            chosen = "," not in os.environ.get("CUDA_VISIBLE_DEVICES", ",")
            if local_ids is None and place.local_id is not None and not chosen:
                local_ids = [place.local_id]
    hint = "Give it, or start the process under SLURM, Open MPI, Kubernetes or on Cloud TPU, which tell it."
    if address is None:
        raise ValueError(f"coordinator_address should be defined. {hint}")
    if count is None:
        raise ValueError(f"Number of processes must be defined: num_processes. {hint}")
    if number is None:
        raise ValueError(f"The process id of the current process must be defined: process_id. {hint}")
    return address, count, number, local_ids


def _check_number(count: Any, number: Any) -> None:
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"num_processes takes a number of at least 1; got {count!r}.")
    if not isinstance(number, int) or not 0 <= number < count:
        raise ValueError(
            f"process_id takes a number from 0 to num_processes - 1, which is {count - 1}; got {number!r}."
        )


def is_initialized() -> bool:
    """Whether this process has joined others, by `initialize`.

    >>> from canter import distributed
    >>> distributed.is_initialized()
    False
    """
    return coordination.current() is not None


def shutdown() -> None:
    """Leaves the other processes, once all have called this; does nothing in a process that is alone.

    A program need not call it: it happens at the end of the process.

    >>> from canter import distributed
    >>> distributed.shutdown()
    """
    coordination.stop()


def _leave_at_exit() -> None:
    """Says goodbye; where an error ends the process, it tells the others which and does not wait for them."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    coordination.stop("" if error is None else _in_short(error))


def _in_short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    first = text[0] if text else ""
    return f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__
