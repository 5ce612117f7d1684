"""Rotations, kept as unit quaternions (x, y, z, w)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from canter import numpy as cnp, random
from canter.numpy.util import promote_dtypes_inexact
from canter.runtime.composite import composite

__all__ = ["Rotation"]


def _vector(x: Any) -> Any:
    return promote_dtypes_inexact(cnp.asarray(x))[0]


def _unit(q: Any) -> Any:
    return q / cnp.linalg.norm(q, axis=-1, keepdims=True)


def _product(p: Any, q: Any) -> Any:
    """Hamilton's product of quaternions."""
    pv, pw, qv, qw = p[..., :3], p[..., 3:], q[..., :3], q[..., 3:]
    vector = pw * qv + qw * pv + cnp.cross(pv, qv)
    scalar = pw * qw - cnp.sum(pv * qv, axis=-1, keepdims=True)
    return cnp.concatenate([vector, scalar], axis=-1)


def _conjugate(q: Any) -> Any:
    return cnp.concatenate([-q[..., :3], q[..., 3:]], axis=-1)


def _matrix(q: Any) -> Any:
    x, y, z, w = (q[..., i] for i in range(4))
    rows = [
        [x * x - y * y - z * z + w * w, 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), -x * x + y * y - z * z + w * w, 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), -x * x - y * y + z * z + w * w],
    ]
    return cnp.stack([cnp.stack(row, axis=-1) for row in rows], axis=-2)


@composite
def _from_matrix(m: Any) -> Any:
    """Shepperd's method: of four expressions for the quaternion that with the greatest divisor."""
    m = _vector(m)
    diagonal = cnp.diagonal(m, axis1=-2, axis2=-1)
    trace = cnp.sum(diagonal, axis=-1, keepdims=True)
    choice = cnp.argmax(cnp.concatenate([diagonal, trace], axis=-1), axis=-1)
    candidates = []
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        parts: list[Any] = [None] * 4
        parts[i] = 1 - trace[..., 0] + 2 * m[..., i, i]
        parts[j] = m[..., j, i] + m[..., i, j]
        parts[k] = m[..., k, i] + m[..., i, k]
        parts[3] = m[..., k, j] - m[..., j, k]
        candidates.append(cnp.stack(parts, axis=-1))
    last = [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]]
    candidates.append(cnp.stack([*last, 1 + trace[..., 0]], axis=-1))
    stacked = cnp.stack(candidates, axis=-2)
    return _unit(cnp.take_along_axis(stacked, choice[..., None, None], axis=-2)[..., 0, :])


@composite
def _from_rotvec(v: Any) -> Any:
    v = _vector(v)
    square = cnp.sum(v * v, axis=-1, keepdims=True)
    small = square < 1e-6
    angle = cnp.sqrt(cnp.where(small, 1.0, square))
    series = 0.5 - square / 48 + square * square / 3840
    scale = cnp.where(small, series, cnp.sin(angle / 2) / angle)
    scalar = cnp.where(small, 1 - square / 8 + square * square / 384, cnp.cos(angle / 2))
    return cnp.concatenate([scale * v, scalar], axis=-1)


@composite
def _as_rotvec(q: Any) -> Any:
    q = cnp.where(q[..., 3:] < 0, -q, q)
    vector, scalar = q[..., :3], q[..., 3:]
    square = cnp.sum(vector * vector, axis=-1, keepdims=True)
    small = square < 2.5e-7
    length = cnp.sqrt(cnp.where(small, 1.0, square))
    far = 2 * cnp.arctan2(length, scalar) / length
    return cnp.where(small, 2 + square / 3, far) * vector


def _axes(seq: str, most: int) -> tuple[tuple[int, ...], bool]:
    """The places of the axes in a sequence, and whether it is intrinsic."""
    if not 1 <= len(seq) <= most or not (set(seq) <= set("xyz") or set(seq) <= set("XYZ")):
        raise ValueError(
            f"Rotation: expected a sequence of {'up to ' if most != len(seq) else ''}{most} axes, all from 'xyz' "
            f"(extrinsic) or all from 'XYZ' (intrinsic), got {seq!r}."
        )
    if any(a == b for a, b in itertools.pairwise(seq)):
        raise ValueError(f"Rotation: consecutive axes must be different, got {seq!r}.")
    return tuple("xyz".index(c) for c in seq.lower()), seq.isupper()


