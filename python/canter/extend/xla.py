"""Compiler passes of one's own, which transform HLO modules."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from canter_pjrt import jaxlib_door as _door

from ..runtime.backend import backends as _backends

__all__ = ["PipelineStage", "clear_hlo_module_transformation", "register_hlo_module_transformation"]


class PipelineStage(enum.IntEnum):
    """When a pass runs: before or after the compiler has put operations in order."""

    PRE_SCHEDULER = 0
    POST_SCHEDULER = 1


def _targets(platforms: Sequence[str] | str | None) -> list[str]:
    if platforms is None:
        return list(_backends())
    return [platforms] if isinstance(platforms, str) else list(platforms)


def register_hlo_module_transformation(
    callback: Callable[[bytes], bytes | None],
    *,
    name: str,
    stage: PipelineStage = PipelineStage.PRE_SCHEDULER,
    platforms: Sequence[str] | str | None = None,
) -> None:
    """Adds a pass to the compiler, behind those added before.

    Args:
      callback: from a serialized `HloModuleProto` to that of the changed module, or None for no change.
      name: the pass' name.
      stage: when it runs.
      platforms: for which platforms, by name; None for all there are.

    Raises:
      TypeError: the stage is no `PipelineStage`.

    Example:
      >>> from canter.extend import xla
      >>> xla.register_hlo_module_transformation(lambda proto: None, name="look", platforms="cpu")
      >>> xla.clear_hlo_module_transformation("look", platforms="cpu")
      True
    """
    _check(stage)
    for platform in _targets(platforms):
        if platform == "cpu":
            _door.xla.register_xla_transform(name, int(stage), callback)
        else:
            _door.xla.register_xla_transform_c_api(_backends()[platform], name, int(stage), callback)


def clear_hlo_module_transformation(
    name: str,
    stage: PipelineStage = PipelineStage.PRE_SCHEDULER,
    platforms: Sequence[str] | str | None = None,
) -> bool:
    """Removes a pass.

    Args:
      name: the pass' name.
      stage: when it runs.
      platforms: for which platforms, by name; None for all there are.

    Returns:
      Whether there was such a pass.
    """
    _check(stage)
    cleared = [
        _door.xla.clear_xla_transform(name, int(stage))
        if platform == "cpu"
        else _door.xla.clear_xla_transform_c_api(_backends()[platform], name, int(stage))
        for platform in _targets(platforms)
    ]
    return any(cleared)


def _check(stage: PipelineStage) -> None:
    if not isinstance(stage, PipelineStage):
        raise TypeError(f"stage takes a PipelineStage, got {stage!r}.")
