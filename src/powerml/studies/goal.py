"""Goal: the winners that a study looks for, among its trials. Pure functions."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import le
from typing import NamedTuple, Protocol

from powerml.costs.counts import PHASES, PhaseName
from powerml.costs.measurement import Measurement
from powerml.studies.limits import RatioLimits
from powerml.studies.objective import (
    DEFAULT_LEAST_SCORE,
    SCORE_TOLERANCE,
    Objective,
    Weights,
    make_objective,
)
from powerml.studies.records import StudySettings, TrialRecord
from powerml.workloads.metrics import highest_score

__all__ = [
    "PERFECT",
    "Goal",
    "ParetoFront",
    "Point",
    "SmallestObjective",
    "best_score",
    "cost_ratios",
    "front",
    "knows_all",
    "least_infeasible",
    "limits_of",
    "make_goal",
    "objective_of",
    "objectives_by_machine",
    "point_of",
    "ranking",
    "unit_of",
    "weakly_dominates",
]


PERFECT = 1.0  # the score of a perfect network by most metrics


class Point(NamedTuple):
    """The quantities of a network: the score is to be large, the costs small.

    `cost_ratios` are in the order of `PHASES`, relative to the reference's.
    """

    score: float
    cost_ratios: tuple[float, ...]


def weakly_dominates(one: Point, other: Point) -> bool:
    """True if one point is at least as good as another in all quantities."""
    return one.score >= other.score and all(map(le, one.cost_ratios, other.cost_ratios))


def front(points: Sequence[Point]) -> list[int]:
    """Places of the points that no other dominates, in order; of equal points, the first."""
    return [
        place
        for place, point in enumerate(points)
        if not any(
            weakly_dominates(other, point) and (other != point or earlier < place)
            for earlier, other in enumerate(points)
            if earlier != place
        )
    ]


class Goal(Protocol):
    """The goal of a study."""

    @property
    def limits(self) -> RatioLimits:
        """The limits that it has to meet."""

    def objective_value(self, trial: TrialRecord) -> float | None:
        """The objective value of a trial; None where there is none, or where it was not trained."""

    def ruled_out(self, trial: TrialRecord, earlier: Sequence[TrialRecord]) -> str | None:
        """Say why a trial of these costs cannot win whatever its score, or None."""

    def winners(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials that are looked for; none where no trial meets the limits."""

    def contenders(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The trials that win now, or may win after further trials."""


@dataclass(frozen=True)
class SmallestObjective:
    """The trial of the smallest objective among those that meet the limits.

    Where the least score follows the best of the trials, it lies `score_margin` below it.
    `highest_score` is that of a perfect network.
    """

    objective: Objective
    limits: RatioLimits
    score_margin: float | None = None
    highest_score: float = PERFECT

    def objective_value(self, trial: TrialRecord) -> float | None:
        """The objective value of a trial, or None where it was not trained."""
        return None if trial.score is None else self._value(trial, trial.score)

    def ruled_out(self, trial: TrialRecord, earlier: Sequence[TrialRecord]) -> str | None:
        """Say why a trial of these costs cannot become the best whatever its score, or None."""
        if violations := self.limits.violations(trial):
            return "; ".join(violations)
        possible = self._value(trial, self.highest_score)
        for best in self.winners(earlier):
            if possible is None or best.objective is None or self._may_fall(best):
                continue
            if possible >= best.objective:
                return f"cannot beat trial {best.number}"
        return None

    def _may_fall(self, best: TrialRecord) -> bool:
        """Return whether a better score would raise the least score above the best's."""
        if self.score_margin is None or best.score is None:
            return False
        return best.score < self.highest_score - self.score_margin - SCORE_TOLERANCE

    def winners(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The best, the first of equals; nothing where no trial meets the limits."""
        valued = [
            (trial.objective, trial.number, trial)
            for trial in trials
            if trial.objective is not None and self.limits.feasible(trial)
        ]
        return [min(valued, key=lambda one: one[:2])[2]] if valued else []

    def contenders(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The best; with a margin also each trial that none dominates in score and objective."""
        if self.score_margin is None:
            return self.winners(trials)
        allowed = replace(self.limits, min_score=None)
        found = [
            (trial.score, self._value(trial, self.highest_score), trial)
            for trial in trials
            if trial.score is not None and allowed.feasible(trial)
        ]
        placed = [
            (score, (value, trial.number), trial)
            for score, value, trial in found
            if value is not None
        ]
        return [
            trial
            for score, place, trial in placed
            if not any(other >= score and earlier < place for other, earlier, _ in placed)
        ]

    def _value(self, trial: TrialRecord, score: float) -> float | None:
        costs = trial.cost_ratios
        return self.objective.value(costs, score) if knows_all(costs) else None


@dataclass(frozen=True)
class ParetoFront:
    """The trials that meet the limits and that no other is as good as in score and all costs.

    `highest_score` is that of a perfect network.
    """

    limits: RatioLimits
    highest_score: float = PERFECT

    def objective_value(self, _trial: TrialRecord) -> float | None:
        """Return None, because a front has no objective value."""
        return None

    def ruled_out(self, trial: TrialRecord, earlier: Sequence[TrialRecord]) -> str | None:
        """Say why a trial of these costs cannot be on the front whatever its score, or None."""
        if violations := self.limits.violations(trial):
            return "; ".join(violations)
        possible = point_of(trial, score=self.highest_score)
        for member in self.winners(earlier):
            point = point_of(member, member.score)
            if point is not None and possible is not None and weakly_dominates(point, possible):
                return f"cannot beat trial {member.number} in anything"
        return None

    def winners(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The front, in the order of the trials; of equals, the first."""
        feasible = [trial for trial in trials if self.limits.feasible(trial)]
        found = [(point_of(trial, trial.score), trial) for trial in feasible]
        placed = [(point, trial) for point, trial in found if point is not None]
        return [placed[place][1] for place in front([point for point, _ in placed])]

    def contenders(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The front: a trial that has left it never returns."""
        return self.winners(trials)


def point_of(trial: TrialRecord, score: float | None) -> Point | None:
    """Return a trial's costs and score; None if either is not known."""
    costs = trial.cost_ratios
    if score is None or not knows_all(costs):
        return None
    return Point(score, tuple(costs[phase] for phase in PHASES))


def knows_all(costs: Container[PhaseName]) -> bool:
    """Return whether the costs of all phases are known."""
    return all(phase in costs for phase in PHASES)


def objective_of(settings: StudySettings, least: float | None) -> Objective:
    """Return the objective of a study, with the current least score `least`."""
    return make_objective(
        settings.objective,
        Weights(settings.alpha, settings.beta),
        DEFAULT_LEAST_SCORE if least is None else least,
    )


def unit_of(reference: Measurement | None, trials: Sequence[TrialRecord]) -> Measurement | None:
    """Return the measurement that costs are relative to: the reference's or the first trial's."""
    if reference is not None:
        return reference
    return next((trial.measurement for trial in trials if trial.measurement is not None), None)


def best_score(trials: Iterable[TrialRecord]) -> float | None:
    """Return the best score of these trials, None where none was trained."""
    return max((trial.score for trial in trials if trial.score is not None), default=None)


def limits_of(
    settings: StudySettings, reference: Measurement | None, trials: Sequence[TrialRecord]
) -> RatioLimits:
    """Return a study's limits after these trials.

    Costs are relative to the study's unit. Without a unit no trial has a cost.
    """
    limits, unit = settings.limits, unit_of(reference, trials)
    seen = best_score(trials)
    if unit is None:
        return limits.in_ratios({}, seen)
    machines = settings.machines_of()
    cycles = {phase: unit.cost_cycles(phase, machines[phase]) for phase in PHASES}
    return limits.in_ratios(cycles, seen)


def make_goal(
    settings: StudySettings, reference: Measurement | None, trials: Sequence[TrialRecord]
) -> Goal:
    """Return the goal of a study with these settings, after these trials."""
    limits = limits_of(settings, reference, trials)
    if settings.pareto:
        return ParetoFront(limits, highest_score(settings.metric))
    objective = objective_of(settings, limits.min_score)
    return SmallestObjective(
        objective, limits, settings.limits.score_margin, highest_score(settings.metric)
    )


def least_infeasible(trials: Iterable[TrialRecord], limits: RatioLimits) -> TrialRecord | None:
    """The least infeasible trial, the first of equals.

    That is the one by which the limits are exceeded least, as `RatioLimits.excess` adds it up.
    Trials that failed are left out.
    """
    distances = [
        (limits.excess(trial), trial.number, trial)
        for trial in trials
        if trial.state.name != "failed"
    ]
    return min(distances, key=lambda one: one[:2])[2] if distances else None


class Searched(Protocol):
    """A study, from its folder or when it has ended."""

    @property
    def settings(self) -> StudySettings:
        """The study's settings."""

    @property
    def reference(self) -> Measurement | None:
        """The reference's measurement; None where the first trial is the reference."""

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """Its trials."""


def cost_ratios(
    measurement: Measurement, unit: Measurement, machines: Mapping[PhaseName, str]
) -> dict[PhaseName, float]:
    """Return the cost of each phase on its machine, relative to another measurement's there."""
    return {
        phase: measurement.cost_cycles(phase, machines[phase])
        / unit.cost_cycles(phase, machines[phase])
        for phase in PHASES
    }


def objectives_by_machine(study: Searched) -> dict[str, dict[int, float]]:
    """The objective of each trial that succeeded, by its number, on each machine that runs it."""
    settings = study.settings
    least = limits_of(settings, study.reference, study.trials).min_score
    objective = objective_of(settings, least)
    unit = unit_of(study.reference, study.trials)
    found: dict[str, dict[int, float]] = {}
    for machine in settings.inference_machines:
        machines = settings.machines_of(machine)
        found[machine] = {
            trial.number: objective.value(
                cost_ratios(trial.measurement, unit, machines), trial.score
            )
            for trial in study.trials
            if trial.measurement is not None and unit is not None and trial.score is not None
        }
    return found


def ranking(objectives: Mapping[int, float]) -> list[int]:
    """Numbers of the trials, the best first; the earlier of equals."""
    return sorted(objectives, key=lambda number: (objectives[number], number))
