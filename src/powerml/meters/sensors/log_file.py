"""Power logs of plugs and lab meters, which something else records meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

from powerml.errors import UsageError
from powerml.files.texts import read_user_text
from powerml.meters.sensors.base import Span
from powerml.meters.sensors.intervals import Parts
from powerml.meters.sensors.power_log import PowerLog, parse_power_log

__all__ = ["READINGS_PREFIX", "LogSensor"]

READINGS_PREFIX = "readings:"
RECORD_IT = "have the meter write time,watts into it while powerML measures"
PART = "everything behind the meter"
# A recorder may write its file late. Then the log ends where it ends, which is said.
LATEST_SECONDS = 60.0


class LogSensor:
    """A file of times and watts that grows meanwhile. See `powerml.meters.sensors.base.Sensor`.

    Parameters
    ----------
    path
        The file. It is read after the whole measurement.
    """

    name = "readings"
    region_seconds = 10.0  # most plugs are read once a second
    idle_seconds = 30.0
    is_live = False
    reads_gpu = False
    excludes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log: PowerLog | None = None

    @property
    def includes(self) -> tuple[str, ...]:
        """Everything behind the meter: its place is not known."""
        return (PART,)

    def open(self) -> None:
        """Check that the file is there, and what it holds so far; raises ``UsageError``."""
        self._read()

    def begin(self) -> _LogWindow:
        """Begin a region."""
        return _LogWindow(self)

    def catch_up(self, span: Span) -> bool:
        """Return whether the file goes on to the end of a span, or is unlikely ever to."""
        self._log = self._read()
        return self._log.has(span.end) or time.time() > span.end + LATEST_SECONDS

    def total(self, parts: Parts) -> float:
        """Return the energy."""
        return parts[PART]

    def joules(self, span: Span) -> Parts:
        """Integrate the log over a span; raises ``MeasurementError``."""
        if self._log is None:
            self._log = self._read()
        return {PART: self._log.joules(span.start, span.end)}

    def _read(self) -> PowerLog:
        text = read_user_text(self._path, "the power log", RECORD_IT, UsageError)
        return parse_power_log(text, str(self._path))


class _LogWindow:
    """A region whose times are looked up in the log afterwards."""

    def __init__(self, sensor: LogSensor) -> None:
        self._sensor = sensor

    def poll(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def joules(self, span: Span) -> Parts:
        """Integrate the log; raises ``MeasurementError``."""
        return self._sensor.joules(span)
