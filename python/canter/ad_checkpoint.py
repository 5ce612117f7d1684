"""Rematerialization under the module name that libraries import it from."""

from .transforms.remat import (
    checkpoint as checkpoint,
    checkpoint as remat,
    checkpoint_name as checkpoint_name,
    checkpoint_policies as checkpoint_policies,
)

__all__ = ["checkpoint", "checkpoint_name", "checkpoint_policies", "remat"]
