"""A reproduction as a whole: all its figures, and the checks of the requirements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from powerml.paper.checks import Convergence, Saving, convergences, savings
from powerml.paper.figures import (
    Architecture,
    Deviation,
    Preference,
    ReproducedResult,
    architectures,
    deviations,
    preferences,
    results,
)
from powerml.paper.original import ARCHITECTURE_FIGURES
from powerml.paper.outcomes import StudyOutcome
from powerml.paper.plan import Plan
from powerml.studies.earlier import of_schema, renamed
from powerml.tables import RecordTable, Tabular, cells_of, table_of

__all__ = ["Reproduction", "summarize"]

COSTS, DEVIATIONS = 2, 3  # the figures' numbers


class Reproduction(Tabular, BaseModel):
    """The result of `powerml.reproduce`. JSON: ``powerml.reproduction/2``.

    `results` are Figure 2, `deviations` Figure 3, `architectures` Figures 4 and 5; each is empty if
    its figure was not requested. `software` are the versions behind the counts. `seconds` is the
    total time that the studies took when they were made. Records of
    ``powerml.reproduction/1`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.reproduction/2"] = Field(
        default="powerml.reproduction/2",
        alias="schema",
        description="name and version of the schema",
    )
    settings: list[int] = Field(description="numbers of the paper's settings")
    spaces: list[str] = Field(description="spaces of the topologies")
    figures: list[int] = Field(description="numbers of the paper's figures")
    seeds: int = Field(description="studies of each kind")
    trials: int = Field(description="trials of each study")
    machine: str = Field(description="machine that costs are priced for")
    software: dict[str, str] = Field(description="versions of the software")
    seconds: NonNegativeFloat = Field(description="seconds that all studies took together")
    results: list[ReproducedResult] = Field(description="Figure 2")
    deviations: list[Deviation] = Field(description="Figure 3")
    architectures: list[Architecture] = Field(description="Figures 4 and 5")
    convergences: list[Convergence] = Field(description="checks of the corrected search's accuracy")
    savings: list[Saving] = Field(description="checks of its savings")
    preferences: list[Preference] = Field(
        description="objective values where inaccurate networks win"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        content = of_schema(content, "powerml.reproduction", (1,), 2)
        return renamed(content, {"families": "spaces"})

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        return table_of(
            f"Figure {COSTS} on {self.machine}, {self.seeds} seeds",
            [cells_of(result.model_dump()) for result in self.results],
        )


def summarize(plan: Plan, outcomes: Sequence[StudyOutcome]) -> Reproduction:
    """Make the requested figures."""
    wanted = plan.figures
    drawn = {space for space, figure in ARCHITECTURE_FIGURES.items() if figure in wanted}
    software = {name: version for one in outcomes for name, version in _software(one)}
    return Reproduction(
        settings=[setting.number for setting in plan.settings],
        spaces=list(plan.spaces),
        figures=list(wanted),
        seeds=plan.seeds,
        trials=plan.trials,
        machine=outcomes[0].machine,
        software=dict(sorted(software.items())),
        seconds=round(sum(one.seconds for one in outcomes), 3),
        results=results(outcomes) if COSTS in wanted else [],
        deviations=deviations(outcomes) if DEVIATIONS in wanted else [],
        architectures=[one for one in architectures(outcomes) if one.space in drawn],
        convergences=convergences(outcomes),
        savings=savings(outcomes),
        preferences=preferences(outcomes),
    )


def _software(outcome: StudyOutcome) -> list[tuple[str, str]]:
    return list(outcome.fingerprint.software.items())
