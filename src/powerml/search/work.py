"""The work of a search, counting and training, done here or by workers elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from powerml.costs.cache import CountsCache
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.readings import Reading, require_counts
from powerml.errors import TrainingError
from powerml.machines import Geometry
from powerml.memory.record import Memory
from powerml.meters.base import Meter
from powerml.meters.counting import Counting, start_counting
from powerml.networks.deployed import memory_of
from powerml.networks.epochs import Endings
from powerml.networks.native import Trained, score_on_test, train_natively
from powerml.networks.own_training import save_own
from powerml.progress import Notify
from powerml.spaces.trial import TrialPruned
from powerml.studies.pruning import Curve, LearningCurve, Pruning
from powerml.studies.reader import model_names
from powerml.studies.records import StudySettings
from powerml.workers import Workers
from powerml.workers.orders import (
    Counted,
    CountOrder,
    DeterminantsOrder,
    Determined,
    MeterKey,
    Reply,
    SavedNetwork,
    TrainedNetworks,
    TrainOrder,
)
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial, TrainedWorkload

__all__ = ["LocalWork", "ScoredNetwork", "Training", "Work", "WorkElsewhere", "seeds_of"]


class ScoredNetwork(Protocol):
    """A trained network."""

    @property
    def score(self) -> float:
        """Its score on the validation split."""

    @property
    def epochs(self) -> int:
        """The epochs that it was trained for."""

    def save(self, folder: Path, name: str) -> None:
        """Write it into a folder."""

    def test_score(self, workload: TrainedWorkload) -> float:
        """Return its score on the test split."""


@dataclass(frozen=True)
class Training:
    """A training that has ended: its networks, one for each seed, or none where it was pruned."""

    networks: Sequence[ScoredNetwork]
    curve: LearningCurve | None

    @property
    def is_pruned(self) -> bool:
        """True if the first training was not worth going on."""
        return not self.networks


class Work(Protocol):
    """One way of doing a search's work."""

    @property
    def is_elsewhere(self) -> bool:
        """True if trainings run beside the search, which then begins them as early as it can."""

    def count(self, workload: TrainedWorkload, notify: Notify, trial: int | None) -> Counting:
        """Begin to count a workload, and return at once."""

    def train(
        self,
        workload: TrainedWorkload,
        pruning: Pruning | None,
        notify: Notify,
        trial: int | None,
        *,
        is_tested: bool = False,
    ) -> Future[Training]:
        """Train a workload's network for each seed.

        Its future raises ``TrainingError`` or ``SpaceError``, if a training fails.
        """

    def memory(self, workload: TrainedWorkload, counting: Counting | None) -> Memory | None:
        """Return the memory of a network, which may be known from its counting."""


def seeds_of(settings: StudySettings) -> tuple[int, ...]:
    """Return the seeds of a topology's trainings."""
    return tuple(range(settings.seed, settings.seed + settings.score_seeds))


@dataclass(frozen=True)
class _TrainedHere:
    """A network of this process."""

    trained: Trained
    material: Dataset | OwnMaterial

    @property
    def score(self) -> float:
        return self.trained.score

    @property
    def epochs(self) -> int:
        return self.trained.epochs

    def save(self, folder: Path, name: str) -> None:
        save_own(self.trained.model, folder / name)

    def test_score(self, workload: TrainedWorkload) -> float:
        return score_on_test(self.trained.model, workload, self.material)


class LocalWork:
    """Work in this process: counted on threads, and trained when it is asked for."""

    is_elsewhere = False

    def __init__(
        self,
        settings: StudySettings,
        material: Dataset | OwnMaterial,
        meters: Mapping[Geometry, Meter],
        threads: Executor,
    ) -> None:
        self._settings = settings
        self._material = material
        self._meters = meters
        self._threads = threads

    def count(self, workload: TrainedWorkload, notify: Notify, _trial: int | None) -> Counting:
        """Begin to count a workload on threads."""
        return start_counting(self._threads, workload, self._material, self._meters, notify)

    def train(
        self,
        workload: TrainedWorkload,
        pruning: Pruning | None,
        notify: Notify,
        _trial: int | None,
        *,
        is_tested: bool = False,  # noqa: ARG002 - a network of this process is tested when asked
    ) -> Future[Training]:
        """Train a workload's network now; the future has ended."""
        found: Future[Training] = Future()
        curve = None if pruning is None else Curve(pruning)
        endings = Endings(self._settings.early_stopping, curve)
        seeds = seeds_of(self._settings)
        trained: Sequence[Trained] = ()
        try:
            trained = train_natively(workload, self._material, seeds, notify, endings)
        except TrialPruned:
            pass
        except Exception as error:
            found.set_exception(error)
            return found
        networks = [_TrainedHere(one, self._material) for one in trained]
        found.set_result(Training(networks, None if curve is None else curve.so_far))
        return found

    def memory(self, workload: TrainedWorkload, _counting: Counting | None) -> Memory | None:
        """Return the memory of a network, which is exported unless it is already."""
        return memory_of(workload, self._material, allocated=False)


@dataclass(frozen=True)
class _TrainedElsewhere:
    """A network that a worker has trained and sent."""

    saved: SavedNetwork

    @property
    def score(self) -> float:
        return self.saved.score

    @property
    def epochs(self) -> int:
        return self.saved.epochs

    def save(self, folder: Path, name: str) -> None:
        for file, content in self.saved.files.items():
            if Path(file).name != file or not file.startswith(Path(name).stem):
                raise TrainingError(f"a worker sent a file of another name than {name}: {file}")
            (folder / file).write_bytes(content)

    def test_score(self, workload: TrainedWorkload) -> float:  # noqa: ARG002 - it was known there
        if self.saved.test_score is None:
            raise TypeError(self.saved)
        return self.saved.test_score


