"""Tasks: orders that are carried out in a worker's process.

Each process keeps the contents that it was sent, and its simulators, which take seconds to start.
They are closed when a run tells so, when another run needs others, or after a while of no work.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from powerml.backend import import_keras, select_backend
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.readings import Reading
from powerml.errors import (
    PowerMLError,
    ServerError,
    SetupError,
    WorkerError,
)
from powerml.machines import Geometry
from powerml.meters.base import Meter
from powerml.meters.caching import CachingMeter
from powerml.networks.deployed import memory_of
from powerml.networks.epochs import Endings
from powerml.networks.native import Trained, score_on_test, train_natively
from powerml.networks.own_training import save_own
from powerml.progress import Notify, silent
from powerml.spaces.from_file import OwnSpace
from powerml.spaces.trial import Reports, TrialPruned
from powerml.studies.pruning import Curve
from powerml.workers.contents import Content, Contents, SpaceFiles, material_of
from powerml.workers.identity import differences, identity
from powerml.workers.orders import (
    Counted,
    CountOrder,
    DeterminantsOrder,
    Determined,
    Failure,
    Identity,
    Lacking,
    MeterKey,
    Order,
    Reply,
    SavedNetwork,
    TrainedNetworks,
    TrainOrder,
)
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import OwnMaterial

__all__ = ["describe", "leave", "perform", "stop"]

MOST_CONTENTS = 8  # of a process: the data and the code of some studies
IDLE_SECONDS = 600.0  # a simulator holds about a gigabyte
# Errors of the machine, which another machine may not have.
MACHINES_ERRORS = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
    )
)


class StoppedError(BaseException):
    """The end of a task whose run has been stopped."""


@dataclass
class _OpenMeters:
    """The meters of a run, and who uses them."""

    meters: Mapping[Geometry, Meter]
    stack: contextlib.ExitStack
    users: int = 0
    used_at: float = 0.0


class _Here:
    """The contents, spaces and meters that this process keeps. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: OrderedDict[str, Content] = OrderedDict()
        self._spaces: OrderedDict[str, OwnSpace] = OrderedDict()
        self._meters: dict[tuple[str, str], _OpenMeters] = {}
        self._stopped: set[str] = set()
        self._watch: threading.Timer | None = None

    def take(self, contents: Contents, needs: tuple[str, ...]) -> list[Content] | Lacking:
        """Keep contents, and return those that an order needs, or which are lacking."""
        with self._lock:
            for digest, content in contents.items():
                self._contents[digest] = content
            lacking = tuple(digest for digest in needs if digest not in self._contents)
            if lacking:
                return Lacking(lacking)
            for digest in needs:
                self._contents.move_to_end(digest)
            found = [self._contents[digest] for digest in needs]
            while len(self._contents) > max(MOST_CONTENTS, len(needs)):
                self._contents.popitem(last=False)
            return found

    def material(self, contents: list[Content]) -> Dataset | OwnMaterial:
        """Return the material of an order; the code of a space is run once."""
        space = None
        for content in contents:
            if isinstance(content, SpaceFiles):
                digest = content.digest
                with self._lock:
                    if digest not in self._spaces:
                        self._spaces.clear()  # modules of two spaces may have one name
                        self._spaces[digest] = content.load()
                    space = self._spaces[digest]
        return material_of(contents, space)

    @contextlib.contextmanager
    def meters(self, run: str, key: MeterKey) -> Iterator[Mapping[Geometry, Meter]]:
        """Open the meters of a run, or use those that are open."""
        if not isinstance(key.meter, str):
            with key.open() as meters:
                yield meters
            return
        place = (run, repr(key))
        with self._lock:
            found = self._meters.get(place)
            if found is None:
                self._close_idle(0)
                stack = contextlib.ExitStack()
                found = _OpenMeters(stack.enter_context(key.open()), stack)
                self._meters[place] = found
            found.users += 1
        try:
            yield found.meters
        finally:
            with self._lock:
                found.users -= 1
                found.used_at = time.monotonic()
                self._watch_over()

    def _watch_over(self) -> None:
        """Close the meters later if nobody uses them by then. The lock is held."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch = threading.Timer(IDLE_SECONDS + 1, self.close_idle, [IDLE_SECONDS])
        self._watch.daemon = True
        self._watch.start()

    def close_idle(self, seconds: float, run: str | None = None) -> None:
        """Close the meters that nobody has used for so long, of one run or of all."""
        with self._lock:
            self._close_idle(seconds, run)

    def _close_idle(self, seconds: float, run: str | None = None) -> None:
        now = time.monotonic()
        for place, one in list(self._meters.items()):
            if run in (None, place[0]) and one.users == 0 and now - one.used_at >= seconds:
                del self._meters[place]
                one.stack.close()

    def stop(self, run: str) -> None:
        """End the tasks of a run: its simulators are closed while they work."""
        with self._lock:
            self._stopped.add(run)
            places = [place for place in self._meters if place[0] == run]
            closed = [self._meters.pop(place) for place in places]
        for one in closed:
            one.stack.close()

    def is_stopped(self, run: str) -> bool:
        """Return whether a run was stopped."""
        return run in self._stopped


_here = _Here()


def describe(backend: str, *, simulates: bool) -> Identity | Failure:
    """Return the identity of this process, or why it can do no work."""
    try:
        _select(backend)
        return identity(backend, simulates=simulates)
    except PowerMLError as error:
        return Failure.of(error, is_the_workers=True, is_unfit=True)


def stop(run: str) -> None:
    """Stop the tasks of a run in this process."""
    _here.stop(run)


def leave(run: str) -> None:
    """Close the simulators of a run in this process, which has ended."""
    _here.close_idle(0, run)


def perform(order: Order, contents: Contents, notify: Notify = silent, threads: int = 1) -> Reply:
    """Carry an order out.

    Parameters
    ----------
    order
        The order.
    contents
        Contents by their digests, where this process lacks them.
    notify
        Hears what is done.
    threads
        Tasks that this process works on at once.
    """
    try:
        if order.identity is not None and (said := _differs(order)):
            wrong = SetupError(f"it differs: {'; '.join(said)}")
            return Failure.of(wrong, is_the_workers=True, is_unfit=True)
        taken = _here.take(contents, order.needs)
        if isinstance(taken, Lacking):
            return taken
        return _performed(order, taken, notify, threads)
    except StoppedError:
        return Failure.of(WorkerError("the run was stopped"))
    except Exception as error:
        unfit = isinstance(error, SetupError) or _is_the_machines(error)
        return Failure.of(error, is_the_workers=unfit or _may_pass(error), is_unfit=unfit)


def _performed(order: Order, taken: list[Content], notify: Notify, threads: int) -> Reply:
    if isinstance(order, DeterminantsOrder):
        return _determine(order)
    material = _here.material(taken)
    if isinstance(order, CountOrder):
        return _count(order, material, notify, threads)
    if isinstance(order, TrainOrder):
        return _train(order, material, notify)
    raise TypeError(order)


def _is_the_machines(error: BaseException) -> bool:
    """Return whether this machine is to blame, which may be behind another library's error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in MACHINES_ERRORS:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _may_pass(error: BaseException) -> bool:
    """Return whether the same work may succeed on another try: what was killed, or our own bug."""
    return isinstance(error, ServerError | WorkerError) or not isinstance(error, PowerMLError)


