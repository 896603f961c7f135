"""Records of profiles and of their comparison: costs by node, library and function."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from powerml.costs.cost import Accesses, PriceName
from powerml.costs.counts import Counts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import UnknownNameError
from powerml.meters.simulator.charges import INTERPRETER, RUNTIME
from powerml.tables import RecordTable, Tabular
from powerml.workloads.workload import AnyWorkload

__all__ = [
    "GROUPINGS",
    "INTERPRETER",
    "RUNTIME",
    "ComparedPhase",
    "ComparedRow",
    "Comparison",
    "Grouping",
    "Part",
    "Profile",
    "ProfileRow",
    "ProfiledPhase",
    "check_grouping",
]

Grouping = Literal["node", "library", "function"]
GROUPINGS: tuple[str, ...] = get_args(Grouping)
Part = Literal["forward", "backward", "update"]


class ProfileRow(BaseModel):
    """Cost of one node, library or function in one phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        description="name of the node, library or function; runtime and interpreter are what "
        "belongs to no node"
    )
    kind: str | None = Field(
        default=None,
        description="the operator of a node, as Conv; the library of a function; null if untold",
    )
    part: Part | None = Field(
        default=None, description="part of a training step; null for other phases and rows"
    )
    nodes: list[str] = Field(
        default_factory=list,
        description="the model's nodes that were fused into it; none where it is one of them",
    )
    cycles: NonNegativeFloat = Field(description="its cycles; those of a phase's rows add up")
    share: NonNegativeFloat = Field(description="its share of the phase's cycles, from 0 to 1")
    multiply_accumulates: NonNegativeInt | None = Field(
        default=None, description="multiply-accumulates of a node; null where they are untold"
    )
    data_bytes: NonNegativeInt | None = Field(
        default=None,
        description="bytes of a node's inputs, weights and outputs; null where they are untold",
    )
    counts: Counts = Field(description="its counts; those of a phase's rows add up")


class ProfiledPhase(BaseModel):
    """Cost of one phase, by node, by library and by function.

    The rows of each grouping come in descending order of cycles, and add up to the phase.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    runs: int = Field(ge=1, description="inferences that the costs are of; 1 for other phases")
    cycles: NonNegativeFloat = Field(description="cycles of the phase")
    seconds: NonNegativeFloat | None = Field(
        description="seconds of the phase at the machine's clock; null by the price paper"
    )
    joules: NonNegativeFloat | None = Field(
        description="energy of the phase; null if the machine has no energies"
    )
    counts: Counts = Field(description="counts of the phase")
    rows: dict[Grouping, list[ProfileRow]] = Field(description="rows by grouping")


class Profile(Tabular, BaseModel):
    """Cost of a workload on one machine, and its origin. JSON: ``powerml.profile/1``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.profile/1"] = Field(
        default="powerml.profile/1",
        alias="schema",
        description="name and version of the record's schema",
    )
    title: str = Field(description="the model as it was named")
    workload: AnyWorkload = Field(discriminator="kind", description="workload that was profiled")
    machine: str = Field(description="machine that the counts are priced for")
    price: PriceName = Field(description="name of the price")
    accesses: Accesses = Field(
        description="accesses that are priced: data, or all with instruction fetches"
    )
    levels: Literal[2, 3] = Field(default=2, description="levels of caches that are priced")
    phases: list[ProfiledPhase] = Field(description="phases with their rows")
    fingerprint: Fingerprint = Field(description="fingerprint of the counts")
    training_fingerprint: Fingerprint | None = Field(
        default=None,
        description="fingerprint of the training's counts; null if it is the same or there is none",
    )
    remarks: list[str] = Field(
        default_factory=list, description="other influences on the costs, one sentence each"
    )
    seconds: NonNegativeFloat = Field(description="seconds that the profiling took")

    def phase(self, name: str) -> ProfiledPhase:
        """Return the phase of that name; raises ``KeyError`` if it was not profiled."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        from powerml.explain.profile_rows import profile_table

        return profile_table(self)

    def _shown_tables(self) -> list[RecordTable]:
        from powerml.explain.profile_rows import shown_phase_tables

        return shown_phase_tables(self)


class ComparedRow(BaseModel):
    """Cost of one node, library or function before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the node, library or function")
    kind: str | None = Field(default=None, description="operator of a node, library of a function")
    part: Part | None = Field(default=None, description="part of a training step")
    before_cycles: NonNegativeFloat | None = Field(description="cycles before; null if it is new")
    after_cycles: NonNegativeFloat | None = Field(description="cycles after; null if it is gone")
    difference_cycles: float = Field(
        description="cycles after less those before; those of a phase's rows add up"
    )


class ComparedPhase(BaseModel):
    """One phase of two workloads; the rows come in descending order of their absolute difference.

    The rows of each grouping add up to the phase's difference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    before_cycles: NonNegativeFloat = Field(description="cycles of the phase before")
    after_cycles: NonNegativeFloat = Field(description="cycles of the phase after")
    difference_cycles: float = Field(description="cycles after less those before")
    rows: dict[Grouping, list[ComparedRow]] = Field(description="rows by grouping")
    remarks: list[str] = Field(
        default_factory=list, description="doubts about the match of its nodes, one sentence each"
    )


class Comparison(Tabular, BaseModel):
    """Two workloads on one machine, and what makes their difference.

    JSON: ``powerml.comparison/1``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.comparison/1"] = Field(
        default="powerml.comparison/1",
        alias="schema",
        description="name and version of the record's schema",
    )
    before: str = Field(description="the first workload as it was named")
    after: str = Field(description="the second workload as it was named")
    machine: str = Field(description="machine that the counts are priced for")
    price: PriceName = Field(description="name of the price")
    phases: list[ComparedPhase] = Field(description="phases that both have")
    remarks: list[str] = Field(default_factory=list, description="doubts, one sentence each")

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        from powerml.explain.compared_rows import comparison_table

        return comparison_table(self)

    def _shown_tables(self) -> list[RecordTable]:
        from powerml.explain.compared_rows import shown_comparison_tables

        return shown_comparison_tables(self)


def check_grouping(name: str) -> Grouping:
    """Check the name of a grouping; raises ``UnknownNameError``."""
    if name == "node":
        return "node"
    if name == "library":
        return "library"
    if name == "function":
        return "function"
    raise UnknownNameError("grouping", name, GROUPINGS)