def _as_euler(q: Any, axes: tuple[int, ...], extrinsic: bool) -> Any:
    """Bernardes, Viollet, "Quaternion to Euler angles conversion: a direct, general and computationally efficient
    method", 2022.
    """
    i, j, k = axes if extrinsic else axes[::-1]
    symmetric = i == k
    if symmetric:
        k = 3 - i - j
    sign = (i - j) * (j - k) * (k - i) // 2
    parts = [q[..., n] for n in range(4)]
    if symmetric:
        a, b, c, d = parts[3], parts[i], parts[j], parts[k] * sign
    else:
        a, b = parts[3] - parts[j], parts[i] + parts[k] * sign
        c, d = parts[j] + parts[3], parts[k] * sign - parts[i]
    middle = 2 * cnp.arctan2(cnp.hypot(c, d), cnp.hypot(a, b))
    tolerance = 1e-7
    at_zero, at_pi = cnp.abs(middle) <= tolerance, cnp.abs(middle - math.pi) <= tolerance
    half_sum, half_difference = cnp.arctan2(b, a), cnp.arctan2(d, c)
    # In a gimbal lock only the sum or the difference of the outer angles counts: one of them is 0.
    first = cnp.where(at_zero | at_pi, 0.0, half_sum - half_difference)
    locked = cnp.where(at_zero, 2 * half_sum, 2 * half_difference * (-1 if extrinsic else 1))
    last = cnp.where(at_zero | at_pi, locked, half_sum + half_difference)
    if not symmetric:
        last, middle = last * sign, middle - math.pi / 2
    if extrinsic:
        angles = cnp.stack([first, middle, last], axis=-1)
    else:
        angles = cnp.stack([last, middle, first], axis=-1)
    return (angles + math.pi) % (2 * math.pi) - math.pi


