"""How arrays print: as NumPy prints its own, with the dtype always named."""

from __future__ import annotations

import numpy as np

__all__ = ["array_repr"]

_PREFIX = "Array("


def array_repr(host: np.ndarray, weak_type: bool = False) -> str:
    """The text of an array: `Array([0., 1.], dtype=float32)`.

    Args:
      host: its value.
      weak_type: whether the dtype is weak, which is then shown.
    """
    tail = f"dtype={host.dtype.name}" + (", weak_type=True)" if weak_type else ")")
    if host.size == 0:
        return f"{_PREFIX}[], shape={host.shape}, {tail}"
    body = np.array2string(host, prefix=_PREFIX, suffix=",", separator=", ")
    last_line = len(body) - body.rfind("\n") - 1
    # Where the dtype does not fit on the last line, JAX indents it without breaking the line; so do we.
    fits = last_line + 3 + len(tail) <= np.get_printoptions()["linewidth"]
    return f"{_PREFIX}{body},{' ' if fits else ' ' * len(_PREFIX)}{tail}"
