"""Where eq. 2.6 asks for an inaccurate network: the objective, told from the search. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from powerml.objective import SCORE_TOLERANCE
from powerml.paper.figures import Group, groups
from powerml.paper.known import ACCURATE_SCORE, KnownTopology, known
from powerml.paper.outcomes import EvaluatedTrial, Outcome
from powerml.paper.ways import BARE

__all__ = ["Preference", "preferences"]


class Preference(BaseModel):
    """What eq. 2.6 thinks of an inaccurate winner and of the best accurate topology known.

    Objectives are eq. 2.6 with costs relative to the fixed reference: smaller is better. Of
    `seeds` studies `inaccurate` end with an inaccurate winner, `preferred` of them with one whose
    objective is smaller than that of every accurate topology known. `found` is the inaccurate
    winner of the middle objective, `best` the topology of the smallest objective known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    setting: int
    alpha: float
    beta: float
    seeds: int
    inaccurate: int
    preferred: int
    found: EvaluatedTrial
    best: KnownTopology
    accurate: KnownTopology

    @property
    def is_the_objectives(self) -> bool:
        """Whether no accurate topology that is known would have been better, in any study."""
        return self.preferred == self.inaccurate

    @property
    def is_the_searches(self) -> bool:
        """Whether an accurate topology is known that would have been better, in every study."""
        return self.preferred == 0

    @property
    def margin(self) -> float:
        """By how much `found` is preferred to the best accurate topology known."""
        return self.accurate.objective - _objective(self.found)


def preferences(outcomes: Sequence[Outcome]) -> list[Preference]:
    """Where at least half of the winners under bare eq. 2.6 score below 0.97 in the search."""
    found = [_preference(group) for group in groups(outcomes) if group.way == BARE.name]
    return [one for one in found if one is not None and 2 * one.inaccurate >= one.seeds]


def _preference(group: Group) -> Preference | None:
    winners = [one.winner for one in group.outcomes if one.winner is not None]
    if not winners:
        return None
    inaccurate = [one for one in winners if (one.score or 0) < ACCURATE_SCORE - SCORE_TOLERANCE]
    ordered = sorted(inaccurate, key=_objective)
    if not ordered:
        return None
    at_setting = known().families[group.family].at(group.setting_number)
    least = at_setting.best_accurate.objective
    return Preference(
        family=group.family,
        setting=group.setting_number,
        alpha=group.setting.alpha,
        beta=group.setting.beta,
        seeds=len(winners),
        inaccurate=len(inaccurate),
        preferred=sum(_objective(one) < least for one in inaccurate),
        found=ordered[len(ordered) // 2],
        best=at_setting.best,
        accurate=at_setting.best_accurate,
    )


def _objective(trial: EvaluatedTrial) -> float:
    return math.inf if trial.objective is None else trial.objective
