"""The devices that a program asks for: a mesh with named axes, in one process or in several."""

import contextlib
import math
import os
import socket
import subprocess
import sys

import canter as ct

AXES = ("data", "fsdp", "model")
PROCESS = (
    "TRAIN_LM_PROCESS"  # in the environment of one of several: the coordinator's address, how many, which
)


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


def make_mesh(sizes: dict[str, int], processes: int = 1) -> ct.sharding.Mesh:
    """A mesh of as many devices as the product of the sizes, an equal part of them in each process.

    A machine without accelerators gets that many virtual ones: one CPU plays them all.

    Raises:
      ValueError: there are fewer devices.
    """
    count = math.prod(sizes.values())
    if count > 1:
        with contextlib.suppress(RuntimeError):  # devices are in use already: take those
            ct.config.update("num_cpu_devices", count // processes)
    if len(ct.devices()) < count:
        raise ValueError(f"a mesh of {count} devices was asked for, and there are {len(ct.devices())}")
    automatic = (ct.sharding.AxisType.Auto,) * len(AXES)  # the compiler decides what the specs leave open
    return ct.make_mesh(tuple(sizes.values()), AXES, axis_types=automatic, devices=ct.devices()[:count])


def is_one_of_several() -> bool:
    """Whether `run_processes` started this process."""
    return PROCESS in os.environ


def run_processes(count: int) -> int:
    """Runs this program in several processes on this machine, and gives the exit code of the first that fails, or 0.

    Only what the first one prints is shown.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    children = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env=os.environ | {PROCESS: f"{address} {count} {number}"},
            stdout=subprocess.DEVNULL if number else None,
        )
        for number in range(count)
    ]
    try:
        return next((code for code in [child.wait() for child in children] if code), 0)
    finally:
        for child in children:
            child.kill()  # those that still run because this process was interrupted


def meet() -> None:
    """Joins the other processes. It comes before anything that uses a device."""
    address, count, number = os.environ[PROCESS].split()
    ct.distributed.initialize(address, int(count), int(number))
