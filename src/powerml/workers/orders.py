"""Orders and replies: the messages between a search and its workers.

They travel over the connection of the executor that carries them, in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from powerml import errors
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.readings import Reading
from powerml.errors import LONGEST_MESSAGE, PowerMLError, shortened, words_of
from powerml.machines import Geometry, PhaseMachines
from powerml.memory.record import Memory
from powerml.meters.base import Meter, MeterOptions
from powerml.meters.catalogue import open_meters
from powerml.studies.pruning import LearningCurve, Pruning
from powerml.workloads.workload import AnyWorkload, TrainedWorkload

__all__ = [
    "CountOrder",
    "Counted",
    "DeterminantsOrder",
    "Failure",
    "Identity",
    "Lacking",
    "MeterKey",
    "Order",
    "Reply",
    "SavedNetwork",
    "TrainOrder",
    "TrainedNetworks",
]

# What tells the installation and the processor of a worker from others', as plain JSON.
Identity = dict[str, Any]


@dataclass(frozen=True)
class MeterKey:
    """The meters of a run: all that opens them."""

    meter: str | Meter
    machines: PhaseMachines
    levels: int
    backend: str
    options: MeterOptions
    cache: bool

    def open(self) -> AbstractContextManager[dict[Geometry, Meter]]:
        """Open the meters; see `powerml.meters.catalogue.open_meters`."""
        return open_meters(
            self.meter, self.machines, self.levels, self.backend, self.options, cache=self.cache
        )


@dataclass(frozen=True)
class Order:
    """One piece of work, a pure function of its fields and of the contents that it `needs`.

    Parameters
    ----------
    run
        Identifier of the run that it belongs to.
    title
        Its name on a dashboard, as in ``simulate cnn:convs=1``.
    trial
        Number of its trial; None for the reference.
    workload
        The workload.
    needs
        Digests of the contents, the dataset's first.
    identity
        The worker that it is for; any other returns it.
    """

    run: str
    title: str
    trial: int | None
    workload: AnyWorkload
    needs: tuple[str, ...]
    identity: Identity | None


@dataclass(frozen=True)
class DeterminantsOrder(Order):
    """The question for the determinants of a workload's counts."""

    meter: MeterKey


@dataclass(frozen=True)
class CountOrder(Order):
    """The counting of a workload."""

    meter: MeterKey


@dataclass(frozen=True)
class TrainOrder(Order):
    """The native training of a workload, once for each seed.

    Parameters
    ----------
    seeds
        Seeds of the trainings.
    names
        Names of the files of the trained networks.
    patience
        Epochs without a better score after which a training ends; None for any number.
    pruning
        The curves that the first training is compared with; None where nothing prunes it.
    is_tested
        Whether the networks are scored on the test split, too.
    """

    training: TrainedWorkload
    backend: str
    seeds: tuple[int, ...]
    names: tuple[str, ...]
    patience: int | None
    pruning: Pruning | None
    is_tested: bool


@dataclass(frozen=True)
class Lacking:
    """The reply of a worker that has not these contents yet."""

    digests: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """The reply where the work failed.

    `is_the_workers` is true if another worker may do better. `is_unfit` is true if this one is to
    get no more orders: its disk is full, or it differs from the others.
    """

    kind: str
    message: str
    detail: str
    is_the_workers: bool
    is_unfit: bool = False

    @classmethod
    def of(
        cls, error: BaseException, *, is_the_workers: bool = False, is_unfit: bool = False
    ) -> Failure:
        """Describe an exception."""
        detail = error.detail if isinstance(error, PowerMLError) else ""
        kind = type(error).__name__ if isinstance(error, PowerMLError) else "WorkerError"
        message = str(error) if isinstance(error, PowerMLError) else words_of(error)
        return cls(kind, shortened(message, LONGEST_MESSAGE), detail, is_the_workers, is_unfit)

    def error(self) -> PowerMLError:
        """Return the exception again, of the same class of powerML's."""
        found = getattr(errors, self.kind, None)
        kind: type[PowerMLError] = errors.MeasurementError
        if isinstance(found, type) and issubclass(found, PowerMLError):
            kind = found
        error = kind.__new__(kind)  # some are made from other things than their message
        Exception.__init__(error, self.message)
        error.detail = self.detail
        return error


@dataclass(frozen=True)
class Counted:
    """The counts of a workload for each geometry, and the memory of its deployed model."""

    readings: Mapping[Geometry, tuple[list[Reading], Fingerprint]]
    memory: Memory | None


@dataclass(frozen=True)
class Determined:
    """The determinants of a workload's counts, for each geometry of which they are known."""

    by: Mapping[Geometry, Mapping[str, Any]]


@dataclass(frozen=True)
class SavedNetwork:
    """A trained network as its files, by their names, with its score and its epochs."""

    files: Mapping[str, bytes]
    score: float
    epochs: int
    test_score: float | None


@dataclass(frozen=True)
class TrainedNetworks:
    """The trained networks, or none where the first training was pruned.

    `curve` is the learning curve of the first where one was wanted.
    """

    networks: tuple[SavedNetwork, ...]
    is_pruned: bool
    curve: LearningCurve | None


Reply: TypeAlias = Lacking | Failure | Counted | Determined | TrainedNetworks
