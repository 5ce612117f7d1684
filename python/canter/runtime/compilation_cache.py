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
        raise_errors=config.raise_persistent_cache_errors.value,
    )


cache.use_settings(_settings)


def _record(kind: str) -> None:
    if kind in ("hits", "misses"):
        monitoring.record_event(f"/jax/compilation_cache/cache_{kind}")


cache.listen(_record)
