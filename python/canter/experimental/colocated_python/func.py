"""Functions that run beside their arguments' devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from canter_pjrt.jaxlib_door import ArrayImpl

from ...core import pytree
from ...core.avals import get_aval
from ...core.mesh import Mesh
from ...core.trace import Tracer
from ...runtime.device_put import device_put

__all__ = ["colocated_cpu_devices", "colocated_python"]


def colocated_cpu_devices(devices_or_mesh: Any) -> Any:
    """The CPU devices beside some devices.

    Args:
      devices_or_mesh: a sequence of devices, or a `Mesh`.

    Returns:
      A sequence, or a mesh, of the CPU devices in the same places: those of this process's CPU are their own.

    Raises:
      NotImplementedError: other devices.

    Example:
      >>> import canter as ct
      >>> from canter.experimental import colocated_python
      >>> colocated_python.colocated_cpu_devices(ct.devices("cpu")) == ct.devices("cpu")
      True
    """
    if isinstance(devices_or_mesh, Mesh):
        _check_devices(devices_or_mesh.devices.flat)
        return devices_or_mesh
    devices = list(devices_or_mesh)
    _check_devices(devices)
    return devices


def _check_devices(devices: Any) -> None:
    from ... import process_index

    for device in devices:
        if device.platform != "cpu" or device.process_index != process_index():
            raise NotImplementedError(
                f"Python runs beside devices of this process's CPU only, and {device} is a device of platform "
                f"'{device.platform}' in process {device.process_index}: this runtime does not send functions to "
                "other processes. Call the function in each process, or use canter.pure_callback."
            )


def colocated_python(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function run beside the devices on which its arguments lie.

    Args:
      fun: takes and returns trees of arrays.

    Returns:
      A function of the same arguments: arrays over the same devices. Its method `specialize(in_specs=None,
      out_specs_fn=None, devices=None)` gives one for which the types of the arguments, `(args, kwargs)` of
      `ShapeDtypeStruct`s, a function from these to the types of the results, or the devices are known; one
      without arguments needs its devices.

    Raises:
      ValueError: when called: arguments on different devices, none and no devices known, arguments or results of other
        types than were said, or a result that is no array.
      NotImplementedError: when called: devices that are not this process's CPU's.

    Example:
      >>> import canter as ct
      >>> from canter.experimental.colocated_python import colocated_python
      >>> @colocated_python
      ... def double(x):
      ...     return ct.device_put(2 * x, x.sharding)
      >>> double(ct.numpy.arange(3))
      Array([0, 2, 4], dtype=int32)
    """
    return _Specialized(fun, None, None, None).callable()


class _Specialized:
    """A function and what is known of its calls."""

    def __init__(self, fun: Callable[..., Any], in_specs: Any, out_specs_fn: Any, devices: Any):
        self.fun, self.in_specs, self.out_specs_fn, self.devices = fun, in_specs, out_specs_fn, devices

    def callable(self) -> Callable[..., Any]:
        @functools.wraps(self.fun)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.run(args, kwargs)

        call.specialize = self.specialize  # type: ignore[attr-defined]
        return call

    def specialize(
        self,
        in_specs: Any = None,
        out_specs_fn: Callable[..., Any] | None = None,
        devices: Sequence[Any] | None = None,
    ) -> Callable[..., Any]:
        """The same function with more known of its calls; see `colocated_python`."""
        given = {"in_specs": in_specs, "out_specs_fn": out_specs_fn, "devices": devices}
        for name, value in given.items():
            if value is not None and getattr(self, name) is not None:
                raise ValueError(f"{name} already specified")
        known = {name: getattr(self, name) if value is None else value for name, value in given.items()}
        return _Specialized(self.fun, **known).callable()

    def run(self, args: Any, kwargs: Any) -> Any:
        leaves, tree = pytree.tree_flatten((args, kwargs))
        for leaf in leaves:
            _check_array(leaf, "input")
        lists = {tuple(sorted(x.sharding.device_set, key=lambda device: device.id)) for x in leaves}
        if len(lists) > 1:
            raise ValueError(
                f"All arguments must use the same device list, but got multiple device lists: {lists}."
            )
        if not lists and self.devices is None:
            raise ValueError(
                "No devices found. colocated_python function without input arguments must be first specialized with "
                "devices."
            )
        devices = list(*lists) if lists else list(self.devices)
        _check_devices(devices)
        if self.in_specs is not None:
            specs, spec_tree = pytree.tree_flatten(self.in_specs)
            _check_types(specs, spec_tree, leaves, tree, "arguments", "in_specs")
        # The results' types are a function of the arguments'; what the function gives need not lie as they say.
        result = self.fun(*args, **kwargs)
        outs, out_tree = pytree.tree_flatten(result)
        for out in outs:
            _check_array(out, "output")
        if self.out_specs_fn is None:
            return result
        specs, spec_tree = pytree.tree_flatten(self.out_specs_fn(*args, **kwargs))
        _check_types(specs, spec_tree, outs, out_tree, "results", "out_specs_fn")
        placed = [
            x if getattr(spec, "sharding", None) is None else device_put(x, spec.sharding)
            for x, spec in zip(outs, specs, strict=True)
        ]
        return out_tree.unflatten(placed)


def _check_array(x: Any, what: str) -> None:
    if isinstance(x, Tracer):
        raise ValueError(
            "A colocated_python function takes arrays, not values that are traced: call it outside of jit, or use "
            "canter.pure_callback."
        )
    if not isinstance(x, ArrayImpl):
        raise ValueError(
            "colocated_python only supports canter.Array as input and output, but got "
            f"{type(x).__name__} as {what}."
        )


def _check_types(specs: Any, spec_tree: Any, values: Any, tree: Any, what: str, name: str) -> None:
    if spec_tree != tree:
        raise ValueError(f"The {what} have the structure {tree}, and {name} says {spec_tree}.")
    for spec, value in zip(specs, values, strict=True):
        aval = get_aval(value)
        if (tuple(spec.shape), spec.dtype) != (aval.shape, aval.dtype):
            raise ValueError(f"One of the {what} is {aval.str_short()}, and {name} says {spec}.")
