"""Branches and loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.avals import ShapedArray, abstract_token
from canter.core.dimensions import is_symbolic_dim, surely_less
from canter.core.effects import no_effects, ordered_effects
from canter.core.jaxpr import ClosedJaxpr

from ..packing import Packing
from ..registry import register_table
from .shapes import concatenate, dynamic_slice, dynamic_update_slice, reshape, slice_

__all__: list[str] = []

_FLAG = ShapedArray((), np.dtype(bool))
_COUNTER = ShapedArray((), np.dtype(np.int32))


def _scoped(ctx: Any, *names: str) -> Any:
    return ctx.replace(name_stack=(*ctx.name_stack, *names))


# Branches


def _branch_of_platform(ctx: Any, platforms: Any) -> int:
    """Which of several groups of platforms the module's belongs to; None stands for all others."""
    for number, names in enumerate(platforms):
        if names is None or ctx.platform in names:
            return number
    given = ", ".join(name for names in platforms for name in names)
    raise NotImplementedError(
        f"platform_dependent has no function for platform '{ctx.platform}', only for {given}. Give it a default."
    )


def _platform_index(ctx: Any, *, platforms: Any) -> Any:
    return ctx.constant(_branch_of_platform(ctx, platforms), _COUNTER.dtype)


def _cond(ctx: Any, index: Any, *operands: Any, branches: Any, branches_platforms: Any = None) -> list[Any]:
    if branches_platforms is not None:  # the other branches may not even be possible on this platform
        return ctx.inline(branches[_branch_of_platform(ctx, branches_platforms)], operands)
    if len(branches) == 1:
        return ctx.inline(branches[0], operands)
    aval = ctx.avals_in[0]
    if aval.dtype != _COUNTER.dtype:
        index = ctx.convert(index, _COUNTER)
    module = ctx.module_context
    effects = frozenset().union(*(branch.effects for branch in branches))
    count = len(module.tokens_of(effects))
    avals = [abstract_token] * count + list(ctx.avals_out)
    operation = ctx.build("stablehlo.case", (index,), avals, regions=len(branches))
    for number, (region, branch) in enumerate(zip(operation.regions, branches, strict=True)):
        inner = _scoped(ctx, "cond", f"branch_{number}_fun")
        with ctx.block(region, ()), module.inner_tokens():
            results = inner.inline(branch, operands)
            ctx.return_([*module.tokens_of(effects), *results])
    module.set_tokens(effects, operation.results[:count])
    return list(operation.results)[count:]


def _linear_solve(ctx: Any, *operands: Any, const_lengths: Any, jaxprs: Any) -> list[Any]:
    start = const_lengths.matvec + const_lengths.vecmat
    solver_consts = operands[start : start + const_lengths.solve]
    return ctx.inline(jaxprs.solve, [*solver_consts, *operands[sum(const_lengths) :]])


# Loops


def while_loop(
    ctx: Any,
    avals: Sequence[Any],
    init: Sequence[Any],
    condition: Any,
    body: Any,
    effects: frozenset[Any] = no_effects,
) -> list[Any]:
    """A `stablehlo.while`.

    Args:
      avals: avals of the loop state.
      init: its first values.
      condition, body: functions of the list of state values that emit the two regions; they give
        one boolean, and the list of new values.
      effects: those of the body; for each ordered one the loop has a token in its state.
    """
    module = ctx.module_context
    tokens = module.tokens_of(effects)
    count = len(tokens)
    avals = [abstract_token] * count + list(avals)
    operation = ctx.build("stablehlo.while", [*tokens, *init], avals, regions=2)
    with ctx.block(operation.regions[0], avals) as state, module.inner_tokens():
        ctx.return_((condition(state[count:]),))
    with ctx.block(operation.regions[1], avals) as state, module.inner_tokens(effects, state[:count]):
        new = body(state[count:])
        ctx.return_([*module.tokens_of(effects), *new])
    module.set_tokens(effects, operation.results[:count])
    return list(operation.results)[count:]


