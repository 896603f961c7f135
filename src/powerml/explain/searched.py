"""The search space of a study that has run, and its trials' places in it. Pure functions."""

from __future__ import annotations

from powerml.search.problem import BATCH_SIZE, bounds_of
from powerml.spaces import Bounds, parse_subspace, parse_topology
from powerml.studies.reader import StoredStudy
from powerml.studies.records import TrialRecord

__all__ = ["largest_batch", "parameters_of", "searched_bounds"]


def searched_bounds(stored: StoredStudy) -> dict[str, Bounds]:
    """Return the bounds of each parameter and the batch size in a study."""
    return bounds_of(stored.settings, largest_batch(stored))


def largest_batch(stored: StoredStudy) -> int:
    """Return the samples in the largest batch of a study that differs from all smaller ones.

    That is all the data, or the space's largest batch where nothing was measured.
    """
    workload = None if stored.unit is None else stored.unit.workload.training
    if workload is None:
        return parse_subspace(stored.settings.space).space.batch_size_bounds.high
    return max(workload.training_samples, workload.inference_samples)


def parameters_of(trial: TrialRecord) -> dict[str, int]:
    """Return the parameters of a trial's topology and its batch size."""
    return {**parse_topology(trial.topology).parameters, BATCH_SIZE: trial.batch_size}
