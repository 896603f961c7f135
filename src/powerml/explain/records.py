"""Records of what a study tells once it has run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.studies.limits import Limits
from powerml.studies.records import Comparison, Prediction, Quantity, TrialRecord

__all__ = ["BestRecord", "Importance", "Neighbour"]


class Neighbour(BaseModel):
    """A topology one step from another in one parameter, the batch size among them.

    `trial` is the number of the trial that tried it; else `prediction` is what is expected of it.
    `objective` follows from either, where both costs and the score are there; `broken` says which
    limits it breaks by what is known or expected of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameter: str
    step: Literal[-1, 1]
    topology: str
    batch_size: int
    trial: int | None = None
    training_cost_ratio: NonNegativeFloat | None = None
    inference_cost_ratio: NonNegativeFloat | None = None
    score: float | None = None
    prediction: Prediction | None = None
    objective: float | None = None
    broken: list[str] = []


class Importance(BaseModel):
    """How much each parameter mattered to one quantity, in shares that sum to 1.

    The shares are those of each parameter alone in the quantity's variance, by fANOVA over
    `trials` different topologies; that of a parameter that was the same in all of them is None,
    for nothing is known of it. There are no shares where `missing` says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: Quantity
    trials: int
    shares: dict[str, float | None] | None = None
    missing: str | None = None


class BestRecord(BaseModel):
    """The best of a study by weights and limits that may be chosen afterwards.

    JSON: ``powerml.best/2``. The trial's objective is the one asked for. `models` is where its
    models lie in the study's folder, or None where they were not kept. Where no trial obeys the
    limits, `best` is None and `nearest` the one that comes nearest, of which `broken` says what
    it breaks. `undecided` are the trials that were not trained and might be better. `remark`
    says so where the weights prefer an inaccurate network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.best/2"] = Field(default="powerml.best/2", alias="schema")
    folder: str
    objective: str
    alpha: float
    beta: float
    limits: Limits
    machine: str
    reference: str | None
    trials: int
    best: TrialRecord | None
    models: str | None = None
    nearest: TrialRecord | None = None
    broken: list[str] = Field(default_factory=list)
    undecided: list[int] = Field(default_factory=list)
    remark: str | None = None
    comparisons: list[Comparison] = Field(default_factory=list)
    neighbours: list[Neighbour] = Field(default_factory=list)
    importances: list[Importance] = Field(default_factory=list)

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)