def _while(
    ctx: Any,
    *operands: Any,
    cond_jaxpr: ClosedJaxpr,
    body_jaxpr: ClosedJaxpr,
    cond_nconsts: int,
    body_nconsts: int,
    checkpoints: Any = None,
) -> list[Any]:
    # Constants of condition and body need not be in the state: the regions see what is outside.
    cond_consts = operands[:cond_nconsts]
    body_consts = operands[cond_nconsts : cond_nconsts + body_nconsts]
    init = operands[cond_nconsts + body_nconsts :]
    test, step = _scoped(ctx, "while", "cond"), _scoped(ctx, "while", "body")
    if cond_jaxpr.out_avals[0].shape:
        return _batched_while(ctx, cond_consts, body_consts, init, cond_jaxpr, body_jaxpr)

    def condition(state: list[Any]) -> Any:
        return test.inline(cond_jaxpr, [*cond_consts, *state])[0]

    def body(state: list[Any]) -> list[Any]:
        return step.inline(body_jaxpr, [*body_consts, *state])

    effects = body_jaxpr.effects | cond_jaxpr.effects
    if not ordered_effects.filter_in(cond_jaxpr.effects):
        return while_loop(ctx, ctx.avals_out, init, condition, body, effects)

    # A condition gives no token back: here it is computed outside, before the first step and after each.
    def body_and_condition(state: list[Any]) -> list[Any]:
        new = body(state[1:])
        return [condition(new), *new]

    avals, start = [_FLAG, *ctx.avals_out], [condition(list(init)), *init]
    return while_loop(ctx, avals, start, lambda state: state[0], body_and_condition, effects)[1:]


def _batched_while(
    ctx: Any, cond_consts: Any, body_consts: Any, init: Any, cond_jaxpr: ClosedJaxpr, body_jaxpr: ClosedJaxpr
) -> list[Any]:
    """Each lane runs while its own predicate holds; the loop runs while any lane does."""
    from .reductions import reduce_with

    predicate = cond_jaxpr.out_avals[0]
    program = body_jaxpr.jaxpr
    carried = program.invars[len(body_consts) :]
    unchanged = [old is new for old, new in zip(carried, program.outvars, strict=True)]
    test, step = _scoped(ctx, "while", "cond"), _scoped(ctx, "while", "body")

    def condition(state: list[Any]) -> Any:
        lanes = test.inline(cond_jaxpr, [*cond_consts, *state])[0]
        return reduce_with(test, "stablehlo.or", lanes, False, range(predicate.ndim), _FLAG)

    def body(state: list[Any]) -> list[Any]:
        lanes = step.inline(cond_jaxpr, [*cond_consts, *state])[0]
        new = step.inline(body_jaxpr, [*body_consts, *state])
        return [
            y if same else _where(step, lanes, predicate, x, y, aval)
            for x, y, aval, same in zip(new, state, ctx.avals_out, unchanged, strict=True)
        ]

    return while_loop(ctx, ctx.avals_out, init, condition, body, body_jaxpr.effects)


def _where(ctx: Any, lanes: Any, predicate: Any, x: Any, y: Any, aval: Any) -> Any:
    from ..types import physical_aval

    shape = physical_aval(aval).shape
    if shape[: predicate.ndim] != predicate.shape:
        raise TypeError(
            f"A predicate of shape {predicate.shape} does not fit a loop state of shape {aval.shape}."
        )
    if shape != predicate.shape:
        dims = {"broadcast_dimensions": ctx.types.ints(range(predicate.ndim))}
        spread = ShapedArray(shape, predicate.dtype)
        lanes = ctx.op("stablehlo.broadcast_in_dim", (lanes,), spread, dims)
    return ctx.op("stablehlo.select", (lanes, x, y), aval)


def _record_while(ctx: Any, *operands: Any, **params: Any) -> list[Any]:
    from canter.lax.control_flow.reverse_while import record_program

    return ctx.inline(record_program(ctx.avals_in, params), operands)


