"""From a traced program to a running executable.

`lower` turns a closed jaxpr into a module, `LoweredProgram.compile` into an `Executable`, which
takes flat arguments and returns flat results. Executables are kept with the jaxpr they come from,
so that equal calls compile once and nothing outlives the program.
"""

from __future__ import annotations

import functools
import itertools
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from canter_pjrt.jaxlib_door import (
    ArrayImpl,
    JaxRuntimeError,
    array_result_handler,
    platform_of,
)

from ..core import config, dtypes, monitoring
from ..core.avals import ShapedArray, abstract_token
from ..core.dimensions import has_symbolic_shapes
from ..core.effects import no_effects, ordered_effects, shardable_ordered_effects
from ..core.explicit import typed
from ..core.jaxpr import ClosedJaxpr, Jaxpr
from ..core.pytree_registry import array_wrappers, dispatch_registry
from ..core.tokens import Token
from ..core.trace import Tracer, escaped_tracer_error, references
from . import (
    array as _array,  # noqa: F401  results need the methods that it sets on the C++ class
    donation,
)
from .effects import ProgramEffects
from .effort import DEFAULT_EFFORT, Effort, replaced, split
from .elsewhere import is_elsewhere
from .failures import blame
from .layouts import custom_layouts, layout_of, relaid, told, unusual, written
from .nonfinite import check_finite, checks_are_on
from .passes import outline, remove_dead_code, split_up
from .placement import place, place_all, sharding_of
from .progress import compiling

__all__ = [
    "CompileOptions",
    "Executable",
    "FastPath",
    "Layout",
    "LoweredProgram",
    "executable_for",
    "forget_recent",
    "lower",
]

_EXECUTABLES_KEPT = 256
_COPY_FIRST = object()  # in the place of a layout, see Executable.fast_path
_C_TYPES = (ArrayImpl, np.ndarray, np.generic, bool, int, float, complex)


class _Recent(OrderedDict[Any, Any]):
    """The executables made last. A function defined anew for each call compiles once all the same."""

    def __setitem__(self, key: Any, executable: Any) -> None:
        super().__setitem__(key, executable)
        while len(self) > _EXECUTABLES_KEPT:
            self.popitem(last=False)


_recent = _Recent()


def forget_recent() -> None:
    """Drops the executables that are kept for equal programs."""
    _recent.clear()


class FastPath(NamedTuple):
    """What the C++ dispatcher needs to run a signature without Python; it reads these attributes."""

    xla_executable: Any
    out_pytree_def: Any
    in_shardings: Sequence[Any]
    out_shardings: Sequence[Any]
    out_avals: Sequence[Any]
    out_committed: Sequence[bool]
    kept_var_bitvec: Sequence[bool]  # over constants and flat arguments
    in_device_local_layouts: Sequence[Any]
    const_args: Sequence[Any]


class CompileOptions(NamedTuple):
    """What beside the jaxpr decides on an executable.

    Attributes:
      name: of the function.
      donated: which arguments may be overwritten.
      keep_unused: whether arguments that the program does not read stay its arguments.
      flags: options for the compiler, as (name, value) pairs.
      effort: see `Effort`; `flags` may name another one.
    """

    name: str
    donated: tuple[bool, ...] = ()
    keep_unused: bool = False
    flags: tuple[tuple[str, Any], ...] = ()
    effort: Effort = DEFAULT_EFFORT


class Layout(NamedTuple):
    """Where a program over a mesh runs.

    Attributes:
      devices: the devices, in the order in which the program numbers them.
      mesh: the mesh in whose terms shardings that the compiler chooses are told.
      in_shardings: a sharding an argument, None where the compiler chooses.
      out_shardings: the same for the results.
      in_layouts: how each argument lies in memory, `layouts.Layout` or None for row-major order; empty if all do.
      out_layouts: the same for the results.
    """

    devices: tuple[Any, ...]
    mesh: Any
    in_shardings: tuple[Any, ...]
    out_shardings: tuple[Any, ...]
    in_layouts: tuple[Any, ...] = ()
    out_layouts: tuple[Any, ...] = ()

    def kept(self, kept: Sequence[bool]) -> Layout:
        """The layout without arguments that the program does not read."""
        chosen = tuple(itertools.compress(self.in_shardings, kept))
        return self._replace(in_shardings=chosen, in_layouts=tuple(itertools.compress(self.in_layouts, kept)))

    def is_for_one_device(self) -> bool:
        """Whether it says nothing but how arrays lie in memory."""
        return self.mesh is None and not (any(self.in_shardings) or any(self.out_shardings))

    def free(self) -> tuple[list[bool], list[bool]]:
        """For which arguments and results the compiler chooses."""
        return [s is None for s in self.in_shardings], [s is None for s in self.out_shardings]

    def placement(self) -> Any:
        """What lowering has to know of it."""
        from canter_mlir.driver import ProgramPlacement

        ids = tuple(device.id for device in self.devices)
        orders = [tuple(x and written(x) for x in each) for each in (self.in_layouts, self.out_layouts)]
        return ProgramPlacement(ids, self.in_shardings, self.out_shardings, *orders)


