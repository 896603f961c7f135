"""Costs of candidates: as the caller computes them, or as Gaussian processes learn them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from powerml.samplers.acquisition import CandidateCosts

__all__ = ["CostsOf", "learned_costs"]

Array = NDArray[np.float64]

# From the values of each parameter, by name, what each candidate costs; None while that is unknown.
CostsOf = Callable[[Mapping[str, NDArray[Any]]], CandidateCosts | None]

# Costs of one space differ by less than e^2 in most cases, and are smooth: bounds of the fit.
LOGARITHMIC_SPREAD = (1e-3, 10.0)
LENGTHS = (0.1, 10.0)
NOISE = (1e-8, 1e-2)


def learned_costs(
    known: Array, costs: Mapping[str, Sequence[float]], points: Array
) -> CandidateCosts:
    """Costs learned from trials, without knowing what they consist of.

    Parameters
    ----------
    known
        Points of the trials, of shape (trials, dimensions), at least one.
    costs
        Their cost ratios by phase, above 0.
    points
        Where to predict.
    """
    ratios, errors = {}, {}
    for phase, column in costs.items():
        mean, errors[phase] = _predict(known, np.log(column), points)
        ratios[phase] = np.exp(mean)
    return CandidateCosts(ratios, errors)


def _predict(known: Array, values: Array, points: Array) -> tuple[Array, Array]:
    kernel = ConstantKernel(1.0, LOGARITHMIC_SPREAD) * Matern(1.0, LENGTHS, nu=2.5)
    process = GaussianProcessRegressor(kernel + WhiteKernel(1e-4, NOISE))
    centre = float(values.mean())
    with warnings.catch_warnings():
        # A hyperparameter at its bound is no reason to complain to the user.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(known, values - centre)
    mean, deviation = process.predict(points, return_std=True)
    return mean + centre, deviation
