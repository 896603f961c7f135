"""Outcomes of the studies: the part of each that tables and figures need."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    ValidationError,
    model_validator,
)

from powerml.costs.counts import PHASES, PhaseName
from powerml.costs.fingerprint import Fingerprint
from powerml.paper.plan import PlannedStudy
from powerml.paper.settings import SETTINGS, Setting
from powerml.studies.earlier import of_schema, renamed
from powerml.studies.records import StudyRecord, TrialRecord

__all__ = ["EvaluatedTrial", "StudyOutcome", "outcome_of", "read_outcome"]


class EvaluatedTrial(BaseModel):
    """One trial. Costs are in processor cycles, ratios of the study's reference.

    A value that a trial lacks is None: the score if it was pruned, costs if it failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int = Field(description="number of the trial")
    topology: str = Field(description="topology of the trial")
    batch_size: int = Field(description="samples in a batch")
    objective: float | None = Field(description="objective value of the trial")
    score: float | None = Field(description="score of the trial")
    cost_cycles: dict[PhaseName, NonNegativeFloat] | None = Field(
        description="costs by phase, in cycles"
    )
    cost_ratio: dict[PhaseName, NonNegativeFloat] | None = Field(
        description="costs by phase, relative to the reference's"
    )
    pruned: str | None = Field(description="reason why it was not trained")


class StudyOutcome(BaseModel):
    """A study of the reproduction that has ended. JSON: ``powerml.outcome/2``.

    `options` are those of its search. `best` is the number of its best trial, None where no trial
    meets the limits; `test_score` is the best's. Outcomes of ``powerml.outcome/1`` are read
    too.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )

    schema_: Literal["powerml.outcome/2"] = Field(default="powerml.outcome/2", alias="schema")
    way: str
    space: str
    setting_number: int
    seed: int
    options: dict[str, Any]
    machine: str
    reference: str
    fingerprint: Fingerprint
    trials: list[EvaluatedTrial] = Field(min_length=1)
    best: int | None
    test_score: float | None
    remark: str | None
    seconds: NonNegativeFloat

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = of_schema(content, "powerml.outcome", (1,), 2)
        return renamed(content, {"family": "space"})

    @model_validator(mode="after")
    def _best_is_one_of_the_trials(self) -> Self:
        if self.best is not None and self.winner is None:
            raise ValueError(f"trial {self.best} is the best, but none of the trials")
        return self

    @property
    def setting(self) -> Setting:
        """Its weights."""
        return SETTINGS[self.setting_number - 1]

    @property
    def winner(self) -> EvaluatedTrial | None:
        """Its best trial."""
        return next((trial for trial in self.trials if trial.number == self.best), None)


def outcome_of(planned: PlannedStudy, study: StudyRecord) -> StudyOutcome:
    """Return the outcome of a study."""
    measured = [trial.measurement for trial in study.trials if trial.measurement is not None]
    return StudyOutcome(
        way=planned.way.name,
        space=planned.space,
        setting_number=planned.setting.number,
        seed=planned.seed,
        options=planned.options,
        machine=study.settings.machine,
        reference=study.settings.reference,
        fingerprint=measured[0].fingerprint,
        trials=[_evaluated(trial, study.settings.machine) for trial in study.trials],
        best=None if study.best is None else study.best.number,
        test_score=study.test_score,
        remark=study.remark,
        seconds=study.seconds,
    )


def _evaluated(trial: TrialRecord, machine: str) -> EvaluatedTrial:
    measured, outcome = trial.measurement, trial.outcome
    return EvaluatedTrial(
        number=trial.number,
        topology=trial.topology,
        batch_size=trial.batch_size,
        objective=trial.objective,
        score=trial.score,
        cost_cycles=None
        if measured is None
        else {phase: measured.cost_cycles(phase, machine) for phase in PHASES},
        cost_ratio=trial.cost_ratios or None,
        pruned=outcome.reason if outcome.name == "pruned" else None,
    )


def read_outcome(path: Path, planned: PlannedStudy) -> StudyOutcome | None:
    """Read the outcome of a study; None if it cannot be read or is of another study."""
    try:
        found = StudyOutcome.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
    key = (found.way, found.space, found.setting_number, found.seed, found.options)
    wanted = (planned.way.name, planned.space, planned.setting.number, planned.seed)
    return found if key == (*wanted, planned.options) else None
