"""Meshes: devices in a grid whose axes have names, and the mesh that is in force.

A `Mesh` has devices; an `AbstractMesh` has only names, sizes and types of axes, which is all that
tracing needs. What is in force (`set_mesh`, `with mesh:`, or the body of a `shard_map`) is one
value, `MeshContext`, in a flag that is part of the key of compiled calls.
"""

from __future__ import annotations

import enum
import functools
import importlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, contextmanager
from typing import Any, NamedTuple

import numpy as np

from canter_pjrt.jaxlib_door import DeviceList

from .config import mesh_context

__all__ = [
    "AbstractDevice",
    "AbstractMesh",
    "AxisType",
    "BaseMesh",
    "ManualAxisType",
    "Mesh",
    "MeshContext",
    "current_context",
    "empty_abstract_mesh",
    "empty_mesh",
    "explicit_mesh",
    "get_abstract_mesh",
    "get_mesh",
    "lenient_layouts",
    "set_mesh",
    "use_abstract_mesh",
    "use_context",
]


class AxisType(enum.Enum):
    """Who decides how arrays are laid out along a mesh axis.

    `Auto`: the compiler, following hints. `Explicit`: the types of the arrays, which carry their
    shardings. `Manual`: the body of a `shard_map`, which sees one device's part.
    """

    Auto = 1
    Explicit = 2
    Manual = 3

    def __repr__(self) -> str:
        return self.name


class AbstractDevice(NamedTuple):
    """The kind of device that a mesh without devices is meant for."""

    device_kind: str
    num_cores: int | None
    platform: str


class ManualAxisType(NamedTuple):
    """Along which manual axes the devices' values differ (`varying`), or are parts of a sum (`unreduced`)."""

    varying: frozenset[Any] = frozenset()
    unreduced: frozenset[Any] = frozenset()
    reduced: frozenset[Any] = frozenset()

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={frozenset(value)!r}" for name, value in self._asdict().items())
        return f"ManualAxisType({fields})"


def _axis_types(given: Any, names: tuple[Any, ...]) -> tuple[AxisType, ...]:
    if given is None:
        return (AxisType.Auto,) * len(names)
    types = (given,) if isinstance(given, AxisType) else tuple(given)
    if not all(isinstance(kind, AxisType) for kind in types):
        raise TypeError(f"axis_types takes members of AxisType; got {given!r}.")
    if len(types) != len(names):
        raise ValueError(
            f"Number of axis names should match the number of axis_types. Got axis_names={names} and "
            f"axis_types={types}"
        )
    return types


class BaseMesh:
    """What meshes with and without devices have in common."""

    axis_names: tuple[Any, ...]
    axis_sizes: tuple[int, ...]
    axis_types: tuple[AxisType, ...]

    @property
    def shape(self) -> OrderedDict[Any, int]:
        """Sizes of the axes, by name."""
        return OrderedDict(zip(self.axis_names, self.axis_sizes, strict=True))

    @property
    def shape_tuple(self) -> tuple[tuple[Any, int], ...]:
        """Pairs of name and size."""
        return tuple(zip(self.axis_names, self.axis_sizes, strict=True))

    @property
    def size(self) -> int:
        """The number of devices."""
        return math.prod(self.axis_sizes) if self.axis_sizes else 0

    @property
    def empty(self) -> bool:
        """Whether the mesh has no axes."""
        return not self.axis_names

    def type_of(self, name: Any) -> AxisType:
        """The type of an axis."""
        return self.axis_types[self.axis_names.index(name)]

    @property
    def _name_to_type(self) -> dict[Any, AxisType]:
        return dict(zip(self.axis_names, self.axis_types, strict=True))

    def _of_type(self, kind: AxisType) -> tuple[Any, ...]:
        return tuple(name for name, own in self._name_to_type.items() if own is kind)

    auto_axes = property(lambda self: self._of_type(AxisType.Auto))
    explicit_axes = property(lambda self: self._of_type(AxisType.Explicit))
    manual_axes = property(lambda self: self._of_type(AxisType.Manual))
    are_all_axes_auto = property(lambda self: len(self.auto_axes) == len(self.axis_names))
    are_all_axes_explicit = property(lambda self: len(self.explicit_axes) == len(self.axis_names))
    are_all_axes_manual = property(lambda self: len(self.manual_axes) == len(self.axis_names))

    def _text(self) -> str:
        axes = ", ".join(f"{name!r}: {size}" for name, size in self.shape_tuple)
        return f"{axes or '()'}, axis_types={self.axis_types}" if axes else "(), axis_types=()"

    def _key(self) -> Any:
        raise NotImplementedError

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self._key() == other._key())


