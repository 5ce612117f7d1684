"""`scan` and `map`: a loop over a leading axis, as one equation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core import config, pytree
from ...core.avals import get_aval, typematch
from ...core.dimensions import is_symbolic_dim, size_of
from ...core.errors import api_boundary
from ...core.explicit import without_dimension
from ...core.primitive import Primitive
from ...core.trace import concrete_or_error
from ...core.tracing import pvary_p
from ...transforms.calling import function_name
from ...transforms.remat import checkpoint
from .common import (
    check_callable,
    describe_mismatch,
    describe_structures,
    flatten_operands,
    strengthen_outputs,
    trace_function,
    with_common_consts,
    with_weak_outputs,
)

__all__ = ["map", "scan", "scan_p"]

scan_p = Primitive("scan", multiple_results=True)
scan_p.call_primitive = True


@api_boundary
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    *,
    remat: str | Callable[..., Any] | None = None,
) -> tuple[Any, Any]:
    """Loops over the leading axis of arrays, carrying a state along.

    Args:
      f: `f(carry, x) -> (carry, y)`; the carry keeps its structure, shapes and dtypes.
      init: the first carry, a tree of arrays.
      xs: a tree of arrays whose leading axes have one length; None if `f` needs no input.
      length: the number of steps; needed where `xs` holds no array.
      reverse: go through `xs` from the end, and fill the stacked results from the end.
      unroll: how many steps to put into one iteration of the compiled loop; True unrolls all,
        False and 0 are 1.
      _split_transpose: in reverse mode, first go back through the carry, then compute the cotangents of
        `xs` and of what `f` closes over in a second loop, of which no step waits for another.
      remat: what reverse mode computes again instead of keeping it: None nothing; "full" all of a step but
        the carry before it; a policy of `checkpoint_policies` what the policy says; "sqrt" runs of
        √length steps, so that the memory grows with √length.

    Returns:
      The last carry, and the `y`s stacked along a new leading axis.

    Raises:
      TypeError: the carry changes its type, or `f` does not return a pair.
      ValueError: the lengths disagree or are missing, or `remat` is something else.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> total, partial = lax.scan(lambda c, x: (c + x, c + x), 0.0, cnp.array([1.0, 2.0, 3.0]))
      >>> partial.tolist()
      [1.0, 3.0, 6.0]
    """
    check_callable("scan", f)
    _check_remat(remat)
    xs_leaves, xs_tree, xs_avals = flatten_operands("scan: xs", xs)
    steps = _length(xs_avals, xs_tree, length)
    unroll = _unroll(unroll, steps)
    if config.config.disable_jit and steps > 0:
        return _python_loop(f, init, xs_leaves, xs_tree, steps, reverse)
    if remat is not None:
        options: dict[str, Any] = {
            "reverse": reverse,
            "unroll": unroll,
            "_split_transpose": _split_transpose,
        }
        if remat == "sqrt":
            return _scan_in_runs(f, init, xs, steps, options)
        policy = None if isinstance(remat, str) else remat
        return scan(checkpoint(f, prevent_cse=False, policy=policy), init, xs, steps, **options)
    init_leaves, init_tree, init_avals = flatten_operands("scan: init", init)
    x_avals = [_element(aval, path) for aval, path in zip(xs_avals, _paths(xs_tree), strict=True)]
    in_tree = pytree.treedef_tuple((init_tree, xs_tree))
    closed, out_tree = trace_function(f, in_tree, [*init_avals, *x_avals], "scan")
    _check_result(f, out_tree)
    carry_tree, _ = out_tree.children()
    num_carry = len(init_avals)
    first_ys = closed.out_avals[carry_tree.num_leaves :]
    if carry_tree == init_tree:
        init_leaves, init_avals, (closed, out_tree) = settle_state(
            init_leaves,
            init_avals,
            (closed, out_tree),
            lambda avals: trace_function(f, in_tree, [*avals, *x_avals], "scan"),
        )
    carried = closed.out_avals[: carry_tree.num_leaves]
    check_carry("scan", f, init_tree, carry_tree, init_avals, carried, "carry")
    ys = closed.out_avals[num_carry:]
    closed = strengthen_outputs(closed, [*init_avals, *ys])
    # Those are weakly typed that are for the carry as it was given.
    weak = {i for i, (a, b) in enumerate(zip(first_ys, ys, strict=True)) if a.weak_type and typematch(a, b)}
    if weak:
        closed = with_weak_outputs(closed, {num_carry + i for i in weak})
        targets = [
            a.update(weak_type=a.weak_type or i - num_carry in weak) for i, a in enumerate(closed.out_avals)
        ]
        closed = strengthen_outputs(closed, targets)
    (opened,), consts = with_common_consts([closed])
    outs = scan_p.bind(
        *consts,
        *init_leaves,
        *xs_leaves,
        reverse=bool(reverse),
        length=steps,
        jaxpr=opened,
        num_consts=len(consts),
        num_carry=num_carry,
        unroll=unroll,
        **({"_split_transpose": True} if _split_transpose else {}),
    )
    return out_tree.unflatten(outs)


def _element(aval: Any, path: str) -> Any:
    """The type of what one step gets."""
    element = aval.update(shape=aval.shape[1:])
    if aval.layout is None:
        return element
    axes = aval.layout.spec.axes()[0]
    if axes:
        raise ValueError(
            f"scan: the leading axis of xs{path}, {aval.str_short()}, is split over the mesh axes {axes}, but a loop "
            "goes through it one step after the other: 0th dimension of all xs should be replicated. Bring it there "
            "with canter.reshard, or split another dimension."
        )
    return element.update(layout=without_dimension(aval.layout, 0))


def _check_remat(remat: Any) -> None:
    if remat is not None and remat not in ("full", "sqrt") and not callable(remat):
        raise ValueError(f"scan: remat must be None, 'full', 'sqrt' or a checkpoint policy, got {remat!r}.")


def _scan_in_runs(f: Any, init: Any, xs: Any, steps: int, options: dict[str, Any]) -> tuple[Any, Any]:
    """A scan over runs of about √steps steps; reverse mode keeps the carries between them.

    The steps that are left over come last.
    """
    from ..joining import concatenate
    from ..shapes import reshape
    from ..slicing import slice_in_dim

    size = max(1, math.isqrt(steps))
    runs, rest = divmod(steps, size)
    first = rest if options["reverse"] else 0
    tree_map = pytree.tree_map

    def shaped(x: Any) -> Any:
        part = slice_in_dim(x, first, first + runs * size, 1, 0) if rest else x
        return reshape(part, (runs, size, *get_aval(x).shape[1:]))

    def one_run(carry: Any, part: Any) -> Any:
        return scan(f, carry, part, size, **options)

    kept = checkpoint(one_run, prevent_cse=False)
    carry, ys = scan(kept, init, tree_map(shaped, xs), runs, reverse=options["reverse"])
    ys = tree_map(lambda y: reshape(y, (runs * size, *get_aval(y).shape[2:])), ys)
    if not rest:
        return carry, ys
    start = 0 if options["reverse"] else runs * size
    left_over = tree_map(lambda x: slice_in_dim(x, start, start + rest, 1, 0), xs)
    carry, last = scan(f, carry, left_over, rest, **options)
    parts = (last, ys) if options["reverse"] else (ys, last)
    return carry, tree_map(lambda *pair: concatenate(pair, 0), *parts)


def _length(avals: list[Any], tree: Any, length: Any) -> int:
    if not all(a.shape for a in avals):
        path, aval = next((path, a) for path, a in zip(_paths(tree), avals, strict=True) if not a.shape)
        raise ValueError(
            f"scan: xs{path} has no axis to loop over, it is a scalar ({aval.str_short()}). "
            "Close over it, or repeat it along a leading axis."
        )
    lengths = [a.shape[0] for a in avals]
    if length is not None:
        given = concrete_or_error(None, length, "The length of a scan must be known while tracing.")
        steps = int(given) if isinstance(given, float) and given.is_integer() else given
        if not (hasattr(steps, "__index__") or is_symbolic_dim(steps)):
            raise TypeError(f"scan: length must be an int, got {length!r}.")
        steps = size_of(steps)
        if steps < 0:
            raise ValueError(f"scan: length must not be negative, got {steps}.")
    elif lengths:
        steps = lengths[0]
    else:
        raise ValueError("scan: xs holds no array, so the number of steps is unknown. Give length=.")
    if any(n != steps for n in lengths):
        lines = [f"  xs{path}: {aval.str_short()}" for path, aval in zip(_paths(tree), avals, strict=True)]
        given_text = "" if length is None else f" (length={steps})"
        raise ValueError(
            f"scan: all arrays of xs must have the same leading axis{given_text}, but they are\n"
            + "\n".join(lines[:8])
        )
    return steps


def _paths(tree: Any) -> list[str]:
    return [pytree.keystr(p) for p, _ in pytree.tree_leaves_with_path(tree.unflatten(range(tree.num_leaves)))]


def _unroll(unroll: Any, steps: int) -> int:
    if isinstance(unroll, bool):
        if is_symbolic_dim(steps) and unroll:
            raise ValueError(
                f"scan: unroll=True needs a known number of steps; got the symbolic dimension {steps}."
            )
        return max(steps, 1) if unroll else 1
    if not hasattr(unroll, "__index__") or unroll.__index__() < 0:
        raise ValueError(f"scan: unroll must be a bool or an int that is not negative, got {unroll!r}.")
    return max(unroll.__index__(), 1)


def _check_result(f: Any, out_tree: Any) -> None:
    node = out_tree.node_data()
    if node is None or node[0] is not tuple or len(out_tree.children()) != 2:
        raise TypeError(
            f"scan: {function_name(f)} must return a pair (carry, y), but it returned {out_tree}. "
            "Return (carry, None) if there is nothing to stack."
        )


def settle_state(
    leaves: list[Any], avals: list[Any], traced: Any, trace: Callable[[list[Any]], Any]
) -> tuple[list[Any], list[Any], Any]:
    """A loop's first state, and its body traced for it, once the types of the state are those it keeps.

    Args:
      leaves, avals: the first state as given.
      traced: the body traced for it: (jaxpr, structure of the result), the state first among the results.
      trace: traces the body for other types.
    """
    while True:
        leaves, new_avals = promote_weak(leaves, avals, traced[0].out_avals[: len(avals)])
        if new_avals == avals:
            return leaves, avals, traced
        varies = any(new.vma != old.vma for new, old in zip(new_avals, avals, strict=True))
        avals = new_avals
        traced = trace(avals)
        if not varies:  # along manual axes one part of the state can make another vary, a turn later
            return leaves, avals, traced


def promote_weak(leaves: list[Any], avals: list[Any], out_avals: list[Any]) -> tuple[list[Any], list[Any]]:
    """Initial values in the dtype of the loop's results where they come from Python numbers."""
    from ..conversion import _convert_element_type

    new_leaves, new_avals = [], []
    for leaf, aval, out in zip(leaves, avals, out_avals, strict=True):
        if aval.weak_type and not (out.weak_type and out.dtype == aval.dtype) and aval.shape == out.shape:
            if (
                np.can_cast(aval.dtype, out.dtype, "same_kind")
                or aval.dtype.kind in "iu"
                or aval.dtype == out.dtype
            ):
                leaf = _convert_element_type(leaf, out.dtype, False)
                aval = aval.update(dtype=out.dtype, weak_type=False)
        if not out.vma <= aval.vma:
            leaf = pvary_p.bind(leaf, axes=tuple(sorted(out.vma - aval.vma, key=str)))
            aval = aval.update(vma=aval.vma | out.vma)
        new_leaves.append(leaf)
        new_avals.append(aval)
    return new_leaves, new_avals


