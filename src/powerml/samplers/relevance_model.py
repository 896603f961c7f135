"""A Gaussian process that learns which parameters matter, for spaces with many of them.

Each parameter has a length of its own (automatic relevance determination). The lengths, the
deviation and the noise are the most probable ones, under priors that a few trials can overrule. The
prior of the lengths grows with the number of parameters, as distances do. It is that of Hvarfner,
Hellsten and Nardi, *Vanilla Bayesian optimization performs great in high dimensions*, ICML 2024.
The mean is not certain either: a few bad scores lower the expectation everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from powerml.samplers.acquisition import CandidateCosts, ScorePosterior
from powerml.samplers.score_model import LOSS_PER_E_FOLD

__all__ = ["Prior", "RelevanceModel", "RelevantScores", "relevant_costs"]

Array = NDArray[np.float64]

# The prior's mode of a length's logarithm for one parameter, and the logarithm's deviation.
LENGTH, SPREAD = 2**0.5 - 3, 3**0.5
BOUNDS = (-3.0, 5.0)
ITERATIONS = 50


class Prior(NamedTuple):
    """Prior medians: of the deviation, of the noise, and the deviation of the mean."""

    deviation: float
    noise: float
    offset: float


SCORES = Prior(deviation=0.25, noise=0.06, offset=0.6)
# How much more a score is expected to lose by a cheaper training than in a space known beforehand.
# On three spaces of formulas, objectives after 10 trials were lower by 0.05 in the mean.
STEEPER = 3.0
# Of logarithms of costs.
COSTS = Prior(deviation=1.0, noise=0.02, offset=1.0)


class RelevanceModel:
    """A Gaussian process (Matern 3/2) over points whose dimensions belong to parameters.

    Parameters
    ----------
    points
        Of shape (trials, dimensions).
    values
        Of shape (trials,), less their prior means.
    groups
        The number of the parameter of each dimension, from 0 on.
    prior
        The scale of the values.
    """

    def __init__(
        self, points: Array, values: Array, groups: NDArray[np.int64], prior: Prior
    ) -> None:
        self._points, self._groups, self._prior = points, groups, prior
        count = int(groups.max()) + 1
        self._centre = np.array(
            [LENGTH + np.log(count) / 2] * count + [np.log(prior.deviation), np.log(prior.noise)]
        )
        self._widths = np.array([SPREAD] * count + [0.5, 0.7])
        self._logs = self._centre
        if len(values):
            squares = self._squares(points, points)
            found = minimize(
                self._loss,
                self._centre,
                args=(squares, values),
                jac=True,
                method="L-BFGS-B",
                bounds=[BOUNDS] * count + [(-4.0, 2.0), (-7.0, 0.0)],
                options={"maxiter": ITERATIONS},
            )
            self._logs = found.x
            covariance, _ = self._covariance(squares, self._logs)
            noise = np.exp(2 * self._logs[-1])
            self._factor = cho_factor(covariance + noise * np.eye(len(values)), lower=True)
            self._weights = cho_solve(self._factor, values)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Return the posterior mean and deviation at other points, without noise."""
        variance = np.full(len(points), np.exp(2 * self._logs[-2]) + self._prior.offset**2)
        if not len(self._points):
            return np.zeros(len(points)), np.sqrt(variance)
        between, _ = self._covariance(self._squares(points, self._points), self._logs)
        explained = np.einsum("ij,ji->i", between, cho_solve(self._factor, between.T))
        return between @ self._weights, np.sqrt(np.maximum(variance - explained, 1e-12))

    def _squares(self, ones: Array, others: Array) -> Array:
        """Return squared distances by parameter, of shape (parameters, ones, others)."""
        squares = (ones[:, None] - others[None]) ** 2
        count = int(self._groups.max()) + 1
        return np.stack([squares[..., self._groups == one].sum(axis=-1) for one in range(count)])

    def _covariance(self, squares: Array, logs: Array) -> tuple[Array, Array]:
        """Return the covariance, and its correlation's derivative by the squared distance."""
        distance = np.tensordot(np.exp(-2 * logs[:-2]), squares, axes=1)
        scaled = np.sqrt(3 * distance)
        decay = np.exp(-scaled)
        covariance = np.exp(2 * logs[-2]) * (1 + scaled) * decay + self._prior.offset**2
        return covariance, -1.5 * decay

    def _loss(self, logs: Array, squares: Array, values: Array) -> tuple[float, Array]:
        """Return the negative logarithm of the posterior of hyperparameters, and its gradient."""
        covariance, slope = self._covariance(squares, logs)
        variance, noise = np.exp(2 * logs[-2]), np.exp(2 * logs[-1])
        factor = cho_factor(covariance + noise * np.eye(len(values)), lower=True)
        inverse = cho_solve(factor, np.eye(len(values)))
        weights = inverse @ values
        away = (logs - self._centre) / self._widths
        loss = 0.5 * values @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * float(away @ away)
        outer = inverse - np.outer(weights, weights)
        by_length = -2 * np.exp(-2 * logs[:-2]) * variance
        gradient = np.concatenate(
            [
                0.5 * by_length * np.tensordot(squares, outer * slope, axes=2),
                [np.sum(outer * (covariance - self._prior.offset**2))],
                [noise * np.trace(outer)],
            ]
        )
        return float(loss), gradient + away / self._widths


class RelevantScores:
    """The model of scores of such a space.

    Prior means differ by the logarithm of the training cost. They are a dimension too, because what
    is too small to learn is cheap, whatever its parameters are.
    """

    def __init__(
        self, groups: NDArray[np.int64], points: Array, scores: Array, expected: Array
    ) -> None:
        steeper = _steeper(expected)
        self._process = RelevanceModel(
            _with_expected(points, steeper),
            scores - steeper,
            np.append(groups, groups.max() + 1),
            SCORES,
        )

    def predict(self, points: Array, expected: Array) -> ScorePosterior:
        """Predict the posterior of scores at other points, given their prior means."""
        steeper = _steeper(expected)
        mean, deviation = self._process.predict(_with_expected(points, steeper))
        return ScorePosterior(mean + steeper, np.maximum(deviation, 1e-6))


def _steeper(expected: Array) -> Array:
    return 1.0 - STEEPER * (1.0 - expected)


def _with_expected(points: Array, expected: Array) -> Array:
    """Append a dimension in which costs that differ by a factor of ten have a distance of 1."""
    return np.column_stack([points, expected / (STEEPER * LOSS_PER_E_FOLD * np.log(10))])


def relevant_costs(
    groups: NDArray[np.int64],
    known: Array,
    costs: Mapping[str, Sequence[float]],
    points: Array,
) -> CandidateCosts:
    """Learn costs from trials, at least one, without knowing what they consist of."""
    ratios, errors = {}, {}
    for phase, column in costs.items():
        values = np.log(column)
        centre = float(values.mean())
        mean, errors[phase] = RelevanceModel(known, values - centre, groups, COSTS).predict(points)
        ratios[phase] = np.exp(mean + centre)
    return CandidateCosts(ratios, errors)
