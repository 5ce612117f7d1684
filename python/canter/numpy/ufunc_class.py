"""`ufunc`: an elementwise function with the methods that NumPy's ufuncs have."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from canter.core.trace import eval_trace, state
from canter.runtime.composite import compiled_composite

from .util import check_arraylike

__all__ = ["frompyfunc", "ufunc"]

_ARITIES = {0: "no", 1: "unary", 2: "binary"}


class ufunc:
    """A function that works element by element, with methods that apply it along an axis.

    `canter.numpy.add`, `maximum` and their like are of this class, and `frompyfunc` makes others; it
    follows `numpy.ufunc`.

    Args:
      func: a function of scalars.
      nin: how many operands it takes.
      nout: how many results it gives.
      name: its name; func's own by default.
      nargs: how many arguments it takes all in all; nin by default.
      identity: the value that changes no other when combined with it; None if there is none.
      call: a function of whole arrays that does what func does to each element.
      reduce, accumulate, at, reduceat: functions with the parameters of the methods of these names,
        where a better way is known than to apply func once an element, one after the other.

    Raises:
      TypeError: nin, nout or nargs is not an int, or func is not callable.

    Example:
      >>> import canter.numpy as cnp
      >>> cnp.add.reduce(cnp.array([[1, 2], [3, 4]]))
      Array([4, 6], dtype=int32)
      >>> cnp.multiply.outer(cnp.arange(2), cnp.arange(3)).shape
      (2, 3)
    """

    def __init__(
        self,
        func: Callable[..., Any],
        /,
        nin: int,
        nout: int,
        *,
        name: str | None = None,
        nargs: int | None = None,
        identity: Any = None,
        call: Callable[..., Any] | None = None,
        reduce: Callable[..., Any] | None = None,
        accumulate: Callable[..., Any] | None = None,
        at: Callable[..., Any] | None = None,
        reduceat: Callable[..., Any] | None = None,
    ):
        if not callable(func):
            raise TypeError(f"ufunc takes a function of scalars, got {type(func).__name__}.")
        self.func = func
        self.nin, self.nout = operator.index(nin), operator.index(nout)
        self.nargs = self.nin if nargs is None else operator.index(nargs)
        self.identity = identity
        self.__name__ = name or getattr(func, "__name__", type(func).__name__)
        self.__doc__ = func.__doc__
        self.methods = {"reduce": reduce, "accumulate": accumulate, "at": at, "reduceat": reduceat}
        self._body = call or _elementwise(func, self.nin)
        self._compiled: Any = None

    def __call__(self, *args: Any, out: None = None, where: None = None) -> Any:
        if out is not None or where is not None:
            self._refuse("out" if out is not None else "where")
        if state.trace is not eval_trace:
            return self._body(*args)
        if self._compiled is None:
            self._compiled = compiled_composite(self._body)
        return self._compiled(*args)

    def _refuse(self, parameter: str) -> None:
        raise NotImplementedError(
            f"The {parameter!r} argument of the ufunc {self.__name__!r} is not supported: arrays are immutable. "
            "Use the returned value, with canter.numpy.where(mask, result, other) for a part of it."
        )

    def __repr__(self) -> str:
        return f"<canter.numpy.ufunc {self.__name__!r}>"

    def __hash__(self) -> int:
        return hash((self.func, self.__name__, self.nin, self.nout))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ufunc):
            return NotImplemented
        return self is other or (
            (self.func, self.__name__, self.nin, self.nout, self.nargs, self.identity, self.methods)
            == (other.func, other.__name__, other.nin, other.nout, other.nargs, other.identity, other.methods)
        )

    def __reduce__(self) -> Any:
        """Canter's own are stored by name."""
        return self.__name__ if self.__module__ == "canter.numpy" else super().__reduce__()

    def _check(self, method: str, *arrays: Any, nin: int = 2) -> None:
        """Refuses what the method cannot do with this function."""
        if self.nin != nin:
            raise ValueError(
                f"{method} is only supported for {_ARITIES[nin]} ufuncs; {self.__name__} takes {self.nin} operands."
            )
        if self.nout != 1:
            raise ValueError(
                f"{method} is only supported for functions returning a single value; "
                f"{self.__name__} returns {self.nout}."
            )
        check_arraylike(f"{self.__name__}.{method}", *arrays)

    def reduce(
        self,
        a: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        """All elements along an axis combined to one, from first to last, as `numpy.ufunc.reduce`.

        Args:
          a: an array.
          axis: the axis; None for all axes; several, if the function has an identity.
          dtype: the dtype to compute in.
          out: must be None.
          keepdims: whether the axis stays, with size 1.
          initial: what to begin with; the identity by default, or else the first element.
          where: a boolean array: False leaves the element out.

        Returns:
          An array without the axis.

        Raises:
          ValueError: the function is not binary; there are no elements and no identity or initial value; or
            there is a mask without one.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.subtract.reduce(cnp.array([10, 1, 2]))
          Array(7, dtype=int32)
        """
        from . import ufunc_methods

        self._check("reduce", a, *(() if initial is None else (initial,)))
        if out is not None:
            self._refuse("out")
        if where is not None and self.identity is None and initial is None:
            raise ValueError(
                f"reduction operation {self.__name__!r} does not have an identity, so to use a where mask one has "
                "to specify 'initial'."
            )
        return ufunc_methods.reduce(self, a, axis, dtype, keepdims, initial, where)

    def accumulate(self, a: Any, axis: int | None = 0, dtype: Any = None, out: None = None) -> Any:
        """The results of combining ever more elements along an axis, as `numpy.ufunc.accumulate`.

        Args:
          a: an array.
          axis: the axis; None flattens a first.
          dtype: the dtype to compute in.
          out: must be None.

        Returns:
          An array of a's shape.

        Raises:
          ValueError: the function is not binary, or the axis is out of bounds.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.maximum.accumulate(cnp.array([1, 3, 2]))
          Array([1, 3, 3], dtype=int32)
        """
        from . import ufunc_methods

        self._check("accumulate", a)
        if out is not None:
            self._refuse("out")
        return ufunc_methods.accumulate(self, a, axis, dtype)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """An array with some elements replaced by the function's value, as `numpy.ufunc.at`.

        Each occurrence of an index counts, one after the other.

        Args:
          a: an array.
          indices: an index, as between square brackets.
          b: the second operand, of a shape that broadcasts to that of `a[indices]`; none for unary functions.
          inplace: must be False: arrays are immutable, so the result is returned.

        Returns:
          An array of a's shape and dtype.

        Raises:
          NotImplementedError: inplace is true.
          TypeError: b is missing, or too much.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.add.at(cnp.zeros(3), cnp.array([0, 0, 2]), 1.0, inplace=False)
          Array([2., 0., 1.], dtype=float32)
        """
        from . import ufunc_methods

        if inplace:
            raise NotImplementedError(
                f"{self.__name__}.at cannot write to an array, because arrays are immutable. Pass inplace=False and "
                f"use what it returns: x = {self.__name__}.at(x, indices, ..., inplace=False)."
            )
        self._check("at", a, *(() if b is None else (b,)), nin=1 if self.nin == 1 else 2)
        if (b is None) != (self.nin == 1):
            raise TypeError(f"{self.__name__}.at takes {self.nin} operands, got {1 if b is None else 2}.")
        return ufunc_methods.at(self, a, indices, b)

    def reduceat(self, a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """Reductions of slices of an array, as `numpy.ufunc.reduceat`.

        Args:
          a: an array.
          indices: a one-dimensional array of integers, where the slices begin. A slice ends where the next
            begins; if that is not after its own beginning, it has one element.
          axis: the axis.
          dtype: the dtype to compute in.
          out: must be None.

        Returns:
          An array whose axis has the length of indices.

        Raises:
          ValueError: the function is not binary, or axis is not one axis.
          IndexError: an index that is not traced is out of bounds.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.add.reduceat(cnp.arange(6), cnp.array([0, 4]))
          Array([6, 9], dtype=int32)
        """
        from . import ufunc_methods

        self._check("reduceat", a, indices)
        if out is not None:
            self._refuse("out")
        if axis is None or isinstance(axis, (tuple, list)):
            raise ValueError(f"{self.__name__}.reduceat requires a single integer axis, got {axis!r}.")
        return ufunc_methods.reduceat(self, a, indices, operator.index(axis), dtype)

    def outer(self, A: Any, B: Any, /) -> Any:
        """The function of each pair of elements of two arrays, as `numpy.ufunc.outer`.

        Args:
          A, B: arrays.

        Returns:
          An array with the dimensions of A and then those of B.

        Raises:
          ValueError: the function is not binary.

        Example:
          >>> import canter.numpy as cnp
          >>> cnp.maximum.outer(cnp.array([1, 5]), cnp.array([2, 3]))
          Array([[2, 3],
                 [5, 5]], dtype=int32)
        """
        from . import ufunc_methods

        self._check("outer", A, B)
        return ufunc_methods.outer(self, A, B)


def _elementwise(func: Callable[..., Any], nin: int) -> Callable[..., Any]:
    """A function of scalars as one of arrays that broadcast."""

    def call(*args: Any) -> Any:
        from .functional import vectorize

        if len(args) != nin:
            raise TypeError(f"the ufunc takes {nin} operands, got {len(args)}.")
        return vectorize(func)(*args)

    return call


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A ufunc of a function of scalars, as `numpy.frompyfunc`.

    Args:
      func: the function; it is traced, as under `jit`.
      nin: how many operands it takes.
      nout: how many results it gives.
      identity: the value that changes no other when combined with it; None if there is none.

    Returns:
      A `ufunc`.

    Raises:
      TypeError: nin or nout is not an int, or func is not callable.

    Example:
      >>> import canter.numpy as cnp
      >>> longer = cnp.frompyfunc(lambda x, y: cnp.sqrt(x * x + y * y), 2, 1)
      >>> longer(cnp.array([3.0, 5.0]), 4.0)
      Array([5.       , 6.4031243], dtype=float32)
      >>> longer.reduce(cnp.array([2.0, 2.0, 1.0]))
      Array(3., dtype=float32)
    """
    return ufunc(func, nin, nout, identity=identity)
