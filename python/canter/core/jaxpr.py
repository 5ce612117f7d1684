"""Jaxprs: programs of primitive equations in single-assignment form.

The attribute names are those that libraries walk and match on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from .avals import get_aval
from .config import mesh_context
from .effects import no_effects
from .primitive import Primitive
from .source import current_traceback
from .trace import state

__all__ = [
    "Atom",
    "ClosedJaxpr",
    "DebugInfo",
    "DropVar",
    "Jaxpr",
    "JaxprEqn",
    "JaxprEqnContext",
    "Literal",
    "ParamDict",
    "SourceInfo",
    "Value",
    "Var",
    "apply_eqn",
    "eval_jaxpr",
    "gensym",
    "jaxpr_as_fun",
    "jaxprs_in_params",
    "new_jaxpr_eqn",
    "subjaxprs",
]


class Var:
    """A variable of a jaxpr. Two variables are the same only when they are the same object."""

    __slots__ = ("aval",)

    def __init__(self, aval: Any):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Var(id={id(self)}):{self.aval.str_short()}"


class DropVar(Var):
    """A result that nobody reads; prints as `_`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "_"


class Literal:
    """A constant scalar that stands in an equation."""

    __slots__ = ("aval", "val")

    def __init__(self, val: Any, aval: Any = None):
        self.val = val
        self.aval = get_aval(val) if aval is None else aval

    @property
    def hash(self) -> int | None:
        """A hash of the value, or None where it has none."""
        try:
            return hash((self.val.item() if hasattr(self.val, "item") else self.val, self.aval))
        except TypeError:
            return None

    def __repr__(self) -> str:
        return f"Literal({self.val})"


Atom = Var | Literal
Value = Any  # what an equation takes and gives: an array, a tracer, a number
ParamDict = dict[str, Any]


class SourceInfo(NamedTuple):
    """Where an equation comes from: the Python stack, and the names of the scopes around it."""

    traceback: Any
    name_stack: tuple[Any, ...] = ()


class DebugInfo(NamedTuple):
    """What a jaxpr was traced from.

    Attributes:
      traced_for: the transformation that traced it.
      func_src_info: the function's name, with ` at FILE:LINE` behind it where that is known.
      arg_names: one name an argument, or None.
      result_paths: one path a result, or None.
    """

    traced_for: str = "jit"
    func_src_info: str = "<unknown>"
    arg_names: Sequence[str] | None = None
    result_paths: tuple[str, ...] | None = None

    @property
    def func_name(self) -> str:
        return self.func_src_info.split(" at ")[0]

    @property
    def func_filename(self) -> str | None:
        """The file of the function, where it is known."""
        _, found, place = self.func_src_info.partition(" at ")
        return place.rpartition(":")[0] if found else None

    @property
    def func_lineno(self) -> int | None:
        """The line of the function, where it is known."""
        line = self.func_src_info.rpartition(":")[2]
        return int(line) if self.func_filename and line.isdigit() else None


class JaxprEqnContext:
    """The settings under which an equation was traced; Canter's equations carry all of theirs as parameters.

    Attributes:
      manager: a context manager to evaluate the equation in; it changes nothing.
    """

    compute_type = xla_metadata = cur_abstract_mesh = None
    threefry_partitionable = True

    @property
    def manager(self) -> Any:
        return nullcontext()

    def __repr__(self) -> str:
        return "JaxprEqnContext()"


_eqn_context = JaxprEqnContext()


class JaxprEqn:
    """One application of a primitive."""

    __slots__ = ("effects", "invars", "outvars", "params", "primitive", "source_info")

    def __init__(
        self,
        invars: list[Any],
        outvars: list[Var],
        primitive: Primitive,
        params: dict[str, Any],
        effects: Any = no_effects,
        source_info: Any = None,
        ctx: JaxprEqnContext | None = None,
    ):
        if ctx is not None and ctx is not _eqn_context:
            raise TypeError(f"The context of an equation is that of another equation, or None; got {ctx!r}.")
        self.invars = invars
        self.outvars = outvars
        self.primitive = primitive
        self.params = params
        self.effects = effects
        self.source_info = source_info

    @property
    def ctx(self) -> JaxprEqnContext:
        return _eqn_context

    def replace(self, **changes: Any) -> JaxprEqn:
        """A copy with some fields changed."""
        fields = {name: getattr(self, name) for name in JaxprEqn.__slots__}
        fields.update(changes)
        return JaxprEqn(**fields)

    def __repr__(self) -> str:
        from .printer import pp_eqn

        return pp_eqn(self)


