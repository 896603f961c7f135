"""The search space of a study that has run, and its trials' places in it. Pure functions."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from optuna.distributions import BaseDistribution

from powerml.search.problem import BATCH_SIZE, bounds_of
from powerml.spaces import Bounds, parse_subspace, parse_topology
from powerml.studies.reader import StoredStudy
from powerml.studies.records import TrialRecord

__all__ = [
    "common_distributions",
    "is_own",
    "largest_batch",
    "parameters_of",
    "searched_bounds",
]


def searched_bounds(stored: StoredStudy) -> dict[str, Bounds]:
    """Return the bounds of each parameter and the batch size in a study."""
    return bounds_of(stored.settings, largest_batch(stored))


def largest_batch(stored: StoredStudy) -> int:
    """Return the samples in the largest batch of a study that differs from all smaller ones.

    That is all the data, or the space's largest batch where nothing was measured.
    """
    workload = None if stored.unit is None else stored.unit.workload.training
    if workload is None and is_own(stored):
        return sys.maxsize
    if workload is None:
        return parse_subspace(stored.settings.space).space.batch_size_bounds.high
    return max(workload.training_samples, workload.inference_samples)


def is_own(stored: StoredStudy) -> bool:
    """Return whether a study is of a user's own space, whose bounds only its code knows."""
    return stored.settings.space_digest is not None


def common_distributions(
    stored: StoredStudy, trials: Sequence[TrialRecord]
) -> dict[str, BaseDistribution]:
    """Return the parameters of a user's own space that all trials have, from one distribution."""
    drawn = [dict(stored.distributions.get(trial.number, {})) for trial in trials]
    if not drawn:
        return {}
    first, *others = drawn
    return {
        name: one for name, one in first.items() if all(other.get(name) == one for other in others)
    }


def parameters_of(trial: TrialRecord) -> dict[str, int]:
    """Return the parameters of a trial's topology and its batch size."""
    return {**parse_topology(trial.topology).parameters, BATCH_SIZE: trial.batch_size}
