"""Front: the points that no other is as good as in everything. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Point", "covers", "front"]


class Point(NamedTuple):
    """The three quantities of a network: the score is to be large, the costs small."""

    score: float
    training_cost_ratio: float
    inference_cost_ratio: float


def covers(one: Point, other: Point) -> bool:
    """Whether one point is at least as good as another in all three quantities."""
    return (
        one.score >= other.score
        and one.training_cost_ratio <= other.training_cost_ratio
        and one.inference_cost_ratio <= other.inference_cost_ratio
    )


def front(points: Sequence[Point]) -> list[int]:
    """Places of the points that no other covers, in order; of equal points, the first."""
    return [
        place
        for place, point in enumerate(points)
        if not any(
            covers(other, point) and (other != point or earlier < place)
            for earlier, other in enumerate(points)
            if earlier != place
        )
    ]
