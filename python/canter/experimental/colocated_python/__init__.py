"""Python functions that run beside the devices on which their arguments lie.

Here these are the devices of this process's CPU: a function runs in this process. Where devices are another
process's, or have memory of their own, a call raises NotImplementedError.
"""

from .func import colocated_cpu_devices as colocated_cpu_devices, colocated_python as colocated_python
from .obj import colocated_python_class as colocated_python_class

__all__ = ["colocated_cpu_devices", "colocated_python", "colocated_python_class"]
