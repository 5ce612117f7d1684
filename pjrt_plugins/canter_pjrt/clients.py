"""PJRT clients: one per platform, made when first needed and kept for the process.

A platform is a name, a function that makes its client, and a priority. The platform of highest
priority whose client can be made is the default one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from . import jaxlib_door

__all__ = [
    "BackendError",
    "ClientOptions",
    "clear",
    "client",
    "clients",
    "default_platform",
    "is_created",
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
    """

    num_cpu_devices: int | None = None
    platforms: tuple[str, ...] | None = None


_DEFAULT = ClientOptions()


class _Platform(NamedTuple):
    factory: Callable[[ClientOptions], Any]
    priority: int


def _make_cpu(options: ClientOptions) -> Any:
    return jaxlib_door.make_cpu_client(options.num_cpu_devices)


_platforms: dict[str, _Platform] = {"cpu": _Platform(_make_cpu, 0)}
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


def known_platforms(options: ClientOptions | None = None) -> list[str]:
    """Names of the platforms that may be started, the preferred one first."""
    if options is not None and options.platforms is not None:
        return list(options.platforms)
    return sorted(_platforms, key=lambda name: -_platforms[name].priority)


def is_created(platform: str | None = None) -> bool:
    """Whether a platform's client (None: any client) has been made."""
    return bool(_clients) if platform is None else platform in _clients


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


def _create(platform: str, options: ClientOptions) -> Any:
    if platform not in _platforms:
        names = ", ".join(map(repr, known_platforms()))
        raise BackendError(
            f"There is no platform {platform!r}. Platforms of this installation: {names}. A platform of an "
            "accelerator comes with an extra of the package, such as pip install 'canter[cuda12]'."
        )
    if options.platforms is not None and platform not in options.platforms:
        raise BackendError(
            f"Platform {platform!r} is not among those that the flag `platforms` admits: "
            f"{','.join(options.platforms)}. Set it before the first use of a device."
        )
    if platform in _failures:
        raise BackendError(_failures[platform])
    try:
        made = _platforms[platform].factory(options)
    except Exception as error:
        _failures[platform] = f"Platform {platform!r} cannot be started: {error}"
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
    with _lock:
        _clients.clear()
        _failures.clear()
