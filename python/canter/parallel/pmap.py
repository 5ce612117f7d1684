"""`pmap`: one call of a function a device, for the elements along an axis; `shard_map` under `jit`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from canter_pjrt.jaxlib_door import ArrayImpl

from ..core import pytree
from ..core.avals import get_aval
from ..core.mesh import Mesh
from ..core.partition_spec import PartitionSpec
from ..core.sharding import IndivisibleError, NamedSharding
from ..core.trace import Tracer
from ..lax.shapes import expand_dims, squeeze
from ..runtime.backend import local_devices, process_indices
from ..runtime.device_put import place_on, put
from ..runtime.jit import jit
from ..runtime.sharded_arrays import local_view, make_array_from_process_local_data
from ..transforms.calling import function_name
from ..transforms.rules import moveaxis
from .shard_map import shard_map

__all__ = ["pmap"]

_UNNAMED = "_internal_pmap_axis_name"
_ARRAYS = frozenset({ArrayImpl, np.ndarray})


class _Call(NamedTuple):
    """A call's arguments, flat: the dynamic leaves, the axis along which each is mapped, and the rest."""

    leaves: list[Any]
    axes: tuple[int | None, ...]
    tree: Any
    statics: tuple[Any, ...]
    donated: tuple[int, ...]


class _Program(NamedTuple):
    """What calls of one form share: the compiled function of flat leaves, and where these go."""

    function: Any
    shardings: tuple[NamedSharding, ...]
    spans_processes: bool


def pmap(
    fun: Callable[..., Any],
    axis_name: Any = None,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Iterable[int] = (),
    devices: Sequence[Any] | None = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Iterable[int] = (),
) -> Any:
    """Maps a function over an axis of its arguments, each element on a device of its own.

    `shard_map` does the same for any mesh, without taking the axis out of the arrays.

    Args:
      fun: the function.
      axis_name: the name by which collectives in `fun` refer to the axis.
      in_axes: the axis of the arguments that is mapped: an int, None for an argument that all devices get, or a
        tree of them that is a prefix of the tuple of positional arguments. Keyword arguments are
        mapped along their first axis.
      out_axes: where the axis goes in the results; None for results that are equal on all devices.
      static_broadcasted_argnums: positions of arguments that are Python values; they must be hashable.
      devices: the devices, as many as the axis is long; None takes the first ones of each process. With several
        processes the axis goes over all of them, and arguments and results are what this one has of it.
      backend: the platform, by name.
      axis_size: the length of the axis, which otherwise follows from the arguments.
      donate_argnums: positions of arguments whose memory the results may take.

    Returns:
      A function of the same parameters; it has `lower` and `clear_cache` too.

    Raises:
      TypeError: `fun` is not callable.
      ValueError: no argument is mapped, lengths differ, or there are not as many devices.

    >>> import canter as ct, canter.numpy as cnp
    >>> from canter import lax
    >>> ct.pmap(lambda x: x / lax.psum(x, "i"), axis_name="i")(cnp.array([2.0])).tolist()
    [1.0]
    """
    if not callable(fun):
        raise TypeError(f"pmap takes a function; got {fun!r:.80}.")
    mapped = _Pmap(
        fun, axis_name, in_axes, out_axes, _numbers(static_broadcasted_argnums), devices, backend, axis_size,
        _numbers(donate_argnums),
    )  # fmt: skip

    @functools.wraps(fun)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return mapped(args, kwargs)

    def lower(*args: Any, **kwargs: Any) -> Any:
        """Traces and lowers for these arguments; returns a `stages.Lowered` of a flat function."""
        return mapped.lower(args, kwargs)

    wrapped.lower = lower  # type: ignore[attr-defined]
    wrapped.clear_cache = mapped.clear  # type: ignore[attr-defined]
    return wrapped


def _numbers(given: int | Iterable[int]) -> tuple[int, ...]:
    return tuple(map(index, given)) if isinstance(given, Iterable) else (index(given),)


