"""Finding PJRT plugins: the published wheels, entry points, and what the environment names.

Nothing is imported and nothing is loaded. The wheels' own `initialize` functions need jax, so a plugin is
found by where its library stands: in the folders of `sys.path`, whose `*.dist-info` also tell versions and
entry points.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .jaxlib_door import jaxlib_version

__all__ = ["Found", "Plugin", "Wheel", "discover", "installed", "misfit", "version_of", "wheels"]


class Wheel(NamedTuple):
    """A published plugin that Canter knows by name.

    Attributes:
      distribution: its name for pip.
      platform: what users call its devices.
      library: where its library stands below the folder of packages.
      extra: the extra of Canter that installs it.
      priority: among platforms.
      kernels: the package of its kernels, whose distribution bears the same name with hyphens.
      locked: whether its version must be that of jaxlib.
    """

    distribution: str
    platform: str
    library: str
    extra: str
    priority: int = 500
    kernels: str | None = None
    locked: bool = False


def _cuda(major: int) -> Wheel:
    library = f"jax_plugins/xla_cuda{major}/xla_cuda_plugin.so"
    kernels = f"jax_cuda{major}_plugin"
    return Wheel(f"jax-cuda{major}-pjrt", "cuda", library, f"cuda{major}", 500, kernels, True)


#: Of two wheels for one platform the earlier one is taken.
wheels: tuple[Wheel, ...] = (
    _cuda(13),
    _cuda(12),
    Wheel(
        "jax-rocm7-pjrt", "rocm", "jax_plugins/xla_rocm7/xla_rocm_plugin.so", "rocm7", 500, "jax_rocm7_plugin"
    ),
    Wheel("libtpu", "tpu", "libtpu/libtpu.so", "tpu", 300),
)

# Groups of entry points and the priority of what they name. A library of `jax_plugins` offers itself as a
# platform for JAX programs; one of `xla_plugins` is only there to be loaded, so it waits to be asked for by name.
_GROUPS = {"jax_plugins": 400, "xla_plugins": -1}
_ENVIRONMENT = "PJRT_NAMES_AND_LIBRARY_PATHS"
_SUFFIXES = (".so", ".dylib", ".dll")


class Plugin(NamedTuple):
    """A plugin that is installed here, whole or not.

    Attributes:
      name: of the plugin, for messages.
      platform: what users call its devices.
      library: path of the shared library; "" where none was found.
      priority: among platforms; below that of cpu (0) it is used only when asked for by name.
      source: how it was found, in words.
      version: of its distribution, where known.
      wheel: which published wheel it is, or None.
      distribution: name for pip, or "".
    """

    name: str
    platform: str
    library: str
    priority: int
    source: str
    version: str | None = None
    wheel: Wheel | None = None
    distribution: str = ""

    def mend(self) -> str:
        """What to do about a plugin that does not work, as a sentence."""
        if self.wheel is not None:
            if self.wheel.locked:
                release = ".".join(map(str, jaxlib_version))
                names = f"'{self.wheel.distribution}=={release}'"
                if self.wheel.kernels is not None:
                    names += f" '{self.wheel.kernels.replace('_', '-')}[with-cuda]=={release}'"
                return f"pip install --force-reinstall {names}"
            return f"pip install --upgrade --force-reinstall 'canter[{self.wheel.extra}]'"
        if self.distribution:
            return f"pip install --upgrade --force-reinstall {self.distribution}"
        return f"correct the environment variable {_ENVIRONMENT}, a list of name:path"


class Found(NamedTuple):
    """What there is: at most one plugin a platform, and one line for each thing that is wrong."""

    plugins: tuple[Plugin, ...]
    problems: tuple[str, ...] = ()


def discover(path: Sequence[str] | None = None, environment: dict[str, str] | None = None) -> Found:
    """The plugins of this installation.

    Args:
      path: folders of packages; None for `sys.path`.
      environment: variables; None for those of the process.

    Example:
      >>> from canter_pjrt.plugins import discover
      >>> discover([], {"PJRT_NAMES_AND_LIBRARY_PATHS": "mine:/opt/mine.so"}).plugins[0].platform
      'mine'
    """
    folders = _Folders(sys.path if path is None else path)
    variables = os.environ if environment is None else environment
    problems: list[str] = []
    candidates = [
        *_named_by_environment(variables.get(_ENVIRONMENT, ""), problems),
        *_known_wheels(folders, variables.get("TPU_LIBRARY_PATH")),
        *_entry_points(folders),
    ]
    chosen: dict[str, Plugin] = {}
    for plugin in candidates:
        first = chosen.setdefault(plugin.platform, plugin)
        if first is plugin or first.library == plugin.library:
            continue
        used, other = first, plugin
        if misfit(first) is not None and misfit(plugin) is None:
            used, other = plugin, first
            chosen[plugin.platform] = plugin
        away = f"pip uninstall {other.distribution}" if other.distribution else f"unset {_ENVIRONMENT}"
        problems.append(
            f"Two plugins are installed for platform {used.platform!r}; {used.name} is used and {other.name} is not: "
            f"{away}"
        )
    return Found(tuple(chosen.values()), tuple(problems))


@functools.cache
def installed() -> Found:
    """What `discover` finds in this process, looked for once."""
    return discover()


def misfit(plugin: Plugin) -> str | None:
    """Why a plugin's version does not go with this jaxlib, in words that follow its name; None if it does."""
    wheel = plugin.wheel
    if wheel is None or not wheel.locked or plugin.version is None:
        return None
    if _release(plugin.version)[:3] == jaxlib_version[:3]:
        return None
    age = "older" if _release(plugin.version) < jaxlib_version else "newer"
    own = ".".join(map(str, jaxlib_version))
    return f"has version {plugin.version}, {age} than that of jaxlib, {own}, which it must have too"


