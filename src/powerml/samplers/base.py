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
from powerml.samplers.learned_costs import CostsOf
from powerml.samplers.score_scale import UNIT, ScoreRange
from powerml.samplers.trials import Quantities

__all__ = [
    "Admits",
    "AdmitsDrawn",
    "Choose",
    "CostedObjective",
    "CostsOfDrawn",
    "Draw",
    "Drawn",
    "MakeSampler",
    "Requirements",
    "StudyKnowledge",
]

Admits = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.bool_]]
# Answers a question of a define-by-run space: a parameter's name and distribution.
Choose = Callable[[str, BaseDistribution], Any]
FloatOrArray = TypeVar("FloatOrArray", float, "NDArray[np.float64]")


class CostedObjective(Protocol):
    """A function of costs and score: a higher cost is never better, a higher score never worse."""

    def value(self, costs: Mapping[str, FloatOrArray], score: FloatOrArray) -> FloatOrArray:
        """Return the objective of costs by phase and a score, elementwise; smaller is better."""


@dataclass(frozen=True)
class Requirements:
    """Conditions that a topology must meet to be proposed.

    `max_costs` are relative to the reference's, by phase; a missing phase has no limit. `min_score`
    is a score of the study's own range. `admits` selects the allowed candidates, from the values of
    each parameter by name.
    """

    max_costs: Mapping[str, float] = field(default_factory=dict)
    min_score: float | None = None
    admits: Admits | None = None

    def excess(self, costs: CandidateCosts) -> NDArray[np.float64]:
        """Compute each candidate's largest excess over a limit; above 0 if one is violated.

        Costs count one standard error below their expectation.
        """
        found = np.full(costs.count, -math.inf)
        for phase, cost in costs.at(-1.0).items():
            found = np.maximum(found, cost - self.max_costs.get(phase, math.inf))
        return found

    def met_by(self, found: Quantities) -> bool:
        """Return whether a trial has a sufficient score and is cheap enough."""
        if found.score is None or (self.min_score is not None and found.score < self.min_score):
            return False
        limits = self.max_costs
        return all(cost <= limits.get(phase, math.inf) for phase, cost in found.costs.items())


@dataclass(frozen=True)
class Drawn:
    """A member of a define-by-run space, as one run of the space asked for it.

    `distributions` are in the order in which the run asked. `structure` is for the caller's
    functions of costs and limits, such as the network's operations. Samplers do not look at it.
    """

    parameters: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    structure: object = None


# Runs a define-by-run space once; None where the run fails or its network cannot be built.
Draw = Callable[[Choose], Drawn | None]
# The costs of members of such a space; None while they are unknown.
CostsOfDrawn = Callable[[Sequence[Drawn]], CandidateCosts | None]
# Selects the members that may be proposed, for instance by limits of size.
AdmitsDrawn = Callable[[Sequence[Drawn]], NDArray[np.bool_]]


@dataclass(frozen=True)
class StudyKnowledge:
    """Knowledge of a study beyond the values of its trials, for samplers that can use it.

    `objective` is None if a front is sought, `costs` if they have to be learned. `measured_before`
    are parameters and quantities that are known without a trial. `draw` is given for a
    define-by-run space, whose `space` is None. `costs_of_drawn` and `admits_drawn` then take the
    places of `costs` and of the requirements' `admits`. `score_range` are the ends of the scores as
    far as they are known.
    """

    space: Mapping[str, BaseDistribution] | None = None
    objective: CostedObjective | None = None
    costs: CostsOf | None = None
    requirements: Requirements = field(default_factory=Requirements)
    measured_before: Sequence[tuple[Mapping[str, Any], Quantities]] = ()
    draw: Draw | None = None
    costs_of_drawn: CostsOfDrawn | None = None
    admits_drawn: AdmitsDrawn | None = None
    score_range: ScoreRange = UNIT


# Makes a sampler for one proposal from the number of trials that are drawn at random first, a seed,
# and what is known of the study. An entry point of the group ``powerml.samplers`` names one.
MakeSampler = Callable[[int, int, StudyKnowledge], BaseSampler]
