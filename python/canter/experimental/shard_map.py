"""`shard_map` in its former place; see `canter.shard_map`."""

from ..parallel.shard_map import experimental_shard_map as shard_map

__all__ = ["shard_map"]