class Mesh(BaseMesh, ContextDecorator):
    """Devices in a grid whose axes have names.

    Args:
      devices: an array, or nested sequences, of devices.
      axis_names: a name an axis.
      axis_types: an `AxisType` an axis; None makes all of them `Auto`.

    Raises:
      ValueError: the numbers of dimensions, names and types differ.

    >>> import canter as ct
    >>> mesh = ct.sharding.Mesh(ct.devices(), "x")
    >>> mesh.axis_names, mesh.size == ct.device_count()
    (('x',), True)
    """

    def __init__(self, devices: Any, axis_names: Any, axis_types: Any = None):
        grid = np.empty((), object) if not isinstance(devices, (np.ndarray, Sequence)) else np.array(devices)
        if grid.dtype != object:
            grid = np.array(devices, object)
        if not isinstance(devices, (np.ndarray, Sequence)):
            grid[()] = devices
        names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
        if any(name is None for name in names):
            raise ValueError(f"Mesh axis names cannot be None; got {names}.")
        if grid.ndim != len(names):
            raise ValueError(
                "Mesh requires the ndim of its first argument (`devices`) to equal the length of its second argument "
                f"(`axis_names`), but got devices.ndim == {grid.ndim} and len(axis_names) == {len(names)}."
            )
        if len(set(names)) != len(names):
            raise ValueError(f"The axes of a mesh need different names; got axis_names={names}.")
        grid.flags.writeable = False
        self.devices = grid
        self.axis_names = names
        self.axis_sizes = grid.shape if names else ()
        self.axis_types = _axis_types(axis_types, names)
        self._flat_devices_tuple = tuple(grid.flat) if names else ()
        self._hash = hash(self._key())
        self._outer: list[Any] = []

    def _key(self) -> Any:
        return self.axis_names, self.axis_sizes, self.axis_types, self._flat_devices_tuple

    def __reduce__(self) -> Any:
        ids = [(device.platform, device.id) for device in self._flat_devices_tuple]
        return _rebuild_mesh, (ids, self.axis_sizes, self.axis_names, self.axis_types)

    @functools.cached_property
    def _internal_device_list(self) -> Any:
        return DeviceList(self._flat_devices_tuple)

    @functools.cached_property
    def abstract_mesh(self) -> AbstractMesh:
        """The mesh without its devices."""
        device = self._flat_devices_tuple[0] if self._flat_devices_tuple else None
        kind = None
        if device is not None:
            kind = AbstractDevice(device.device_kind, getattr(device, "num_cores", None), device.platform)
        return AbstractMesh(self.axis_sizes, self.axis_names, self.axis_types, abstract_device=kind)

    @property
    def device_ids(self) -> np.ndarray:
        """The ids of the devices, in the shape of the mesh."""
        ids = [device.id for device in self._flat_devices_tuple]
        return np.array(ids, int).reshape(self.devices.shape)

    @property
    def local_devices(self) -> list[Any]:
        """The devices of this process."""
        return [d for d in self._flat_devices_tuple if d.process_index == d.client.process_index()]

    @property
    def is_multi_process(self) -> bool:
        """Whether devices belong to several processes."""
        return len({device.process_index for device in self._flat_devices_tuple}) > 1

    @property
    def local_mesh(self) -> Mesh:
        """The part of the mesh that is of this process."""
        if self.empty or not self.is_multi_process:
            return self
        mine = np.vectorize(lambda d: d.process_index == d.client.process_index(), otypes=[bool])(
            self.devices
        )
        box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in np.nonzero(mine))
        if not mine[box].all():
            raise ValueError(f"The devices of this process are not a block of {self}.")
        return Mesh(self.devices[box], self.axis_names, self.axis_types)

    def update(self, devices: Any = None, axis_names: Any = None, axis_types: Any = None) -> Mesh:
        """A copy with some fields changed."""
        return Mesh(
            self.devices if devices is None else devices,
            self.axis_names if axis_names is None else axis_names,
            self.axis_types if axis_types is None else axis_types,
        )

    def __enter__(self) -> Mesh:
        self._outer.append(mesh_context.swap_local(current_context()._replace(physical=self)))
        return self

    def __exit__(self, *_: object) -> None:
        mesh_context.set_local(self._outer.pop())

    def __str__(self) -> str:
        return f"Mesh({self._text()})" if self.axis_names else "Mesh()"

    def __repr__(self) -> str:
        if not self.axis_names:
            return "Mesh(axis_sizes=(), axis_names=())"
        return (
            f"Mesh(axis_sizes={self.axis_sizes}, axis_names={self.axis_names}, axis_types={self.axis_types})"
        )


