"""Layouts of arrays in memory."""

from ..runtime.layout_constraint import with_layout_constraint as with_layout_constraint
from ..runtime.layouts import Format as Format, Layout as Layout

__all__ = ["Format", "Layout", "with_layout_constraint"]
