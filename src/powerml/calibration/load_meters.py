"""Meters of synthetic loads: the simulator with a cache before it, and one that replays."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from powerml.calibration.files import load_calibration
from powerml.calibration.loads import Load
from powerml.calibration.rows import RowPlan, compose_load, exact_rows, plan_rows
from powerml.costs.cache import CountsCache
from powerml.costs.cost import ACCESSES, check_accesses, cycles_of
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import MeasurementError, ServerError, UnknownNameError
from powerml.guest.request import LOADS, LoadRequest
from powerml.machines import Machine
from powerml.meters.base import DEFAULT_METER, DEFAULTS, MeterOptions
from powerml.meters.replay import REPLAY_PREFIX
from powerml.meters.simulator.server import Done, Server
from powerml.meters.valgrind.base import ValgrindMeter
from powerml.meters.valgrind.output import read_marks

__all__ = [
    "Advance",
    "CachingLoadMeter",
    "CallgrindLoadMeter",
    "LoadMeter",
    "ReplayLoadMeter",
    "make_load_meter",
]


class LoadMeter(Protocol):
    """One way of counting loads. A context manager: leaving it ends all it has started."""

    def count(self, load: Load, advance: Advance = ...) -> PhaseCounts:
        """Count a load; raises ``MeasurementError``. May be called from several threads."""

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the load; known once something was counted."""

    def __enter__(self) -> Self:
        """Return the meter itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all that was started."""


class CachingLoadMeter:
    """The simulator behind the cache of counts: what it holds is not simulated again."""

    def __init__(
        self, meter: CallgrindLoadMeter, cache: CountsCache, notify: Callable[[str], None]
    ) -> None:
        self._meter = meter
        self._cache = cache
        self._notify = notify
        self._fingerprint: Fingerprint | None = None

    def count(self, load: Load, advance: Advance = lambda _part: None) -> PhaseCounts:
        """Look a load up; count and keep it where it is not there."""
        determined_by = self._meter.determined_by(load)
        kept = self._cache.get(determined_by)
        if kept is not None:
            self._fingerprint = kept.fingerprint
            return kept.phases[0].model_copy(update={"name": load.title})
        counts = self._meter.count(load, advance)
        self._fingerprint = self._meter.fingerprint()
        self._cache.keep(determined_by, [counts], self._fingerprint, self._notify)
        return counts

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the load; known once something was looked up."""
        return self._fingerprint or self._meter.fingerprint()

    def __enter__(self) -> Self:
        self._meter.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all that was started."""
        self._meter.__exit__(kind, error, trace)


class ReplayLoadMeter:
    """Answers from a calibration made before: for tests, and for new readings without Valgrind.

    Raises
    ------
    CalibrationError
        The file is no calibration.
    """

    def __init__(self, path: Path, machine: Machine) -> None:
        self._path = path
        self._geometry = machine.simulated_geometry
        calibration = load_calibration(path)
        self._fingerprint = calibration.fingerprint
        self._counts = {
            (point.rows_a, point.inner, point.cols_b): point.counts for point in calibration.loads
        }

    def count(self, load: Load, advance: Advance = lambda _part: None) -> PhaseCounts:
        """Look a load up; raises ``MeasurementError`` where it is not there, or on other caches."""
        if self._fingerprint.simulated_geometry != self._geometry:
            raise MeasurementError(
                f"{self._path} was counted on other caches than those of D1 {self._geometry.d1}, "
                f"LL {self._geometry.ll}: leave out --meter"
            )
        found = self._counts.get((load.rows_a, load.inner, load.cols_b))
        if found is None:
            raise MeasurementError(f"{self._path} holds no {load.title}: leave out --meter")
        advance(1.0)
        return found

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the calibration."""
        return self._fingerprint

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing has to be ended."""


