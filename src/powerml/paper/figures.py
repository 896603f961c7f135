"""Figures 2 to 5 from the outcomes of studies, beside the paper's printed values. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, stdev
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from powerml.costs.counts import PhaseName
from powerml.paper.known import ACCURATE_SCORE, KnownTopology, known
from powerml.paper.original import printed_architecture, printed_deviation, printed_result
from powerml.paper.outcomes import EvaluatedTrial, StudyOutcome
from powerml.paper.plan import BARE, WAYS
from powerml.paper.settings import BASELINE, SPACES, Setting
from powerml.spaces import parse_topology
from powerml.studies.earlier import renamed
from powerml.studies.objective import SCORE_TOLERANCE

__all__ = [
    "Architecture",
    "Deviation",
    "Group",
    "Preference",
    "ReproducedResult",
    "SeedSpread",
    "SettingRecord",
    "architectures",
    "baseline_of",
    "deviations",
    "groups",
    "preferences",
    "results",
    "spread",
]


class SeedSpread(BaseModel):
    """A quantity of the winners of several studies that differ in their seed alone.

    `found` of `seeds` studies have it. Studies without it count as the worst in the median, which
    is None if it would be one of them. `low` and `high` are of the studies with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    median: float | None = Field(
        description="median over the seeds; null where the middle is missing"
    )
    low: float | None = Field(description="lowest value")
    high: float | None = Field(description="highest value")
    found: int = Field(description="studies that have a value")
    seeds: int = Field(description="studies in all")


def spread(values: Sequence[float | None], better: Literal["high", "low"]) -> SeedSpread:
    """Return median and range; missing values are at the end opposite to `better`."""
    known = [value for value in values if value is not None]
    worst = -math.inf if better == "high" else math.inf
    middle = median(worst if value is None else value for value in values) if values else worst
    return SeedSpread(
        median=middle if math.isfinite(middle) else None,
        low=min(known, default=None),
        high=max(known, default=None),
        found=len(known),
        seeds=len(values),
    )


class SettingRecord(BaseModel):
    """A result at one setting of one space. Records that call the space a family are read too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str = Field(description="space of the topologies")
    setting: int = Field(description="number of the paper's setting")

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return renamed(content, {"family": "space"})


class FigureRow(SettingRecord):
    """The studies of one row, which differ in their seed alone."""

    way: str = Field(description="way in which the studies were made")
    alpha: float = Field(description="weight of the training cost")
    beta: float = Field(description="weight of the inference cost")


class ReproducedResult(FigureRow):
    """A cell of Figure 2: score on the test split and costs of the winners.

    Costs are relative to those of setting 1's winner of the same way, space and seed, as in the
    paper. They are also given relative to the study's own reference. `printed_score` is as printed.
    """

    score: SeedSpread = Field(description="scores of the winners")
    training_cost: SeedSpread = Field(description="training cost relative to setting 1's")
    inference_cost: SeedSpread = Field(description="inference cost relative to setting 1's")
    training_cost_of_reference: SeedSpread = Field(
        description="training cost relative to the reference's"
    )
    inference_cost_of_reference: SeedSpread = Field(
        description="inference cost relative to the reference's"
    )
    printed_score: str = Field(description="score that the paper printed")
    printed_training_cost: float = Field(description="training cost that the paper printed")
    printed_inference_cost: float = Field(description="inference cost that the paper printed")


class Deviation(FigureRow):
    """A cell of Figure 3: standard deviations of the costs of all trials, relative as recorded."""

    training_cost: SeedSpread = Field(description="training cost relative to setting 1's")
    inference_cost: SeedSpread = Field(description="inference cost relative to setting 1's")
    printed_training_cost: float | None = Field(description="training cost that the paper printed")
    printed_inference_cost: float | None = Field(
        description="inference cost that the paper printed"
    )


class Architecture(FigureRow):
    """A row of Figure 4 or 5: the winner's parameters, the batch size last.

    `parameters` is None where no trial meets the limits.
    """

    seed: int = Field(description="seed of the study")
    parameters: dict[str, int] | None = Field(
        description="parameters of the winner; null where none is feasible"
    )
    printed: dict[str, int] = Field(description="parameters that the paper printed")


@dataclass(frozen=True)
class Group:
    """Studies that differ only in their seed, and the corresponding ones of setting 1."""

    way: str
    space: str
    setting_number: int
    outcomes: tuple[StudyOutcome, ...]
    baselines: tuple[StudyOutcome | None, ...]

    @property
    def setting(self) -> Setting:
        """Their weights."""
        return self.outcomes[0].setting

    def over_baseline(self, phase: PhaseName) -> list[float | None]:
        """Cost of each winner, relative to that of setting 1's winner."""
        return [
            _over(outcome.winner, None if baseline is None else baseline.winner, phase)
            for outcome, baseline in zip(self.outcomes, self.baselines, strict=True)
        ]

    def of_winners(self, get: Callable[[EvaluatedTrial], float | None]) -> list[float | None]:
        """A quantity of each winner."""
        winners = [outcome.winner for outcome in self.outcomes]
        return [None if winner is None else get(winner) for winner in winners]

    def ratios(self, phase: PhaseName) -> list[float | None]:
        """Cost of each winner, relative to that of its study's reference."""
        return self.of_winners(
            lambda winner: None if winner.cost_ratio is None else winner.cost_ratio[phase]
        )

    @property
    def row(self) -> dict[str, object]:
        """The row that names these studies."""
        return {
            "way": self.way,
            "space": self.space,
            "setting": self.setting_number,
            "alpha": self.setting.alpha,
            "beta": self.setting.beta,
        }


