"""Result: the trials that meet a study's goal. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from powerml.studies.goal import Goal, SmallestObjective, least_infeasible
from powerml.studies.records import TrialRecord
from powerml.studies.tradeoff import remark

__all__ = ["Result", "result_of"]


@dataclass(frozen=True)
class Result:
    """Trials that meet a study's goal.

    `winners` are the trials that are looked for: the best, or the front, which has no best. Where
    no trial is feasible, `least_infeasible` is given. `remark` says so where the
    weights prefer an inaccurate network.
    """

    winners: list[TrialRecord]
    best: TrialRecord | None
    least_infeasible: TrialRecord | None
    remark: str | None


def result_of(trials: Sequence[TrialRecord], goal: Goal) -> Result:
    """Return the result of trials under a goal, each with its objective value."""
    winners = goal.winners(trials)
    best = winners[0] if winners and isinstance(goal, SmallestObjective) else None
    return Result(
        winners,
        best,
        None if winners else least_infeasible(trials, goal.limits),
        remark(best, trials, goal),
    )
