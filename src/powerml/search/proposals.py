"""Proposals: the next topologies of a study, by its sampler and its knowledge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.samplers import BaseSampler

from powerml.costs.counts import PHASES
from powerml.costs.measurement import Measurement
from powerml.memory.bounds import least_file_bytes, least_needed_bytes
from powerml.samplers import (
    Admits,
    CandidateCosts,
    Quantities,
    Requirements,
    ScoreRange,
    StudyKnowledge,
    make_sampler,
)
from powerml.search.known_costs import StudyCostModel
from powerml.search.problem import BATCH_SIZE, BoundedProblem, Proposal
from powerml.search.trained_epochs import TrainedEpochs
from powerml.spaces import Layer, parameter_count, parse_topology, topology_of
from powerml.studies.goal import objective_of
from powerml.studies.limits import RatioLimits
from powerml.studies.records import Prediction, StudySettings, TrialRecord
from powerml.workloads.metrics import metric_range

__all__ = ["Proposals", "aimed_score", "score_range_of"]

SizeOf = Callable[[tuple[Layer, ...]], int]


def aimed_score(
    settings: StudySettings, limits: RatioLimits, reference: Measurement | None
) -> float | None:
    """Return the score to aim at: the best itself if the least score follows it.

    A search that aims at a just sufficient score sees no better one, and its least score stays low.
    The reference's score shows an attainable one.
    """
    margin = settings.limits.score_margin
    if margin is None:
        return limits.min_score
    seen = [] if limits.min_score is None else [limits.min_score + margin]
    seen += [] if reference is None or reference.score is None else [reference.score]
    return max(seen, default=score_range_of(settings)[1])


def score_range_of(settings: StudySettings) -> ScoreRange:
    """Return the ends of a study's scores, None for an end that there is none of."""
    low, high = metric_range(settings.metric)
    return (None if math.isinf(low) else low, None if math.isinf(high) else high)


class Proposals:
    """The proposer of a study's topologies, which learns from each measurement.

    Parameters
    ----------
    problem
        The problem that is searched.
    """

    def __init__(self, problem: BoundedProblem) -> None:
        self._problem = problem
        self._epochs = TrainedEpochs()
        space = problem.space
        workload = problem.workload(topology_of(space, space.reference), space.reference_batch_size)
        self._knowledge = (
            StudyCostModel(space, workload, problem.settings.reference)
            if StudyCostModel.tells(space, workload)
            else None
        )

    def learn(self, trial: TrialRecord, unit: Measurement | None) -> None:
        """Learn from a trial that has ended, with costs relative to those of a unit."""
        if self._knowledge is not None and trial.state.name != "repeated":
            ratios = self._epochs.evened(trial, unit)
            self._knowledge.learn(trial.model_copy(update={"cost_ratios": ratios}))

    def predict(self, proposal: Proposal) -> Prediction | None:
        """Predict the costs of a topology; None where nothing is known yet."""
        if self._knowledge is None:
            return None
        parameters = parse_topology(proposal.topology).parameters
        found = self._knowledge.predict(parameters, proposal.batch_size)
        return None if found is None else self._epochs.expected(found)

    def _costs(self, columns: Mapping[str, NDArray[Any]]) -> CandidateCosts | None:
        known = None if self._knowledge is None else self._knowledge.costs(columns)
        return self._epochs.expected_of_candidates(known)

    def sampler(
        self, earlier_trials: int, limits: RatioLimits, reference: Measurement | None
    ) -> BaseSampler:
        """Make the sampler of the next topology, with the current limits."""
        settings = self._problem.settings
        aimed = aimed_score(settings, limits, reference)
        margin = settings.limits.score_margin
        least = aimed if aimed is None or margin is None else aimed - margin
        known = StudyKnowledge(
            space=self._problem.search_space,
            objective=None if settings.pareto else objective_of(settings, least),
            costs=None if self._knowledge is None else self._costs,
            requirements=self._requirements(limits, aimed),
            measured_before=self._measured_before(reference),
            score_range=score_range_of(settings),
        )
        return make_sampler(
            settings.sampler, settings.startup_trials, settings.seed, earlier_trials, known
        )

    def _measured_before(
        self, reference: Measurement | None
    ) -> list[tuple[dict[str, int], Quantities]]:
        """Return the reference where the search aims at the best score that was seen."""
        settings, space = self._problem.settings, self._problem.space
        if settings.limits.score_margin is None or reference is None:
            return []
        parameters = dict(parse_topology(settings.reference).parameters)
        parameters[BATCH_SIZE] = space.reference_batch_size
        return [(parameters, Quantities(dict.fromkeys(PHASES, 1.0), reference.score))]

    def _requirements(self, limits: RatioLimits, aimed: float | None) -> Requirements:
        return Requirements(
            max_costs=dict(limits.max_cost_ratios.items()),
            min_score=aimed,
            admits=self._small_enough(limits),
        )

    def _small_enough(self, limits: RatioLimits) -> Admits | None:
        """Select the topologies that may be small enough, if there are limits of size.

        Of memory and file only lower bounds are known beforehand.
        """
        knowledge, deployment = self._knowledge, self._problem.settings.deployment
        shape = self._problem.dataset.input_shape
        bounds: list[tuple[float, SizeOf]] = []
        if limits.max_parameters is not None:
            bounds.append((limits.max_parameters, parameter_count))
        if limits.max_file_bytes is not None:
            bounds.append((limits.max_file_bytes, least_file_bytes))
        if limits.max_memory_bytes is not None and deployment is not None:
            batch_size = deployment.batch_size or 1
            needed = partial(least_needed_bytes, input_shape=shape, batch_size=batch_size)
            bounds.append((limits.max_memory_bytes, needed))
        if knowledge is None or not bounds:
            return None

        def admits(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
            layers = knowledge.layers_of(columns)
            kept = [all(size(one) <= most for most, size in bounds) for one in layers]
            return np.array(kept, dtype=bool)

        return admits
