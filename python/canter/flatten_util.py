"""Trees of arrays as one flat vector, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .core import dtypes
from .core.pytree import tree_flatten

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Concatenates the leaves of a tree into one vector.

    Args:
      pytree: a tree of arrays and numbers.

    Returns:
      The vector, of the leaves' common dtype, and a function that takes such a vector and returns a
      tree of the same structure, shapes and dtypes. Trees without leaves give a vector of length 0.

    Raises:
      TypeError: a leaf is not an array or number.

    >>> import canter as ct, canter.numpy as cnp
    >>> vector, unravel = ct.flatten_util.ravel_pytree({"a": cnp.ones((2, 2)), "b": 3.0})
    >>> vector.shape, unravel(vector)["a"].shape
    ((5,), (2, 2))
    """
    import canter.numpy as cnp

    leaves, treedef = tree_flatten(pytree)
    if not leaves:
        return cnp.zeros(0), Unravel(treedef, (), (), dtypes.canonicalize_dtype(float))
    common = dtypes.result_type(*leaves)
    shapes = tuple(cnp.shape(leaf) for leaf in leaves)
    kinds = tuple(dtypes.dtype(leaf) for leaf in leaves)
    vector = cnp.concatenate([cnp.ravel(cnp.asarray(leaf, common)) for leaf in leaves])
    return vector, Unravel(treedef, shapes, kinds, common)


class Unravel:
    """The way back from a vector to a tree. Equal for equal trees, so that it may be a static argument."""

    __slots__ = ("common", "kinds", "shapes", "treedef")

    def __init__(self, treedef: Any, shapes: tuple[Any, ...], kinds: tuple[Any, ...], common: Any) -> None:
        self.treedef, self.shapes, self.kinds, self.common = treedef, shapes, kinds, common

    def __call__(self, vector: Any) -> Any:
        import canter.numpy as cnp
        from canter import lax

        size = sum(math.prod(shape) for shape in self.shapes)
        if cnp.shape(vector) != (size,):
            raise ValueError(
                f"The function that ravel_pytree returned takes a vector of shape ({size},), as the tree has "
                f"{size} elements; got shape {cnp.shape(vector)}."
            )
        mixed = any(kind != self.common for kind in self.kinds)
        if mixed and dtypes.dtype(vector) != self.common:
            raise TypeError(
                f"The function that ravel_pytree returned takes a vector of dtype {self.common}, because the "
                f"leaves have different dtypes; got {dtypes.dtype(vector)}. Convert it with astype."
            )
        leaves, start = [], 0
        for shape, kind in zip(self.shapes, self.kinds, strict=True):
            stop = start + math.prod(shape)
            leaf = cnp.reshape(lax.slice_in_dim(vector, start, stop), shape)
            leaves.append(_converted(leaf, kind) if mixed else leaf)
            start = stop
        return self.treedef.unflatten(leaves)

    def _key(self) -> tuple[Any, ...]:
        return self.treedef, self.shapes, self.kinds, self.common

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unravel) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def _converted(leaf: Any, kind: Any) -> Any:
    """The leaf in its own dtype; from complex to real the imaginary part, zero by construction, goes."""
    import canter.numpy as cnp
    from canter import lax

    if cnp.issubdtype(leaf.dtype, cnp.complexfloating) and not cnp.issubdtype(kind, cnp.complexfloating):
        leaf = cnp.real(leaf)
    return lax.convert_element_type(leaf, kind)
