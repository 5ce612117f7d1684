"""The cache of compiled programs, from a program. Names and parameters are those of JAX's module of this name."""

from __future__ import annotations

import os
from typing import Any

from ...core.config import config

__all__ = ["reset_cache", "set_cache_dir"]


def set_cache_dir(path: str | os.PathLike[Any]) -> None:
    """Chooses the folder of the compilation cache, from the next compile on.

    The same as `canter.config.update("compilation_cache_dir", path)`. Without it programs are kept in the user's
    folder for caches.

    Args:
      path: of a folder, or a URL that the package fsspec opens, such as "gs://bucket/folder".

    Raises:
      ValueError: something that is no path.

    Example:
      >>> import canter as ct
      >>> from canter.experimental.compilation_cache import compilation_cache
      >>> before = ct.config.compilation_cache_dir
      >>> compilation_cache.set_cache_dir("programs")
      >>> ct.config.compilation_cache_dir
      'programs'
      >>> ct.config.update("compilation_cache_dir", before)
    """
    if path is None:
        raise ValueError(
            "set_cache_dir takes a path. The default folder comes back with compilation_cache_dir = None."
        )
    config.update("compilation_cache_dir", path)


def reset_cache() -> None:
    """Forgets what this process knows of the cache's folders; what is in them stays.

    Remote folders that did not answer are asked again, and problems reported once are reported again.

    Example:
      >>> from canter.experimental.compilation_cache import compilation_cache
      >>> compilation_cache.reset_cache()
    """
    from canter_pjrt import cache

    cache.forget()
