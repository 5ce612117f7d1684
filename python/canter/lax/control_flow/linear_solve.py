"""`custom_linear_solve`: the solution of a linear system, differentiated as one, whoever solves it.

From A x = b follows A dx = db - dA x: derivatives are solutions of the same system, and cotangents
those of the transposed one. So the solver's own steps are never differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...core import pytree
from ...core.errors import api_boundary
from ...core.jaxpr import ClosedJaxpr, eval_jaxpr
from ...core.primitive import Primitive
from ...core.tracing import trace_to_jaxpr
from ...transforms.batching import batch_jaxpr
from ...transforms.jvp import jvp_flat
from ...transforms.rules import add_tangents, bdim_at_front, instantiate_zeros, moveaxis
from ...transforms.transpose import backward_pass
from ...transforms.zeros import UndefinedPrimal, Zero, is_undefined_primal
from ..elementwise import neg
from .common import (
    check_callable,
    check_like,
    flatten_operands,
    split_list,
    trace_function,
    with_common_consts,
)
from .scan_rules import fixpoint

__all__ = ["custom_linear_solve", "linear_solve_p"]

linear_solve_p = Primitive("custom_linear_solve", multiple_results=True)
linear_solve_p.call_primitive = True


class _LinearSolveTuple(NamedTuple):
    """One thing for each of the functions that belong to a solve."""

    matvec: Any
    vecmat: Any
    solve: Any
    transpose_solve: Any

    def transposed(self) -> _LinearSolveTuple:
        return _LinearSolveTuple(self.vecmat, self.matvec, self.transpose_solve, self.solve)


@api_boundary
def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    transpose_solve: Callable[[Callable[[Any], Any], Any], Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """Solves `matvec(x) = b` by a given function, and is differentiated implicitly.

    Args:
      matvec: a linear, invertible function from a tree like `b` to a tree like `b`. Arrays over which
        it closes may be differentiated.
      b: the right hand side, a tree of arrays.
      solve: `solve(matvec, b)` gives the solution, a tree like `b`; it need not be differentiable.
      transpose_solve: `transpose_solve(vecmat, b)` solves the system of the transposed function; needed
        for reverse mode, unless `symmetric`.
      symmetric: `matvec` is its own transpose, so `solve` serves for both.
      has_aux: `solve` (and `transpose_solve`) give a pair of the solution and other results, which have
        no derivative.

    Returns:
      The solution, or the pair if `has_aux`.

    Raises:
      TypeError: an argument is no function, the structure of a result is not that of `b`, or reverse
        mode is used without `transpose_solve`.
      ValueError: shapes of a result are not those of `b`, or `solve` gives no pair in spite of `has_aux`.

    Example:
      >>> import canter as ct
      >>> from canter import lax
      >>> def halve(a, b):
      ...     return lax.custom_linear_solve(lambda x: a * x, b, lambda f, b: b / f(1.0), symmetric=True)
      >>> [float(g) for g in ct.grad(halve, argnums=(0, 1))(2.0, 4.0)]
      [-1.0, 0.5]
    """
    where = "custom_linear_solve"
    check_callable(where, matvec, solve)
    if transpose_solve is not None:
        check_callable(where, transpose_solve)
    leaves, tree, avals = flatten_operands(f"{where}: b", b)
    argument = pytree.treedef_tuple((tree,))

    def traced(what: str, fun: Callable[[Any], Any], may_have_aux: bool = True) -> tuple[ClosedJaxpr, Any]:
        program, out_tree = trace_function(fun, argument, avals, where)
        check_like(where, what, "b", out_tree, tree, program.out_avals, avals, has_aux and may_have_aux)
        return program, out_tree

    product, _ = traced("matvec", matvec, may_have_aux=False)
    solver, out_tree = traced("solve", lambda y: solve(matvec, y))
    programs = [product, None, solver, None]
    if symmetric:
        programs = [product, product, solver, solver]
    elif transpose_solve is not None:
        transposed = _transposed_program(product)

        def vecmat(y: Any) -> Any:
            cotangents, given = pytree.tree_flatten(y)
            if given != tree:
                raise TypeError(f"custom_linear_solve: vecmat takes a tree like b, {tree}, but got {given}.")
            return tree.unflatten(eval_jaxpr(transposed.jaxpr, transposed.consts, *cotangents))

        backward, _ = traced("transpose_solve", lambda y: transpose_solve(vecmat, y))
        programs = [product, transposed, solver, backward]
    no_consts = _LinearSolveTuple((), (), (), ())
    return out_tree.unflatten(_bind(_LinearSolveTuple(*programs), no_consts, leaves))


def _transposed_program(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The transpose of a linear program, also for dtypes that have no tangents."""

    def transposed(*cotangents: Any) -> list[Any]:
        operands = [UndefinedPrimal(aval) for aval in closed.in_avals]
        return [
            instantiate_zeros(ct) for ct in backward_pass(closed.jaxpr, closed.consts, operands, cotangents)
        ]

    return trace_to_jaxpr(transposed, closed.out_avals, debug_info=closed.jaxpr.debug_info)


# --- rules ----------------------------------------------------------------------------------------


