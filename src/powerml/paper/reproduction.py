"""A reproduction as a whole: all its figures, and what was to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.paper.checks import Convergence, Saving, convergences, savings
from powerml.paper.figures import (
    Architecture,
    Deviation,
    Preference,
    Result,
    architectures,
    deviations,
    preferences,
    results,
)
from powerml.paper.original import ARCHITECTURE_FIGURES
from powerml.paper.outcomes import StudyOutcome
from powerml.paper.plan import Plan

__all__ = ["Reproduction", "summarize"]

COSTS, DEVIATIONS = 2, 3  # the figures' numbers


class Reproduction(BaseModel):
    """The result of `powerml.reproduce`. JSON: ``powerml.reproduction/1``.

    `results` are Figure 2, `deviations` Figure 3, `architectures` Figures 4 and 5; each is empty
    where its figure was not asked for. `software` are the versions that counts were made with,
    `seconds` the time that the studies took, all in all, when they were made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.reproduction/1"] = Field(
        default="powerml.reproduction/1", alias="schema"
    )
    settings: list[int]
    families: list[str]
    figures: list[int]
    seeds: int
    trials: int
    machine: str
    software: dict[str, str]
    seconds: NonNegativeFloat
    results: list[Result]
    deviations: list[Deviation]
    architectures: list[Architecture]
    convergences: list[Convergence]
    savings: list[Saving]
    preferences: list[Preference]

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)


def summarize(plan: Plan, outcomes: Sequence[StudyOutcome]) -> Reproduction:
    """Make the figures that were asked for."""
    wanted = plan.figures
    drawn = {family for family, figure in ARCHITECTURE_FIGURES.items() if figure in wanted}
    software = {name: version for one in outcomes for name, version in _software(one)}
    return Reproduction(
        settings=[setting.number for setting in plan.settings],
        families=list(plan.families),
        figures=list(wanted),
        seeds=plan.seeds,
        trials=plan.trials,
        machine=outcomes[0].machine,
        software=dict(sorted(software.items())),
        seconds=round(sum(one.seconds for one in outcomes), 3),
        results=results(outcomes) if COSTS in wanted else [],
        deviations=deviations(outcomes) if DEVIATIONS in wanted else [],
        architectures=[one for one in architectures(outcomes) if one.family in drawn],
        convergences=convergences(outcomes),
        savings=savings(outcomes),
        preferences=preferences(outcomes),
    )


def _software(outcome: StudyOutcome) -> list[tuple[str, str]]:
    return list(outcome.fingerprint.software.items())
