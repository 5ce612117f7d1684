"""`custom_root`: a root of a function, differentiated by the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core import pytree
from ...core.avals import get_aval
from ...core.errors import api_boundary
from ...core.jaxpr import eval_jaxpr
from ...transforms.custom_rules import SymbolicZero, custom_jvp
from ...transforms.derivatives import linearize
from ...transforms.jvp import jvp_flat
from ...transforms.rules import instantiate_zeros
from ...transforms.zeros import Zero
from ..elementwise import neg
from .common import check_callable, check_like, flatten_operands, trace_function, with_common_consts

__all__ = ["custom_root"]


@api_boundary
def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    tangent_solve: Callable[[Callable[[Any], Any], Any], Any],
    has_aux: bool = False,
) -> Any:
    """Finds x with `f(x) = 0` by a given function, and is differentiated implicitly.

    Args:
      f: from a tree to a tree of the same structure, shapes and dtypes. Arrays over which it closes may
        be differentiated, in both modes.
      initial_guess: where to start, a tree of arrays; the root does not depend on it.
      solve: `solve(f, initial_guess)` gives the root; it need not be differentiable.
      tangent_solve: `tangent_solve(g, y)` solves `g(x) = y` for a linear function `g`. Reverse mode
        transposes it: it must be linear in `y`, as `lambda g, y: y / g(1.0)` for scalars.
      has_aux: `solve` gives a pair of the root and other results, which have no derivative.

    Returns:
      The root, or the pair if `has_aux`.

    Raises:
      TypeError: an argument is no function, or a result has not the structure of `initial_guess`.
      ValueError: a result has not its shapes, or `solve` gives no pair in spite of `has_aux`.

    Example:
      >>> import canter as ct
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> def root(a):
      ...     return lax.custom_root(
      ...         lambda x: x * x - a, 1.0, lambda f, x: cnp.sqrt(a), lambda g, y: y / g(1.0)
      ...     )
      >>> float(root(4.0)), float(ct.grad(root)(4.0))
      (2.0, 0.25)
    """
    where = "custom_root"
    check_callable(where, f, solve, tangent_solve)
    leaves, tree, avals = flatten_operands(f"{where}: initial_guess", initial_guess)
    argument = pytree.treedef_tuple((tree,))
    residual, residual_tree = trace_function(f, argument, avals, where)
    check_like(where, "f", "initial_guess", residual_tree, tree, residual.out_avals, avals)
    solver, out_tree = trace_function(lambda guess: solve(f, guess), argument, avals, where)
    check_like(where, "solve", "initial_guess", out_tree, tree, solver.out_avals, avals, has_aux)
    count = tree.num_leaves
    (residual,), residual_consts = with_common_consts([residual])
    (solver,), solver_consts = with_common_consts([solver])

    @custom_jvp
    def solved(residual_consts: Any, solver_consts: Any, guess: Any) -> Any:
        return eval_jaxpr(solver.jaxpr, solver.consts, *solver_consts, *guess)

    def implicit_rule(primals: Any, tangents: Any) -> Any:
        consts = primals[0]
        outs = solved(*primals)
        root = outs[:count]
        dots = [Zero(t.aval) if isinstance(t, SymbolicZero) else t for t in tangents[0]]
        _, change = jvp_flat(lambda *given: eval_jaxpr(residual.jaxpr, [], *given, *root), consts, dots)
        _, push = linearize(
            lambda x: residual_tree.unflatten(
                eval_jaxpr(residual.jaxpr, [], *consts, *pytree.tree_leaves(x))
            ),
            tree.unflatten(root),
        )
        # 0 = ∂f/∂x dx + ∂f/∂c dc
        solution = tangent_solve(push, tree.unflatten([instantiate_zeros(t) for t in change]))
        found, found_tree = pytree.tree_flatten(solution)
        found_avals = [get_aval(x) for x in found]
        check_like(where, "tangent_solve", "initial_guess", found_tree, tree, found_avals, avals)
        rest = [Zero.from_primal_value(x) for x in outs[count:]]
        return outs, [*(neg(x) for x in found), *rest]

    solved.defjvp(implicit_rule, symbolic_zeros=True)
    return out_tree.unflatten(solved(residual_consts, solver_consts, leaves))
