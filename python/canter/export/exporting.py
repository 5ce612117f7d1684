"""`export`: a jitted function as a StableHLO module that later versions and other frameworks run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from canter_pjrt.jaxlib_door import PjitFunction

from ..core.effects import ordered_effects
from ..core.errors import filter_traceback
from ..core.jaxpr import eval_jaxpr
from ..core.mesh import AbstractMesh
from ..core.partition_spec import PartitionSpec
from ..core.sharding import NamedSharding
from ..runtime.absent_devices import layout_without_devices
from ..runtime.backend import get_backend
from ..runtime.jit import jit
from ..runtime.program import CompileOptions, lower
from ..runtime.shape_dtype import ShapeDtypeStruct
from ..runtime.signature import describe_function
from .custom_calls import check_custom_calls
from .exported import (
    DisabledSafetyCheck,
    Exported,
    maximum_supported_calling_convention_version as newest_convention,
)

if TYPE_CHECKING:
    from ..runtime.jit import Jitted
    from ..runtime.program import Layout
    from ..runtime.traces import Call, TracedProgram

__all__ = ["default_export_platform", "export"]

_PORTABLE_WEEKS = 4  # compilers of this age read what is exported


def default_export_platform() -> str:
    """The platform for which `export` exports if it is not told: that of the default device.

    Example:
      >>> from canter import export
      >>> export.default_export_platform() in ("cpu", "cuda", "rocm", "tpu")
      True
    """
    platform: str = get_backend().platform
    return platform


def export(
    fun_jit: Any,
    *,
    platforms: Sequence[str] | None = None,
    disabled_checks: Sequence[DisabledSafetyCheck] = (),
    _override_lowering_rules: Sequence[tuple[Any, Any]] | None = None,
) -> Callable[..., Exported]:
    """Makes an exporter of a jitted function.

    Args:
      fun_jit: what `jit` returns.
      platforms: the platforms on which the program is to run: "cpu", "cuda", "rocm", "tpu"; None for the default one.
        A program for several chooses when it runs.
      disabled_checks: checks to leave out.
      _override_lowering_rules: not supported; must be None.

    Returns:
      A function that takes arguments, or `ShapeDtypeStruct`s in their place, and returns the `Exported` for arguments
      of these types.

    Raises:
      ValueError: `fun_jit` is not jitted; or, when exporting, the program calls into libraries that make no promise to
        stay as they are (see `DisabledSafetyCheck.custom_call`).
      NotImplementedError: the program calls back into Python, or has no lowering for a platform.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> exported = export.export(ct.jit(cnp.tanh), platforms=["cpu", "cuda", "tpu"])(
      ...     ct.ShapeDtypeStruct((8,), cnp.float32))
      >>> exported.platforms, exported.in_avals
      (('cpu', 'cuda', 'tpu'), (ShapedArray(float32[8]),))
    """
    if not isinstance(fun_jit, PjitFunction) or not hasattr(fun_jit, "_jitted"):
        raise ValueError(
            f"Function to be exported must be the result of `jit` but is: {fun_jit!r}. Export canter.jit(function)."
        )
    if _override_lowering_rules is not None:
        raise NotImplementedError(
            "export(_override_lowering_rules=...) is not supported: register a rule with "
            "canter.interpreters.mlir.register_lowering."
        )
    if isinstance(platforms, str):
        raise TypeError(
            f"platforms takes a sequence of names; got the string {platforms!r}. Write [{platforms!r}]."
        )
    for check in disabled_checks:
        if not isinstance(check, DisabledSafetyCheck):
            raise TypeError(
                f"disabled_checks takes DisabledSafetyCheck.platform() and .custom_call(target); got {check!r}."
            )
    jitted = fun_jit._jitted

    def exporter(*args: Any, **kwargs: Any) -> Exported:
        try:
            traced = jitted.trace(*args, **kwargs)
            names = _platform_names(platforms)
            return _export(jitted, traced._program, traced._call, names, tuple(disabled_checks))
        except Exception as error:
            filter_traceback(error)
            raise

    return exporter


def _platform_names(asked: Sequence[str] | None) -> tuple[str, ...]:
    """Names of platforms, each once; "gpu" is the kind of the GPUs at hand."""
    if not asked:
        return (default_export_platform(),)
    return tuple(dict.fromkeys(get_backend(name).platform if name == "gpu" else name for name in asked))


def _export(
    jitted: Jitted,
    program: TracedProgram,
    call: Call,
    platforms: tuple[str, ...],
    disabled: tuple[DisabledSafetyCheck, ...],
) -> Exported:
    if not program.reusable:
        raise TypeError(
            f"{describe_function(jitted.function)} uses values of an enclosing transformation, so it cannot be "
            "exported by itself. Export the outermost function, or pass the values as arguments."
        )
    closed, count = program.closed, len(program.constants)
    layout = layout_without_devices(jitted, program, call)
    if layout is None:
        layout = jitted.place(program, call, [*program.constants, *call.leaves]).layout
    if layout is not None:  # captured arrays become constants of the module
        layout = layout._replace(in_shardings=layout.in_shardings[count:])
    arg_names, result_names = jitted.names_for(program, call)
    donated = jitted.donated(call) if jitted.uses_donation else ()
    options = CompileOptions(jitted.name, donated, jitted.keep_unused)
    lowered = lower(closed, options, platforms, arg_names[count:], result_names, layout, lines=False)
    if lowered.host_callbacks or lowered.keepalives:
        raise NotImplementedError(
            f"'{jitted.name}' calls back into Python (pure_callback, io_callback, debug.print, ...): serialization of "
            "host_callbacks is not yet implemented, as the Python function is not in the artifact. Export the function "
            "without them."
        )
    several = len(platforms) > 1
    symbolic = _uses_symbols(closed.in_avals)
    module = _serialized(lowered.module, several or symbolic, disabled)
    effects = lowered.effects
    ordered = tuple(ordered_effects.filter_in(effects))
    ins, outs = _named_shardings(layout, closed)
    get_vjp = _VJP(jitted.name, program, layout, platforms, disabled)
    return Exported(
        fun_name=jitted.name,
        in_tree=call.in_tree,
        in_avals=call.avals,
        out_tree=program.out_tree,
        out_avals=tuple(closed.out_avals),
        _has_named_shardings=True,
        _in_named_shardings=ins,
        _out_named_shardings=outs,
        in_shardings_hlo=(None,) * len(ins),
        out_shardings_hlo=(None,) * len(outs),
        nr_devices=1 if layout is None else len(layout.devices),
        platforms=platforms,
        ordered_effects=ordered,
        unordered_effects=tuple(ordered_effects.filter_not_in(effects)),
        disabled_safety_checks=disabled,
        mlir_module_serialized=module,
        calling_convention_version=newest_convention,
        module_kept_var_idx=tuple(i for i, keep in enumerate(lowered.kept) if keep),
        uses_global_constants=several or symbolic,
        _get_vjp=get_vjp,
    )


def _uses_symbols(avals: Sequence[Any]) -> bool:
    return any(type(size) is not int for aval in avals for size in getattr(aval, "shape", ()))


def _serialized(module: Any, refined_later: bool, disabled: Sequence[DisabledSafetyCheck]) -> bytes:
    from canter_mlir.mlir_door import ir
    from canter_mlir.portable import module_to_portable_artifact, version_for_age

    name = "jax.uses_shape_polymorphism"
    attributes = module.operation.attributes
    with module.context:
        if refined_later or name not in attributes:
            attributes[name] = ir.BoolAttr.get(refined_later)
    data = module_to_portable_artifact(module, version_for_age(_PORTABLE_WEEKS))
    if b"custom_call" in data:
        check_custom_calls(module, disabled)
    return data


def _named_shardings(layout: Layout | None, closed: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Shardings of arguments and results over meshes without devices."""
    if layout is None:
        return (None,) * len(closed.in_avals), (None,) * len(closed.out_avals)
    sides = (layout.in_shardings, closed.in_avals), (layout.out_shardings, closed.out_avals)
    ins, outs = (tuple(map(_named, shardings, avals)) for shardings, avals in sides)
    return ins, outs