def _rebuild_mesh(ids: Any, sizes: Any, names: Any, types: Any) -> Mesh:
    backend = importlib.import_module("canter.runtime.backend")  # stands on a higher floor
    platforms = {platform for platform, _ in ids}
    devices = {(platform, d.id): d for platform in platforms for d in backend.devices(platform)}
    missing = [key for key in ids if key not in devices]
    if missing:
        raise ValueError(f"The pickled mesh has devices that do not exist here: {missing}.")
    return Mesh(np.array([devices[key] for key in ids], object).reshape(sizes), names, types)


class AbstractMesh(BaseMesh):
    """The names, sizes and types of the axes of a mesh, without devices.

    Args:
      axis_sizes: a size an axis.
      axis_names: a name an axis.
      axis_types: an `AxisType` an axis, or one for all; None makes them `Auto`.
      abstract_device: the kind of device that it is meant for.

    >>> import canter as ct
    >>> ct.sharding.AbstractMesh((4, 2), ("x", "y"))
    AbstractMesh('x': 4, 'y': 2, axis_types=(Auto, Auto))
    """

    def __init__(
        self, axis_sizes: Any, axis_names: Any, axis_types: Any = None, *, abstract_device: Any = None
    ):
        self.axis_sizes = tuple(axis_sizes)
        self.axis_names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
        if len(self.axis_sizes) != len(self.axis_names):
            raise ValueError(
                f"AbstractMesh takes as many names as sizes; got axis_sizes={self.axis_sizes} and "
                f"axis_names={self.axis_names}."
            )
        if isinstance(axis_types, AxisType):
            axis_types = (axis_types,) * len(self.axis_names)
        self.axis_types = _axis_types(axis_types, self.axis_names)
        self.abstract_device = abstract_device
        self._hash = hash(self._key())

    def _key(self) -> Any:
        return self.axis_names, self.axis_sizes, self.axis_types

    @property
    def abstract_mesh(self) -> AbstractMesh:
        """The mesh itself."""
        return self

    @property
    def is_multi_process(self) -> bool:
        """Not known: raises ValueError."""
        raise self._no("is_multi_process")

    devices = property(lambda self: self._refuse("devices"))
    device_ids = property(lambda self: self._refuse("device_ids"))
    local_devices = property(lambda self: self._refuse("local_devices"))
    local_mesh = property(lambda self: self._refuse("local_mesh"))
    _internal_device_list = property(lambda self: self._refuse("_internal_device_list"))

    def _no(self, what: str) -> ValueError:
        return ValueError(f"AbstractMesh does not implement {what}")

    def _refuse(self, what: str) -> Any:
        raise self._no(what)

    def update(self, axis_sizes: Any = None, axis_names: Any = None, axis_types: Any = None) -> AbstractMesh:
        """A copy with some fields changed."""
        return AbstractMesh(
            self.axis_sizes if axis_sizes is None else axis_sizes,
            self.axis_names if axis_names is None else axis_names,
            self.axis_types if axis_types is None else axis_types,
            abstract_device=self.abstract_device,
        )

    def update_axis_types(self, changes: dict[Any, AxisType]) -> AbstractMesh:
        """A copy with the types of some axes changed."""
        types = [changes.get(name, kind) for name, kind in self._name_to_type.items()]
        return self.update(axis_types=tuple(types))

    def __repr__(self) -> str:
        device = self.abstract_device
        kind = (
            f", device_kind={device.device_kind}, num_cores={device.num_cores}, platform={device.platform}"
            if device is not None
            else ""
        )
        return f"AbstractMesh({self._text()}{kind})"

    __str__ = __repr__


# --- the mesh in force ---------------------------------------------------------------------------


class MeshContext(NamedTuple):
    """What is in force.

    Attributes:
      concrete: the mesh of `set_mesh`, which has devices.
      abstract: the mesh as traced code sees it: inside `shard_map` some of its axes are manual.
      physical: the mesh of a `with mesh:` block, to which bare PartitionSpecs refer.
      check_vma: whether types say along which manual axes values vary.
      lenient: whether an ambiguous layout of a result is chosen instead of refused, because whoever asks for
        the result brings it to a layout of its own afterwards.
    """

    concrete: Mesh | None = None
    abstract: AbstractMesh | None = None
    physical: Mesh | None = None
    check_vma: bool = False
    lenient: bool = False