class Rotation(NamedTuple):
    """One rotation in three dimensions, or several.

    Attributes:
      quat: (4,) or (n, 4), of norm 1: the quaternions x, y, z, w.

    Source: `scipy.spatial.transform.Rotation`.

    Example:
      >>> import canter as ct
      >>> Rotation = ct.scipy.spatial.transform.Rotation
      >>> quarter = Rotation.from_euler("z", 90, degrees=True)
      >>> print(abs(quarter.apply(ct.numpy.array([1.0, 0.0, 0.0])) - ct.numpy.array([0.0, 1.0, 0.0])).max() < 1e-6)
      True
    """

    quat: Any

    @classmethod
    def concatenate(cls, rotations: Sequence[Rotation]) -> Rotation:
        """The rotations of a sequence, as one object."""
        return cls(cnp.concatenate([cnp.atleast_2d(r.quat) for r in rotations]))

    @classmethod
    def from_euler(cls, seq: str, angles: Any, degrees: bool = False) -> Rotation:
        """Rotations about coordinate axes, one after the other.

        Args:
          seq: up to three of "xyz" (about fixed axes) or of "XYZ" (about axes that turn along).
          angles: (len(seq),) or (n, len(seq)); a number for one axis.
          degrees: whether they are in degrees.
        """
        axes, intrinsic = _axes(seq, 3)
        angles = _vector(angles)
        if degrees:
            angles = cnp.deg2rad(angles)
        if angles.ndim == 0:
            angles = angles[None]
        elif len(axes) == 1 and angles.ndim == 1 and angles.shape[0] != 1:
            angles = angles[:, None]
        if angles.shape[-1] != len(axes):
            raise ValueError(
                f"Rotation.from_euler: {len(axes)} angles are needed for {seq!r}, got {angles.shape}."
            )
        total = None
        for n, axis in enumerate(axes):
            half = 0.5 * angles[..., n]
            zero = cnp.zeros_like(half)
            parts = [zero, zero, zero, cnp.cos(half)]
            parts[axis] = cnp.sin(half)
            q = cnp.stack(parts, axis=-1)
            total = q if total is None else _product(total, q) if intrinsic else _product(q, total)
        return cls(total)

    @classmethod
    def from_matrix(cls, matrix: Any) -> Rotation:
        """Rotations given by orthogonal matrices, (3, 3) or (n, 3, 3)."""
        return cls(_from_matrix(matrix))

    @classmethod
    def from_mrp(cls, mrp: Any) -> Rotation:
        """Rotations given by modified Rodrigues parameters, (3,) or (n, 3)."""
        mrp = _vector(mrp)
        square = cnp.sum(mrp * mrp, axis=-1, keepdims=True)
        return cls(cnp.concatenate([2 * mrp, 1 - square], axis=-1) / (1 + square))

    @classmethod
    def from_quat(cls, quat: Any) -> Rotation:
        """Rotations given by quaternions (x, y, z, w) of any norm but 0, (4,) or (n, 4)."""
        return cls(_unit(_vector(quat)))

    @classmethod
    def from_rotvec(cls, rotvec: Any, degrees: bool = False) -> Rotation:
        """Rotations given by their axes, as long as their angles, (3,) or (n, 3)."""
        rotvec = _vector(rotvec)
        return cls(_from_rotvec(cnp.deg2rad(rotvec) if degrees else rotvec))

    @classmethod
    def identity(cls, num: int | None = None, dtype: Any = float) -> Rotation:
        """The rotation that leaves all in place, or `num` of them."""
        quat = cnp.array([0, 0, 0, 1], dtype=dtype)
        return cls(quat if num is None else cnp.tile(quat, (num, 1)))

    @classmethod
    def random(cls, random_key: Any, num: int | None = None) -> Rotation:
        """A uniformly distributed rotation, or `num` of them."""
        shape = (4,) if num is None else (num, 4)
        return cls.from_quat(random.normal(random_key, shape))

    def __getitem__(self, indexer: Any) -> Rotation:
        if self.single:
            raise TypeError("Single rotation is not subscriptable.")
        return Rotation(self.quat[indexer])

    def __len__(self) -> int:
        if self.single:
            raise TypeError("Single rotation has no len().")
        return self.quat.shape[0]

    def __mul__(self, other: Any) -> Rotation:
        """The rotation `other` and then this one."""
        return Rotation(_unit(_product(self.quat, other.quat)))

    def apply(self, vectors: Any, inverse: bool = False) -> Any:
        """Vectors (3,) or (n, 3) turned by this rotation, or back."""
        matrix = self.as_matrix()
        if inverse:
            matrix = cnp.swapaxes(matrix, -1, -2)
        return cnp.einsum("...ij,...j->...i", matrix, cnp.asarray(vectors))

    def as_euler(self, seq: str, degrees: bool = False) -> Any:
        """Angles about three axes, see `from_euler`; of several answers that with the middle angle least."""
        axes, intrinsic = _axes(seq, 3)
        if len(axes) != 3:
            raise ValueError(f"Rotation.as_euler: expected three axes, got {seq!r}.")
        angles = _as_euler(self.quat, axes, not intrinsic)
        return cnp.rad2deg(angles) if degrees else angles

    def as_matrix(self) -> Any:
        """Orthogonal matrices, (3, 3) or (n, 3, 3)."""
        return _matrix(self.quat)

    def as_mrp(self) -> Any:
        """Modified Rodrigues parameters, of norm 1 at most."""
        sign = cnp.where(self.quat[..., 3:] < 0, -1.0, 1.0)
        return sign * self.quat[..., :3] / (1 + sign * self.quat[..., 3:])

    def as_quat(self, canonical: bool = False, scalar_first: bool = False) -> Any:
        """The quaternions.

        Args:
          canonical: whether of q and -q the one is chosen whose first non-zero part of w, x, y, z is positive.
          scalar_first: whether the order is w, x, y, z.
        """
        q = self.quat
        if canonical:
            ordered = cnp.concatenate([q[..., 3:], q[..., :3]], axis=-1)
            first = cnp.argmax(ordered != 0, axis=-1)
            leading = cnp.take_along_axis(ordered, first[..., None], axis=-1)
            q = cnp.where(leading < 0, -q, q)
        return cnp.roll(q, 1, axis=-1) if scalar_first else q

    def as_rotvec(self, degrees: bool = False) -> Any:
        """The axes, as long as the angles."""
        vector = _as_rotvec(self.quat)
        return cnp.rad2deg(vector) if degrees else vector

    def inv(self) -> Rotation:
        """The rotation back."""
        return Rotation(_conjugate(self.quat))

    def magnitude(self) -> Any:
        """The angle, between 0 and pi."""
        length = cnp.linalg.norm(self.quat[..., :3], axis=-1)
        return 2 * cnp.arctan2(length, cnp.abs(self.quat[..., 3]))

    def mean(self, weights: Any = None) -> Rotation:
        """The rotation nearest to all of these, in the sense of least squares of the matrices.

        Source: Markley et al., "Averaging quaternions", 2007.
        """
        q = cnp.atleast_2d(self.quat)
        weights = cnp.ones(q.shape[0], q.dtype) if weights is None else cnp.asarray(weights, q.dtype)
        if weights.shape != (q.shape[0],):
            raise ValueError(
                f"Rotation.mean: weights must have the shape ({q.shape[0]},), got {weights.shape}."
            )
        return Rotation(cnp.linalg.eigh((weights * q.T) @ q)[1][:, -1])

    @property
    def single(self) -> bool:
        """Whether this is one rotation, and not an array of them."""
        return self.quat.ndim == 1
