"""The names of jaxlib's runtime under which older libraries look for them."""

from canter_pjrt.jaxlib_door import xla_extension as _runtime

XlaRuntimeError = _runtime.JaxRuntimeError

__all__ = ["XlaRuntimeError"]


def __getattr__(name: str) -> object:
    return getattr(_runtime, name)
