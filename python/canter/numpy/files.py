"""Arrays from files, text and iterators. NumPy reads, and the result goes to the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from .creation import asarray

__all__ = ["fromfile", "fromiter", "fromstring", "load"]


def fromfile(file: Any, dtype: Any = float, count: int = -1, sep: str = "", offset: int = 0) -> Any:
    """The array of a file's bytes or text, as `numpy.fromfile`.

    Args:
      file: an open file, or its name.
      dtype: element type.
      count: number of elements; -1 for all.
      sep: what separates the numbers in a file of text; "" for a file of bytes.
      offset: first byte.

    Returns:
      A one-dimensional array.

    Raises:
      OSError: the file cannot be read.

    Example:
      >>> import canter.numpy as cnp, tempfile
      >>> with tempfile.TemporaryFile() as file:
      ...     _ = file.write(bytes([1, 2, 3])), file.seek(0)
      ...     cnp.fromfile(file, cnp.uint8)
      Array([1, 2, 3], dtype=uint8)
    """
    return asarray(np.fromfile(file, np.dtype(dtype), count, sep, offset))


def fromiter(iterable: Any, dtype: Any, count: int = -1) -> Any:
    """The array of an iterator's numbers, as `numpy.fromiter`. Under `jit` it is read once, while tracing.

    Args:
      iterable: numbers.
      dtype: element type.
      count: number of elements; -1 for all.

    Returns:
      A one-dimensional array.

    Raises:
      ValueError: there are less than count elements.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fromiter((i * i for i in range(4)), int)
      Array([0, 1, 4, 9], dtype=int32)
    """
    return asarray(np.fromiter(iterable, np.dtype(dtype), count))


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Any:
    """The array of a text's numbers, as `numpy.fromstring`.

    Args:
      string: the text.
      dtype: element type.
      count: number of elements; -1 for all.
      sep: what separates the numbers.

    Returns:
      A one-dimensional array.

    Raises:
      ValueError: sep is empty.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.fromstring("1 2 3", int, sep=" ")
      Array([1, 2, 3], dtype=int32)
    """
    if not sep:
        raise ValueError("fromstring: sep must not be empty; frombuffer reads bytes.")
    if not string.strip():
        return asarray(np.zeros(0, np.dtype(dtype)))
    return asarray(np.fromstring(string, np.dtype(dtype), count, sep=sep))


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """The array that `save` wrote, or the archive of `savez`, as `numpy.load`.

    Args:
      file: an open file, or its name.
      *args, **kwargs: those of `numpy.load`.

    Returns:
      An array; from a file of several, NumPy's archive object, whose members are NumPy arrays.

    Raises:
      OSError: the file cannot be read.

    Example:
      >>> import canter.numpy as cnp, io
      >>> file = io.BytesIO()
      >>> cnp.save(file, cnp.arange(3))
      >>> _ = file.seek(0)
      >>> cnp.load(file)
      Array([0, 1, 2], dtype=int32)
    """
    loaded = np.load(file, *args, **kwargs)
    if not isinstance(loaded, np.ndarray):
        return loaded
    if loaded.dtype == np.dtype("V2"):  # the format has no name for bfloat16, the one such type of two bytes
        from canter.core.dtypes import bfloat16

        loaded = loaded.view(bfloat16)
    return asarray(loaded)
