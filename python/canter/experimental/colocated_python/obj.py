"""Objects that live beside the devices on which their methods' arguments lie."""

from __future__ import annotations

import functools
import threading
from typing import Any

from .func import colocated_python

__all__ = ["colocated_python_class"]


def colocated_python_class(cls: type) -> type:
    """Makes the methods of a class run beside the devices on which their arguments lie.

    Args:
      cls: the class.

    Returns:
      A class whose objects have the public methods of `cls`, each as `colocated_python` makes it. The object behind
      one is made by the first call of a method; its attributes are its own.

    Raises:
      ValueError, NotImplementedError: when a method is called, see `colocated_python`.

    Example:
      >>> import canter as ct
      >>> from canter.experimental.colocated_python import colocated_python_class
      >>> @colocated_python_class
      ... class Counter:
      ...     def __init__(self):
      ...         self.calls = 0
      ...     def add(self, x):
      ...         self.calls += 1
      ...         return x + self.calls
      >>> counter = Counter()
      >>> counter.add(ct.numpy.zeros(2)), counter.add(ct.numpy.zeros(2))
      (Array([1., 1.], dtype=float32), Array([2., 2.], dtype=float32))
    """

    class Wrapped:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            backing = _Backing(cls, args, kwargs)
            for name in dir(cls):
                if not name.startswith("_") and callable(getattr(cls, name)):
                    setattr(self, name, colocated_python(backing.method(name)))

    functools.update_wrapper(Wrapped, cls, updated=())
    return Wrapped


class _Backing:
    """An object that is made when it is first needed."""

    def __init__(self, cls: type, args: Any, kwargs: Any):
        self._made: list[Any] = []
        self._make = lambda: cls(*args, **kwargs)
        self._lock = threading.Lock()
        self._cls = cls

    def method(self, name: str) -> Any:
        @functools.wraps(getattr(self._cls, name))
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                if not self._made:
                    self._made.append(self._make())
            return getattr(self._made[0], name)(*args, **kwargs)

        return call
