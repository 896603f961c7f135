"""Means of repeated readings, their intervals, and the netting of idle power. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

__all__ = ["CONFIDENCE", "Mean", "RegionEnergy", "idle_of", "mean_of", "net_of_idle", "next_runs"]

CONFIDENCE = 0.95
# A first run is often slow. Growing tenfold at most, no region becomes far too long.
MOST_GROWTH = 10
MARGIN = 1.1

Parts = Mapping[str, float]


@dataclass(frozen=True)
class Mean:
    """Mean of readings, and half the width of its interval by Student's t.

    The half width is infinite for a single reading.
    """

    value: float
    half: float

    def is_within(self, error: float) -> bool:
        """Return whether the interval is at most that part of the mean to each side."""
        return self.half <= error * self.value


@dataclass(frozen=True)
class RegionEnergy:
    """Energy of one region in joules, by the parts of the sensor, and its seconds.

    `total` is the energy of the parts that are not within another.
    """

    total: float
    parts: Parts
    seconds: float

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.total / self.seconds


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of independent readings; raises ``ValueError`` if there are none."""
    if not values:
        raise ValueError("there is no reading")
    if len(values) == 1:
        return Mean(values[0], math.inf)
    from scipy.special import stdtrit  # it takes a while, which only those who measure wait for

    student = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    return Mean(fmean(values), student * stdev(values) / math.sqrt(len(values)))


def idle_of(readings: Sequence[RegionEnergy]) -> Mean:
    """Return the idle power in watts."""
    return mean_of([reading.watts for reading in readings])


def net_of_idle(
    readings: Sequence[RegionEnergy], idle: Sequence[RegionEnergy], runs: int
) -> tuple[Mean, dict[str, float]]:
    """Return the joules of one run above idle: the total with its interval, and each part.

    The doubt about the idle power is in the interval too. It is the same for all readings, so
    their spread does not show it.

    Parameters
    ----------
    readings
        Readings of regions of `runs` runs each.
    idle
        Readings while nothing ran.
    runs
        Runs in each region.
    """
    watts = idle_of(idle)
    net = mean_of([(one.total - watts.value * one.seconds) / runs for one in readings])
    of_idle = watts.half * fmean(one.seconds for one in readings) / runs
    parts = {
        name: fmean(
            (one.parts[name] - one.seconds * _watts_of(name, idle)) / runs for one in readings
        )
        for name in readings[0].parts
    }
    return Mean(net.value, math.hypot(net.half, of_idle)), parts


def _watts_of(name: str, readings: Sequence[RegionEnergy]) -> float:
    return fmean(one.parts[name] / one.seconds for one in readings)


def next_runs(runs: int, seconds: float, least_seconds: float) -> int:
    """Return the runs that fill a region, from the seconds that a number of runs took.

    The number is the same as before if those took long enough.
    """
    if seconds >= least_seconds:
        return runs
    growth = min(MARGIN * least_seconds / seconds, MOST_GROWTH) if seconds > 0 else MOST_GROWTH
    return max(math.ceil(runs * growth), runs + 1)
