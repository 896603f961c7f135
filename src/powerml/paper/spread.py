"""Median and range of a quantity over the seeds of a study. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Spread", "spread"]


class Spread(BaseModel):
    """A quantity of the winners of several studies that differ in their seed alone.

    `found` of `seeds` studies have it. Those that have not count as the worst in the median,
    which is None where it would be one of them; `low` and `high` are of those that have it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    median: float | None
    low: float | None
    high: float | None
    found: int
    seeds: int


def spread(values: Sequence[float | None], better: Literal["high", "low"]) -> Spread:
    """Median and range; `better` says which end the missing ones are not at."""
    known = [value for value in values if value is not None]
    worst = -math.inf if better == "high" else math.inf
    middle = median(worst if value is None else value for value in values) if values else worst
    return Spread(
        median=middle if math.isfinite(middle) else None,
        low=min(known, default=None),
        high=max(known, default=None),
        found=len(known),
        seeds=len(values),
    )
