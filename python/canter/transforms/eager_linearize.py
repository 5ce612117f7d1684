"""Linearizing outside all traces: a primitive's value and residuals are one compiled call.

By its jvp rule a primitive would take one call for its value and one for each step of its residuals.
Instead the rule is traced once for the types of the operands and split in a program of values, which
is compiled, and in equations on tangents, which are copied to the tape each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.avals import get_aval
from ..core.config import trace_context
from ..core.errors import ConcretizationTypeError
from ..core.jaxpr import ClosedJaxpr, JaxprEqn, Literal, Var
from ..core.number_keys import number_key
from ..core.primitive import Primitive
from ..core.trace import eval_trace
from ..core.tracing import current_source, trace_to_jaxpr
from .linearize import LinearizedJaxpr, Tape, linearize_jaxpr
from .zeros import Zero

__all__ = ["forget_templates", "linearize_eagerly"]

_CAPACITY = 16384
_templates: dict[Any, _Template | None] = {}


class _Template:
    """What linearizing a primitive comes to for operands of certain types.

    Attributes:
      function: the compiled call that gives values and residuals; None where the primitive itself does.
      equations: on tangents, with the variables of the rule.
    """

    __slots__ = ("equations", "function", "out_nonzeros", "outvars", "residual_sources", "residual_vars",
                 "tangent_vars")  # fmt: skip

    def __init__(self, primitive: Primitive, split: LinearizedJaxpr):
        linear = split.linear.jaxpr
        num_residuals = len(split.residual_sources)
        self.residual_vars = linear.invars[:num_residuals]
        self.tangent_vars = linear.invars[num_residuals:]
        self.residual_sources = [
            (kind == "in", i + (len(split.out_nonzeros) if kind == "new" else 0))
            for kind, i in split.residual_sources
        ]
        self.equations = linear.eqns
        self.outvars = linear.outvars
        self.out_nonzeros = split.out_nonzeros
        self.function = eval_trace.compiled(split.known, primitive.name) if split.num_new else None

    def record(self, tape: Tape, operands: Sequence[Any], results: Sequence[Any], tangents: Any) -> list[Any]:
        """Copies the equations to a tape and gives the tangents of the results."""
        atoms: dict[Var, Any] = {}
        for var, (is_operand, i) in zip(self.residual_vars, self.residual_sources, strict=True):
            atoms[var] = tape.to_atom(operands[i]) if is_operand else tape.capture(results[i], var.aval)
        place = 0
        for tangent in tangents:
            if type(tangent) is not Zero:
                atoms[self.tangent_vars[place]] = tape.to_atom(tangent)
                place += 1
        source = current_source()
        for eqn in self.equations:
            invars = [v if type(v) is Literal else atoms[v] for v in eqn.invars]
            outvars = [Var(v.aval) for v in eqn.outvars]
            atoms.update(zip(eqn.outvars, outvars, strict=True))
            tape.eqns.append(JaxprEqn(invars, outvars, eqn.primitive, eqn.params, eqn.effects, source))
        outs = iter(self.outvars)
        return [
            tape.value_of(out if type(out := next(outs)) is Literal else atoms[out])
            if nonzero
            else Zero.from_primal_value(result)
            for nonzero, result in zip(self.out_nonzeros, results, strict=False)
        ]


def linearize_eagerly(
    tape: Tape, primitive: Primitive, primals: Sequence[Any], tangents: Sequence[Any], params: dict[str, Any]
) -> tuple[Any, Any] | None:
    """Value and tangent of a primitive on concrete operands, the tangent recorded on a tape.

    Args:
      tape: the tape; its parent is the evaluation trace.
      primitive: the primitive.
      primals: concrete operands.
      tangents: on the tape, or symbolic zeros.
      params: the primitive's parameters.

    Returns:
      As of a jvp rule; None where the rule itself has to be used.
    """
    named = (*params.items(),) if params else ()
    key = (
        primitive,
        named if type(primitive.eval_cache) is dict else number_key(named),  # as there
        tuple(map(get_aval, primals)),
        tuple([type(t) is Zero for t in tangents]),
        trace_context(),
    )
    try:
        template = _templates[key]
    except KeyError:
        template = _make_template(key, params)
    except TypeError:  # a parameter without a hash
        return None
    if template is None:
        return None
    function = template.function
    if function is None:
        results = eval_trace.process(primitive, primals, params)
        if not primitive.multiple_results:
            results = (results,)
    else:
        try:
            results = function(*primals)
        except ValueError:  # an operand is gone: the primitive's own call says which
            return None
    out_tangents = template.record(tape, primals, results, tangents)
    if primitive.multiple_results:
        return results[: len(out_tangents)], out_tangents
    return results[0], out_tangents[0]


def _make_template(key: Any, params: dict[str, Any]) -> _Template | None:
    primitive, _, avals, zeros, _ = key
    if primitive.effectful:
        return None
    if any(type(value) is ClosedJaxpr for value in params.values()):
        return None  # kept here, it would never be freed
    if len(_templates) >= _CAPACITY:
        _templates.clear()
    template = None
    if _is_simple(primitive):

        def body(*args: Any) -> Any:
            result = primitive.bind(*args, **params)
            return result if primitive.multiple_results else [result]

        try:
            closed = trace_to_jaxpr(body, avals, name=primitive.name)
            split = linearize_jaxpr(closed, [not zero for zero in zeros])
        except ConcretizationTypeError:  # a rule that looks at values
            split = None
        if split is not None and all(_is_simple(eqn.primitive) for eqn in split.known.jaxpr.eqns):
            template = _Template(primitive, split)
    _templates[key] = template
    return template


def _is_simple(primitive: Primitive) -> bool:
    """Whether a primitive is evaluated by compiling it, and in no other way."""
    return (
        primitive.impl is None
        and primitive.linearize_rule is None
        and not primitive.call_primitive
        and not primitive.effectful
    )


def forget_templates() -> None:
    """Drops what was compiled and kept."""
    _templates.clear()


Tape.linearize_eagerly = linearize_eagerly
