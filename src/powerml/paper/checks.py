"""Requirements on the corrected search: accurate networks, and their savings. Pure.

Costs are compared with the median of the same space's topologies that are known to be accurate
(`powerml.paper.known`). Accurate ones score at least 0.98 on the test split.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from powerml.costs.counts import PhaseName
from powerml.paper.figures import Group, SeedSpread, SettingRecord, groups, spread
from powerml.paper.known import known
from powerml.paper.original import printed_result
from powerml.paper.outcomes import StudyOutcome
from powerml.paper.plan import RIGHT
from powerml.paper.settings import BASELINE, CONVERGED_SCORE
from powerml.studies.objective import SCORE_TOLERANCE

__all__ = ["Convergence", "RequirementCheck", "Saving", "checks", "convergences", "savings"]

TRAINING_SAVING, INFERENCE_SAVING = 0.25, 0.5
LEAST_ALPHA, LEAST_BETA = 0.5, 0.05


class RequirementCheck(SettingRecord):
    """A requirement at one setting of one space, with the result."""

    required: float = Field(description="value that is required")
    met: bool = Field(description="true if it is reached")


class Convergence(RequirementCheck):
    """The winners' score on the test split; `printed` is Figure 2's, as printed."""

    score: SeedSpread = Field(description="scores of the winners over the seeds")
    printed: str = Field(description="score that the paper printed")


class Saving(RequirementCheck):
    """Part of the median by which winners cost less in one phase.

    `cheapest_known` is the saving of the cheapest known accurate topology, in the mean of three
    trainings. A winner, trained once, may save a little more. `over_setting_1` is the paper's own
    comparison, and `printed` its printed value.
    """

    phase: PhaseName = Field(description="phase whose cost is compared")
    saving: SeedSpread = Field(description="share of the median cost that the winners save")
    cheapest_known: float = Field(description="saving of the cheapest accurate topology known")
    over_setting_1: SeedSpread = Field(description="saving over setting 1")
    printed: float = Field(description="saving that the paper printed")


def convergences(outcomes: Sequence[StudyOutcome]) -> list[Convergence]:
    """Check the convergence of the corrected studies."""
    found = []
    for group in _put_right(outcomes):
        score = spread([one.test_score for one in group.outcomes], "high")
        met = score.median is not None and score.median >= CONVERGED_SCORE - SCORE_TOLERANCE
        found.append(
            Convergence(
                space=group.space,
                setting=group.setting_number,
                required=CONVERGED_SCORE,
                met=met,
                score=score,
                printed=printed_result(group.space, group.setting_number).score,
            )
        )
    return found


def savings(outcomes: Sequence[StudyOutcome]) -> list[Saving]:
    """Compute their savings at the settings whose alpha or beta requires them."""
    found = []
    for group in _put_right(outcomes):
        if group.setting.alpha >= LEAST_ALPHA:
            found.append(_saving(group, "training", TRAINING_SAVING))
        if group.setting.beta >= LEAST_BETA:
            found.append(_saving(group, "inference", INFERENCE_SAVING))
    return sorted(found, key=lambda one: one.phase, reverse=True)


def checks(outcomes: Sequence[StudyOutcome]) -> list[RequirementCheck]:
    """Return the checks of all requirements."""
    return [*convergences(outcomes), *savings(outcomes)]


def _put_right(outcomes: Sequence[StudyOutcome]) -> list[Group]:
    return [group for group in groups(outcomes) if group.way == RIGHT.name]


def _saving(group: Group, phase: PhaseName, required: float) -> Saving:
    space = known().spaces[group.space]
    saved = [
        None if ratio is None else 1 - ratio / space.median[phase] for ratio in group.ratios(phase)
    ]
    saving = spread(saved, "high")
    over = group.over_baseline(phase) if group.setting_number != BASELINE else []
    return Saving(
        space=group.space,
        setting=group.setting_number,
        phase=phase,
        required=required,
        met=saving.median is not None and saving.median >= required,
        saving=saving,
        cheapest_known=1 - space.least[phase] / space.median[phase],
        over_setting_1=spread([None if one is None else 1 - one for one in over], "high"),
        printed=1 - printed_result(group.space, group.setting_number).cost(phase),
    )
