"""Hardware that is not here, as a target to compile for.

A plugin's library contains the whole compiler, so it can make a program for a machine that it only knows by
description: for TPUs the name of a slice, for GPUs the properties of the device and how many there are.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from . import jaxlib_door
from .accelerators import PluginError, load, plugin_for
from .clients import EXTRAS

__all__ = [
    "GPUS",
    "TPUS",
    "TPU_MEMORY",
    "Topology",
    "TopologyError",
    "describe",
    "memory_of",
    "parse",
    "target_config",
    "with_devices",
]


class TopologyError(ValueError):
    """A description of hardware is not understood, or names none that the compiler knows."""


class Topology(NamedTuple):
    """Devices to compile for.

    Attributes:
      platform: for which programs are lowered: "cuda", "tpu", ...
      name: the description in one line.
      devices: the devices, which can be compiled for and nothing else, in the order of their ids.
    """

    platform: str
    name: str
    devices: tuple[Any, ...]


class Gpu(NamedTuple):
    """What the compiler asks of a GPU.

    Sources: NVIDIA's data sheets of the products, and the table of compute capabilities in the CUDA programming
    guide.

    Attributes:
      description: as the driver gives it.
      capability: compute capability, major and minor.
      cores: streaming multiprocessors.
      clock: in GHz.
      memory: bytes on the device.
      bandwidth: of that memory, in bytes a second.
      l2: bytes of the second-level cache.
      shared: bytes of shared memory in a multiprocessor, and as much of it as one block may have.
      threads: in a multiprocessor.
      lanes: 32-bit floating-point units of a multiprocessor.
    """

    description: str
    capability: tuple[int, int]
    cores: int
    clock: float
    memory: int
    bandwidth: int
    l2: int
    shared: tuple[int, int]
    threads: int = 2048
    lanes: int = 128


_KIB, _MIB = 1 << 10, 1 << 20
GPUS: dict[str, Gpu] = {
    "t4": Gpu(
        "Tesla T4", (7, 5), 40, 1.59, 15843721216, 320_000_000_000, 4 * _MIB, (64 * _KIB, 64 * _KIB), 1024, 64
    ),
    "a100": Gpu(
        "NVIDIA A100-SXM4-80GB", (8, 0), 108, 1.41, 85_100_000_000, 2_039_000_000_000, 40 * _MIB,
        (164 * _KIB, 163 * _KIB), 2048, 64,
    ),
    "l4": Gpu(
        "NVIDIA L4", (8, 9), 58, 2.04, 23_600_000_000, 300_000_000_000, 48 * _MIB, (100 * _KIB, 99 * _KIB), 1536
    ),
    "h100": Gpu(
        "NVIDIA H100 80GB HBM3", (9, 0), 132, 1.98, 84_978_434_048, 3_352_320_000_000, 50 * _MIB,
        (228 * _KIB, 227 * _KIB),
    ),
    "h200": Gpu(
        "NVIDIA H200", (9, 0), 132, 1.98, 150_754_820_096, 4_800_000_000_000, 50 * _MIB,
        (228 * _KIB, 227 * _KIB),
    ),
    "b200": Gpu(
        "NVIDIA B200", (10, 0), 148, 1.965, 191_500_000_000, 8_000_000_000_000, 126 * _MIB,
        (228 * _KIB, 227 * _KIB),
    ),
}  # fmt: skip

_GIB = 1 << 30
#: Bytes of memory of a TPU device by its kind, a core up to v3 and half a chip of 7x. Source: Google Cloud's
#: documentation of the TPU versions.
TPU_MEMORY = {
    "TPU v2": 8 * _GIB, "TPU v3": 16 * _GIB, "TPU v4": 32 * _GIB, "TPU v5 lite": 16 * _GIB, "TPU v5e": 16 * _GIB,
    "TPU v5": 95 * _GIB, "TPU v5p": 95 * _GIB, "TPU v6 lite": 32 * _GIB, "TPU v6e": 32 * _GIB, "TPU7x": 96 * _GIB,
}  # fmt: skip

#: Names of TPU generations as libtpu spells them.
TPUS = ("v2", "v3", "v4", "v5e", "v5p", "v6e", "tpu7x")

_FORMS = (
    "'tpu:v5e:4x4' (generation and shape of the slice), 'cuda:h100:8' or 'h100:8' (GPU and number of devices, or hosts "
    "x devices as in 2x8), or the text of a GpuTargetConfig or the path of a file with it, as in 'cuda:my.txtpb:8'"
)


def memory_of(device: Any) -> int | None:
    """Bytes of a device's memory; None where that is not known.

    Args:
      device: one of this machine, or one that can be compiled for only.

    Example:
      >>> from canter_pjrt.topologies import GPUS, TPU_MEMORY
      >>> GPUS["h100"].memory // 10**9, TPU_MEMORY["TPU v5 lite"] // 2**30
      (84, 16)
    """
    try:
        told = (device.memory_stats() or {}).get("bytes_limit")
    except jaxlib_door.JaxRuntimeError:
        told = None
    if told:
        return int(told)
    kind = device.device_kind
    for gpu in GPUS.values():
        if gpu.description == kind:
            return gpu.memory
    if jaxlib_door.platform_of(device) == "cpu" and hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return TPU_MEMORY.get(kind)


def target_config(gpu: Gpu, runtime: tuple[int, int] = (12, 8)) -> str:
    """A GPU as the text form of XLA's GpuTargetConfig.

    Args:
      gpu: one of `GPUS`, or another.
      runtime: version of the CUDA runtime to compile for.

    Example:
      >>> from canter_pjrt.topologies import GPUS, target_config
      >>> "core_count: 132" in target_config(GPUS["h100"])
      True
    """
    return f"""gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: {48 * _KIB}
  shared_memory_per_core: {gpu.shared[0]}
  threads_per_core_limit: {gpu.threads}
  core_count: {gpu.cores}
  fpus_per_core: {gpu.lanes}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {gpu.bandwidth}
  l2_cache_size: {gpu.l2}
  clock_rate_ghz: {gpu.clock}
  device_memory_size: {gpu.memory}
  shared_memory_per_block_optin: {gpu.shared[1]}
  cuda_compute_capability {{ major: {gpu.capability[0]} minor: {gpu.capability[1]} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
runtime_version {{ major: {runtime[0]} minor: {runtime[1]} }}
device_description_str: "{gpu.description}"
"""


def parse(text: str) -> tuple[str, str, dict[str, str]]:
    """(platform, name, options) of a description, as the plugin's compiler takes them.

    Args:
      text: see `describe`.

    Raises:
      TopologyError: it has none of the forms.

    Example:
      >>> from canter_pjrt.topologies import parse
      >>> parse("tpu:v5e:4x4")
      ('tpu', 'v5e:4x4', {})
      >>> parse("cuda:h100:8")[2]["topology"]
      '1x1x8'
    """
    if "gpu_device_info" in text:
        platform = "rocm" if 'platform_name: "ROCM"' in text else "cuda"
        return platform, "", {"target_config": text, "topology": "1x1x1"}
    platform, _, rest = text.strip().partition(":")
    if platform.lower() in TPUS:
        platform, rest = "tpu", text.strip()
    elif platform.lower() in GPUS:
        platform, rest = "cuda", text.strip()
    platform = platform.lower()
    if platform == "tpu":
        return "tpu", _tpu_name(rest, text), {}
    if platform in ("cuda", "gpu", "rocm"):
        return _gpu("cuda" if platform == "gpu" else platform, rest, text)
    raise TopologyError(f"{text!r} describes no hardware to compile for. Forms: {_FORMS}.")


def _tpu_name(rest: str, text: str) -> str:
    generation, _, shape = rest.partition(":")
    generation = {"v7x": "tpu7x", "7x": "tpu7x"}.get(generation.lower(), generation.lower())
    if generation not in TPUS:
        raise TopologyError(f"{text!r} names no TPU that is known: {', '.join(TPUS)}. Forms: {_FORMS}.")
    shape = shape or "1x1"
    if not re.fullmatch(r"\d+(x\d+){0,2}", shape):
        raise TopologyError(f"{shape!r} in {text!r} is no shape of a slice, such as 4x4 or 2x2x1.")
    # The shapes of v2, v3, v5e and v6e are of two dimensions, of the others three; a missing one is 1.
    dimensions = 2 if generation in ("v2", "v3", "v5e", "v6e") else 3
    parts = shape.split("x")
    return f"{generation}:{'x'.join(parts + ['1'] * (dimensions - len(parts)))}"


def _gpu(platform: str, rest: str, text: str) -> tuple[str, str, dict[str, str]]:
    what, _, count = rest.rpartition(":") if re.search(r":\d+(x\d+)*$", rest) else (rest, "", "1")
    if not re.fullmatch(r"\d+(x\d+){0,2}", count):
        raise TopologyError(f"{count!r} in {text!r} is no number of devices, such as 8, or 2x8 on two hosts.")
    sizes = count.split("x")
    topology = "x".join(["1"] * (3 - len(sizes)) + sizes)
    if platform == "cuda" and what.lower() in GPUS:
        config = target_config(GPUS[what.lower()], _runtime_of_plugin())
        return platform, "", {"target_config": config, "topology": topology}
    try:
        with open(what, encoding="utf-8") as file:
            return platform, "", {"target_config": file.read(), "topology": topology}
    except (OSError, UnicodeDecodeError):
        known = ", ".join(GPUS) if platform == "cuda" else "none by name, only by a GpuTargetConfig"
        raise TopologyError(
            f"{text!r} names no GPU that is known ({known}) and no file with a GpuTargetConfig."
        ) from None


#: Slices by number of devices, where a chip is one device.
_SLICES = {
    2: {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16", 256: "16x16"},
    3: {
        1: "1x1x1",
        4: "2x2x1",
        8: "2x2x2",
        16: "2x2x4",
        32: "2x4x4",
        64: "4x4x4",
        128: "4x4x8",
        256: "4x8x8",
    },
}


def with_devices(text: str, count: int) -> str:
    """A description with at least `count` devices: one that names no number gets it.

    Args:
      text: see `describe`.
      count: how many devices are needed.

    Example:
      >>> from canter_pjrt.topologies import with_devices
      >>> with_devices("tpu:v5e", 8), with_devices("h100", 8), with_devices("h100:2", 8)
      ('tpu:v5e:2x4', 'h100:8', 'h100:2')
    """
    parts = text.strip().split(":")
    generation = parts[-1].lower()
    if generation in GPUS and count > 1:
        return f"{text}:{count}"
    if generation in ("v5e", "v6e", "v4", "v5p"):
        slices = _SLICES[2 if generation.endswith("e") else 3]
        fitting = [shape for size, shape in slices.items() if size >= count]
        return f"{text}:{fitting[0]}" if fitting else text
    return text


def _runtime_of_plugin() -> tuple[int, int]:
    plugin = plugin_for("cuda")
    return (13, 0) if plugin is not None and plugin.name == "cuda13" else (12, 8)


def describe(text: str, platform: str | None = None, **options: Any) -> Topology:
    """The devices that a description names.

    Args:
      text: "tpu:v5e:4x4" (generation and shape of the slice), "cuda:h100:8" (GPU and number of devices, 2x8 for two
        hosts), the text of a GpuTargetConfig, or the path of a file with one ("cuda:my.txtpb:8").
      platform: if given, the text is the plugin's own name for the topology and `options` are its options.
      options: for the plugin, such as `target_config` and `topology` of GPUs.

    Raises:
      TopologyError: the description is not understood, or the compiler does not know such hardware.
      PluginError: the platform's plugin is not installed, or does not work.
    """
    name = text
    if platform is None:
        platform, name, parsed = parse(text)
        options = {**parsed, **options}
    plugin = plugin_for(platform)
    if plugin is None:
        extra = EXTRAS.get(platform)
        how = f" To install it: pip install '{extra}'" if extra else ""
        raise PluginError(
            f"To compile for {platform} takes its PJRT plugin, which is not installed; the hardware is not needed.{how}"
        )
    capsule = load(plugin, strict=False)
    try:
        made = jaxlib_door.make_c_api_device_topology(capsule, name, **options)
        devices = made._make_compile_only_devices()
    except jaxlib_door.JaxRuntimeError as error:
        message = " ".join(str(error).split())
        raise TopologyError(
            f"The compiler for {platform} knows no hardware {text[:80]!r}: {message}"
        ) from None
    label = text if "\n" not in text and os.linesep not in text else f"{platform}:{devices[0].device_kind}"
    return Topology(platform, label, tuple(sorted(devices, key=lambda device: device.id)))
