"""The stages of a compiled function, one by one: `Traced`, `Lowered`, `Compiled`.

`jit(f).trace(x)` has the jaxpr, `.lower()` the StableHLO module, `.compile()` the executable. They
are made by the same code as a call of the jitted function.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from canter_pjrt.jaxlib_door import ArrayImpl, PjitFunctionCache, pjit, platform_of

from ..core import pytree
from ..core.avals import ShapedArray
from ..core.errors import filter_traceback
from ..core.jaxpr import ClosedJaxpr
from ..core.mesh import current_context
from ..core.pytree_registry import dispatch_registry
from ..core.sharding import NamedSharding
from ..core.trace import Tracer, references
from ..core.tracing import argument_aval
from .absent_devices import layout_without_devices
from .array import check_not_deleted
from .backend import get_backend
from .donation import check_donated_once
from .effort import current, flags_of, option_pairs
from .elsewhere import refuse_if_elsewhere
from .jit import shard_arg
from .layouts import custom_layouts, format_of_aval
from .places import place_of_call
from .program import CompileOptions, Executable, lower
from .shape_dtype import struct_of, structs_of_results
from .signature import ArgumentNames, describe_function
from .spmd import MeshExecutable

if TYPE_CHECKING:
    from .jit import Jitted
    from .memory_analysis import MemoryAnalysis
    from .program import LoweredProgram
    from .traces import Call, TracedProgram

__all__ = ["ArgInfo", "Compiled", "LoJax", "Lowered", "Traced"]

_serial = itertools.count()
_cache = PjitFunctionCache(capacity=1024)


@dataclass(frozen=True, slots=True)
class ArgInfo:
    """One array among the arguments: its type, and whether the call may take its memory."""

    _aval: Any
    donated: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The argument's shape."""
        return self._aval.shape

    @property
    def dtype(self) -> Any:
        """The argument's dtype."""
        return self._aval.dtype


class _Stage:
    """What all stages know: the function, and the types and structure of arguments and results."""

    def __init__(self, jitted: Jitted, program: TracedProgram, call: Call):
        self._jitted = jitted
        self._program = program
        self._call = call

    @property
    def in_tree(self) -> Any:
        """Structure of `(args, kwargs)`, without static arguments."""
        return self._call.in_tree

    @property
    def out_tree(self) -> Any:
        """Structure of the results."""
        return self._program.out_tree

    @property
    def in_avals(self) -> Any:
        """Types of the arguments, as `(args, kwargs)`."""
        return self.in_tree.unflatten(self._call.avals)

    @property
    def out_avals(self) -> Any:
        """Types of the results."""
        return self.out_tree.unflatten(self._program.closed.out_avals)

    @property
    def args_info(self) -> Any:
        """An `ArgInfo` an argument, as `(args, kwargs)`."""
        donated = self._jitted.donated(self._call)
        return self.in_tree.unflatten(list(map(ArgInfo, self._call.avals, donated)))

    @property
    def out_info(self) -> Any:
        """A `ShapeDtypeStruct` a result, in the structure of the results."""
        asked = self._jitted.asked_shardings(self._program, self._call)
        avals = self._program.closed.out_avals
        return self.out_tree.unflatten(structs_of_results(avals, asked and asked[1]))

    @property
    def donate_argnums(self) -> tuple[int, ...]:
        """Which flat arguments are donated."""
        return tuple(i for i, flag in enumerate(self._jitted.donated(self._call)) if flag)

    @property
    def fun_name(self) -> str:
        """The function's name."""
        return self._jitted.name

    def _check_reusable(self) -> None:
        if not self._program.reusable:
            raise TypeError(
                f"{describe_function(self._jitted.function)} uses values of an enclosing transformation, so it can "
                "only be called, not lowered by itself. Lower the outermost function, or pass the values as arguments."
            )

    def __repr__(self) -> str:
        types = ", ".join(aval.str_short() for aval in self._call.avals)
        return f"<{type(self).__name__} {self.fun_name}({types})>"


