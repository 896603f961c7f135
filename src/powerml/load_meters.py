"""Meters of synthetic loads: the simulator with a cache before it, and one that replays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from powerml.cache import CountsCache
from powerml.calibration_file import load_calibration
from powerml.counts import PhaseCounts
from powerml.errors import MeasurementError, UnknownNameError
from powerml.fingerprint import Fingerprint
from powerml.loads import Load
from powerml.machines import Machine
from powerml.meters import DEFAULT_METER, REPLAY_PREFIX
from powerml.simulate.load_meter import Advance, CallgrindLoadMeter
from powerml.simulate.meters import MeterOptions

__all__ = ["CachingLoadMeter", "LoadMeter", "ReplayLoadMeter", "make_load_meter"]


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
