"""The problem of a study: its space, its data and its reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from optuna.distributions import BaseDistribution, IntDistribution

from powerml.errors import UsageError
from powerml.machines import PhaseMachines
from powerml.spaces import (
    Bounds,
    Space,
    Topology,
    layers_of,
    parameter_count,
    parse_subspace,
    parse_topology,
    topology_of,
)
from powerml.studies.records import StudySettings
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import TopologyWorkload, make_workload

__all__ = [
    "BATCH_SIZE",
    "FIRST",
    "Problem",
    "bounds_of",
    "distributions_of",
    "reference_name",
]

FIRST = "first"
BATCH_SIZE = "batch_size"


class Proposed(Protocol):
    """A topology and its batch size: a trial in any state."""

    @property
    def topology(self) -> str:
        """The topology as it is written, as in ``dffr:layers=2,width=16``."""

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""


def bounds_of(settings: StudySettings, most_samples: int) -> dict[str, Bounds]:
    """Return the bounds of each parameter and the batch size in a study.

    Batches larger than the data are all the same; they are left out, except under the paper's
    protocol.

    Parameters
    ----------
    settings
        The study's settings.
    most_samples
        Samples in the largest batch that there can be.
    """
    subspace = parse_subspace(settings.space)
    batch_sizes = subspace.space.batch_size_bounds
    if settings.protocol != "paper":
        most = max(batch_sizes.low, min(batch_sizes.high, most_samples))
        batch_sizes = Bounds(batch_sizes.low, most)
    return {**subspace.bounds, BATCH_SIZE: batch_sizes}


def distributions_of(bounds: Mapping[str, Bounds]) -> dict[str, BaseDistribution]:
    """Return bounds as Optuna's distributions, uniform over integers (section 2.5)."""
    return {name: IntDistribution(one.low, one.high) for name, one in bounds.items()}


@dataclass(frozen=True)
class Problem:
    """The problem of a study, fixed from its first trial to its last."""

    space: Space
    dataset: Dataset
    machines: PhaseMachines
    settings: StudySettings

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """The space's parameters and the batch size."""
        return distributions_of(bounds_of(self.settings, self._most_samples))

    def workload(self, topology: Topology, batch_size: int) -> TopologyWorkload:
        """Make the workload of a topology of the space."""
        return make_workload(
            topology,
            self.dataset,
            batch_size=batch_size,
            epochs=self.settings.epochs,
            protocol=self.settings.protocol,
            backend=self.settings.backend,
            validation=self.settings.validation,
            seed=self.settings.seed,
            deployment=self.settings.deployment,
            metric=self.settings.metric,
        )

    def parameters(self, topology: Topology) -> int | None:
        """Return the number of weights and biases, or None without known layers."""
        layers = layers_of(
            self.space, topology.parameters, self.dataset.input_shape, self.dataset.outputs
        )
        return None if layers is None else parameter_count(layers)

    def are_the_same(self, one: Proposed, other: Proposed) -> bool:
        """Return whether two trials are the same: batches larger than the data are all the data."""
        sizes = {min(trial.batch_size, self._most_samples) for trial in (one, other)}
        return one.topology == other.topology and len(sizes) == 1

    @property
    def _most_samples(self) -> int:
        """Samples in the largest batch that there can be."""
        return max(len(split) for split in (self.dataset.train, self.dataset.test))

    def reference_workload(self) -> TopologyWorkload | None:
        """Make the reference's workload, or None if the first trial is the reference."""
        if self.settings.reference == FIRST:
            return None
        return self.workload(
            parse_topology(self.settings.reference), self.space.reference_batch_size
        )


def reference_name(space: Space, wanted: str | None) -> str:
    """Name the reference: ``first``, or a topology of the space, its own by default.

    Raises
    ------
    UsageError
        It is a topology of another space.
    """
    if wanted == FIRST:
        return FIRST
    if wanted is None:
        return str(topology_of(space, space.reference))
    topology = parse_topology(wanted)
    if topology.space != space.name:
        raise UsageError(
            f"the reference {topology} is not of the space {space.name}: costs of two spaces "
            "must not be mixed in one study"
        )
    return str(topology)
