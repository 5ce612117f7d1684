"""The compilation cache gets its flags, and listeners its counts. Loaded at the first compile."""

from __future__ import annotations

from canter_pjrt import cache

from ..core import config, monitoring

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


def _record(kind: str) -> None:
    if kind in ("hits", "misses"):
        monitoring.record_event(f"/jax/compilation_cache/cache_{kind}")


cache.listen(_record)
