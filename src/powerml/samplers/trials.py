"""Trials of a study, as a sampler sees them."""

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

__all__ = [
    "ABANDONED",
    "QUANTITIES",
    "TRAINING",
    "KnownTrials",
    "Quantities",
    "known_trials",
    "proposal_number",
    "quantities",
    "seeks_front",
]

QUANTITIES = "powerml:quantities"
# A trial that was under way when its run ended, and that a later run has begun again.
ABANDONED = "powerml:abandoned"
COST = "_cost"  # what the name of a cost ends with
# The phase whose cost tells what score can be expected.
TRAINING = "training"
# Costs that are the values of a trial after its score, in a study that sets no quantities.
VALUED = (TRAINING, "inference")


@dataclass(frozen=True)
class Quantities:
    """The costs of a trial by phase, relative to a reference's, and its score.

    `score` is None if the trial was pruned before its training.
    """

    costs: Mapping[str, float]
    score: float | None


def quantities(*, score: float | None, **costs: float) -> dict[str, float | None]:
    """Return the value of a trial's user attribute `QUANTITIES`, for the composite sampler.

    Parameters
    ----------
    score
        Higher is better; None if it is not known.
    **costs
        Cost of each phase relative to any fixed reference, above 0, as ``training_cost`` and
        ``inference_cost``.

    Raises
    ------
    UsageError
        A value is no finite number, a cost is not above 0, or a name is no cost.

    Examples
    --------
    >>> quantities(training_cost=0.8, inference_cost=1.1, score=0.97)
    {'training_cost': 0.8, 'inference_cost': 1.1, 'score': 0.97}
    """
    for name, cost in costs.items():
        if not name.endswith(COST):
            raise UsageError(f"{name} is no cost: give costs as training_cost and inference_cost")
        if not (math.isfinite(cost) and cost > 0):
            raise UsageError(f"the {name.replace('_', ' ')} is {cost}: give one above 0")
    if score is not None and not math.isfinite(score):
        raise UsageError(f"the score is {score}: give one that is a finite number, or None")
    return {**costs, "score": score}


def seeks_front(study: Study) -> bool:
    """Return whether the values of a study are a score to maximise and costs to minimise."""
    first, *others = study.directions
    return first == StudyDirection.MAXIMIZE and {StudyDirection.MINIMIZE} == set(others)


@dataclass
class KnownTrials:
    """Trials of a study: their parameters, with quantities or values."""

    measured: list[tuple[dict[str, Any], Quantities]] = field(default_factory=list)
    valued: list[tuple[dict[str, Any], float]] = field(default_factory=list)
    running: list[dict[str, Any]] = field(default_factory=list)
    proposed: list[dict[str, Any]] = field(default_factory=list)


def proposal_number(study: Study, trial: FrozenTrial) -> int:
    """Return a trial's number among the proposals of a study: those begun again count once."""
    failed = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    again = [one for one in failed if ABANDONED in one.system_attrs]
    return trial.number - sum(one.number < trial.number for one in again)


def known_trials(
    study: Study,
    current: FrozenTrial,
    space: Mapping[str, BaseDistribution] | None,
    before: Sequence[tuple[dict[str, Any], Quantities]] = (),
) -> KnownTrials:
    """Sort the trials of a study within the search space, except the current one.

    Points measured `before` the study count as measured and as proposed. Without a search space
    all trials count that have parameters, with all of them.
    """
    inside = [(row, found) for row, found in before if _lies_in(space, row)]
    known = KnownTrials(measured=list(inside), proposed=[row for row, _ in inside])
    for trial in study.get_trials(deepcopy=False):
        if trial.number == current.number or ABANDONED in trial.system_attrs:
            continue
        if not _lies_in(space, trial.params):
            continue
        parameters = {
            name: trial.params[name] for name in (trial.params if space is None else space)
        }
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


def _lies_in(space: Mapping[str, BaseDistribution] | None, parameters: Mapping[str, Any]) -> bool:
    if space is None:
        return bool(parameters)
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
        costs = {
            name.removesuffix(COST): cost for name, cost in stored.items() if name.endswith(COST)
        }
        found = Quantities(costs, stored["score"])
    elif (
        seeks_front(study)
        and trial.state == TrialState.COMPLETE
        and len(trial.values) == 1 + len(VALUED)
    ):
        score, *paid = trial.values
        found = Quantities(dict(zip(VALUED, paid, strict=True)), score)
    else:
        return None
    usable = all(math.isfinite(cost) and cost > 0 for cost in found.costs.values())
    return found if usable else None
