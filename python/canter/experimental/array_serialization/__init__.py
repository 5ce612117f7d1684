"""Arrays over devices in files of the tensorstore library, written and read shard by shard.

The package tensorstore is needed: `pip install canter[arrays]`.
"""

__all__: list[str] = []
