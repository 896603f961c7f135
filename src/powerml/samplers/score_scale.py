"""The scale of scores: an affine map of any score to 0..1, where the model of scores works.

Scores between 0 and 1, such as an accuracy, stay as they are. So do those of any other range with
two ends, up to the map of these ends. Where an end is not known, the scores seen so far stand in
for it. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANY_SCORE", "UNIT", "ScoreRange", "ScoreScale"]

# The lowest and the highest possible score; None for an end that is not known.
ScoreRange = tuple[float | None, float | None]
UNIT: ScoreRange = (0.0, 1.0)
ANY_SCORE: ScoreRange = (None, None)

FloatOrArray = TypeVar("FloatOrArray", float, "NDArray[np.float64]")

# Keras computes an accuracy in single precision, which may exceed 1 by its last digit.
TOLERANCE = 1e-6
# The acquisition expects no score above 1. Half of the spread seen above the best keeps better
# scores possible, and is what accuracies between 0.5 and 0.83 leave.
HEADROOM = 0.5
# A training that diverged scores -1e9. What is further below the best than so many times the
# median distance from it counts as the lowest.
MOST_DISTANCE = 4.0


@dataclass(frozen=True)
class ScoreScale:
    """The map from scores between `low` and `high` to 0..1, and back."""

    low: float = 0.0
    high: float = 1.0

    @classmethod
    def of(
        cls, possible: ScoreRange, scores: Iterable[float], least: float | None = None
    ) -> ScoreScale | None:
        """Choose a scale; None where it depends on scores and none is known.

        Parameters
        ----------
        possible
            The range of scores as far as it is known. An end that a score lies beyond is not one.
        scores
            The scores seen so far.
        least
            The score that is required, which must lie within the scale.
        """
        seen = np.array([score for score in scores if np.isfinite(score)])
        low, high = possible
        if low is not None and (seen < low - TOLERANCE).any():
            low = None
        if high is not None and (seen > high + TOLERANCE).any():
            high = None
        if low is not None and high is not None:
            return cls(low, high)
        if not len(seen):
            return None
        best = float(seen.max())
        spread = _spread(best - seen) or abs(best) or 1.0
        aimed = best if least is None else max(best, least)
        lowest = best - spread
        highest = aimed + HEADROOM * (aimed - lowest)
        return cls(
            lowest if low is None else max(low, lowest),
            highest if high is None else min(high, highest),
        )

    @property
    def is_identity(self) -> bool:
        """True if scores stay as they are."""
        return self.low == 0 and self.high == 1

    def unit(self, score: FloatOrArray) -> FloatOrArray:
        """Return the score between 0 and 1; a lower one than the lowest counts as 0."""
        if self.is_identity:
            return score
        unit: FloatOrArray = np.clip((score - self.low) / (self.high - self.low), 0.0, 1.0)
        return unit

    def true(self, unit: FloatOrArray) -> FloatOrArray:
        """Return the score that `unit` maps to a number between 0 and 1."""
        if self.is_identity:
            return unit
        return self.low + unit * (self.high - self.low)


def _spread(distances: NDArray[np.float64]) -> float:
    """Return the spread of scores by their distances from the best; 0 if all are equal."""
    above = distances[distances > 0]
    if not len(above):
        return 0.0
    return float(min(above.max(), MOST_DISTANCE * np.median(above)))