class LoweredProgram:
    """A program as a module for one platform, not compiled yet."""

    __slots__ = (
        "_module", "argument_names", "constants", "donated", "effects", "host_callbacks", "in_avals", "jaxpr",
        "keepalives", "kept", "layout", "options", "out_avals", "parting", "platforms", "unoutlined",
    )  # fmt: skip

    def __init__(
        self,
        module: Any,
        options: CompileOptions,
        in_avals: Sequence[Any],
        out_avals: Sequence[Any],
        kept: Sequence[bool],
        donated: Sequence[bool],
        platforms: tuple[str, ...],
        keepalives: Sequence[Any] = (),
        host_callbacks: Sequence[Any] = (),
        effects: Any = no_effects,
        layout: Layout | None = None,
        jaxpr: Jaxpr | None = None,
        argument_names: Sequence[str] | None = None,
        unoutlined: Callable[[], LoweredProgram] | None = None,
        parting: Any = None,
        constants: Sequence[Any] = (),
    ):
        self.unoutlined = unoutlined  # lowers it as it is written, where outlining has changed it
        self.parting = (
            parting  # how it is compiled as several programs; the module is then made when asked for
        )
        self.constants = constants
        self.jaxpr: Any = jaxpr
        self.argument_names = argument_names
        self.layout = layout
        self._module = module
        self.host_callbacks = host_callbacks
        self.effects = effects
        self.options = options
        self.in_avals = in_avals
        self.out_avals = out_avals
        self.kept = kept
        self.donated = donated
        self.platforms = platforms
        self.keepalives = keepalives

    @property
    def module(self) -> Any:
        """The MLIR module."""
        if callable(self._module):
            self._module = self._module()
        return self._module

    def compile(
        self, device: Any, flags: tuple[tuple[str, Any], ...] = (), *, whole: bool = False, part: bool = False
    ) -> Executable:
        """Compiles for a device, through the persistent cache; a program with a layout, for its devices.

        Args:
          device: where it will run.
          flags: further options, as pairs.
          whole: whether a program that falls into equal parts is compiled as one all the same.
          part: whether it is a part of a program: it is kept on disk however soon it is compiled, and not logged.
        """
        from canter_pjrt.compile import compile_or_load

        from . import compilation_cache  # noqa: F401  (hands its flags to the cache)

        start = time.perf_counter()
        layout = self.layout
        effort, (asked, _) = replaced(self.options.effort, flags), split(self.options.flags + flags)
        if self.parting is not None and not whole and effort.parts and not is_elsewhere(device):
            from .parted import compile_parts

            executable = compile_parts(self, device, flags)
            log_duration(start, "compile", self.options.name)
            return executable
        if layout is not None:
            for thing in self.keepalives:
                if hasattr(thing, "mesh"):
                    thing.mesh = layout.mesh
        try:
            with compiling(self.options.name) as tell:
                module, platform = self._module_of_known_shapes(), platform_of(device)
                options = (
                    effort.compiler_options(platform, module, self.jaxpr if layout is None else None) | asked
                )
                loaded = compile_or_load(
                    module,
                    [device] if layout is None else layout.devices,
                    options=options,
                    host_callbacks=self._host_functions(),
                    name=self.options.name,
                    recent=_recent,
                    free_shardings=None if layout is None else layout.kept(self.kept).free(),
                    build=effort.build_options(platform),
                    lasting=self._is_lasting(),
                    kept=part,
                    choice=self._choice(device, options, tell)
                    if effort.name == "max" and platform == "cpu" and module is self.module
                    else None,
                )
        except JaxRuntimeError as error:
            blame(error, self)
            raise
        if not part:
            log_duration(start, "compile", self.options.name)
        if layout is None:
            for thing in self.keepalives:
                if hasattr(thing, "compiled_for"):
                    thing.compiled_for(sharding_of(device))
            return Executable(loaded, self, device)
        if layout.is_for_one_device():
            return Executable(loaded, self, device)
        from .spmd import MeshExecutable

        return MeshExecutable(loaded, self)

    def _choice(self, device: Any, options: Any, tell: Callable[[str], None]) -> Any:
        """How the fastest of several executables is found."""
        from canter_pjrt.compile import Choice

        from . import autotuning

        def choose(compiled: Callable[[Any, Any], Any]) -> Any:
            return autotuning.fastest(self, device, options, compiled, _log, tell)

        return Choice(autotuning.marker(self), choose)

    def _is_lasting(self) -> bool:
        """Whether the module may be found again: not if it has addresses of objects, or the compiler calls them."""
        one_device = self.layout is None
        return all(one_device and hasattr(thing, "compiled_for") for thing in self.keepalives)

    def _module_of_known_shapes(self) -> Any:
        """The module with the shapes of exported programs that it calls filled in."""
        if "jax.uses_shape_polymorphism" not in self.module.operation.attributes:
            return self.module
        from canter_mlir.refinement import refined

        symbolic = [str(aval) for aval in self.in_avals if has_symbolic_shapes([aval])]
        if symbolic:
            raise ValueError(
                f"{self.options.name} was lowered for arguments of symbolic shapes ({', '.join(symbolic[:4])}), which "
                "no program can be compiled for. Export it with canter.export.export and call that with arrays."
            )
        return refined(self.module)

    def _host_functions(self) -> list[Any]:
        if not self.host_callbacks:
            return []
        from .callbacks import host_function

        return [host_function(call) for call in self.host_callbacks]


