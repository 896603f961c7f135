"""The agreement of predicted with measured times: rank, error after one scale, ratio. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median

from pydantic import BaseModel, ConfigDict, Field

from powerml.errors import UsageError

__all__ = ["Agreement", "agreement_of", "farthest"]

LEAST_PAIRS = 2


class Agreement(BaseModel):
    """The agreement of predictions with measurements of the same things.

    A ratio is a prediction over its measurement. `median_error` is that of predictions which are
    all divided by the median ratio, so that it tells of their differences alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rank: float | None = Field(
        description="rank correlation (Spearman), from -1 to 1; null where all ranks are the same"
    )
    median_error: float = Field(ge=0, description="median error after one scale, as 0.1")
    median_ratio: float = Field(gt=0, description="median ratio")
    least_ratio: float = Field(gt=0, description="smallest ratio")
    greatest_ratio: float = Field(gt=0, description="greatest ratio")

    @property
    def worst_factor(self) -> float:
        """The largest factor, after one scale, between a prediction and its measurement."""
        return max(self.greatest_ratio / self.median_ratio, self.median_ratio / self.least_ratio)


def agreement_of(predicted: Sequence[float], measured: Sequence[float]) -> Agreement:
    """Return the agreement of predictions with measurements, both positive.

    Raises
    ------
    UsageError
        There are not as many of both, or fewer than two.
    """
    if len(predicted) != len(measured) or len(measured) < LEAST_PAIRS:
        raise UsageError(
            f"{len(predicted)} predictions of {len(measured)} measurements: give as many of both, "
            f"{LEAST_PAIRS} at least"
        )
    ratios = _ratios(predicted, measured)
    scale = math.exp(median(map(math.log, ratios)))
    return Agreement(
        rank=_correlation(_ranks(predicted), _ranks(measured)),
        median_error=median(abs(ratio / scale - 1) for ratio in ratios),
        median_ratio=scale,
        least_ratio=min(ratios),
        greatest_ratio=max(ratios),
    )


def farthest(predicted: Sequence[float], measured: Sequence[float], number: int) -> list[int]:
    """Return the places of the predictions that are off by the largest factors, those first."""
    far = [abs(math.log(ratio)) for ratio in _ratios(predicted, measured)]
    return sorted(range(len(far)), key=lambda place: -far[place])[:number]


def _ratios(predicted: Sequence[float], measured: Sequence[float]) -> list[float]:
    return [float(one / other) for one, other in zip(predicted, measured, strict=True)]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks from 1; equal values share the mean of theirs."""
    ordered = sorted(values)
    first = {value: place for place, value in reversed(list(enumerate(ordered, start=1)))}
    last = {value: place for place, value in enumerate(ordered, start=1)}
    return [(first[value] + last[value]) / 2 for value in values]


def _correlation(ones: Sequence[float], others: Sequence[float]) -> float | None:
    middle, other_middle = fmean(ones), fmean(others)
    spread = math.fsum((one - middle) ** 2 for one in ones)
    other_spread = math.fsum((one - other_middle) ** 2 for one in others)
    if spread == 0 or other_spread == 0:
        return None
    together = math.fsum(
        (one - middle) * (other - other_middle) for one, other in zip(ones, others, strict=True)
    )
    return max(-1.0, min(1.0, together / math.sqrt(spread * other_spread)))
