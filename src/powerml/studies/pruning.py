"""Pruning of hopeless trainings: Optuna's pruners, on the learning curves of a study's trials.

A training is compared with the trials that had ended when it was proposed, wherever it runs and
whatever has ended since.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import optuna
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from powerml.errors import UnknownNameError, UsageError
from powerml.samplers import ABANDONED
from powerml.studies.goal import Goal
from powerml.studies.reader import STUDY_NAME
from powerml.studies.records import TrialRecord

__all__ = [
    "Curve",
    "LearningCurve",
    "Pruning",
    "check_pruner",
    "curves_of",
    "keep_curve",
    "make_pruner",
]

KEPT_PERCENT = 25.0
# The first scores of a training say little: Optuna compares from its first epoch on by default.
WARM_UP_SHARE = 0.25


def _warm_up(epochs: int) -> int:
    return math.ceil(WARM_UP_SHARE * epochs)


_MAKERS: Mapping[str, Callable[[int], BasePruner]] = MappingProxyType(
    {
        "median": lambda epochs: MedianPruner(n_warmup_steps=_warm_up(epochs)),
        "percentile": lambda epochs: PercentilePruner(
            KEPT_PERCENT, n_warmup_steps=_warm_up(epochs)
        ),
        "successive_halving": lambda _epochs: SuccessiveHalvingPruner(min_resource=1),
        "hyperband": lambda epochs: HyperbandPruner(min_resource=1, max_resource=epochs),
    }
)


def check_pruner(name: str | None, *, pareto: bool) -> None:
    """Check the name of a pruner.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    UsageError
        A front is searched, whose trainings no single number compares.
    """
    if name is None:
        return
    if name not in _MAKERS:
        raise UnknownNameError("pruner", name, _MAKERS)
    if pareto:
        raise UsageError(
            f"the pruner {name} compares trainings by one number, and a front has several: leave "
            "out --pruner or --pareto"
        )


def make_pruner(name: str, epochs: int) -> BasePruner:
    """Make a pruner of trainings of so many epochs; raises ``UnknownNameError``."""
    check_pruner(name, pareto=False)
    return _MAKERS[name](epochs)


@dataclass(frozen=True)
class LearningCurve:
    """The learning curve of a trial: its objective value by step, and the score after the last.

    `attributes` are those that the pruner keeps with the trial, to compare others with it.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None
    score: float | None = None
    is_hopeless: bool = False


@dataclass(frozen=True)
class Pruning:
    """All that decides about a training: the trials before it, and the worth of a score.

    Parameters
    ----------
    pruner
        Name of the pruner.
    epochs
        Epochs of a whole training.
    number
        Number of the trial among the proposals, from 0.
    earlier
        The trials that had ended when it was proposed; see `curves_of`.
    goal, record
        The goal of the study, and the trial with its costs.
    """

    pruner: str
    epochs: int
    number: int
    earlier: Sequence[FrozenTrial]
    goal: Goal
    record: TrialRecord

    def value_of(self, score: float) -> float:
        """Return the objective value that the trial would have with a score."""
        value = self.goal.objective_value(self.record.model_copy(update={"score": score}))
        return -score if value is None else value


def curves_of(trials: Sequence[FrozenTrial]) -> tuple[FrozenTrial, ...]:
    """Return the trials that have ended with no more than pruners compare.

    They are numbered as proposals: one that was begun again counts once.
    """
    proposed = [trial for trial in trials if ABANDONED not in trial.system_attrs]
    return tuple(
        FrozenTrial(
            number=number,
            trial_id=number,
            state=trial.state,
            value=None,
            values=trial.values,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
            params={},
            distributions={},
            user_attrs={},
            system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )
        for number, trial in enumerate(proposed)
        if trial.state.is_finished()
    )


class Curve:
    """The learning curve of a training under way; see `powerml.spaces.trial.Reports`.

    Optuna's pruner sees a study of its own, in memory.
    """

    def __init__(self, pruning: Pruning) -> None:
        self._pruning = pruning
        self.score: float | None = None
        self.step: int | None = None
        self.is_hopeless = False
        study = optuna.create_study(
            study_name=STUDY_NAME, pruner=make_pruner(pruning.pruner, pruning.epochs)
        )
        earlier = {trial.number: trial for trial in pruning.earlier}
        # Those under way keep their numbers, by which hyperband sorts trials into brackets.
        under_way = optuna.trial.create_trial(state=TrialState.FAIL)
        study.add_trials([earlier.get(number, under_way) for number in range(pruning.number)])
        self._trial = study.ask()

    def report(self, value: float, step: int) -> None:
        """Hear of the score after a step."""
        self.score, self.step = value, step
        self._trial.report(self._pruning.value_of(value), step)

    def should_prune(self) -> bool:
        """Return whether the pruner ends the training."""
        self.is_hopeless = self._trial.should_prune()
        return self.is_hopeless

    @property
    def so_far(self) -> LearningCurve:
        """The curve as it is."""
        frozen = self._trial.study.get_trials(deepcopy=False)[self._trial.number]
        return LearningCurve(
            dict(frozen.intermediate_values),
            dict(frozen.system_attrs),
            self.step,
            self.score,
            self.is_hopeless,
        )


def keep_curve(trial: Trial, curve: LearningCurve) -> None:
    """Keep a learning curve with its trial in the study, where later ones are compared with it."""
    for step, value in curve.values.items():
        trial.report(value, step)
    for name, value in curve.attributes.items():
        # Optuna's pruners write theirs in this way, and its trials have no public one.
        trial.storage.set_trial_system_attr(trial._trial_id, name, value)
