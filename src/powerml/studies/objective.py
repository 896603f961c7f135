"""Objectives: functions that a search minimises. Pure functions of costs, score and weights.

The first is eq. 2.6 of the paper,
``objective = alpha x (training cost)^2 + beta x (inference cost)^2 - gamma x score``, with costs
relative to a reference and ``gamma = 1 - alpha - beta``. Smaller is better.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from powerml.costs.counts import PhaseName
from powerml.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "DEFAULT_LEAST_SCORE",
    "DEFAULT_OBJECTIVE",
    "SCORE_TOLERANCE",
    "ByPhase",
    "Constrained",
    "Linear",
    "Objective",
    "Squared",
    "Weights",
    "make_objective",
    "objective_names",
]

DEFAULT_OBJECTIVE = "squared"
DEFAULT_LEAST_SCORE = 0.97
# Keras computes an accuracy in single precision: 95 right of 100 are 0.949999988.
SCORE_TOLERANCE = 1e-6
# Costs are relative, and no member of a shipped space costs a hundred of its references: a
# thousand of them are behind every network that is fit, and a hundredth of score, which is worth
# ten, moves further among the unfit than most costs do.
UNFIT = 1000.0

FloatOrArray = TypeVar("FloatOrArray", float, "NDArray[np.float64]")
Value_co = TypeVar("Value_co", covariant=True)


class ByPhase(Protocol[Value_co]):
    """Amounts by phase, as a dictionary holds them."""

    def __getitem__(self, phase: PhaseName, /) -> Value_co:
        """Return the amount of a phase."""


@dataclass(frozen=True)
class Weights:
    """The weights of eq. 2.6: `alpha` is the training cost's, `beta` the inference cost's.

    Raises
    ------
    UsageError
        A weight is negative or not a number, or they sum to more than 1.
    """

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"{name} is {value}: give a number from 0 to 1")
        if self.alpha + self.beta > 1 and not math.isclose(self.alpha + self.beta, 1):
            raise UsageError(
                f"alpha + beta is {self.alpha + self.beta:g}: together they must not exceed 1, "
                "for gamma = 1 - alpha - beta weighs the score"
            )

    @property
    def by_phase(self) -> dict[PhaseName, float]:
        """Weights of the costs."""
        return {"training": self.alpha, "inference": self.beta}

    @property
    def gamma(self) -> float:
        """Weight of the score."""
        return max(0.0, 1 - self.alpha - self.beta)


class Objective(Protocol):
    """A function of costs and the score: higher costs are never better, a better score never worse.

    A network's objective value is therefore never below `value` of its costs and a perfect score.
    """

    @property
    def name(self) -> str:
        """The objective's name on the command line."""

    @property
    def weights(self) -> Weights:
        """Weights of the costs and the score."""

    def value(self, costs: ByPhase[FloatOrArray], score: FloatOrArray) -> FloatOrArray:
        """Return the objective: smaller is better.

        Arrays are evaluated element by element, and broadcast.

        Parameters
        ----------
        costs
            Cost of each phase, relative to the reference's.
        score
            By any metric: the more, the better.
        """


def _weighed(weights: Weights, costs: ByPhase[FloatOrArray], exponent: int = 1) -> FloatOrArray:
    """Return the weighted sum of the costs to a power."""
    weighed = [weight * costs[phase] ** exponent for phase, weight in weights.by_phase.items()]
    return reduce(operator.add, weighed)


@dataclass(frozen=True)
class Squared:
    """Eq. 2.6. The squares emphasise costs above the reference's, and reduce those below it."""

    weights: Weights
    name: ClassVar[str] = "squared"

    def value(self, costs: ByPhase[FloatOrArray], score: FloatOrArray) -> FloatOrArray:
        """Return eq. 2.6."""
        return _weighed(self.weights, costs, exponent=2) - self.weights.gamma * score


@dataclass(frozen=True)
class Linear:
    """Eq. 2.6 without the squares: equal savings of cost have equal value everywhere."""

    weights: Weights
    name: ClassVar[str] = "linear"

    def value(self, costs: ByPhase[FloatOrArray], score: FloatOrArray) -> FloatOrArray:
        """Return the weighted costs less the weighted score."""
        return _weighed(self.weights, costs) - self.weights.gamma * score


@dataclass(frozen=True)
class Constrained:
    """The cheapest of those that score at least `least_score`: the score is no part of the trade.

    The value of a network with a sufficient score is its mean cost, weighted by alpha and beta.
    Otherwise a penalty is added. It is larger than any such mean, and grows with the score's
    shortfall.

    Raises
    ------
    UsageError
        Both weights are zero, or the least score is invalid.
    """

    weights: Weights
    least_score: float = DEFAULT_LEAST_SCORE
    name: ClassVar[str] = "constrained"

    def __post_init__(self) -> None:
        if not math.isfinite(self.least_score):
            raise UsageError(f"the least score is {self.least_score}: give a number")
        if not any(self.weights.by_phase.values()):
            raise UsageError(
                "alpha and beta are 0, and the objective constrained minimises costs "
                "alone: give --alpha or --beta"
            )

    def value(self, costs: ByPhase[FloatOrArray], score: FloatOrArray) -> FloatOrArray:
        """Return the mean cost, plus a penalty if the score falls short."""
        mean = _weighed(self.weights, costs) / sum(self.weights.by_phase.values())
        falls_short = score < self.least_score - SCORE_TOLERANCE
        return mean + falls_short * (UNFIT * (1 + self.least_score - score))


_MAKERS: Mapping[str, Callable[[Weights, float], Objective]] = MappingProxyType(
    {
        Squared.name: lambda weights, _: Squared(weights),
        Linear.name: lambda weights, _: Linear(weights),
        Constrained.name: Constrained,
    }
)


def objective_names() -> tuple[str, ...]:
    """Names of all objectives."""
    return tuple(_MAKERS)


def make_objective(
    name: str, weights: Weights, least_score: float = DEFAULT_LEAST_SCORE
) -> Objective:
    """Find an objective by name; only ``constrained`` uses `least_score`.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    UsageError
        It cannot be made of these weights.

    Examples
    --------
    >>> objective = powerml.make_objective("squared", powerml.Weights(0.5, 0.05))
    >>> objective.value({"training": 0.5, "inference": 0.5}, 0.98)
    -0.3035
    """
    if name not in _MAKERS:
        raise UnknownNameError("objective", name, objective_names())
    return _MAKERS[name](weights, least_score)
