"""What a bug report should say about the machine."""

from __future__ import annotations

import platform
import sys

import numpy as np

from canter_pjrt.jaxlib_door import jaxlib_version

from ..version import __version__
from .backend import local_devices, process_count

__all__ = ["print_environment_info"]


def print_environment_info(return_string: bool = False) -> str | None:
    """Prints the versions of Canter and what it stands on, and the devices, for bug reports.

    Args:
      return_string: return the text instead.

    Example:
      >>> import canter as ct
      >>> ct.print_environment_info(return_string=True).startswith("canter:")
      True
    """
    devices = local_devices()
    kinds = sorted({device.device_kind for device in devices})
    lines = [
        f"canter: {__version__}",
        f"jaxlib: {'.'.join(map(str, jaxlib_version))}",
        f"numpy:  {np.__version__}",
        f"python: {sys.version.replace(chr(10), ' ')}",
        f"device info: {', '.join(kinds)}, {len(devices)} local devices",
        f"process_count: {process_count()}",
        f"platform: {platform.uname()}",
    ]
    text = "\n".join(lines)
    if return_string:
        return text
    print(text)
    return None
