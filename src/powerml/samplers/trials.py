"""What a sampler knows of the trials of a study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from powerml.errors import UsageError

__all__ = ["QUANTITIES", "KnownTrials", "Quantities", "known_trials", "quantities"]

QUANTITIES = "powerml:quantities"
# Directions of a study whose values are the three quantities.
FRONT = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE, StudyDirection.MINIMIZE)


@dataclass(frozen=True)
class Quantities:
    """The three quantities of a trial. The costs are relative to a reference's.

    `score` is None where the trial was pruned before it was trained.
    """

    training_cost: float
    inference_cost: float
    score: float | None


def quantities(
    training_cost: float, inference_cost: float, score: float | None
) -> dict[str, float | None]:
    """What to set as a trial's user attribute `QUANTITIES`, for the composite sampler to read.

    Parameters
    ----------
    training_cost, inference_cost
        Relative to any fixed reference, above 0.
    score
        From 0 to 1, or None where it is not known.

    Raises
    ------
    UsageError
        One of them lies outside.
    """
    for name, cost in (("training cost", training_cost), ("inference cost", inference_cost)):
        if not (math.isfinite(cost) and cost > 0):
            raise UsageError(f"the {name} is {cost}: give one above 0")
    if score is not None and not 0 <= score <= 1:
        raise UsageError(f"the score is {score}: give one from 0 to 1, or None")
    return {"training_cost": training_cost, "inference_cost": inference_cost, "score": score}


@dataclass
class KnownTrials:
    """Trials of a study by what is known of them: their parameters, with quantities or values."""

    measured: list[tuple[dict[str, Any], Quantities]] = field(default_factory=list)
    valued: list[tuple[dict[str, Any], float]] = field(default_factory=list)
    running: list[dict[str, Any]] = field(default_factory=list)
    proposed: list[dict[str, Any]] = field(default_factory=list)


def known_trials(
    study: Study,
    current: FrozenTrial,
    space: Mapping[str, BaseDistribution],
    before: Sequence[tuple[dict[str, Any], Quantities]] = (),
) -> KnownTrials:
    """Sort the trials of a study that lie in the search space, all but the current one.

    What was measured `before` the study counts as measured and as proposed.
    """
    inside = [(row, found) for row, found in before if _lies_in(space, row)]
    known = KnownTrials(measured=list(inside), proposed=[row for row, _ in inside])
    for trial in study.get_trials(deepcopy=False):
        if trial.number == current.number or not _lies_in(space, trial.params):
            continue
        parameters = {name: trial.params[name] for name in space}
        known.proposed.append(parameters)
        if trial.state in (TrialState.RUNNING, TrialState.WAITING):
            known.running.append(parameters)
            continue
        found = _quantities_of(study, trial)
        if found is not None:
            known.measured.append((parameters, found))
        elif trial.state == TrialState.COMPLETE and len(trial.values) == 1:
            known.valued.append((parameters, trial.values[0]))
    return known


def _lies_in(space: Mapping[str, BaseDistribution], parameters: Mapping[str, Any]) -> bool:
    return all(
        name in parameters and _contains(distribution, parameters[name])
        for name, distribution in space.items()
    )


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if isinstance(distribution, (IntDistribution, FloatDistribution)):
        return bool(distribution.low <= value <= distribution.high)
    return False


def _quantities_of(study: Study, trial: FrozenTrial) -> Quantities | None:
    stored = trial.user_attrs.get(QUANTITIES)
    if stored is not None:
        found = Quantities(stored["training_cost"], stored["inference_cost"], stored["score"])
    elif tuple(study.directions) == FRONT and trial.state == TrialState.COMPLETE:
        score, training, inference = trial.values
        found = Quantities(training, inference, score)
    else:
        return None
    costs = (found.training_cost, found.inference_cost)
    usable = all(math.isfinite(cost) and cost > 0 for cost in costs)
    return found if usable else None
