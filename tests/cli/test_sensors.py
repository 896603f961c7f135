"""Sensors on the command line: what is refused, in one line, before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from powerml.cli.tables.measurements import energy_table
from powerml.costs.cost import Interval
from powerml.costs.readings import PhaseEnergy
from powerml.meters.sensors import rapl
from tests.builders import make_fingerprint, make_measurement
from tests.cli.rendered import row, shown
from tests.doubles import Run

TOPOLOGY = "dffr:layers=1,width=2"


def _one_line(code: int, out: str, err: str) -> str:
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("powerml: error: ")
    assert "Traceback" not in err
    return f"{code} {err}"


def test_no_rapl_is_one_line_that_says_what_would_work(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    said = _one_line(*run("measure", TOPOLOGY, "--meter", "rapl"))
    assert said.startswith("1 ")
    assert "this machine has no RAPL" in said
    assert "--meter readings:FILE" in said


def test_no_zeus_is_one_line_with_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zeus", None)
    said = _one_line(*run("measure", TOPOLOGY, "--meter", "nvml"))
    assert said.startswith("1 ")
    assert "pip install 'powerml[nvml]'" in said


def test_a_log_that_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    said = _one_line(*run("measure", TOPOLOGY, "--meter", f"readings:{tmp_path / 'plug.csv'}"))
    assert said.startswith("2 ")
    assert "plug.csv does not exist" in said


def test_a_log_in_another_unit_is_refused_before_the_run(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plug.csv"
    path.write_text("time,mW\n1764250000,5\n", encoding="utf-8")
    said = _one_line(*run("measure", TOPOLOGY, "--meter", f"readings:{path}"))
    assert said.startswith("2 ")
    assert "give the power in watts" in said


@pytest.mark.parametrize(
    "option",
    [
        ("--machine", "epyc-7601"),
        ("--levels", "3"),
        ("--accesses", "all"),
        ("--fidelity", "sampled"),
        ("--calibration", "some.json"),
    ],
)
def test_options_of_counts_are_refused_with_a_sensor(run: Run, option: tuple[str, str]) -> None:
    said = _one_line(*run("measure", TOPOLOGY, "--meter", "rapl", *option))
    assert said.startswith("2 ")
    assert f"counts nothing that {option[0]} could be for: leave it out" in said


def test_a_search_refuses_a_sensor(run: Run) -> None:
    said = _one_line(*run("optimize", "--meter", "rapl"))
    assert said.startswith("2 ")
    assert "a search needs counts, and the meter rapl reads joules" in said


def test_a_calibration_by_loads_refuses_a_sensor(run: Run) -> None:
    said = _one_line(*run("calibrate", "--meter", "readings:plug.csv"))
    assert said.startswith("2 ")
    assert "a calibration needs counts" in said


def test_measured_energies_are_shown_as_measured_with_what_they_are_of() -> None:
    training = PhaseEnergy(
        name="training",
        joules=1.5,
        joules_interval=Interval(low=1.4, high=1.6),
        seconds=0.25,
        seconds_interval=Interval(low=0.24, high=0.26),
        confidence=0.95,
        idle_watts=4.0,
        repetitions=7,
        runs=1200,
        parts={"package-0": 1.2, "package-0 dram": 0.3},
        includes=["package-0", "package-0 dram"],
        excludes=["losses of the power supply"],
    )
    inference = PhaseEnergy(name="inference", joules=0.5, seconds=0.1, inferences=10, samples=40)
    record = make_measurement(
        phases=[],
        energies=[training, inference],
        fingerprint=make_fingerprint(meter="rapl", geometry=None, simulated_geometry=None),
    )
    text = shown(energy_table(record))
    assert row(text, "energy above idle (mJ, measured)") == [
        "1,500.000 (1,400.000 to 1,600.000)",
        "500.000",
    ]
    assert row(text, "package-0 dram") == ["300.000", "-"]
    assert row(text, "power above idle (W)") == ["6.000", "5.000"]
    assert row(text, "idle power (W)") == ["4.000", "-"]
    assert row(text, "energy of one inference (mJ, measured)") == ["-", "50.000"]
    assert row(text, "energy of one sample (mJ, measured)") == ["-", "12.500"]
    assert row(text, "repetitions") == ["7 of 1,200 runs", "-"]
    assert "included: package-0, package-0 dram" in text
    assert "not included: losses of the power supply" in text
    assert "95% confidence" in text
    assert "estimated" not in text
