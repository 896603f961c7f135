"""CommandRecord: the counts and costs of a command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from powerml.costs.cost import Accesses, PriceName
from powerml.costs.counts import Counts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Phase, Simulation
from powerml.tables import Cell, RecordTable, Tabular, table_of

__all__ = ["WHOLE", "CommandRecord", "ScopeCost"]

# The phase of a command that marks no region.
WHOLE = "process"


class ScopeCost(BaseModel):
    """Cost of one scope in one phase, with all scopes inside it.

    Its own cycles and those of the scopes inside it add up to its cycles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the scope; of the outermost one, that of the phase")
    entries: NonNegativeInt = Field(description="times that it was entered")
    cycles: dict[str, NonNegativeFloat] = Field(
        description="cycles by machine, with those of the scopes inside it"
    )
    own_cycles: dict[str, NonNegativeFloat] = Field(
        description="cycles by machine outside the scopes inside it"
    )
    counts: Counts = Field(
        description="counts on the first machine's caches, with those of the scopes inside it"
    )
    scopes: list[ScopeCost] = Field(description="scopes inside it, in the order of their entry")


class CommandRecord(Tabular, BaseModel):
    """One run of a command in the simulator. JSON: ``powerml.run/1``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.run/1"] = Field(
        default="powerml.run/1",
        alias="schema",
        description="name and version of the record's schema",
    )
    command: list[str] = Field(description="the command with its arguments")
    exit_code: int = Field(
        ge=0, description="exit code of the command; 128 and the signal's number if one ended it"
    )
    processes: int = Field(ge=1, description="processes that were counted")
    accesses: Accesses = Field(
        description="accesses that are priced: data, or all with instruction fetches"
    )
    price: PriceName = Field(description="name of the price")
    levels: Literal[2, 3] = Field(description="levels of caches that are priced")
    clock: str | None = Field(
        description="machine whose seconds by eq. 2.1 the command's clock told; null: real time"
    )
    phases: list[Phase] = Field(
        description="regions that the command marked, or the whole process; the steps are entries"
    )
    scopes: list[ScopeCost] = Field(description="scopes of each phase; the outermost is the phase")
    fingerprint: Fingerprint = Field(
        description="fingerprint of the counts, for the first machine's caches"
    )
    simulations: list[Simulation] = Field(
        default_factory=list, description="counts on other caches, if several were simulated"
    )
    remarks: list[str] = Field(
        default_factory=list, description="other influences on the costs, one sentence each"
    )
    seconds: NonNegativeFloat = Field(description="seconds that the run took")

    @property
    def machines(self) -> list[str]:
        """Names of the machines that it is priced for, in the order they were asked for."""
        return list(self.phases[0].costs)

    def phase(self, name: str) -> Phase:
        """Return the phase of that name; raises ``KeyError`` if there is none."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def _table(self) -> RecordTable:
        rows = [row for scope in self.scopes for row in _rows(scope, ())]
        return table_of(shlex.join(self.command), rows, self.remarks)

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)


def _rows(scope: ScopeCost, around: tuple[str, ...]) -> Iterator[dict[str, Cell]]:
    """Yield a row for a scope and each inside it, on each machine."""
    path = (*around, scope.name)
    for machine, cycles in scope.cycles.items():
        yield {
            "phase": path[0],
            "scope": " / ".join(path[1:]) or None,
            "machine": machine,
            "entries": scope.entries,
            "cycles": cycles,
            "own_cycles": scope.own_cycles[machine],
            "instructions": scope.counts.Ir,
            "data_accesses": scope.counts.data_accesses,
        }
    for inner in scope.scopes:
        yield from _rows(inner, path)
