"""Ranking: what the trials of a study are worth on each of its machines. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from powerml.goal import limits_of, objective_of, unit_of
from powerml.measurement import Measurement
from powerml.records import StudySettings, TrialRecord

__all__ = ["cost_ratios", "objectives_by_machine", "ranking"]


class Searched(Protocol):
    """A study, from its folder or when it has ended."""

    @property
    def settings(self) -> StudySettings:
        """What it is."""

    @property
    def reference(self) -> Measurement | None:
        """What its costs are relative to; None where the first trial is."""

    @property
    def trials(self) -> Sequence[TrialRecord]:
        """Its trials."""


def cost_ratios(measurement: Measurement, unit: Measurement, machine: str) -> tuple[float, float]:
    """Costs of training and inference on a machine, relative to another measurement's there."""
    training, inference = (
        measurement.cost_cycles(phase, machine) / unit.cost_cycles(phase, machine)
        for phase in ("training", "inference")
    )
    return training, inference


def objectives_by_machine(study: Searched) -> dict[str, dict[int, float]]:
    """The objective of each trial that succeeded, by its number, on each machine of the study."""
    settings = study.settings
    least = limits_of(settings, study.reference, study.trials).min_score
    objective = objective_of(settings, least)
    unit = unit_of(study.reference, study.trials)
    found: dict[str, dict[int, float]] = {}
    for machine in (settings.machine, *settings.other_machines):
        found[machine] = {
            trial.number: objective.value(
                *cost_ratios(trial.measurement, unit, machine), trial.score
            )
            for trial in study.trials
            if trial.measurement is not None and unit is not None and trial.score is not None
        }
    return found


def ranking(objectives: dict[int, float]) -> list[int]:
    """Numbers of the trials, the best first; the earlier of equals."""
    return sorted(objectives, key=lambda number: (objectives[number], number))
