"""PJRT clients: one per platform, made when first needed and kept for the process.

A platform is a name, a function that makes its client, and a priority. The platform of highest
priority whose client can be made is the default one.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from . import coordination, jaxlib_door

__all__ = [
    "EXTRAS",
    "BackendError",
    "ClientOptions",
    "clear",
    "client",
    "clients",
    "default_platform",
    "is_created",
    "known_client",
    "known_platforms",
    "register_platform",
]


class BackendError(RuntimeError):
    """A platform is unknown, or its client cannot be made."""


class ClientOptions(NamedTuple):
    """What decides how clients are made.

    Attributes:
      num_cpu_devices: virtual CPU devices; None leaves it to `XLA_FLAGS`, else there is one.
      platforms: platforms to start, by preference; None for all that are known.
      visible_devices: ids of the devices that may be used, by platform; of others all may.
      plugin_options: options for the clients of plugins.
      cpu_collectives: what CPU devices of several processes communicate by.
      cpu_asynchronous: whether a call may return before the CPU is done; None: with several CPU devices.
      cpu_timeouts: minutes to wait for what processes tell about CPU devices: of this machine, and of all.
      transfers: arguments for the clients of plugins, about devices of several processes.
      gpu_options: more of them for those of NVIDIA's and AMD's GPUs.
    """

    num_cpu_devices: int | None = None
    platforms: tuple[str, ...] | None = None
    visible_devices: tuple[tuple[str, tuple[int, ...]], ...] = ()
    plugin_options: tuple[tuple[str, Any], ...] = ()
    cpu_collectives: str | None = "gloo"
    cpu_asynchronous: bool | None = None
    cpu_timeouts: tuple[int, int] = (2, 5)
    transfers: tuple[tuple[str, Any], ...] = ()
    gpu_options: tuple[tuple[str, Any], ...] = ()


_DEFAULT = ClientOptions()


class _Platform(NamedTuple):
    factory: Callable[[ClientOptions], Any]
    priority: int


def _make_cpu(options: ClientOptions) -> Any:
    if coordination.current() is None:
        several = _cpu_count(options) > 1
        asynchronous = several if options.cpu_asynchronous is None else options.cpu_asynchronous
        return jaxlib_door.make_cpu_client(options.num_cpu_devices, asynchronous=asynchronous)
    local, everywhere = options.cpu_timeouts
    return jaxlib_door.make_cpu_client(
        options.num_cpu_devices,
        # Computations that wait in a queue for other processes can take each other's threads: one at a time.
        asynchronous=False,
        get_local_topology_timeout_minutes=local,
        get_global_topology_timeout_minutes=everywhere,
        **coordination.cpu_options(options.cpu_collectives),
    )


def _cpu_count(options: ClientOptions) -> int:
    if options.num_cpu_devices is not None:
        return options.num_cpu_devices
    said = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return int(said[-1]) if said else 1


_platforms: dict[str, _Platform] = {"cpu": _Platform(_make_cpu, 0)}
_from_plugins: dict[str, _Platform] | None = None  # None: not looked for yet
_clients: dict[str, Any] = {}
_failures: dict[str, str] = {}
_lock = threading.RLock()


def register_platform(name: str, factory: Callable[[ClientOptions], Any], priority: int = 400) -> None:
    """Makes a platform known.

    Args:
      name: the platform's name, as in `devices("name")`.
      factory: makes the client from `ClientOptions`; raises if there is no such hardware.
      priority: the platform of highest priority that can be started is the default; cpu has 0.

    Raises:
      ValueError: the platform's client exists already.
    """
    with _lock:
        if name in _clients:
            raise ValueError(f"Platform {name!r} is in use and cannot be registered again in this process.")
        _platforms[name] = _Platform(factory, priority)
        _failures.pop(name, None)


def _all_platforms() -> dict[str, _Platform]:
    """The platforms that were registered, and those of installed plugins."""
    global _from_plugins
    with _lock:
        if _from_plugins is None:
            from .plugins import installed

            _from_plugins = {}
            found = installed()
            for plugin in found.plugins:
                _from_plugins[plugin.platform] = _Platform(_starter(plugin), plugin.priority)
            for problem in found.problems:
                _warn(problem)
    return {**_from_plugins, **_platforms}


def _starter(plugin: Any) -> Callable[[ClientOptions], Any]:
    def make(options: ClientOptions) -> Any:
        from . import accelerators

        visible = dict(options.visible_devices).get(plugin.platform)
        asked = options.platforms is not None
        chosen = None if visible is None else list(visible)
        more = dict(options.gpu_options) if plugin.platform in ("cuda", "rocm") else {}
        more |= dict(options.plugin_options)
        return accelerators.start(plugin, chosen, more, asked, dict(options.transfers))

    return make


def _warn(message: str) -> None:
    import warnings

    # No line of the program is to blame, and none is shown: what is to be done fits one line.
    warnings.warn(message, RuntimeWarning, stacklevel=1000)


def known_platforms(options: ClientOptions | None = None) -> list[str]:
    """Names of the platforms that may be started, the preferred one first.

    Plugins that have to be asked for by name are not among them.
    """
    if options is not None and options.platforms is not None:
        return list(options.platforms)
    platforms = _all_platforms()
    usual = [name for name, platform in platforms.items() if platform.priority >= 0]
    return sorted(usual, key=lambda name: -platforms[name].priority)


def is_created(platform: str | None = None) -> bool:
    """Whether a platform's client (None: any client) has been made."""
    return bool(_clients) if platform is None else platform in _clients


