"""`Exported`: a program as data, with all that a caller has to know of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.effects import Effect
    from ..core.sharding import NamedSharding

__all__ = [
    "DisabledSafetyCheck",
    "Exported",
    "maximum_supported_calling_convention_version",
    "minimum_supported_calling_convention_version",
]

#: The oldest calling convention that `call` understands.
minimum_supported_calling_convention_version: int = 9
#: The newest calling convention that `call` understands, in which `export` writes.
maximum_supported_calling_convention_version: int = 10

_CUSTOM_CALL = re.compile("custom_call:(.+)")


@dataclass(frozen=True)
class DisabledSafetyCheck:
    """A check that `export`, or the call of what it made, leaves out.

    Make one with `platform` or `custom_call`.

    Example:
      >>> from canter import export
      >>> export.DisabledSafetyCheck.custom_call("my_kernel")
      custom_call:my_kernel
    """

    _impl: str

    @classmethod
    def platform(cls) -> DisabledSafetyCheck:
        """Lets a program run on a platform that it was not exported for."""
        return cls("platform")

    @classmethod
    def custom_call(cls, target_name: str) -> DisabledSafetyCheck:
        """Lets a program contain custom calls of a target that makes no promise to stay as it is."""
        return cls(f"custom_call:{target_name}")

    def is_custom_call(self) -> str | None:
        """The target that `custom_call` was given; None for another check."""
        found = _CUSTOM_CALL.fullmatch(self._impl)
        return found[1] if found else None

    def __str__(self) -> str:
        return self._impl

    __repr__ = __str__


@dataclass(frozen=True)
class Exported:
    """A function exported for arguments of given types: its StableHLO module, and how to call it.

    `export` makes it, `serialize` and `deserialize` take it through bytes, and `call` runs it.

    Attributes:
      fun_name: name of the function.
      in_tree: structure of `(args, kwargs)`.
      in_avals: type of each leaf of the arguments.
      out_tree: structure of the results.
      out_avals: type of each leaf of the results.
      in_shardings_hlo: sharding of each argument as the compiler writes it; None where the compiler chooses.
      out_shardings_hlo: the same for the results.
      nr_devices: for how many devices the program is.
      platforms: for which platforms it is, in the order of the module's platform index.
      ordered_effects: effects whose order counts; the module takes and gives a token for each.
      unordered_effects: the other effects.
      disabled_safety_checks: checks that were left out, and are left out at calls.
      mlir_module_serialized: the module, as a portable artifact of StableHLO.
      calling_convention_version: how the arguments of the module are laid out.
      module_kept_var_idx: which of the leaves of the arguments the module takes.
      uses_global_constants: whether the module takes the platform's index or dimensions as arguments before all else.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> from canter import export
      >>> exported = export.export(ct.jit(cnp.sin))(cnp.ones(3))
      >>> exported
      Exported(fun_name=sin, ...)
      >>> exported.call(cnp.zeros(3))
      Array([0., 0., 0.], dtype=float32)
    """

    fun_name: str
    in_tree: Any
    in_avals: tuple[Any, ...]
    out_tree: Any
    out_avals: tuple[Any, ...]
    _has_named_shardings: bool
    _in_named_shardings: tuple[NamedSharding | None, ...]
    _out_named_shardings: tuple[NamedSharding | None, ...]
    in_shardings_hlo: tuple[Any, ...]
    out_shardings_hlo: tuple[Any, ...]
    nr_devices: int
    platforms: tuple[str, ...]
    ordered_effects: tuple[Effect, ...]
    unordered_effects: tuple[Effect, ...]
    disabled_safety_checks: Sequence[DisabledSafetyCheck]
    mlir_module_serialized: bytes
    calling_convention_version: int
    module_kept_var_idx: tuple[int, ...]
    uses_global_constants: bool
    _get_vjp: Callable[[Exported], Exported] | None

    def __str__(self) -> str:
        return f"Exported(fun_name={self.fun_name}, ...)"

    __repr__ = __str__
