"""Jaxprs as text: `{ lambda ; a:f32[3]. let b:f32[3] = sin a in (b,) }`.

The notation is JAX's. Layout is done by the document printer inside jaxlib: a group stands on one
line if it fits into 80 columns, else its breaks become newlines.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from canter_pjrt.jaxlib_door import pretty_printer as pp

from . import source
from .jaxpr import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var

__all__ = [
    "JaxprPpContext",
    "JaxprPpSettings",
    "pp_eqn",
    "pp_jaxpr",
    "register_eqn_rule",
    "register_params_rule",
]

Doc = Any
ParamsRule = Callable[[dict[str, Any]], dict[str, Any]]
_WIDTH = 80
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


# ---------------------------------------------------------------- which parameters are shown


def _without(**defaults: Any) -> ParamsRule:
    """Leaves out parameters that have these values."""

    def rule(params: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in params.items()
            if not (name in defaults and (value is defaults[name] or value == defaults[name]))
        }

    return rule


def _jit_rule(params: dict[str, Any]) -> dict[str, Any]:
    """Only what differs from a plain `jit(f)`."""
    dull = {
        "compiler_options_kvs": lambda v: not v,
        "ctx_mesh": lambda v: not getattr(v, "axis_names", v),
        "donated_invars": lambda v: not any(v),
        "in_layouts": lambda v: all(x is None for x in v),
        "in_shardings": lambda v: all(_is_unspecified(x) for x in v),
        "inline": lambda v: not v,
        "keep_unused": lambda v: not v,
        "out_layouts": lambda v: all(x is None for x in v),
        "out_shardings": lambda v: all(_is_unspecified(x) for x in v),
    }
    return {name: v for name, v in params.items() if name not in dull or not dull[name](v)}


def _is_unspecified(sharding: Any) -> bool:
    return sharding is None or type(sharding).__name__ == "UnspecifiedValue"


def _dot_general_rule(params: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in params.items() if value is not None}
    (lhs, rhs), (lhs_batch, rhs_batch) = params["dimension_numbers"]
    shown["dimension_numbers"] = _Words(
        f"(({list(lhs)}, {list(rhs)}), ({list(lhs_batch)}, {list(rhs_batch)}))"
    )
    return shown


def _broadcast_in_dim_rule(params: dict[str, Any]) -> dict[str, Any]:
    dull = {"shape"} | {name for name in ("broadcast_dimensions", "sharding") if not params.get(name)}
    return {name: value for name, value in params.items() if name not in dull}


def _custom_jvp_rule(params: dict[str, Any]) -> dict[str, Any]:
    names = {"jvp_jaxpr_fun": "jvp", "jvp_fun": "jvp"}
    return _custom_rule(params, names)


def _custom_vjp_rule(params: dict[str, Any]) -> dict[str, Any]:
    return _custom_rule(params, {"fwd_jaxpr_thunk": "fwd", "fwd_fun": "fwd"})


def _custom_rule(params: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    hidden = ("num_consts", "out_trees")
    shown = {renamed.get(name, name): v for name, v in params.items() if name not in hidden}
    for name in ("jvp", "fwd", "bwd"):
        if name in shown:
            shown[name] = _Words(getattr(shown[name], "__name__", None) or str(shown[name]))
    return {"name": params["call_jaxpr"].jaxpr.debug_info.func_name, **shown}


_PARAMS_RULES: dict[str, ParamsRule] = {
    "broadcast_in_dim": _broadcast_in_dim_rule,
    "convert_element_type": _without(sharding=None),
    "custom_jvp_call": _custom_jvp_rule,
    "custom_vjp_call": _custom_vjp_rule,
    "dot_general": _dot_general_rule,
    "jit": _jit_rule,
    "mul": _without(out_dtype=None),
    **dict.fromkeys(
        (
            "cbrt",
            "cos",
            "exp",
            "exp2",
            "expm1",
            "log",
            "log1p",
            "logistic",
            "rsqrt",
            "sin",
            "sqrt",
            "tan",
            "tanh",
        ),
        _without(accuracy=None),
    ),
}


def register_params_rule(primitive_name: str, rule: ParamsRule) -> None:
    """Declares which parameters of a primitive are printed: `rule(params) -> params to show`."""
    _PARAMS_RULES[primitive_name] = rule


# Primitives whose equations print in a notation of their own: `rule(printer, eqn) -> Doc`.
_EQN_RULES: dict[str, Callable[[Any, JaxprEqn], Any]] = {}


def register_eqn_rule(primitive_name: str, rule: Callable[[Any, JaxprEqn], Any]) -> None:
    """Declares how the equations of a primitive are printed: `rule(printer, eqn) -> document`."""
    _EQN_RULES[primitive_name] = rule


class _Words(str):
    """Text that is printed as it is."""


# ---------------------------------------------------------------- values


def _literal_text(literal: Literal) -> str:
    value = literal.val
    if hasattr(value, "item"):
        array = np.asarray(value)
        value = array.item() if array.ndim == 0 else array
    return f"{value}:{literal.aval.str_short(short_dtypes=True)}"


_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def _value_text(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, enum.IntEnum) and type(value).__str__ is enum.IntEnum.__str__:
        return str(int(value))
    return _ADDRESS.sub("0xXXXXXXXXXXXX", str(value))


def _jaxprs_of(value: Any) -> list[Any]:
    """The jaxprs that a parameter's value consists of, or an empty list."""
    if isinstance(value, (Jaxpr, ClosedJaxpr)):
        return [value]
    if isinstance(value, tuple) and value and all(isinstance(x, (Jaxpr, ClosedJaxpr)) for x in value):
        return list(value)
    return []


