"""Proposals: what a study tries next, by its sampler and by all that it knows of its topologies."""

from __future__ import annotations

import numpy as np
from optuna.samplers import BaseSampler

from powerml.goal import objective_of
from powerml.knowledge import CostKnowledge
from powerml.limits import RatioLimits
from powerml.problem import Problem
from powerml.records import Prediction, TrialRecord
from powerml.samplers import Admits, Known, Requirements, make_sampler
from powerml.topology import Topology, topology_of

__all__ = ["Proposals"]


class Proposals:
    """What proposes the topologies of a study, and learns from each that was measured.

    Parameters
    ----------
    problem
        What is searched.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        family = problem.family
        workload = problem.workload(
            topology_of(family, family.reference), family.reference_batch_size
        )
        self._knowledge = (
            CostKnowledge(family, workload, problem.settings.reference)
            if CostKnowledge.tells(family, workload)
            else None
        )

    def learn(self, trial: TrialRecord) -> None:
        """Learn from a trial that has ended."""
        if self._knowledge is not None:
            self._knowledge.learn(trial)

    def predict(self, topology: Topology, batch_size: int) -> Prediction | None:
        """What a topology is expected to cost; None where nothing is known yet."""
        if self._knowledge is None:
            return None
        return self._knowledge.predict(topology.parameters, batch_size)

    def sampler(self, earlier_trials: int, limits: RatioLimits) -> BaseSampler:
        """Make what proposes the next topology; the limits are those known by now."""
        settings = self._problem.settings
        known = Known(
            space=self._problem.space,
            objective=None if settings.pareto else objective_of(settings),
            costs=None if self._knowledge is None else self._knowledge.costs,
            requirements=self._requirements(limits),
        )
        return make_sampler(
            settings.sampler, settings.startup_trials, settings.seed, earlier_trials, known
        )

    def _requirements(self, limits: RatioLimits) -> Requirements:
        def given(limit: float | None, otherwise: float) -> float:
            return otherwise if limit is None else limit

        return Requirements(
            max_training_cost=given(limits.max_training_ratio, float("inf")),
            max_inference_cost=given(limits.max_inference_ratio, float("inf")),
            min_score=given(limits.min_score, 0.0),
            admits=self._small_enough(limits.max_parameters),
        )

    def _small_enough(self, most: int | None) -> Admits | None:
        """Tell which topologies have few enough parameters, where that is asked for and known."""
        knowledge = self._knowledge
        if knowledge is None or most is None:
            return None
        return lambda columns: np.asarray(knowledge.parameter_counts(columns) <= most)
