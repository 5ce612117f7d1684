"""From a closed jaxpr to a StableHLO module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from canter.core import config
from canter.core.dimensions import has_symbolic_shapes
from canter.core.effects import lowerable_effects, ordered_effects
from canter.core.jaxpr import ClosedJaxpr
from canter.core.memory import host_kinds
from canter.core.mesh import explicit_mesh
from canter.core.tracing import paused_garbage_collection

from . import rules
from .body import PLATFORM_INDEX, fill_function
from .context import ModuleContext
from .locations import Locations
from .mlir_door import context_for_module, ir
from .small_loops import only_small_loops, small_loop_bytes, small_loops_attribute

__all__ = ["ProgramPlacement", "lower_jaxpr_to_module", "match_donations"]


class ProgramPlacement(NamedTuple):
    """Where a program over several devices runs.

    Attributes:
      device_ids: ids of the devices, in the order in which the program numbers them.
      in_shardings: a sharding an argument; None leaves it to the compiler.
      out_shardings: the same for the results.
      in_layouts: how each argument lies in memory, as the compiler reads it; None is its own way. Empty if all do.
      out_layouts: the same for the results.
    """

    device_ids: tuple[int, ...]
    in_shardings: tuple[Any, ...]
    out_shardings: tuple[Any, ...]
    in_layouts: tuple[str | None, ...] = ()
    out_layouts: tuple[str | None, ...] = ()

    def same(self, argument: int, result: int) -> bool:
        """Whether an argument and a result are known to be laid out alike."""
        own = self.in_layouts[argument] if self.in_layouts else None
        if own != (self.out_layouts[result] if self.out_layouts else None) or own == "auto":
            return False
        sharding = self.in_shardings[argument]
        known = sharding is not None or len(self.device_ids) == 1
        return known and sharding == self.out_shardings[result]


def match_donations(
    in_avals: Sequence[Any], out_avals: Sequence[Any], donated: Sequence[bool]
) -> list[int | None]:
    """Which result may take over the memory of each donated argument.

    Args:
      in_avals, out_avals: avals of arguments and results.
      donated: one flag an argument.

    Returns:
      One entry an argument: the index of the first free result of equal shape and dtype, or None.

    Example:
      >>> from canter.core.avals import ShapedArray
      >>> from canter_mlir.driver import match_donations
      >>> x, y = ShapedArray((2,), "float32"), ShapedArray((3,), "float32")
      >>> match_donations([x, x, y], [y, x], [True, True, True])
      [1, None, 0]
    """
    free: dict[Any, list[int]] = {}
    for index, aval in enumerate(out_avals):
        free.setdefault(_memory_key(aval), []).append(index)
    matches: list[int | None] = []
    for aval, gives in zip(in_avals, donated, strict=True):
        results = free.get(_memory_key(aval)) if gives else None
        matches.append(results.pop(0) if results else None)
    return matches


def _memory_key(aval: Any) -> Any:
    try:
        return aval.shape, aval.dtype
    except AttributeError:  # a token
        return aval


def lower_jaxpr_to_module(
    closed_jaxpr: ClosedJaxpr,
    *,
    name: str = "main",
    platforms: Sequence[str] = ("cpu",),
    donated_invars: Sequence[bool] | None = None,
    arg_names: Sequence[str | None] | None = None,
    result_names: Sequence[str | None] | None = None,
    tracebacks: bool = True,
    num_replicas: int = 1,
    num_partitions: int = 1,
    keepalives: list[Any] | None = None,
    host_callbacks: list[Any] | None = None,
    embed_consts: bool = False,
    placement: ProgramPlacement | None = None,
    decisions: list[Any] | None = None,
) -> Any:
    """Lowers a closed jaxpr to a StableHLO module with one public function, `main`.

    `main` takes and gives a token for each ordered effect of the jaxpr, before all else. The constants
    of the jaxpr are leading arguments, before its own, unless they are small enough for the caller to
    want them in the module (`embed_consts`). Constants of inner jaxprs (of calls, loops, branches)
    stand in the module as dense constants: whoever has big ones hoists them to the outermost jaxpr
    first. Equal inner jaxprs of calls become one private function. The text of the module is the same
    in every process.

    Args:
      closed_jaxpr: the program, free of dead equations.
      name: name of the module and outermost scope, such as "jit_step".
      platforms: "cpu", "cuda", "rocm" or "tpu". With several, `main` takes the index of the one on which it
        runs before all else, and where rules differ a `case` chooses.
      donated_invars: one flag an argument (not for the constants). A donated argument lends its
        memory to the first result of equal shape and dtype, else to whatever the compiler likes.
      arg_names: one name an argument (not for the constants), for locations.
      result_names: one path a result, kept as the attribute `jax.result_info`.
      tracebacks: keep the user's lines as locations.
      num_replicas, num_partitions: kept as attributes of the module.
      embed_consts: emit the constants of the jaxpr as dense constants, so that XLA can fold them.
      placement: for a program over several devices, these and the shardings of arguments and results.
      decisions: how calls of functions that divide themselves are divided; found by lowering once without.
      keepalives: a list to extend with objects that must live as long as the executable does.
      host_callbacks: a list to extend with the Python functions that the program calls, in the order of
        their indices; the compiler wants them.

    Returns:
      The `ir.Module`, in an MLIR context of its own.

    Raises:
      NotImplementedError: a primitive has no rule on the platform.
      ValueError: the program has effects that no compiled program can have. Or a rule from
        outside emitted an illegal operation; Canter's own rules are verified by the compiler, and here
        when `config.enable_checks` is on.

    Example:
      >>> import canter as ct
      >>> from canter_mlir.driver import lower_jaxpr_to_module
      >>> print(lower_jaxpr_to_module(ct.make_jaxpr(lambda x: x + x)(1.0), name="jit_double"))
      module @jit_double attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
        func.func public @main(%arg0: tensor<f32>) -> tensor<f32> {
          %0 = stablehlo.add %arg0, %arg0 : tensor<f32>
          return %0 : tensor<f32>
        }
      }
      <BLANKLINE>
    """
    rules.load(platforms)
    unlowerable = lowerable_effects.filter_not_in(closed_jaxpr.effects)
    if unlowerable:
        raise ValueError(
            f"Cannot lower a program with the effects {unlowerable}: they have to be dealt with by a "
            "transformation first."
        )
    context, belongs_to = context_for_module()
    with context, ir.Location.unknown() as unknown, paused_garbage_collection():
        module = ir.Module.create(loc=unknown)
        belongs_to(module)
        places = None
        if placement is not None:
            num_partitions = len(placement.device_ids)
            places = {number: place for place, number in enumerate(placement.device_ids)}
        builder = ModuleContext(context, module, platforms, Locations(context, tracebacks), places)
        symbolic = has_symbolic_shapes(closed_jaxpr.jaxpr.in_avals)
        plain_cpu = builder.platforms == ("cpu",) and not symbolic
        builder.small_loops = plain_cpu and only_small_loops(closed_jaxpr.jaxpr)
        builder.decisions = decisions
        builder.typed = placement is not None and _has_layouts(closed_jaxpr)
        attributes = module.operation.attributes
        # `jit_<lambda>` would have to be quoted in the text; it becomes `jit__lambda`.
        module_name = name.replace("<", "_").replace(">", "").replace(" ", "_")
        attributes["sym_name"] = builder.types.string(module_name)
        attributes["mhlo.num_replicas"] = builder.types.integer(num_replicas, 32)
        attributes["mhlo.num_partitions"] = builder.types.integer(num_partitions, 32)
        _emit_main(
            builder, closed_jaxpr, name, donated_invars, arg_names, result_names, embed_consts, placement
        )
        if builder.small_loops:
            attributes[small_loops_attribute] = builder.types.integer(small_loop_bytes, 32)
        if builder.has_outlined_calls:
            attributes["canter.outlined"] = ir.UnitAttr.get()
        # The compiler verifies what it gets, so this is for programs that may not get there.
        if builder.has_outside_rules or config.enable_checks.value:
            _verify(module)
    if builder.partitioned and decisions is None:
        from .rules.partitioning import decisions as found

        return lower_jaxpr_to_module(
            closed_jaxpr, name=name, platforms=platforms, donated_invars=donated_invars, arg_names=arg_names,
            result_names=result_names, tracebacks=tracebacks, num_replicas=num_replicas, keepalives=keepalives,
            host_callbacks=host_callbacks, embed_consts=embed_consts, placement=placement,
            decisions=found(builder, module),
        )  # fmt: skip
    if keepalives is not None:
        keepalives.extend(builder.keepalives)
    if host_callbacks is not None:
        host_callbacks.extend(builder.host_callbacks)
    return module


def _has_layouts(closed: ClosedJaxpr) -> bool:
    if explicit_mesh() is not None:
        return True
    return any(aval.layout is not None for aval in (*closed.in_avals, *closed.out_avals))


def _verify(module: Any) -> None:
    """Finds what a rule did wrong here, where the operation's name says which rule it was."""
    try:
        module.operation.verify()
    except ir.MLIRError as error:
        raise ValueError(
            f"A lowering rule emitted an operation that is not legal; its name ends with the primitive's:\n{error}"
        ) from error