def _over(
    winner: EvaluatedTrial | None, baseline: EvaluatedTrial | None, phase: PhaseName
) -> float | None:
    if winner is None or baseline is None:
        return None
    if winner.cost_cycles is None or baseline.cost_cycles is None:
        return None
    return winner.cost_cycles[phase] / baseline.cost_cycles[phase]


def groups(outcomes: Sequence[StudyOutcome]) -> Iterator[Group]:
    """Group outcomes that differ only in their seed, by space, way and setting."""
    ways = [way.name for way in WAYS]
    found: dict[tuple[int, int, int], list[StudyOutcome]] = {}
    for one in sorted(outcomes, key=lambda one: one.seed):
        key = (SPACES.index(one.space), ways.index(one.way), one.setting_number)
        found.setdefault(key, []).append(one)
    for (_, _, setting), members in sorted(found.items()):
        yield Group(
            way=members[0].way,
            space=members[0].space,
            setting_number=setting,
            outcomes=tuple(members),
            baselines=tuple(baseline_of(one, outcomes) for one in members),
        )


def baseline_of(outcome: StudyOutcome, outcomes: Sequence[StudyOutcome]) -> StudyOutcome | None:
    """Return the study of setting 1 of the same way, space and seed, if there is one."""
    key = (outcome.way, outcome.space, outcome.seed)
    return next(
        (
            one
            for one in outcomes
            if one.setting_number == BASELINE and (one.way, one.space, one.seed) == key
        ),
        None,
    )


def results(outcomes: Sequence[StudyOutcome]) -> list[ReproducedResult]:
    """Figure 2."""
    return [_result(group) for group in groups(outcomes)]


def _result(group: Group) -> ReproducedResult:
    printed = printed_result(group.space, group.setting_number)
    return ReproducedResult.model_validate(
        {
            **group.row,
            "score": spread([one.test_score for one in group.outcomes], "high"),
            "training_cost": spread(group.over_baseline("training"), "low"),
            "inference_cost": spread(group.over_baseline("inference"), "low"),
            "training_cost_of_reference": spread(group.ratios("training"), "low"),
            "inference_cost_of_reference": spread(group.ratios("inference"), "low"),
            "printed_score": printed.score,
            "printed_training_cost": printed.training_cost,
            "printed_inference_cost": printed.inference_cost,
        }
    )


