"""Eager evaluation: one primitive on concrete arguments, as a cached compiled function.

Each combination of a primitive and its parameters has a C++ function object of its own, which finds
the executable for the types of the arguments. A hit costs one dictionary look-up beside that call.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from canter_pjrt.jaxlib_door import ArrayImpl, PjitFunctionCache, pjit

from ..core.avals import get_aval
from ..core.config import debug_key_reuse, no_tracing
from ..core.errors import filter_traceback
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.pytree_registry import dispatch_registry
from ..core.trace import eval_trace
from ..core.tracing import trace_to_jaxpr
from ..transforms.eager_linearize import forget_templates
from ..transforms.jit_call import UNSPECIFIED, jit_p
from .array import check_not_deleted
from .effort import current
from .host_constants import host_first, primitive_on_host
from .jit import shard_arg
from .nonfinite import checks_are_on, explain
from .places import place_of_call
from .program import (
    CompileOptions,
    check_arguments_concrete,
    executable_for,
    retracing_refused,
)

__all__ = ["apply_primitive", "forget_compiled"]

_FUNCTIONS_PER_PRIMITIVE = 4096
_cache = PjitFunctionCache(capacity=16384)
_serial = itertools.count()
_primitives: dict[Primitive, None] = {}  # those that have evaluated something


def apply_primitive(primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
    """Evaluates a primitive on concrete arguments."""
    try:
        key = (*params.items(),) if params else ()
        function = primitive.eval_cache.get(key)
    except TypeError:  # a parameter without a hash: nothing can be kept
        return _PrimitiveCall(primitive, params).run(args)[0]
    if function is None:
        function = _function_for(primitive, params, key)
    try:
        return function(*args)
    except ValueError:
        _explain_deleted(args)
        raise


def _explain_deleted(args: Any) -> None:
    """C++ says of a donated argument only that some buffer is gone; raises a better error."""
    for arg in args:
        if isinstance(arg, ArrayImpl):
            check_not_deleted(arg)


def _function_for(primitive: Primitive, params: dict[str, Any], key: Any) -> Any:
    owner = _jaxpr_among(params)
    if owner is None:
        known = primitive.eval_cache
        if len(known) >= _FUNCTIONS_PER_PRIMITIVE:
            known.clear()
        _primitives[primitive] = None
    else:
        # A program among the parameters is often made anew for each call: what was compiled for it
        # lives as long as it does, and no longer.
        known = owner.memo.setdefault(primitive, {})
    function = known.get(key)
    if function is None:
        function = _PrimitiveCall(primitive, params).dispatcher()
        make = primitive_on_host(primitive.name, params)
        if make is not None:
            function = host_first(make, params["shape"], function)
        known[key] = function
    return function


def _jaxpr_among(params: dict[str, Any]) -> ClosedJaxpr | None:
    for value in params.values():
        if isinstance(value, ClosedJaxpr):
            return value
        if isinstance(value, tuple) and value and isinstance(value[0], ClosedJaxpr):
            return value[0]
    return None


class _FlatCall:
    """Evaluates a flat function of arrays through compiled programs; the Python side of its dispatcher."""

    __slots__ = ("name",)

    name: str

    def program(self, avals: tuple[Any, ...]) -> ClosedJaxpr:
        """The program for arguments of these types; the same object for the same types."""
        raise NotImplementedError

    def options(self) -> CompileOptions:
        return CompileOptions(self.name, effort=current())

    def shardings(self) -> Any:
        """Shardings asked for, an operand each and a result each; None if there are none."""
        return None

    def layouts(self) -> Any:
        """Layouts in memory asked for, in the same form as shardings."""
        return None

    def structured(self, outs: list[Any]) -> Any:
        """The result in the form in which the caller gets it."""
        return outs

    def uncompiled(self, *args: Any) -> Any:
        """What runs while `disable_jit` is set."""
        return self.run(args)[0]

    def run(self, args: Sequence[Any]) -> tuple[Any, Any]:
        """The result, and the record for C++ or None."""
        check_arguments_concrete(args)
        closed = self.program(tuple(map(get_aval, args)))
        place = place_of_call(
            args, self._describe, closed, shardings=self.shardings(), layouts=self.layouts()
        )
        executable = executable_for(closed, self.options(), place.device, layout=place.layout)
        note_uses = None
        if debug_key_reuse.value:
            from .key_reuse import check_call

            note_uses = check_call(closed, args, self.name)
        try:
            outs = executable.run(args, place.committed)
        except FloatingPointError as error:
            if self.is_of_one_line():
                explain(error, self.name, closed, args, self._describe)
            raise
        result = self.structured(outs)
        if note_uses is not None:  # the next call has to be checked as well
            note_uses(outs)
            return result, None
        return result, executable.fast_path(result, (), place.committed, args)

    def is_of_one_line(self) -> bool:
        """Whether the lines in the program are those of this call; equal calls elsewhere may share it."""
        return False

    def _describe(self, position: int) -> str:
        return f"operand {position} of {self.name}"

    def dispatcher(self) -> Any:
        """The C++ function object."""

        def cache_miss(*args: Any) -> Any:
            try:
                return (*self.run(args), False)
            except Exception as error:
                filter_traceback(error)
                raise

        def uncompiled(*args: Any) -> Any:
            return self.uncompiled(*args)

        return pjit(
            self.name, uncompiled, cache_miss, [], [], next(_serial), dispatch_registry, shard_arg, _cache
        )


class _PrimitiveCall(_FlatCall):
    __slots__ = ("params", "primitive", "programs")

    def __init__(self, primitive: Primitive, params: dict[str, Any]):
        self.name = primitive.name
        self.primitive = primitive
        self.params = params
        self.programs: dict[Any, ClosedJaxpr] = {}

    def program(self, avals: tuple[Any, ...]) -> ClosedJaxpr:
        known = self.programs.get(avals)
        if known is None:
            if no_tracing.value:
                raise RuntimeError(retracing_refused(self.name))
            primitive, params = self.primitive, self.params

            def body(*args: Any) -> Any:
                result = primitive.bind(*args, **params)
                return result if primitive.multiple_results else [result]

            known = self.programs[avals] = trace_to_jaxpr(body, avals, name=primitive.name)
        return known

    def is_of_one_line(self) -> bool:
        return self.primitive.call_primitive

    def structured(self, outs: list[Any]) -> Any:
        return outs if self.primitive.multiple_results else outs[0]


class _JaxprCall(_FlatCall):
    """Evaluates an equation of the `jit` primitive."""

    __slots__ = ("asked", "asked_layouts", "closed", "compile_options")

    def __init__(
        self, closed: ClosedJaxpr, options: CompileOptions, asked: Any = None, asked_layouts: Any = None
    ):
        self.name = options.name
        self.asked_layouts = asked_layouts
        self.closed = closed
        self.compile_options = options
        self.asked = asked

    def program(self, avals: tuple[Any, ...]) -> ClosedJaxpr:
        return self.closed

    def options(self) -> CompileOptions:
        return self.compile_options._replace(effort=current(self.compile_options.flags))

    def shardings(self) -> Any:
        return self.asked

    def layouts(self) -> Any:
        return self.asked_layouts

    def is_of_one_line(self) -> bool:
        return True

    def uncompiled(self, *args: Any) -> Any:
        return eval_jaxpr(self.closed.jaxpr, self.closed.consts, *args)


class _CompositeCall(_JaxprCall):
    """Evaluates a function that is one compiled call outside of traces."""

    __slots__ = ()

    def is_of_one_line(self) -> bool:
        return False


def _evaluate_jit(
    *args: Any,
    jaxpr: ClosedJaxpr,
    name: str,
    donated_invars: Any,
    keep_unused: bool,
    compiler_options_kvs: Any,
    in_shardings: Any = (),
    out_shardings: Any = (),
    in_layouts: Any = (),
    out_layouts: Any = (),
    **_: Any,
) -> list[Any]:
    """A `jit` equation on concrete arguments."""
    # To explain a NaN takes the arguments.
    donated = tuple(donated_invars) if any(donated_invars) and not checks_are_on() else ()
    options = CompileOptions(name, donated, keep_unused, compiler_options_kvs)
    asked = None
    if any(s is not UNSPECIFIED for s in (*in_shardings, *out_shardings)):
        asked = tuple(
            tuple(None if s is UNSPECIFIED else s for s in each) for each in (in_shardings, out_shardings)
        )
    layouts = (in_layouts, out_layouts) if any((*in_layouts, *out_layouts)) else None
    key = options if asked is None and layouts is None else (options, asked, layouts)
    function = jaxpr.memo.get(key)
    if function is None:
        function = jaxpr.memo[key] = _JaxprCall(jaxpr, options, asked, layouts).dispatcher()
    return function(*args)


jit_p.impl = _evaluate_jit
eval_trace.evaluate = apply_primitive
eval_trace.compiled = lambda closed, name: _CompositeCall(closed, CompileOptions(name)).dispatcher()


def forget_compiled() -> None:
    """Drops what eager evaluation has compiled."""
    for primitive in _primitives:
        primitive.eval_cache.clear()
    _primitives.clear()
    forget_templates()
    _cache.clear()
