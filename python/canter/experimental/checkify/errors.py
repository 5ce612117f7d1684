"""What a check finds: categories of errors, the places that check, and the `Error` that a program returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core import pytree, source
from ...core.trace import Tracer

__all__ = [
    "BatchedError",
    "DivisionByZeroError",
    "Error",
    "ErrorCategory",
    "FailedCheckError",
    "JaxException",
    "JaxRuntimeError",
    "NaNError",
    "OOBError",
    "Site",
    "Types",
    "all_checks",
    "automatic_checks",
    "div_checks",
    "float_checks",
    "index_checks",
    "init_error",
    "nan_checks",
    "user_checks",
]


class JaxRuntimeError(ValueError):
    """A check has failed; what `Error.throw` raises."""


class JaxException(Exception):
    """Base class of what checks find; `Error.get_exception` gives an instance."""


class FailedCheckError(JaxException):
    """A `check` in the user's program was false."""


class NaNError(JaxException):
    """An operation has made a NaN."""


class DivisionByZeroError(JaxException):
    """A division by zero."""


class OOBError(JaxException):
    """An index was out of bounds."""


class BatchedError(JaxException):
    """Some elements of a batch have failed.

    Attributes:
      error_mapping: index of the element -> its exception.
    """

    def __init__(self, error_mapping: dict[tuple[int, ...], JaxException]):
        self.error_mapping = error_mapping
        lines = [
            f"at mapped index {', '.join(map(str, index))}: {error}" for index, error in error_mapping.items()
        ]
        super().__init__("\n".join(lines))


ErrorCategory = type[JaxException]

user_checks = frozenset({FailedCheckError})
nan_checks = frozenset({NaNError})
index_checks = frozenset({OOBError})
div_checks = frozenset({DivisionByZeroError})
float_checks = nan_checks | div_checks
automatic_checks = float_checks | index_checks
all_checks = automatic_checks | user_checks

Types = tuple[tuple[tuple[int, ...], Any], ...]  # shapes and dtypes of the values a message is made of


class Site:
    """A place in a program that checks something.

    Attributes:
      category: what it finds.
      types: shapes and dtypes of the values that its message needs.
    """

    __slots__ = ("_describe", "_traceback", "category", "types")

    def __init__(
        self, category: ErrorCategory, describe: Callable[..., str], types: Types, traceback: Any
    ) -> None:
        self.category = category
        self.types = types
        self._describe = describe
        self._traceback = traceback

    def exception(self, values: Sequence[Any]) -> JaxException:
        """What has been found, with the user's line."""
        where = source.summarize(self._traceback, "")
        return self.category(self._describe(*values) + (f" [at {where}]" if where else ""))


_NO_ERROR = np.int32(0)


class Error:
    """The first check that has failed, if one has.

    It is a tree of arrays, so that compiled functions and `vmap` can return it: of a batch, it tells of
    each element that failed.
    """

    __slots__ = ("_code", "_sites", "_values")

    def __init__(self, code: Any = _NO_ERROR, values: Any = (), sites: tuple[Site, ...] = ()) -> None:
        self._code = code  # 0, or the place of the site, counted from 1
        self._sites = sites
        # types -> values for the message, shared by all sites of these types; as pairs
        self._values = values

    def get(self) -> str | None:
        """The message of the first failed check; None where none has failed."""
        exception = self.get_exception()
        return None if exception is None else str(exception)

    def get_exception(self) -> JaxException | None:
        """The error as an exception of its category; None where no check has failed."""
        code = np.asarray(self._code)
        failed = np.argwhere(code != 0)
        if not len(failed):
            return None
        if code.ndim == 0:
            return self._exception_at(int(code), ())
        indices = [tuple(map(int, index)) for index in failed]
        return BatchedError({index: self._exception_at(int(code[index]), index) for index in indices})

    def _exception_at(self, code: int, index: tuple[int, ...]) -> JaxException:
        site = self._sites[code - 1]
        values = dict(self._values).get(site.types, ())
        return site.exception([value[index] if index else value for value in values])

    def throw(self) -> None:
        """Raises `JaxRuntimeError` with the message of the first failed check, if one has failed."""
        exception = self.get_exception()
        if exception is not None:
            raise JaxRuntimeError(str(exception))

    def __repr__(self) -> str:
        if isinstance(self._code, Tracer):
            return f"Error({self._code!r})"
        return f"Error({self.get() or ''})"


def _flatten(error: Error) -> tuple[Any, Any]:
    leaves = (error._code, *(list(values) for _, values in error._values))
    return leaves, (tuple(types for types, _ in error._values), error._sites)


def _unflatten(aux: Any, leaves: Any) -> Error:
    types, sites = aux
    code, *values = leaves
    return Error(code, tuple(zip(types, values, strict=True)), sites)


pytree.register_pytree_node(Error, _flatten, _unflatten)
init_error = Error()