def _bind(programs: _LinearSolveTuple, consts: _LinearSolveTuple, b: Sequence[Any]) -> list[Any]:
    """Binds a solve; constants that the programs hold become operands in front of their own."""
    opened: list[Any] = []
    operands: list[list[Any]] = []
    for program, given in zip(programs, consts, strict=True):
        if program is None:
            opened.append(None)
            operands.append([])
        else:
            (form,), captured = with_common_consts([program])
            opened.append(form)
            operands.append([*captured, *given])
    return linear_solve_p.bind(
        *(x for part in operands for x in part),
        *b,
        const_lengths=_LinearSolveTuple(*map(len, operands)),
        jaxprs=_LinearSolveTuple(*opened),
    )


def _split(values: Sequence[Any], const_lengths: _LinearSolveTuple) -> tuple[_LinearSolveTuple, list[Any]]:
    *consts, b = split_list(values, *const_lengths)
    return _LinearSolveTuple(*consts), b


def _abstract(*avals: Any, jaxprs: _LinearSolveTuple, **params: Any) -> Any:
    return jaxprs.solve.out_avals, jaxprs.solve.effects


def _jvp(primals: Any, tangents: Any, *, const_lengths: Any, jaxprs: Any) -> Any:
    consts, b = _split(primals, const_lengths)
    const_dots, rhs = _split(tangents, const_lengths)
    outs = linear_solve_p.bind(*primals, const_lengths=const_lengths, jaxprs=jaxprs)
    solution = outs[: len(b)]
    if any(type(t) is not Zero for t in const_dots.matvec):
        product = jaxprs.matvec
        _, change = jvp_flat(
            lambda *given: eval_jaxpr(product.jaxpr, product.consts, *given, *solution),
            consts.matvec,
            const_dots.matvec,
        )
        rhs = [add_tangents(t, c if type(c) is Zero else neg(c)) for t, c in zip(rhs, change, strict=True)]
    tangents_out: list[Any] = [Zero.from_primal_value(out) for out in outs]
    if any(type(t) is not Zero for t in rhs):
        found = _bind(jaxprs, consts, [instantiate_zeros(t) for t in rhs])
        tangents_out[: len(b)] = found[: len(b)]
    return outs, tangents_out


def _transpose(cotangents: Any, *args: Any, const_lengths: Any, jaxprs: Any) -> Any:
    if jaxprs.transpose_solve is None:
        raise TypeError(
            "custom_linear_solve: reverse-mode differentiation needs transpose_solve. Give it, or symmetric=True."
        )
    consts, b = _split(args, const_lengths)
    if any(is_undefined_primal(c) for part in consts for c in part):
        raise NotImplementedError(
            "custom_linear_solve is linear in b only, not in what its functions close over."
        )
    cotangents = cotangents[: len(b)]
    if all(type(ct) is Zero for ct in cotangents):
        found = [Zero(x.aval) if is_undefined_primal(x) else None for x in b]
    else:
        found = _bind(jaxprs.transposed(), consts.transposed(), [instantiate_zeros(ct) for ct in cotangents])
    return [None] * sum(const_lengths) + [
        ct if is_undefined_primal(x) else None for x, ct in zip(b, found[: len(b)], strict=True)
    ]


def _batch(trace: Any, args: Any, dims: Any, *, const_lengths: Any, jaxprs: Any) -> Any:
    size, options = trace.size, {"name": trace.name, "spmd_name": trace.spmd_name}
    consts, b = _split(args, const_lengths)
    dims_of_consts, dims_of_b = _split(dims, const_lengths)
    in_front = [[None if d is None else 0 for d in part] for part in dims_of_consts]
    parts = [(p, d) for p, d in zip(jaxprs, in_front, strict=True) if p is not None]

    def place(flags: Sequence[bool]) -> list[int | None]:
        return [0 if flag else None for flag in flags]

    def reached(flags: list[bool]) -> list[bool]:
        found = [
            batch_jaxpr(program, size, [*const_dims, *place(flags)], **options)[1][: len(b)]
            for program, const_dims in parts
        ]
        return [any(d is not None for d in column) for column in zip(*found, strict=True)]

    flags = fixpoint([d is not None for d in dims_of_b], reached)
    out_dims: Any = None
    batched: list[Any] = []
    for program, const_dims in zip(jaxprs, in_front, strict=True):
        if program is None:
            batched.append(None)
            continue
        wanted = [*place(flags), *[None] * (len(program.out_avals) - len(b))]
        form, places = batch_jaxpr(program, size, [*const_dims, *place(flags)], wanted, **options)
        batched.append(form)
        if program is jaxprs.solve:
            out_dims = places
    moved = [
        [moveaxis(x, d, 0) for x, d in zip(part, part_dims, strict=True)]
        for part, part_dims in zip(consts, dims_of_consts, strict=True)
    ]
    rhs = [bdim_at_front(x, d, size) if f else x for x, d, f in zip(b, dims_of_b, flags, strict=True)]
    return _bind(_LinearSolveTuple(*batched), _LinearSolveTuple(*moved), rhs), out_dims


linear_solve_p.def_effectful_abstract_eval(_abstract)
linear_solve_p.jvp_rule = _jvp
linear_solve_p.transpose_rule = _transpose
linear_solve_p.axis_batch_rule = _batch