class _Pmap:
    """A function with the options of its `pmap`."""

    def __init__(
        self,
        function: Any,
        axis_name: Any,
        in_axes: Any,
        out_axes: Any,
        static: tuple[int, ...],
        devices: Any,
        backend: Any,
        axis_size: int | None,
        donated: tuple[int, ...],
    ):
        self.function = function
        self.name = function_name(function)
        self.axis_name = _UNNAMED if axis_name is None else axis_name
        self.in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        self.out_axes = out_axes
        self.static = static
        self.devices = None if devices is None else tuple(devices)
        self.backend = backend
        self.axis_size = axis_size
        self.donated = donated
        self.programs: dict[Any, _Program] = {}
        self.known: dict[Any, _Program] = {}  # by what is quick to find out, for calls that need no more

    def __call__(self, args: Any, kwargs: Any) -> Any:
        if not self.static:
            leaves, tree = pytree.tree_flatten((args, kwargs))
            if _ARRAYS.issuperset(map(type, leaves)):
                program = self.known.get((tree, tuple([leaf.shape for leaf in leaves])))
                if program is not None:
                    placed = [place_on(leaf, s) for leaf, s in zip(leaves, program.shardings, strict=True)]
                    return program.function(*placed)
        return self._checked(args, kwargs)

    def _checked(self, args: Any, kwargs: Any) -> Any:
        call = self.flattened(args, kwargs)
        program = self.program(call)
        if any(isinstance(leaf, Tracer) for leaf in call.leaves):
            if program.spans_processes:
                raise NotImplementedError(
                    f"pmap of {self.name} inside another transformation takes the devices of one process only. "
                    "Give it devices=canter.local_devices(), or use shard_map over a mesh of all devices."
                )
            return program.function(*call.leaves)
        if program.spans_processes:
            return self._with_other_processes(program, call)
        placed = [put(leaf, s) for leaf, s in zip(call.leaves, program.shardings, strict=True)]
        if _ARRAYS.issuperset(map(type, call.leaves)):
            self.known[pytree.tree_structure((args, kwargs)), tuple(map(np.shape, call.leaves))] = program
        return program.function(*placed)

    def _with_other_processes(self, program: _Program, call: _Call) -> Any:
        """Each process has the elements of its own devices, of the arguments and of the results."""
        placed = [
            put(leaf, s) if axis is None else make_array_from_process_local_data(s, np.asarray(leaf))
            for leaf, axis, s in zip(call.leaves, call.axes, program.shardings, strict=True)
        ]
        return pytree.tree_map(local_view, program.function(*placed))

    def clear(self) -> None:
        self.programs.clear()
        self.known.clear()

    def lower(self, args: Any, kwargs: Any) -> Any:
        call = self.flattened(args, kwargs)
        return self.program(call).function.lower(*call.leaves)

    # ---- arguments ----

    def flattened(self, args: Any, kwargs: Any) -> _Call:
        count = len(args)
        static = {i % count for i in self.static if -count <= i < count}
        outside = [i for i in self.static if not -count <= i < count]
        if outside:
            raise ValueError(
                f"pmap of {self.name}: static_broadcasted_argnums={self.static}, but the call has only {count} "
                "positional arguments."
            )
        dynamic = tuple(arg for i, arg in enumerate(args) if i not in static)
        statics = tuple((i, args[i]) for i in sorted(static))
        axes = self.in_axes
        if isinstance(axes, tuple):
            if len(axes) != count and len(axes) != len(dynamic):
                raise ValueError(
                    f"pmap of {self.name}: in_axes has {len(axes)} entries for {count} positional arguments; give one "
                    "an argument."
                )
            if len(axes) == count:
                axes = tuple(axis for i, axis in enumerate(axes) if i not in static)
        positional, positional_tree = pytree.tree_flatten(dynamic)
        try:
            flat_axes = pytree.flatten_axes("pmap in_axes", positional_tree, axes)
        except ValueError as error:
            raise ValueError(
                f"pmap of {self.name}: in_axes must be a prefix of the arguments.\n{error}"
            ) from None
        leaves, tree = pytree.tree_flatten((dynamic, kwargs))
        flat_axes = [*flat_axes, *[0] * (len(leaves) - len(positional))]
        donated = self._donated(args, static)
        normal = tuple(
            self._axis(axis, leaf, i) for i, (axis, leaf) in enumerate(zip(flat_axes, leaves, strict=True))
        )
        return _Call(leaves, normal, tree, statics, donated)

    def _axis(self, axis: Any, leaf: Any, position: int) -> int | None:
        if axis is None:
            return None
        ndim = len(_shape(leaf))
        if not -ndim <= axis < ndim:
            if ndim == 0:
                raise ValueError(
                    f"pmap requires at least one argument with a mapped axis, and only arrays have axes: leaf "
                    f"{position} of the arguments of {self.name} is a scalar, mapped along axis {axis}. "
                    "Use in_axes=None for it."
                )
            raise IndexError(
                f"pmap of {self.name}: in_axes={axis} is out of range for leaf {position} of the arguments, of shape "
                f"{_shape(leaf)}."
            )
        return axis % ndim

    def _donated(self, args: Any, static: set[int]) -> tuple[int, ...]:
        if not self.donated:
            return ()
        wanted = {i % len(args) for i in self.donated}
        positions: list[int] = []
        start = 0
        for i, arg in enumerate(args):
            if i in static:
                continue
            size = pytree.tree_structure(arg).num_leaves
            if i in wanted:
                positions += range(start, start + size)
            start += size
        return tuple(positions)

    # ---- the program ----

    def program(self, call: _Call) -> _Program:
        size = self._size(call)
        key = call.tree, call.axes, call.statics, call.donated, size
        try:
            found = self.programs.get(key)
        except TypeError:
            raise ValueError(
                f"pmap of {self.name}: Non-hashable static arguments are not supported; got {call.statics!r:.120}."
            ) from None
        if found is None:
            found = self.programs[key] = self._made(call, size)
        return found

    def _size(self, call: _Call) -> int:
        sizes = {
            _shape(leaf)[axis]: position
            for position, (leaf, axis) in enumerate(zip(call.leaves, call.axes, strict=True))
            if axis is not None
        }
        if len(sizes) > 1:
            shapes = [_shape(leaf) for leaf in call.leaves]
            raise IndivisibleError(
                f"pmap of {self.name} got inconsistent sizes for array axes to be mapped: {sorted(sizes)}. The leaves "
                f"of the arguments have shapes {shapes[:8]} and are mapped along axes {call.axes[:8]}."
            )
        processes = len(process_indices(self.backend)) if self.devices is None else 1
        size = next(iter(sizes), None if self.axis_size is None else self.axis_size // processes)
        if size is None:
            raise ValueError(f"pmap requires at least one argument with a mapped axis; {self.name} got none.")
        whole = size * processes if self.devices is None else len(self.devices)
        if self.axis_size is not None and whole != self.axis_size:
            here = "" if processes == 1 else f" ({size} in each of {processes} processes)"
            raise ValueError(
                f"pmap of {self.name}: axis_size={self.axis_size}, but the mapped axes have size {whole}{here}."
            )
        return size

    def _mesh(self, size: int) -> Mesh:
        devices = self.devices
        if not size:
            raise ValueError(
                f"pmap of {self.name}: the mapped axes have size 0, so that there is nothing for any device to do."
            )
        if devices is None:
            processes = [local_devices(p, self.backend) for p in process_indices(self.backend)]
            devices = tuple(device for own in processes for device in own[:size])
            if any(size > len(own) for own in processes):
                raise IndivisibleError(
                    f"pmap of {self.name} needs {size} devices, one an element of the mapped axis, but only "
                    f"{min(map(len, processes))} are available. Use vmap inside of pmap, or shard_map, for more "
                    "elements than devices."
                )
        elif all(d.process_index == d.client.process_index() for d in devices) and len(devices) > size:
            devices = devices[:size]
        elif len([d for d in devices if d.process_index == d.client.process_index()]) != size:
            raise IndivisibleError(
                f"pmap of {self.name}: the mapped axes have size {size}, but devices has {len(devices)} entries; "
                "give as many."
            )
        return Mesh(np.array(devices, object), (self.axis_name,))

    def _made(self, call: _Call, size: int) -> _Program:
        mesh = self._mesh(size)
        specs = tuple(self._spec(axis) for axis in call.axes)
        out_specs = pytree.tree_map(self._spec, self.out_axes, is_leaf=lambda axis: axis is None)
        axes, tree, statics = call.axes, call.tree, call.statics  # the program does not keep the leaves

        def element(*leaves: Any) -> Any:
            parts = [
                leaf if axis is None else squeeze(leaf, (axis,))
                for leaf, axis in zip(leaves, axes, strict=True)
            ]
            args, kwargs = tree.unflatten(parts)
            args = list(args)
            for position, value in statics:
                args.insert(position, value)
            return self._expanded(self.function(*args, **kwargs))

        element.__name__ = self.name
        mapped = shard_map(element, mesh=mesh, in_specs=specs, out_specs=out_specs, check_vma=False)

        @functools.wraps(element)
        def program(*leaves: Any) -> Any:
            return self._in_place(mapped(*leaves))

        function = jit(program, donate_argnums=call.donated)
        return _Program(function, tuple(NamedSharding(mesh, spec) for spec in specs), mesh.is_multi_process)

    def _spec(self, axis: int | None) -> PartitionSpec:
        if axis is None:
            return PartitionSpec()
        # The place of an axis that is counted from the end is known only with the result: until then it is in front.
        return PartitionSpec(*[None] * max(axis, 0), self.axis_name)

    def _expanded(self, result: Any) -> Any:
        leaves, tree = pytree.tree_flatten(result)
        try:
            axes = pytree.flatten_axes("pmap out_axes", tree, self.out_axes)
        except ValueError as error:
            raise ValueError(
                f"pmap of {self.name}: out_axes must be a prefix of the result.\n{error}"
            ) from None
        pairs = zip(leaves, axes, strict=True)
        return tree.unflatten(
            [leaf if axis is None else expand_dims(leaf, (max(axis, 0),)) for leaf, axis in pairs]
        )

    def _in_place(self, result: Any) -> Any:
        """The results with mapped axes that are counted from the end where they belong."""
        leaves, tree = pytree.tree_flatten(result)
        axes = pytree.flatten_axes("pmap out_axes", tree, self.out_axes)
        for position, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
            if axis is not None and axis < 0:
                if axis < -leaf.ndim:
                    raise ValueError(
                        f"pmap of {self.name}: out_axes={axis} is out of range for result {position}, which has "
                        f"{leaf.ndim} dimensions with the mapped one."
                    )
                leaves[position] = moveaxis(leaf, 0, axis)
        return tree.unflatten(leaves)


def _shape(leaf: Any) -> tuple[int, ...]:
    shape = getattr(leaf, "shape", None)
    return tuple(shape) if shape is not None else get_aval(leaf).shape