class Traced(_Stage):
    """A function traced for the types of its arguments.

    >>> import canter as ct
    >>> traced = ct.jit(lambda x: x + x).trace(1.0)
    >>> traced.jaxpr
    { lambda ; a:f32[]. let b:f32[] = add a a in (b,) }
    """

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The program, closed over the arrays that the function captured."""
        return self._program.closed

    @property
    def effects(self) -> Any:
        """What the program does besides computing its results."""
        return self._program.closed.effects

    @property
    def lojax(self) -> LoJax:
        """The program in terms of arrays: values of high types and mutable arguments are the arrays they consist of."""
        return LoJax(self)

    def eval_shape(self) -> Any:
        """The same as `out_info`."""
        return self.out_info

    def lower(self, *, lowering_platforms: Sequence[str] | None = None) -> Lowered:
        """Emits the StableHLO module.

        Args:
          lowering_platforms: names of platforms such as ("cuda",); None for that of the device on
            which a call would run. Where they are given, arguments may be laid out over an `AbstractMesh`.

        Raises:
          NotImplementedError: an operation has no lowering for a platform.
        """
        jitted, program, call = self._jitted, self._program, self._call
        if not program.reusable:
            raise TypeError(
                f"{describe_function(jitted.function)} uses values of an enclosing transformation, so it can only be "
                "called, not lowered by itself. Lower the outermost function, or pass the values as arguments."
            )
        if references.in_use and program.takes_references(call):
            return self._lower_arrays(lowering_platforms)
        device, layout = None, None
        if lowering_platforms is not None and current_context().concrete is None:
            layout = layout_without_devices(jitted, program, call)
        if layout is None:
            place = jitted.place(program, call, [*program.constants, *call.leaves], lowering=True)
            device, layout = place.device, place.layout
        platforms = (platform_of(device),) if lowering_platforms is None else tuple(lowering_platforms)
        names = jitted.names_for(program, call)
        options = jitted.options_for(program, call)
        lowered = lower(program.lifted, options, platforms, *names, layout=layout)
        return Lowered(jitted, program, call, lowered, device)

    def _lower_arrays(self, lowering_platforms: Sequence[str] | None) -> Lowered:
        """`lower` for arguments that are references or values of high types: the program of their arrays."""
        from ..transforms.discharge import of_arrays

        jitted, program = self._jitted, self._program
        closed = of_arrays(program.lifted)
        place = place_of_call([], str, closed, jitted.device, None)
        platforms = (place.device.platform,) if lowering_platforms is None else tuple(lowering_platforms)
        flags = jitted.compiler_flags
        options = CompileOptions(jitted.name, (), jitted.keep_unused, flags, current(flags))
        return Lowered(jitted, program, self._call, lower(closed, options, platforms), place.device)


class LoJax:
    """A traced function whose program knows nothing but arrays.

    Example:
      >>> import canter as ct
      >>> ct.jit(lambda x: x + x).trace(1.0).lojax.jaxpr
      { lambda ; a:f32[]. let b:f32[] = add a a in (b,) }
    """

    def __init__(self, traced: Traced):
        self._traced = traced

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The program; without high types and mutable arguments it is that of the function as traced."""
        program, call = self._traced._program, self._traced._call
        if not program.takes_references(call):
            return program.closed
        from ..transforms.discharge import of_arrays

        return of_arrays(program.lifted)

    @property
    def args_info(self) -> Any:
        """See `Traced.args_info`."""
        return self._traced.args_info

    @property
    def out_info(self) -> Any:
        """See `Traced.out_info`."""
        return self._traced.out_info

    @property
    def out_tree(self) -> Any:
        """See `Traced.out_tree`."""
        return self._traced.out_tree

    @property
    def fun_name(self) -> str:
        """The function's name."""
        return self._traced.fun_name


