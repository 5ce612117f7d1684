"""The `shard_map` equation: its types, derivatives, batching, and evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..core import config
from ..core.avals import ShapedArray, get_aval
from ..core.explicit import global_layout
from ..core.jaxpr import ClosedJaxpr, Jaxpr, eval_jaxpr, subjaxprs
from ..core.mesh import Mesh, current_context
from ..core.partition_spec import PartitionSpec
from ..core.primitive import Primitive
from ..core.sharding import NamedSharding
from ..core.tracing import trace_to_jaxpr
from ..lax.arithmetic import div
from ..lax.collectives import psum_p
from ..lax.conversion import full
from ..lax.manual import manual_region
from ..lax.shapes import reshape
from ..transforms.batching import axes_of_batches, batch_jaxpr
from ..transforms.jvp import jvp_jaxpr
from ..transforms.linearize import linearize_jaxpr
from ..transforms.partial_evaluation import close_over_nothing, dce_jaxpr
from ..transforms.transpose import transpose_jaxpr
from ..transforms.zeros import Zero, is_undefined_primal, tangents_by_flags

__all__ = ["Region", "global_aval", "local_aval", "shard_map_p"]

shard_map_p = Primitive("shard_map", multiple_results=True)
shard_map_p.call_primitive = True

_closed_forms: dict[int, ClosedJaxpr] = {}


def _closed(jaxpr: Jaxpr) -> ClosedJaxpr:
    """The closed form of a jaxpr without constants, the same object each time so that memos hold."""
    known = _closed_forms.get(id(jaxpr))
    if known is None or known.jaxpr is not jaxpr:
        if len(_closed_forms) > 1024:
            _closed_forms.clear()
        known = _closed_forms[id(jaxpr)] = ClosedJaxpr(jaxpr, [])
    return known


# --- types ----------------------------------------------------------------------------------------


def _axes_of(spec: PartitionSpec) -> frozenset[Any]:
    return frozenset(name for entry in spec.axes() for name in entry)


def _factors(spec: PartitionSpec, sizes: Any, ndim: int) -> list[int]:
    factors = [math.prod(sizes[name] for name in entry) for entry in spec.axes()]
    return factors + [1] * (ndim - len(factors))


def local_aval(aval: Any, spec: PartitionSpec, sizes: Any, axes: frozenset[Any], check_vma: bool) -> Any:
    """The type of a device's part of a value."""
    if not isinstance(aval, ShapedArray):
        return aval
    factors = _factors(spec, sizes, len(aval.shape))
    shape = tuple(size // factor for size, factor in zip(aval.shape, factors, strict=True))
    if not check_vma:
        return aval.update(shape=shape)
    varying = _axes_of(spec) | spec.unreduced
    if config.remove_size_one_mesh_axis_from_type.value:
        varying = frozenset(name for name in varying if sizes[name] > 1)
    return aval.update(shape=shape, vma=aval.vma | varying)


def global_aval(aval: Any, spec: PartitionSpec, sizes: Any, axes: frozenset[Any]) -> Any:
    """The type of the value whose parts have a type."""
    if not isinstance(aval, ShapedArray):
        return aval
    factors = _factors(spec, sizes, len(aval.shape))
    shape = tuple(size * factor for size, factor in zip(aval.shape, factors, strict=True))
    return aval.update(shape=shape, vma=aval.vma - axes)


@shard_map_p.def_effectful_abstract_eval
def _abstract(
    *avals: Any, jaxpr: Jaxpr, mesh: Any, out_specs: Any, newly_manual_axes: Any, **params: Any
) -> Any:
    sizes = mesh.shape
    pairs = zip(jaxpr.out_avals, out_specs, strict=True)
    outs = [global_aval(aval, spec, sizes, newly_manual_axes) for aval, spec in pairs]
    if mesh.explicit_axes:
        outs = [
            out.update(layout=global_layout(aval.layout, mesh, spec, len(out.shape)))
            for out, aval, spec in zip(outs, jaxpr.out_avals, out_specs, strict=True)
            if isinstance(out, ShapedArray)
        ]
    return outs, jaxpr.effects


@shard_map_p.def_impl
def _evaluate(*args: Any, **params: Any) -> list[Any]:
    """Outside of jit: a program of one equation, which is found again among the compiled ones."""
    from ..runtime.dispatch import _PrimitiveCall

    if not isinstance(params["mesh"], Mesh):
        _check_devices_known(args, params["mesh"])
    return _PrimitiveCall(shard_map_p, params).run(args)[0]


def _check_devices_known(args: Sequence[Any], mesh: Any) -> None:
    """The devices of an abstract mesh are those of the arguments, which have to be laid out over such a mesh."""
    shardings = [getattr(arg, "sharding", None) for arg in args]
    meshes = [sharding.mesh for sharding in shardings if isinstance(sharding, NamedSharding)]
    for found in meshes:
        if found.shape_tuple != mesh.shape_tuple:
            raise ValueError(
                f"Mesh shape of the input {found.shape_tuple} does not match the mesh shape passed to shard_map "
                f"{mesh.shape_tuple}."
            )
    if not meshes and current_context().concrete is None:
        raise ValueError(
            "Please pass arrays with a `NamedSharding` as input to `shard_map` when passing an `AbstractMesh` as "
            "mesh: it has no devices of its own. Or pass a `Mesh`."
        )


# --- applying derived programs --------------------------------------------------------------------


class Region:
    """The parameters of an equation, from which equations of derived programs are made."""

    def __init__(self, jaxpr: Jaxpr, params: dict[str, Any]):
        self.closed = _closed(jaxpr)
        self.params = params
        self.mesh = params["mesh"]
        self.axes: frozenset[Any] = params["newly_manual_axes"]
        self.check_vma: bool = params["check_vma"]
        self.in_specs: tuple[PartitionSpec, ...] = params["in_specs"]
        self.out_specs: tuple[PartitionSpec, ...] = params["out_specs"]

    def region(self) -> Any:
        return manual_region(self.mesh, self.axes, self.check_vma)

    def bind(self, closed: ClosedJaxpr, args: Sequence[Any], in_specs: Any, out_specs: Any) -> list[Any]:
        opened, consts = close_over_nothing(closed)
        in_specs = (PartitionSpec(),) * len(consts) + tuple(in_specs)
        params = {**self.params, "in_specs": in_specs, "out_specs": tuple(out_specs)}
        return shard_map_p.bind(*consts, *args, jaxpr=opened.jaxpr, **params)

    def spec_of_residual(self, aval: Any) -> PartitionSpec:
        """That of a value, with a new first dimension, which differs from device to device."""
        axes = aval.vma & self.axes if self.check_vma else self.axes - axes_of_batches()
        names = tuple(name for name in self.mesh.axis_names if name in axes)
        return PartitionSpec(names) if names else PartitionSpec()


# --- forward mode ---------------------------------------------------------------------------------


def _jvp(primals: Any, tangents: Any, *, jaxpr: Jaxpr, **params: Any) -> Any:
    call = Region(jaxpr, params)
    nonzeros = [type(t) is not Zero for t in tangents]
    with call.region():
        derived, out_nonzeros = jvp_jaxpr(call.closed, nonzeros)
    given = [t for t in tangents if type(t) is not Zero]
    in_specs = (*call.in_specs, *_chosen(call.in_specs, nonzeros))
    out_specs = (*call.out_specs, *_chosen(call.out_specs, out_nonzeros))
    results = call.bind(derived, [*primals, *given], in_specs, out_specs)
    outs = results[: len(out_nonzeros)]
    return outs, tangents_by_flags(outs, out_nonzeros, results[len(out_nonzeros) :])


def _chosen(values: Sequence[Any], flags: Sequence[bool]) -> tuple[Any, ...]:
    return tuple(value for value, flag in zip(values, flags, strict=True) if flag)


def _linearize(primals: Any, tangents: Any, *, jaxpr: Jaxpr, **params: Any) -> Any:
    """Residuals that are arguments or results are taken from there; the others leave the region as parts."""
    call = Region(jaxpr, params)
    nonzeros = [type(t) is not Zero for t in tangents]
    with call.region():
        parts = linearize_jaxpr(call.closed, nonzeros)
        known, new_avals = _with_stacked(parts, len(parts.out_nonzeros))
    residual_specs = [call.spec_of_residual(aval) for aval in new_avals]
    results = call.bind(known, primals, call.in_specs, (*call.out_specs, *residual_specs))
    outs = results[: len(parts.out_nonzeros)]
    if not any(parts.out_nonzeros):
        return outs, tangents_by_flags(outs, parts.out_nonzeros, ())
    specs = {"in": call.in_specs, "out": call.out_specs, "new": residual_specs}
    linear_specs = [specs[kind][i] for kind, i in parts.residual_sources]
    with call.region():
        linear = _with_unstacked(parts)
    given = [t for t in tangents if type(t) is not Zero]
    found = call.bind(
        linear,
        [*parts.residuals(primals, results), *given],
        (*linear_specs, *_chosen(call.in_specs, nonzeros)),
        _chosen(call.out_specs, parts.out_nonzeros),
    )
    return outs, tangents_by_flags(outs, parts.out_nonzeros, found)


def _with_stacked(parts: Any, num_outs: int) -> tuple[ClosedJaxpr, list[Any]]:
    """The known part, whose new residuals get a first dimension of size one; and their types."""
    closed = parts.known
    key = "stacked"
    found = closed.memo.get(key)
    if found is None:

        def stacked(*args: Any) -> list[Any]:
            results = eval_jaxpr(closed.jaxpr, closed.consts, *args)
            new = [reshape(x, (1, *get_aval(x).shape)) for x in results[num_outs:]]
            return [*results[:num_outs], *new]

        program = trace_to_jaxpr(stacked, closed.in_avals, debug_info=closed.jaxpr.debug_info)
        found = closed.memo[key] = program, closed.out_avals[num_outs:]
    return found


def _with_unstacked(parts: Any) -> ClosedJaxpr:
    """The linear part, which takes new residuals with that first dimension."""
    closed = parts.linear
    found = closed.memo.get("unstacked")
    if found is None:
        new = [kind == "new" for kind, _ in parts.residual_sources]
        new += [False] * (len(closed.jaxpr.invars) - len(new))
        avals = [
            aval.update(shape=(1, *aval.shape)) if is_new else aval
            for aval, is_new in zip(closed.in_avals, new, strict=True)
        ]

        def unstacked(*args: Any) -> list[Any]:
            args = tuple(
                reshape(x, get_aval(x).shape[1:]) if is_new else x
                for x, is_new in zip(args, new, strict=True)
            )
            return eval_jaxpr(closed.jaxpr, closed.consts, *args)

        found = closed.memo["unstacked"] = trace_to_jaxpr(
            unstacked, avals, debug_info=closed.jaxpr.debug_info
        )
    return found


# --- reverse mode ---------------------------------------------------------------------------------


def _transpose(cotangents: Any, *args: Any, jaxpr: Jaxpr, **params: Any) -> Any:
    call = Region(jaxpr, params)
    linear = [is_undefined_primal(arg) for arg in args]
    nonzero = [type(ct) is not Zero for ct in cotangents]
    with call.region():
        transposed, flags = transpose_jaxpr(call.closed, linear, nonzero)
        if not call.check_vma:
            transposed = _shared_out(call, transposed, linear, nonzero, flags)
    known = [arg for arg, is_linear in zip(args, linear, strict=True) if not is_linear]
    given = [ct for ct in cotangents if type(ct) is not Zero]
    in_specs = _chosen(call.in_specs, [not flag for flag in linear]) + _chosen(call.out_specs, nonzero)
    out_specs = _chosen(_chosen(call.in_specs, linear), flags)
    results, found = iter(call.bind(transposed, [*known, *given], in_specs, out_specs)), iter(flags)
    return [
        (next(results) if next(found) else Zero(arg.aval)) if is_linear else None
        for arg, is_linear in zip(args, linear, strict=True)
    ]


def _shared_out(call: Region, closed: ClosedJaxpr, linear: Any, nonzero: Any, flags: Any) -> ClosedJaxpr:
    """Without types that tell what varies: what all devices hold in common is divided among them, cotangents
    of results on the way in, and summed up on the way out.
    """
    own = call.axes - axes_of_batches()
    key = "shared", tuple(linear), tuple(nonzero), own
    found = closed.memo.get(key)
    if found is not None:
        return found
    sizes = call.mesh.shape
    num_known = len(linear) - sum(linear)
    in_axes = [_axes_of(spec) for spec in _chosen(call.out_specs, nonzero)]
    out_axes = [_axes_of(spec) for spec in _chosen(_chosen(call.in_specs, linear), flags)]

    def program(*args: Any) -> list[Any]:
        cts = []
        for ct, axes in zip(args[num_known:], in_axes, strict=True):
            count = math.prod(sizes[name] for name in own - axes)
            cts.append(ct if count == 1 else div(ct, full((), count, get_aval(ct).dtype)))
        results = eval_jaxpr(closed.jaxpr, closed.consts, *args[:num_known], *cts)
        outs = []
        for x, axes in zip(results, out_axes, strict=True):
            rest = tuple(name for name in call.mesh.axis_names if name in own - axes)
            outs.append(psum_p.bind(x, axes=rest, axis_index_groups=None) if rest else x)
        return outs

    found = closed.memo[key] = trace_to_jaxpr(program, closed.in_avals, debug_info=closed.jaxpr.debug_info)
    return found


# --- batching and dead code -----------------------------------------------------------------------


def _batch(trace: Any, args: Any, dims: Any, *, jaxpr: Jaxpr, **params: Any) -> Any:
    call = Region(jaxpr, params)
    spmd_name = trace.spmd_name if trace.spmd_name is not None else _splitting(args, dims)
    names = _cutting(call, trace, spmd_name)
    parts = math.prod(call.mesh.shape[name] for name in names)
    if trace.size % parts:
        raise ValueError(
            f"vmap with spmd_axis_name={spmd_name!r} of a shard_map: the axis of size {trace.size} cannot be cut "
            f"into {parts} equal parts, as many as there are devices along {names}. The mesh is "
            f"{dict(call.mesh.shape)}."
        )
    with call.region():
        batched, out_dims = batch_jaxpr(
            call.closed, trace.size // parts, dims, name=trace.name, spmd_name=spmd_name
        )
        if names and call.check_vma:
            batched = _varying(batched, dims, names)
    in_specs = [_with_dim(spec, dim, call, names) for spec, dim in zip(call.in_specs, dims, strict=True)]
    out_specs = [
        _with_dim(spec, dim, call, names) for spec, dim in zip(call.out_specs, out_dims, strict=True)
    ]
    return call.bind(batched, args, in_specs, out_specs), out_dims


def _splitting(args: Any, dims: Any) -> tuple[Any, ...] | None:
    """The explicit axes that split the batch dimension, as the types of the arguments say."""
    for arg, dim in zip(args, dims, strict=True):
        layout = None if dim is None else getattr(get_aval(arg), "layout", None)
        if layout is not None and layout.spec.axes()[dim]:
            return tuple(layout.spec.axes()[dim])
    return None


def _cutting(call: Region, trace: Any, spmd_name: Any) -> tuple[Any, ...]:
    """The manual axes that cut the batch dimension; none if collectives go along it, which need all of it."""
    if spmd_name is None or trace.name is not None:
        return ()
    names = spmd_name if isinstance(spmd_name, tuple) else (spmd_name,)
    return names if call.axes.issuperset(names) and not _asks(call.closed.jaxpr, set(names)) else ()


def _asks(jaxpr: Jaxpr, names: set[Any]) -> bool:
    """Whether a program communicates along axes, or asks for the place there."""
    for eqn in jaxpr.eqns:
        along = eqn.params.get("axes") or eqn.params.get("axis_name") or ()
        if not names.isdisjoint(along if isinstance(along, tuple) else (along,)):
            return True
    return any(_asks(inner, names) for inner in subjaxprs(jaxpr))


def _varying(batched: ClosedJaxpr, dims: Any, names: tuple[Any, ...]) -> ClosedJaxpr:
    """The program with types that say that batched operands differ along the axes."""
    avals = [
        aval if dim is None else aval.update(vma=aval.vma | frozenset(names))
        for aval, dim in zip(batched.in_avals, dims, strict=True)
    ]
    return trace_to_jaxpr(lambda *xs: eval_jaxpr(batched.jaxpr, batched.consts, *xs), avals)


def _with_dim(spec: PartitionSpec, dim: int | None, call: Region, names: tuple[Any, ...]) -> PartitionSpec:
    """The spec with an entry for the batch dimension, which `spmd_axis_name` cuts and nothing else does."""
    if dim is None:
        return spec
    twice = [name for name in names if name in _axes_of(spec)]
    if twice:
        raise ValueError(
            f"vmap spmd_axis_name cannot appear in shard_map in_specs or out_specs: {', '.join(map(str, twice))} is in "
            f"{spec}. Name another axis of the mesh {dict(call.mesh.shape)}, or leave spmd_axis_name out."
        )
    entries = list(spec) + [None] * max(0, dim - len(spec))
    entries.insert(dim, names or None)
    return spec.update(partitions=entries)


def _dce(used: Any, eqn: Any) -> Any:
    if not any(used) and not eqn.effects:
        return [False] * len(eqn.invars), None
    params = eqn.params
    jaxpr, used_inputs = dce_jaxpr(params["jaxpr"], used)
    return used_inputs, eqn.replace(
        invars=list(_chosen(eqn.invars, used_inputs)),
        outvars=list(_chosen(eqn.outvars, used)),
        params={
            **params,
            "jaxpr": jaxpr,
            "in_specs": _chosen(params["in_specs"], used_inputs),
            "out_specs": _chosen(params["out_specs"], used),
        },
        effects=jaxpr.effects,
    )


shard_map_p.jvp_rule = _jvp
shard_map_p.linearize_rule = _linearize
shard_map_p.transpose_rule = _transpose
shard_map_p.axis_batch_rule = _batch
shard_map_p.dce_rule = _dce
