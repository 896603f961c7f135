"""The record of a report: its whole content, independent of the format."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from powerml.costs.counts import PhaseName
from powerml.costs.fingerprint import Fingerprint
from powerml.explain.findings import Outcome
from powerml.explain.records import Importance
from powerml.memory.record import Memory
from powerml.spaces.values import Value
from powerml.studies.earlier import by_phase, of_schema, renamed
from powerml.studies.records import CostRatios, Quantity, StudySettings

__all__ = [
    "BestNodes",
    "MachineRow",
    "NodeRow",
    "Price",
    "Prices",
    "Repetition",
    "Report",
    "TrialRow",
]


class _ReportRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Price(_ReportRecord):
    """Cost of a phase."""

    cycles: NonNegativeFloat = Field(description="processor cycles")
    ratio: NonNegativeFloat | None = Field(description="cost relative to the reference's")
    seconds: NonNegativeFloat | None = Field(
        default=None, description="seconds at the machine's clock; null by the price paper"
    )
    joules: NonNegativeFloat | None = Field(
        description="estimated joules; null if the machine's profile has no energies"
    )


Prices = dict[PhaseName, Price]


class TrialRow(_ReportRecord):
    """One trial."""

    number: int = Field(description="the trial's number")
    topology: str = Field(description="as in dffr:layers=2,width=16")
    batch_size: int = Field(description="samples in a batch of the training")
    parameters: dict[str, Value] = Field(description="the space's parameters by name")
    weights: int | None = Field(description="number of weights and biases")
    memory: Memory | None = Field(
        default=None,
        description="bytes that its untrained network takes where it is deployed; null if not "
        "known, and in earlier records",
    )
    score: float | None = Field(description="score on the split that chooses")
    score_deviation: NonNegativeFloat | None = Field(
        default=None,
        description="standard deviation of its trainings' scores; null for fewer than two",
    )
    test_score: float | None = Field(
        description="score on the test split; of winners alone, once the study has ended"
    )
    costs: Prices = Field(description="cost of each phase; empty if it was not counted")
    objective: float | None = Field(description="objective value")
    outcome: Outcome = Field(description="outcome of the trial")
    on_front: bool = Field(description="true if no other trial is as good in score and all costs")
    remark: str = Field(description="details of the outcome")
    exported: str | None = Field(
        default=None, description="the deployed model of a winner in the study's folder"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return by_phase(content, "costs", "{}")


class MachineRow(_ReportRecord):
    """Costs of the study's best with the inference on one machine, and the best trial there."""

    name: str = Field(description="the machine's name")
    costs: Prices = Field(description="cost of each phase of the study's best there")
    best: int | None = Field(
        description="number of the best trial there; null if no trial has an objective value"
    )
    objective: float | None = Field(description="objective value of that trial there")

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return by_phase(content, "costs", "{}")


class NodeRow(_ReportRecord):
    """Cost of a node of the best, of what belongs to no node, or of several together."""

    name: str = Field(description="name of the node; runtime and interpreter are none")
    kind: str | None = Field(description="the node's operator; null if it is not told")
    cycles: NonNegativeFloat = Field(description="its cycles in one inference")
    share: NonNegativeFloat = Field(description="its share of the inference, from 0 to 1")


class BestNodes(_ReportRecord):
    """Cost of the best's inference by node, or the reason why it is not known."""

    machine: str | None = Field(default=None, description="machine that it is priced for")
    price: str | None = Field(default=None, description="name of the price")
    cycles: NonNegativeFloat | None = Field(default=None, description="cycles of one inference")
    rows: list[NodeRow] = Field(
        default_factory=list, description="the most expensive nodes, in descending order"
    )
    others: NodeRow | None = Field(
        default=None, description="all other nodes together; null if there are none"
    )
    missing: str | None = Field(default=None, description="reason why there are no rows")
    command: str | None = Field(
        default=None, description="command that profiles the best, in the study's folder"
    )


class Repetition(_ReportRecord):
    """The command that repeats a study, and the environment that it requires."""

    command: str = Field(description="command that repeats the trials")
    resume: str | None = Field(
        description="command that continues the study; null if it is finished"
    )
    seed: int = Field(description="seed of the search and of the first training")
    jobs: list[int] = Field(description="trials under way at once, for each run")
    data_digest: str = Field(description="SHA-256 of the data")
    profiles_digest: str = Field(description="SHA-256 of the machines' profiles")
    backend: str = Field(description="Keras's backend")
    fingerprint: Fingerprint | None = Field(
        description="fingerprint of the counts; null if nothing was measured"
    )
    training_fingerprint: Fingerprint | None = Field(
        default=None,
        description="fingerprint of the training's counts; null if they are of the same caches",
    )
    notes: list[str] = Field(
        description="limits of the repetition by the command, one sentence each"
    )

    @property
    def software(self) -> dict[str, str]:
        """Versions of all that was counted, by the name of the software."""
        counted = [one for one in (self.fingerprint, self.training_fingerprint) if one is not None]
        return {name: version for one in counted for name, version in one.software.items()}


class Report(_ReportRecord):
    """Report of a study. JSON: ``powerml.report/2``. ``powerml.report/1`` is read too."""

    schema_: Literal["powerml.report/2"] = Field(
        default="powerml.report/2", alias="schema", description="name and version of the schema"
    )
    study: str = Field(description="name of the study's folder")
    title: str = Field(description="space and data of the search")
    headline: str = Field(description="the result in one sentence")
    sought: str = Field(description="goal of the study in one sentence")
    notes: list[str] = Field(description="notes for the reader")
    settings: StudySettings = Field(description="settings of the study")
    unit: str | None = Field(
        description="topology that costs are relative to; null for the first trial"
    )
    unit_score: float | None = Field(
        default=None, description="score of the unit on the split that chooses"
    )
    unit_test_score: float | None = Field(
        default=None, description="score of the unit on the test split"
    )
    unit_costs: Prices = Field(description="cost of each phase of the unit")
    inference_of: str = Field(description="unit of the inference's cost, as in one sample")
    max_cost_ratios: CostRatios = Field(
        description="limits of the costs, relative to the unit's; a missing phase has none"
    )
    wanted_trials: int = Field(description="trials that the study was to have")
    best: int | None = Field(
        description="number of the best trial; null if there is none, or a front is searched"
    )
    least_infeasible: int | None = Field(
        description="number of the least infeasible trial, where none is feasible"
    )
    leaders: dict[Quantity, int] = Field(
        description="numbers of the winners that lead in one quantity"
    )
    comparisons: list[str] = Field(
        description="the best against the trials that lead in one quantity, in sentences"
    )
    rows: list[TrialRow] = Field(description="all trials, in the order in which they ended")
    importances: list[Importance] = Field(
        description="importance of each parameter for each quantity"
    )
    machines: list[MachineRow] = Field(description="results on each machine")
    nodes: BestNodes | None = Field(
        default=None,
        description="cost of the best by node; null if there is no best, and in earlier records",
    )
    reproduction: Repetition = Field(description="repetition of the study")

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = of_schema(content, "powerml.report", (1,), 2)
        content = renamed(content, {"nearest": "least_infeasible"})
        content = by_phase(content, "unit_costs", "unit_{}")
        return by_phase(content, "max_cost_ratios", "most_{}_ratio")

    def to_json(self) -> str:
        """Return the report as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def row(self, number: int | None) -> TrialRow | None:
        """Return the trial of that number."""
        return next((row for row in self.rows if row.number == number), None)
