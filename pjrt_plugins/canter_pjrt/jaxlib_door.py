"""The one door to jaxlib's runtime: every private name of it that Canter uses is imported here.

Differences between jaxlib versions are handled in this module and nowhere else, so that a new
release of jaxlib needs one file to be read again.
"""

from jaxlib import _jax
from jaxlib._jax import Traceback, pytree
from jaxlib._jax.config import Config as Config
from jaxlib._jax.config import trace_context as trace_context
from jaxlib._jax.config import unset as unset

__all__ = ["Config", "Traceback", "pytree", "trace_context", "unset"]
