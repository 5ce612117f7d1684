"""Equations that call Python."""

from __future__ import annotations

from typing import Any

from ..callbacks import ShardingInspection, emit_inspection, emit_python_callback
from ..registry import register_table

__all__: list[str] = []


def _call(
    ctx: Any, callback: Any, operands: Any, effects: Any, sharding: Any, partitioned: bool = False
) -> Any:
    """A call that takes part in the order of the effects that are ordered."""
    module = ctx.module_context
    tokens = module.tokens_of(effects)
    results, token, _ = emit_python_callback(
        ctx,
        callback,
        tokens[0] if tokens else None,
        operands,
        ctx.avals_in,
        ctx.avals_out,
        has_side_effect=bool(effects),
        partitioned=partitioned,
        sharding=sharding,
    )
    if tokens:
        module.set_tokens(effects, [token])
    return results


def _pure(ctx: Any, *operands: Any, callback: Any, sharding: Any, **params: Any) -> Any:
    return _call(ctx, callback, operands, (), "first" if sharding is None else sharding)


def _io(ctx: Any, *operands: Any, callback: Any, sharding: Any, ordered: bool, **params: Any) -> Any:
    return _call(ctx, callback, operands, ctx.eqn.effects, "first" if sharding is None else sharding)


def _debug(ctx: Any, *operands: Any, callback: Any, effect: Any, partitioned: bool) -> Any:
    return _call(
        ctx, callback, operands, (effect,), _debug_sharding(ctx, (effect,), partitioned), partitioned
    )


def _print(ctx: Any, *operands: Any, partitioned: bool, ordered: bool, **params: Any) -> Any:
    from canter.lax.callbacks import Printed

    effects = ctx.eqn.effects
    printed = Printed(**params)
    return _call(ctx, printed, operands, effects, _debug_sharding(ctx, effects, partitioned), partitioned)


def _debug_sharding(ctx: Any, effects: Any, partitioned: bool) -> Any:
    """Ordered programs run on one device; partitioned calls happen on all."""
    return None if partitioned or ctx.module_context.tokens_of(effects) else "first"


def _inspect(ctx: Any, operand: Any, *, callback: Any) -> list[Any]:
    inspection = ShardingInspection(callback, ctx.avals_in[0].ndim)
    ctx.module_context.keepalives.append(inspection)
    if len(ctx.module_context.device_places or ()) > 1:
        emit_inspection(ctx, operand, inspection)
    return []


register_table(
    {
        "pure_callback": _pure,
        "io_callback": _io,
        "debug_callback": _debug,
        "debug_print": _print,
        "inspect_sharding": _inspect,
    }
)
