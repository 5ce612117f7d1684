"""Calls of library kernels on matrices, and what is done with their results.

The conventions are those of the kernels that jaxlib and its plugins ship: matrices in column-major layout over the
last two dimensions, any number of batch dimensions in front, an int32 for each matrix that says whether
the routine succeeded. Where it did not, results are NaN.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from canter.core.avals import ShapedArray
from canter.core.dimensions import has_symbolic_shapes, is_symbolic_dim, min_dim

from ..mlir_door import ir, stablehlo_attributes
from .elementwise import _real_dtype
from .shapes import broadcast_in_dim, iota, slice_

__all__ = [
    "Matrix", "adjoint", "all_nan", "check_algorithm", "conj", "corner", "custom_call", "full_range", "info_of", "like",
    "nan_where_failed", "old_custom_call", "padded_columns", "shapes", "size_constant", "triangle", "where_batch",
]  # fmt: skip

INT32, BOOL = np.dtype(np.int32), np.dtype(bool)


class Matrix(NamedTuple):
    """Shape and dtype of an operand or result whose last two dimensions LAPACK reads by columns."""

    aval: Any


def _layout(ctx: Any, kind: Any) -> Any:
    ndim = _aval(kind).ndim
    order = list(range(ndim - 1, -1, -1))
    if isinstance(kind, Matrix):
        order[0], order[1] = order[1], order[0]

    def build() -> Any:
        return ir.DenseIntElementsAttr.get(np.asarray(order, np.int64), type=_index_type(ndim))

    return ctx.types._memo(("layout", tuple(order)), build)


def _index_type(size: int) -> Any:
    return ir.RankedTensorType.get([size], ir.IndexType.get())


def custom_call(
    ctx: Any,
    target: str,
    operands: Sequence[Any],
    kinds_in: Sequence[Any],
    kinds_out: Sequence[Any],
    config: dict[str, Any] | None = None,
    aliases: dict[int, int] | None = None,
    batch: int | None = None,
) -> list[Any]:
    """Calls a kernel of XLA's typed foreign-function interface.

    Args:
      kinds_in, kinds_out: an aval, or `Matrix(aval)`, for each operand and result.
      config: attributes of the call.
      aliases: result -> operand whose memory it takes over.
      batch: how many leading dimensions the kernel treats one by one, which may be sharded; None where it
        is not known to.
    """
    types = ctx.types
    alias = stablehlo_attributes.OutputOperandAlias.get
    several = len(kinds_out) > 1
    attributes = {
        "call_target_name": types.string(target),
        "api_version": types.integer(4, 32),
        "backend_config": ir.DictAttr.get(config or {}),
        "operand_layouts": ir.ArrayAttr.get([_layout(ctx, kind) for kind in kinds_in]),
        "result_layouts": ir.ArrayAttr.get([_layout(ctx, kind) for kind in kinds_out]),
        "output_operand_aliases": ir.ArrayAttr.get(
            [alias([out] if several else [], operand, []) for out, operand in (aliases or {}).items()]
        ),
    }
    avals = [_aval(kind) for kind in kinds_out]
    if batch is not None:
        attributes["mhlo.frontend_attributes"] = ir.DictAttr.get({"num_batch_dims": types.string(str(batch))})
        rule = _sharding_rule([_aval(kind) for kind in kinds_in], avals, batch)
        if rule is not None:
            attributes["sdy.sharding_rule"] = types.parsed(rule)
    return list(ctx.build("stablehlo.custom_call", operands, avals, attributes).results)


def _aval(kind: Any) -> Any:
    return kind.aval if isinstance(kind, Matrix) else kind


def _sharding_rule(ins: Sequence[Any], outs: Sequence[Any], batch: int) -> str | None:
    """Shardy's rule for a kernel: batch dimensions are one factor each, all others are factors of their own.

    None where there are more dimensions than letters for them, or where sizes are symbolic.
    """
    if has_symbolic_shapes([*ins, *outs]):
        return None
    names = iter(string.ascii_lowercase[8:])
    shared = [next(names, "") for _ in range(batch)]
    sizes: dict[str, int] = {}

    def factors(aval: Any) -> str:
        own = [*shared, *(next(names, "") for _ in aval.shape[batch:])]
        sizes.update(zip(own, aval.shape, strict=True))
        return f"[{', '.join(own)}]"

    left, right = (", ".join(map(factors, avals)) for avals in (ins, outs))
    if "" in sizes:
        return None
    listed = ", ".join(f"{name}={size}" for name, size in sizes.items())
    return f"#sdy.op_sharding_rule<({left})->({right}) {{{listed}}}, custom>"


def old_custom_call(
    ctx: Any, target: str, operands: Sequence[Any], outs: Sequence[Any], config: str = "", version: int = 1
) -> list[Any]:
    """Calls what XLA itself knows by name, with a string of options and default layouts."""
    attributes = {"call_target_name": ctx.types.string(target), "backend_config": ctx.types.string(config)}
    if version != 1:
        attributes["api_version"] = ctx.types.integer(version, 32)
    return list(ctx.build("stablehlo.custom_call", operands, outs, attributes).results)


def nan_where_failed(
    ctx: Any, info: Any, batch: tuple[int, ...], values: Sequence[Any], avals: Any
) -> list[Any]:
    """NaN instead of the results of matrices for which the routine reported failure."""
    status = ShapedArray(batch, INT32)
    good = ctx.compare("EQ", info, ctx.full(0, status), status)
    return [where_batch(ctx, good, batch, x, all_nan(ctx, aval), aval) for x, aval in zip(values, avals)]


def all_nan(ctx: Any, aval: Any) -> Any:
    """An array of NaN; both parts of a complex number are."""
    return ctx.full(complex(np.nan, np.nan) if aval.dtype.kind == "c" else np.nan, aval)


def where_batch(ctx: Any, flags: Any, batch: tuple[int, ...], x: Any, y: Any, aval: Any) -> Any:
    """x for the matrices of a batch where the flags hold, else y."""
    if batch:
        flags = broadcast_in_dim(ctx, flags, ShapedArray(aval.shape, BOOL), range(len(batch)))
    return ctx.op("stablehlo.select", (flags, x, y), aval)


def size_constant(ctx: Any, size: Any) -> Any:
    """A size as an i32."""
    if not is_symbolic_dim(size):
        return ctx.constant(size, INT32)
    from ..dynamic import dimension_value

    return dimension_value(ctx.module_context, size, ctx.location)


def shapes(aval: Any) -> tuple[tuple[int, ...], int, int]:
    """Batch dimensions, rows, columns."""
    return aval.shape[:-2], aval.shape[-2], aval.shape[-1]


def like(aval: Any, *shape: int) -> Any:
    """An array of the batch dimensions of a matrix, and others behind them."""
    return ShapedArray((*aval.shape[:-2], *shape), aval.dtype)


def info_of(aval: Any) -> Any:
    """The statuses of a batch of matrices."""
    return ShapedArray(aval.shape[:-2], INT32)


def triangle(ctx: Any, x: Any, aval: Any, lower: bool) -> Any:
    """The matrix with zeros outside of one triangle."""
    indices = ShapedArray(aval.shape, INT32)
    rows, columns = iota(ctx, indices, aval.ndim - 2), iota(ctx, indices, aval.ndim - 1)
    keep = ctx.compare("GE" if lower else "LE", rows, columns, indices)
    return ctx.op("stablehlo.select", (keep, x, ctx.full(0, aval)), aval)


def with_real_diagonal(ctx: Any, x: Any, aval: Any) -> Any:
    """Complex matrices without the imaginary part of the diagonal, at which LAPACK does not look."""
    indices, part = ShapedArray(aval.shape, INT32), ShapedArray(aval.shape, _real_dtype(aval.dtype))
    rows, columns = iota(ctx, indices, aval.ndim - 2), iota(ctx, indices, aval.ndim - 1)
    diagonal = ctx.compare("EQ", rows, columns, indices)
    real = ctx.op("stablehlo.complex", (ctx.op("stablehlo.real", (x,), part), ctx.full(0, part)), aval)
    return ctx.op("stablehlo.select", (diagonal, real, x), aval)


def conj(ctx: Any, x: Any, aval: Any) -> Any:
    """The complex conjugate; x itself where it is real."""
    if aval.dtype.kind != "c":
        return x
    part = ShapedArray(aval.shape, _real_dtype(aval.dtype))
    real, imaginary = ctx.op("stablehlo.real", (x,), part), ctx.op("stablehlo.imag", (x,), part)
    return ctx.op("stablehlo.complex", (real, ctx.op("stablehlo.negate", (imaginary,), part)), aval)


def corner(ctx: Any, x: Any, aval: Any, rows: int, columns: int) -> Any:
    """The first rows and columns of matrices."""
    limits = (*aval.shape[:-2], rows, columns)
    return x if limits == aval.shape else slice_(ctx, x, aval, (0,) * aval.ndim, limits)[0]


def adjoint(ctx: Any, x: Any, aval: Any) -> tuple[Any, Any]:
    """The conjugate transpose of matrices, and its aval."""
    last = aval.ndim - 1
    turned = like(aval, *aval.shape[:-3:-1])
    order = (*range(last - 1), last, last - 1)
    x = ctx.op("stablehlo.transpose", (x,), turned, {"permutation": ctx.types.ints(order)})
    return conj(ctx, x, turned), turned


def padded_columns(ctx: Any, x: Any, aval: Any, columns: int) -> Any:
    """Matrices with as many columns: the first ones, or zeros behind them."""
    kept = min_dim(columns, aval.shape[-1])
    if columns == kept:
        return corner(ctx, x, aval, aval.shape[-2], columns)
    types = ctx.types
    attributes = {
        "edge_padding_low": types.ints((0,) * aval.ndim),
        "edge_padding_high": types.ints((0,) * (aval.ndim - 1) + (columns - aval.shape[-1],)),
        "interior_padding": types.ints((0,) * aval.ndim),
    }
    wide = like(aval, aval.shape[-2], columns)
    return ctx.op("stablehlo.pad", (x, ctx.constant(0, aval.dtype)), wide, attributes)


# Options


def check_algorithm(ctx: Any, algorithm: Any, names: Sequence[str], where: str) -> str:
    """The upper-case name of an option; DEFAULT for None.

    Raises:
      NotImplementedError: it is not one of the names.
    """
    name = "DEFAULT" if algorithm is None else str(getattr(algorithm, "name", algorithm)).upper()
    if name not in names:
        raise NotImplementedError(
            f"'{ctx.primitive}' has no algorithm {name} on {where}; it has {', '.join(names)}."
        )
    return name


def full_range(ctx: Any, subset: Any, size: int) -> None:
    """Refuses a part of the values: kernels compute all of them."""
    if subset is not None and tuple(subset) != (0, size):
        raise NotImplementedError(f"'{ctx.primitive}' computes all values, not the subset {subset}.")
