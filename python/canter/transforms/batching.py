"""Vectorization: pushing a batch axis through the primitives' rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core import config
from ..core.avals import ShapedArray, get_aval
from ..core.errors import ShardingTypeError
from ..core.jaxpr import ClosedJaxpr, eval_jaxpr
from ..core.mesh import explicit_mesh
from ..core.primitive import Primitive
from ..core.trace import Trace, Tracer, extend_axis_environment, references, state, swap_trace
from ..core.tracing import infer_avals, trace_to_jaxpr
from .rules import array_ops, broadcast, matchaxis, not_mapped

__all__ = [
    "BatchTrace",
    "BatchTracer",
    "axes_of_batches",
    "batch_flat",
    "batch_jaxpr",
    "not_mapped",
    "splitting",
]

_unbatched: dict[tuple[Any, int], Any] = {}


# The mesh axes over which the batches of the vmaps around are split: functions are traced anew for others. None until
# `spmd_axis_name` is used: no other call pays.
_split: list[Any] = []


def axes_of_batches() -> frozenset[Any]:
    """The mesh axes that cut the batches of the vmaps around."""
    return _split[0].value if _split else frozenset()


def splitting(names: Sequence[Any]) -> Any:
    """A context in which mesh axes cut the batch of a vmap."""
    if not _split:
        _split.append(config.make_user_context(frozenset()))
    return _split[0](axes_of_batches().union(names))


def unbatched_aval(aval: ShapedArray, dim: int) -> ShapedArray:
    """The aval of one element along an axis."""
    key = (aval, dim)
    known = _unbatched.get(key)
    if known is None:
        if len(_unbatched) > 8192:
            _unbatched.clear()
        if not isinstance(aval, ShapedArray):  # a reference
            return aval.update(inner_aval=unbatched_aval(aval.inner_aval, dim))
        shape = aval.shape
        kept = shape[:dim] + shape[dim + 1 :]
        layout = aval.layout
        if layout is not None:
            from ..core.explicit import without_dimension  # few programs have layouts in their types

            layout = without_dimension(layout, dim)
        known = _unbatched[key] = aval.update(shape=kept, layout=layout)
    return known


def batched_aval(aval: ShapedArray, dim: int | None, size: int, axes: tuple[Any, ...] = ()) -> ShapedArray:
    """The aval with an axis of the given size put in, which `axes` of the mesh split."""
    if dim is None:
        return aval
    shape = aval.shape
    batched = aval.update(shape=(*shape[:dim], size, *shape[dim:]))
    if aval.layout is None and not axes:
        return batched
    from ..core.explicit import with_dimension

    return batched.update(layout=with_dimension(aval, dim, axes))


class BatchTracer(Tracer):
    """One element of a batch; the whole batch is in `value`, its axis is `dim`."""

    __slots__ = ("dim", "value")

    def __init__(self, trace: BatchTrace, value: Any, dim: int):
        self._trace = trace
        self.aval = unbatched_aval(get_aval(value), dim)
        self.value = value
        self.dim = dim

    def _describe(self) -> str:
        return f" with value={self.value!r} and batch axis {self.dim}"


def _shape_error(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Exception | None:
    """What the primitive's shape rule has against the types of one example: those are what the user sees."""
    try:
        infer_avals(primitive, tuple(get_aval(arg) for arg in args), params)
    except (TypeError, ValueError) as error:
        return error
    return None


