"""A power log: times and watts, read from a CSV and integrated. Pure."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from powerml.errors import MeasurementError, UsageError

__all__ = ["PowerLog", "parse_power_log"]

TIMES = frozenset(("time", "timestamp", "date", "datetime", "unix", "unixtime", "seconds"))
WATTS = frozenset(("watts", "watt", "w", "power", "powerw", "powerwatts", "powerwatt"))
UNITS = frozenset(("mw", "kw", "wh", "kwh", "mwh", "j", "joules", "va", "ma", "a", "v", "ms", "us"))
WRITE_IT = "write it as time,watts, with Unix seconds or ISO times"
LATEST_SECONDS = 1e10  # the year 2286; larger numbers count milliseconds or less
# Of a region, so many rows at least make an integral.
LEAST_ROWS = 3
# Rows so many times further apart than most are a gap.
GAP = 10.0
LONGEST_CELL = 32

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PowerLog:
    """Readings of power: rising times in Unix seconds, and watts, each of shape (rows,)."""

    source: str
    times: Vector
    watts: Vector

    def joules(self, start: float, end: float) -> float:
        """Integrate the power from a start to an end, by the trapezoid rule.

        The power at both is interpolated.

        Parameters
        ----------
        start, end
            Unix seconds.

        Raises
        ------
        MeasurementError
            The log does not have the whole time, or too few readings in it.
        """
        self._check_whole(start, end)
        within = (self.times > start) & (self.times < end)
        rows = int(within.sum())
        if rows < LEAST_ROWS:
            raise MeasurementError(
                f"{self.source} has {rows} readings in the {end - start:.3g} s from "
                f"{_clock(start)}, and {LEAST_ROWS} are needed: log more often, or give a longer "
                "--region-seconds or --idle-seconds"
            )
        ends = np.interp([start, end], self.times, self.watts)
        times = np.concatenate(([start], self.times[within], [end]))
        watts = np.concatenate((ends[:1], self.watts[within], ends[1:]))
        return float(np.trapezoid(watts, times))

    def has(self, moment: float) -> bool:
        """Return whether the log goes on to a moment in Unix seconds."""
        return len(self.times) > 0 and bool(self.times[-1] >= moment)

    def _check_whole(self, start: float, end: float) -> None:
        missing = self._missing(start, end)
        if missing is not None:
            raise MeasurementError(
                f"{self.source} has no readings from {_clock(missing[0])} to "
                f"{_clock(missing[1])}: let the meter log during the whole measurement, with the "
                "clock of this machine"
            )

    def _missing(self, start: float, end: float) -> tuple[float, float] | None:
        """Return the first time within a region that the log does not have."""
        times = self.times
        if len(times) == 0 or times[0] > end or times[-1] < start:
            return start, end
        if times[0] > start:
            return start, float(times[0])
        if times[-1] < end:
            return float(times[-1]), end
        steps = np.diff(times)
        wide = GAP * float(np.median(steps)) if len(steps) else math.inf
        for row in np.flatnonzero(steps > wide):
            before, after = float(times[row]), float(times[row + 1])
            if before < end and after > start:
                return max(before, start), min(after, end)
        return None


def parse_power_log(text: str, source: str) -> PowerLog:
    """Read the text of a CSV of times and watts, with or without a header.

    Times are Unix seconds, or ISO 8601; without a zone they are this machine's local time. A last
    line without its end is left out, for it may be half written.

    Raises
    ------
    UsageError
        A column is not found or in another unit, a time does not rise, or a power is negative or
        no number.
    """
    whole = text[: text.rfind("\n") + 1]
    lines = [
        (number, line)
        for number, line in enumerate(whole.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    try:
        rows = [next(csv.reader([line])) for _, line in lines]
    except csv.Error as error:
        raise UsageError.quoting(f"{source} is no power log", error, WRITE_IT) from error
    time_column, watts_column = 0, 1
    if rows and _is_header(rows[0]):
        time_column, watts_column = _columns(rows[0], source)
        lines, rows = lines[1:], rows[1:]
    found = [
        _row(cells, time_column, watts_column, f"{source}, line {number}")
        for (number, _), cells in zip(lines, rows, strict=True)
    ]
    for (number, _), (earlier, later) in zip(lines[1:], pairwise(found), strict=True):
        if later[0] <= earlier[0]:
            raise UsageError(
                f"{source}, line {number}: its time is not after that of the line before: sort the "
                "log by time, and keep one line for each"
            )
    times = np.array([time for time, _ in found], np.float64)
    return PowerLog(source, times, np.array([watts for _, watts in found], np.float64))


def _is_header(cells: list[str]) -> bool:
    return not any(character.isdigit() for character in "".join(cells[:2]))


def _columns(header: list[str], source: str) -> tuple[int, int]:
    """Return the columns of times and watts."""
    names = [re.sub(r"[^a-z]", "", name.lower()) for name in header]
    times = [number for number, name in enumerate(names) if name in TIMES]
    watts = [number for number, name in enumerate(names) if name in WATTS]
    if len(times) == 1 and len(watts) == 1:
        return times[0], watts[0]
    for written in header:
        if UNITS & set(re.split(r"[^a-z]+", written.lower())):
            raise UsageError(
                f"{source} has a column {_short(written)!r}: give the power in watts and the time "
                "in seconds"
            )
    raise UsageError(
        f"{source} has the columns {_short(','.join(header))!r}: name one of them time and one "
        "watts, with commas between"
    )


def _row(cells: list[str], time_column: int, watts_column: int, where: str) -> tuple[float, float]:
    if len(cells) <= max(time_column, watts_column):
        raise UsageError(f"{where}: {_short(','.join(cells))!r} is no time and watts: {WRITE_IT}")
    return _moment(cells[time_column].strip(), where), _power(cells[watts_column].strip(), where)


def _moment(text: str, where: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError) as error:
            raise UsageError(f"{where}: the time {_short(text)!r} is none: {WRITE_IT}") from error
    if not math.isfinite(seconds) or seconds < 0:
        raise UsageError(f"{where}: the time {_short(text)!r} is none: {WRITE_IT}")
    if seconds > LATEST_SECONDS:
        raise UsageError(
            f"{where}: the time {_short(text)} is beyond the year 2286: give seconds since 1970, "
            "not milliseconds"
        )
    return seconds


def _power(text: str, where: str) -> float:
    try:
        watts = float(text)
    except ValueError:
        watts = math.nan
    if not (math.isfinite(watts) and watts >= 0):
        raise UsageError(
            f"{where}: the power {_short(text)!r} is no number of watts from 0 on: "
            "correct it, or leave the line out"
        )
    return watts


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}..."


def _clock(moment: float) -> str:
    """Return a moment as the local clock shows it."""
    return datetime.fromtimestamp(moment).astimezone().isoformat(" ", "milliseconds")
