"""The epochs of a native training, each scored as it ends: early stopping and pruning."""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from powerml.spaces.trial import Reports, TrialPruned
from powerml.workloads.metrics import TaskKind

__all__ = ["ALL_EPOCHS", "FINER", "Endings", "Epochs", "Scoring"]


@dataclass(frozen=True)
class Endings:
    """The reasons for which a training may end before its last epoch.

    Parameters
    ----------
    patience
        Epochs without a better score after which it ends; None for any number.
    reports
        Hears of each epoch's score, and may prune the training; None where nothing does.
    """

    patience: int | None = None
    reports: Reports | None = None

    @property
    def are_none(self) -> bool:
        """True if the training takes all of its epochs, so that none needs a score."""
        return self.patience is None and self.reports is None

    @property
    def unheard(self) -> Endings:
        """The same without reports, for a further training of the same network."""
        return Endings(self.patience)


ALL_EPOCHS = Endings()


@dataclass(frozen=True)
class Scoring:
    """The scores of a network while it is trained, on the validation split.

    Parameters
    ----------
    score
        Returns its score by the study's metric.
    fit
        Returns its score by a finer metric, which tells epochs of equal scores apart.
    highest
        The score of a perfect network, which no finer one is better than.
    """

    score: Callable[[], float]
    fit: Callable[[], float]
    highest: float


# Metrics that tell two networks apart which are right as often.
FINER: Mapping[TaskKind, str] = MappingProxyType(
    {"classification": "neg_log_loss", "regression": "neg_rmse"}
)


@dataclass(frozen=True)
class _Best:
    """The first of the best epochs, with the weights after it."""

    epoch: int
    score: float
    fit: float
    weights: Any


class Epochs:
    """The epochs of one training.

    Parameters
    ----------
    model
        The network that is trained, of Keras or PyTorch.
    count
        The most epochs of the training.
    scoring
        Scores the network as it is.
    endings
        The reasons for which the training may end early.
    """

    def __init__(self, model: Any, count: int, scoring: Scoring, endings: Endings) -> None:
        self._model = model
        self._count = count
        self._scoring = scoring
        self._endings = endings
        self._best: _Best | None = None
        self.done = 0

    def ended(self) -> bool:
        """Hear that an epoch has ended; return True if the training is to end.

        Raises
        ------
        TrialPruned
            The training is not worth going on.
        """
        with _generators_kept():
            return self._ended()

    def _ended(self) -> bool:
        self.done += 1
        score, reports = self._scoring.score(), self._endings.reports
        if reports is not None:
            reports.report(score, self.done)
            if self.done < self._count and reports.should_prune():
                raise TrialPruned
        patience = self._endings.patience
        if patience is None:
            return False
        self._best = self._better_of(self._best, score)
        return self.done - self._best.epoch >= patience

    def _better_of(self, best: _Best | None, score: float) -> _Best:
        """Return the best epoch so far, which may be the one that has ended."""
        is_perfect = best is not None and best.score >= self._scoring.highest
        if best is not None and (is_perfect or score < best.score):
            return best
        fit = self._scoring.fit()
        if best is not None and score == best.score and fit <= best.fit:
            return best
        return _Best(self.done, score, fit, _weights_of(self._model))

    def take_best(self) -> None:
        """Give the network the weights of the best epoch, if they were kept."""
        if self._best is not None and self._best.epoch < self.done:
            _set_weights(self._model, self._best.weights)


@contextlib.contextmanager
def _generators_kept() -> Iterator[None]:
    """Put random generators back: a pass over the validation split draws from PyTorch's.

    The training is then the same as without its scores.
    """
    state, numpy_state = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = None if torch is None else torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
        if torch is not None:
            torch.set_rng_state(torch_state)


def _weights_of(model: Any) -> Any:
    """Return a copy of all weights of a network, of Keras or PyTorch."""
    from powerml.networks.own import framework_of

    found = model.get_weights() if framework_of(model) == "keras" else model.state_dict()
    return copy.deepcopy(found)  # what they return are views on some backends


def _set_weights(model: Any, weights: Any) -> None:
    from powerml.networks.own import framework_of

    if framework_of(model) == "keras":
        model.set_weights(weights)
    else:
        model.load_state_dict(weights)