class BatchTrace(Trace):
    """Propagates a batch axis.

    Args:
      parent: the trace in which rules run.
      size: the size of the batch axis.
      name: by which collectives refer to the axis, or None.
      spmd_name: mesh axes over which the batch axis may be sharded, or None.
    """

    __slots__ = ("alive", "name", "parent", "size", "spmd_name")
    is_batch = True

    def __init__(self, parent: Any, size: int, name: Any = None, spmd_name: Any = None):
        self.parent = parent
        self.size = size
        self.name = name
        self.spmd_name = spmd_name
        self.alive = True

    @property
    def explicit_mesh_axis(self) -> Any:
        """The mesh axes that split the batch axis, where there are explicit ones."""
        return self.spmd_name if explicit_mesh() is not None else None

    def is_alive(self) -> bool:
        return self.alive

    def unpack(self, args: Sequence[Any]) -> tuple[list[Any], list[int | None], bool]:
        """Values, batch axes, and whether any value has one."""
        values: list[Any] = []
        dims: list[int | None] = []
        mapped = False
        for arg in args:
            if type(arg) is BatchTracer and arg._trace is self:
                values.append(arg.value)
                dims.append(arg.dim)
                mapped = True
            else:
                values.append(arg)
                dims.append(None)
        return values, dims, mapped

    def pack(self, value: Any, dim: int | None) -> Any:
        """The value and its axis as one tracer; a value without the axis stays as it is."""
        return value if dim is None else BatchTracer(self, value, dim)

    def concerns(self, primitive: Primitive, params: dict[str, Any]) -> bool:
        """True when a primitive refers to this trace's axis by name, itself or in an inner program."""
        if self.name is None:
            return False
        if primitive.call_primitive:
            return True
        names = params.get("axes") or params.get("axis_name") or ()
        return self.name in (names if isinstance(names, (tuple, list)) else (names,))

    def process(self, primitive: Primitive, args: Any, params: dict[str, Any]) -> Any:
        if references.in_use and primitive.call_primitive and references.concern(primitive, args, params):
            return references.apply(primitive, args, params)
        values, dims, mapped = self.unpack(args)
        axis_rule = primitive.axis_batch_rule
        previous = swap_trace(self.parent)
        try:
            if axis_rule is not None and (
                mapped or primitive.ref_allocating or self.concerns(primitive, params)
            ):
                outs, out_dims = axis_rule(self, values, dims, **params)
            elif not mapped:
                return self.parent.process(primitive, values, params)
            else:
                rule = primitive.batch_rule
                if rule is None:
                    raise NotImplementedError(
                        f"Primitive '{primitive.name}' has no batching rule. "
                        "Use `lax.map` instead of `vmap`, or declare one."
                    )
                outs, out_dims = rule(values, dims, **params)
        except (TypeError, ValueError):
            refusal = _shape_error(primitive, args, params)
            if refusal is None:
                raise
            raise refusal from None
        except ShardingTypeError:
            if primitive.batch_rule is None or None not in dims or not self.explicit_mesh_axis:
                raise
            outs, out_dims = primitive.batch_rule(*self._split_alike(values, dims), **params)
        finally:
            swap_trace(previous)
        if primitive.multiple_results:
            return [o if d is None else BatchTracer(self, o, d) for o, d in zip(outs, out_dims, strict=True)]
        return outs if out_dims is None else BatchTracer(self, outs, out_dims)

    def _split_alike(self, values: Sequence[Any], dims: Sequence[int | None]) -> tuple[list[Any], list[Any]]:
        """Operands that all have the batch axis, split alike: rules that repeat an operand leave the repeats whole."""
        from ..core.explicit import with_dimension

        repeated = []
        for value, dim in zip(values, dims, strict=True):
            aval = get_aval(value)
            if dim is None and aval.shape:
                layout = with_dimension(aval, 0, self.explicit_mesh_axis)
                value = array_ops.resharded(broadcast(value, self.size, 0), layout)
            repeated.append((value, 0 if dim is None and aval.shape else dim))
        return [value for value, _ in repeated], [dim for _, dim in repeated]

    def process_custom_jvp(self, primitive: Any, fun: Any, jvp: Any, args: Any, params: Any) -> Any:
        values, dims, mapped = self.unpack(args)
        previous = swap_trace(self.parent)
        try:
            if not mapped:
                return self.parent.process_custom_jvp(primitive, fun, jvp, values, params)
            outs, out_dims = primitive.apply_batched(self, fun, jvp, values, dims, params)
        finally:
            swap_trace(previous)
        return [self.pack(o, d) for o, d in zip(outs, out_dims, strict=True)]

    def process_custom_vjp(self, primitive: Any, fun: Any, fwd: Any, bwd: Any, args: Any, params: Any) -> Any:
        values, dims, mapped = self.unpack(args)
        previous = swap_trace(self.parent)
        try:
            if not mapped:
                return self.parent.process_custom_vjp(primitive, fun, fwd, bwd, values, params)
            outs, out_dims = primitive.apply_batched(self, fun, fwd, bwd, values, dims, params)
        finally:
            swap_trace(previous)
        return [self.pack(o, d) for o, d in zip(outs, out_dims, strict=True)]


def batch_flat(
    fun: Callable[..., Sequence[Any]],
    args: Sequence[Any],
    dims: Sequence[int | None],
    size: int,
    name: Any = None,
    spmd_name: Any = None,
) -> tuple[list[Any], list[int | None]]:
    """Applies a flat function to a batch: the results, and where their batch axes are."""
    trace = BatchTrace(state.trace, size, name, spmd_name)
    inputs = [trace.pack(x, dim) for x, dim in zip(args, dims, strict=True)]
    previous = swap_trace(trace)
    try:
        if name is None:
            outs = list(fun(*inputs))
        else:
            with extend_axis_environment(name, size):
                outs = list(fun(*inputs))
    finally:
        trace.alive = False
        swap_trace(previous)
    values, out_dims, _ = trace.unpack(outs)
    if config.check_tracer_leaks.value:
        from ..core.leaks import check_leaks

        del inputs, outs
        check_leaks(trace, "the function under vmap")
    return values, out_dims


def batch_jaxpr(
    closed: ClosedJaxpr,
    size: int,
    dims: Sequence[int | None],
    out_dims: Sequence[int | None] | bool | None = None,
    name: Any = None,
    spmd_name: Any = None,
) -> tuple[ClosedJaxpr, list[int | None]]:
    """The batched program.

    Args:
      closed: the program.
      size: the batch size.
      dims: batch axes of the arguments.
      out_dims: where the results' batch axes are to be; for each result an axis, or None to leave it
        where it falls; True puts them all in front.
      name: the axis' name.
      spmd_name: mesh axes of the batch axis.

    Returns:
      The jaxpr, and where the results' batch axes are.
    """
    wanted = (0,) * len(closed.jaxpr.outvars) if out_dims is True else out_dims and tuple(out_dims)
    key = ("batch", size, tuple(dims), wanted, name, spmd_name, spmd_name and explicit_mesh())
    known = closed.memo.get(key)
    if known is not None:
        return known
    found: list[int | None] = []

    def batched(*args: Any) -> list[Any]:
        outs, places = batch_flat(
            lambda *xs: eval_jaxpr(closed.jaxpr, closed.consts, *xs), args, dims, size, name, spmd_name
        )
        if wanted:
            pairs = [
                (x, place) if want is None else (matchaxis(size, place, want, x), want)
                for x, place, want in zip(outs, places, wanted, strict=True)
            ]
            outs, places = [x for x, _ in pairs], [place for _, place in pairs]
        found.extend(places)
        return outs

    in_avals = [
        batched_aval(aval, dim, size, spmd_name or ())
        for aval, dim in zip(closed.in_avals, dims, strict=True)
    ]
    result = trace_to_jaxpr(batched, in_avals, debug_info=closed.jaxpr.debug_info)
    closed.memo[key] = (result, found)
    return result, found
