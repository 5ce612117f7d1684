"""Programs over several devices: which devices and layouts a call has, and how it runs there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from canter_pjrt.jaxlib_door import (
    ArrayImpl,
    HloSharding,
    JaxRuntimeError,
    OpSharding,
    SingleDeviceSharding,
    default_memory_of,
)

from ..core.avals import aval_in, get_aval
from ..core.explicit import typed
from ..core.jaxpr import ClosedJaxpr
from ..core.memory import host_kinds
from ..core.mesh import AbstractMesh, Mesh, current_context
from ..core.partition_spec import PartitionSpec
from ..core.pytree_registry import dispatch_registry
from ..core.sharding import DeviceSharding, NamedSharding, check_fits, in_order_of, sharding_of_tiles
from .backend import current_default_device
from .failures import blame
from .nonfinite import check_finite, checks_are_on
from .placement import sharding_of
from .places import in_host_memory, program_devices, program_shardings
from .processes import Span
from .program import (
    Executable,
    FastPath,
    Layout,
    LoweredProgram,
    _is_c_argument,
    _is_plain,
    _physical,
    _result_handler,
    check_may_run,
)

__all__ = ["MeshExecutable", "layout_of_call"]


def layout_of_call(
    args: Sequence[Any],
    describe: Callable[[int], str],
    closed: ClosedJaxpr,
    shardings: tuple[Sequence[Any], Sequence[Any]] | None,
) -> Layout | None:
    """The devices and shardings of a call; None if it concerns one device only.

    Raises:
      ValueError: arguments, options and program name different devices, an argument is committed to
        another sharding than the one asked for, or a shape does not fit its sharding.
    """
    if shardings is None:
        _check_one_mesh(args, describe, closed)
    ins, outs = ((), ()) if shardings is None else shardings
    ins = list(ins) or [None] * len(args)
    outs = list(outs) or [None] * len(closed.jaxpr.outvars)
    sources: list[tuple[Any, Callable[[], str]]] = []
    for position, arg in enumerate(args):
        own = _tied_to(arg)
        asked = ins[position]
        if asked is not None:
            _check_asked(arg, own, asked, describe(position))
            sources.append((asked, functools.partial(_in_words, "in_shardings of {}", describe, position)))
        elif own is not None:
            if type(arg) is not ArrayImpl:  # a promise of an array
                check_fits(own, closed.in_avals[position], describe(position), "arguments")
            ins[position] = own
            words = "{} with shape " + _shape_text(arg)
            sources.append((own, functools.partial(_in_words, words, describe, position)))
    sources += [(out, lambda: "out_shardings") for out in outs if out is not None]
    sources += [(s, lambda: "a sharding inside the function") for s in program_shardings(closed)]
    asked = shardings is not None and any((*shardings[0], *shardings[1]))
    sources += [
        (sharding_of(device), lambda: "a sharding inside the function") for device in program_devices(closed)
    ]
    if asked or any(isinstance(s, DeviceSharding) or _elsewhere(s) for s, _ in sources):
        devices, mesh = _common_devices(sources)
    else:
        mesh = current_context().concrete
        if mesh is not None and not sources:
            devices = mesh._flat_devices_tuple
        elif in_host_memory(closed):
            devices, mesh = _common_devices(sources or [(sharding_of(current_default_device()), str)])
        else:
            return None
    for position, (out, kind) in enumerate(zip(outs, host_kinds(closed.out_avals), strict=True)):
        if out is None and kind is not None and len(devices) == 1 and mesh is None:
            outs[position] = SingleDeviceSharding(devices[0], memory_kind=kind)
    if mesh is not None and mesh.explicit_axes:
        outs = [_as_typed(*pair, mesh) for pair in zip(outs, closed.out_avals, strict=True)]
    wanted = [s if s is None else in_order_of(s, mesh, _rank(arg)) for s, arg in zip(ins, args, strict=True)]
    return Layout(devices, mesh, tuple(wanted), tuple(outs))


_MOVES = {"device_put", "reshard", "copy", "layout_constraint"}


def _check_one_mesh(args: Sequence[Any], describe: Callable[[int], str], closed: ClosedJaxpr) -> None:
    """Checks that work is done over one mesh: that in force, or that of arguments with axes of type Explicit.

    Raises:
      ValueError: arguments are committed to other devices than the mesh in force has, or in another order; or they are
        over different meshes where axes are of type Explicit.
    """
    in_force = current_context()
    context = in_force.concrete
    places = [(position, own) for position, arg in enumerate(args) if (own := _tied_to(arg)) is not None]
    if program_shardings(closed) or all(eqn.primitive.name in _MOVES for eqn in closed.jaxpr.eqns):
        return  # programs with meshes of their own bring arrays there
    mesh = in_force.abstract
    meshes = {} if mesh is None or mesh.manual_axes else {mesh: "The mesh in force"}
    for position, own in places:
        if type(own) is NamedSharding:
            meshes.setdefault(
                own.mesh.abstract_mesh,
                f"{describe(position)}, of type {_shape_text(args[position])}, is over",
            )
    # Derivatives of what is done along axes of one type are taken where the same axes have another.
    if any(mesh.explicit_axes for mesh in meshes) and not in_force.lenient:
        first, *others = meshes.items()
        for other in others:
            if (first[0].shape_tuple, first[0].axis_types) != (other[0].shape_tuple, other[0].axis_types):
                raise ValueError(
                    "The meshes of all arguments and the context mesh should match the aval mesh where axes are of "
                    f"type Explicit. {first[1]} {first[0]}, while {other[1]} {other[0]}. Bring arrays to one mesh "
                    "with canter.reshard or canter.device_put, or set that mesh with canter.set_mesh."
                )
    expected = None if context is None else context._flat_devices_tuple
    for position, own in places:
        if expected is not None and (devices := tuple(own._device_assignment)) != expected:
            raise ValueError(
                "Received incompatible devices for jitted computation. Got "
                f"{_described(args[position], describe(position))} and with {_ids(devices)} and jit's context mesh "
                f"with {_ids(expected)}. Bring it to that mesh with canter.device_put."
            )


def _as_typed(asked: Any, aval: Any, mesh: Mesh) -> Any:
    """The sharding of a result: the one asked for, else that of its type; None where axes are the compiler's."""
    shape = getattr(aval, "shape", None)
    if asked is not None or shape is None:
        return asked
    if aval.layout is None:
        spec = PartitionSpec(*[None] * len(shape)) if mesh.are_all_axes_explicit else None
    else:
        spec = aval.layout.spec
    if spec is not None and (mesh.are_all_axes_explicit or spec.unreduced or spec.reduced):
        return NamedSharding(mesh, spec, memory_kind=host_kinds([aval])[0])
    return None


