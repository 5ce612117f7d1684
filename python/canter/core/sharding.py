"""Shardings over several devices: which part of an array each of them holds.

All of them answer one question, `_tiling(ndim)`: into how many parts each dimension is cut, and
which part each device has. Shapes, slices, equivalence and jaxlib's own form follow from that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from canter_pjrt.jaxlib_door import (
    Device,
    DeviceList,
    GSPMDSharding,
    HloSharding,
    OpSharding,
    Sharding,
    SingleDeviceSharding,
    check_and_canonicalize_memory_kind,
    default_memory_kind,
    default_memory_of,
)

from .mesh import AbstractMesh, BaseMesh, Mesh, current_context
from .partition_spec import PartitionSpec

__all__ = [
    "DeviceSharding",
    "DuplicateSpecError",
    "IndivisibleError",
    "NamedSharding",
    "NoMeshError",
    "TileSharding",
    "check_fits",
    "check_spec",
    "in_order_of",
    "is_over_nothing",
    "resolve",
    "sharding_of_tiles",
]


_Answer = TypeVar("_Answer")
_MOST_KEPT = 256  # shapes, for each question


def _kept_by_argument(method: Callable[[Any, Any], _Answer]) -> Callable[[Any, Any], _Answer]:
    """A method of one argument whose answers are kept with the object."""
    place = f"_kept{method.__name__}"

    @functools.wraps(method)
    def kept(self: Any, argument: Any) -> _Answer:
        answers = self.__dict__.get(place)
        if answers is None or len(answers) > _MOST_KEPT:
            answers = self.__dict__[place] = {}
        answer = answers.get(argument)
        if answer is None:
            answer = answers[argument] = method(self, argument)
        return answer

    return kept


class DuplicateSpecError(ValueError):
    """A mesh axis is named twice in a spec."""


class IndivisibleError(ValueError):
    """A dimension cannot be cut into equal parts."""


class NoMeshError(RuntimeError, ValueError):
    """A PartitionSpec is given where no mesh is in force."""


class DeviceSharding(GSPMDSharding):
    """What shardings over several devices have in common.

    They derive from a class of jaxlib's, whose instances its dispatcher takes without calling Python.
    """

    _devices_tuple: tuple[Any, ...]
    _unreduced: frozenset[Any] = frozenset()

    def _tiling(self, ndim: int) -> tuple[tuple[int, ...], np.ndarray]:
        """Parts per dimension, and for each device and dimension the number of its part."""
        raise NotImplementedError

    def _start(self, devices: Any, memory_kind: str | None) -> None:
        # What jaxlib keeps in its own sharding is not asked for: `_to_xla_hlo_sharding` is.
        GSPMDSharding.__init__(self, devices, HloSharding.replicate(), memory_kind=memory_kind)

    @property
    def memory_kind(self) -> str | None:
        """The kind of memory, such as 'device' or 'pinned_host'."""
        return self._memory_kind

    @property
    def num_devices(self) -> int:
        """How many devices there are."""
        return len(self._devices_tuple)

    @property
    def device_set(self) -> set[Any]:
        """The devices."""
        return set(self._devices_tuple)

    @property
    def _device_assignment(self) -> tuple[Any, ...]:
        return self._devices_tuple

    @property
    def _addressable_device_assignment(self) -> tuple[Any, ...]:  # read by libraries that store checkpoints
        return self._local

    @functools.cached_property
    def _local(self) -> tuple[Any, ...]:
        return tuple(d for d in self._devices_tuple if d.process_index == d.client.process_index())

    @property
    def addressable_devices(self) -> set[Any]:
        """The devices of this process."""
        return set(self._local)

    @property
    def is_fully_addressable(self) -> bool:
        """Whether all devices are of this process."""
        return len(self._local) == len(self._devices_tuple)

    @property
    def has_addressable_devices(self) -> bool:
        """Whether any device is of this process."""
        return bool(self._local)

    def check_compatible_aval(self, shape: Sequence[int]) -> None:
        """Raises ValueError if arrays of this shape cannot be laid out in this way."""
        self.shard_shape(tuple(shape))

    def shard_shape(self, global_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of one device's part of an array.

        Raises:
          ValueError: a dimension cannot be cut into equal parts, or there are too few dimensions.
        """
        return self._part_shape(tuple(global_shape))

    @_kept_by_argument
    def _part_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        parts, _ = self._tiling(len(shape))
        for axis, (size, count) in enumerate(zip(shape, parts, strict=True)):
            if size % count:
                raise IndivisibleError(
                    f"Sharding {self} implies that array axis {axis} is partitioned {count} times, but the dimension "
                    f"size is {size} (full shape: {shape}, per-dimension tiling factors: {list(parts)} should "
                    f"evenly divide the shape). Pad the axis to {-(-size // count) * count}, or do not shard it."
                )
        return tuple(size // count for size, count in zip(shape, parts, strict=True))

    def devices_indices_map(self, global_shape: Sequence[int]) -> dict[Any, tuple[slice, ...]]:
        """Which part of an array of this shape each device holds, as slices."""
        if self._unreduced:
            raise NotImplementedError(
                f"Arrays with the sharding {self} are sums over {sorted(map(str, self._unreduced))} that have yet to "
                "be made: no device holds a part of the array. Make the sum first with canter.reshard."
            )
        return dict(zip(self._devices_tuple, self._cuts(tuple(global_shape)), strict=True))

    @_kept_by_argument
    def _cuts(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """The part of each device."""
        part = self._part_shape(shape)
        counts, numbers = self._tiling(len(shape))
        return [
            tuple(
                slice(None) if count == 1 else slice(i * size, (i + 1) * size)
                for i, size, count in zip(position, part, counts, strict=True)
            )
            for position in numbers.tolist()
        ]

    @_kept_by_argument
    def _replica_ids(self, ndim: int) -> dict[Any, int]:
        """How many devices before each hold the same part."""
        met: dict[tuple[int, ...], int] = {}
        result = {}
        for device, position in zip(
            self._devices_tuple, map(tuple, self._tiling(ndim)[1].tolist()), strict=True
        ):
            result[device] = met.get(position, 0)
            met[position] = result[device] + 1
        return result

    def addressable_devices_indices_map(self, global_shape: Sequence[int]) -> dict[Any, tuple[slice, ...]]:
        """`devices_indices_map` for the devices of this process."""
        everything = self.devices_indices_map(global_shape)
        return {device: everything[device] for device in self._local}

    @property
    def is_fully_replicated(self) -> bool:
        """Whether every device holds the whole array."""
        raise NotImplementedError

    def is_equivalent_to(self, other: Any, ndim: int) -> bool:
        """Whether arrays of `ndim` dimensions are laid out the same way under both shardings."""
        if self is other or self == other:
            return True
        mine = self.memory_kind or self._default_memory_kind()
        if not isinstance(other, DeviceSharding):
            return len(self._devices_tuple) == 1 and (
                tuple(other._device_assignment) == self._devices_tuple and other.memory_kind == mine
            )
        if self._devices_tuple != other._devices_tuple or self._unreduced != other._unreduced:
            return False
        if mine != (other.memory_kind or other._default_memory_kind()):
            return False
        parts, numbers = self._tiling(ndim)
        other_parts, other_numbers = other._tiling(ndim)
        return parts == other_parts and bool((numbers == other_numbers).all())

    def _default_memory_kind(self) -> str | None:
        return default_memory_of(self._devices_tuple[0]) if self._devices_tuple else None

    @_kept_by_argument
    def _to_xla_hlo_sharding(self, ndim: int) -> Any:
        """The layout in jaxlib's form."""
        return _tiles_of(*self._tiling(ndim))


def _tiles_of(parts: tuple[int, ...], numbers: np.ndarray) -> Any:
    """A layout in jaxlib's form, from the parts per dimension and each device's part."""
    tiles = math.prod(parts)
    if tiles == 1:
        return HloSharding.replicate()
    copies = len(numbers) // tiles
    order = np.argsort(np.ravel_multi_index(tuple(numbers.T), parts), kind="stable").astype(np.int64)
    if copies == 1:
        return HloSharding.subgroup_with_device_ordering(order.reshape(parts), [])
    kinds = [OpSharding.Type.REPLICATED]
    return HloSharding.subgroup_with_device_ordering(order.reshape(*parts, copies), kinds)


class NamedSharding(DeviceSharding):
    """A layout over the named axes of a mesh.

    Args:
      mesh: a `Mesh`, or an `AbstractMesh` for code that knows no devices.
      spec: a `PartitionSpec`.
      memory_kind: the kind of memory, such as "pinned_host"; None is the devices' default.

    Raises:
      TypeError: another type of mesh or spec.
      ValueError: the spec names an axis that the mesh does not have, or one twice; or there is no
        such memory.

    >>> import canter as ct
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> ct.NamedSharding(mesh, ct.P("x")).shard_shape((4, 2))
    (4, 2)
    """

    mesh: Any
    spec: PartitionSpec

    def __init__(
        self,
        mesh: BaseMesh,
        spec: PartitionSpec,
        memory_kind: str | None = None,
        _logical_device_ids: Any = None,
    ):
        if not isinstance(mesh, BaseMesh):
            raise TypeError(f"NamedSharding takes a Mesh or an AbstractMesh; got {mesh!r:.120}.")
        if not isinstance(spec, PartitionSpec):
            raise TypeError(f"NamedSharding takes a PartitionSpec, such as P('x', None); got {spec!r:.120}.")
        check_spec(mesh, spec)
        self.mesh = mesh
        self.spec = spec
        if spec.unreduced:
            self._unreduced = spec.unreduced
        if isinstance(mesh, Mesh):
            self._devices_tuple = mesh._flat_devices_tuple
            devices = mesh._internal_device_list
            if memory_kind is None:
                memory_kind = default_memory_kind(devices)
            else:
                memory_kind = check_and_canonicalize_memory_kind(memory_kind, devices)
            self._start(devices, memory_kind)
        self._kind = memory_kind
        self._hash_value = hash((mesh, spec, memory_kind))

    @property
    def memory_kind(self) -> str | None:
        """The kind of memory, such as 'device' or 'pinned_host'."""
        return self._kind

    def with_dimension(self, dim: int, axes: Any = None) -> NamedSharding:
        """The sharding of values stacked along a new dimension, which `axes` split."""
        entries = [*self.spec, *[None] * (dim - len(self.spec))]
        entries.insert(dim, axes)
        return self.update(spec=self.spec.update(partitions=entries))

    def _no_devices(self, what: str) -> Any:
        raise ValueError(f"{what} is not implemented for `canter.sharding.AbstractMesh`.")

    def __getattr__(self, name: str) -> Any:
        if name == "_devices_tuple":  # only a sharding over an abstract mesh has none
            return self._no_devices("device_set")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @_kept_by_argument
    def _tiling(self, ndim: int) -> tuple[tuple[int, ...], np.ndarray]:
        axes = self.spec.axes()
        if any(axes[ndim:]) or len(axes) > ndim:
            raise ValueError(
                f"Sharding {self} is only valid for values of rank at least {len(axes)}, but was applied to a value "
                f"of rank {ndim}. Make the spec shorter, or give the array more dimensions."
            )
        mesh = self.mesh
        names, sizes = mesh.axis_names, mesh.axis_sizes
        count = mesh.size
        numbers = np.zeros((count, ndim), np.int64)
        parts = [1] * ndim
        if count:
            places = dict(zip(names, np.unravel_index(np.arange(count), sizes), strict=True))
            for dim, own in enumerate(axes):
                for name in own:
                    size = sizes[names.index(name)]
                    numbers[:, dim] = numbers[:, dim] * size + places[name]
                    parts[dim] *= size
        return tuple(parts), numbers

    @functools.cached_property
    def is_fully_replicated(self) -> bool:
        """Whether every device holds the whole array."""
        shape = self.mesh.shape
        return (
            not self._unreduced and math.prod(shape[name] for axes in self.spec.axes() for name in axes) == 1
        )

    @property
    def is_fully_addressable(self) -> bool:
        """Whether all devices are of this process."""
        if isinstance(self.mesh, AbstractMesh):
            self._no_devices("is_fully_addressable")
        return super().is_fully_addressable

    @property
    def replicated_axes(self) -> frozenset[Any]:
        """The mesh axes that split no dimension."""
        used = {name for axes in self.spec.axes() for name in axes}
        return frozenset(name for name in self.mesh.axis_names if name not in used)

    def with_memory_kind(self, kind: str) -> NamedSharding:
        """The same layout in another kind of memory."""
        return NamedSharding(self.mesh, self.spec, kind)

    def update(self, **changes: Any) -> NamedSharding:
        """A copy with `mesh`, `spec` or `memory_kind` changed."""
        fields = {"mesh": self.mesh, "spec": self.spec, "memory_kind": self._kind}
        unknown = set(changes) - set(fields)
        if unknown:
            raise TypeError(f"NamedSharding has no fields {sorted(unknown)}; it has {sorted(fields)}.")
        return NamedSharding(**{**fields, **changes})

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is NamedSharding
            and self._hash_value == other._hash_value
            and self.spec == other.spec
            and self._kind == other._kind
            and self.mesh == other.mesh
        )

    def __hash__(self) -> int:
        return self._hash_value

    def __reduce__(self) -> Any:
        return NamedSharding, (self.mesh, self.spec, self._kind)

    def __deepcopy__(self, memo: Any) -> NamedSharding:
        return self

    def __copy__(self) -> NamedSharding:
        return self

    def __repr__(self) -> str:
        kind = "" if self._kind is None else f", memory_kind={self._kind}"
        return f"NamedSharding(mesh={self.mesh!s}, spec={self.spec!r}{kind})"

    __str__ = __repr__


def check_spec(mesh: BaseMesh, spec: PartitionSpec, label: str = "") -> None:
    """Checks that a spec names axes of a mesh, each at most once.

    Raises:
      ValueError: an unknown axis.
      DuplicateSpecError: an axis named twice.
    """
    seen: set[Any] = set()
    named = [name for axes in spec.axes() for name in axes]
    for name in (*named, *spec.unreduced, *spec.reduced):
        if name not in mesh.axis_names:
            raise ValueError(
                f"{label}Resource axis: {name} of {spec} is not found in mesh: {mesh.axis_names}. The axes of the "
                f"mesh are {dict(mesh.shape)}."
            )
        if name in seen:
            raise DuplicateSpecError(
                f"{label}A single NamedSharding spec specification can map every mesh axis to at most one positional "
                f"dimension, but {spec} has duplicate entries for `{name}`. Name it once; "
                f"the axes of the mesh are {dict(mesh.shape)}."
            )
        seen.add(name)
    for role in ("unreduced", "reduced"):
        loose = [
            name
            for name in getattr(spec, role)
            if mesh.axis_types[mesh.axis_names.index(name)].name == "Auto"
        ]
        if loose:
            raise ValueError(
                f"{label}{role.capitalize()} axes can only refer to mesh axes that are of type `Explicit`. Got {spec} "
                f"and mesh: {mesh}. Make the mesh with axis_types=(AxisType.Explicit, ...)."
            )


class TileSharding(DeviceSharding):
    """A layout that the compiler chose and that no spec over a mesh describes.

    Args:
      devices: the devices.
      tiles: the layout in jaxlib's form.
      memory_kind: the kind of memory.
    """

    def __init__(self, devices: Sequence[Any], tiles: Any, memory_kind: str | None = None):
        self._devices_tuple = tuple(devices)
        self._tiles = tiles
        self._start(DeviceList(self._devices_tuple), memory_kind or self._default_memory_kind())

    @_kept_by_argument
    def _tiling(self, ndim: int) -> tuple[tuple[int, ...], np.ndarray]:
        tiles, count = self._tiles, len(self._devices_tuple)
        if tiles.is_replicated():
            return (1,) * ndim, np.zeros((count, ndim), np.int64)
        dims = tiles.tile_assignment_dimensions()
        order = np.asarray(tiles.tile_assignment_devices())
        places = np.empty((count, len(dims)), np.int64)
        places[order] = np.stack(np.unravel_index(np.arange(count), dims), 1)
        if len(dims) < ndim:
            raise ValueError(f"{self} is not a layout of arrays with {ndim} dimensions.")
        return tuple(dims[:ndim]), places[:, :ndim]

    @property
    def is_fully_replicated(self) -> bool:
        """Whether every device holds the whole array."""
        return self._tiles.is_replicated()

    def with_memory_kind(self, kind: str) -> TileSharding:
        """The same layout in another kind of memory."""
        return TileSharding(self._devices_tuple, self._tiles, kind)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            type(other) is TileSharding
            and self._devices_tuple == other._devices_tuple
            and self._tiles == other._tiles
            and self.memory_kind == other.memory_kind
        )

    def __hash__(self) -> int:
        return hash((self._devices_tuple, self._tiles, self.memory_kind))

    def __reduce__(self) -> Any:
        raise TypeError(f"{self} cannot be pickled; bring the array to a NamedSharding first.")

    def __repr__(self) -> str:
        return f"TileSharding({self._tiles!r}, memory_kind={self.memory_kind})"


