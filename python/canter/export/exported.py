"""`Exported`: a program as data, with all that a caller has to know of it."""

from __future__ import annotations

import functools
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


@dataclass(frozen=True, eq=False)
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

    def __deepcopy__(self, memo: dict[int, Any]) -> Exported:
        return self  # nothing of it changes

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function with arguments of the structure and types for which it was exported.

        It can be jitted, differentiated (if it was exported or serialized with its vjp) and exported again.

        Raises:
          ValueError: an argument has another structure, shape or dtype, or the program is for other platforms or
            another number of devices.
        """
        return self._function(*args, **kwargs)

    @functools.cached_property
    def _function(self) -> Callable[..., Any]:
        from .calling import call_exported

        return call_exported(self)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Any]:
        """The program on the flat arrays that it takes, compiled for as long as this object lives."""
        from ..runtime.jit import jit
        from .calling import call_exported_p

        def flat(*operands: Any) -> Any:
            return call_exported_p.bind(*operands, exported=self)

        flat.__name__ = flat.__qualname__ = self.fun_name or "call"
        return jit(flat)

    def has_vjp(self) -> bool:
        """Whether the derivative is there: always right after `export`, else as far as it was serialized."""
        return self._get_vjp is not None

    def vjp(self) -> Exported:
        """The derivative in reverse mode, as an exported program.

        It takes the leaves of the arguments and then a cotangent for each leaf of the results, and returns a
        cotangent for each leaf of the arguments. Leaves of integers have cotangents of dtype float0.

        Raises:
          ValueError: the program was serialized without it.
        """
        if self._get_vjp is None:
            raise ValueError(
                f"No VJP is available for '{self.fun_name}': it was serialized without. Serialize it with "
                "vjp_order=1, or higher for derivatives of derivatives."
            )
        return self._known_vjp

    @functools.cached_property
    def _known_vjp(self) -> Exported:
        assert self._get_vjp is not None
        return self._get_vjp(self)

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """The program as bytes that `deserialize`, of Canter or of JAX, reads.

        Args:
          vjp_order: how many times what is read back can be differentiated in reverse mode.

        Raises:
          ValueError: the derivative of that order is not there, or an argument or result has a container or
            dtype that cannot be written.

        Example:
          >>> import canter as ct
          >>> from canter import export
          >>> blob = export.export(ct.jit(lambda x: x * x))(1.0).serialize(vjp_order=1)
          >>> print(ct.grad(export.deserialize(blob).call)(3.0))
          6.0
        """
        from .serialization import serialize

        return serialize(self, vjp_order)

    def mlir_module(self, serialized: bool = True) -> Any:
        """The StableHLO module.

        Args:
          serialized: whether to give it as text; else as an `ir.Module`, in an MLIR context of its own.
        """
        from canter_mlir.artifacts import read_artifact

        module = read_artifact(self.safe_module())
        return str(module.operation.get_asm(enable_debug_info=True)) if serialized else module

    def safe_module(self) -> bytes:
        """`mlir_module_serialized`, once it is known that reading it does no harm.

        Raises:
          ValueError: the program comes from bytes without a digest, and its module is damaged.
        """
        from .untrusted import checked

        return checked(self.mlir_module_serialized)

    def in_shardings_jax(self, mesh: Any) -> Sequence[Any]:
        """Shardings of the arguments over a mesh: to place arguments, or for `in_shardings` of `jit`.

        Args:
          mesh: a `Mesh` or `AbstractMesh` with the axes of the mesh for which the program was exported.

        Returns:
          One sharding an argument; None where the compiler chooses.

        Raises:
          ValueError: the mesh has other axes.
        """
        return self._over(mesh, self._in_named_shardings, self.in_shardings_hlo, self.in_avals)

    def out_shardings_jax(self, mesh: Any) -> Sequence[Any]:
        """Shardings of the results over a mesh, see `in_shardings_jax`."""
        return self._over(mesh, self._out_named_shardings, self.out_shardings_hlo, self.out_avals)

    def _over(
        self, mesh: Any, named: Sequence[Any], hlo: Sequence[Any], avals: Sequence[Any]
    ) -> Sequence[Any]:
        from ..core.sharding import NamedSharding, sharding_of_tiles

        result: list[Any] = []
        for sharding, tiles, aval in zip(named, hlo, avals, strict=True):
            if sharding is None:
                result.append(None if tiles is None else sharding_of_tiles(mesh, tiles, len(aval.shape)))
                continue
            if sharding.mesh.shape_tuple != mesh.shape_tuple:
                raise ValueError(
                    f"'{self.fun_name}' was exported for the mesh {sharding.mesh}, and {mesh} has other axes. Give a "
                    "mesh with the same names and sizes of axes."
                )
            result.append(NamedSharding(mesh, sharding.spec, sharding.memory_kind))
        return tuple(result)
