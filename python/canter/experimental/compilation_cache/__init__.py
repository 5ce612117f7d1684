"""The package of `canter.experimental.compilation_cache.compilation_cache`, as in JAX."""

from . import compilation_cache

__all__ = ["compilation_cache"]