def version_of(distribution: str, path: Sequence[str] | None = None) -> str | None:
    """The version of an installed distribution, by the name of its folder; None where there is none."""
    return _Folders(sys.path if path is None else path).version(distribution)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version)[0]))


class _Folders:
    """The folders of packages, each listed once."""

    def __init__(self, path: Sequence[str]):
        self.names: dict[str, list[str]] = {}
        for folder in path:
            try:
                self.names[folder] = os.listdir(folder or ".")
            except OSError:
                continue

    def distributions(self) -> Iterator[tuple[str, str, str]]:
        """(folder, name, version) of each distribution, names in lower case with underscores."""
        for folder, names in self.names.items():
            for name in names:
                if name.endswith(".dist-info") and "-" in name:
                    distribution, version = name[: -len(".dist-info")].rsplit("-", 1)
                    yield os.path.join(folder, name), distribution.lower().replace("-", "_"), version

    def version(self, distribution: str) -> str | None:
        wanted = distribution.replace("-", "_").lower()
        return next((version for _, name, version in self.distributions() if name == wanted), None)

    def having(self, *parts: str) -> Iterator[str]:
        """Folders that have a file or folder of this relative path."""
        for folder, names in self.names.items():
            if parts[0] in names and os.path.exists(os.path.join(folder, *parts)):
                yield os.path.join(folder, *parts)


def _named_by_environment(text: str, problems: list[str]) -> Iterator[Plugin]:
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, colon, library = entry.partition(":")
        if not colon or not name or not library:
            problems.append(
                f"{_ENVIRONMENT} has {entry!r}, which is not name:path; write it as in mine:/opt/mine.so"
            )
            continue
        yield Plugin(name, name, library, 400, f"environment variable {_ENVIRONMENT}")


def _known_wheels(folders: _Folders, tpu_library: str | None) -> Iterator[Plugin]:
    for wheel in wheels:
        version = folders.version(wheel.distribution)
        library = next(folders.having(*wheel.library.split("/")), None)
        source = f"distribution {wheel.distribution}"
        if wheel.platform == "tpu" and tpu_library:
            library, source = tpu_library, "environment variable TPU_LIBRARY_PATH"
        if library is None:
            if version is None:
                continue
            folder = next(f for f, name, _ in folders.distributions() if name == _plain(wheel.distribution))
            library = os.path.join(os.path.dirname(folder), *wheel.library.split("/"))
        yield Plugin(
            wheel.extra, wheel.platform, library, wheel.priority, source, version, wheel, wheel.distribution
        )


def _plain(distribution: str) -> str:
    return distribution.replace("-", "_").lower()


def _entry_points(folders: _Folders) -> Iterator[Plugin]:
    known = {os.path.dirname(wheel.library).replace("/", ".") for wheel in wheels}
    seen = set(known)
    for folder, distribution, version in folders.distributions():
        for group, name, module in _entries(os.path.join(folder, "entry_points.txt")):
            if module in seen:
                continue
            seen.add(module)
            pip_name = distribution.replace("_", "-")
            yield Plugin(
                name,
                name,
                _library_of(module, folders),
                _GROUPS[group],
                f"entry point {group} of {pip_name}",
                version,
                None,
                pip_name,
            )
    # Packages in the groups' namespaces need no entry point.
    for group, priority in _GROUPS.items():
        for folder in folders.having(group):
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                module = f"{group}.{name}"
                if name.isidentifier() and not name.startswith("__") and module not in seen:
                    seen.add(module)
                    library = _library_of(module, folders)
                    if library:
                        yield Plugin(name, name, library, priority, f"package {module}")


def _entries(path: str) -> Iterator[tuple[str, str, str]]:
    """(group, name, module) of the entry points of the plugins' groups."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return
    if not any(group in text for group in _GROUPS):
        return
    group = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            group = line.strip("[] ")
        elif group in _GROUPS and "=" in line:
            name, value = line.split("=", 1)
            yield group, name.strip(), value.split(":")[0].split("[")[0].strip()


def _library_of(module: str, folders: _Folders) -> str:
    """The library in a package's folder, "" if there is none: a plugin if one can be seen to be it."""
    from .shared_library import problem_of

    found: list[str] = []
    parts = module.split(".")
    for place in folders.having(*parts):
        for folder, _, names in os.walk(place):
            found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(_SUFFIXES)]
    whole = [path for path in found if problem_of(path) is None]
    return next(iter(whole or found), "")
