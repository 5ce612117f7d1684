"""Devices: which there are, which is the default one, and what lives on them.

Nothing here makes a client before somebody asks for a device.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from canter_pjrt import clients
from canter_pjrt.clients import BackendError
from canter_pjrt.jaxlib_door import Device

from ..core import config
from . import failures as _failures  # noqa: F401  (who has the memory, in messages that tell that it is exhausted)
from .host_memory import keep_freed_memory

__all__ = [
    "BackendError",
    "Device",
    "backends",
    "clear_backends",
    "current_default_device",
    "default_backend",
    "device_count",
    "devices",
    "get_backend",
    "host_count",
    "host_id",
    "host_ids",
    "live_arrays",
    "local_device_count",
    "local_devices",
    "process_count",
    "process_index",
    "process_indices",
]

# Names under which users know families of platforms.
_ALIASES: dict[str, tuple[str, ...]] = {"gpu": ("cuda", "rocm")}

_preferred: dict[Any, Any] = {}
_on_clear: list[Callable[[], None]] = []


def _client_options() -> clients.ClientOptions:
    platforms = config.platforms.value
    count = config.num_cpu_devices.value
    names = None if not platforms else tuple(name.strip() for name in platforms.split(",") if name.strip())
    visible = tuple(
        (platform, tuple(int(part) for part in text.split(",")))
        for platform, text in (
            ("cuda", config.cuda_visible_devices.value), ("rocm", config.rocm_visible_devices.value)
        )
        if text != "all"
    )  # fmt: skip
    return clients.ClientOptions(
        num_cpu_devices=count if count > 0 else None,
        platforms=names,
        visible_devices=visible,
        plugin_options=tuple(config.pjrt_client_create_options.value or ()),
        cpu_collectives=config.cpu_collectives_implementation.value,
        cpu_asynchronous=config.cpu_enable_async_dispatch.value,
        cpu_timeouts=(
            config.cpu_get_local_topology_timeout_minutes.value,
            config.cpu_get_global_topology_timeout_minutes.value,
        ),
        transfers=tuple(
            (flag, config.flags[flag].value)
            for flag in ("force_dcn_cross_host_transfers", "sort_devices_by_process_index")
        ),
        gpu_options=_mocked_gpus(config.mock_gpu_topology.value, config.mock_num_gpu_processes.value),
    )


def _mocked_gpus(topology: str, processes: int) -> tuple[tuple[str, Any], ...]:
    """Options by which one GPU stands for many: they compile and start, and what they compute means nothing."""
    if not topology:
        return ()
    slices, hosts, _ = map(int, topology.split("x"))
    count = processes or slices * hosts
    return (("enable_mock_nccl", True), ("mock_gpu_topology", topology), ("num_nodes", count))


def _refuse_late_change(flag: str) -> Callable[[Any, bool], None]:
    def refuse(value: Any, in_thread: bool) -> None:
        if not clients.is_created() or value == config.flags[flag].value or _says_what_is(flag, value):
            return
        message = (
            f"The flag {flag} cannot change once devices are in use. Set it before the first use of a device, "
            f"or by the environment variable CANTER_{flag.upper()}."
        )
        if flag != "cpu_enable_async_dispatch":
            raise RuntimeError(message)
        # Results are the same either way, and programs written for JAX set it at any time.
        warnings.warn(message, UserWarning, stacklevel=4)

    return refuse


def _says_what_is(flag: str, value: Any) -> bool:
    """Whether a value asks for what is running already."""
    if flag == "platforms":
        return value is not None and list(backends()) == [name.strip() for name in value.split(",")]
    cpu = backends().get("cpu")
    if cpu is None:
        return False
    if flag == "cpu_enable_async_dispatch":
        several = len(cpu.local_devices()) > 1
        chosen = config.cpu_enable_async_dispatch.value
        return value is None or value == (several if chosen is None else chosen)
    return flag == "num_cpu_devices" and value == len(cpu.devices())


for _flag in (
    "num_cpu_devices", "platforms", "cuda_visible_devices", "rocm_visible_devices", "pjrt_client_create_options",
    "cpu_collectives_implementation", "cpu_enable_async_dispatch", "cpu_kept_memory",
    "cpu_get_local_topology_timeout_minutes", "cpu_get_global_topology_timeout_minutes",
    "force_dcn_cross_host_transfers", "sort_devices_by_process_index", "mock_gpu_topology", "mock_num_gpu_processes",
):  # fmt: skip
    config.flags[_flag].on_change = _refuse_late_change(_flag)


def backends() -> dict[str, Any]:
    """The clients of all platforms that can be started, by platform, the preferred one first.

    Raises:
      BackendError: a platform named by the flag `platforms` cannot be started.
    """
    return clients.clients(_client_options())


def get_backend(platform: Any = None) -> Any:
    """The client of a platform.

    Args:
      platform: a platform's name such as "cpu" or "gpu", a client (returned as it is), or None for
        the preferred platform.

    Raises:
      BackendError: no such platform, or it cannot be started.
    """
    if platform is not None and not isinstance(platform, str):
        return platform
    name = platform
    if name is None:
        name = _preferred.get(None)
        if name is None:
            name = _preferred[None] = clients.default_platform(_client_options())
            if name == "cpu":
                keep_freed_memory()
    elif name in _ALIASES:
        name = _resolve_alias(name)
    known = clients.known_client(name)
    return clients.client(name, _client_options()) if known is None else known


def _resolve_alias(alias: str) -> str:
    known = [name for name in clients.known_platforms() if name in _ALIASES[alias]]
    for name in known:
        try:
            clients.client(name, _client_options())
        except BackendError:
            continue
        return name
    present = ", ".join(backends())
    raise BackendError(
        f"Unknown backend {alias!r}: no platform of that kind ({', '.join(_ALIASES[alias])}) can be started here. "
        f"Present: {present}."
    )


def devices(backend: Any = None) -> list[Any]:
    """All devices of a platform, those of other processes included.

    Args:
      backend: a platform's name such as "cpu" or "gpu"; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.devices("cpu")[0].platform
    'cpu'
    """
    return get_backend(backend).devices()


def local_devices(
    process_index: int | None = None, backend: Any = None, host_id: int | None = None
) -> list[Any]:
    """Devices of one process.

    Args:
      process_index: the process; None for this one.
      backend: a platform's name; None for the preferred platform.
      host_id: another name of `process_index`.

    Raises:
      ValueError: no such process.
      RuntimeError: no such platform.

    >>> import canter as ct
    >>> ct.local_devices()[0] in ct.devices()
    True
    """
    if host_id is not None:
        if process_index is not None:
            raise TypeError("local_devices takes process_index or host_id, which mean the same, not both.")
        process_index = host_id
    client = get_backend(backend)
    if process_index is None or process_index == client.process_index():
        return client.local_devices()
    found = [device for device in client.devices() if device.process_index == process_index]
    if not found:
        known = process_indices(client)
        raise ValueError(f"There is no process {process_index}; processes with devices: {known}.")
    return found


def device_count(backend: Any = None) -> int:
    """The number of devices of a platform, in all processes.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.device_count() >= ct.local_device_count() >= 1
    True
    """
    return get_backend(backend).device_count()


def local_device_count(backend: Any = None) -> int:
    """The number of devices of a platform in this process.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.local_device_count("cpu") >= 1
    True
    """
    return get_backend(backend).local_device_count()


def default_backend() -> str:
    """The name of the preferred platform.

    >>> import canter as ct
    >>> ct.default_backend() in ("cpu", "gpu", "tpu")
    True
    """
    name = get_backend().platform
    return "gpu" if name in _ALIASES["gpu"] else name


def process_index(backend: Any = None) -> int:
    """The number of this process among those that compute together; 0 if it is alone.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.process_index()
    0
    """
    return get_backend(backend).process_index()


def process_indices(backend: Any = None) -> list[int]:
    """The numbers of the processes that have devices.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.process_indices()
    [0]
    """
    return sorted({device.process_index for device in devices(backend)})


def process_count(backend: Any = None) -> int:
    """The number of processes that compute together.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.process_count()
    1
    """
    return max(process_indices(backend)) + 1


def host_id(backend: Any = None) -> int:
    """The same as `process_index`.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.host_id()
    0
    """
    return process_index(backend)


def host_ids(backend: Any = None) -> list[int]:
    """The same as `process_indices`.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.host_ids()
    [0]
    """
    return process_indices(backend)


def host_count(backend: Any = None) -> int:
    """The same as `process_count`.

    Args:
      backend: a platform's name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct
    >>> ct.host_count()
    1
    """
    return process_count(backend)


def current_default_device() -> Any:
    """The device of arrays that name none: that of the flag `default_device`, else the first local one.

    Raises:
      BackendError: the flag names a platform that cannot be started.
    """
    chosen = config.default_device.value
    device = _preferred.get((chosen,))
    if device is None:
        if chosen is None or isinstance(chosen, str):
            device = get_backend(chosen).local_devices()[0]
        elif hasattr(chosen, "device_set"):
            if len(chosen.device_set) != 1:
                raise ValueError(f"The flag default_device takes one device; {chosen} has several.")
            (device,) = chosen.device_set
        else:
            device = chosen
        _preferred[(chosen,)] = device
    return device


def live_arrays(platform: str | None = None) -> list[Any]:
    """All arrays of a platform that exist and are not deleted, in no particular order.

    Args:
      platform: its name; None for the preferred platform.

    Raises:
      RuntimeError: no such platform, or it cannot be started.

    >>> import canter as ct, canter.numpy as cnp
    >>> x = cnp.arange(3)
    >>> any(y is x for y in ct.live_arrays())
    True
    """
    arrays = get_backend(platform).live_arrays()  # those that are not finished have no type yet
    return [array for array in arrays if array.aval is not None and not array.is_deleted()]


def clear_backends() -> None:
    """Forgets all clients and all programs compiled for them; for tests.

    Arrays made before keep their client alive, and cannot be mixed with later ones.
    """
    for forget in _on_clear:
        forget()
    _preferred.clear()
    clients.clear()


def on_clear(forget: Callable[[], None]) -> Callable[[], None]:
    """Registers a function that drops what belongs to the clients; `clear_backends` calls it."""
    _on_clear.append(forget)
    return forget