_nothing = MeshContext()
empty_mesh = Mesh(np.empty((), object), ())
empty_abstract_mesh = AbstractMesh((), ())


def current_context() -> MeshContext:
    """What is in force in this thread."""
    return mesh_context.value or _nothing


@contextmanager
def use_context(context: MeshContext) -> Iterator[None]:
    """Makes a context the current one for a block."""
    previous = mesh_context.swap_local(None if context == _nothing else context)
    try:
        yield
    finally:
        mesh_context.set_local(previous)


def explicit_mesh() -> AbstractMesh | None:
    """The mesh in force if some of its axes are explicit."""
    mesh = current_context().abstract
    return mesh if mesh is not None and mesh.explicit_axes else None


def lenient_layouts() -> Any:
    """A context in which ambiguous layouts are chosen, not refused."""
    return use_context(current_context()._replace(lenient=True))


def get_mesh() -> Mesh:
    """The mesh given to `set_mesh`; an empty one if there is none.

    >>> import canter as ct
    >>> ct.sharding.get_mesh().empty
    True
    """
    return current_context().concrete or empty_mesh


def get_abstract_mesh() -> AbstractMesh:
    """The mesh in force as traced code sees it; an empty one if there is none.

    >>> import canter as ct
    >>> with ct.set_mesh(ct.sharding.Mesh(ct.devices()[:1], "x")):
    ...     ct.sharding.get_abstract_mesh().axis_names
    ('x',)
    """
    return current_context().abstract or empty_abstract_mesh


class set_mesh:
    """Sets the mesh in force; as a context manager, for a block.

    Args:
      mesh: a `Mesh`, or None for none.

    Raises:
      ValueError: inside a function that is being traced, or something else than a mesh.

    >>> import canter as ct
    >>> mesh = ct.sharding.Mesh(ct.devices()[:1], "x")
    >>> with ct.set_mesh(mesh):
    ...     ct.device_put(ct.numpy.arange(4), ct.P("x")).sharding.spec
    P('x',)
    """

    def __init__(self, mesh: Mesh | None):
        from .trace import trace_state_clean

        if mesh is not None and not isinstance(mesh, Mesh):
            raise ValueError(f"set_mesh takes a canter.sharding.Mesh or None; got {mesh!r:.120}.")
        if not trace_state_clean():
            raise ValueError(
                "set_mesh cannot be used inside a function that is being traced (jit, grad, vmap, ...). Set the mesh "
                "around the call; inside, use canter.sharding.use_abstract_mesh."
            )
        mesh = None if mesh is None or mesh.empty else mesh
        abstract = None if mesh is None else mesh.abstract_mesh
        context = current_context()._replace(concrete=mesh, abstract=abstract)
        self._previous = mesh_context.swap_local(None if context == _nothing else context)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        mesh_context.set_local(self._previous)


@contextmanager
def use_abstract_mesh(mesh: AbstractMesh) -> Iterator[None]:
    """Sets the mesh that traced code sees, for a block.

    Args:
      mesh: an `AbstractMesh`.

    Raises:
      ValueError: something else than an `AbstractMesh`.

    >>> import canter as ct
    >>> with ct.sharding.use_abstract_mesh(ct.sharding.AbstractMesh((2,), ("x",))):
    ...     ct.sharding.get_abstract_mesh().size
    2
    """
    if not isinstance(mesh, AbstractMesh):
        raise ValueError(f"use_abstract_mesh takes a canter.sharding.AbstractMesh; got {mesh!r:.120}.")
    with use_context(current_context()._replace(abstract=None if mesh.empty else mesh)):
        yield


def manual_context(mesh: BaseMesh, manual_axes: frozenset[Any], check_vma: bool) -> Callable[[], Any]:
    """What is in force inside the body of a `shard_map`, as a context manager."""
    abstract = mesh.abstract_mesh.update_axis_types(dict.fromkeys(manual_axes, AxisType.Manual))  # type: ignore[attr-defined]
    concrete = mesh if isinstance(mesh, Mesh) else current_context().concrete
    context = current_context()._replace(concrete=concrete, abstract=abstract, check_vma=check_vma)
    return functools.partial(use_context, context)