def lower(
    closed: ClosedJaxpr,
    options: CompileOptions,
    platforms: tuple[str, ...],
    arg_names: Sequence[str] | None = None,
    result_names: Sequence[str] | None = None,
    layout: Layout | None = None,
    lines: bool = True,
    part: bool = False,
) -> LoweredProgram:
    """Runs the program passes and emits the module.

    Args:
      closed: the program; its arguments include hoisted constants.
      options: see `CompileOptions`.
      platforms: for which platforms to lower.
      arg_names: names of the arguments for locations in the module.
      result_names: names of the results.
      layout: of a program over several devices.
      lines: whether the module tells the user's files and lines.
      part: whether it is a part of a program, which stays as it is.
    """
    from canter_mlir.driver import lower_jaxpr_to_module

    start = time.perf_counter()
    if references.in_use:
        closed = references.discharge_local(closed)
    # Sizes may be known from the shape of an argument that nothing reads.
    symbolic = has_symbolic_shapes(closed.in_avals)
    jaxpr, kept = remove_dead_code(closed.jaxpr, options.keep_unused or symbolic)
    unoutlined = parting = None
    if layout is None and not symbolic and not part:
        written_out, jaxpr = jaxpr, outline(jaxpr, platforms, options.effort)
        if options.effort.name == "max" and jaxpr is not written_out:
            plain = options._replace(effort=options.effort._replace(outline="off"))
            unoutlined = functools.partial(lower, closed, plain, platforms, arg_names, result_names)
        if jaxpr is written_out:
            parting = split_up(jaxpr, platforms, options.effort)
    elif layout is not None and len(layout.devices) > 1:
        ordered = shardable_ordered_effects.filter_not_in(ordered_effects.filter_in(jaxpr.effects))
        if ordered:
            raise ValueError(
                f"Ordered effects are not supported for more than 1 device: {options.name} runs on "
                f"{len(layout.devices)} and has the effects {ordered}. Leave out ordered=True."
            )
    donated = (
        [flag for flag, keep in zip(options.donated, kept, strict=True) if keep] if options.donated else []
    )
    if arg_names is not None:
        arg_names = [name for name, keep in zip(arg_names, kept, strict=True) if keep]
    keepalives: list[Any] = []
    host_callbacks: list[Any] = []
    emit = functools.partial(
        lower_jaxpr_to_module,
        closed.replace(jaxpr=jaxpr),
        name="jit_" + options.name,
        platforms=platforms,
        donated_invars=donated or None,
        arg_names=arg_names,
        result_names=result_names,
        tracebacks=lines,
        keepalives=keepalives,
        host_callbacks=host_callbacks,
        embed_consts=True,
        placement=None if layout is None else layout.kept(kept).placement(),
    )
    module = emit if parting is not None else emit()
    if any(donated):
        donation.warn_of_unusable(options.name, jaxpr.in_avals, closed.out_avals, donated, arg_names)
    if not part:
        log_duration(start, "lower", options.name)
    return LoweredProgram(
        module,
        options,
        jaxpr.in_avals,
        closed.out_avals,
        kept,
        donated,
        platforms,
        keepalives,
        host_callbacks,
        jaxpr.effects,
        layout,
        jaxpr,
        arg_names,
        unoutlined,
        parting,
        closed.consts,
    )


