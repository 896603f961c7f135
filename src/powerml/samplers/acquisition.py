"""Acquisition: what a trial can be expected to win, where only its score is uncertain.

The costs of a candidate are known, or nearly so, and no score is above 1: what cannot win even
with a perfect score is worth nothing. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["CostRatios", "ScoreBelief", "expected_improvement", "expected_volume"]

Array = NDArray[np.float64]
Value = Callable[[Array, Array, Array], Array]

QUANTILES = norm.ppf((np.arange(32) + 0.5) / 32)
# An error beyond it says that nothing is known. Thirteen times the reference's cost once passed for
# a bargain: the cost model had seen two topologies, and minutes went into batches of two.
MOST_ERROR = 0.5
# Gauss-Hermite quadrature of a normal distribution with three nodes.
COST_NODES = ((0.0, 2 / 3), (-(3**0.5), 1 / 6), (3**0.5, 1 / 6))


class CostRatios(NamedTuple):
    """Costs of candidates relative to a reference's, each of shape (candidates,).

    The errors are relative standard errors, 0 where a cost is known.
    """

    training: Array
    inference: Array
    training_error: Array
    inference_error: Array

    def at(self, deviations: float) -> tuple[Array, Array]:
        """Return both costs so many standard errors from what is expected.

        Errors count up to `MOST_ERROR`.
        """
        training, inference = (
            cost * np.exp(deviations * np.minimum(error, MOST_ERROR))
            for cost, error in (
                (self.training, self.training_error),
                (self.inference, self.inference_error),
            )
        )
        return training, inference

    def only(self, chosen: NDArray[np.bool_]) -> CostRatios:
        """Those of some of the candidates."""
        return CostRatios(*(column[chosen] for column in self))


class ScoreBelief(NamedTuple):
    """What is believed of the scores of candidates: a normal distribution, cut at 0 and 1."""

    mean: Array
    deviation: Array

    def only(self, chosen: NDArray[np.bool_]) -> ScoreBelief:
        """That of some of the candidates."""
        return ScoreBelief(self.mean[chosen], self.deviation[chosen])

    def quantiles(self) -> Array:
        """Scores that are equally likely, of shape (candidates, quantiles)."""
        scores: Array = self.mean[:, None] + self.deviation[:, None] * QUANTILES
        return scores.clip(0.0, 1.0)

    def beyond(self, score: float) -> Array:
        """The mean of how far scores lie beyond one, 0 for those that do not."""
        distance = (score - self.mean) / self.deviation
        part: Array = norm.pdf(distance) - distance * norm.sf(distance)
        return self.deviation * part


def expected_improvement(
    value: Value, costs: CostRatios, belief: ScoreBelief, best: float, min_score: float = 0.0
) -> Array:
    """By how much the objective can be expected to fall below `best`, of shape (candidates,).

    Parameters
    ----------
    value
        The objective of training costs, inference costs and scores, elementwise.
    costs, belief
        What is known of the candidates.
    best
        The smallest objective so far.
    min_score
        Scores below it win nothing.
    """
    found = np.zeros(len(costs.training))
    possible = value(*costs.at(COST_NODES[1][0]), np.ones(len(found))) < best
    if not possible.any():
        return found
    costs, scores = costs.only(possible), belief.only(possible).quantiles()
    for deviations, weight in COST_NODES:
        training, inference = costs.at(deviations)
        improvement = best - value(training[:, None], inference[:, None], scores)
        improvement = np.where(scores < min_score, 0.0, np.maximum(improvement, 0.0))
        found[possible] += weight * improvement.mean(axis=1)
    return found


def expected_volume(
    costs: CostRatios,
    belief: ScoreBelief,
    front: Sequence[tuple[float, float, float]],
    worst: tuple[float, float],
    min_score: float = 0.0,
) -> Array:
    """By how much the volume that a front dominates can be expected to grow.

    With its costs known, a candidate adds an area of costs at each score that it exceeds; so the
    expectation is a sum over the scores of the front, in closed form.

    Parameters
    ----------
    costs, belief
        What is known of the candidates.
    front
        Training cost, inference cost and score of what is not dominated.
    worst
        Training and inference cost from which on a topology is worth nothing.
    min_score
        Scores below it are worth nothing.
    """
    training, inference = (
        np.minimum(costs.training, worst[0]),
        np.minimum(costs.inference, worst[1]),
    )
    levels = sorted({min_score, 1.0, *(score for *_, score in front if min_score < score < 1)})
    found = np.zeros(len(training))
    for low, high in pairwise(levels):
        above = [(t, i) for t, i, score in front if score >= high]
        area = (worst[0] - training) * (worst[1] - inference)
        area -= _dominated_area(training, inference, above, worst)
        found += np.maximum(area, 0.0) * (belief.beyond(low) - belief.beyond(high))
    return found


def _dominated_area(
    training: Array,
    inference: Array,
    points: Sequence[tuple[float, float]],
    worst: tuple[float, float],
) -> Array:
    """Area beyond each candidate's costs that the points dominate already: a staircase."""
    area = np.zeros(len(training))
    lowest = np.full(len(training), worst[1])  # inference cost of the stairs so far
    for point_training, point_inference in sorted(points):
        left = np.maximum(training, min(point_training, worst[0]))
        height = np.maximum(lowest - np.maximum(inference, point_inference), 0.0)
        area += (worst[0] - left) * height
        lowest = np.minimum(lowest, np.maximum(inference, point_inference))
    return area