@dataclass(frozen=True)
class _CountingElsewhere(Counting):
    """A workload that a worker counts; `reply` is None if its counts were in the cache."""

    reply: Future[Reply] | None = None


class WorkElsewhere:
    """Work that is sent to workers.

    Counts that are in this machine's cache are not asked for again, and new ones are kept there.
    """

    is_elsewhere = True

    def __init__(
        self,
        settings: StudySettings,
        material: Dataset | OwnMaterial,
        meter: MeterKey,
        workers: Workers,
    ) -> None:
        self._settings = settings
        self._material = material
        self._meter = meter
        self._workers = workers
        self._geometries = list(meter.machines.geometries(meter.levels))
        self._cache = CountsCache() if meter.cache and isinstance(meter.meter, str) else None
        self._around: dict[Geometry, Any] | None = None

    def count(self, workload: TrainedWorkload, notify: Notify, trial: int | None) -> Counting:
        """Look a workload up, or have it counted by a worker."""
        started = time.monotonic()
        determined = self._determined_by(workload)
        if (kept := self._kept(determined)) is not None:
            notify(f"{workload.title}: counts from the cache")
            return _CountingElsewhere(workload, kept, started)
        order = CountOrder(
            self._workers.run,
            f"simulate {workload.title}",
            trial,
            workload,
            tuple(self._workers.contents),
            None,
            self._meter,
        )
        phases: dict[Geometry, Future[tuple[list[Reading], Fingerprint]]] = {
            geometry: Future() for geometry in self._geometries
        }
        reply = self._workers.submit(order, notify)
        reply.add_done_callback(partial(self._take, phases, determined, notify))
        return _CountingElsewhere(workload, phases, started, reply)

    def _take(
        self,
        phases: Mapping[Geometry, Future[tuple[list[Reading], Fingerprint]]],
        determined: Mapping[Geometry, Mapping[str, Any]],
        notify: Notify,
        reply: Future[Reply],
    ) -> None:
        """Hand the counts of a reply out, and keep them."""
        error = reply.exception()
        found = None if error is not None else reply.result()
        for geometry, future in phases.items():
            if error is not None:
                future.set_exception(error)
            elif isinstance(found, Counted):
                readings, fingerprint = found.readings[geometry]
                if self._cache is not None and geometry in determined:
                    counts = require_counts(fingerprint.meter, readings)
                    self._cache.keep(determined[geometry], counts, fingerprint, notify)
                future.set_result((readings, fingerprint))
            else:
                future.set_exception(TypeError(found))

    def _determined_by(self, workload: TrainedWorkload) -> dict[Geometry, Mapping[str, Any]]:
        """Return what determines a workload's counts, as the workers say.

        All workloads of a study differ in themselves alone: one question is enough.
        """
        if self._cache is None:
            return {}
        if self._around is None:
            order = DeterminantsOrder(
                self._workers.run,
                f"look at {workload.title}",
                None,
                workload,
                (),
                None,
                self._meter,
            )
            reply = self._workers.submit(order).result()
            if not isinstance(reply, Determined):
                raise TypeError(reply)
            self._around = {geometry: by["meter"] for geometry, by in reply.by.items()}
        return {
            geometry: {"workload": workload.determinants(), "meter": around}
            for geometry, around in self._around.items()
        }

    def _kept(
        self, determined: Mapping[Geometry, Mapping[str, Any]]
    ) -> dict[Geometry, Future[tuple[list[Reading], Fingerprint]]] | None:
        """Return the counts of all geometries from the cache, or None."""
        if self._cache is None or not determined:
            return None
        found: dict[Geometry, Future[tuple[list[Reading], Fingerprint]]] = {}
        for geometry, by in determined.items():
            entry = self._cache.get(by)
            if entry is None:
                return None
            found[geometry] = Future()
            found[geometry].set_result((list(entry.phases), entry.fingerprint))
        return found

    def train(
        self,
        workload: TrainedWorkload,
        pruning: Pruning | None,
        notify: Notify,
        trial: int | None,
        *,
        is_tested: bool = False,
    ) -> Future[Training]:
        """Have a worker train a workload's network for each seed."""
        settings = self._settings
        order = TrainOrder(
            self._workers.run,
            f"train {workload.title}",
            trial,
            workload,
            tuple(self._workers.contents),
            None,
            workload,
            settings.backend,
            seeds_of(settings),
            tuple(model_names(settings.score_seeds)),
            settings.early_stopping,
            pruning,
            is_tested,
        )
        found: Future[Training] = Future()
        self._workers.submit(order, notify).add_done_callback(partial(_take_training, found))
        return found

    def memory(self, workload: TrainedWorkload, counting: Counting | None) -> Memory | None:
        """Return the memory as the worker that counted has found it, or export the network here."""
        if isinstance(counting, _CountingElsewhere) and counting.reply is not None:
            reply = counting.reply.result()
            if isinstance(reply, Counted):
                return reply.memory
        return memory_of(workload, self._material, allocated=False)


def _take_training(found: Future[Training], reply: Future[Reply]) -> None:
    if (error := reply.exception()) is not None:
        found.set_exception(error)
        return
    trained = reply.result()
    if not isinstance(trained, TrainedNetworks):
        found.set_exception(TypeError(trained))
        return
    found.set_result(Training([_TrainedElsewhere(one) for one in trained.networks], trained.curve))