class Executable:
    """A compiled program on one device.

    Calling it takes all flat arguments, pruned ones included, and returns the list of results.
    """

    __slots__ = (
        "_committed_handlers",
        "_handlers",
        "device",
        "effects",
        "in_layouts",
        "keepalives",
        "kept",
        "loaded",
        "name",
        "out_avals",
        "out_layouts",
        "sharding",
    )

    def __init__(self, loaded: Any, lowered: LoweredProgram, device: Any):
        self.loaded = loaded
        # Not the module: it can be large, and nothing needs it any more.
        self.name = lowered.options.name
        self.kept = lowered.kept
        self.out_avals = lowered.out_avals
        self.keepalives = lowered.keepalives
        self.effects = ProgramEffects.of(self.name, lowered.effects, lowered.host_callbacks)
        self.device = device
        self.sharding = sharding_of(device)
        self._handlers: Any = None
        self._committed_handlers: Any = None
        # How arguments that are read, and results, lie in memory; None is row-major order. Empty if all do.
        self.in_layouts = self.out_layouts = ()
        layout = lowered.layout
        if layout is not None and (any(layout.in_layouts) or any(layout.out_layouts)):
            self.in_layouts = _orders(loaded.get_parameter_layouts(), sum(self.kept))
            self.out_layouts = _orders(loaded.get_output_layouts(), len(self.out_avals))
            custom_layouts.in_use |= any(self.out_layouts)

    def layout_per_argument(self) -> Sequence[Any]:
        """How the program expects each argument in memory; None is row-major order."""
        read = iter(self.in_layouts or itertools.repeat(None))
        return [next(read) if keep else None for keep in self.kept]

    def layout_per_result(self) -> Sequence[Any]:
        """How each result lies in memory; None is row-major order."""
        return self.out_layouts or (None,) * len(self.out_avals)

    def laid_out(self, operands: list[Any]) -> list[Any]:
        """Operands in the layouts in which the program reads them."""
        if not custom_layouts.in_use:
            return operands
        return [relaid(*pair) for pair in zip(operands, self._layouts_read(len(operands)), strict=True)]

    def check_layouts(self, name: str, args: Sequence[Any], describe: Callable[[int], str]) -> None:
        """Checks that committed arguments lie in memory as the program expects them.

        Raises:
          ValueError: some do not; the message names them.
        """
        problems = []
        for position, (arg, wanted) in enumerate(zip(args, self.layout_per_argument(), strict=True)):
            if type(arg) is ArrayImpl and arg._committed and self.kept[position] and layout_of(arg) != wanted:
                order = tuple(range(len(arg.shape))) if wanted is None else wanted.major_to_minor
                problems.append(
                    f"  {describe(position)} with shape {arg.aval.str_short(True)}:\n"
                    f"    Passed layout: {arg.format.layout}\n    Required layout: major_to_minor={order}"
                )
        if problems:
            raise ValueError(
                "Computation was compiled for input layouts that disagree with the layouts of arguments passed to it. "
                f"Here are the {len(problems)} mismatches of {name}:\n" + "\n".join(problems[:4])
            )

    def _layouts_read(self, count: int) -> Sequence[Any]:
        return self.in_layouts or (None,) * count

    def reads_as_they_are(self, args: Sequence[Any]) -> bool:
        """Whether arguments that are read lie in memory as the program expects them."""
        return not custom_layouts.in_use or all(
            self._is_read_as_is(arg, layout) if type(arg) is ArrayImpl else layout is None
            for arg, layout in zip(args, self._layouts_read(len(args)), strict=True)
        )

    def _is_read_as_is(self, array: Any, layout: Any) -> bool:
        if array.is_deleted():  # donated as it was
            return True
        there = layout is None or array._sharding.device_set == self.sharding_per_argument()[0].device_set
        return there and layout_of(array) == layout

    def handlers(self, committed: bool) -> list[Any]:
        """What makes arrays of the results."""
        known = self._committed_handlers if committed else self._handlers
        if known is None:
            known = [_result_handler(aval, self.sharding, committed) for aval in self.out_avals]
            if committed:
                self._committed_handlers = known
            else:
                self._handlers = known
        return known

    def sharding_per_argument(self) -> list[Any]:
        """Where the program expects each argument."""
        return [self.sharding] * len(self.kept)

    def sharding_per_result(self) -> list[Any]:
        """Where each result is."""
        return [self.sharding] * len(self.out_avals)

    def run(self, args: Sequence[Any], committed: bool) -> list[Any]:
        """Executes on flat arguments."""
        check_may_run(self.name)
        operands = self.laid_out(place_all(tuple(itertools.compress(args, self.kept)), self.device))
        try:
            outs = self.execute(operands, committed)
        except JaxRuntimeError as error:
            blame(error, self)
            raise
        if checks_are_on():
            check_finite(self.name, outs)
        return outs

    def execute(self, operands: list[Any], committed: bool) -> list[Any]:
        """Executes on the arguments that are read, which are on the device."""
        if self.effects is None:
            results = self.loaded.execute_sharded(operands)
        else:
            results = self.effects.execute(self.loaded, operands, self.device)
        return results.consume_with_handlers(self.handlers(committed))

    def fast_path(
        self, result: Any, constants: Sequence[Any], committed: bool, leaves: Sequence[Any]
    ) -> FastPath | None:
        """The record for the C++ dispatcher; None if calls have to come back to Python.

        Calls with NumPy arrays have records of their own. C++ would lend their memory to a computation
        that may still run when the caller writes to it; a layout that is not None makes it ask
        `shard_arg` instead, which copies.

        Args:
          result: what the call returns, in its structure.
          constants: values of the hoisted constants.
          committed: whether the results are tied to the device.
          leaves: the other arguments.
        """
        if self.effects is not None or checks_are_on() or not all(map(_is_c_argument, leaves)):
            return None
        avals = [_physical(aval) for aval in self.out_avals]
        if not all(map(_is_plain, avals)):
            return None
        if custom_layouts.in_use:
            if not self.reads_as_they_are(list(itertools.compress((*constants, *leaves), self.kept))):
                return None
        layouts = [
            _COPY_FIRST if isinstance(arg, np.ndarray) else None
            for arg, keep in zip((*[None] * len(constants), *leaves), self.kept, strict=True)
            if keep
        ]
        count = len(layouts)
        shardings = [self.sharding]
        return FastPath(
            self.loaded,
            dispatch_registry.flatten(result)[1],
            shardings * count,
            shardings * len(avals),
            avals,
            [committed] * len(avals),
            self.kept,
            layouts,
            [place(constant, self.device) for constant in constants],
        )


