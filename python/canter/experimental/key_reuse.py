"""Whether functions use random keys twice, and what they do to the keys that they are given.

`canter.debug_key_reuse(True)` checks programs when they run; the functions here check without running anything. The
names are those of the checker behind `jax.debug_key_reuse`.

>>> import canter as ct
>>> from canter.experimental import key_reuse
>>> key_reuse.function_type_signature(lambda key: ct.random.split(key), ct.random.key(0))
KeyReuseSignature(Sink(0), Source(0))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..core.errors import KeyReuseError
from ..core.jaxpr import ClosedJaxpr, Jaxpr, JaxprEqn
from ..core.primitive import Primitive
from ..core.source import current_traceback
from ..runtime.abstract import make_jaxpr
from ..runtime.key_reuse import uses_of
from ..transforms.key_reuse import Summary, check_state, summary_of
from ..transforms.rules import moveaxis

__all__ = [
    "Forward",
    "KeyReuseError",
    "KeyReuseSignature",
    "Sink",
    "Source",
    "assert_consumed",
    "assert_unconsumed",
    "check_key_reuse",
    "check_key_reuse_jaxpr",
    "consume",
    "function_type_signature",
    "jaxpr_type_signature",
    "key_reuse_signature_from_eqn",
]


class _Marked:
    """An argument or result of a function by its number, and which of its keys are meant."""

    __slots__ = ("idx", "mask")

    def __init__(self, idx: int, mask: Any = True):
        mask = np.asarray(mask)
        if mask.dtype != bool:
            raise TypeError(f"{type(self).__name__}: mask must be of booleans, got {mask.dtype}.")
        self.idx = idx
        self.mask: Any = bool(mask.all()) if mask.size and mask.all() == mask.any() else mask

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.idx}{'' if self.mask is True else f', {self.mask}'})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.idx == other.idx and np.array_equal(self.mask, other.mask)

    def __hash__(self) -> int:
        mask = np.asarray(self.mask)
        return hash((type(self), self.idx, mask.shape, mask.tobytes()))


class Sink(_Marked):
    """An argument whose keys are used up.

    Attributes:
      idx: its number.
      mask: True for all of its keys, or a flag for each.

    >>> from canter.experimental.key_reuse import Sink
    >>> Sink(0, [True, False])
    Sink(0, [ True False])
    """


class Source(_Marked):
    """A result whose keys are new, and not used yet.

    Attributes:
      idx: its number.
      mask: True for all of its keys, or a flag for each.

    >>> from canter.experimental.key_reuse import Source
    >>> Source(1)
    Source(1)
    """


class Forward:
    """A result that consists of the keys of an argument.

    Attributes:
      in_idx: the number of the argument.
      out_idx: the number of the result.

    >>> from canter.experimental.key_reuse import Forward
    >>> Forward(0, 1)
    Forward(0, 1)
    """

    __slots__ = ("in_idx", "out_idx")

    def __init__(self, in_idx: int, out_idx: int):
        self.in_idx, self.out_idx = in_idx, out_idx

    def __repr__(self) -> str:
        return f"Forward({self.in_idx}, {self.out_idx})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forward) and (self.in_idx, self.out_idx) == (other.in_idx, other.out_idx)

    def __hash__(self) -> int:
        return hash((Forward, self.in_idx, self.out_idx))


class KeyReuseSignature:
    """What a function does to keys: any number of `Sink`, `Source` and `Forward`, in any order.

    Attributes:
      args: they.

    >>> from canter.experimental.key_reuse import KeyReuseSignature, Sink, Source
    >>> KeyReuseSignature(Sink(0), Source(0)) == KeyReuseSignature(Source(0), Sink(0))
    True
    """

    __slots__ = ("args",)

    def __init__(self, *args: Sink | Source | Forward):
        self.args = args

    @property
    def sinks(self) -> frozenset[Sink]:
        """The arguments that are used up."""
        return frozenset(arg for arg in self.args if isinstance(arg, Sink))

    @property
    def sources(self) -> frozenset[Source]:
        """The results that are new keys."""
        return frozenset(arg for arg in self.args if isinstance(arg, Source))

    @property
    def forwards(self) -> frozenset[Forward]:
        """The results that are arguments."""
        return frozenset(arg for arg in self.args if isinstance(arg, Forward))

    def __repr__(self) -> str:
        return f"KeyReuseSignature({', '.join(map(repr, self.args))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyReuseSignature) and set(self.args) == set(other.args)

    def __hash__(self) -> int:
        return hash(frozenset(self.args))


def _signature(summary: Summary) -> KeyReuseSignature:
    found: list[Sink | Source | Forward] = []
    for number, places in enumerate(summary.inputs):
        if places is not None and summary.used(number).any():
            found.append(Sink(number, summary.used(number)))
    for number, places in enumerate(summary.outputs):
        if places is None:
            continue
        members = summary.identities.members(places)
        given = (
            i for i, x in enumerate(summary.inputs) if x is not None and np.array_equal(x.ravel(), members)
        )
        source = next(given, None)
        if source is not None and members.size:
            found.append(Forward(source, number))
        elif not (used := summary.identities.is_used(places)).all():
            found.append(Source(number, ~used))
    return KeyReuseSignature(*found)


def jaxpr_type_signature(jaxpr: Jaxpr | ClosedJaxpr) -> KeyReuseSignature:
    """What a program does to the keys that it is given.

    Args:
      jaxpr: the program.

    Raises:
      KeyReuseError: it uses a key twice.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import jaxpr_type_signature
    >>> jaxpr_type_signature(ct.make_jaxpr(ct.random.bits)(ct.random.key(0)))
    KeyReuseSignature(Sink(0))
    """
    if isinstance(jaxpr, Jaxpr):
        jaxpr = ClosedJaxpr(jaxpr.replace(constvars=[], invars=[*jaxpr.constvars, *jaxpr.invars]))
    return _signature(summary_of(jaxpr))


def key_reuse_signature_from_eqn(eqn: JaxprEqn) -> KeyReuseSignature:
    """What one equation of a program does to its operands that are keys.

    Args:
      eqn: the equation.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import key_reuse_signature_from_eqn
    >>> program = ct.make_jaxpr(lambda key: ct.random.fold_in(key, 1))(ct.random.key(0))
    >>> key_reuse_signature_from_eqn(program.eqns[-1])
    KeyReuseSignature(Source(0))
    """
    from ..core.jaxpr import Var

    operands = [Var(x.aval) for x in eqn.invars]
    own = eqn.replace(invars=operands)
    return _signature(summary_of(ClosedJaxpr(Jaxpr([], operands, eqn.outvars, [own]))))


def function_type_signature(fun: Callable[..., Any], *args: Any) -> KeyReuseSignature:
    """What a function does to the keys among its arguments.

    Args:
      fun: the function; it is traced, not run.
      args: its arguments.

    Returns:
      Numbers of arguments and results count the leaves of `args` and of what `fun` returns.

    Raises:
      KeyReuseError: it uses a key twice.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import function_type_signature
    >>> function_type_signature(lambda keys: ct.random.bits(keys[0]), ct.random.split(ct.random.key(0)))
    KeyReuseSignature(Sink(0, [ True False]))
    """
    return jaxpr_type_signature(make_jaxpr(fun)(*args))


def check_key_reuse_jaxpr(jaxpr: Jaxpr | ClosedJaxpr) -> None:
    """Raises KeyReuseError if a program uses a random key twice.

    Args:
      jaxpr: the program.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import check_key_reuse_jaxpr
    >>> check_key_reuse_jaxpr(ct.make_jaxpr(ct.random.normal)(ct.random.key(0)))
    """
    jaxpr_type_signature(jaxpr)


def check_key_reuse(fun: Callable[..., Any], /, *args: Any) -> None:
    """Raises KeyReuseError if a function uses a random key twice.

    Args:
      fun: the function; it is traced, not run.
      args: its arguments.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import KeyReuseError, check_key_reuse
    >>> try:
    ...     check_key_reuse(lambda key: ct.random.normal(key) + ct.random.uniform(key), ct.random.key(0))
    ... except KeyReuseError:
    ...     print("used twice")
    used twice
    """
    function_type_signature(fun, *args)


# ---- in programs, and outside -----------------------------------------------------------------------

consume_p = Primitive("consume")
assert_consumed_value_p = Primitive("assert_consumed_value", multiple_results=True)


@consume_p.def_impl
def _consume(keys: Any) -> Any:
    uses = uses_of(keys)
    uses.check(True, "consume", 0, current_traceback())
    uses.mark(True, current_traceback())
    return keys._over(keys._base_array, lambda places: places)


@assert_consumed_value_p.def_impl
def _assert(keys: Any, *, value: Any) -> list[Any]:
    check_state(uses_of(keys).used, value.array)
    return []


consume_p.def_abstract_eval(lambda keys: keys)
consume_p.def_batching(lambda args, dims: (consume_p.bind(args[0]), dims[0]))
assert_consumed_value_p.def_abstract_eval(lambda keys, *, value: [])
assert_consumed_value_p.def_batching(
    lambda args, dims, *, value: (
        assert_consumed_value_p.bind(moveaxis(args[0], dims[0], 0), value=value), []
    )
)  # fmt: skip


class _Flags:
    """An array of flags as a parameter of an equation."""

    def __init__(self, value: Any):
        self.array = np.asarray(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Flags) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, self.array.tobytes()))

    def __repr__(self) -> str:
        return str(self.array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


def assert_unconsumed(key: Any) -> None:
    """Raises AssertionError if a key is used up; inside programs, when they are checked.

    Args:
      key: a key, or an array of keys.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import assert_unconsumed
    >>> assert_unconsumed(ct.random.key(0))
    """
    assert_consumed_value_p.bind(key, value=_Flags(False))


def assert_consumed(key: Any, value: Any = True) -> None:
    """Raises AssertionError unless keys are used up; inside programs, when they are checked.

    Args:
      key: a key, or an array of keys.
      value: what is expected: a flag, or one each.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import assert_consumed
    >>> with ct.debug_key_reuse(True):
    ...     key = ct.random.key(0)
    ...     bits = ct.random.bits(key)
    ...     assert_consumed(key)
    """
    assert_consumed_value_p.bind(key, value=_Flags(value))


def consume(key: Any) -> Any:
    """Uses a key up; returns it as one that is used up.

    Args:
      key: a key, or an array of keys.

    >>> import canter as ct
    >>> from canter.experimental.key_reuse import assert_consumed, consume
    >>> assert_consumed(consume(ct.random.key(0)))
    """
    return consume_p.bind(key)
