"""Records of the analysis of a study."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from powerml.costs.cost import PriceName
from powerml.costs.counts import PHASES
from powerml.studies.earlier import by_phase, of_schema, renamed
from powerml.studies.limits import Limits
from powerml.studies.records import CostRatios, LeaderComparison, Prediction, Quantity, TrialRecord
from powerml.tables import Cell, RecordTable, Tabular, table_of

__all__ = ["BestRecord", "Importance", "Neighbour"]


class Neighbour(BaseModel):
    """A topology one step from another in one parameter, the batch size among them.

    Neighbours of ``powerml.best/2`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameter: str = Field(description="the parameter that differs")
    step: Literal[-1, 1] = Field(description="difference of the parameter")
    topology: str = Field(description="as in dffr:layers=2,width=16")
    batch_size: int = Field(description="samples in a batch of the training")
    trial: int | None = Field(
        default=None, description="number of its trial; null if it was not tried"
    )
    cost_ratios: CostRatios = Field(
        default_factory=dict,
        description="cost of each phase in that trial, relative to the reference's",
    )
    score: float | None = Field(default=None, description="score of that trial")
    prediction: Prediction | None = Field(
        default=None, description="prediction for an untried topology"
    )
    objective: float | None = Field(
        default=None, description="objective value by its costs and its score, known or expected"
    )
    violations: list[str] = Field(
        default_factory=list, description="its violations, known or expected, in words"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = by_phase(content, "cost_ratios", "{}_cost_ratio")
        return renamed(content, {"broken": "violations"})


class Importance(BaseModel):
    """Importance of each parameter for one quantity, in shares that sum to 1.

    The shares are those of each parameter alone in the quantity's variance, by fANOVA over `trials`
    different topologies. The share is None for a parameter with the same value in all of them.
    Without shares `missing` gives the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: Quantity = Field(description="quantity whose variance is explained")
    trials: int = Field(description="different topologies that it was computed from")
    shares: dict[str, float | None] | None = Field(
        default=None,
        description="shares by parameter, null for one that never changed",
    )
    missing: str | None = Field(default=None, description="reason why there are no shares")


class BestRecord(Tabular, BaseModel):
    """The best of a study by weights and limits that may be chosen afterwards.

    JSON: ``powerml.best/4``. The trial's objective is the one asked for. `models` is where its
    models lie in the study's folder, or None where they were not kept. Where no trial is feasible,
    `best` is None and `least_infeasible` is given with its `violations`. `undecided` are the trials
    that were not trained and might be better. `remark` says so where the weights prefer an
    inaccurate network. Records of ``powerml.best/1``, ``/2`` and ``/3`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.best/4"] = Field(
        default="powerml.best/4", alias="schema", description="name and version of the schema"
    )
    folder: str = Field(description="folder of the study")
    objective: str = Field(description="name of the objective")
    alpha: float = Field(description="weight of the training cost")
    beta: float = Field(description="weight of the inference cost")
    limits: Limits = Field(description="limits of the best")
    machine: str = Field(
        description="machine of the objective; of its inference alone where a training machine is "
        "given"
    )
    training_machine: str | None = Field(
        default=None, description="machine of the training; null for the same machine"
    )
    price: PriceName = Field(default="paper", description="name of the price of the costs")
    reference: str | None = Field(
        description="topology that costs are relative to; null for the first trial"
    )
    trials: int = Field(description="trials of the study")
    best: TrialRecord | None = Field(description="the best trial; null where none is feasible")
    models: str | None = Field(
        default=None,
        description="folder of its models within the study's; null where they were not kept",
    )
    least_infeasible: TrialRecord | None = Field(
        default=None, description="the least infeasible trial, where none is feasible"
    )
    violations: list[str] = Field(default_factory=list, description="its violations, in words")
    undecided: list[int] = Field(
        default_factory=list, description="trials that were not trained, and might be better"
    )
    remark: str | None = Field(
        default=None, description="a warning where the weights prefer an inaccurate network"
    )
    comparisons: list[LeaderComparison] = Field(
        default_factory=list, description="the best against the trials that lead in one quantity"
    )
    neighbours: list[Neighbour] = Field(
        default_factory=list, description="topologies one step from the best"
    )
    importances: list[Importance] = Field(
        default_factory=list, description="importance of each parameter for each quantity"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = of_schema(content, "powerml.best", (1, 2, 3), 4)
        return renamed(content, {"nearest": "least_infeasible", "broken": "violations"})

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        found = self.best or self.least_infeasible
        topologies = [] if found is None else [_cells("best" if self.best else "least", found)]
        return table_of(
            f"best of {self.trials} trials in {self.folder}",
            [
                *topologies,
                *(_cells(f"{one.parameter} {one.step:+d}", one) for one in self.neighbours),
            ],
            [one for one in (*self.violations, self.remark) if one is not None],
        )


def _cells(step: str, found: TrialRecord | Neighbour) -> dict[str, Cell]:
    """Return the best or one of its neighbours by column, as known or predicted."""
    prediction = found.prediction if isinstance(found, Neighbour) else None
    shown = found if prediction is None else prediction
    return {
        "step": step,
        "topology": found.topology,
        "batch_size": found.batch_size,
        "trial": found.trial if isinstance(found, Neighbour) else found.number,
        "predicted": prediction is not None,
        "score": shown.score,
        **{f"{phase}_cost_ratio": shown.cost_ratios.get(phase) for phase in PHASES},
        "objective": found.objective,
    }
