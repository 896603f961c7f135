"""Findings: the results of a study, finished or not, under given settings. Pure.

The end of a search, `powerml.best` and the report render them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from powerml.costs.counts import PHASES, PhaseName
from powerml.explain.predictions import PhaseErrors, prediction_errors_of
from powerml.studies.goal import (
    Goal,
    cost_ratios,
    front,
    make_goal,
    objectives_by_machine,
    point_of,
    ranking,
)
from powerml.studies.limits import RatioLimits
from powerml.studies.reader import StoredStudy
from powerml.studies.records import (
    ALL_QUANTITIES,
    LeaderComparison,
    Quantity,
    StudySettings,
    TrialRecord,
    Winner,
)
from powerml.studies.result import result_of
from powerml.studies.tradeoff import comparisons, leader

__all__ = ["Findings", "MachineFinding", "Outcome", "TrialFinding", "findings_of"]

Outcome = Literal["best", "front", "complete", "over_limits", "pruned", "failed"]


@dataclass(frozen=True)
class TrialFinding:
    """One trial, and what became of it.

    `trial` has the objective that is asked for. `violations` are the limits that it certainly
    misses, in words. `on_front` is whether no other trial is as good as it in score and all costs,
    whatever the limits. `proved` is what the models of a winner proved to be worth; None before a
    study has ended, and for others than the winners.
    """

    trial: TrialRecord
    outcome: Outcome
    violations: list[str]
    on_front: bool
    proved: Winner | None


@dataclass(frozen=True)
class MachineFinding:
    """Findings on one machine, which runs the inference.

    `cost_ratios` are those of the study's best there, empty where there is none. `objectives` are
    those of the trials that meet the limits, by their numbers.
    """

    name: str
    cost_ratios: Mapping[PhaseName, float]
    objectives: Mapping[int, float]

    @property
    def ranking(self) -> list[int]:
        """Numbers of the trials that meet the limits, the best there first."""
        return ranking(self.objectives)


@dataclass(frozen=True)
class Findings:
    """Results of a study, before they are put into words.

    Parameters
    ----------
    stored
        The study, with its own settings.
    settings
        The settings it is judged by.
    limits
        What the best has to meet, now that these trials have ended.
    trials
        In the order in which they ended.
    best, front
        The goal: the best, or the members of the front. A study of the front has no best.
    least_infeasible
        The least infeasible trial, where none is feasible.
    remark
        A warning if the weights prefer an inaccurate network.
    comparisons
        The best against the trials that lead in one quantity.
    leaders
        Of the best or the front, the trial that leads in each quantity.
    undecided
        Numbers of the untrained trials that might be better.
    prediction_errors
        How far off the cost model was, for each phase that it predicted.
    machines
        The study's machine, and the others that its inference is priced for.
    """

    stored: StoredStudy
    settings: StudySettings
    limits: RatioLimits
    trials: list[TrialFinding]
    best: TrialFinding | None
    front: list[TrialFinding]
    least_infeasible: TrialFinding | None
    remark: str | None
    comparisons: list[LeaderComparison]
    leaders: dict[Quantity, TrialRecord]
    undecided: list[int]
    prediction_errors: list[PhaseErrors]
    machines: list[MachineFinding]


def findings_of(stored: StoredStudy, settings: StudySettings | None = None) -> Findings:
    """Collect the results of a study, finished or not.

    Parameters
    ----------
    stored
        The study.
    settings
        The settings it is judged by; None for its own.

    Raises
    ------
    UsageError
        The weights of the settings are invalid.
    """
    settings = settings or stored.settings
    goal = make_goal(settings, stored.reference, stored.trials)
    trials = [
        trial.model_copy(update={"objective": goal.objective_value(trial)})
        for trial in stored.trials
    ]
    result = result_of(trials, goal)
    found = _trial_findings(trials, goal, {one.number for one in result.winners}, stored, settings)
    by_number = {one.trial.number: one for one in found}
    best = None if result.best is None else by_number[result.best.number]
    least = result.least_infeasible
    led = {quantity: leader(result.winners, quantity) for quantity in ALL_QUANTITIES}
    predicted = (prediction_errors_of(trials, phase) for phase in PHASES)
    return Findings(
        stored=stored,
        settings=settings,
        limits=goal.limits,
        trials=found,
        best=best,
        front=[by_number[one.number] for one in result.winners] if settings.pareto else [],
        least_infeasible=None if least is None else by_number[least.number],
        remark=result.remark,
        comparisons=[] if result.best is None else comparisons(result.best, trials),
        leaders={quantity: one for quantity, one in led.items() if one is not None},
        undecided=_undecided(trials, goal),
        prediction_errors=[one for one in predicted if one is not None],
        machines=_machines(stored, settings, goal.limits, result.best),
    )


def _trial_findings(
    trials: Sequence[TrialRecord],
    goal: Goal,
    winners: set[int],
    stored: StoredStudy,
    settings: StudySettings,
) -> list[TrialFinding]:
    points = [(point_of(trial, trial.score), trial.number) for trial in trials]
    known = [(point, number) for point, number in points if point is not None]
    leading = {known[place][1] for place in front([point for point, _ in known])}
    proved = {one.trial.number: one for one in stored.winners if one.trial.number in winners}

    def outcome(trial: TrialRecord) -> Outcome:
        if trial.outcome.name != "complete":
            return trial.outcome.name
        if trial.number in winners:
            return "front" if settings.pareto else "best"
        return "complete" if goal.limits.feasible(trial) else "over_limits"

    return [
        TrialFinding(
            trial=trial,
            outcome=outcome(trial),
            violations=goal.limits.violations(trial),
            on_front=trial.number in leading,
            proved=proved.get(trial.number),
        )
        for trial in trials
    ]


def _undecided(trials: Sequence[TrialRecord], goal: Goal) -> list[int]:
    return [
        trial.number
        for trial in trials
        if trial.state.name == "pruned" and goal.ruled_out(trial, trials) is None
    ]


def _machines(
    stored: StoredStudy, settings: StudySettings, limits: RatioLimits, best: TrialRecord | None
) -> list[MachineFinding]:
    measured, unit = None if best is None else best.measurement, stored.unit
    weighed = replace(stored, settings=settings)
    objectives = {} if settings.pareto else objectives_by_machine(weighed)
    barred = {trial.number for trial in stored.trials if not limits.feasible(trial)}
    return [
        MachineFinding(
            name=name,
            cost_ratios={}
            if measured is None or unit is None
            else cost_ratios(measured, unit, settings.machines_of(name)),
            objectives={
                number: value
                for number, value in objectives.get(name, {}).items()
                if number not in barred
            },
        )
        for name in settings.inference_machines
    ]
