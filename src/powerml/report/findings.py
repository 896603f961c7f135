"""Findings: all that a report of a study says, whatever it is rendered as."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.costs.fingerprint import Fingerprint
from powerml.explain.records import Importance
from powerml.studies.records import Quantity, StudySettings

__all__ = ["Findings", "MachineFinding", "Outcome", "Price", "Reproduction", "Row"]

Outcome = Literal["best", "front", "complete", "over_limits", "pruned", "failed"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Price(_Record):
    """What a phase costs: in processor cycles, relative to the reference, and in joules.

    `joules` are estimates, and None where the machine's profile has no energies.
    """

    cycles: NonNegativeFloat
    ratio: NonNegativeFloat | None
    joules: NonNegativeFloat | None


class Row(_Record):
    """One trial.

    `outcome` is what became of it, and `remark` says more. `on_front` is whether no other trial
    is as good as it in score and both costs. `parameters` are the family's, `weights` the number
    of weights and biases. `test_score` and `exported`, the deployed model in the study's
    folder, are told of winners alone, once the study has ended.
    """

    number: int
    topology: str
    batch_size: int
    parameters: dict[str, int]
    weights: int | None
    score: float | None
    test_score: float | None
    training: Price | None
    inference: Price | None
    objective: float | None
    outcome: Outcome
    on_front: bool
    remark: str
    exported: str | None = None


class MachineFinding(_Record):
    """What the best costs on one machine, and which trial is the best there.

    `best` is None where no trial has an objective.
    """

    name: str
    training: Price | None
    inference: Price | None
    best: int | None
    objective: float | None


class Reproduction(_Record):
    """What repeats a study: the command, and what has to be the same beside it.

    `notes` say where the command alone does not repeat it. `fingerprint` is None where nothing
    was measured.
    """

    command: str
    resume: str | None
    seed: int
    jobs: list[int]
    data_digest: str
    profiles_digest: str
    backend: str
    fingerprint: Fingerprint | None
    notes: list[str]


class Findings(_Record):
    """What a study has found. JSON: ``powerml.report/1``.

    `headline` is the result in one sentence, and `notes` are what whoever reads it must know.
    `most_training_ratio` and `most_inference_ratio` are the limits of its costs, relative too.
    `unit` is what costs are relative to, whose own costs are `unit_training` and
    `unit_inference`, and whose scores on the split that chooses and on the test split are
    `unit_score` and `unit_test_score`. `wanted_trials` is how many trials the study was to
    have. `best` is the number of the best trial; it is None where there is none and in a study
    of the front. Where no trial obeys the limits, `nearest` is the number of the one that comes
    nearest. `leaders` are the numbers of the winners that lead in one quantity. The cost of the
    inference is that of `inference_of`.
    """

    schema_: Literal["powerml.report/1"] = Field(default="powerml.report/1", alias="schema")
    study: str
    title: str
    headline: str
    sought: str
    notes: list[str]
    settings: StudySettings
    unit: str | None
    unit_score: float | None = None
    unit_test_score: float | None = None
    unit_training: Price | None
    unit_inference: Price | None
    inference_of: str
    most_training_ratio: float | None
    most_inference_ratio: float | None
    wanted_trials: int
    best: int | None
    nearest: int | None
    leaders: dict[Quantity, int]
    comparisons: list[str]
    rows: list[Row]
    importances: list[Importance]
    machines: list[MachineFinding]
    reproduction: Reproduction

    def to_json(self) -> str:
        """Return the findings as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def row(self, number: int | None) -> Row | None:
        """The trial of that number."""
        return next((row for row in self.rows if row.number == number), None)
