"""Calls of exported programs: their functions become private functions of the module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from canter.core.dimensions import has_symbolic_shapes
from canter.core.dtypes import float0

from ..artifacts import for_platform, merge, read_artifact
from ..mlir_door import ir
from ..refinement import converted
from ..registry import register_table
from .placement import constrained

__all__: list[str] = []

_create = ir.Operation.create
_LAPACK = (b"lapack_", b"tridiagonal_solve_perturbed_ffi")  # what the names of its kernels have in them


def _call_exported(ctx: Any, *operands: Any, exported: Any) -> list[Any]:
    """A call of the program's main function, with what its calling convention puts before the arguments."""
    module = ctx.module_context
    _check_devices(module, exported)
    platforms = module.platforms if module.chosen is None else (module.chosen,)
    numbers = [_platform_number(exported, platform, platforms) for platform in platforms]
    symbol = _function(ctx, exported, numbers)
    effects = exported.ordered_effects
    tokens = module.tokens_of(effects)
    given = [i for i, aval in enumerate(exported.in_avals) if aval.dtype != float0]
    values = dict(zip(given, operands, strict=True))
    kept = [
        constrained(ctx, values[i], exported._in_named_shardings[i]) for i in exported.module_kept_var_idx
    ]
    leading = []
    if len(exported.platforms) > 1:
        if len(numbers) > 1:
            leading = [_platform_index(ctx, numbers)]
        elif has_symbolic_shapes(exported.in_avals):
            leading = [ctx.constant(numbers[0], np.dtype(np.int32))]
    types = [ctx.types.token() for _ in tokens] + [ctx.types.of(aval) for aval in ctx.avals_out]
    callee = {"callee": ctx.types.symbol(symbol)}
    inputs, inner_types = [*leading, *tokens, *kept], types
    if has_symbolic_shapes(exported.in_avals):
        inner = ir.FunctionType(ir.TypeAttr(module.symbol_table[symbol].attributes["function_type"]).value)
        inputs, inner_types = list(converted(inputs, inner.inputs, ctx.location)), list(inner.results)
        module.module.operation.attributes["jax.uses_shape_polymorphism"] = ctx.types.boolean(True)
    results = list(_create("func.call", inner_types, inputs, callee, loc=ctx.location).results)
    results = converted(results, types, ctx.location)
    module.set_tokens(effects, results[: len(tokens)])
    return [
        constrained(ctx, value, sharding)
        for value, sharding in zip(results[len(tokens) :], exported._out_named_shardings, strict=True)
    ]


def _check_devices(module: Any, exported: Any) -> None:
    places = module.device_places
    count = 1 if places is None else len(places)
    asked = exported._in_named_shardings + exported._out_named_shardings
    anywhere = exported.nr_devices == 1 and all(s is None or s.mesh.size <= 1 for s in asked)
    if exported.nr_devices != count and not anywhere:
        raise ValueError(
            f"Function '{exported.fun_name}' was exported for {exported.nr_devices} devices and is called in a program "
            f"that runs on {count}. Bring its arguments to {exported.nr_devices} devices first, with shardings such as "
            "exported.in_shardings_jax(mesh), or export it for the devices at hand."
        )


def _platform_number(exported: Any, platform: str, used: Sequence[str]) -> int:
    """Which of the program's platforms one of the module's is."""
    if platform in exported.platforms:
        return int(exported.platforms.index(platform))
    if any(check._impl == "platform" for check in exported.disabled_safety_checks):
        return 0
    raise ValueError(
        f"Function '{exported.fun_name}' was exported for platforms '{exported.platforms}' but it is used on "
        f"'{tuple(used)}'. Export it with platforms=[..., {platform!r}], or with the check "
        "DisabledSafetyCheck.platform() disabled if it does not depend on the platform."
    )


def _platform_index(ctx: Any, numbers: Sequence[int]) -> Any:
    """The program's number of the platform, from the module's."""
    index = ctx.module_context.platform_index
    if list(numbers) == list(range(len(numbers))):
        return index
    operation = _create("stablehlo.case", (index.type,), (index,), regions=len(numbers), loc=ctx.location)
    for region, number in zip(operation.regions, numbers, strict=True):
        with ctx.module_context.block(region, ()):
            ctx.return_([ctx.constant(number, np.dtype(np.int32))])
    return operation.result


def _function(ctx: Any, exported: Any, numbers: Sequence[int]) -> str:
    """The symbol of the program's main function, moved into the module when it is first called."""
    module = ctx.module_context
    several = len(exported.platforms) > 1
    # With symbolic shapes the choice is made when these are filled in.
    simple = several and len(numbers) == 1 and not has_symbolic_shapes(exported.in_avals)
    for_one = numbers[0] if simple else None
    key = "call_exported", id(exported), for_one
    symbol = module.functions.get(key)
    if symbol is None:
        data = exported.safe_module()
        if any(name in data for name in _LAPACK):
            from .linalg import register_lapack

            register_lapack()
        if for_one is None:
            inner = read_artifact(data, module.context)
        else:
            inner = ir.Module.parse(for_platform(data, for_one), module.context)
        symbol = module.functions[key] = merge(module, inner, f"call_exported_{exported.fun_name}")
        module.identified.append(exported)
        if several and for_one is None:
            module.module.operation.attributes["jax.uses_shape_polymorphism"] = ctx.types.boolean(True)
    return symbol


register_table({"call_exported": _call_exported})