def _orders(found: Sequence[Any], count: int) -> tuple[Any, ...]:
    """How the last of a program's arguments or results lie; tokens come before them."""
    return tuple(unusual(told(str(layout))) for layout in found[len(found) - count :])


def _is_plain(aval: Any) -> bool:
    return type(aval) is ShapedArray and isinstance(aval.dtype, np.dtype) and aval.dtype != dtypes.float0


def _physical(aval: Any) -> Any:
    """The aval of the array behind one of an extended dtype; other avals as they are."""
    dtype = getattr(aval, "dtype", None)
    if not isinstance(dtype, dtypes.ExtendedDType):
        return aval
    physical = ShapedArray(aval.shape + dtype.physical_element_shape, dtype.physical_dtype)
    return physical if aval.layout is None else typed(physical, aval.layout)


def _result_handler(aval: Any, sharding: Any, committed: bool) -> Any:
    if aval is abstract_token:
        return array_result_handler(ShapedArray((0,), np.bool_), sharding, committed).wrap(lambda _: Token())
    if aval.dtype == dtypes.float0:
        return array_result_handler(ShapedArray(aval.shape, np.bool_), sharding, committed).wrap(
            lambda array: np.zeros(array.shape, dtypes.float0)
        )
    physical = _physical(aval)
    handler = array_result_handler(physical, sharding, committed)
    return handler if physical is aval else handler.wrap(aval.dtype.from_physical)


