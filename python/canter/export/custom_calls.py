"""Calls into libraries: which of them an artifact may contain, because they are kept as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .exported import DisabledSafetyCheck

__all__ = ["check_custom_calls", "stable_targets"]


def _names(pattern: str, letters: str, routines: str) -> Iterable[str]:
    return (pattern.format(letter + routine) for letter in letters for routine in routines.split())


def _gpu(library: str, routines: str) -> Iterable[str]:
    return (f"{library}_{routine}_ffi" for routine in routines.split())


#: Targets that jaxlib promises to keep for the artifacts of the past, with their meaning.
stable_targets: frozenset[str] = frozenset(
    [
        # XLA and StableHLO themselves
        *"AllocateBuffer ApproxTopK Sharding SPMDFullToShardShape SPMDShardToFullShape".split(),
        *"annotate_device_placement shape_assertion tf.call_tf_function".split(),
        *map("stablehlo.dynamic_{}".format, "approx_top_k reduce_window rng_bit_generator top_k".split()),
        # TPU
        *"Eigh LuDecomposition ProductOfElementaryHouseholderReflectors Qr tpu_custom_call".split(),
        # CPU: LAPACK for each of its four types
        *_names("lapack_{}_ffi", "sdcz", "gees geev gehrd geqrf gesdd getrf gtsv potrf trsm"),
        *_names("lapack_{}_ffi", "sd", "orgqr syevd sytrd"),
        *_names("lapack_{}_ffi", "cz", "ungqr heevd hetrd"),
        # CUDA and ROCm
        *_gpu("cusolver", "geqrf gesvd gesvdj getrf orgqr potrf syevd sytrd"),
        *_gpu("hipsolver", "geqrf gesdd gesvd gesvdj getrf orgqr potrf syevd sytrd"),
        *"cu_lu_pivots_to_permutation cu_threefry2x32_ffi cusparse_gtsv2_ffi".split(),
        *"hip_lu_pivots_to_permutation hip_threefry2x32_ffi mosaic_gpu_v2".split(),
    ]
)


def check_custom_calls(module: Any, disabled: Sequence[DisabledSafetyCheck]) -> None:
    """Raises ValueError if a module calls a target that is not promised to stay, unless that check is disabled."""
    from canter_mlir.artifacts import targets_of_custom_calls

    allowed = {check.is_custom_call() for check in disabled}
    found = targets_of_custom_calls(module)
    unstable = [target for target in found if target not in stable_targets and target not in allowed]
    if unstable:
        lines = "\n".join(f"  {target}: {found[target].strip()[:200]}" for target in unstable[:4])
        raise ValueError(
            "Cannot serialize code with custom calls whose targets have no compatibility guarantees: whoever runs the "
            f"artifact later may not have them, or others of the same name:\n{lines}\n"
            "If you know better, export with disabled_checks=[export.DisabledSafetyCheck.custom_call("
            f"{unstable[0]!r})]."
        )
