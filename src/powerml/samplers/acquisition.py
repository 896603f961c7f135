"""Acquisition: the expected improvement by a trial whose score alone is uncertain.

The costs of a candidate are known, or nearly so, and no score is above 1. A candidate that cannot
win even with a perfect score has acquisition 0. Pure functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["CandidateCosts", "ScorePosterior", "expected_improvement", "expected_volume"]

Array = NDArray[np.float64]
Value = Callable[[Mapping[str, Array], Array], Array]

QUANTILES = norm.ppf((np.arange(32) + 0.5) / 32)
# An error beyond it says that nothing is known. Thirteen times the reference's cost once passed for
# a bargain: the cost model had seen two topologies, and minutes went into batches of two.
MOST_ERROR = 0.5
# Gauss-Hermite quadrature of a normal distribution with three nodes.
COST_NODES = ((0.0, 2 / 3), (-(3**0.5), 1 / 6), (3**0.5, 1 / 6))


@dataclass(frozen=True)
class CandidateCosts:
    """Costs of candidates relative to a reference's, by phase.

    Parameters
    ----------
    ratios
        Of shape (candidates,) for each phase.
    errors
        Relative standard errors of the ratios, of the same shapes; 0 where a cost is known.
    """

    ratios: Mapping[str, Array]
    errors: Mapping[str, Array]

    @property
    def count(self) -> int:
        """The number of candidates."""
        return len(next(iter(self.ratios.values())))

    def at(self, deviations: float) -> dict[str, Array]:
        """Return all costs at this number of standard errors from their expectation.

        Errors are capped at `MOST_ERROR`.
        """
        return {
            phase: ratio * np.exp(deviations * np.minimum(self.errors[phase], MOST_ERROR))
            for phase, ratio in self.ratios.items()
        }

    def only(self, chosen: NDArray[np.bool_]) -> CandidateCosts:
        """Return those of some of the candidates."""
        return CandidateCosts(_only(self.ratios, chosen), _only(self.errors, chosen))


def _only(columns: Mapping[str, Array], chosen: NDArray[np.bool_]) -> dict[str, Array]:
    return {phase: column[chosen] for phase, column in columns.items()}


class ScorePosterior(NamedTuple):
    """Posterior of the candidates' scores: a normal distribution, cut at 0 and 1."""

    mean: Array
    deviation: Array

    def only(self, chosen: NDArray[np.bool_]) -> ScorePosterior:
        """Return the posterior of some of the candidates."""
        return ScorePosterior(self.mean[chosen], self.deviation[chosen])

    def quantiles(self) -> Array:
        """Equally likely scores, of shape (candidates, quantiles)."""
        scores: Array = self.mean[:, None] + self.deviation[:, None] * QUANTILES
        return scores.clip(0.0, 1.0)

    def beyond(self, score: float) -> Array:
        """Return the expected excess of scores over a given one, 0 for lower scores."""
        distance = (score - self.mean) / self.deviation
        part: Array = norm.pdf(distance) - distance * norm.sf(distance)
        return self.deviation * part


def expected_improvement(
    value: Value,
    costs: CandidateCosts,
    posterior: ScorePosterior,
    best: float,
    min_score: float = 0.0,
) -> Array:
    """Compute the expected improvement of the objective below `best`, of shape (candidates,).

    Parameters
    ----------
    value
        The objective of costs by phase and scores, elementwise.
    costs, posterior
        What is known of the candidates.
    best
        The smallest objective so far.
    min_score
        Scores below it are no improvement.
    """
    found = np.zeros(len(posterior.mean))
    possible = value(costs.at(COST_NODES[1][0]), np.ones(len(found))) < best
    if not possible.any():
        return found
    costs, scores = costs.only(possible), posterior.only(possible).quantiles()
    for deviations, weight in COST_NODES:
        columns = {phase: cost[:, None] for phase, cost in costs.at(deviations).items()}
        improvement = best - value(columns, scores)
        improvement = np.where(scores < min_score, 0.0, np.maximum(improvement, 0.0))
        found[possible] += weight * improvement.mean(axis=1)
    return found


def expected_volume(
    costs: CandidateCosts,
    posterior: ScorePosterior,
    front: Sequence[tuple[Mapping[str, float], float]],
    worst: Mapping[str, float],
    min_score: float = 0.0,
) -> Array:
    """Compute the expected growth of the volume that a front dominates.

    With known costs, a candidate adds a volume of costs at each score that it exceeds. The
    expectation is therefore a sum over the scores of the front, in closed form.

    Parameters
    ----------
    costs, posterior
        What is known of the candidates.
    front
        Costs by phase, and the score, of the non-dominated trials.
    worst
        Cost of each phase above which a topology adds no volume.
    min_score
        Scores below it add no volume.
    """
    corners = [np.minimum(costs.ratios[phase], limit) for phase, limit in worst.items()]
    limits = list(worst.values())
    levels = sorted({min_score, 1.0, *(score for _, score in front if min_score < score < 1)})
    found = np.zeros(len(posterior.mean))
    for low, high in pairwise(levels):
        above = [tuple(paid[phase] for phase in worst) for paid, score in front if score >= high]
        volume = np.prod([limit - one for limit, one in zip(limits, corners, strict=True)], axis=0)
        volume -= _dominated_volume(corners, above, limits)
        found += np.maximum(volume, 0.0) * (posterior.beyond(low) - posterior.beyond(high))
    return found


def _dominated_volume(
    corners: Sequence[Array], points: Sequence[tuple[float, ...]], worst: Sequence[float]
) -> Array:
    """Return the volume beyond each corner that the points dominate, up to the worst.

    In the order of the first coordinate, each point adds the volume that it dominates in the other
    coordinates and no earlier point does.

    Parameters
    ----------
    corners
        Coordinates of the corners, each of shape (corners,).
    points
        Coordinates of each point.
    worst
        The largest value of each coordinate.
    """
    beyond, *others = corners
    if not others:
        lowest = min((point[0] for point in points), default=worst[0])
        return np.maximum(worst[0] - np.maximum(beyond, lowest), 0.0)
    volume, before = np.zeros(len(beyond)), np.zeros(len(beyond))
    ordered = sorted(points)
    for count, (first, *_) in enumerate(ordered, 1):
        dominated = _dominated_volume(others, [point[1:] for point in ordered[:count]], worst[1:])
        depth = worst[0] - np.maximum(beyond, min(first, worst[0]))
        volume += depth * (dominated - before)
        before = dominated
    return volume
