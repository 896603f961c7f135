"""The model of scores, the only one of the three quantities that is uncertain beforehand.

Scores of small networks are discontinuous: a badly initialised one answers with the majority class,
whatever its neighbours do. The process is therefore rough, with a length of a sixth of a
parameter's range. Far from all trials it expects good scores. A longer length is used only if the
scores' marginal likelihood clearly favours it. With a least score no length is preferred: the first
scores are below it, and they must inform the search about distant networks. Nothing else is fitted,
because ten scores are too few. `benchmarks/regret.py` and `objectives.py` measure the effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from powerml.samplers.acquisition import ScorePosterior

__all__ = ["ANY", "SHORT", "ScoreModel", "expected_scores"]

Array = NDArray[np.float64]

DEVIATION = 0.25
# Lengths in a parameter's range, and how likely each is before there are scores.
LENGTHS = (0.15, 0.3, 0.6, 1.2)
SHORT = (0.99, 1 / 300, 1 / 300, 1 / 300)
ANY = (0.25, 0.25, 0.25, 0.25)
NOISE = 0.02  # between two trainings of one topology
# What costs e times as much to train is expected to score so much better. It decides only where
# nothing else does: for instance where costs have no weight.
LOSS_PER_E_FOLD = 0.03


def expected_scores(training_cost: Array, highest_cost: float) -> Array:
    """Return prior mean scores: 1 for the topology that is most expensive to train."""
    expected: Array = 1.0 - LOSS_PER_E_FOLD * np.log(highest_cost / training_cost)
    return expected.clip(0.0, 1.0)


class ScoreModel:
    """A Gaussian process over points between 0 and 1 (Matern 3/2), fitted to scores.

    Parameters
    ----------
    points
        Of shape (trials, dimensions).
    scores, expected
        Of shape (trials,): the scores, and their prior means.
    lengths
        Prior probability of each of `LENGTHS`.
    """

    def __init__(
        self, points: Array, scores: Array, expected: Array, lengths: Sequence[float] = SHORT
    ) -> None:
        processes = [_process(length) for length in LENGTHS]
        self._process = processes[0]
        if len(scores):
            likelihoods = [
                one.fit(points, scores - expected).log_marginal_likelihood_value_ + np.log(prior)
                for one, prior in zip(processes, lengths, strict=True)
            ]
            self._process = processes[int(np.argmax(likelihoods))]

    def predict(self, points: Array, expected: Array) -> ScorePosterior:
        """Predict the posterior of scores at other points, given their prior means."""
        mean, deviation = self._process.predict(points, return_std=True)
        return ScorePosterior(mean + expected, np.maximum(deviation, 1e-6))


def _process(length: float) -> GaussianProcessRegressor:
    kernel = ConstantKernel(DEVIATION**2) * Matern(length, nu=1.5)
    return GaussianProcessRegressor(kernel, alpha=NOISE**2, optimizer=None)
