"""Meshes, partition specs and shardings: where the parts of an array are.

>>> import canter as ct
>>> mesh = ct.make_mesh((1,), ("data",), devices=ct.devices()[:1])
>>> ct.device_put(ct.numpy.arange(4), ct.NamedSharding(mesh, ct.P("data"))).sharding.spec
P('data',)
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.mesh import (
        AbstractDevice as AbstractDevice,
        AbstractMesh as AbstractMesh,
        AxisType as AxisType,
        ManualAxisType as ManualAxisType,
        Mesh as Mesh,
        get_abstract_mesh as get_abstract_mesh,
        get_mesh as get_mesh,
        set_mesh as set_mesh,
        set_mesh as use_mesh,
        use_abstract_mesh as use_abstract_mesh,
    )
    from .core.partition_spec import PartitionSpec as PartitionSpec
    from .core.sharding import NamedSharding as NamedSharding
    from .parallel.axes import auto_axes as auto_axes, explicit_axes as explicit_axes
    from .runtime.constraints import reshard as reshard
    from .runtime.shardings import (
        Sharding as Sharding,
        SingleDeviceSharding as SingleDeviceSharding,
        make_single_device_sharding as make_single_device_sharding,
    )

_names: dict[str, str] = {
    public: module
    for module, publics in {
        "core.mesh": "AbstractDevice AbstractMesh AxisType ManualAxisType Mesh get_abstract_mesh get_mesh set_mesh "
        "use_abstract_mesh",
        "core.partition_spec": "PartitionSpec",
        "core.sharding": "NamedSharding",
        "parallel.axes": "auto_axes explicit_axes",
        "runtime.constraints": "reshard",
        "runtime.shardings": "Sharding SingleDeviceSharding make_single_device_sharding",
    }.items()
    for public in publics.split()
}

__all__ = [*_names, "use_mesh"]


def __getattr__(name: str) -> Any:
    known = "set_mesh" if name == "use_mesh" else name
    module = _names.get(known)
    if module is None:
        from .core.errors import unknown_attribute

        raise unknown_attribute("canter.sharding", name, __dir__())
    value = getattr(_import_module(f"canter.{module}"), known)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
