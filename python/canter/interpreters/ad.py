"""Rules of differentiation: `primitive_jvps`, `primitive_transposes`, and helpers that declare them.

ad.primitive_jvps[p] = rule         # rule(primals, tangents, **params) -> (result, tangent)
ad.primitive_transposes[p] = rule   # rule(cotangent, *operands, **params) -> cotangents
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core import pytree as _pytree
from ..core.avals import get_aval as _get_aval
from ..core.primitive import Primitive as _Primitive
from ..transforms.jvp import JVPTrace as JVPTrace, JVPTracer as JVPTracer, jvp_flat as _jvp_flat
from ..transforms.linear_util import WrappedFun as _WrappedFun, transformation2 as _transformation2
from ..transforms.linearize import linearize_flat as _linearize_flat
from ..transforms.rule_tables import RuleTable as _RuleTable
from ..transforms.rules import (
    add_any_p as add_jaxvals_p,
    add_tangents as add_tangents,
    defbilinear as _defbilinear,
    defjvp as _defjvp,
    defjvp2 as _defjvp2,
    deflinear as _deflinear,
    instantiate_zeros as instantiate_zeros,
    zeros_like_aval as zeros_like_aval,
)
from ..transforms.zeros import (
    UndefinedPrimal as UndefinedPrimal,
    Zero as Zero,
    is_undefined_primal as is_undefined_primal,
)

__all__ = [
    "JVPTrace",
    "JVPTracer",
    "UndefinedPrimal",
    "Zero",
    "add_jaxvals",
    "add_jaxvals_p",
    "add_tangents",
    "defbilinear",
    "defjvp",
    "defjvp2",
    "deflinear",
    "deflinear2",
    "get_primitive_transpose",
    "instantiate_zeros",
    "is_undefined_primal",
    "jvp",
    "linearize",
    "primitive_jvps",
    "primitive_transposes",
    "zeros_like_aval",
]

primitive_jvps = _RuleTable("jvp_rule", instead_of="linearize_rule")
primitive_transposes = _RuleTable("transpose_rule")

_Rule = Callable[..., Any] | None


def add_jaxvals(x: Any, y: Any) -> Any:
    """The sum of two tangents, which are arrays.

    Example:
      >>> from canter.interpreters import ad
      >>> float(ad.add_jaxvals(1.0, 2.0))
      3.0
    """
    return add_jaxvals_p.bind(x, y)


def get_primitive_transpose(primitive: _Primitive) -> Callable[..., Any]:
    """The transpose rule of a primitive.

    Raises:
      NotImplementedError: it has none.
    """
    if primitive.transpose_rule is None:
        raise NotImplementedError(
            f"Transpose rule (for reverse-mode differentiation) for '{primitive.name}' not implemented."
        )
    return primitive.transpose_rule


def defjvp(primitive: _Primitive, *jvprules: _Rule) -> None:
    """Declares one rule an operand: `rule(tangent, *operands, **params)`, or None where there is none.

    Example:
      >>> import canter as ct
      >>> from canter.extend.core import Primitive
      >>> from canter.interpreters import ad
      >>> cube = Primitive("cube")
      >>> _ = cube.def_impl(lambda x: x * x * x)
      >>> ad.defjvp(cube, lambda tangent, x: 3.0 * x * x * tangent)
      >>> ct.jvp(cube.bind, (2.0,), (1.0,))[1].item()
      12.0
    """
    _defjvp(primitive, *jvprules)
    primitive.linearize_rule = None


def defjvp2(primitive: _Primitive, *jvprules: _Rule) -> None:
    """Like `defjvp`, for rules that use the result: `rule(tangent, result, *operands, **params)`."""
    _defjvp2(primitive, *jvprules)
    primitive.linearize_rule = None


def deflinear2(primitive: _Primitive, transpose_rule: Callable[..., Any]) -> None:
    """Declares a linear primitive; `transpose_rule(cotangent, *operands, **params)` gives cotangents.

    Example:
      >>> import canter as ct
      >>> from canter.extend.core import Primitive
      >>> from canter.interpreters import ad, mlir
      >>> twice = Primitive("twice")
      >>> _ = twice.def_abstract_eval(lambda x: x)
      >>> mlir.register_lowering(twice, mlir.lower_fun(lambda x: x + x, multiple_results=False))
      >>> ad.deflinear2(twice, lambda cotangent, _: [twice.bind(cotangent)])
      >>> float(ct.grad(lambda x: twice.bind(x))(1.0))
      2.0
    """

    def transpose(cotangent: Any, *operands: Any, **params: Any) -> Any:
        if type(cotangent) is Zero:
            return [Zero(x.aval) if is_undefined_primal(x) else None for x in operands]
        return transpose_rule(cotangent, *operands, **params)

    _deflinear(primitive, transpose)
    primitive.linearize_rule = None


def deflinear(primitive: _Primitive, transpose_rule: Callable[..., Any]) -> None:
    """Declares a linear primitive; `transpose_rule(cotangent, **params)` gives cotangents."""

    def transpose(cotangent: Any, *operands: Any, **params: Any) -> Any:
        return transpose_rule(cotangent, **params)

    deflinear2(primitive, transpose)


def defbilinear(primitive: _Primitive, lhs_rule: Callable[..., Any], rhs_rule: Callable[..., Any]) -> None:
    """Declares a product of two operands by the transposes for either: `rule(cotangent, x, y, **params)`."""
    _defbilinear(primitive, lhs_rule, rhs_rule)
    primitive.linearize_rule = None


def _as_tangents(primals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
    return [
        Zero(_get_aval(p).to_tangent_aval()) if t is None else t
        for p, t in zip(primals, tangents, strict=True)
    ]


def _jvp(f: Callable[..., Any], instantiate: Any, primals: Any, tangents: Any) -> Any:
    outs, out_tangents = _jvp_flat(f, primals, _as_tangents(primals, tangents))
    wanted = [instantiate] * len(outs) if isinstance(instantiate, bool) else instantiate
    return outs, [instantiate_zeros(t) if w else t for t, w in zip(out_tangents, wanted, strict=True)]


def jvp(
    fun: Any,
    primals: Any = None,
    tangents: Any = None,
    has_aux: bool = False,
    instantiate: bool | Sequence[bool] = True,
    transform_stack: bool = True,
) -> Any:
    """Forward-mode derivative of a flat function.

    Args:
      fun: a function of arrays that returns a list of them, or a `WrappedFun`.
      primals: the arguments. Without them `fun` is a `WrappedFun`, and so is the result: a function of
        (primals, tangents).
      tangents: their tangents; a `Zero` or None stands for zero.
      has_aux: whether `fun` returns a pair of its results and auxiliary data.
      instantiate: whether zero tangents of results become arrays, for all or one flag a result.
      transform_stack: whether scopes inside are marked as a derivative's.

    Returns:
      (results, tangents), and the auxiliary data with `has_aux`.

    Example:
      >>> from canter import lax
      >>> from canter.interpreters import ad
      >>> ad.jvp(lambda x: [lax.mul(x, x)], (3.0,), (1.0,))[1][0].item()
      6.0
    """
    from ..extend.source_info_util import transform_name_stack

    if primals is None:
        if has_aux:
            raise ValueError("ad.jvp of a WrappedFun without arguments takes no has_aux.")
        return _transformation2(_jvp, fun, instantiate)
    call = fun.call_wrapped if isinstance(fun, _WrappedFun) else fun
    aux: list[Any] = []

    def flat(*args: Any) -> Any:
        if transform_stack:
            with transform_name_stack("jvp"):
                out = call(*args)
        else:
            out = call(*args)
        if has_aux:
            out, extra = out
            aux.append(extra)
        return out

    outs, out_tangents = _jvp(flat, instantiate, primals, tangents)
    if not has_aux:
        return outs, out_tangents
    from ..transforms.jvp import without_tangents

    return outs, out_tangents, without_tangents(aux[0])


def linearize(traceable: Any, primals_ft: Any, has_aux: bool = False, is_vjp: bool = False) -> Any:
    """Linearizes a flat function at a point.

    Args:
      traceable: a function of arrays that returns a list of them, or a `WrappedFun`.
      primals_ft: the point: a sequence of arrays.
      has_aux: whether it returns a pair of its results and auxiliary data.
      is_vjp: whether the linear program is to be transposed; it is the same program.

    Returns:
      (results, tangent avals of the results, the linear jaxpr, its constants), and the auxiliary data
      with `has_aux`.

    Example:
      >>> from canter import lax
      >>> from canter.interpreters import ad
      >>> values, avals, jaxpr, consts = ad.linearize(lambda x: [lax.mul(x, x)], [3.0])
      >>> values[0].item(), len(jaxpr.invars)
      (9.0, 1)
    """
    call = traceable.call_wrapped if isinstance(traceable, _WrappedFun) else traceable
    aux: list[Any] = []

    def flat(*args: Any) -> Any:
        out = call(*args)
        if has_aux:
            out, extra = out
            aux.append(extra)
        return out

    primals = _pytree.tree_leaves(primals_ft)
    found = _linearize_flat(flat, primals, instantiate=True)
    result = (found.primals_out, found.out_tangent_avals, found.tape.jaxpr, found.tape.consts)
    return (*result, *aux)