class Jaxpr:
    """A program: constants and arguments in, equations, results out.

    Args:
      constvars: variables that stand for captured constants.
      invars: variables of the arguments.
      outvars: variables or literals of the results.
      eqns: the equations, in order.
      effects: union of the effects of the equations.
      debug_info: names for messages and printed modules.
    """

    __slots__ = ("__weakref__", "constvars", "debug_info", "effects", "eqns", "invars", "outvars")

    def __init__(
        self,
        constvars: Sequence[Var],
        invars: Sequence[Var],
        outvars: Sequence[Any],
        eqns: Sequence[JaxprEqn],
        effects: Any = no_effects,
        debug_info: DebugInfo | None = None,
    ):
        self.constvars = list(constvars)
        self.invars = list(invars)
        self.outvars = list(outvars)
        self.eqns = list(eqns)
        self.effects = effects
        self.debug_info = debug_info or DebugInfo()

    @property
    def in_avals(self) -> list[Any]:
        return [var.aval for var in self.invars]

    @property
    def out_avals(self) -> list[Any]:
        return [var.aval for var in self.outvars]

    def replace(self, **changes: Any) -> Jaxpr:
        """A copy with some fields changed."""
        fields = {name: getattr(self, name) for name in Jaxpr.__slots__ if name != "__weakref__"}
        fields.update(changes)
        return Jaxpr(**fields)

    def __repr__(self) -> str:
        from .printer import pp_jaxpr

        return pp_jaxpr(self)

    def pretty_print(self, **options: Any) -> str:
        """The jaxpr as text; options are those of `core.printer.pp_jaxpr`."""
        from .printer import pp_jaxpr

        return pp_jaxpr(self, **options)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


class ClosedJaxpr:
    """A jaxpr together with the values of its constants.

    Example:
      >>> import canter as ct
      >>> closed = ct.make_jaxpr(lambda x: x * 2.0)(1.0)
      >>> closed.in_avals
      [ShapedArray(float32[], weak_type=True)]
    """

    __slots__ = ("__weakref__", "consts", "jaxpr", "memo")

    def __init__(self, jaxpr: Jaxpr, consts: Sequence[Any] = ()):
        if len(consts) != len(jaxpr.constvars):
            raise ValueError(f"{len(jaxpr.constvars)} constant variables, but {len(consts)} constants")
        self.jaxpr = jaxpr
        self.consts = list(consts)
        # What transformations have derived from this jaxpr (its linearization, batched forms, ...),
        # kept here so that it lives exactly as long as the jaxpr does.
        self.memo: dict[Any, Any] = {}

    @property
    def in_avals(self) -> list[Any]:
        return [var.aval for var in self.jaxpr.invars]

    @property
    def out_avals(self) -> list[Any]:
        return [var.aval for var in self.jaxpr.outvars]

    @property
    def literals(self) -> list[Any]:
        return self.consts

    @property
    def constvars(self) -> list[Var]:
        return self.jaxpr.constvars

    @property
    def invars(self) -> list[Var]:
        return self.jaxpr.invars

    @property
    def outvars(self) -> list[Any]:
        return self.jaxpr.outvars

    @property
    def debug_info(self) -> DebugInfo:
        return self.jaxpr.debug_info

    @property
    def eqns(self) -> list[JaxprEqn]:
        return self.jaxpr.eqns

    @property
    def effects(self) -> Any:
        return self.jaxpr.effects

    def replace(self, *, jaxpr: Jaxpr | None = None, consts: Sequence[Any] | None = None) -> ClosedJaxpr:
        """A copy with some fields changed."""
        return ClosedJaxpr(self.jaxpr if jaxpr is None else jaxpr, self.consts if consts is None else consts)

    def map_jaxpr(self, function: Callable[[Jaxpr], Jaxpr]) -> ClosedJaxpr:
        """The same constants with a transformed jaxpr."""
        return ClosedJaxpr(function(self.jaxpr), self.consts)

    def __repr__(self) -> str:
        return repr(self.jaxpr)

    def pretty_print(self, **options: Any) -> str:
        """The jaxpr as text; options are those of `core.printer.pp_jaxpr`."""
        return self.jaxpr.pretty_print(**options)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def eval_jaxpr(
    jaxpr: Jaxpr, consts: Sequence[Any], *args: Any, propagate_source_info: bool = True
) -> list[Any]:
    """Applies the equations of a jaxpr, one by one, in the current trace.

    Args:
      jaxpr: the program.
      consts: values of its constant variables.
      *args: values of its arguments.
      propagate_source_info: whether equations that are traced from it keep the user's lines.

    Returns:
      The list of results.

    Raises:
      TypeError: the number of arguments is wrong.

    Example:
      >>> import canter as ct
      >>> from canter.core.jaxpr import eval_jaxpr
      >>> closed = ct.make_jaxpr(lambda x: x * 2.0)(1.0)
      >>> [float(y) for y in eval_jaxpr(closed.jaxpr, closed.consts, 3.0)]
      [6.0]
    """
    if len(args) != len(jaxpr.invars):
        raise TypeError(f"The jaxpr takes {len(jaxpr.invars)} arguments, but {len(args)} were given.")
    env: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))
    if _may_have_layouts(jaxpr):
        from .mesh import lenient_layouts  # what was ambiguous was settled when the program was traced

        with lenient_layouts():
            return _eval_equations(jaxpr, env, propagate_source_info)
    return _eval_equations(jaxpr, env, propagate_source_info)


