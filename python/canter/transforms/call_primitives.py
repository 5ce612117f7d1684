"""Primitives that call a program: one equation with the program in its parameter `call_jaxpr`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core.avals import get_aval
from ..core.jaxpr import ClosedJaxpr, Jaxpr, eval_jaxpr
from ..core.primitive import Primitive
from ..core.trace import state
from ..core.tracing import trace_to_jaxpr
from .batching import batch_jaxpr
from .jvp import call_jvp
from .linear_util import WrappedFun, wrap_init
from .partial_evaluation import close_over_nothing, dce_closed_call
from .transpose import call_transpose

__all__ = ["CallPrimitive", "call_impl", "call_p", "closed_call_p"]


def call_impl(fun: Any, *args: Any, **params: Any) -> Any:
    """Calls a `WrappedFun`; the parameters, which are the equation's, are not needed for it."""
    return getattr(fun, "call_wrapped", fun)(*args)


class CallPrimitive(Primitive):
    """A primitive that applies a function, `p.bind(*args, subfuns=(fun,), **params)`, as one equation.

    The function takes arrays and returns a list of them. All transformations go into the program; a
    primitive of one's own can be given other rules.

    Args:
      name: how it prints.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> from canter.extend.core import CallPrimitive
      >>> block_p = CallPrimitive("block")
      >>> ct.make_jaxpr(lambda x: block_p.bind(x, subfuns=(lambda y: [lax.sin(y)],)))(1.0)
      { lambda ; a:f32[]. let
          b:f32[] = block[
            call_jaxpr={ lambda ; c:f32[]. let d:f32[] = sin c in (d,) }
          ] a
        in (b,) }
    """

    __slots__ = ()
    subfunctions = ("call_jaxpr",)  # which parameters are programs that it calls

    def __init__(self, name: str):
        super().__init__(name, multiple_results=True)
        self.call_primitive = True
        self.def_effectful_abstract_eval(
            lambda *avals, call_jaxpr, **_: (call_jaxpr.out_avals, call_jaxpr.effects)
        )
        self.jvp_rule = self._jvp
        self.transpose_rule = self._transpose
        self.axis_batch_rule = self._batch
        self.dce_rule = functools.partial(dce_closed_call, name="call_jaxpr")

    def bind(
        self,
        *args: Any,
        subfuns: tuple[Any, ...] = (),
        call_jaxpr: ClosedJaxpr | Jaxpr | None = None,
        **params: Any,
    ) -> Any:
        """Applies the function to the arguments.

        Args:
          *args: the arguments; the function may also be the first of them.
          subfuns: the function, as a tuple of one.
          call_jaxpr: instead of it, the program.
          **params: parameters of the equation.
        """
        if call_jaxpr is None:
            if not subfuns:
                subfuns, args = args[:1], args[1:]
            call_jaxpr = self._traced(subfuns[0], args)
        elif isinstance(call_jaxpr, Jaxpr):
            call_jaxpr = ClosedJaxpr(call_jaxpr, [])
        opened, consts = close_over_nothing(call_jaxpr)
        return state.trace.process(self, (*consts, *args), {**params, "call_jaxpr": opened})

    def _traced(self, fun: Any, args: Any) -> ClosedJaxpr:
        avals = [get_aval(x) for x in args]
        if isinstance(fun, WrappedFun):
            return trace_to_jaxpr(fun.call_wrapped, avals, debug_info=fun.debug_info)
        return trace_to_jaxpr(fun, avals, name=getattr(fun, "__name__", self.name))

    def get_bind_params(self, params: dict[str, Any]) -> Any:
        closed = params["call_jaxpr"]
        rest = {name: value for name, value in params.items() if name != "call_jaxpr"}
        fun = wrap_init(
            functools.partial(eval_jaxpr, closed.jaxpr, closed.consts), debug_info=closed.debug_info
        )
        return [], {**rest, "subfuns": (fun,)}

    def def_impl(self, impl: Callable[..., Any]) -> Callable[..., Any]:
        """Declares how to evaluate it: `impl(fun, *args, **params)`, for example `call_impl`."""

        def evaluate(*args: Any, call_jaxpr: ClosedJaxpr, **params: Any) -> Any:
            _, rest = self.get_bind_params({**params, "call_jaxpr": call_jaxpr})
            (fun,) = rest.pop("subfuns")
            return impl(fun, *args, **rest)

        self.impl = evaluate
        return impl

    def _derived(self, closed: ClosedJaxpr, args: Any, params: dict[str, Any]) -> Any:
        return self.bind(*args, call_jaxpr=closed, **params)

    def _jvp(self, primals: Any, tangents: Any, *, call_jaxpr: ClosedJaxpr, **params: Any) -> Any:
        return call_jvp(self._derived, call_jaxpr, primals, tangents, params)

    def _transpose(self, cotangents: Any, *args: Any, call_jaxpr: ClosedJaxpr, **params: Any) -> Any:
        return call_transpose(self._derived, call_jaxpr, cotangents, args, params)

    def _batch(self, trace: Any, args: Any, dims: Any, *, call_jaxpr: ClosedJaxpr, **params: Any) -> Any:
        batched, out_dims = batch_jaxpr(
            call_jaxpr, trace.size, dims, name=trace.name, spmd_name=trace.spmd_name
        )
        return self._derived(batched, args, params), out_dims


call_p = CallPrimitive("call")
closed_call_p = CallPrimitive("closed_call")
call_p.def_impl(call_impl)
closed_call_p.def_impl(call_impl)