def _as_written(found: Any, aval: Any) -> Any:
    """A sharding of the compiler's, in the words of the type if that says as much."""
    if not isinstance(found, NamedSharding):
        return found
    layout = getattr(aval, "layout", None)
    spec = PartitionSpec(*[None] * len(aval.shape)) if layout is None else layout.spec
    axes = found.spec.axes()
    return found.update(spec=spec) if (*axes, *[()] * (len(spec) - len(axes))) == spec.axes() else found


def _rank(arg: Any) -> int:
    return len(arg.shape) if hasattr(arg, "shape") else np.ndim(arg)


def _elsewhere(sharding: Any) -> bool:
    """Whether a sharding means another memory than the devices' usual one."""
    kind = sharding.memory_kind
    return kind is not None and kind != default_memory_of(sharding._device_assignment[0])


def _tied_to(arg: Any) -> Any:
    """The sharding to which an argument is committed, or None."""
    if type(arg) is ArrayImpl:
        return arg._sharding if arg._committed else None
    if getattr(arg, "_committed", False):
        return arg.sharding
    if hasattr(arg, "weak_type") and not hasattr(arg, "aval"):  # a ShapeDtypeStruct
        return _over_devices(getattr(arg, "sharding", None))
    return None


def _over_devices(sharding: Any) -> Any:
    """The sharding of a ShapeDtypeStruct; what `eval_shape` returns has no devices, but those of the mesh in force."""
    if not isinstance(mesh := getattr(sharding, "mesh", None), AbstractMesh):
        return sharding
    context = current_context().concrete
    if context is not None and context.shape_tuple == mesh.shape_tuple:
        return NamedSharding(context, sharding.spec, memory_kind=sharding.memory_kind)
    raise ValueError(
        f"The sharding of a ShapeDtypeStruct, {sharding.spec} over {mesh}, names no devices. Lower it with the mesh in "
        "force, `with canter.set_mesh(mesh):`, or give the struct a sharding over a Mesh; or say for which platforms, "
        "without devices: `jit(f).trace(...).lower(lowering_platforms=('tpu',))`."
    )