def _may_have_layouts(jaxpr: Jaxpr) -> bool:
    context = mesh_context.value
    if context is not None and context.abstract is not None and context.abstract.explicit_axes:
        return not context.lenient
    return any(getattr(var.aval, "layout", None) is not None for var in jaxpr.invars)


def _eval_equations(jaxpr: Jaxpr, env: dict[Any, Any], propagate_source_info: bool) -> list[Any]:
    outer = state.traceback
    try:
        for eqn in jaxpr.eqns:
            if propagate_source_info and eqn.source_info is not None:
                state.traceback = eqn.source_info.traceback
            operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
            results = eqn.primitive.bind(*operands, **eqn.params)
            if eqn.primitive.multiple_results:
                env.update(zip(eqn.outvars, results, strict=True))
            else:
                env[eqn.outvars[0]] = results
    finally:
        state.traceback = outer
    return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]


def apply_eqn(eqn: JaxprEqn, operands: Sequence[Any]) -> Sequence[Any]:
    """Applies the primitive of an equation in the current trace, as an operation of the equation's line.

    Args:
      eqn: the equation.
      operands: values of its operands.

    Returns:
      Its results, as a sequence also where there is one.
    """
    primitive, outer = eqn.primitive, state.traceback
    if eqn.source_info is not None:
        state.traceback = eqn.source_info.traceback
    try:
        results = primitive.bind(*operands, **eqn.params)
    finally:
        state.traceback = outer
    return results if primitive.multiple_results else (results,)


def new_jaxpr_eqn(
    invars: Sequence[Any],
    outvars: Sequence[Var],
    primitive: Primitive,
    params: dict[str, Any],
    effects: Any = no_effects,
    source_info: Any = None,
    ctx: JaxprEqnContext | None = None,
) -> JaxprEqn:
    """An equation, with the present line of the program as its source where none is given."""
    if source_info is None:
        source_info = SourceInfo(state.traceback or current_traceback(), state.name_stack)
    return JaxprEqn(list(invars), list(outvars), primitive, params, effects, source_info, ctx)


def gensym(jaxprs: Any = None, suffix: str = "") -> Callable[[Any], Var]:
    """A function that makes a new variable of an aval; variables are distinct whatever program they are in.

    Example:
      >>> from canter.core import ShapedArray, gensym
      >>> gensym()(ShapedArray((), "float32")).aval
      ShapedArray(float32[])
    """
    del jaxprs, suffix
    return Var


def jaxpr_as_fun(closed: ClosedJaxpr) -> Callable[..., list[Any]]:
    """A Python function that evaluates a closed jaxpr.

    Example:
      >>> import canter as ct
      >>> from canter.core import jaxpr_as_fun
      >>> [y.item() for y in jaxpr_as_fun(ct.make_jaxpr(lambda x: x * 2.0)(1.0))(3.0)]
      [6.0]
    """

    def evaluate(*args: Any) -> list[Any]:
        return eval_jaxpr(closed.jaxpr, closed.consts, *args)

    return evaluate


def jaxprs_in_params(params: dict[str, Any]) -> Iterator[Jaxpr]:
    """The jaxprs among the parameters of an equation, also in tuples and lists."""
    for value in params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, Jaxpr):
                yield item
            elif isinstance(item, ClosedJaxpr):
                yield item.jaxpr


def subjaxprs(jaxpr: Jaxpr) -> Iterator[Jaxpr]:
    """The jaxprs directly inside the equations of a jaxpr."""
    for eqn in jaxpr.eqns:
        yield from jaxprs_in_params(eqn.params)