def _open(jaxpr: Jaxpr | ClosedJaxpr) -> Jaxpr:
    return jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr


# ---------------------------------------------------------------- documents


class JaxprPpSettings(NamedTuple):
    """What is printed; see `pp_jaxpr`."""

    print_shapes: bool = True
    source_info: bool = False
    name_stack: bool = False
    custom_pp_eqn_rules: bool = True
    print_effects: bool = False


class JaxprPpContext:
    """The names of variables, kept from one print to the next.

    Args:
      var_names: variable -> name; the others are named from a on.
    """

    def __init__(self, var_names: dict[Any, str] | None = None):
        self.var_names = {} if var_names is None else var_names


class _Printer:
    """Names variables in the order in which they appear, and builds the document of a jaxpr."""

    def __init__(self, settings: JaxprPpSettings, context: JaxprPpContext | None = None) -> None:
        self.shapes = settings.print_shapes
        self.source_info = settings.source_info
        self.name_stack = settings.name_stack
        self.custom_rules = settings.custom_pp_eqn_rules
        self.effects = settings.print_effects
        self.names: dict[Any, str] = {} if context is None else context.var_names
        self.unused: set[Any] = set()
        self.taken: set[str] = set(self.names.values())
        self.shared: dict[int, tuple[str, Jaxpr]] = {}
        self.count = 0

    # names

    def fresh_name(self) -> str:
        while True:
            number, name = self.count, ""
            self.count += 1
            while True:
                number, letter = divmod(number, 26)
                name = _LETTERS[letter] + name
                if number == 0:
                    break
            if name not in self.taken:
                return name

    def name_of(self, var: Any) -> str:
        if type(var) is DropVar or var in self.unused:
            return "_"
        name = self.names.get(var)
        if name is None:
            name = self.names[var] = self.fresh_name()
        return name

    def find_shared(self, jaxpr: Jaxpr) -> None:
        """Names the inner jaxprs that occur more than once, in order of first occurrence."""
        counts: dict[int, int] = {}
        found: dict[int, tuple[str, Jaxpr]] = {}
        pending: list[tuple[Jaxpr, str]] = [(jaxpr, "")]
        while pending:
            current, name = pending.pop()
            counts[id(current)] = counts.get(id(current), 0) + 1
            if counts[id(current)] > 1:
                continue
            found[id(current)] = (name, current)
            inner = [
                (_open(closed), eqn.params.get("name", "jaxpr"))
                for eqn in current.eqns
                for value in eqn.params.values()
                for closed in _jaxprs_of(value)
            ]
            pending += reversed(inner)
        for key, (name, current) in found.items():
            if counts[key] > 1:
                self.shared[key] = (self.distinct(str(name).strip("<>") or "jaxpr"), current)

    def distinct(self, stem: str) -> str:
        name, number = stem, 0
        while name in self.taken:
            number += 1
            name = f"{stem}{number}"
        self.taken.add(name)
        return name

    # parts

    def var(self, var: Any) -> Doc:
        name = pp.text(self.name_of(var))
        if not self.shapes:
            return name
        kind = pp.text(f":{var.aval.str_short(short_dtypes=True)}")
        return pp.concat([name, pp.color(kind, foreground=pp.Color.MAGENTA)])

    def atom(self, atom: Any) -> Doc:
        return pp.text(self.atom_text(atom))

    def atom_text(self, atom: Any) -> str:
        """The name of a variable, or the text of a literal."""
        return _literal_text(atom) if isinstance(atom, Literal) else self.name_of(atom)

    def vars(self, variables: Iterable[Any]) -> Doc:
        return _fill([self.var(v) for v in variables])

    def eqn(self, eqn: JaxprEqn) -> Doc:
        rule = _EQN_RULES.get(eqn.primitive.name) if self.custom_rules else None
        if rule is not None:
            return rule(self, eqn)
        # Each annotation stands on a line of its own, the first of them beside the equation's first line.
        head = [pp.text("", annotation=annotation) for annotation in self.annotations(eqn)]
        head.append(pp.text(eqn.primitive.name))
        if eqn.outvars:
            head = [pp.nest(2, self.vars(eqn.outvars)), pp.text(" = "), *head]
        operands = pp.nest(2, _fill([self.atom(v) for v in eqn.invars]))
        return pp.concat([*head, self.params(eqn), pp.text(" "), operands])

    def annotations(self, eqn: JaxprEqn) -> list[str]:
        """What is written beside an equation."""
        lines = []
        if self.source_info:
            lines.append(source.summarize(eqn.source_info, ""))
        if self.name_stack:
            lines.append(f"[{'/'.join(map(str, getattr(eqn.source_info, 'name_stack', ())))}]")
        return lines

    def params(self, eqn: JaxprEqn) -> Doc:
        rule = _PARAMS_RULES.get(eqn.primitive.name) if self.custom_rules else None
        params = rule(eqn.params) if rule is not None else eqn.params
        if not params:
            return pp.nil()
        names = sorted(params)
        if rule is not None and "name" in params:
            names.remove("name")
            names.insert(0, "name")
        entries = [pp.concat([pp.text(f"{name}="), self.value(eqn, params[name])]) for name in names]
        return _bracket("[", _join(pp.brk(), entries), "]")

    def value(self, eqn: JaxprEqn, value: Any) -> Doc:
        if isinstance(value, (Jaxpr, ClosedJaxpr)):
            if self.custom_rules and eqn.primitive.name == "jit":
                return self.called(eqn, _open(value))
            return self.inner(_open(value))
        jaxprs = _jaxprs_of(value)
        if jaxprs:
            return _bracket("(", _join(pp.brk(), [self.inner(_open(j)) for j in jaxprs]), ")")
        return pp.text(_value_text(value))

    def inner(self, jaxpr: Jaxpr) -> Doc:
        shared = self.shared.get(id(jaxpr))
        return pp.text(shared[0]) if shared else self.jaxpr(jaxpr)

    def called(self, eqn: JaxprEqn, jaxpr: Jaxpr) -> Doc:
        """A called jaxpr takes over the names of operands and results, so that it reads as if inlined."""
        if id(jaxpr) in self.shared:
            return self.inner(jaxpr)
        used: set[str] = set()
        for inner, outer in zip((*jaxpr.invars, *jaxpr.outvars), (*eqn.invars, *eqn.outvars), strict=False):
            if isinstance(inner, Literal) or isinstance(outer, Literal):
                continue
            name = self.name_of(outer)
            if inner not in self.names and name not in used:
                self.names[inner] = name
                used.update({name} - {"_"})
        return self.jaxpr(jaxpr)

    def find_unused(self, jaxpr: Jaxpr) -> None:
        """Results that nobody reads print as `_`, as dropped ones do."""
        used = {v for eqn in jaxpr.eqns for v in eqn.invars if isinstance(v, Var)}
        used.update(v for v in jaxpr.outvars if isinstance(v, Var))
        self.unused.update(v for eqn in jaxpr.eqns for v in eqn.outvars if v not in used)

    def jaxpr(self, jaxpr: Jaxpr) -> Doc:
        self.find_unused(jaxpr)
        head = [pp.text("{ "), _keyword("lambda "), self.vars(jaxpr.constvars), pp.text("; ")]
        head += [pp.nest(2, self.vars(jaxpr.invars)), pp.text(". "), _keyword("let")]
        body = _join(pp.brk("; "), [self.eqn(eqn) for eqn in jaxpr.eqns])
        outs = [pp.brk(), _keyword("in "), pp.text("("), pp.nest(2, self.outs(jaxpr.outvars)), pp.text(")")]
        if self.effects:
            names = sorted(str(effect) for effect in jaxpr.effects)
            outs.append(pp.text(" : { " + ", ".join(names) + " }"))
        doc = pp.concat([*head, pp.nest(2, pp.concat([pp.brk(), body])), *outs])
        return pp.group(pp.concat([pp.nest(2, doc), pp.text(" }")]))

    def outs(self, outvars: Sequence[Any]) -> Doc:
        texts = [_literal_text(v) if isinstance(v, Literal) else self.name_of(v) for v in outvars]
        if len(texts) == 1:
            return pp.text(texts[0] + ",")
        return _fill([pp.text(text + ",") for text in texts[:-1]] + [pp.text(text) for text in texts[-1:]])

    def top(self, jaxpr: Jaxpr) -> Doc:
        self.find_shared(jaxpr)
        lines = []
        for name, shared in list(self.shared.values()):
            lines += [pp.text(f"let {name} = "), self.jaxpr(shared), pp.text(" in"), pp.brk()]
        return pp.concat([*lines, self.jaxpr(jaxpr)])