def _named(sharding: Any, aval: Any) -> NamedSharding | None:
    if sharding is None:
        return None
    if isinstance(sharding, NamedSharding):
        return NamedSharding(sharding.mesh.abstract_mesh, sharding.spec, sharding.memory_kind)
    if len(sharding.device_set) == 1:
        return NamedSharding(AbstractMesh((), ()), PartitionSpec(), sharding.memory_kind)
    raise NotImplementedError(
        f"An argument or result of type {aval.str_short()} is laid out by {sharding}, which no spec over a mesh "
        "describes. Give it a NamedSharding."
    )


class _VJP:
    """Exports the derivative of a traced function when somebody asks for it."""

    def __init__(self, name: str, program: Any, layout: Any, platforms: Any, disabled: Any):
        self.name = name
        self.program = program
        self.layout = layout
        self.platforms = platforms
        self.disabled = disabled

    def __call__(self, exported: Exported) -> Exported:
        from ..transforms.derivatives import vjp

        closed, count = self.program.closed, len(exported.in_avals)

        def primal(*leaves: Any) -> tuple[Any, ...]:
            return tuple(eval_jaxpr(closed.jaxpr, closed.consts, *leaves))

        def derivative(*leaves_and_cotangents: Any) -> tuple[Any, ...]:
            leaves, cotangents = leaves_and_cotangents[:count], leaves_and_cotangents[count:]
            return tuple(vjp(primal, *leaves)[1](tuple(cotangents)))

        derivative.__name__ = derivative.__qualname__ = f"{self.name}_vjp"
        shardings: dict[str, Any] = {}
        if self.layout is not None:
            ins, outs = self.layout.in_shardings, self.layout.out_shardings
            shardings = {"in_shardings": (*ins, *outs), "out_shardings": ins}
        avals = [*exported.in_avals, *(aval.to_tangent_aval() for aval in exported.out_avals)]
        structs = [ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type) for aval in avals]
        return export(jit(derivative, **shardings), platforms=self.platforms, disabled_checks=self.disabled)(
            *structs
        )
