"""Primitives: the vocabulary of a jaxpr.

A primitive is a name with rules. The rules are attributes, so that one object says all about an
operation and a transformation finds its rule without a registry.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from .number_keys import ExactMemory
from .trace import state as _state

__all__ = ["Primitive", "known_primitives"]

known_primitives: weakref.WeakSet[Primitive] = weakref.WeakSet()


class NoMemory(dict[Any, Any]):
    """A cache that keeps nothing: for rules that also change states, or whose parameters are large objects."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def _is_of_canter(rule: Callable[..., Any]) -> bool:
    module = getattr(rule, "__module__", None) or getattr(getattr(rule, "func", None), "__module__", "")
    return str(module).partition(".")[0] in ("canter", "canter_mlir", "functools")


class Primitive:
    """One operation that traces can record, transform and lower.

    Attributes:
      name: how it prints.
      multiple_results: True when `bind` takes and rules give lists of results.
      abstract_rule: avals, params -> aval or list of avals.
      jvp_rule: primals, tangents, params -> result, tangent.
      linearize_rule: optional, see transforms.linearize.
      transpose_rule: cotangent, *args, params -> cotangents of the args.
      batch_rule: args, dims, params -> result, dim.
      axis_batch_rule: instead of it, for primitives that need the axis itself (its name or size), as
        collectives and primitives with inner programs do: trace, args, dims, params -> result, dim.
      impl: how to evaluate it eagerly; None compiles it.
      varying_rule: for operations that communicate: operands' sets of manual axes along which values vary,
        params -> that of each result; or None where the shape rule tells. Without a rule, what any operand varies
        along, every result does.

    Example:
      >>> from canter.core.primitive import Primitive
      >>> twice = Primitive("twice")
      >>> _ = twice.def_abstract_eval(lambda aval: aval)
    """

    ref_allocating = False  # whether it makes a mutable reference
    elementwise = False  # whether each element of the result depends on one element of each operand

    __slots__ = (
        "__dict__",
        "__weakref__",
        "abstract_cache",
        "abstract_rule",
        "axis_batch_rule",
        "batch_rule",
        "call_primitive",
        "dce_rule",
        "effectful",
        "eval_cache",
        "impl",
        "jvp_rule",
        "linearize_rule",
        "multiple_results",
        "name",
        "transpose_rule",
        "varying_rule",
    )

    def __init__(self, name: str, multiple_results: bool = False):
        self.name = name
        self.multiple_results = multiple_results
        self.call_primitive = False
        self.effectful = False
        self.abstract_rule: Callable[..., Any] | None = None
        self.jvp_rule: Callable[..., Any] | None = None
        self.linearize_rule: Callable[..., Any] | None = None
        self.transpose_rule: Callable[..., Any] | None = None
        self.axis_batch_rule: Callable[..., Any] | None = None
        self.batch_rule: Callable[..., Any] | None = None
        self.dce_rule: Callable[..., Any] | None = None
        self.impl: Callable[..., Any] | None = None
        self.varying_rule: Callable[..., Any] | None = None
        self.abstract_cache: dict[Any, Any] = {}
        self.eval_cache: dict[Any, Any] = {}
        known_primitives.add(self)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> Any:
        raise TypeError(f"Primitive {self.name} cannot be pickled; export the function instead.")

    def __deepcopy__(self, memo: Any) -> Primitive:
        return self

    def __copy__(self) -> Primitive:
        return self

    def bind(self, *args: Any, **params: Any) -> Any:
        """Applies the primitive in the current trace."""
        return _state.trace.process(self, args, params)

    def bind_with_trace(self, trace: Any, args: Any, avals: Any, params: dict[str, Any] | None = None) -> Any:
        """Applies the primitive in a given trace; the types of the arguments may be left out."""
        return trace.process(self, args, avals if params is None else params)

    def def_bind_with_trace(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declares what a bind does: `function(trace, args, avals, params)`."""

        def bind(*args: Any, **params: Any) -> Any:
            from .avals import get_aval

            return function(_state.trace, list(args), list(map(get_aval, args)), params)

        self.bind_with_trace, self.bind = function, bind  # type: ignore[method-assign]
        return function

    def get_bind_params(self, params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """What an equation's parameters are as arguments of `bind`: functions before the operands, and the rest."""
        return [], params

    def abstract_eval(self, *avals: Any, **params: Any) -> tuple[Any, Any]:
        """The avals of the results and the effects of an application."""
        from .tracing import infer_avals

        return infer_avals(self, avals, params)

    def def_abstract_eval(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares the shape and dtype rule."""
        self.abstract_rule = rule
        self.effectful = False
        self.abstract_cache.clear()
        if not _is_of_canter(rule):
            self.tell_numbers_apart()
        return rule

    def def_effectful_abstract_eval(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares a rule that returns avals and a set of effects."""
        self.abstract_rule = rule
        self.effectful = True
        self.abstract_cache.clear()
        if not _is_of_canter(rule):
            self.tell_numbers_apart()
        return rule

    def tell_numbers_apart(self) -> None:
        """Has 1 and True, or 0.0 and -0.0, among the parameters be different applications in every cache.

        It takes a microsecond or two a call, so the library's own primitives leave it out.
        """
        for name in ("abstract_cache", "eval_cache"):
            if type(getattr(self, name)) is dict:
                setattr(self, name, ExactMemory())

    def is_effectful(self, params: dict[str, Any]) -> bool:
        """Whether an application may have effects."""
        return self.effectful

    def def_impl(self, impl: Callable[..., Any]) -> Callable[..., Any]:
        """Declares how to evaluate the primitive eagerly."""
        self.impl = impl
        return impl

    def def_batching(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares the batching rule."""
        self.batch_rule = rule
        return rule

    def def_jvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares the forward-mode rule."""
        self.jvp_rule = rule
        return rule

    def def_transpose(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Declares the transpose rule."""
        self.transpose_rule = rule
        return rule
