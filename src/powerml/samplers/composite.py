"""The composite sampler: it models each phase's cost and the score separately.

It searches a space whose parameters are known beforehand. `by_running` searches define-by-run
spaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial

from powerml.samplers.base import CostedObjective, Requirements
from powerml.samplers.candidates import Candidates, SearchSpace, draw, enumerate_all, of_parameters
from powerml.samplers.composite_acquisition import REFUSED, CompositeAcquisition, Pool
from powerml.samplers.learned_costs import CostsOf, learned_costs
from powerml.samplers.score_model import ScoreModel
from powerml.samplers.score_scale import UNIT, ScoreRange
from powerml.samplers.trials import KnownTrials, Quantities, known_trials, proposal_number

__all__ = ["CompositeSampler"]

DRAWN = 8192
STARTUP_TRIALS = 3
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
    score_range
        The lowest and the highest possible score, None for an end that is not known. Of a mean
        error's negative, for instance, only the highest is: ``(None, 0.0)``.
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
        score_range: ScoreRange = UNIT,
    ) -> None:
        self._acquisition = CompositeAcquisition(
            objective, requirements or Requirements(), max(1, startup_trials), score_range
        )
        self._space = None if space is None else dict(space)
        self._costs = costs
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
        generator = np.random.default_rng([self._seed, proposal_number(study, trial)])
        known = known_trials(study, trial, search_space, self._measured_before)
        candidates = self._candidates(search_space, known, generator)
        acquisition = self._acquisition.of(study, self._pool(candidates), known)
        if acquisition is None:
            acquisition = np.zeros(len(candidates))
        acquisition = np.maximum(acquisition, REFUSED)
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
        objective = self._acquisition.objective
        if objective is not None and known.measured:
            value = objective.value
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

    def _pool(self, candidates: Candidates) -> Pool:
        """Return the candidates with what is known of them."""
        costs, admits = self._costs, self._acquisition.requirements.admits
        return Pool(
            points=candidates.points,
            points_of=lambda rows: of_parameters(candidates.space, rows).points,
            costs=lambda: None if costs is None else costs(candidates.columns),
            admitted=lambda: (
                np.ones(len(candidates), dtype=bool)
                if admits is None
                else admits(candidates.columns)
            ),
            score_model=ScoreModel,
            cost_model=learned_costs,
        )