def sharding_of_tiles(mesh: Mesh, tiles: Any, ndim: int, memory_kind: str | None = None) -> DeviceSharding:
    """The spec over a mesh that describes a layout in jaxlib's form; a `TileSharding` where there is none.

    Along each dimension the number of a device's part grows by a fixed step with its place along
    each mesh axis that splits the dimension; the axes, by falling steps, are the entry of the spec.
    """
    found = TileSharding(mesh._flat_devices_tuple, tiles, memory_kind)
    parts, numbers = found._tiling(ndim)
    grid = numbers.reshape(*mesh.axis_sizes, ndim)
    origin = (0,) * len(mesh.axis_sizes)
    entries: list[Any] = []
    for dim in range(ndim):
        steps = []
        for axis, name in enumerate(mesh.axis_names):
            if mesh.axis_sizes[axis] > 1:
                neighbour = (*origin[:axis], 1, *origin[axis + 1 :], dim)
                steps.append((int(grid[neighbour] - grid[(*origin, dim)]), name))
        entries.append(tuple(name for step, name in sorted(steps, key=lambda pair: -pair[0]) if step > 0))
    while entries and not entries[-1]:
        entries.pop()
    named = [name for entry in entries for name in entry]
    if len(set(named)) == len(named):
        candidate = NamedSharding(mesh, PartitionSpec(*entries), memory_kind)
        own_parts, own_numbers = candidate._tiling(ndim)
        if own_parts == parts and bool((own_numbers == numbers).all()):
            return candidate
    return found