class Lowered(_Stage):
    """A program as a StableHLO module.

    >>> import canter as ct
    >>> print(ct.jit(lambda x: x + x).lower(1.0).as_text())
    module @jit__lambda attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {
      func.func public @main(%arg0: tensor<f32>) -> (tensor<f32> {jax.result_info = "result"}) {
        %0 = stablehlo.add %arg0, %arg0 : tensor<f32>
        return %0 : tensor<f32>
      }
    }
    <BLANKLINE>
    """

    def __init__(
        self, jitted: Jitted, program: TracedProgram, call: Call, lowered: LoweredProgram, device: Any
    ):
        super().__init__(jitted, program, call)
        self._lowered = lowered
        self._device = device

    @property
    def out_info(self) -> Any:
        """A `ShapeDtypeStruct` a result; shardings are over the devices that the program was lowered for."""
        layout, avals = self._lowered.layout, self._program.closed.out_avals
        if layout is None or layout.is_for_one_device():
            return super().out_info
        typed = [getattr(aval, "layout", None) for aval in avals]
        mine = [where and NamedSharding(layout.mesh, where.spec) for where in typed]
        asked = [a or b for a, b in zip(layout.out_shardings, mine, strict=True)]
        return self.out_tree.unflatten(structs_of_results(avals, asked))

    def as_text(
        self, dialect: str | None = None, *, debug_info: bool = False, propagated: bool = False
    ) -> str:
        """The program as text.

        Args:
          dialect: "stablehlo" (the default) or "hlo".
          debug_info: whether locations in the source are printed (StableHLO only).
          propagated: whether to show the sharding of every value, as Shardy derives them (StableHLO only).

        Raises:
          ValueError: another dialect.
        """
        if dialect == "hlo":
            return self.compiler_ir("hlo").as_hlo_text()
        module = self.compiler_ir(dialect)
        if propagated:
            from canter_mlir.portable import with_propagated_shardings

            module = with_propagated_shardings(module)
        return module.operation.get_asm(enable_debug_info=debug_info)

    def compiler_ir(self, dialect: str | None = None) -> Any:
        """The program as an object: an `ir.Module` ("stablehlo"), or an `XlaComputation` ("hlo").

        Raises:
          ValueError: another dialect.
        """
        if dialect in (None, "stablehlo"):
            return self._lowered.module
        if dialect == "hlo":
            from canter_pjrt.jaxlib_door import mlir_conversions

            text = self._lowered.module.operation.get_asm(enable_debug_info=True)
            return mlir_conversions.mlir_module_to_xla_computation(
                text, use_tuple_args=False, return_tuple=False
            )
        raise ValueError(f"A lowered program can be had as 'stablehlo' or 'hlo', not as {dialect!r}.")

    def cost_analysis(self) -> dict[str, float]:
        """An estimate of the cost before optimisation: 'flops', 'bytes accessed', ..."""
        from canter_pjrt.jaxlib_door import hlo_module_cost_analysis

        client = get_backend("cpu") if self._device is None else self._device.client
        return dict(hlo_module_cost_analysis(client, self.compiler_ir("hlo").get_hlo_module()))

    def compile(
        self,
        compiler_options: dict[str, Any] | None = None,
        *,
        device_assignment: Sequence[Any] | None = None,
        topology: Any = None,
        effort: str | None = None,
    ) -> Compiled:
        """Compiles for the device.

        Args:
          compiler_options: options of the XLA compiler, in addition to those of `jit`.
          device_assignment: the device to compile for, in a sequence of one.
          topology: hardware that is not here, to compile for instead: "tpu:v5e:4x4", "cuda:h100:8", a
            GpuTargetConfig as text, or what `experimental.topologies.get_topology_desc` returns. The platform's
            plugin must be installed. A program over a mesh keeps the mesh's shape, on the first devices; the mesh
            may be an `AbstractMesh`.
          effort: "fast", "default" or "max" for the compiler in the place of that of `jit`. What it would have
            changed in the program itself stays: that is decided when the program is lowered.

        Raises:
          ValueError: an option that the compiler does not have, another effort, a device of another platform,
            hardware that it does not know, or a mesh of more devices than the topology has.
          RuntimeError: the topology's platform has no plugin here.
        """
        if topology is not None:
            if device_assignment is not None:
                raise ValueError("Give device_assignment or topology, not both.")
            from .ahead_of_time import lower_for

            return lower_for(self, topology).compile(compiler_options, effort=effort)
        device = self._device
        if device is None:
            raise ValueError(
                "The program was lowered over a mesh without devices. Say with topology= for which it is to be "
                "compiled, lower it with shardings over a Mesh, or export it."
            )
        if device_assignment is not None and self._lowered.layout is not None:
            raise NotImplementedError(
                "A program over a mesh is compiled for the devices of the mesh; device_assignment must be None."
            )
        if device_assignment is not None:
            if len(device_assignment) != 1:
                raise ValueError(
                    f"The program is for one device, but device_assignment has {len(device_assignment)}."
                )
            (device,) = device_assignment
        if len(self._lowered.platforms) > 1:
            raise ValueError(
                f"The program was lowered for several platforms, {', '.join(self._lowered.platforms)}, and asks which "
                "one it runs on. Lower it for one to compile it, or export it."
            )
        if platform_of(device) not in self._lowered.platforms:
            raise ValueError(
                f"The program was lowered for {', '.join(self._lowered.platforms)} and cannot be compiled for "
                f"{device}. Export it, or lower it without lowering_platforms."
            )
        flags = flags_of(compiler_options)
        flags += option_pairs(effort, None, "compile")
        return Compiled(self, self._lowered.compile(device, flags))


