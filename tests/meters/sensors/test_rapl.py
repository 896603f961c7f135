"""RAPL's counters, from a tree that the test writes."""

from __future__ import annotations

import os
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.errors import MeasurementError, SetupError
from powerml.meters.sensors.base import Span
from powerml.meters.sensors.rapl import RaplSensor, counted_microjoules
from tests.meters.sensors.fakes import RANGE, make_powercap, spend

SPAN = Span(0.0, 1.0, 1.0)


@given(st.integers(1, 10_000), st.data())
def test_a_counter_that_wraps_around_loses_nothing(range_uj: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, range_uj))
    spent = data.draw(st.lists(st.integers(0, range_uj), max_size=20))
    readings = [reading % (range_uj + 1) for reading in accumulate(spent, initial=first)]
    assert counted_microjoules(readings, range_uj) == sum(spent)


def test_packages_and_their_memory_are_added_and_cores_are_not(tmp_path: Path) -> None:
    sensor = RaplSensor(make_powercap(tmp_path))
    sensor.open()
    window = sensor.begin()
    spend(tmp_path, "intel-rapl:0", 4_000_000)
    spend(tmp_path, "intel-rapl:0:0", 3_000_000)
    spend(tmp_path, "intel-rapl:0:1", 500_000)
    spend(tmp_path, "intel-rapl:1", RANGE)
    window.poll()
    spend(tmp_path, "intel-rapl:1", 1_000_000)
    spend(tmp_path, "intel-rapl:2", 50_000_000)
    window.end()
    parts = window.joules(SPAN)
    assert parts == {
        "package-0": pytest.approx(4),
        "package-0 core": pytest.approx(3),
        "package-0 dram": pytest.approx(0.5),
        "package-1": pytest.approx(1 + RANGE / 1e6),
        "package-1 dram": 0,
    }
    assert sensor.total(parts) == pytest.approx(5.5 + RANGE / 1e6)
    assert sensor.includes == ("package-0", "package-0 dram", "package-1", "package-1 dram")
    assert "memory" not in sensor.excludes


def test_a_processor_that_does_not_tell_its_memory_says_so(tmp_path: Path) -> None:
    sensor = RaplSensor(make_powercap(tmp_path, {"intel-rapl:0": ("package-0", 5)}))
    sensor.open()
    assert "memory" in sensor.excludes


@pytest.mark.parametrize("zones", [{}, {"intel-rapl:0": ("psys", 5)}], ids=["none", "board alone"])
def test_a_machine_without_rapl_is_told_what_would_work(
    tmp_path: Path, zones: dict[str, tuple[str, int]]
) -> None:
    with pytest.raises(SetupError, match=r"no RAPL.*readings:FILE.*--machine") as caught:
        RaplSensor(make_powercap(tmp_path / "powercap", zones)).open()
    assert "\n" not in str(caught.value)


def test_a_machine_without_the_folder_has_no_rapl(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="this machine has no RAPL"):
        RaplSensor(tmp_path / "nowhere").open()


def test_counters_that_only_root_may_read_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_powercap(tmp_path)
    # Root, as in a container, may read whatever the mode is.
    (tmp_path / "intel-rapl:0" / "energy_uj").chmod(0)
    if os.geteuid() == 0:
        monkeypatch.setattr(Path, "read_bytes", _refuse)
    with pytest.raises(SetupError, match=r"sudo chmod a\+r .*/intel-rapl:\*/energy_uj"):
        RaplSensor(tmp_path).open()


def _refuse(path: Path) -> bytes:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_counter_without_a_range_is_refused(tmp_path: Path) -> None:
    make_powercap(tmp_path)
    (tmp_path / "intel-rapl:0" / "max_energy_range_uj").write_text("")
    with pytest.raises(SetupError, match="does not say where its counter wraps around"):
        RaplSensor(tmp_path).open()


def test_a_counter_that_goes_away_fails_in_one_line(tmp_path: Path) -> None:
    sensor = RaplSensor(make_powercap(tmp_path))
    sensor.open()
    window = sensor.begin()
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    with pytest.raises(MeasurementError, match="cannot be read") as caught:
        window.end()
    assert "\n" not in str(caught.value)