def _choose_active(ctx: Any, active: Any, *values: Any) -> list[Any]:
    """Without a batch every step that is asked about is taken."""
    return list(values[: len(values) // 2])


def _borrow_active(ctx: Any, active: Any, *values: Any) -> list[Any]:
    return list(values)


# Scan


def _row_aval(aval: Any) -> Any:
    return aval.update(shape=aval.shape[1:])


def _read_row(ctx: Any, array: Any, aval: Any, index: Any) -> Any:
    """The row of an array at an index known at run time."""
    zeros = [ctx.constant(0, np.dtype(np.int32)) for _ in aval.shape[1:]]
    piece = aval.update(shape=(1, *aval.shape[1:]))
    row = dynamic_slice(ctx, array, [index, *zeros], _COUNTER.dtype, piece)
    return reshape(ctx, row, _row_aval(aval))


def _write_row(ctx: Any, array: Any, aval: Any, row: Any, index: Any) -> Any:
    zeros = [ctx.constant(0, np.dtype(np.int32)) for _ in aval.shape[1:]]
    piece = reshape(ctx, row, aval.update(shape=(1, *aval.shape[1:])))
    return dynamic_update_slice(ctx, array, piece, [index, *zeros], _COUNTER.dtype, aval)


def _static_row(ctx: Any, array: Any, aval: Any, index: int) -> Any:
    starts, limits = [0] * aval.ndim, list(aval.shape)
    starts[0], limits[0] = index, index + 1
    piece, _ = slice_(ctx, array, aval, starts, limits)
    return reshape(ctx, piece, _row_aval(aval))


def _stack_rows(ctx: Any, rows: list[Any], aval: Any) -> Any:
    if not rows:
        return ctx.full(0, aval)
    piece = aval.update(shape=(1, *aval.shape[1:]))
    return concatenate(ctx, [reshape(ctx, row, piece) for row in rows], aval, 0)


class _Scan:
    """The parts of a scan equation, and how one step of it is emitted."""

    def __init__(
        self, ctx: Any, operands: Any, jaxpr: ClosedJaxpr, num_consts: int, num_carry: int, reverse: bool
    ):
        self.ctx = ctx
        self.body = _scoped(ctx, "while", "body")
        self.jaxpr = jaxpr
        self.consts = list(operands[:num_consts])
        self.carry = list(operands[num_consts : num_consts + num_carry])
        self.xs = list(operands[num_consts + num_carry :])
        self.num_carry = num_carry
        self.reverse = reverse
        self.carry_avals = list(ctx.avals_out[:num_carry])
        self.x_avals = list(ctx.avals_in[num_consts + num_carry :])
        self.y_avals = list(ctx.avals_out[num_carry:])
        self.packed_xs, self.packed_ys = Packing(self.x_avals), Packing(self.y_avals)

    def step(self, carry: Sequence[Any], rows: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """New carry and the rows of the outputs."""
        results = self.body.inline(self.jaxpr, [*self.consts, *carry, *rows])
        return results[: self.num_carry], results[self.num_carry :]

    def unrolled(self, length: int) -> list[Any]:
        """All steps one after another, without a loop."""
        carry, outputs = self.carry, []
        order = range(length - 1, -1, -1) if self.reverse else range(length)
        for index in order:
            rows = [
                _static_row(self.body, x, aval, index) for x, aval in zip(self.xs, self.x_avals, strict=True)
            ]
            carry, ys = self.step(carry, rows)
            outputs.append(ys)
        if self.reverse:
            outputs.reverse()
        columns = zip(*outputs, strict=True) if outputs else [() for _ in self.y_avals]
        stacked = [
            _stack_rows(self.body, list(column), aval)
            for column, aval in zip(columns, self.y_avals, strict=True)
        ]
        return [*carry, *stacked]

    def looped(self, length: int, unroll: int) -> list[Any]:
        """A loop that takes `unroll` steps at a time; the steps left over follow it."""
        ctx, body = self.ctx, self.body
        if not surely_less(unroll, length):
            unroll = 1
        turns = length // unroll
        if ctx.module_context.small_loops:  # for kernels of their own, rows are better read one by one
            self.packed_xs, self.packed_ys = Packing(self.x_avals, 8), Packing(self.y_avals, 8)
        self.xs = self.packed_xs.join(ctx, self.xs, (length,))
        ys = [ctx.full(0, aval) for aval in self.packed_ys.avals]
        zero = ctx.constant(0, _COUNTER.dtype)
        avals = [_COUNTER, *self.carry_avals, *self.packed_ys.avals]

        def condition(state: list[Any]) -> Any:
            return ctx.compare("LT", state[0], _number(ctx, turns * unroll), _COUNTER)

        def advance(count: Any, steps: int) -> Any:
            return body.op("stablehlo.add", (count, body.constant(steps, _COUNTER.dtype)), _COUNTER)

        def run(state: list[Any]) -> list[Any]:
            count, carry, outputs = state[0], state[1 : 1 + self.num_carry], state[1 + self.num_carry :]
            for offset in range(unroll):
                carry, outputs = self.step_at(
                    advance(count, offset) if offset else count, length, carry, outputs
                )
            return [advance(count, unroll), *carry, *outputs]

        results = while_loop(ctx, avals, [zero, *self.carry, *ys], condition, run, self.jaxpr.effects)[1:]
        carry, outputs = results[: self.num_carry], results[self.num_carry :]
        if is_symbolic_dim(length):
            return self.left_over(turns * unroll, length, carry, outputs)
        for count in range(turns * unroll, length):
            carry, outputs = self.step_at(ctx.constant(count, _COUNTER.dtype), length, carry, outputs)
        return [*carry, *self.packed_ys.part(ctx, outputs, (length,))]

    def left_over(self, done: Any, length: Any, carry: Any, outputs: Any) -> list[Any]:
        """The steps after the last whole turn where their number is not known: a loop of single steps."""
        if not is_symbolic_dim(length - done) and length - done == 0:
            return [*carry, *self.packed_ys.part(self.ctx, outputs, (length,))]
        ctx, body = self.ctx, self.body
        avals = [_COUNTER, *self.carry_avals, *self.packed_ys.avals]

        def run(state: list[Any]) -> list[Any]:
            count = state[0]
            own, rows = self.step_at(
                count, length, state[1 : 1 + self.num_carry], state[1 + self.num_carry :]
            )
            following = body.op("stablehlo.add", (count, body.constant(1, _COUNTER.dtype)), _COUNTER)
            return [following, *own, *rows]

        def condition(state: list[Any]) -> Any:
            return ctx.compare("LT", state[0], _number(ctx, length), _COUNTER)

        state = [_number(ctx, done), *carry, *outputs]
        results = while_loop(ctx, avals, state, condition, run, self.jaxpr.effects)[1:]
        carry, outputs = results[: self.num_carry], results[self.num_carry :]
        return [*carry, *self.packed_ys.part(ctx, outputs, (length,))]

    def step_at(self, count: Any, length: int, carry: Any, outputs: Any) -> tuple[list[Any], list[Any]]:
        """One step of the loop, reading and writing the rows at a counter."""
        body, row = self.body, count
        if self.reverse:
            row = body.op("stablehlo.subtract", (_number(body, length - 1), count), _COUNTER)
        rows = [_read_row(body, x, aval, row) for x, aval in zip(self.xs, self.packed_xs.avals, strict=True)]
        carry, ys = self.step(carry, self.packed_xs.part(body, rows))
        new_rows = zip(outputs, self.packed_ys.avals, self.packed_ys.join(body, ys), strict=True)
        written = [_write_row(body, array, aval, y, row) for array, aval, y in new_rows]
        return carry, written


def _number(ctx: Any, value: Any) -> Any:
    """A number of steps."""
    if not is_symbolic_dim(value):
        return ctx.constant(value, _COUNTER.dtype)
    from ..dynamic import dimension_value

    return dimension_value(ctx.module_context, value, ctx.location)


def _scan(
    ctx: Any,
    *operands: Any,
    jaxpr: Any,
    length: int,
    reverse: bool,
    unroll: int,
    num_consts: int,
    num_carry: int,
    linear: Any = None,
    _split_transpose: bool = False,
    **params: Any,
) -> list[Any]:
    """`linear` and `_split_transpose` only tell the transpose rule something.

    Constants and scanned arrays stay outside of the loop's state: the body sees them, and the compiler need
    not prove that they do not change.
    """
    if params:
        raise NotImplementedError(f"scan does not know the parameters {sorted(params)}.")
    scan = _Scan(ctx, operands, jaxpr, num_consts, num_carry, reverse)
    if surely_less(length, unroll + 1):
        return scan.unrolled(length)
    return scan.looped(length, unroll)


register_table(
    {
        "borrow_active": _borrow_active,
        "choose_active": _choose_active,
        "cond": _cond,
        "custom_linear_solve": _linear_solve,
        "platform_index": _platform_index,
        "record_while": _record_while,
        "while": _while,
        "scan": _scan,
    }
)