def _keyword(word: str) -> Doc:
    return pp.color(pp.text(word), foreground=pp.Color.BLUE, intensity=pp.Intensity.BRIGHT)


def _join(separator: Doc, docs: Sequence[Doc]) -> Doc:
    parts: list[Doc] = []
    for doc in docs:
        parts += [separator, doc]
    return pp.concat(parts[1:])


def _fill(docs: Sequence[Doc]) -> Doc:
    """Words of a paragraph: each break is decided for itself."""
    return _join(pp.group(pp.brk()), docs)


def _bracket(opening: str, inside: Doc, closing: str) -> Doc:
    indented = pp.nest(2, pp.concat([pp.text(opening), pp.brk(""), inside]))
    return pp.group(pp.concat([indented, pp.brk(""), pp.text(closing)]))


def _format(doc: Doc, use_color: bool | None, width: int = _WIDTH) -> str:
    return doc._format(
        width,
        use_color=bool(use_color),
        output_format=pp.OutputFormat.TEXT,
        separable_lines=False,
        annotation_prefix=" # ",
        source_map=None,
    )


def pp_jaxpr(
    jaxpr: Jaxpr | ClosedJaxpr,
    *,
    source_info: bool = False,
    print_shapes: bool = True,
    custom_pp_eqn_rules: bool = True,
    name_stack: bool = False,
    print_effects: bool = False,
    use_color: bool | None = None,
    width: int = _WIDTH,
    context: JaxprPpContext | None = None,
) -> str:
    """The text of a jaxpr.

    Args:
      jaxpr: what to print.
      source_info: whether to write the user's line beside each equation.
      print_shapes: whether variables show their types.
      custom_pp_eqn_rules: whether primitives leave out parameters that have their usual value.
      name_stack: whether to write the scopes beside each equation.
      print_effects: whether to write the effects.
      use_color: whether to mark keywords and types for a terminal; None is False.
      width: the number of columns.
      context: names for the variables.

    >>> import canter as ct
    >>> print(ct.make_jaxpr(ct.lax.sin)(1.0).pretty_print(print_shapes=False))
    { lambda ; a. let b = sin a in (b,) }
    """
    settings = JaxprPpSettings(print_shapes, source_info, name_stack, custom_pp_eqn_rules, print_effects)
    return _format(_Printer(settings, context).top(_open(jaxpr)), use_color, width)


def pp_eqn(eqn: JaxprEqn, *, source_info: bool = False, print_shapes: bool = True) -> str:
    """The text of one equation, its variables named from a on."""
    settings = JaxprPpSettings(print_shapes=print_shapes, source_info=source_info)
    return _format(_Printer(settings).eqn(eqn), False)
