"""The acquisition of composite objectives, over candidates of any kind of space.

The objective is a known function of costs and score. The costs can be computed before anything is
trained, or are learned from a few trials, because they are smooth; only the score is uncertain. A
candidate's objective is therefore averaged over its possible scores. The method is from Astudillo
and Frazier, *Bayesian optimization of composite functions*, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.study import StudyDirection

from powerml.samplers.acquisition import (
    CandidateCosts,
    ScorePosterior,
    expected_improvement,
    expected_volume,
)
from powerml.samplers.base import CostedObjective, Requirements
from powerml.samplers.score_model import ANY, SHORT, expected_scores
from powerml.samplers.score_scale import UNIT, ScoreRange, ScoreScale
from powerml.samplers.trials import TRAINING, KnownTrials, seeks_front
from powerml.samplers.value_model import plain_improvement

__all__ = ["REFUSED", "CompositeAcquisition", "Pool"]

Array = NDArray[np.float64]


class PredictsScores(Protocol):
    """A model that was fitted to scores."""

    def predict(self, points: Array, expected: Array, /) -> ScorePosterior:
        """Predict the posterior of scores at other points, given their prior means."""


MakeScoreModel = Callable[[Array, Array, Array, Sequence[float]], PredictsScores]

REFUSED = -1e9  # the acquisition of what violates a requirement
# Ratio of a cost to the reference's from which on a topology is worth nothing to a front.
WORST_RATIO = 2.0


@dataclass(frozen=True)
class Pool:
    """Candidates that are compared with each other.

    Parameters
    ----------
    points
        Of shape (candidates, dimensions).
    points_of
        Returns the points of trials, from their parameters.
    costs
        Computes the candidates' costs; None where they have to be learned.
    admitted
        Selects those that the requirements other than costs and score admit.
    score_model
        Makes the model of scores from points, scores, their prior means, and the prior
        probabilities of lengths.
    cost_model
        Learns costs from the points and the costs of trials.
    """

    points: Array
    points_of: Callable[[Sequence[Mapping[str, Any]]], Array]
    costs: Callable[[], CandidateCosts | None]
    admitted: Callable[[], NDArray[np.bool_]]
    score_model: MakeScoreModel
    cost_model: Callable[[Array, Mapping[str, Sequence[float]], Array], CandidateCosts]


@dataclass(frozen=True)
class CompositeAcquisition:
    """The acquisition of a study's candidates, by its trials so far.

    Parameters
    ----------
    objective
        The function to minimise; None in a study of score and costs, whose front is sought.
    requirements
        The requirements on a topology.
    startup_trials
        Trials before anything is learned, at least 1; none are needed where costs are computed.
    score_range
        The ends of the scores as far as they are known.
    """

    objective: CostedObjective | None
    requirements: Requirements
    startup_trials: int
    score_range: ScoreRange = UNIT

    def of(self, study: Study, pool: Pool, known: KnownTrials) -> Array | None:
        """Compute the acquisition of each candidate, or None where nothing is known yet.

        What violates a requirement has at most `REFUSED`, and less the more its costs exceed their
        limits.
        """
        is_front = seeks_front(study)
        if self.objective is None and not is_front:
            return self._in_value(study, pool, known)
        costs = self.cost_ratios(pool, known)
        if costs is None:
            return None
        acquisition = self._in_quantities(pool, costs, known, is_front=is_front)
        excess = self.requirements.excess(costs)
        admitted = (excess <= 0) & pool.admitted()
        return np.where(admitted, acquisition, REFUSED - np.maximum(excess, 0.0))

    def cost_ratios(self, pool: Pool, known: KnownTrials) -> CandidateCosts | None:
        """Return the candidates' costs, computed or learned; None where nothing is known yet."""
        computed = pool.costs()
        if computed is not None:
            return computed
        if len(known.measured) < self.startup_trials:
            return None
        parameters, found = zip(*known.measured, strict=True)
        return pool.cost_model(
            pool.points_of(parameters),
            {phase: [one.costs[phase] for one in found] for phase in found[0].costs},
            pool.points,
        )

    def _in_quantities(
        self, pool: Pool, costs: CandidateCosts, known: KnownTrials, *, is_front: bool
    ) -> Array:
        needed = self.requirements
        scores = [one.score for _, one in known.measured if one.score is not None]
        scale = ScoreScale.of(self.score_range, scores, needed.min_score)
        if scale is None:  # no score is known, nor where scores lie
            return np.zeros(len(pool.points))
        least = 0.0 if needed.min_score is None else scale.unit(needed.min_score)
        posterior = _posterior(pool, costs, known, scale, ANY if least > 0 else SHORT)
        if is_front:
            return self._in_front(costs, posterior, known, scale, least)
        return self._in_objective(costs, posterior, known, scale, least)

    def _in_objective(
        self,
        costs: CandidateCosts,
        posterior: ScorePosterior,
        known: KnownTrials,
        scale: ScoreScale,
        least: float,
    ) -> Array:
        objective = self.objective
        if objective is None:
            raise TypeError(objective)

        def value(paid: Mapping[str, Array], unit: Array) -> Array:
            return objective.value(paid, scale.true(unit))

        fit = [
            float(objective.value(one.costs, one.score))
            for _, one in known.measured
            if one.score is not None and self.requirements.met_by(one)
        ]
        if fit:
            best = min(fit)
        else:  # whatever fulfils the requirements is better than the worst that may
            lowest = np.full(len(posterior.mean), least)
            best = float(value(costs.ratios, lowest).max())
        acquisition = expected_improvement(value, costs, posterior, best, least)
        if acquisition.max() > 0:
            return acquisition
        expected = np.clip(posterior.mean, 0.0, 1.0)
        return -1.0 - np.asarray(value(costs.ratios, expected))

    def _in_front(
        self,
        costs: CandidateCosts,
        posterior: ScorePosterior,
        known: KnownTrials,
        scale: ScoreScale,
        least: float,
    ) -> Array:
        found = [
            (one.costs, scale.unit(one.score)) for _, one in known.measured if one.score is not None
        ]
        limits = self.requirements.max_costs
        worst = {phase: min(WORST_RATIO, limits.get(phase, inf)) for phase in costs.ratios}
        within = [costs.ratios[phase] < limit for phase, limit in worst.items()]
        if not np.all(within, axis=0).any():
            worst = {phase: float(ratio.max()) for phase, ratio in costs.ratios.items()}
        return expected_volume(costs, posterior, found, worst, least)

    def _in_value(self, study: Study, pool: Pool, known: KnownTrials) -> Array | None:
        if len(study.directions) != 1 or len(known.valued) < self.startup_trials:
            return None
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        parameters, values = zip(*known.valued, strict=True)
        losses = [sign * value for value in values]
        return plain_improvement(pool.points_of(parameters), losses, pool.points)


def _posterior(
    pool: Pool,
    costs: CandidateCosts,
    known: KnownTrials,
    scale: ScoreScale,
    lengths: Sequence[float],
) -> ScorePosterior:
    """Compute the posterior of scores. Trials under way are assumed to score as expected."""
    highest_cost = float(costs.ratios[TRAINING].max())
    expected = expected_scores(costs.ratios[TRAINING], highest_cost)
    scored = [(row, one.costs[TRAINING], one.score) for row, one in known.measured]
    rows = [row for row, _, score in scored if score is not None]
    scores = scale.unit(np.array([score for *_, score in scored if score is not None]))
    paid = np.array([cost for _, cost, score in scored if score is not None])
    points = pool.points_of(rows)
    expectations = expected_scores(paid, highest_cost)
    model = pool.score_model(points, scores, expectations, lengths)
    if known.running:
        running = pool.points_of(known.running)
        unknown = np.full(len(running), float(expected.mean()))
        imputed = model.predict(running, unknown).mean.clip(0.0, 1.0)
        model = pool.score_model(
            np.vstack([points, running]),
            np.concatenate([scores, imputed]),
            np.concatenate([expectations, unknown]),
            lengths,
        )
    return model.predict(pool.points, expected)
