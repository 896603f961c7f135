"""The interface of a sampler: its knowledge of a study, and its requirements."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from powerml.samplers.acquisition import CandidateCosts
from powerml.samplers.candidates import Candidates
from powerml.samplers.learned_costs import CostsOf
from powerml.samplers.trials import Quantities

__all__ = ["Admits", "CostedObjective", "MakeSampler", "Requirements", "StudyKnowledge"]

Admits = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.bool_]]
FloatOrArray = TypeVar("FloatOrArray", float, "NDArray[np.float64]")


class CostedObjective(Protocol):
    """A function of costs and score: a higher cost is never better, a higher score never worse."""

    def value(self, costs: Mapping[str, FloatOrArray], score: FloatOrArray) -> FloatOrArray:
        """Return the objective of costs by phase and a score, elementwise; smaller is better."""


@dataclass(frozen=True)
class Requirements:
    """Conditions that a topology must meet to be proposed.

    `max_costs` are relative to the reference's, by phase; a missing phase has no limit. `admits`
    selects the allowed candidates, from the values of each parameter by name.
    """

    max_costs: Mapping[str, float] = field(default_factory=dict)
    min_score: float = 0.0
    admits: Admits | None = None

    def admit(self, candidates: Candidates, costs: CandidateCosts) -> NDArray[np.bool_]:
        """Select the candidates that may meet them, by their costs."""
        admitted = np.ones(len(candidates), dtype=bool)
        for phase, cost in costs.at(-1.0).items():
            admitted &= cost <= self.max_costs.get(phase, math.inf)
        if self.admits is not None:
            admitted &= self.admits(candidates.columns)
        return admitted


@dataclass(frozen=True)
class StudyKnowledge:
    """Knowledge of a study beyond the values of its trials, for samplers that can use it.

    `objective` is None if a front is sought, `costs` if they have to be learned. `measured_before`
    are parameters and quantities that are known without a trial.
    """

    space: Mapping[str, BaseDistribution] | None = None
    objective: CostedObjective | None = None
    costs: CostsOf | None = None
    requirements: Requirements = field(default_factory=Requirements)
    measured_before: Sequence[tuple[Mapping[str, Any], Quantities]] = ()


# Makes a sampler for one proposal from the number of trials that are drawn at random first, a seed,
# and what is known of the study. An entry point of the group ``powerml.samplers`` names one.
MakeSampler = Callable[[int, int, StudyKnowledge], BaseSampler]
