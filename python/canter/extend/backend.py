"""Clients of the platforms, and what libraries need to compile and cache beside Canter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canter_pjrt.clients import register_platform as _register_platform

from ..runtime.backend import (
    backends as backends,
    clear_backends as _clear_backends,
    current_default_device as get_default_device,
    get_backend as get_backend,
    on_clear as _on_clear,
)

__all__ = [
    "backend_xla_version",
    "backends",
    "clear_backends",
    "clear_in_memory_compilation_cache",
    "get_backend",
    "get_compile_options",
    "get_default_device",
    "register_backend_cache",
    "register_backend_factory",
]


def __getattr__(name: str) -> Any:
    if name == "ifrt_proxy":
        from canter_pjrt.jaxlib_door import ifrt_proxy

        return ifrt_proxy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def backend_xla_version(platform: str | None = None) -> int | None:
    """The version of the compiler inside a platform's plugin; None where it does not say, as cpu's.

    Example:
      >>> from canter.extend import backend
      >>> backend.backend_xla_version("cpu") is None
      True
    """
    return getattr(get_backend(platform), "xla_version", None)


def clear_backends(_crash: bool = False) -> None:
    """Forgets all clients and what was compiled for them.

    Arrays made before keep their client alive, and cannot be mixed with later ones.

    Raises:
      RuntimeError: `_crash` is set.
    """
    if _crash:
        raise RuntimeError("clear_backends was called where it must not be.")
    _clear_backends()


def clear_in_memory_compilation_cache() -> None:
    """Forgets what was compiled; the cache on disk stays.

    Example:
      >>> from canter.extend import backend
      >>> backend.clear_in_memory_compilation_cache()
    """
    from ..runtime.jit import clear_caches

    clear_caches()


def register_backend_cache(cache: Any, for_what: str) -> None:
    """Has a cache cleared whenever the clients are forgotten.

    Args:
      cache: an object with a method `cache_clear` or `clear`, such as a function under `functools.cache`.
      for_what: its name, for messages.

    Raises:
      TypeError: it has no such method.

    Example:
      >>> import functools
      >>> from canter.extend import backend
      >>> backend.register_backend_cache(functools.cache(lambda: None), "an example")
    """
    clear = getattr(cache, "cache_clear", None) or getattr(cache, "clear", None)
    if clear is None:
        raise TypeError(f"The cache for {for_what} has no method cache_clear.")
    _on_clear(clear)


def register_backend_factory(
    name: str,
    factory: Callable[[], Any],
    *,
    priority: int = 0,
    fail_quietly: bool = True,
    experimental: bool = False,
    make_topology: Callable[..., Any] | None = None,
    c_api: Any = None,
) -> None:
    """Makes a platform known.

    Args:
      name: the platform's name, as in `devices("name")`.
      factory: makes its client; returns None or raises where there is no such hardware.
      priority: the platform of highest priority that can be started is the default; cpu has 0.
      fail_quietly: whether a platform that nobody asked for may fail to start without a word.
      experimental: whether to warn when it is first started.
      make_topology: makes the description of hardware that is not here: `make_topology(name, **options)`.
      c_api: the capsule of the plugin.

    Raises:
      ValueError: the platform is in use already.
    """
    from ..core import source

    def make(options: Any) -> Any:
        if experimental:
            source.warn(f"Platform {name!r} is experimental: not all of Canter may work on it.")
        try:
            client = factory()
        except Exception as error:
            if not fail_quietly:
                source.warn(f"Platform {name!r} cannot be started: {error}")
            raise
        if client is None:
            raise RuntimeError(f"There is no hardware for platform {name!r} here.")
        return client

    _register_platform(name, make, priority)
    platform_extras[name] = make_topology, c_api


platform_extras: dict[
    str, tuple[Any, Any]
] = {}  # platform -> what makes its topologies, and its plugin's capsule


def get_compile_options(
    num_replicas: int,
    num_partitions: int,
    device_assignment: Any = None,
    env_options_overrides: dict[str, str] | None = None,
    fdo_profile: bytes | None = None,
    detailed_logging: bool = True,
    backend: Any = None,
) -> Any:
    """Options for the compiler, for code that calls a client itself.

    Args:
      num_replicas: how often the program is replicated.
      num_partitions: over how many devices each replica is partitioned.
      device_assignment: ids of devices, in the shape (num_replicas, num_partitions) or flat with one replica;
        None for the first devices of the client.
      env_options_overrides: compiler options by name.
      fdo_profile: a profile for feedback-directed optimization.
      detailed_logging: whether the compiler logs details of long compilations.
      backend: a client; None for the default one.

    Raises:
      ValueError: the assignment has another shape.

    Example:
      >>> from canter.extend import backend
      >>> backend.get_compile_options(1, 1).num_partitions
      1
    """
    import numpy as np

    from canter_pjrt.compile import compile_options

    client = backend if backend is not None else get_backend()
    count = num_replicas * num_partitions
    if device_assignment is None:
        device_assignment = [device.id for device in client.devices()[:count]]
    ids = np.asarray(
        [getattr(device, "id", device) for device in np.asarray(device_assignment, object).ravel()], np.int32
    )
    if ids.size != count:
        raise ValueError(
            f"A program of {num_replicas} replicas and {num_partitions} partitions needs {count} devices; the "
            f"assignment names {ids.size}."
        )
    by_id = {device.id: device for device in client.devices()}
    options = compile_options([by_id[int(i)] for i in ids], env_options_overrides, num_replicas=num_replicas)
    build = options.executable_build_options
    if fdo_profile is not None:
        build.fdo_profile = fdo_profile
    build.debug_options.xla_detailed_logging = detailed_logging
    return options