# An identity takes a tenth of a second, and does not change while a process lives.
_known: dict[tuple[str, bool], Identity] = {}


def _differs(order: Order) -> tuple[str, ...]:
    wanted = order.identity or {}
    key = (str(wanted["backend"]), "cpu_flags" in wanted)
    if key not in _known:
        _select(key[0])
        _known[key] = identity(key[0], simulates=key[1])
    return tuple(differences(_known[key], wanted))


def _select(backend: str) -> None:
    """Choose the backend of this process.

    Raises
    ------
    SetupError
        It is not installed, or Keras runs on another already.
    """
    os.environ["KERAS_BACKEND"] = backend
    found = select_backend()
    if found != backend:
        raise SetupError(f"Keras runs on {found} here, not on {backend}: start another worker")


def _determine(order: DeterminantsOrder) -> Determined:
    with order.meter.open() as meters:
        return Determined(
            {
                geometry: meter.determined_by(order.workload)
                for geometry, meter in meters.items()
                if isinstance(meter, CachingMeter)
            }
        )


def _count(
    order: CountOrder, material: Dataset | OwnMaterial, notify: Notify, threads: int
) -> Counted:
    key = order.meter
    key = replace(key, options=replace(key.options, jobs=threads, warm=False))
    with _here.meters(order.run, key) as meters:
        found: dict[Geometry, tuple[list[Reading], Fingerprint]] = {}
        for geometry, meter in meters.items():
            try:
                readings = list(meter.measure(order.workload, material, notify))
            except Exception:
                if _here.is_stopped(order.run):
                    raise StoppedError from None
                raise
            found[geometry] = readings, meter.fingerprint()
    memory = memory_of(order.workload, material, allocated=False)
    return Counted(found, memory)


class _Stoppable:
    """Reports of a training that end it when its run is stopped."""

    def __init__(self, run: str, reports: Reports) -> None:
        self._run = run
        self._reports = reports

    def report(self, value: float, step: int) -> None:
        """Pass a report on; raises ``StoppedError``."""
        if _here.is_stopped(self._run):
            raise StoppedError
        self._reports.report(value, step)

    def should_prune(self) -> bool:
        """Return whether the training is to end."""
        return self._reports.should_prune()


def _train(order: TrainOrder, material: Dataset | OwnMaterial, notify: Notify) -> TrainedNetworks:
    _select(order.backend)
    import_keras()
    curve = None if order.pruning is None else Curve(order.pruning)
    reports = None if curve is None else _Stoppable(order.run, curve)
    endings = Endings(order.patience, reports)
    try:
        trained = train_natively(order.training, material, order.seeds, notify, endings)
    except TrialPruned:
        return TrainedNetworks((), is_pruned=True, curve=None if curve is None else curve.so_far)
    saved = [
        _saved(one, name, order, material) for one, name in zip(trained, order.names, strict=True)
    ]
    return TrainedNetworks(
        tuple(saved), is_pruned=False, curve=None if curve is None else curve.so_far
    )


def _saved(
    trained: Trained, name: str, order: TrainOrder, material: Dataset | OwnMaterial
) -> SavedNetwork:
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        save_own(trained.model, Path(folder) / name)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    tested = score_on_test(trained.model, order.training, material) if order.is_tested else None
    return SavedNetwork(files, trained.score, trained.epochs, tested)
