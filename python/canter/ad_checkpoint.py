"""Rematerialization under the module name that libraries import it from."""

from .runtime.saved_residuals import (
    print_saved_residuals as print_saved_residuals,
    saved_residuals as saved_residuals,
)
from .transforms.checkpoint_policies import (
    Offloadable as Offloadable,
    Recompute as Recompute,
    Saveable as Saveable,
    checkpoint_name as checkpoint_name,
    checkpoint_policies as checkpoint_policies,
)
from .transforms.remat import checkpoint as checkpoint, checkpoint as remat

__all__ = [
    "Offloadable",
    "Recompute",
    "Saveable",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "print_saved_residuals",
    "remat",
    "saved_residuals",
]