def _in_words(words: str, describe: Callable[[int], str], position: int) -> str:
    return words.format(describe(position))


def _described(arg: Any, name: str) -> str:
    return f"{name} with shape {_shape_text(arg)}"


def _shape_text(arg: Any) -> str:
    dtype = getattr(arg, "dtype", None)
    if dtype is None:
        return get_aval(arg).str_short()
    return f"{dtype.name}[{','.join(map(str, arg.shape))}]"


def _check_asked(arg: Any, own: Any, asked: Any, name: str) -> None:
    whole_there = asked.is_fully_replicated and isinstance(own, SingleDeviceSharding)
    if own is not None and not whole_there and not asked.is_equivalent_to(own, _rank(arg)):
        raise ValueError(
            f"Sharding passed to jit does not match the sharding on the respective arg. Got jit sharding: {asked},\n"
            f"arg sharding: {own} for {name}, of type {_shape_text(arg)}. Bring it there first, with "
            "canter.device_put, or leave it out of in_shardings."
        )
    kind = arg._sharding.memory_kind if type(arg) is ArrayImpl else None
    if kind is not None and asked.memory_kind not in (None, kind):
        raise ValueError(
            f"Memory kinds passed to jit do not match the memory kind of the respective arg. Got jit memory kind: "
            f"{asked.memory_kind}, arg memory kind: {kind} for {name}, of type {_shape_text(arg)}. Bring it to that "
            "memory first, with canter.device_put."
        )


def _common_devices(sources: Sequence[tuple[Any, Callable[[], str]]]) -> tuple[tuple[Any, ...], Any]:
    """The devices that all shardings share, in the order of the first, and a mesh of that order."""
    first, describe_first = next(
        (pair for pair in sources if isinstance(pair[0], DeviceSharding)), sources[0]
    )
    devices = tuple(first._device_assignment)
    for sharding, describe in sources:
        own = tuple(sharding._device_assignment)
        if own != devices and set(own) != set(devices):
            raise ValueError(
                "Received incompatible devices for jitted computation. Got "
                f"{describe_first()} and with {_ids(devices)} and {describe()} and with {_ids(own)}. Bring them to "
                "the same devices with canter.device_put."
            )
    meshes = [s.mesh for s, _ in sources if isinstance(s, NamedSharding)]
    fitting = [m for m in meshes if m._flat_devices_tuple == devices]
    if fitting:
        return devices, fitting[0]
    over_mesh = any(isinstance(s, DeviceSharding) for s, _ in sources)
    return devices, Mesh(np.array(devices, object), ("devices",)) if over_mesh else None


def _ids(devices: tuple[Any, ...]) -> str:
    return f"device ids {[device.id for device in devices]} on platform {devices[0].platform.upper()}"


