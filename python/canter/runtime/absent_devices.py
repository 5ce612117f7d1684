"""Layouts over meshes without devices: a program can be lowered and exported for hardware that is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..core.mesh import AbstractMesh, current_context
from ..core.sharding import NamedSharding
from .program import Layout

if TYPE_CHECKING:
    from .jit import Jitted
    from .traces import Call, TracedProgram

__all__ = ["layout_without_devices"]


class _AbsentDevice(NamedTuple):
    """A device of a mesh without devices: its place in it."""

    id: int


def layout_without_devices(jitted: Jitted, program: TracedProgram, call: Call) -> Layout | None:
    """Where a program runs whose arguments or results are laid out over an abstract mesh; else None.

    An abstract mesh with axes of type Explicit in force is that of all values.
    """
    count = len(program.constants)
    asked = jitted.asked_shardings(program, call)
    ins, outs = asked or ((None,) * (count + len(call.leaves)), (None,) * len(program.closed.jaxpr.outvars))
    own = [getattr(leaf, "sharding", None) for leaf in call.leaves]
    ins = tuple(
        given if wanted is None else wanted for wanted, given in zip(ins, [None] * count + own, strict=True)
    )
    meshes = {
        s.mesh for s in (*ins, *outs) if isinstance(s, NamedSharding) and isinstance(s.mesh, AbstractMesh)
    }
    context = current_context()
    if context.concrete is None and context.abstract is not None and context.abstract.explicit_axes:
        meshes.add(context.abstract)
    if not meshes:
        return None
    # Arrays that lie somewhere without anybody asking for it take no part in the layout.
    ins, outs = (tuple(s if isinstance(s, NamedSharding) else None for s in side) for side in (ins, outs))
    sizes = {s.mesh.size for s in (*ins, *outs) if s is not None} | {mesh.size for mesh in meshes}
    if len(sizes) > 1:
        raise ValueError(
            f"The arguments and results of '{jitted.name}' are laid out over meshes of {sorted(sizes)} devices. Use "
            "meshes of one size."
        )
    mesh = next(iter(meshes))
    return Layout(tuple(map(_AbsentDevice, range(mesh.size))), mesh, ins, outs)
