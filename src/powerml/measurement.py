"""Measurement: the record of one workload's counts and costs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.cost import Accesses, Cost, price
from powerml.counts import PhaseCounts
from powerml.fingerprint import Fingerprint
from powerml.machines import Machine
from powerml.workload import Workload

__all__ = ["Measurement", "Phase", "price_phases"]


class Phase(PhaseCounts):
    """Counts of one phase, priced for each machine by name."""

    costs: dict[str, Cost]


class Measurement(BaseModel):
    """One workload, measured. JSON: ``powerml.measurement/1``.

    `score` is the accuracy from 0 to 1 of the natively trained model on `score_split`, averaged
    over `scores`, or None where nothing was trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.measurement/1"] = Field(
        default="powerml.measurement/1", alias="schema"
    )
    workload: Workload
    accesses: Accesses
    phases: list[Phase]
    score: float | None = Field(ge=0, le=1)
    score_split: Literal["validation", "test"] | None
    scores: list[float] = Field(default_factory=list)
    fingerprint: Fingerprint
    seconds: NonNegativeFloat

    def phase(self, name: str) -> Phase:
        """Return the phase of that name; raises ``KeyError`` where it was not measured."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def cost_cycles(self, phase: str, machine: str) -> float:
        """Cost of a phase on a machine, in processor cycles."""
        return self.phase(phase).costs[machine].cycles

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)


def price_phases(phases: list[PhaseCounts], machine: Machine, accesses: Accesses) -> list[Phase]:
    """Price what a meter has counted."""
    return [
        Phase(
            **phase.model_dump(),
            costs={machine.name: price(phase.counts, machine, accesses)},
        )
        for phase in phases
    ]
