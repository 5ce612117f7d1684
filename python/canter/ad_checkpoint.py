"""Rematerialization under the module name that libraries import it from."""

from .transforms.remat import checkpoint as checkpoint
from .transforms.remat import checkpoint as remat
from .transforms.remat import checkpoint_name as checkpoint_name
from .transforms.remat import checkpoint_policies as checkpoint_policies

__all__ = ["checkpoint", "checkpoint_name", "checkpoint_policies", "remat"]
