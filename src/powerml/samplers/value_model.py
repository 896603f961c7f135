"""The model of objective values alone, for studies without other quantities.

It is the same process as that of scores, on standardised values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

__all__ = ["plain_improvement"]

Array = NDArray[np.float64]

LENGTH, NOISE = 0.3, 1e-3


def plain_improvement(known: Array, losses: Sequence[float], points: Array) -> Array:
    """Return the expected improvement upon the smallest loss, of shape (points,).

    The unit is the standard deviation of the losses.

    Parameters
    ----------
    known
        Points of the trials, of shape (trials, dimensions), at least one.
    losses
        Values to minimise, of shape (trials,); infinite ones count as the worst of the others.
    points
        Where to predict.
    """
    values = np.asarray(losses, dtype=float)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.ones(len(points))
    values = np.clip(values, finite.min(), finite.max())
    values = (values - values.mean()) / (values.std() or 1.0)
    process = GaussianProcessRegressor(Matern(LENGTH, nu=2.5), alpha=NOISE, optimizer=None)
    mean, deviation = process.fit(known, values).predict(points, return_std=True)
    deviation = np.maximum(deviation, 1e-9)
    distance = (values.min() - mean) / deviation
    improvement: Array = deviation * (distance * norm.cdf(distance) + norm.pdf(distance))
    return improvement
