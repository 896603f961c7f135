"""Goal: what a study looks for, and which of its trials that is. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from powerml.front import Point, covers, front
from powerml.limits import RatioLimits
from powerml.measurement import Measurement
from powerml.objective import DEFAULT_LEAST_SCORE, Objective, Weights, make_objective
from powerml.records import StudyRecord, StudySettings, TrialRecord

__all__ = [
    "Goal",
    "ParetoFront",
    "SmallestObjective",
    "goal_of",
    "limits_of",
    "make_goal",
    "nearest",
    "objective_of",
    "unit_of",
]


class Goal(Protocol):
    """What a study looks for."""

    @property
    def limits(self) -> RatioLimits:
        """What it has to obey."""

    def worth(self, trial: TrialRecord) -> float | None:
        """The objective of a trial; None where there is none, or where it was not trained."""

    def ruled_out(self, trial: TrialRecord, earlier: Sequence[TrialRecord]) -> str | None:
        """Why a trial of these costs cannot win whatever its score, or None."""

    def winners(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials that are looked for; none where no trial obeys the limits."""


@dataclass(frozen=True)
class SmallestObjective:
    """The trial of the smallest objective among those that obey the limits."""

    objective: Objective
    limits: RatioLimits

    def worth(self, trial: TrialRecord) -> float | None:
        """The objective of a trial, or None where it was not trained."""
        return None if trial.score is None else self._value(trial, trial.score)

    def ruled_out(self, trial: TrialRecord, earlier: Sequence[TrialRecord]) -> str | None:
        """Why a trial of these costs cannot become the best whatever its score, or None."""
        if broken := self.limits.broken(trial):
            return "; ".join(broken)
        possible = self._value(trial, 1.0)
        for best in self.winners(earlier):
            if possible is not None and best.objective is not None and possible >= best.objective:
                return f"cannot beat trial {best.number}"
        return None

    def winners(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The best, the first of equals; nothing where no trial obeys the limits."""
        worth = [
            (trial.objective, trial.number, trial)
            for trial in trials
            if trial.objective is not None and self.limits.obeyed(trial)
        ]
        return [min(worth, key=lambda one: one[:2])[2]] if worth else []

    def _value(self, trial: TrialRecord, score: float) -> float | None:
        training, inference = trial.training_cost_ratio, trial.inference_cost_ratio
        if training is None or inference is None:
            return None
        return self.objective.value(training, inference, score)


@dataclass(frozen=True)
class ParetoFront:
    """The trials that obey the limits and that no other is as good as in score and both costs."""

    limits: RatioLimits

    def worth(self, _trial: TrialRecord) -> float | None:
        """Return None: the front weighs no quantity against another."""
        return None

    def ruled_out(self, trial: TrialRecord, earlier: Sequence[TrialRecord]) -> str | None:
        """Why a trial of these costs cannot be on the front whatever its score, or None."""
        if broken := self.limits.broken(trial):
            return "; ".join(broken)
        possible = _point(trial, score=1.0)
        for member in self.winners(earlier):
            point = _point(member, member.score)
            if point is not None and possible is not None and covers(point, possible):
                return f"cannot beat trial {member.number} in anything"
        return None

    def winners(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The front, in the order of the trials; of equals, the first."""
        obeying = [trial for trial in trials if self.limits.obeyed(trial)]
        found = [(_point(trial, trial.score), trial) for trial in obeying]
        placed = [(point, trial) for point, trial in found if point is not None]
        return [placed[place][1] for place in front([point for point, _ in placed])]


def _point(trial: TrialRecord, score: float | None) -> Point | None:
    training, inference = trial.training_cost_ratio, trial.inference_cost_ratio
    if training is None or inference is None or score is None:
        return None
    return Point(score, training, inference)


def objective_of(settings: StudySettings) -> Objective:
    """What a study makes small."""
    least = settings.limits.min_score
    return make_objective(
        settings.objective,
        Weights(settings.alpha, settings.beta),
        DEFAULT_LEAST_SCORE if least is None else least,
    )


def unit_of(reference: Measurement | None, trials: Sequence[TrialRecord]) -> Measurement | None:
    """What costs are relative to: the reference, or the first trial that was measured."""
    if reference is not None:
        return reference
    return next((trial.measurement for trial in trials if trial.measurement is not None), None)


def limits_of(settings: StudySettings, unit: Measurement | None) -> RatioLimits:
    """A study's limits, with costs relative to its unit; without a unit nothing has a cost."""
    limits = settings.limits
    if unit is None:
        return RatioLimits(min_score=limits.min_score, max_parameters=limits.max_parameters)
    return limits.in_ratios(
        unit.cost_cycles("training", settings.machine),
        unit.cost_cycles("inference", settings.machine),
    )


def make_goal(settings: StudySettings, unit: Measurement | None) -> Goal:
    """What a study with these settings looks for."""
    limits = limits_of(settings, unit)
    if settings.pareto:
        return ParetoFront(limits)
    return SmallestObjective(objective_of(settings), limits)


def goal_of(study: StudyRecord) -> Goal:
    """What a study that has ended was looking for."""
    return make_goal(study.settings, unit_of(study.reference, study.trials))


def nearest(trials: Iterable[TrialRecord], limits: RatioLimits) -> TrialRecord | None:
    """The trial that is nearest to obeying the limits, the first of equals.

    That is the one by which the limits are exceeded least, as `RatioLimits.excess` adds it up.
    Trials that failed are not near anything.
    """
    distances = [
        (limits.excess(trial), trial.number, trial) for trial in trials if trial.failure is None
    ]
    return min(distances, key=lambda one: one[:2])[2] if distances else None