def in_order_of(sharding: Any, mesh: Mesh | None, ndim: int) -> Any:
    """The sharding that gives every device the same part, with the devices in the order of a mesh."""
    if mesh is None or not isinstance(sharding, DeviceSharding):
        return sharding
    devices, own = mesh._flat_devices_tuple, tuple(sharding._device_assignment)
    if devices == own:
        return sharding
    parts, numbers = sharding._tiling(ndim)
    places = [own.index(device) for device in devices]
    return sharding_of_tiles(mesh, _tiles_of(parts, numbers[places]), ndim, sharding.memory_kind)


# --- what users give ---------------------------------------------------------------------------


def is_over_nothing(sharding: Any) -> bool:
    """Whether a sharding is over a mesh without axes, as in types where no mesh is in force: it asks for nothing."""
    return isinstance(sharding, NamedSharding) and sharding.mesh.empty


def resolve(given: Any, function: str, option: str) -> Any:
    """A sharding for what a user gave: a sharding, a spec over the mesh in force, a device, or None.

    Raises:
      NoMeshError: a spec, but no mesh is in force.
    """
    if isinstance(given, PartitionSpec):
        context = current_context()
        mesh = context.physical or context.concrete or context.abstract
        # An abstract mesh has no devices, and without axes that stand in types it says nothing of a program.
        if mesh is None or (function == "jit" and isinstance(mesh, AbstractMesh) and mesh.are_all_axes_auto):
            raise NoMeshError(
                f"{function} requires a non-empty mesh in context if you are passing `PartitionSpec`s to {option}. "
                "You can define a context mesh via `canter.set_mesh(mesh)`. Alternatively, provide `Sharding`s to "
                f"{option}, NamedSharding(mesh, {given}), and then the mesh context manager is not required."
            )
        return NamedSharding(mesh, given)
    if isinstance(given, Device):
        return SingleDeviceSharding(given)
    if given is None or isinstance(given, Sharding):
        return given
    sharding = getattr(given, "sharding", None)
    if sharding is None and hasattr(given, "layout"):  # a Format
        return None
    if not isinstance(sharding, Sharding):
        raise TypeError(
            f"{function}: {option} takes a sharding, a PartitionSpec over the mesh in force, or None; got "
            f"{given!r:.80} of type {type(given).__name__}."
        )
    return sharding


def check_fits(sharding: Any, aval: Any, name: str, option: str) -> None:
    """Checks that an array can be laid out as asked.

    Raises:
      ValueError: it cannot; the message names it.
    """
    if not isinstance(sharding, DeviceSharding):
        return
    try:
        sharding.shard_shape(aval.shape)
    except ValueError as error:
        raise type(error)(
            f"One of the {option} is incompatible with what it is for: {name}, {aval.str_short()}, cannot have the "
            f"sharding {sharding}. {error}"
        ) from None
