"""The record of a check: costs, limits, and the nodes behind a regression."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.costs.cost import PriceName
from powerml.costs.fingerprint import Fingerprint
from powerml.explain.profile_record import ComparedRow

__all__ = [
    "EXIT_CODES",
    "CheckRecord",
    "CheckState",
    "CheckedLimit",
    "CheckedMemory",
    "CheckedModel",
    "CheckedPhase",
    "Unit",
]

CheckState = Literal["kept", "exceeded", "incomparable", "failed"]
Unit = Literal["cycles", "seconds", "joules", "bytes", "share"]
# The worst state of a check's models is the check's. The last ones come first.
EXIT_CODES: dict[CheckState, int] = {"failed": 1, "exceeded": 3, "incomparable": 4, "kept": 0}


class CheckedPhase(BaseModel):
    """One phase of a model: its cost, and its change against the baseline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    cycles: NonNegativeFloat = Field(description="cycles; of one inference in that phase")
    seconds: NonNegativeFloat | None = Field(
        description="seconds at the machine's clock; null by the price paper"
    )
    joules: NonNegativeFloat | None = Field(
        description="energy; null if the machine has no energies"
    )
    baseline_cycles: NonNegativeFloat | None = Field(
        default=None, description="the baseline's cycles; null if it has none that are comparable"
    )
    change: float | None = Field(
        default=None,
        description="cycles above the baseline's, as a share of those; null without a baseline",
    )
    causes: list[ComparedRow] = Field(
        default_factory=list,
        description="nodes whose cycles changed, in descending order of the difference; given "
        "where the regression is above its limit",
    )


class CheckedMemory(BaseModel):
    """Bytes of a deployed model, as they follow from its file alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needed_bytes: int | None = Field(
        description="weights and peak of activations together; null if not known"
    )
    file_bytes: int | None = Field(description="bytes of the deployed file; null if not known")


class CheckedLimit(BaseModel):
    """One limit, and the value that was held against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the limit, as in max-inference-cycles")
    phase: str | None = Field(description="phase whose value it is; null for bytes")
    unit: Unit = Field(
        description="unit of the limit and the value; a share is of the baseline's cycles"
    )
    limit: NonNegativeFloat = Field(description="the limit")
    value: float = Field(description="the value; for a regression the change")
    exceeded: bool = Field(description="true if the value is above the limit")
    line: int = Field(ge=1, description="line of the configuration that sets the limit")


class CheckedModel(BaseModel):
    """One model of the configuration, measured and held against its limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the model in the configuration")
    model: str = Field(description="the model: a file, a topology, or module:function")
    machine: str | None = Field(description="machine that its limits are for; null if it failed")
    price: PriceName | None = Field(description="price of its costs; null if it failed")
    state: CheckState = Field(
        description="kept; exceeded: a limit; incomparable: with its baseline; failed"
    )
    phases: list[CheckedPhase] = Field(default_factory=list, description="measured phases")
    memory: CheckedMemory | None = Field(
        default=None, description="bytes of the deployed model; null if nothing is deployed"
    )
    limits: list[CheckedLimit] = Field(
        default_factory=list, description="limits that were held; none of a baseline that differs"
    )
    differences: list[str] = Field(
        default_factory=list,
        description="differences to the baseline's origin, each as field: before, now",
    )
    failure: str | None = Field(default=None, description="the error; null unless it failed")
    remarks: list[str] = Field(default_factory=list, description="doubts, one sentence each")
    fingerprint: Fingerprint | None = Field(
        default=None, description="fingerprint of the counts; null if it failed"
    )
    line: int = Field(default=1, ge=1, description="line of the configuration that names it")

    @property
    def exceeded(self) -> list[CheckedLimit]:
        """The limits that are exceeded."""
        return [one for one in self.limits if one.exceeded]

    @property
    def decisive_place(self) -> int:
        """The place among the phases of the first that exceeds a limit; 0 if none does."""
        above = {one.phase for one in self.exceeded}
        places = (place for place, phase in enumerate(self.phases) if phase.name in above)
        return next(places, 0)

    def phase(self, name: str) -> CheckedPhase:
        """Return the phase of that name; raises ``KeyError`` if it was not measured."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)


class CheckRecord(BaseModel):
    """A check of a configuration's models. JSON: ``powerml.check/1``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.check/1"] = Field(
        default="powerml.check/1",
        alias="schema",
        description="name and version of the record's schema",
    )
    config: str = Field(description="the configuration's file")
    baseline: str | None = Field(
        description="the baseline's file; null if none was read or written"
    )
    updated: bool = Field(description="true if the baseline was written")
    state: CheckState = Field(
        description="the worst state of its models: failed, exceeded, incomparable, kept"
    )
    models: list[CheckedModel] = Field(description="the models, in the configuration's order")
    seconds: NonNegativeFloat = Field(description="seconds that the check took")

    @property
    def exit_code(self) -> int:
        """The exit code of the command line."""
        return EXIT_CODES[self.state]

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)
