"""The compilation cache gets its flags, and listeners its counts. Loaded at the first compile."""

from __future__ import annotations

from typing import Any

from canter_pjrt import cache, clients, early
from canter_pjrt.compile import compile_options

from ..core import config, monitoring
from ..core.source import is_user_file
from .backend import current_default_device

__all__: list[str] = []


def _settings() -> cache.CacheSettings:
    return cache.CacheSettings(
        enabled=config.enable_compilation_cache.value,
        directory=config.compilation_cache_dir.value,
        min_compile_seconds=config.persistent_cache_min_compile_time_secs.value,
        min_entry_bytes=config.persistent_cache_min_entry_size_bytes.value,
        max_bytes=config.compilation_cache_max_size.value,
        raise_errors=config.raise_persistent_cache_errors.value,
        timeout_seconds=config.compilation_cache_timeout_secs.value,
        lines_in_key=config.compilation_cache_include_metadata_in_key.value,
        check_contents=config.compilation_cache_check_contents.value,
        xla_caches=_xla_caches(config.persistent_cache_enable_xla_caches.value),
        log_misses=config.explain_cache_misses.value,
        log_hits=config.log_compiles.value,
    )


def _xla_caches(names: str | None) -> tuple[str, ...]:
    if names is None or names == "none":
        return ()
    return tuple(cache.XLA_CACHES) if names == "all" else tuple(names.split(","))


cache.use_settings(_settings)


def expect(name: str, function: Any, call: Any) -> None:
    """Begins to load the program that a function of the user's was compiled to the last time, while it is traced.

    Args:
      name: of the jitted function.
      function: what is traced.
      call: the `Call`, whose types and static values are told.
    """
    code = getattr(function, "__code__", None)
    if code is None or not clients.is_created() or not is_user_file(code.co_filename):
        return  # tracing alone starts no devices
    types = [(getattr(aval, "shape", None), str(getattr(aval, "dtype", aval))) for aval in call.avals]
    device = current_default_device()
    description = (
        cache.machine(), device.platform, device.client.platform_version, function.__module__,
        function.__qualname__, code.co_code, types, [(where, kind.__name__) for where, kind, _ in call.statics],
    )  # fmt: skip
    early.expect(name, repr(description).encode(), device, compile_options)


def _record(kind: str) -> None:
    if kind in ("hits", "misses"):
        monitoring.record_event(f"/jax/compilation_cache/cache_{kind}")


cache.listen(_record)