def check_carry(
    where: str, f: Any, in_tree: Any, out_tree: Any, in_avals: list[Any], out_avals: list[Any], what: str
) -> None:
    """Raises TypeError unless a loop's state keeps its structure and types."""
    if in_tree != out_tree:
        returned = out_avals[: out_tree.num_leaves]
        lines = describe_structures(in_tree, out_tree, in_avals, returned, what)
        raise TypeError(
            f"{where} body function carry input and carry output must have the same pytree structure, but "
            f"{function_name(f)} was given {in_tree!s:.300} and returned {out_tree!s:.300}."
            + "".join(["\nThey differ (given, and returned):\n", *"\n".join(lines[:8])] if lines else [])
            + "\nMake the initial value and the returned one the same tree of arrays."
        )
    lines = describe_mismatch(in_avals, out_avals, in_tree, what)
    if lines:
        raise TypeError(
            f"{where} body function carry input and carry output must have equal types, but shapes or "
            f"dtypes of {function_name(f)} differ (given, returned):\n"
            + "\n".join(lines[:8])
            + "\nConvert the initial value or the returned one, for "
            "example with `.astype(...)`."
        )


def _python_loop(f: Any, init: Any, leaves: list[Any], tree: Any, steps: int, reverse: bool) -> Any:
    carry, ys = init, []
    for i in reversed(range(steps)) if reverse else range(steps):
        carry, y = f(carry, tree.unflatten([leaf[i] for leaf in leaves]))
        ys.append(y)
    from ..joining import stack

    return carry, pytree.tree_map(lambda *parts: stack(parts), *(reversed(ys) if reverse else ys))