def _emit_main(
    builder: ModuleContext,
    closed: ClosedJaxpr,
    name: str,
    donated: Sequence[bool] | None,
    arg_names: Sequence[str | None] | None,
    result_names: Sequence[str | None] | None,
    embed_consts: bool,
    placement: ProgramPlacement | None,
) -> None:
    types, jaxpr = builder.types, closed.jaxpr
    tokens = ordered_effects.filter_in(jaxpr.effects)
    token_types = [types.token() for _ in tokens]
    const_types = [] if embed_consts else [types.of(var.aval) for var in jaxpr.constvars]
    in_types = token_types + const_types + [types.of(var.aval) for var in jaxpr.invars]
    out_types = token_types + [types.of(atom.aval) for atom in jaxpr.outvars]
    index = [types.of(PLATFORM_INDEX)] if len(builder.platforms) > 1 else []
    _, function = builder.new_function("main", index + in_types, out_types, visibility="public")
    arg_attributes: list[dict[str, Any]] = [{} for _ in in_types]
    result_attributes: list[dict[str, Any]] = [{} for _ in out_types]
    for entry in (*arg_attributes[: len(tokens)], *result_attributes[: len(tokens)]):
        entry["jax.token"] = types.boolean(True)
    first = len(tokens) + len(const_types)
    if donated is not None and any(donated):
        _add_donation(arg_attributes[first:], builder, jaxpr, donated, placement, len(tokens))
    for entry, path in zip(result_attributes[len(tokens) :], result_names or (), strict=False):
        if path is not None:
            entry["jax.result_info"] = types.string(path)
    if placement is not None:
        _add_shardings(arg_attributes[first:], builder, placement.in_shardings, in_types[first:])
        _add_shardings(
            result_attributes[len(tokens) :], builder, placement.out_shardings, out_types[len(tokens) :]
        )
        _add_memories(arg_attributes[first:], builder, jaxpr.in_avals)
        _add_memories(result_attributes[len(tokens) :], builder, jaxpr.out_avals)
        _add_layouts(arg_attributes[first:], builder, placement.in_layouts)
        _add_layouts(result_attributes[len(tokens) :], builder, placement.out_layouts)
    if index:
        arg_attributes.insert(0, {"jax.global_constant": types.string("_platform_index")})
    if any(arg_attributes):
        function.attributes["arg_attrs"] = ir.ArrayAttr.get(list(map(ir.DictAttr.get, arg_attributes)))
    if result_names is not None or any(result_attributes):
        function.attributes["res_attrs"] = ir.ArrayAttr.get(list(map(ir.DictAttr.get, result_attributes)))
    on_entry = None
    if has_symbolic_shapes(jaxpr.in_avals):
        from .dimension_arguments import bind_dimensions

        builder.module.operation.attributes["jax.uses_shape_polymorphism"] = types.boolean(True)
        own_names = [arg or f"args[{i}]" for i, arg in enumerate(arg_names or [None] * len(jaxpr.invars))]
        on_entry = partial(bind_dimensions, builder, jaxpr.in_avals, names=own_names)
    locations = None
    if arg_names is not None:
        unknown = builder.locations.unknown
        own = [unknown if arg is None else builder.locations.name(arg) for arg in arg_names]
        locations = [unknown] * (len(index) + len(tokens) + len(const_types)) + own
    scope = f"jit({name.removeprefix('jit_')})"
    fill_function(
        builder,
        function,
        closed,
        index + in_types,
        (scope,),
        const_args=not embed_consts,
        arg_locations=locations,
        on_entry=on_entry,
    )