class MeshExecutable(Executable):
    """A compiled program over the devices of a mesh.

    Attributes:
      in_shardings: of the arguments that the program reads.
      out_shardings: of the results.
      span: of a program over several processes, else None.
    """

    __slots__ = ("_made_as", "devices", "in_shardings", "mesh", "out_shardings", "span")

    def __init__(self, loaded: Any, lowered: LoweredProgram):
        layout = lowered.layout
        assert layout is not None
        super().__init__(loaded, lowered, layout.devices[0])
        self.devices, self.mesh = layout.devices, layout.mesh
        self.span = Span.of(lowered, layout.devices)
        asked = layout.kept(lowered.kept).in_shardings
        in_avals = [_physical(aval) for aval in lowered.in_avals]
        out_avals = [_physical(aval) for aval in lowered.out_avals]
        nowhere = [None] * len(asked)
        self.in_shardings = self._completed(asked, loaded.get_parameter_shardings, in_avals, nowhere)
        self.out_shardings = self._completed(
            layout.out_shardings, loaded.get_output_shardings, out_avals, self._memory_kinds(len(out_avals))
        )
        self.out_avals = [
            aval_in(typed(aval, where), where) if type(where) is NamedSharding else aval
            for aval, where in zip(self.out_avals, self.out_shardings, strict=True)
        ]
        # How the program itself orders the devices of the results, where a mesh asked for has another order.
        self._made_as = [
            in_order_of(sharding, self.mesh, len(aval.shape))
            for sharding, aval in zip(self.out_shardings, out_avals, strict=True)
        ]

    def _completed(
        self, asked: Sequence[Any], chosen: Callable[[], Any], avals: Sequence[Any], kinds: Sequence[Any]
    ) -> list[Any]:
        """The shardings asked for, and those that the compiler chose for the rest."""
        if all(sharding is not None for sharding in asked):
            return list(asked)
        found = chosen() if len(self.devices) > 1 else None
        protos = (
            [None] * len(asked) if found is None else found[len(found) - len(asked) :]
        )  # tokens come first
        return [
            self._told(proto, aval, kind) if sharding is None else sharding
            for sharding, proto, aval, kind in zip(asked, protos, avals, kinds, strict=True)
        ]

    def _memory_kinds(self, count: int) -> list[Any]:
        """The memories of results, where that is not the devices' usual one; tokens come first."""
        kinds = self.loaded.get_output_memory_kinds()
        if not kinds or len(kinds[0]) < count:
            return [None] * count
        usual = default_memory_of(self.device)
        return [None if kind == usual else kind for kind in kinds[0][len(kinds[0]) - count :]]

    def _told(self, proto: Any, aval: Any, kind: Any) -> Any:
        if self.mesh is None:
            return SingleDeviceSharding(self.device, memory_kind=kind)
        tiles = HloSharding.replicate() if proto is None else proto
        if isinstance(tiles, OpSharding):
            tiles = HloSharding.from_proto(tiles)
        found = sharding_of_tiles(self.mesh, tiles, len(aval.shape), kind)
        return _as_written(found, aval) if self.mesh.explicit_axes else found

    def _everywhere(self) -> Any:
        """The sharding of a value that all devices have; None for a program on one."""
        if self.mesh is None or len(self.devices) == 1:
            return None
        return sharding_of_tiles(self.mesh, HloSharding.replicate(), 1, None)

    def handlers(self, committed: bool) -> list[Any]:
        """What makes arrays of the results, which are always committed."""
        if self._committed_handlers is None:
            self._committed_handlers = [
                _result_handler(aval, sharding, True)
                for aval, sharding in zip(self.out_avals, self._made_as, strict=True)
            ]
        return self._committed_handlers

    def sharding_per_argument(self) -> list[Any]:
        """Where the program expects each argument; those that it does not read are on all devices."""
        read = iter(self.in_shardings)
        anywhere = self.sharding if self.mesh is None else NamedSharding(self.mesh, PartitionSpec())
        return [next(read) if keep else anywhere for keep in self.kept]

    def sharding_per_result(self) -> list[Any]:
        """Where each result is."""
        return list(self.out_shardings)

    def check_arguments(self, name: str, args: Sequence[Any], describe: Callable[[int], str]) -> None:
        """Checks that committed arguments are where the program expects them.

        Raises:
          ValueError: some are not; the message names them.
        """
        problems = []
        for position, (arg, wanted, keep) in enumerate(
            zip(args, self.sharding_per_argument(), self.kept, strict=True)
        ):
            own = _tied_to(arg)
            if keep and own is not None and not wanted.is_equivalent_to(own, len(arg.shape)):
                problems.append(
                    f"  {_described(arg, describe(position))}:\n    Passed sharding: {own}\n"
                    f"    Required sharding: {wanted}"
                )
        if problems:
            more = f"\n  and {len(problems) - 4} more" if len(problems) > 4 else ""
            raise ValueError(
                f"Computation was compiled for input shardings that disagree with the shardings of arguments passed to "
                f"it. Here are the {len(problems)} mismatches of {name}:\n" + "\n".join(problems[:4]) + more
            )

    def run(self, args: Sequence[Any], committed: bool) -> list[Any]:
        """Executes on flat arguments."""
        from .device_put import place_on

        check_may_run(self.name)
        read = (arg for arg, keep in zip(args, self.kept, strict=True) if keep)
        operands = self.laid_out([place_on(arg, s) for arg, s in zip(read, self.in_shardings, strict=True)])
        if self.span is None:
            outs = self._finish(self._execute(operands))
        else:
            outs = self.span.run(lambda: self._execute(operands), self._finish)
        if self._made_as != self.out_shardings:
            outs = [place_on(out, sharding) for out, sharding in zip(outs, self.out_shardings, strict=True)]
        if checks_are_on():
            check_finite(self.name, outs)
        return outs

    def _execute(self, operands: list[Any]) -> Any:
        try:
            if self.effects is None:
                return self.loaded.execute_sharded(operands)
            return self.effects.execute(self.loaded, operands, self.device, self._everywhere())
        except JaxRuntimeError as error:
            blame(error, self)
            raise

    def _finish(self, results: Any) -> list[Any]:
        return results.consume_with_handlers(self.handlers(True))

    def fast_path(
        self, result: Any, constants: Sequence[Any], committed: bool, leaves: Sequence[Any]
    ) -> FastPath | None:
        """The record for the C++ dispatcher; see `Executable.fast_path`.

        Of arguments that are not on as many devices, C++ asks for copies that are where the program wants them.
        """
        from .device_put import place_on

        if self._made_as != self.out_shardings or (self.span is not None and self.span.on_cpu):
            return None
        if self.effects is not None or checks_are_on() or not all(map(_is_c_argument, leaves)):
            return None
        avals = [_physical(aval) for aval in self.out_avals]
        if not all(map(_is_plain, avals)):
            return None
        read = [arg for arg, keep in zip((*constants, *leaves), self.kept, strict=True) if keep]
        if any(type(arg) is ArrayImpl and self._in_other_order(arg) for arg in read):
            return None  # C++ looks at the number of devices only
        if not self.reads_as_they_are(read):
            return None
        held = iter(self.in_shardings)
        values = [
            place_on(constant, next(held)) if keep else constant
            for constant, keep in zip(constants, self.kept, strict=False)
        ]
        return FastPath(
            self.loaded,
            dispatch_registry.flatten(result)[1],
            self.in_shardings,
            self.out_shardings,
            avals,
            [True] * len(avals),
            self.kept,
            [None] * len(read),
            values,
        )

    def _in_other_order(self, array: Any) -> bool:
        devices = tuple(array._sharding._device_assignment)
        return len(devices) == len(self.devices) and devices != tuple(self.devices)
