"""`with_layout_constraint`: how a value inside a program lies in memory."""

from __future__ import annotations

from typing import Any

from canter_pjrt.jaxlib_door import ArrayImpl

from ..core import pytree
from ..core.avals import get_aval
from ..core.primitive import Primitive
from ..core.trace import Tracer
from ..transforms.rules import deflinear
from .device_put import put
from .layouts import Layout, custom_layouts, relaid, unusual

__all__ = ["layout_constraint_p", "with_layout_constraint"]

layout_constraint_p = Primitive("layout_constraint")
layout_constraint_p.def_abstract_eval(lambda x, *, layout: x)
layout_constraint_p.def_impl(lambda x, *, layout: relaid(put(x), unusual(layout)))


def with_layout_constraint(x: Any, layouts: Any) -> Any:
    """Fixes how values lie in memory: inside a program at this place of it, outside by a copy.

    Args:
      x: a tree of arrays.
      layouts: a `Layout`, or a tree of them that is a prefix of `x`.

    Returns:
      The same values. A compiled function returns a value with a constraint in that layout.

    Raises:
      ValueError: a layout of another number of dimensions, something that is no `Layout`, or a value outside of
        programs that is no array on a device.

    >>> import canter as ct
    >>> from canter.experimental.layout import Layout, with_layout_constraint
    >>> with_layout_constraint(ct.numpy.ones((2, 3)), Layout((1, 0))).format.layout.major_to_minor
    (1, 0)
    """
    leaves, treedef = pytree.tree_flatten(x)
    given = (
        [layouts] * len(leaves)
        if layouts is None or isinstance(layouts, Layout)
        else pytree.flatten_axes("with_layout_constraint layouts", treedef, layouts)
    )
    outs = []
    for leaf, layout in zip(leaves, given, strict=True):
        if not isinstance(layout, Layout):
            raise ValueError(
                f"layouts passed to `with_layout_constraint` must be of type `Layout`. Got {layout!r} of type "
                f"{type(layout).__name__}."
            )
        layout.check_fits("One of with_layout_constraint arguments", get_aval(leaf).shape)
        if not isinstance(leaf, (Tracer, ArrayImpl)):
            raise ValueError(
                "with_layout_constraint outside of compiled functions can only be applied to arrays on devices. Got "
                f"{type(leaf).__name__}; bring it to a device with canter.device_put."
            )
        custom_layouts.in_use = True
        outs.append(layout_constraint_p.bind(leaf, layout=layout))
    return treedef.unflatten(outs)


def _batch(args: Any, dims: Any, *, layout: Layout) -> Any:
    ((x,), (dim,)) = args, dims
    return layout_constraint_p.bind(x, layout=layout.with_dimension(dim)), dim


deflinear(layout_constraint_p, lambda ct, x, *, layout: [layout_constraint_p.bind(ct, layout=layout)])
layout_constraint_p.batch_rule = _batch
