"""The devices that a program asks for: a mesh with named axes, in one process or in several."""

import contextlib
import math

import canter as ct

AXES = ("data", "fsdp", "model")


def parse_mesh(text: str) -> dict[str, int]:
    """The sizes of all axes from a text such as "data=4,model=2"; what it does not name has size 1.

    Raises:
      ValueError: an unknown or repeated axis, or a size that is no positive number.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        name, _, size = part.partition("=")
        if name not in AXES or name in sizes or not size.isdecimal() or int(size) < 1:
            raise ValueError(f"{part!r} is none of {', '.join(f'{axis}=N' for axis in AXES)}, each once")
        sizes[name] = int(size)
    return {axis: sizes.get(axis, 1) for axis in AXES}


def make_mesh(sizes: dict[str, int]) -> ct.sharding.Mesh:
    """A mesh of as many devices as the product of the sizes.

    A machine without accelerators gets that many virtual ones: one CPU plays them all.

    Raises:
      ValueError: there are fewer devices.
    """
    count = math.prod(sizes.values())
    if count > 1:
        with contextlib.suppress(RuntimeError):  # devices are in use already: take those
            ct.config.update("num_cpu_devices", count)
    if len(ct.devices()) < count:
        raise ValueError(f"a mesh of {count} devices was asked for, and there are {len(ct.devices())}")
    automatic = (ct.sharding.AxisType.Auto,) * len(AXES)  # the compiler decides what the specs leave open
    return ct.make_mesh(tuple(sizes.values()), AXES, axis_types=automatic, devices=ct.devices()[:count])
