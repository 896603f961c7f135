"""Defaults of a search that depend on its protocol, objective or data. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from powerml.samplers import COMPOSITE
from powerml.studies.objective import DEFAULT_LEAST_SCORE, Constrained, Squared, Weights
from powerml.workloads.metrics import ACCURACY
from powerml.workloads.workload import DEFAULT_EPOCHS

__all__ = [
    "SCORE_UNCERTAINTY",
    "SearchDefaults",
    "default_epochs",
    "default_min_score",
    "default_weights",
    "defaults_of",
]

# Two networks whose scores on some hundred samples are closer than this may have swapped places
# with another seed: the standard error of a score of 0.97 on 359 samples is 0.009.
SCORE_UNCERTAINTY = 0.01
# Half of it: with the whole, one of ten searches of the main job ended below a test score of 0.95.
SCORE_MARGIN = 0.005
# A least score that is known to fit a dataset: of its accurate topologies nearly all reach it.
LEAST_SCORES: Mapping[str, float] = MappingProxyType({"mnist_small": DEFAULT_LEAST_SCORE})
# After so many samples small networks on `digits` gain less than 0.005 from as many again.
TRAINING_SAMPLES = 60_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 60
PAPER_WEIGHTS = Weights(0.5, 0.05)  # the paper's setting 3, Figure 2
EVEN_WEIGHTS = Weights(0.5, 0.5)


@dataclass(frozen=True)
class SearchDefaults:
    """Defaults of a search by its protocol."""

    data: str
    objective: str
    sampler: str


PAPER = SearchDefaults(data="mnist_small", objective=Squared.name, sampler="tpe")
OURS = SearchDefaults(data="digits", objective=Constrained.name, sampler=COMPOSITE)


def defaults_of(protocol: str) -> SearchDefaults:
    """Return the defaults of a protocol: the paper's, or the cheapest accurate network."""
    return PAPER if protocol == "paper" else OURS


def default_epochs(protocol: str, training_samples: int) -> int:
    """Return the epochs for a meaningful score: those of 60,000 samples, from 3 to 60.

    Under the paper's protocol it is 2.
    """
    if protocol == "paper":
        return DEFAULT_EPOCHS
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(TRAINING_SAMPLES / training_samples)))


def default_weights(
    objective: str, alpha: float | None = None, beta: float | None = None
) -> Weights:
    """Return the weights: those given, else equal ones or the paper's.

    Both costs weigh the same if a least score is required. A missing weight is smaller if the given
    one leaves less. Raises ``UsageError``.
    """
    usual = EVEN_WEIGHTS if objective == Constrained.name else PAPER_WEIGHTS
    if alpha is None:
        alpha = usual.alpha if beta is None else max(0.0, min(usual.alpha, 1 - beta))
    if beta is None:
        beta = max(0.0, min(usual.beta, 1 - alpha))
    return Weights(alpha, beta)


def default_min_score(objective: str, data: str, metric: str | None) -> str | float | None:
    """Return the least score of an objective on a dataset, as `powerml.optimize` takes it.

    It is None if the objective weighs the score itself. A metric of None is the data's default.
    """
    if objective != Constrained.name:
        return None
    margin = f"best-{SCORE_MARGIN:g}"
    return margin if metric not in (None, ACCURACY) else LEAST_SCORES.get(data, margin)
