"""Programs that outlive the process that traced them: exported, written to bytes, read back, called.

Names and parameters are those of `jax.export`, and so is the format of the bytes. Each name is loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.naming import lazy_names as _lazy_names

if TYPE_CHECKING:
    from .bundles import Bundle as Bundle, load_bundle as load_bundle, save_bundle as save_bundle
    from .calling import call_exported as call_exported
    from .compiled import (
        compile_for as compile_for,
        load_compiled as load_compiled,
        save_compiled as save_compiled,
    )
    from .exported import (
        DisabledSafetyCheck as DisabledSafetyCheck,
        Exported as Exported,
        maximum_supported_calling_convention_version as maximum_supported_calling_convention_version,
        minimum_supported_calling_convention_version as minimum_supported_calling_convention_version,
    )
    from .exporting import default_export_platform as default_export_platform, export as export
    from .iree import run_iree as run_iree, to_iree as to_iree
    from .onnx_models import to_onnx as to_onnx
    from .portable import to_portable as to_portable, to_text as to_text, version_for as version_for
    from .pytree_types import (
        register_namedtuple_serialization as register_namedtuple_serialization,
        register_pytree_node_serialization as register_pytree_node_serialization,
    )
    from .saved_models import from_saved_model as from_saved_model, to_saved_model as to_saved_model
    from .serialization import deserialize as deserialize, serialize as serialize
    from .shapes import (
        SymbolicScope as SymbolicScope,
        is_symbolic_dim as is_symbolic_dim,
        symbolic_args_specs as symbolic_args_specs,
        symbolic_shape as symbolic_shape,
    )
    from .stablehlo.evaluation import UnsupportedOperation as UnsupportedOperation
    from .stablehlo.function import StablehloFunction as StablehloFunction, from_stablehlo as from_stablehlo
    from .tensor_files import DamagedFile as DamagedFile

# Kept in step with the imports above by tests/core/test_surface.py.
__getattr__, __dir__ = _lazy_names(
    __name__,
    {
        ".bundles": "Bundle load_bundle save_bundle",
        ".calling": "call_exported",
        ".compiled": "compile_for load_compiled save_compiled",
        ".exported": "DisabledSafetyCheck Exported maximum_supported_calling_convention_version "
        "minimum_supported_calling_convention_version",
        ".shapes": "SymbolicScope is_symbolic_dim symbolic_args_specs symbolic_shape",
        ".exporting": "default_export_platform export",
        ".iree": "run_iree to_iree",
        ".onnx_models": "to_onnx",
        ".saved_models": "from_saved_model to_saved_model",
        ".portable": "to_portable to_text version_for",
        ".pytree_types": "register_namedtuple_serialization register_pytree_node_serialization",
        ".serialization": "deserialize serialize",
        ".stablehlo.evaluation": "UnsupportedOperation",
        ".stablehlo.function": "StablehloFunction from_stablehlo",
        ".tensor_files": "DamagedFile",
    },
)

__all__ = __dir__()
