"""Power logs: every way of writing one, and the integral between two moments."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import MeasurementError, UsageError
from powerml.meters.sensors.power_log import PowerLog, parse_power_log

START = 1_764_250_000.0
SOURCE = "plug.csv"


def _log(watts: list[float], seconds: float = 1.0) -> PowerLog:
    times = START + seconds * np.arange(len(watts), dtype=np.float64)
    return PowerLog(SOURCE, times, np.array(watts))


@given(st.floats(0, 1e4), st.floats(0, 50), st.floats(4, 49))
def test_a_steady_power_is_power_times_time(watts: float, after: float, seconds: float) -> None:
    log = _log([watts] * 101)
    assert log.joules(START + after, START + after + seconds) == pytest.approx(
        watts * seconds, rel=1e-6
    )


@given(
    st.lists(st.floats(0, 1e3), min_size=30, max_size=30),
    st.floats(0, 6),
    st.floats(10, 15),
    st.floats(20, 29),
)
def test_two_regions_side_by_side_are_one(
    watts: list[float], start: float, middle: float, end: float
) -> None:
    log = _log(watts)
    whole = log.joules(START + start, START + end)
    parts = log.joules(START + start, START + middle) + log.joules(START + middle, START + end)
    assert parts == pytest.approx(whole, rel=1e-6, abs=1e-3)


@given(st.floats(0, 40), st.floats(4, 59))
def test_a_rising_power_is_its_trapezoid(after: float, seconds: float) -> None:
    log = _log([float(number) for number in range(101)])
    assert log.joules(START + after, START + after + seconds) == pytest.approx(
        seconds * (after + seconds / 2), rel=1e-5
    )


def test_a_region_before_the_log_says_from_when_to_when() -> None:
    with pytest.raises(
        MeasurementError, match=r"no readings from .*35\.000.* to .*40\.000"
    ) as seen:
        _log([1.0] * 20).joules(START - 5, START + 10)
    assert "\n" not in str(seen.value)


@pytest.mark.parametrize("region", [(-20, -10), (15, 25), (30, 40)])
def test_a_region_that_the_log_does_not_have_is_refused(region: tuple[float, float]) -> None:
    with pytest.raises(MeasurementError, match="has no readings from"):
        _log([1.0] * 20).joules(START + region[0], START + region[1])


def test_a_gap_in_a_region_is_refused() -> None:
    times = np.concatenate((START + np.arange(20), START + 100 + np.arange(20)))
    log = PowerLog(SOURCE, times, np.ones(40))
    with pytest.raises(MeasurementError, match="has no readings from"):
        log.joules(START + 10, START + 110)
    assert log.joules(START + 1, START + 10) == pytest.approx(9)


def test_too_few_readings_in_a_region_are_refused() -> None:
    with pytest.raises(MeasurementError, match="has 1 readings in the"):
        _log([1.0] * 20).joules(START + 5.5, START + 7)


def test_an_empty_log_has_nothing() -> None:
    log = parse_power_log("time,watts\n", SOURCE)
    assert not log.has(START)
    with pytest.raises(MeasurementError, match="has no readings from"):
        log.joules(START, START + 1)


@pytest.mark.parametrize(
    "text",
    [
        "{0},5\n{1},6\n",
        "time,watts\n{0},5\n{1},6\n",
        "Watts,Time\n5,{0}\n6,{1}\n",
        "timestamp,voltage,power (W)\n{0},230,5\n{1},230,6\n",
        "# a plug\n\nunix,power_w\n{0}, 5\n\n{1}, 6\n",
        "{2},5\n{3},6\n",
        "{0},5\n{1},6\n{1}.5,7",
    ],
    ids=["bare", "header", "swapped", "more columns", "comments", "ISO", "half a line"],
)
def test_the_ways_of_writing_a_log(text: str) -> None:
    moments = [START, START + 1]
    iso = [datetime.fromtimestamp(one, UTC).isoformat() for one in moments]
    log = parse_power_log(text.format(int(moments[0]), int(moments[1]), *iso), SOURCE)
    assert log.times.tolist() == moments
    assert log.watts.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,mW\n", "has a column 'mW': give the power in watts"),
        ("time,power_kW\n", "has a column 'power_kW'"),
        ("time_ms,watts\n", "has a column 'time_ms': give .* the time in seconds"),
        ("when,much\n", "has the columns 'when,much': name one of them time"),
        ("time;watts\n", "has the columns 'time;watts'.* with commas between"),
        ("1764250000;5\n", "line 1: '1764250000;5' is no time and watts"),
        ("1764250001,5\n1764250000,5\n", "line 2: its time is not after that of the line before"),
        ("1764250000,5\n1764250000,6\n", "line 2: its time is not after"),
        ("1764250000,-5\n", "line 1: the power '-5' is no number of watts from 0 on"),
        ("1764250000,nan\n", "the power 'nan' is no number"),
        ("1764250000,inf\n", "the power 'inf' is no number"),
        ("1764250000,5 W\n", "the power '5 W' is no number"),
        ("1764250000000,5\n", "give seconds since 1970, not milliseconds"),
        ("2026-13-01T00:00,5\n", "the time '2026-13-01T00:00' is none"),
        ("-5,5\n", "the time '-5' is none"),
    ],
)
def test_what_is_no_power_log_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_power_log(text, SOURCE)
    assert str(caught.value).startswith(SOURCE)
    assert "\n" not in str(caught.value)
