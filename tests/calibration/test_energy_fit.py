"""A machine's energies fitted to networks, and ``powerml calibrate --networks``."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.calibration.energy_fit import EnergyCalibration, MeteredPhase, fit_energies
from powerml.calibration.networks import calibrate_networks, power_table
from powerml.costs.measurement import Measurement
from powerml.costs.readings import PhaseEnergy
from powerml.errors import CalibrationError, MeasurementError, UsageError
from powerml.machines import Machine, load_machine
from powerml.meters.replay import ReplayMeter
from tests.builders import (
    make_counts,
    make_fingerprint,
    make_machine,
    make_measurement,
    make_phase,
    make_workload_record,
)
from tests.doubles import Run

WATTS, NANOJOULES = 3.0, 12.0
NETWORKS = [(0.1, 1_000_000), (0.2, 30_000_000), (0.05, 0), (1.0, 500_000), (0.4, 90_000_000)]


def _phases(
    networks: list[tuple[float, int]], watts: float = WATTS, line: float = NANOJOULES
) -> list[MeteredPhase]:
    return [
        MeteredPhase(f"net {number}", "inference", watts * s + line * 1e-9 * lines, s, lines)
        for number, (s, lines) in enumerate(networks)
    ]


def _fit(phases: list[MeteredPhase], machine: Machine) -> EnergyCalibration:
    return fit_energies(
        phases,
        machine,
        meter="rapl",
        includes=["package-0"],
        excludes=["memory"],
        idle_watts=8.5,
        fingerprint=make_fingerprint(),
    )


@given(st.floats(0.01, 200), st.floats(0.1, 100))
def test_joules_without_noise_give_the_energies_back(watts: float, line: float) -> None:
    found = _fit(_phases(NETWORKS, watts, line), make_machine())
    assert found.busy_core_watts == pytest.approx(watts, rel=1e-6)
    assert found.memory_line_nj == pytest.approx(line, rel=1e-6)
    assert found.memory_line_is_fitted
    assert found.left_out_error_worst < 1e-5
    assert found.networks == 5


def test_a_network_that_was_left_out_is_not_in_its_own_prediction() -> None:
    phases = _phases(NETWORKS)
    odd = MeteredPhase("odd", "inference", 30.0, 1.0, 0)
    found = _fit([*phases, odd], make_machine())
    point = found.points[-1]
    assert point.left_out_joules == pytest.approx(WATTS)
    assert found.left_out_error_worst == pytest.approx(0.9)
    assert found.busy_core_watts_low == pytest.approx(WATTS)
    assert found.busy_core_watts_low <= found.busy_core_watts <= found.busy_core_watts_high


def test_phases_of_a_network_are_left_out_together() -> None:
    phases = _phases(NETWORKS)
    trained = [
        MeteredPhase("odd", "training", 30.0, 1.0, 0),
        MeteredPhase("odd", "inference", 3.0, 0.1, 0),
    ]
    points = _fit([*phases, *trained], make_machine()).points[-2:]
    assert [point.left_out_joules for point in points] == [pytest.approx(3), pytest.approx(0.3)]


def test_too_few_networks_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"there are 4 networks .*: measure at least 5"):
        _fit(_phases(NETWORKS[:4]), make_machine())


def test_a_line_that_the_networks_do_not_tell_is_the_profiles() -> None:
    machine = load_machine("core-i7-6700")
    assert machine.power is not None
    found = _fit(_phases([(seconds, 0) for seconds, _ in NETWORKS]), machine)
    assert not found.memory_line_is_fitted
    assert found.memory_line_nj == machine.power.memory_line_nj.value
    assert found.busy_core_watts == pytest.approx(WATTS)
    with pytest.raises(CalibrationError, match="add networks that are larger than its caches"):
        _fit(_phases([(seconds, 0) for seconds, _ in NETWORKS]), make_machine())


def test_joules_that_do_not_rise_with_the_seconds_are_refused() -> None:
    phases = [
        MeteredPhase(f"net {lines}", "inference", 1e-3 * lines, 0.0, lines) for lines in range(1, 7)
    ]
    with pytest.raises(CalibrationError, match="do not rise with the seconds"):
        _fit(phases, make_machine())


def _records(machine: Machine, networks: list[tuple[float, int]] = NETWORKS) -> list[Measurement]:
    """Records of a sensor and of the simulator, of the same workloads."""
    found = []
    for number, (seconds, lines) in enumerate(networks):
        workload = make_workload_record(topology=f"dffr:layers=1,width={number + 1}")
        joules = WATTS * seconds + NANOJOULES * 1e-9 * lines
        energy = PhaseEnergy(
            name="inference", joules=joules, seconds=seconds, idle_watts=8.5, includes=["package-0"]
        )
        found.append(
            make_measurement(
                workload=workload.model_copy(update={"seed": 7}),
                phases=[],
                energies=[energy],
                fingerprint=make_fingerprint(meter="rapl", geometry=None, simulated_geometry=None),
            )
        )
        counts = make_counts(DLmr=lines, DLmw=0, ILmr=0, Dr=10 * lines + 1, D1mr=2 * lines)
        found.append(
            make_measurement(
                workload=workload,
                phases=[make_phase("training"), make_phase("inference", counts=counts)],
                fingerprint=make_fingerprint(
                    geometry=machine.geometry, simulated_geometry=machine.simulated_geometry
                ),
            )
        )
    return found


@pytest.fixture
def profile() -> Machine:
    return load_machine("core-i7-6700")


@pytest.fixture
def folder(tmp_path: Path, profile: Machine) -> Path:
    path = tmp_path / "records"
    path.mkdir()
    for number, record in enumerate(_records(profile)):
        (path / f"{number}.json").write_text(record.to_json() + "\n", encoding="utf-8")
    return path


def test_records_are_paired_by_workload(folder: Path, profile: Machine) -> None:
    found = calibrate_networks(folder, profile)
    assert found.busy_core_watts == pytest.approx(WATTS)
    assert found.memory_line_nj == pytest.approx(NANOJOULES)
    assert found.idle_watts == pytest.approx(8.5)
    assert [point.phase for point in found.points] == ["inference"] * 5
    assert found.meter == "rapl"


def test_one_file_may_hold_all_records(folder: Path, profile: Machine, tmp_path: Path) -> None:
    together = tmp_path / "all.json"
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]
    together.write_text("".join(texts), encoding="utf-8")
    assert calibrate_networks(together, profile) == calibrate_networks(folder, profile)


def test_the_table_is_one_of_a_profile(folder: Path, profile: Machine) -> None:
    text = power_table(calibrate_networks(folder, profile), profile)
    power = tomllib.loads(text)["power"]
    changed = Machine.model_validate({**profile.model_dump(), "power": power})
    assert changed.power is not None
    assert changed.power.busy_core_watts.value == pytest.approx(WATTS)
    assert not changed.power.busy_core_watts.estimated
    assert "measured by rapl (package-0)" in changed.power.busy_core_watts.source


def test_a_line_that_was_not_fitted_keeps_its_source_in_the_table(profile: Machine) -> None:
    found = _fit(_phases([(seconds, 0) for seconds, _ in NETWORKS]), profile)
    power = tomllib.loads(power_table(found, profile))["power"]
    assert profile.power is not None
    assert power["memory_line_nj"]["source"] == profile.power.memory_line_nj.source
    assert power["memory_line_nj"]["estimated"] is True


def test_the_command_writes_the_table_and_prints_the_fit(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["calibrate", "--networks", str(folder), "--machine", "core-i7-6700"]
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "power of a busy core above idle 3 W" in out
    assert "energy of a line from memory 12 nJ" in out
    assert "included: package-0" in out
    assert "power" in tomllib.loads(Path("powerml-power.toml").read_text(encoding="utf-8"))
    code, out, _ = run(*arguments, "--json", "--out", "other.toml")
    assert code == 0
    assert json.loads(out)["schema"] == "powerml.energy-calibration/1"
    assert Path("other.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the one that was metered"),
        (["--machine", "core-i7-6700,epyc-7601"], "name the one that was metered"),
        (["--machine", "core-i7-6700", "--template"], "give one of them"),
        (["--machine", "core-i7-6700", "--meter", "rapl"], "powerml measure --meter rapl --json"),
        (["--machine", "core-i7-6700", "--out", "/nowhere/x.toml"], "nothing can be written"),
    ],
)
def test_wrong_use_is_one_line(run: Run, folder: Path, arguments: list[str], message: str) -> None:
    code, out, err = run("calibrate", "--networks", str(folder), *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def _without(records: list[Measurement], kind: str) -> list[Measurement]:
    return [record for record in records if not getattr(record, kind)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda records: _without(records, "energies"), "no record with joules of a sensor"),
        (lambda records: _without(records, "phases"), "no record with counts of the simulator"),
        (lambda records: records[:-1], "nothing was recorded for"),
        (lambda records: [_by(records[0], "nvml"), *records[1:]], "which reads a GPU"),
        (lambda records: [_by(records[0], "readings"), *records[1:]], "was measured otherwise"),
    ],
)
def test_records_that_do_not_fit_are_refused(
    tmp_path: Path, profile: Machine, change: Any, message: str
) -> None:
    path = tmp_path / "records.json"
    path.write_text("\n".join(r.to_json() for r in change(_records(profile))), encoding="utf-8")
    with pytest.raises((CalibrationError, MeasurementError), match=message) as caught:
        calibrate_networks(path, profile)
    assert "\n" not in str(caught.value)


def _by(record: Measurement, meter: str) -> Measurement:
    return record.model_copy(
        update={"fingerprint": record.fingerprint.model_copy(update={"meter": meter})}
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": "powerml.study/5"}', "watts", "[" * 100_000]
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, profile: Machine, text: str) -> None:
    path = tmp_path / "records.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"records\.json") as caught:
        calibrate_networks(path, profile)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_refused(tmp_path: Path, profile: Machine) -> None:
    with pytest.raises(CalibrationError, match=r"has no \.json files"):
        calibrate_networks(tmp_path, profile)


def test_a_boards_networks_are_calibrated_on_the_board(folder: Path) -> None:
    with pytest.raises(UsageError, match="run powerml calibrate on the board"):
        calibrate_networks(folder, load_machine("graviton2"))


def test_joules_are_not_replayed(profile: Machine) -> None:
    with pytest.raises(UsageError, match="holds no counts to be replayed"):
        ReplayMeter(_records(profile)[:1])