def _add_donation(
    attributes: list[dict[str, Any]],
    builder: ModuleContext,
    jaxpr: Any,
    donated: Sequence[bool],
    placement: ProgramPlacement | None,
    num_tokens: int,
) -> None:
    """What `main` says of each argument: to which result it lends its memory."""
    types = builder.types
    matches = match_donations(jaxpr.in_avals, jaxpr.out_avals, donated)
    for position, (own, gives, match) in enumerate(zip(attributes, donated, matches, strict=True)):
        if not gives or match is None:
            continue
        # Over several devices, memory is taken over only where the parts are the same on both sides.
        if placement is None or placement.same(position, match):
            own["tf.aliasing_output"] = types.integer(num_tokens + match, 32)  # tokens come first
        else:
            own["jax.buffer_donor"] = types.boolean(True)


def _add_shardings(
    attributes: list[dict[str, Any]], builder: ModuleContext, shardings: Sequence[Any], kinds: Sequence[Any]
) -> None:
    from .shardy import layout_attribute

    for own, sharding, kind in zip(attributes, shardings, kinds, strict=True):
        if sharding is None:
            continue
        attribute = layout_attribute(builder, sharding, ir.RankedTensorType(kind).rank)
        if attribute is not None:
            own["sdy.sharding"] = attribute
        memory = getattr(sharding, "memory_kind", None)
        if memory not in (None, "device"):
            own["mhlo.memory_kind"] = builder.types.string(memory)


def _add_memories(attributes: list[dict[str, Any]], builder: ModuleContext, avals: Sequence[Any]) -> None:
    """Values that are in the host's memory stay there, however the compiler splits them."""
    for own, kind in zip(attributes, host_kinds(avals), strict=True):
        if kind is not None:
            own.setdefault("mhlo.memory_kind", builder.types.string(kind))


def _add_layouts(attributes: list[dict[str, Any]], builder: ModuleContext, layouts: Sequence[Any]) -> None:
    for own, layout in zip(attributes, layouts, strict=False):  # there are none, or as many
        if layout is not None:
            own["mhlo.layout_mode"] = builder.types.string(layout)