def known_client(platform: str) -> Any | None:
    """The client of a platform if it has been made, else None."""
    return _clients.get(platform)


def client(platform: str, options: ClientOptions = _DEFAULT) -> Any:
    """The client of a platform, made now if this is the first use.

    Raises:
      BackendError: no such platform, not one of `options.platforms`, or its client cannot be made.
    """
    known = _clients.get(platform)
    if known is not None:
        return known
    with _lock:
        known = _clients.get(platform)
        return known if known is not None else _create(platform, options)


#: What installs the plugin of a platform.
EXTRAS = {
    "tpu": "canter[tpu]",
    "cuda": "canter[cuda13]",
    "gpu": "canter[cuda13]",
    "rocm": "canter[rocm7]",
}


def _create(platform: str, options: ClientOptions) -> Any:
    known = _platforms.get(platform) or _all_platforms().get(platform)
    if known is None:
        names = ", ".join(map(repr, _all_platforms()))
        extra = EXTRAS.get(platform)
        how = f" To install it: pip install '{extra}'" if extra else ""
        raise BackendError(
            f"Unknown backend {platform!r}: there is no such platform. Platforms of this installation: {names}.{how}"
        )
    if options.platforms is not None and platform not in options.platforms:
        raise BackendError(
            f"Platform {platform!r} is not among those that the flag `platforms` admits: "
            f"{','.join(options.platforms)}. Set it before the first use of a device."
        )
    if platform in _failures:
        raise BackendError(_failures[platform])
    try:
        made = known.factory(options)
    except Exception as error:
        _failures[platform] = f"Platform {platform!r} cannot be started: {error}"
        if type(error).__name__ == "PluginError" and options.platforms is None:
            _warn(f"{error} (until then the other platforms are used)")
        raise BackendError(_failures[platform]) from error
    _clients[platform] = made
    return made


def default_platform(options: ClientOptions = _DEFAULT) -> str:
    """The preferred platform that can be started.

    Raises:
      BackendError: none can; the message has the reason of each.
    """
    reasons = []
    for name in known_platforms(options):
        try:
            client(name, options)
        except BackendError as error:
            # A platform that the user asked for by name must not be passed over silently.
            if options.platforms is not None:
                raise
            reasons.append(str(error))
            continue
        return name
    raise BackendError("No platform can be started. " + " ".join(reasons))


def clients(options: ClientOptions = _DEFAULT) -> dict[str, Any]:
    """All clients that can be made, by platform, the preferred one first."""
    made = {}
    for name in known_platforms(options):
        try:
            made[name] = client(name, options)
        except BackendError:
            if options.platforms is not None:
                raise
    return made


def clear() -> None:
    """Forgets all clients; arrays and executables that still exist keep theirs alive."""
    global _from_plugins
    with _lock:
        _clients.clear()
        _failures.clear()
        _from_plugins = None
