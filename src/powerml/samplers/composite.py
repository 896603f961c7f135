"""The composite sampler: it models each phase's cost and the score separately.

The objective is a known function of costs and score. The costs can be computed before anything is
trained, or are learned from a few trials, because they are smooth; only the score is uncertain. The
sampler therefore averages a candidate's objective over its possible scores. The method is from
Astudillo and Frazier, *Bayesian optimization of composite functions*, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from powerml.samplers.acquisition import (
    CandidateCosts,
    ScorePosterior,
    expected_improvement,
    expected_volume,
)
from powerml.samplers.base import CostedObjective, Requirements
from powerml.samplers.candidates import Candidates, SearchSpace, draw, enumerate_all, of_parameters
from powerml.samplers.learned_costs import CostsOf, learned_costs
from powerml.samplers.score_model import ANY, SHORT, ScoreModel, expected_scores
from powerml.samplers.trials import (
    TRAINING,
    KnownTrials,
    Quantities,
    known_trials,
    seeks_front,
)
from powerml.samplers.value_model import plain_improvement

__all__ = ["CompositeSampler"]

Array = NDArray[np.float64]
DRAWN = 8192
STARTUP_TRIALS = 3
# Ratio of a cost to the reference's from which on a topology is worth nothing to a front.
WORST_RATIO = 2.0
NEAR = 3


class CompositeSampler(BaseSampler):
    """An Optuna sampler for objectives of the costs of phases and the score.

    It reads the quantities of a trial from its user attribute `QUANTITIES`. Set it to the result of
    `quantities` before the trial ends. A study may instead have three values: the score to
    maximise, and the training cost and the inference cost to minimise, in this order. Trials with
    neither are modelled as an unknown function. A study with several values of another kind is
    sampled at random.

    Parameters
    ----------
    objective
        The function to minimise; None in a study of score and costs, whose front is sought.
    space
        The parameters, which the first trial needs to be chosen; None to learn them from it.
    costs
        Computes the costs of candidates; None to learn them from the trials.
    requirements
        The requirements on a topology.
    measured_before
        Parameters and quantities that are known without a trial, such as the reference's. None of
        them is proposed.
    startup_trials
        Random trials before anything is learned; none if `costs` predicts from the start.
    seed
        Without parallel trials, proposals depend only on the seed and on earlier trials.
    """

    def __init__(
        self,
        objective: CostedObjective | None = None,
        *,
        space: SearchSpace | None = None,
        costs: CostsOf | None = None,
        requirements: Requirements | None = None,
        measured_before: Sequence[tuple[Mapping[str, Any], Quantities]] = (),
        startup_trials: int = STARTUP_TRIALS,
        seed: int = 0,
    ) -> None:
        self._startup_trials = max(1, startup_trials)
        self._objective = objective
        self._space = None if space is None else dict(space)
        self._costs = costs
        self._requirements = requirements or Requirements()
        self._measured_before = [(dict(row), found) for row, found in measured_before]
        self._seed = seed
        self._intersection = IntersectionSearchSpace()
        self._independent = RandomSampler(seed=seed)
        self._enumerated: tuple[SearchSpace, Candidates | None] | None = None

    def reseed_rng(self) -> None:
        """Draw from another sequence, as Optuna asks of samplers in several processes."""
        self._seed = int(np.random.default_rng().integers(2**32))
        self._independent.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, _trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the given space, or the parameters common to all trials so far."""
        if self._space is not None:
            return dict(self._space)
        return self._intersection.calculate(study)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter outside the common space at random."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose the candidate of the largest acquisition, never one twice while others remain."""
        if not search_space:
            return {}
        generator = np.random.default_rng([self._seed, trial.number])
        known = known_trials(study, trial, search_space, self._measured_before)
        candidates = self._candidates(search_space, known, generator)
        acquisition = self._acquisition(study, candidates, known)
        if acquisition is None:
            acquisition = np.zeros(len(candidates))
        proposed = {tuple(row.values()) for row in known.proposed}
        fresh = np.array([key not in proposed for key in candidates.identities()])
        if fresh.any():
            acquisition = np.where(fresh, acquisition, -np.inf)
        best = np.flatnonzero(acquisition >= acquisition.max())
        return candidates.parameters(int(generator.choice(best)))

    def _candidates(
        self, space: SearchSpace, known: KnownTrials, generator: np.random.Generator
    ) -> Candidates:
        if self._enumerated is None or self._enumerated[0] != space:
            self._enumerated = (dict(space), enumerate_all(space))
        enumerated = self._enumerated[1]
        if enumerated is not None:
            return enumerated
        return draw(space, DRAWN, generator, self._most_promising(known))

    def _most_promising(self, known: KnownTrials) -> list[dict[str, Any]]:
        """Return the parameters of the best trials so far, to draw candidates near them."""
        if self._objective is not None and known.measured:
            value = self._objective.value
            ranked = [
                (float(value(one.costs, one.score)), parameters)
                for parameters, one in known.measured
                if one.score is not None
            ]
        else:
            ranked = [(loss, parameters) for parameters, loss in known.valued]
        ranked.sort(key=lambda pair: pair[0])
        near = [parameters for _, parameters in ranked[:NEAR]]
        return near or [parameters for parameters, _ in known.measured]

    def _acquisition(
        self, study: Study, candidates: Candidates, known: KnownTrials
    ) -> Array | None:
        """Compute the acquisition of each candidate, or None where nothing is known yet."""
        is_front = seeks_front(study)
        if self._objective is None and not is_front:
            return self._acquisition_in_value(study, candidates, known)
        costs = self._cost_ratios(candidates, known)
        if costs is None:
            return None
        lengths = ANY if self._requirements.min_score > 0 else SHORT
        posterior = _posterior(candidates, costs, known, lengths)
        if is_front:
            acquisition = self._acquisition_of_front(costs, posterior, known)
        else:
            acquisition = self._acquisition_in_objective(costs, posterior, known)
        return np.where(self._requirements.admit(candidates, costs), acquisition, -1e9)

    def _cost_ratios(self, candidates: Candidates, known: KnownTrials) -> CandidateCosts | None:
        computed = None if self._costs is None else self._costs(candidates.columns)
        if computed is not None:
            return computed
        if len(known.measured) < self._startup_trials:
            return None
        parameters, found = zip(*known.measured, strict=True)
        return learned_costs(
            of_parameters(candidates.space, parameters).points,
            {phase: [one.costs[phase] for one in found] for phase in found[0].costs},
            candidates.points,
        )

    def _acquisition_in_objective(
        self, costs: CandidateCosts, posterior: ScorePosterior, known: KnownTrials
    ) -> Array:
        if self._objective is None:
            raise TypeError(self._objective)
        value, needed = self._objective.value, self._requirements
        fit = [
            float(value(one.costs, one.score))
            for _, one in known.measured
            if one.score is not None
            and one.score >= needed.min_score
            and all(cost <= needed.max_costs.get(phase, inf) for phase, cost in one.costs.items())
        ]
        if fit:
            best = min(fit)
        else:  # whatever fulfils the requirements is better than the worst that may
            lowest = np.full(len(posterior.mean), needed.min_score)
            best = float(value(costs.ratios, lowest).max())
        acquisition = expected_improvement(value, costs, posterior, best, needed.min_score)
        if acquisition.max() > 0:
            return acquisition
        expected = np.clip(posterior.mean, 0.0, 1.0)
        return -1.0 - np.asarray(value(costs.ratios, expected))

    def _acquisition_of_front(
        self, costs: CandidateCosts, posterior: ScorePosterior, known: KnownTrials
    ) -> Array:
        found = [(one.costs, one.score) for _, one in known.measured if one.score is not None]
        limits = self._requirements.max_costs
        worst = {phase: min(WORST_RATIO, limits.get(phase, inf)) for phase in costs.ratios}
        within = [costs.ratios[phase] < limit for phase, limit in worst.items()]
        if not np.all(within, axis=0).any():
            worst = {phase: float(ratio.max()) for phase, ratio in costs.ratios.items()}
        return expected_volume(costs, posterior, found, worst, self._requirements.min_score)

    def _acquisition_in_value(
        self, study: Study, candidates: Candidates, known: KnownTrials
    ) -> Array | None:
        if len(study.directions) != 1 or len(known.valued) < self._startup_trials:
            return None
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        parameters, values = zip(*known.valued, strict=True)
        points = of_parameters(candidates.space, parameters).points
        return plain_improvement(points, [sign * value for value in values], candidates.points)


def _posterior(
    candidates: Candidates, costs: CandidateCosts, known: KnownTrials, lengths: Sequence[float]
) -> ScorePosterior:
    """Compute the posterior of scores. Trials under way are assumed to score as expected."""
    highest_cost = float(costs.ratios[TRAINING].max())
    expected = expected_scores(costs.ratios[TRAINING], highest_cost)
    scored = [(row, one.costs[TRAINING], one.score) for row, one in known.measured]
    rows = [row for row, _, score in scored if score is not None]
    scores = np.array([score for *_, score in scored if score is not None])
    paid = np.array([cost for _, cost, score in scored if score is not None])
    points = of_parameters(candidates.space, rows).points
    expectations = expected_scores(paid, highest_cost)
    model = ScoreModel(points, scores, expectations, lengths)
    if known.running:
        running = of_parameters(candidates.space, known.running).points
        unknown = np.full(len(running), float(expected.mean()))
        imputed = model.predict(running, unknown).mean.clip(0.0, 1.0)
        model = ScoreModel(
            np.vstack([points, running]),
            np.concatenate([scores, imputed]),
            np.concatenate([expectations, unknown]),
            lengths,
        )
    return model.predict(candidates.points, expected)