def executable_for(
    closed: ClosedJaxpr,
    options: CompileOptions,
    device: Any,
    names: Callable[[], tuple[Any, Any]] | None = None,
    description: Callable[[], str] | None = None,
    layout: Layout | None = None,
) -> Executable:
    """The executable of a program on a device: the one made before, or a new one.

    Args:
      closed: the program, constants already hoisted.
      options: see `CompileOptions`.
      device: where it is to run.
      names: gives names of arguments and results; called only if the program is lowered.
      description: tells which function it is, for messages about donated arguments.
      layout: of a program over a mesh, of which `device` is then the first device.
    """
    key = (Executable, options, device if layout is None else layout)
    executable = closed.memo.get(key)
    if executable is None:
        arg_names, result_names = (None, None) if names is None else names()
        _log_compiling(closed, options)
        lowered = lower(closed, options, (platform_of(device),), arg_names, result_names, layout)
        if lowered.donated and description is not None:
            kept_names = (
                None if arg_names is None else [n for n, keep in zip(arg_names, lowered.kept) if keep]
            )
            donation.register(description(), lowered.in_avals, lowered.donated, kept_names)
        executable = lowered.compile(device)
        closed.memo[key] = executable
    return executable


def _is_c_argument(leaf: Any) -> bool:
    """True for the kinds of argument that the C++ dispatcher handles itself."""
    return isinstance(leaf, _C_TYPES) or type(leaf) in array_wrappers


def retracing_refused(what: str) -> str:
    """The message for a trace that `no_tracing` does not allow."""
    return (
        f"re-tracing function {what} for `jit`, but 'no_tracing' is set. It has not been traced for these types of "
        "arguments and this configuration before: config.explain_cache_misses tells what differs."
    )


def check_may_run(name: str) -> None:
    """Raises RuntimeError if `no_execution` is set."""
    if config.no_execution.value:
        raise RuntimeError(
            f"Canter tried to execute function jit({name}), but the no_execution config option is set"
        )


def check_arguments_concrete(args: Sequence[Any]) -> None:
    """Raises UnexpectedTracerError if a tracer that left its trace is among the arguments."""
    if any(issubclass(kind, Tracer) for kind in set(map(type, args))):
        raise escaped_tracer_error(next(arg for arg in args if isinstance(arg, Tracer)))


def _log(message: str, *args: Any) -> None:
    """Logs a step of compilation: as a warning where `log_compiles` is set."""
    wanted = config.log_compiles.value
    if not wanted and "logging" not in sys.modules:
        return  # nobody can be listening
    import logging

    logging.getLogger("canter.runtime").log(logging.WARNING if wanted else logging.DEBUG, message, *args)


#: Steps that are logged and told to listeners: the message, the event, and how they name the function.
_STEPS = {
    "trace": ("Finished tracing %s for jit in %.9f sec", "jaxpr_trace_duration", "{}"),
    "lower": (
        "Finished jaxpr to MLIR module conversion jit(%s) in %.9f sec",
        "jaxpr_to_mlir_module_duration",
        "jit({})",
    ),
    "compile": ("Finished XLA compilation of jit(%s) in %.9f sec", "backend_compile_duration", "jit({})"),
}


def log_duration(start: float, step: str, name: str) -> None:
    """Logs and records how long a step of `_STEPS` took that started at `start`, by `time.perf_counter()`."""
    message, event, form = _STEPS[step]
    seconds = time.perf_counter() - start
    _log(message, name, seconds)
    monitoring.record_step("/jax/core/compile/" + event, seconds, fun_name=form.format(name))


def _log_compiling(closed: ClosedJaxpr, options: CompileOptions) -> None:
    _log("Compiling jit(%s) for arguments %s.", options.name, closed.in_avals)
