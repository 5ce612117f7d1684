"""The density of a sample, estimated by a normal distribution around each of its points."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from canter import lax, numpy as cnp, random
from canter.core import dtypes
from canter.core.pytree import register_pytree_node
from canter.lax import linalg
from canter.numpy.util import canonical_shape, check_arraylike, promote_dtypes_inexact
from canter.scipy import special

__all__ = ["gaussian_kde"]

_FIELDS = ("neff", "dataset", "weights", "covariance", "inv_cov")


@dataclasses.dataclass(frozen=True, init=False)
class gaussian_kde:
    """A density estimate with Gaussian kernels. It is a pytree, so it can be passed into compiled functions.

    Args:
      dataset: (d, n), or (n,) for d = 1: the sample.
      bw_method: by which factor the kernels are narrower than the sample: "scott" (also None),
        "silverman", a number, or a function of the estimate.
      weights: (n,): how much each point counts; by default all the same.

    Attributes:
      neff: the effective number of points.
      dataset: (d, n).
      weights: (n,), adding up to 1.
      covariance: (d, d): that of the kernels.
      inv_cov: its inverse.

    Raises:
      NotImplementedError: the sample is complex.
      ValueError: the sample has no two elements, or the weights do not fit.

    Source: `scipy.stats.gaussian_kde`; Scott, "Multivariate density estimation", 1992.

    Example:
      >>> import canter as ct
      >>> kde = ct.scipy.stats.gaussian_kde(ct.numpy.array([1.0, 2.0, 4.0]))
      >>> print(round(float(kde(2.0)[0]), 3))
      0.215
    """

    neff: Any
    dataset: Any
    weights: Any
    covariance: Any
    inv_cov: Any

    def __init__(
        self, dataset: Any, bw_method: str | Any | Callable[[Any], Any] | None = None, weights: Any = None
    ):
        check_arraylike("gaussian_kde", dataset)
        dataset = cnp.atleast_2d(dataset)
        if dtypes.issubdtype(dataset.dtype, cnp.complexfloating):
            raise NotImplementedError("gaussian_kde does not support complex data.")
        if dataset.size <= 1:
            raise ValueError("gaussian_kde: the dataset must have several elements.")
        if dataset.ndim != 2:
            raise ValueError(
                f"gaussian_kde: the dataset must have one or two dimensions, got {dataset.shape}."
            )
        dataset, weights = _weighted(dataset, weights)
        self._set("dataset", dataset)
        self._set("weights", weights)
        self._set("neff", 1 / cnp.sum(weights**2))
        factor = self._factor(bw_method)
        sample = cnp.atleast_2d(cnp.cov(dataset, rowvar=True, bias=False, aweights=weights))
        self._set("covariance", sample * factor**2)
        self._set("inv_cov", cnp.linalg.inv(sample) / factor**2)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _factor(self, bw_method: Any) -> Any:
        if bw_method is None or bw_method == "scott":
            return cnp.power(self.neff, -1.0 / (self.d + 4))
        if bw_method == "silverman":
            return cnp.power(self.neff * (self.d + 2) / 4.0, -1.0 / (self.d + 4))
        if callable(bw_method):
            return bw_method(self)
        if isinstance(bw_method, str) or not cnp.isscalar(bw_method):
            raise ValueError(
                "gaussian_kde: bw_method should be 'scott', 'silverman', a scalar, or a callable."
            )
        return bw_method

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of points."""
        return self.dataset.shape[1]

    def _points(self, points: Any) -> Any:
        """Points as (d, m); a vector is one point, or many numbers."""
        check_arraylike("gaussian_kde", points)
        if dtypes.issubdtype(cnp.asarray(points).dtype, cnp.complexfloating):
            raise NotImplementedError("gaussian_kde does not support complex coordinates.")
        points = cnp.atleast_2d(points)
        if points.shape[0] != self.d and points.shape == (1, self.d):
            points = cnp.reshape(points, (self.d, 1))
        if points.shape[0] != self.d:
            raise ValueError(
                f"gaussian_kde: points have dimension {points.shape[0]}, the dataset has dimension {self.d}."
            )
        return points

    def evaluate(self, points: Any) -> Any:
        """The density at points (d, m): an array (m,). Raises ValueError where d is another."""
        return cnp.exp(self.logpdf(points))

    __call__ = evaluate

    def pdf(self, x: Any) -> Any:
        """The same as `evaluate`."""
        return self.evaluate(x)

    def logpdf(self, x: Any) -> Any:
        """The logarithm of the density at points (d, m), exact also far from the sample."""
        points, dataset, weights, inverse = promote_dtypes_inexact(
            self._points(x), self.dataset, self.weights, self.inv_cov
        )
        # (a - b)ᵀ C⁻¹ (a - b) is the square of a distance after a change of coordinates.
        root = linalg.cholesky(inverse)
        distance = (root.T @ points)[:, None, :] - (root.T @ dataset)[:, :, None]
        energy = -0.5 * cnp.sum(distance * distance, axis=0)
        normalizer = cnp.sum(cnp.log(cnp.diagonal(root))) - self.d / 2 * math.log(2 * math.pi)
        return special.logsumexp(energy, axis=0, b=weights[:, None]) + normalizer

    def integrate_gaussian(self, mean: Any, cov: Any) -> Any:
        """The integral of the estimate times a normal density of mean (d,) and covariance (d, d).

        Raises:
          ValueError: their shapes do not fit.
        """
        mean = cnp.atleast_1d(cnp.squeeze(cnp.asarray(mean)))
        cov = cnp.atleast_2d(cov)
        if mean.shape != (self.d,):
            raise ValueError(f"gaussian_kde: mean does not have dimension {self.d}.")
        if cov.shape != (self.d, self.d):
            raise ValueError(f"gaussian_kde: covariance does not have dimension {self.d}.")
        return _overlap(mean[:, None], cnp.ones(1), self.dataset, self.weights, self.covariance + cov)

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The probability of an interval, for one dimension.

        Raises:
          ValueError: there are several dimensions.
        """
        if self.d != 1:
            raise ValueError("gaussian_kde: integrate_box_1d() only handles densities of one dimension.")
        if cnp.ndim(low) or cnp.ndim(high):
            raise ValueError("gaussian_kde: the limits of integration must be scalars.")
        width = cnp.sqrt(self.covariance[0, 0])
        upper, lower = ((bound - self.dataset[0]) / width for bound in (high, low))
        return cnp.sum(self.weights * (special.ndtr(upper) - special.ndtr(lower)))

    def integrate_kde(self, other: gaussian_kde) -> Any:
        """The integral of the product with another estimate.

        Raises:
          ValueError: it has another number of dimensions.
        """
        if other.d != self.d:
            raise ValueError(f"gaussian_kde: the other estimate has {other.d} dimensions, this one {self.d}.")
        cov = self.covariance + other.covariance
        return _overlap(other.dataset, other.weights, self.dataset, self.weights, cov)

    def integrate_box(self, low_bounds: Any, high_bounds: Any, maxpts: Any = None) -> Any:
        """Not supported; see `integrate_box_1d`. Raises NotImplementedError."""
        raise NotImplementedError(
            "gaussian_kde: only 1D box integrations are supported; use `integrate_box_1d`."
        )

    def set_bandwidth(self, bw_method: Any = None) -> None:
        """Not supported: an estimate does not change. Raises NotImplementedError."""
        raise NotImplementedError(
            "gaussian_kde: an estimate cannot be changed; make a new one with another bw_method."
        )

    def resample(self, key: Any, shape: Any = ()) -> Any:
        """Points drawn from the estimate: an array (d, *shape).

        Args:
          key: a random key.
          shape: how many.
        """
        which, where = random.split(key)
        shape = canonical_shape(shape)
        index = random.choice(which, self.n, shape=shape, p=self.weights)
        noise = random.multivariate_normal(
            where,
            cnp.zeros(self.d, self.covariance.dtype),
            self.covariance,
            shape=shape,
            dtype=self.dataset.dtype,
        )
        return self.dataset[:, index] + cnp.moveaxis(noise, -1, 0)


def _weighted(dataset: Any, weights: Any) -> tuple[Any, Any]:
    """The sample and its weights, in one dtype, the weights adding up to 1."""
    size = dataset.shape[1]
    if weights is None:
        (dataset,) = promote_dtypes_inexact(dataset)
        return dataset, cnp.full(size, 1.0 / size, dtype=dataset.dtype)
    check_arraylike("gaussian_kde", weights)
    dataset, weights = promote_dtypes_inexact(dataset, cnp.atleast_1d(weights))
    if weights.ndim != 1:
        raise ValueError(f"gaussian_kde: weights should be one-dimensional, got {weights.shape}.")
    if weights.shape != (size,):
        raise ValueError(f"gaussian_kde: weights should be of length n = {size}, got {weights.shape[0]}.")
    return dataset, weights / cnp.sum(weights)


def _overlap(centers: Any, masses: Any, other_centers: Any, other_masses: Any, cov: Any) -> Any:
    """The sum over pairs of normal densities of the covariance at the centers' differences, weighed."""
    root = linalg.cholesky(cov)
    size = cov.shape[0]
    differences = centers[:, :, None] - other_centers[:, None, :]
    whitened = linalg.triangular_solve(root, cnp.reshape(differences, (size, -1)), left_side=True, lower=True)
    energy = cnp.reshape(-0.5 * cnp.sum(whitened * whitened, axis=0), differences.shape[1:])
    normalizer = cnp.sum(lax.log(cnp.diagonal(root))) + size / 2 * math.log(2 * math.pi)
    return masses @ cnp.exp(energy - normalizer) @ other_masses


def _unflatten(_: Any, children: Any) -> gaussian_kde:
    kde = object.__new__(gaussian_kde)
    for name, value in zip(_FIELDS, children, strict=True):
        kde._set(name, value)
    return kde


register_pytree_node(gaussian_kde, lambda kde: ([getattr(kde, name) for name in _FIELDS], None), _unflatten)
