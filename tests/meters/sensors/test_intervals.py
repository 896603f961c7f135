"""Means, their intervals, and idle power netted out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.meters.sensors.intervals import (
    Mean,
    RegionEnergy,
    idle_of,
    mean_of,
    net_of_idle,
    next_runs,
)

JOULES = st.floats(0.01, 1e6)
SECONDS = st.floats(0.01, 1e4)
WATTS = st.floats(0.0, 1e3)


def _region(total: float, seconds: float = 1.0) -> RegionEnergy:
    return RegionEnergy(total, {"package-0": total}, seconds)


def test_the_interval_is_students() -> None:
    mean = mean_of([9.0, 10.0, 11.0])
    assert mean.value == 10
    assert mean.half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)


def test_one_reading_has_no_interval() -> None:
    assert mean_of([5.0]) == Mean(5.0, math.inf)
    assert not mean_of([5.0]).is_within(0.5)


def test_no_reading_is_no_mean() -> None:
    with pytest.raises(ValueError, match="no reading"):
        mean_of([])


@given(st.lists(JOULES, min_size=2, max_size=9))
def test_readings_that_are_further_apart_are_less_certain(values: list[float]) -> None:
    mean = mean_of(values)
    middle = mean.value
    wider = mean_of([middle + 2 * (value - middle) for value in values])
    assert wider.value == pytest.approx(middle)
    assert wider.half == pytest.approx(2 * mean.half, abs=1e-6 * middle)


@given(WATTS, st.lists(st.tuples(JOULES, SECONDS), min_size=2, max_size=9), st.integers(1, 1000))
def test_the_idle_power_is_netted_out_of_each_run(
    idle_watts: float, regions: list[tuple[float, float]], runs: int
) -> None:
    idle = [_region(idle_watts * seconds, seconds) for seconds in (1.0, 2.0, 3.0)]
    readings = [
        _region(runs * joules + idle_watts * seconds, seconds) for joules, seconds in regions
    ]
    net, parts = net_of_idle(readings, idle, runs)
    wanted = sum(joules for joules, _ in regions) / len(regions)
    lost = 1e-12 * idle_watts * max(seconds for _, seconds in regions)
    assert net.value == pytest.approx(wanted, rel=1e-6, abs=lost)
    assert parts["package-0"] == pytest.approx(net.value, rel=1e-6, abs=lost)


def test_the_doubt_about_the_idle_power_is_in_the_interval() -> None:
    idle = [_region(4.0), _region(5.0), _region(6.0)]
    net, _ = net_of_idle([_region(20.0, 2.0)] * 3, idle, 1)
    assert net.value == pytest.approx(10)
    assert net.half == pytest.approx(2 * idle_of(idle).half)


@given(st.integers(1, 10_000), st.floats(0, 100), st.floats(0.001, 100))
def test_a_region_grows_until_it_is_long_enough(runs: int, seconds: float, least: float) -> None:
    following = next_runs(runs, seconds, least)
    if seconds >= least:
        assert following == runs
    else:
        assert runs < following <= 10 * runs
