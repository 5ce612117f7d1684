"""What values the flags of `config` take: each function returns a value as it is kept.

Each raises ValueError with the words that follow "expected" in the message that users see.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = [
    "boolean", "device", "device_ids", "gpu_topology", "number", "one_of", "optional", "plugin_options", "text",
    "xla_caches",
]  # fmt: skip


def boolean(value: Any) -> bool:
    """True or False, also as a word."""
    if isinstance(value, str):
        word = value.lower()
        if word in ("1", "true", "t", "yes", "y", "on"):
            return True
        if word in ("0", "false", "f", "no", "n", "off"):
            return False
    elif isinstance(value, (bool, int)) or type(value).__name__ == "bool":
        if value in (0, 1):
            return bool(value)
    raise ValueError("True or False")


def number(kind: type, at_least: float | None = None) -> Callable[[Any], Any]:
    """A number of a kind, an integer or a float, of at least the given one."""
    words = {int: "an integer", float: "a number"}[kind]
    words += "" if at_least is None else f" of at least {at_least}"

    def parse(value: Any) -> Any:
        try:
            exact = isinstance(value, (bool, float)) and kind is int
            found = None if exact else kind(value)
        except (TypeError, ValueError):
            found = None
        if found is None or (at_least is not None and found < at_least):
            raise ValueError(words)
        return found

    return parse


def text(value: Any) -> str:
    """A string, or a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError("a string")
    return os.fspath(value)


def optional(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """None, or what `parse` takes."""

    def parse_optional(value: Any) -> Any:
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            raise ValueError(f"{error}, or None") from None

    return parse_optional


def one_of(*choices: str) -> Callable[[Any], Any]:
    """One of some words, or an enum member that stands for one."""

    def parse(value: Any) -> Any:
        value = getattr(value, "value", value)  # an enum member stands for its value
        if value not in choices:
            raise ValueError("one of " + ", ".join(map(repr, choices)))
        return value

    return parse


def device(value: Any) -> Any:
    """A device, a sharding, or a platform's name."""
    is_device = hasattr(value, "platform") and hasattr(value, "id")
    if isinstance(value, str) or is_device or hasattr(value, "device_set"):
        return value
    raise ValueError("a device such as canter.devices('cpu')[0], or a platform's name such as 'cpu'")


def gpu_topology(value: Any) -> str:
    """Counts of slices, of hosts in each and of GPUs in each: "1x2x8"; "" for none."""
    parts = value.split("x") if isinstance(value, str) else [""]
    if value != "" and not (len(parts) == 3 and all(part.strip().isdigit() and int(part) for part in parts)):
        raise ValueError("counts of slices, hosts and GPUs such as '1x2x8', or ''")
    return "x".join(part.strip() for part in parts)


def device_ids(value: Any) -> str:
    """Ids as text, "0,2"; a list of them is as good."""
    if value == "all":
        return "all"
    parts = value.split(",") if isinstance(value, str) else value
    ids = [str(part).strip() for part in parts] if isinstance(parts, (list, tuple)) else [""]
    if not all(part.isdigit() for part in ids):
        raise ValueError("'all' or ids of devices such as '0,2'")
    return ",".join(ids)


def plugin_options(value: Any) -> tuple[tuple[str, Any], ...]:
    """Options by name: a mapping, or text as in "allocator:bfc;memory_fraction:0.5"."""
    if isinstance(value, str):
        pairs = [part.partition(":") for part in value.split(";") if part]
        if not all(name and colon for name, colon, _ in pairs):
            raise ValueError("text such as 'memory_fraction:0.5;preallocate:false', or a mapping")
        value = {name.strip(): _plugin_value(text.strip()) for name, _, text in pairs}
    try:
        return tuple(sorted(dict(value).items()))
    except (TypeError, ValueError):
        raise ValueError("text such as 'memory_fraction:0.5;preallocate:false', or a mapping") from None


def _plugin_value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


_XLA_CACHES = ("xla_gpu_kernel_cache_file", "xla_gpu_per_fusion_autotune_cache_dir")


def xla_caches(value: Any) -> str:
    """Names of caches of XLA's own, with commas between them, or all or none of them."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else [""]
    if value not in ("all", "none") and not set(names) <= set(_XLA_CACHES):
        raise ValueError(f"'all', 'none', or names among {', '.join(_XLA_CACHES)}")
    return ",".join(names)
