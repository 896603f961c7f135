"""Pruning of hopeless trainings: Optuna's pruners, on the learning curves of a study's trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
)
from optuna.trial import Trial

from powerml.errors import UnknownNameError, UsageError

__all__ = ["Curve", "check_pruner", "make_pruner"]

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


class Curve:
    """The learning curve of a trial; see `powerml.spaces.trial.Reports`.

    Parameters
    ----------
    trial
        The trial, which keeps the curve in the study's journal.
    pruner
        Compares it with the curves of other trials.
    value_of
        Gives the objective value that the trial would have with a score.
    """

    def __init__(
        self, trial: Trial, pruner: BasePruner, value_of: Callable[[float], float]
    ) -> None:
        self._trial = trial
        self._pruner = pruner
        self._value_of = value_of
        self.score: float | None = None
        self.step: int | None = None
        self.is_hopeless = False

    def report(self, value: float, step: int) -> None:
        """Hear of the score after a step."""
        self.score, self.step = value, step
        self._trial.report(self._value_of(value), step)

    def should_prune(self) -> bool:
        """Return whether the pruner ends the training."""
        study = self._trial.study
        study.pruner = self._pruner
        try:
            self.is_hopeless = self._trial.should_prune()
        finally:
            study.pruner = NopPruner()
        return self.is_hopeless