def deviations(outcomes: Sequence[StudyOutcome]) -> list[Deviation]:
    """Figure 3, of every setting."""
    return [
        Deviation.model_validate(
            {
                **group.row,
                **{
                    f"{phase}_cost": spread(
                        [_deviation(one, phase) for one in group.outcomes], "low"
                    )
                    for phase in ("training", "inference")
                },
                **{
                    f"printed_{phase}_cost": printed_deviation(
                        group.space, group.setting_number, phase
                    )
                    for phase in ("training", "inference")
                },
            }
        )
        for group in groups(outcomes)
    ]


def _deviation(outcome: StudyOutcome, phase: PhaseName) -> float | None:
    known = [trial.cost_ratio[phase] for trial in outcome.trials if trial.cost_ratio is not None]
    return stdev(known) if len(known) > 1 else None


def architectures(outcomes: Sequence[StudyOutcome]) -> list[Architecture]:
    """Figures 4 and 5, a row for each study."""
    return [
        Architecture.model_validate(
            {
                **group.row,
                "seed": outcome.seed,
                "parameters": _parameters(outcome.winner),
                "printed": printed_architecture(group.space, group.setting_number),
            }
        )
        for group in groups(outcomes)
        for outcome in group.outcomes
    ]


def _parameters(winner: EvaluatedTrial | None) -> dict[str, int] | None:
    if winner is None:
        return None
    return {**parse_topology(winner.topology).parameters, "batch_size": winner.batch_size}


class Preference(SettingRecord):
    """Objective values of an inaccurate winner and of the best accurate topology known.

    Objectives are eq. 2.6 with costs relative to the fixed reference: smaller is better. Of
    `seeds` studies `inaccurate` end with an inaccurate winner, `preferred` of them with one whose
    objective is smaller than that of every accurate topology known. `found` is the inaccurate
    winner of the middle objective, `best` the topology of the smallest objective known.
    """

    alpha: float = Field(description="weight of the training cost")
    beta: float = Field(description="weight of the inference cost")
    seeds: int = Field(description="studies of the setting")
    inaccurate: int = Field(description="studies whose winner is inaccurate")
    preferred: int = Field(description="studies whose winner beats every accurate topology known")
    found: EvaluatedTrial = Field(description="inaccurate winner of the middle objective value")
    best: KnownTopology = Field(description="the best topology known")
    accurate: KnownTopology = Field(description="the best accurate topology known")

    @property
    def is_the_objectives(self) -> bool:
        """True if no known accurate topology would have been better in any study."""
        return self.preferred == self.inaccurate

    @property
    def is_the_searches(self) -> bool:
        """True if a known accurate topology would have been better in every study."""
        return self.preferred == 0

    @property
    def margin(self) -> float:
        """Objective value by which `found` is preferred to the best accurate topology known."""
        return self.accurate.objective - _objective(self.found)


def preferences(outcomes: Sequence[StudyOutcome]) -> list[Preference]:
    """List the settings where at least half of the winners under bare eq. 2.6 score below 0.97."""
    found = [_preference(group) for group in groups(outcomes) if group.way == BARE.name]
    return [one for one in found if one is not None and 2 * one.inaccurate >= one.seeds]


def _preference(group: Group) -> Preference | None:
    winners = [one.winner for one in group.outcomes if one.winner is not None]
    if not winners:
        return None
    inaccurate = [one for one in winners if (one.score or 0) < ACCURATE_SCORE - SCORE_TOLERANCE]
    ordered = sorted(inaccurate, key=_objective)
    if not ordered:
        return None
    at_setting = known().spaces[group.space].at(group.setting_number)
    least = at_setting.best_accurate.objective
    return Preference(
        space=group.space,
        setting=group.setting_number,
        alpha=group.setting.alpha,
        beta=group.setting.beta,
        seeds=len(winners),
        inaccurate=len(inaccurate),
        preferred=sum(_objective(one) < least for one in inaccurate),
        found=ordered[len(ordered) // 2],
        best=at_setting.best,
        accurate=at_setting.best_accurate,
    )


def _objective(trial: EvaluatedTrial) -> float:
    return math.inf if trial.objective is None else trial.objective
