"""Objective: eq. 2.6 of the paper, a pure function of costs, reference costs, score and weights.

``objective = alpha x (training cost)^2 + beta x (inference cost)^2 - gamma x score``, with costs
relative to a reference and ``gamma = 1 - alpha - beta``. Smaller is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from powerml.errors import UsageError

__all__ = ["Weights", "objective"]


@dataclass(frozen=True)
class Weights:
    """The weights of eq. 2.6.

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
    def gamma(self) -> float:
        """Weight of the score."""
        return max(0.0, 1 - self.alpha - self.beta)


def objective(
    training_cost_ratio: float, inference_cost_ratio: float, score: float, weights: Weights
) -> float:
    """Eq. 2.6. The costs are relative to the reference's; the score is from 0 to 1."""
    return (
        weights.alpha * training_cost_ratio**2
        + weights.beta * inference_cost_ratio**2
        - weights.gamma * score
    )
