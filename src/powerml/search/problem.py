"""The problem of a study: its space, its data and its reference."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import Trial

from powerml.errors import TrainingError, UsageError
from powerml.machines import PhaseMachines
from powerml.networks.native import count_parameters
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
from powerml.spaces.values import Value
from powerml.studies.folder import Study
from powerml.studies.records import StudySettings
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial, OwnWorkload, TopologyWorkload, make_workload

__all__ = [
    "BATCH_SIZE",
    "FIRST",
    "BoundedProblem",
    "Problem",
    "Proposal",
    "SearchedWorkload",
    "bounds_of",
    "distributions_of",
    "reference_name",
]

# A workload that a search proposes.
SearchedWorkload = TopologyWorkload | OwnWorkload
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
class Proposal:
    """A proposed topology with its trial in Optuna.

    `workload` is None where the topology has none; `failure` then gives the reason. `values` are
    the parameters of a user's own space.
    """

    trial: Trial
    topology: str
    batch_size: int
    workload: SearchedWorkload | None = None
    parameters: int | None = None
    failure: str | None = None
    values: Mapping[str, Value] | None = None


class Problem(ABC):
    """The problem of a study, fixed from its first trial to its last."""

    def __init__(self, dataset: Dataset, machines: PhaseMachines, settings: StudySettings) -> None:
        self.dataset = dataset
        self.machines = machines
        self.settings = settings

    @property
    @abstractmethod
    def material(self) -> Dataset | OwnMaterial:
        """The content that its workloads name by their digests."""

    @abstractmethod
    def propose(self, study: Study, sampler: BaseSampler) -> Proposal:
        """Have a sampler choose the next topology, and make its workload."""

    @abstractmethod
    def reference_workload(self) -> SearchedWorkload | None:
        """Make the reference's workload, or None if the first trial is the reference."""

    def epochs_of(self, workload: SearchedWorkload) -> int | None:
        """Return the epochs of a training; None where the user's code may do as it pleases."""
        return workload.epochs

    def are_the_same(self, one: Proposed, other: Proposed) -> bool:
        """Return whether two trials are the same: batches larger than the data are all the data."""
        sizes = {min(trial.batch_size, self.most_samples) for trial in (one, other)}
        return one.topology == other.topology and len(sizes) == 1

    @property
    def most_samples(self) -> int:
        """Samples in the largest batch that there can be."""
        return max(len(split) for split in (self.dataset.train, self.dataset.test))


class BoundedProblem(Problem):
    """The problem of a study of a built-in space, which has bounds for its parameters.

    Parameters
    ----------
    space
        The space.
    dataset, machines, settings
        The data, the machines that price it, and the study's settings.
    """

    def __init__(
        self, space: Space, dataset: Dataset, machines: PhaseMachines, settings: StudySettings
    ) -> None:
        super().__init__(dataset, machines, settings)
        self.space = space

    @property
    def material(self) -> Dataset:
        """The dataset."""
        return self.dataset

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """The space's parameters and the batch size."""
        return distributions_of(bounds_of(self.settings, self.most_samples))

    def propose(self, study: Study, sampler: BaseSampler) -> Proposal:
        """Have a sampler choose the next topology, and make its workload."""
        trial, parameters = study.ask(self.search_space, sampler)
        batch_size = parameters.pop(BATCH_SIZE)
        topology = topology_of(self.space, parameters)
        workload = self.workload(topology, batch_size)
        proposal = Proposal(trial, workload.name, batch_size, workload)
        return replace(proposal, parameters=self._parameters(topology, workload))

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

    def _parameters(self, topology: Topology, workload: TopologyWorkload) -> int | None:
        """Return the number of weights and biases, or None if the network cannot be built."""
        layers = layers_of(
            self.space, topology.parameters, self.dataset.input_shape, self.dataset.outputs
        )
        if layers is not None:
            return parameter_count(layers)
        try:
            return count_parameters(workload)
        except TrainingError:
            return None

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