def make_load_meter(
    name: str,
    machine: Machine,
    options: MeterOptions,
    cache: CountsCache | None,
    notify: Callable[[str], None],
) -> LoadMeter:
    """Make a meter by name: ``callgrind``, or ``replay:FILE`` with a calibration.

    Raises
    ------
    SetupError
        What it needs is not installed.
    UnknownNameError
        There is none of that name.
    """
    if name.startswith(REPLAY_PREFIX):
        return ReplayLoadMeter(Path(name.removeprefix(REPLAY_PREFIX)), machine)
    if name != DEFAULT_METER:
        raise UnknownNameError("meter of loads", name, [DEFAULT_METER, f"{REPLAY_PREFIX}FILE"])
    meter = CallgrindLoadMeter(machine, options)
    return meter if cache is None else CachingLoadMeter(meter, cache, notify)


POLL_SECONDS = 0.5
Advance = Callable[[float], None]  # told what part of a load is done, from 0 to 1


class CallgrindLoadMeter(ValgrindMeter):
    """Counts loads. `count` may be called from several threads: they are simulated side by side."""

    name = "callgrind"

    def __init__(self, machine: Machine, options: MeterOptions = DEFAULTS) -> None:
        super().__init__(machine, None, options)
        self._server: Server | None = None
        self._starting = threading.Lock()
        self._left = False

    def count(self, load: Load, advance: Advance = lambda _part: None) -> PhaseCounts:
        """Count a load; its steps are the rows of the product.

        Raises
        ------
        WorkerError
            The child crashed, failed or took too long.
        ServerError
            The warm process cannot be started, or died.
        """
        server = self._running_server()
        server.ready.result()
        plan = self._plan(load)
        request = LoadRequest(
            **{name: getattr(load, name) for name in ("rows_a", "inner", "cols_b")},
            **asdict(plan),
            progress=f"progress-{load.name}",
            title=load.title,
        )
        process = server.submit(request, self._options.limit_seconds)
        self._watch(process, self.folder / request.progress, plan.work(load), advance)
        log = self.folder / f"valgrind.{process.result().process}.log"
        marks = read_marks(log)
        log.unlink()
        prices = [partial(cycles_of, self.machine, check_accesses(name)) for name in ACCESSES]
        composed = compose_load(marks, load, plan, prices)
        return PhaseCounts(
            name=load.title,
            counts=composed.counts,
            fidelity="exact" if plan.rows == load.rows_a else "sampled",
            error_bound=composed.error_bound,
            steps_simulated=plan.rows,
            steps_total=load.rows_a,
            parts=composed.parts,
        )

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the load; known once something was counted."""
        if self._server is None:
            raise MeasurementError("the fingerprint is known once something was counted")
        return self._fingerprint(self._server.ready.result())

    def determined_by(self, load: Load) -> dict[str, Any]:
        """Everything that determines the counts of a load, as plain JSON."""
        shape = {"rows_a": load.rows_a, "inner": load.inner, "cols_b": load.cols_b}
        return {"load": shape, "circumstances": self._circumstances([])}

    def _plan(self, load: Load) -> RowPlan:
        if self._options.fidelity == "exact":
            return exact_rows(load)
        return plan_rows(load, self.machine.simulated_geometry)

    def _watch(
        self, process: Future[Done], progress: Path, work: list[int], advance: Advance
    ) -> None:
        """Tell how far a load is until it has ended."""
        done = [0, *accumulate(work)]
        while not process.done():
            parts = 0
            with contextlib.suppress(FileNotFoundError):  # it has not begun
                parts = min(progress.stat().st_size, len(work))
            advance(done[parts] / done[-1])
            wait([process], timeout=POLL_SECONDS)

    def _running_server(self) -> Server:
        with self._starting:
            if self._left:
                raise ServerError("the meter was closed: make a new one")
            if self._server is None:
                geometry = self.machine.simulated_geometry
                self._server = Server(geometry, None, self.folder, LOADS)
            return self._server

    def _close(self) -> None:
        with self._starting:
            self._left = True
            if self._server is not None:
                self._server.close()
