"""Interpolation between rotations."""

from __future__ import annotations

from typing import Any, NamedTuple

from canter import numpy as cnp
from canter.numpy.util import promote_dtypes_inexact

from .rotation import Rotation

__all__ = ["Slerp"]


class Slerp(NamedTuple):
    """Spherical linear interpolation: from one rotation to the next about a fixed axis at constant speed.

    Attributes:
      times: (n,), rising.
      timedelta: (n - 1,): the differences.
      rotations: the rotation at the beginning of each interval.
      rotvecs: (n - 1, 3): the rotation within each interval.

    Source: `scipy.spatial.transform.Slerp`.

    Example:
      >>> import canter as ct, canter.numpy as cnp
      >>> turn = ct.scipy.spatial.transform.Rotation.from_euler("z", cnp.array([0.0, 90.0]), degrees=True)
      >>> line = ct.scipy.spatial.transform.Slerp.init(cnp.array([0.0, 1.0]), turn)
      >>> print(round(float(line(0.5).as_euler("xyz", degrees=True)[2]), 2))
      45.0
    """

    times: Any
    timedelta: Any
    rotations: Rotation
    rotvecs: Any

    @classmethod
    def init(cls, times: Any, rotations: Rotation) -> Slerp:
        """The interpolation through rotations at the given times.

        Raises:
          ValueError: there are not as many times as rotations, or fewer than two.
          TypeError: there is just one rotation.
        """
        if not isinstance(rotations, Rotation):
            raise TypeError("Slerp: rotations must be a Rotation.")
        if rotations.single or len(rotations) <= 1:
            raise ValueError("Slerp: rotations must be at least two.")
        times = promote_dtypes_inexact(cnp.asarray(times))[0]
        if times.ndim != 1:
            raise ValueError(f"Slerp: the times must be of one dimension, got {times.shape}.")
        if times.shape[0] != len(rotations):
            raise ValueError(f"Slerp: there are {times.shape[0]} times, but {len(rotations)} rotations.")
        start, end = Rotation(rotations.quat[:-1]), Rotation(rotations.quat[1:])
        return cls(times, cnp.diff(times), start, (start.inv() * end).as_rotvec())

    def __call__(self, times: Any) -> Rotation:
        """The rotations at times (), or (m,)."""
        times = promote_dtypes_inexact(cnp.asarray(times))[0]
        if times.ndim > 1:
            raise ValueError(f"Slerp: times must have at most one dimension, got {times.shape}.")
        place = cnp.clip(cnp.searchsorted(self.times, times, side="left") - 1, 0, self.timedelta.shape[0] - 1)
        share = (times - self.times[place]) / self.timedelta[place]
        return Rotation(self.rotations.quat[place]) * Rotation.from_rotvec(
            self.rotvecs[place] * share[..., None]
        )