class Compiled(_Stage):
    """A compiled program, which can be called with arguments of the types it was compiled for.

    >>> import canter as ct
    >>> compiled = ct.jit(lambda x: x + x).lower(1.0).compile()
    >>> print(compiled(3.0))
    6.0
    """

    def __init__(self, lowered: Lowered, executable: Executable):
        super().__init__(lowered._jitted, lowered._program, lowered._call)
        self._executable = executable
        self._dispatch = pjit(
            self.fun_name,
            self._run,
            self._cache_miss,
            [],
            [],
            next(_serial),
            dispatch_registry,
            shard_arg,
            _cache,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the program.

        Raises:
          TypeError: the structure, shape or dtype of an argument is another one.
          ValueError: an argument is committed to another device.
        """
        try:
            return self._dispatch(*args, **kwargs)
        except ValueError:
            for leaf in pytree.registry.flatten((args, kwargs))[0]:
                if isinstance(leaf, ArrayImpl):
                    check_not_deleted(leaf)
            raise

    call = __call__

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self._cache_miss(*args, **kwargs)[0]

    def _cache_miss(self, *args: Any, **kwargs: Any) -> Any:
        try:
            leaves, in_tree = pytree.registry.flatten((args, kwargs))
            self._check(leaves, in_tree, args, kwargs)
            refuse_if_elsewhere(self._executable, self.fun_name)
            constants = self._program.constants
            if references.in_use and self._program.takes_references(self._call):
                call = self._call._replace(leaves=leaves)
                return self.out_tree.unflatten(self._jitted.apply(self._program, call)), None, False
            everything = [*constants, *leaves]
            describe = lambda i: self._jitted.describe_argument(self._program, self._call, i)  # noqa: E731
            if self._jitted.uses_donation:
                donated = (False,) * len(constants) + self._jitted.donated(self._call)
                check_donated_once(everything, donated, describe)
            committed = self._committed(everything, describe)
            result = self.out_tree.unflatten(self._executable.run(everything, committed))
            return result, self._executable.fast_path(result, constants, committed, leaves), False
        except Exception as error:
            filter_traceback(error)
            raise

    def _committed(self, args: Sequence[Any], describe: Any) -> bool:
        """Whether results are committed; raises if the arguments are tied to devices of another program."""
        executable = self._executable
        if custom_layouts.in_use:
            executable.check_layouts(self.fun_name, args, describe)
        if isinstance(executable, MeshExecutable):
            executable.check_arguments(self.fun_name, args, describe)
            return True
        tied = [arg for arg in args if getattr(arg, "_committed", False)]
        for arg in tied:
            if arg.sharding.device_set != {executable.device}:
                raise ValueError(
                    f"{self.fun_name} was compiled for {executable.device}, but its arguments are committed to "
                    f"{arg.device}. Bring them to the device of the program with canter.device_put."
                )
        return bool(tied) or self._jitted.device is not None

    def _check(self, leaves: Sequence[Any], in_tree: Any, args: Any, kwargs: Any) -> None:
        where = describe_function(self._jitted.function)
        if in_tree != self.in_tree:
            expected = self.in_tree.unflatten(self._call.avals)
            problems = [
                f"  {'kwargs' if path[0].idx else 'args'}{pytree.keystr(path[1:])}: {problem}"
                for path, problem in _tree_differences(expected, (args, kwargs))
            ]
            raise TypeError(
                f"{where} was compiled for arguments of another structure than those of this call.\n"
                + "\n".join(problems[:8])
                + ("\nStatic arguments are not passed again." if self._call.statics else "")
            )
        names = ArgumentNames(self._jitted.function, in_tree, self._call.static_positions)
        problems = []
        for position, (leaf, aval) in enumerate(zip(leaves, self._call.avals, strict=True)):
            if isinstance(leaf, Tracer):
                raise TypeError(
                    f"{where} is compiled for fixed types and cannot be traced: argument {names[position]} is a "
                    f"tracer, {leaf!r}. Call the jitted function instead of the compiled one inside transformations."
                )
            try:
                given = argument_aval(leaf)
            except TypeError:
                raise TypeError(
                    f"Argument {names[position]} of {where} is of type {type(leaf).__name__}, which is not a valid "
                    f"array type. It was compiled for {aval.str_short()}."
                ) from None
            if not _same_type(given, aval):
                problems.append(
                    f"  argument {names[position]}: compiled for {aval.str_short()}, called with {given.str_short()}"
                )
        if problems:
            more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
            raise TypeError(
                f"{where} was compiled for other types of arguments than those of this call.\n"
                + "\n".join(problems[:8]) + more
                + "\nConvert the arguments, or call the jitted function, which compiles anew."
            )  # fmt: skip

    def as_text(self) -> str:
        """The optimised program, as the text of the platform's compiler; its parts, where there are several."""
        return "\n\n".join(module.to_string() for module in self._executable.loaded.hlo_modules())

    def cost_analysis(self) -> dict[str, float]:
        """The compiler's estimate of the cost: 'flops', 'bytes accessed', ..."""
        from canter_pjrt.compile import cost_analysis

        return cost_analysis(self._executable.loaded)

    def memory_analysis(self) -> MemoryAnalysis:
        """The memory that a call needs, and which lines need it.

        Printed, it is a table. `argument_size_in_bytes`, `temp_size_in_bytes` and so on are the compiler's figures.

        Raises:
          NotImplementedError: the platform gives none.
        """
        from canter_pjrt.compile import memory_analysis

        from .memory_analysis import MemoryAnalysis, lines_of

        loaded, closed = self._executable.loaded, self._program.closed
        return MemoryAnalysis(
            memory_analysis(loaded), loaded, f"jit({self.fun_name})", lambda: lines_of(closed.jaxpr)
        )

    def runtime_executable(self) -> Any:
        """The PJRT executable; for a program in parts, what holds several."""
        return self._executable.loaded

    @property
    def input_shardings(self) -> Any:
        """Where the program expects its arguments, as `(args, kwargs)`."""
        count = len(self._program.constants)
        return self.in_tree.unflatten(self._executable.sharding_per_argument()[count:])

    @property
    def output_shardings(self) -> Any:
        """Where the results are."""
        return self.out_tree.unflatten(self._executable.sharding_per_result())

    @property
    def input_formats(self) -> Any:
        """How the program expects its arguments in memory, as `(args, kwargs)` of `Format`s."""
        executable, count = self._executable, len(self._program.constants)
        avals = self._program.closed.in_avals
        own = zip(executable.sharding_per_argument()[count:], executable.layout_per_argument()[count:])
        formats = [format_of_aval(aval, *each) for aval, each in zip(avals, own, strict=True)]
        return self.in_tree.unflatten(formats)

    @property
    def output_formats(self) -> Any:
        """How the results lie in memory: a `Format` each."""
        executable, avals = self._executable, self._program.closed.out_avals
        own = zip(avals, executable.sharding_per_result(), executable.layout_per_result(), strict=True)
        return self.out_tree.unflatten([format_of_aval(*each) for each in own])

    @property
    def out_info(self) -> Any:
        """A `ShapeDtypeStruct` a result, with its sharding."""
        pairs = zip(self._program.closed.out_avals, self._executable.sharding_per_result(), strict=True)
        return self.out_tree.unflatten([struct_of(*pair) for pair in pairs])


def _same_type(given: Any, aval: Any) -> bool:
    if isinstance(given, ShapedArray) and isinstance(aval, ShapedArray):
        return given.shape == aval.shape and given.dtype == aval.dtype
    return given == aval


def _tree_differences(expected: Any, given: Any) -> list[tuple[Any, str]]:
    return [
        (path, f"compiled for {thing1}, called with {thing2}: {why}")
        for path, thing1, thing2, why in pytree.equality_errors(expected, given)
    ]