@api_boundary
def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """Applies a function to each element along the leading axes, one after the other.

    Args:
      f: takes and returns trees of arrays.
      xs: a tree of arrays whose leading axes have one length.
      batch_size: how many elements to process at once with `vmap`; None processes one at a time.

    Returns:
      The results, stacked along a leading axis.

    Raises:
      ValueError: the lengths disagree, or `batch_size` is not positive.

    Example:
      >>> import canter.numpy as cnp
      >>> from canter import lax
      >>> lax.map(lambda x: x * x, cnp.array([1.0, 2.0, 3.0])).tolist()
      [1.0, 4.0, 9.0]
    """
    if batch_size is None:
        return scan(lambda _, x: ((), f(x)), (), xs)[1]
    if not hasattr(batch_size, "__index__") or batch_size < 1:
        raise ValueError(f"map: batch_size must be a positive int, got {batch_size!r}.")
    return _map_in_batches(f, xs, batch_size)


def _map_in_batches(f: Callable[[Any], Any], xs: Any, batch_size: int) -> Any:
    from ...transforms.vmap import vmap
    from ..joining import concatenate
    from ..shapes import reshape
    from ..slicing import slice_in_dim

    leaves, tree, avals = flatten_operands("map: xs", xs)
    total = _length(avals, tree, None)
    full, rest = divmod(total, batch_size)
    batched = vmap(f)
    parts = []
    if full:
        head = [slice_in_dim(x, 0, full * batch_size) if rest else x for x in leaves]
        head = [reshape(x, (full, batch_size, *get_aval(x).shape[1:])) for x in head]
        out = scan(lambda _, x: ((), batched(x)), (), tree.unflatten(head))[1]
        parts.append(pytree.tree_map(lambda y: reshape(y, (full * batch_size, *get_aval(y).shape[2:])), out))
    if rest or not full:
        parts.append(batched(tree.unflatten([slice_in_dim(x, full * batch_size, total) for x in leaves])))
    if len(parts) == 1:
        return parts[0]
    return pytree.tree_map(lambda *ys: concatenate(ys, 0), *parts)
