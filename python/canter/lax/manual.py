"""Manual mesh axes, along which the body of a `shard_map` runs once a device: what collectives must know.

Where types say along which of these axes values vary (`check_vma`), a collective takes values that
vary along its axes, and a sum has a primitive of its own, whose transpose is the cast to varying.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..core import config
from ..core.avals import get_aval
from ..core.mesh import current_context, manual_context
from ..core.primitive import Primitive
from ..core.trace import state
from ..core.tracing import pvary_p
from ..transforms.rules import deflinear, defvectorized

__all__ = ["checked_groups", "manual_region", "psum_invariant_p", "typed_axes", "vary"]


@contextmanager
def manual_region(mesh: Any, axes: frozenset[Any], check_vma: bool) -> Iterator[None]:
    """What is in force inside the body of a `shard_map`: the manual axes and their sizes."""
    outer = state.axes
    sizes = {name: size for name, size in mesh.shape_tuple if name in axes}
    state.axes = {**(outer or {}), **sizes}
    try:
        with manual_context(mesh, axes, check_vma)():
            yield
    finally:
        state.axes = outer


def typed_axes(names: Sequence[Any]) -> tuple[Any, ...]:
    """Those of the axes that are manual ones of which types say whether values vary along them."""
    context = current_context()
    if not context.check_vma or context.abstract is None:
        return ()
    manual = context.abstract.manual_axes
    if config.remove_size_one_mesh_axis_from_type.value:
        manual = [name for name in manual if context.abstract.shape[name] > 1]
    return tuple(name for name in names if name in manual)


def vary(x: Any, names: Sequence[Any]) -> Any:
    """The value, declared to vary along those of the axes that are manual and typed."""
    missing = set(typed_axes(names)) - get_aval(x).vma
    return pvary_p.bind(x, axes=tuple(name for name in names if name in missing)) if missing else x


psum_invariant_p = Primitive("psum_invariant")
psum_invariant_p.def_abstract_eval(lambda x, *, axes: x.strip_weak_type())
psum_invariant_p.varying_rule = lambda own, *, axes: own[0] - frozenset(axes)
deflinear(psum_invariant_p, lambda ct, x, *, axes: [pvary_p.bind(ct, axes=axes)])


def _pvary_transpose(ct: Any, x: Any, *, axes: Any) -> list[Any]:
    """The sum over the axes along which the operand did not vary already."""
    missing = tuple(name for name in axes if name not in x.aval.vma)
    return [psum_invariant_p.bind(ct, axes=missing) if missing else ct]


deflinear(pvary_p, _pvary_transpose)
defvectorized(psum_invariant_p)
defvectorized(pvary_p)
pvary_p.impl = lambda x, *, axes: x


def checked_groups(where: str, groups: Any, size: int, *, equal: bool = True) -> Any:
    """Groups of positions along an axis as tuples.

    Args:
      where: the function, for messages.
      groups: as the user gave them, or None.
      size: of the axis.
      equal: whether the groups must be of one size.

    Raises:
      ValueError: they are no partition of the positions, or not of one size.
    """
    if groups is None:
        return None
    made = tuple(tuple(int(i) for i in group) for group in groups)
    if sorted(itertools.chain(*made)) != list(range(size)):
        raise ValueError(
            f"{where}: axis_index_groups must cover all indices exactly once, 0 to {size - 1}; got {made}."
        )
    if equal and len({len(group) for group in made}) > 1:
        raise ValueError(f"{where}: axis_index_groups must all be the same size; got {made}.")
    return made
