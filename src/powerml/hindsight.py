"""Hindsight: how far off the cost model was, now that its predictions were measured. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from powerml.records import TrialRecord

__all__ = ["Hindsight", "hindsight"]


@dataclass(frozen=True)
class Hindsight:
    """Predictions of one phase against what was measured.

    `median_error` is relative; `kept` of `trials` predictions were no further off than stated.
    """

    phase: str
    median_error: float
    kept: int
    trials: int


def hindsight(
    trials: Sequence[TrialRecord], phase: Literal["training", "inference"]
) -> Hindsight | None:
    """Hold predictions against measurements; None where there is nothing to compare."""
    errors, kept = [], 0
    for trial in trials:
        expected = trial.predicted
        measured = getattr(trial, f"{phase}_cost_ratio")
        if expected is None or measured is None or trial.repeats is not None:
            continue
        error = abs(getattr(expected, f"{phase}_cost_ratio") / measured - 1)
        errors.append(error)
        kept += error <= getattr(expected, f"{phase}_error")
    return Hindsight(phase, median(errors), kept, len(errors)) if errors else None
