"""``powerml calibrate`` and ``measure --calibration``, with counts that are recorded or made up."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

import powerml
from powerml.calibration import calibrate
from powerml.calibration.loads import synthetic_loads
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import CalibrationError, MachineError, MeasurementError, WorkerError
from powerml.machines import Machine
from powerml.meters.caching import CachingMeter
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material
from tests.builders import make_calibration_record, make_fingerprint, make_load_counts
from tests.doubles import FormulaMeter, Run

TOPOLOGY = "dffr:layers=2,width=16"
READINGS = "load,reading,unit\n0,5.1,J\n1,20,J\n2,33,J\n3,46,J\n4,62,J\n"


class FormulaLoadMeter:
    """Counts every load by a formula; fails, or is interrupted, at one of them."""

    name = "formula"

    def __init__(self, failing: BaseException | None = None, at: str = "") -> None:
        self.counted: list[str] = []
        self._failing = failing
        self._at = at

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        assert workload.kind == "load"
        if workload.name == self._at and self._failing is not None:
            raise self._failing
        self.counted.append(workload.name)
        advance(0.5)
        return [make_load_counts(workload)]

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        return {}

    def fingerprint(self) -> Fingerprint:
        return make_fingerprint()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing has to be ended."""


@pytest.fixture(autouse=True)
def empty_folders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is written without a folder is written there, and no counts are known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POWERML_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    """The name of a meter that replays a calibration."""
    path = tmp_path / "recorded.json"
    path.write_text(make_calibration_record().to_json(), encoding="utf-8")
    return f"replay:{path}"


def test_progress_goes_from_nothing_to_all() -> None:
    parts: list[float] = []
    lines: list[str] = []
    meter = FormulaLoadMeter()
    record = powerml.calibrate(
        meter=meter, fidelity="exact", jobs=1, notify=lines.append, advance=parts.append
    )
    # The longest first.
    assert meter.counted == ["7", "6", "4", "3", "2", "5", "1", "0"]
    assert parts == sorted(parts)
    assert parts[-1] == pytest.approx(1)
    assert lines[0] == "counting load 7 (2000x2000 x 2000x2000), exact"
    assert "8 of 8 loads" in lines[-1]
    assert [point.load for point in record.loads] == [load.name for load in synthetic_loads()]


def test_a_load_that_fails_fails_all() -> None:
    meter = FormulaLoadMeter(WorkerError("load 6 was killed, perhaps for lack of memory"), at="6")
    with pytest.raises(WorkerError, match="for lack of memory"):
        powerml.calibrate(meter=meter, jobs=1)


def test_what_was_counted_is_not_counted_again(tmp_path: Path) -> None:
    cache = powerml.CountsCache(tmp_path)
    first = FormulaLoadMeter(KeyboardInterrupt(), at="0")
    with pytest.raises(KeyboardInterrupt):
        powerml.calibrate(meter=CachingMeter(first, cache), fidelity="exact", jobs=1)
    second = FormulaLoadMeter()
    record = powerml.calibrate(meter=CachingMeter(second, cache), fidelity="exact", jobs=1)
    assert sorted(first.counted + second.counted) == [load.name for load in synthetic_loads()]
    assert len(first.counted) == 7
    assert record == powerml.calibrate(meter=FormulaLoadMeter(), jobs=1)


def test_a_cache_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "counts").write_text("a file", encoding="utf-8")
    lines: list[str] = []
    meter = CachingMeter(FormulaLoadMeter(), powerml.CountsCache(tmp_path))
    powerml.calibrate(meter=meter, jobs=1, notify=lines.append)
    assert "cannot be kept" in lines[1]
    assert "8 of 8 loads" in lines[-1]


def test_the_command_prints_the_comparison_and_writes_two_files(
    run: Run, recorded: str, tmp_path: Path
) -> None:
    code, out, _ = run("calibrate", "--meter", recorded)
    assert code == 0
    for told in ("inclusive", "recorded", "ratio", "residual", "r 0.99", "95% confidence"):
        assert told in out
    assert "powerml measure TOPOLOGY --calibration powerml-calibration.json" in out
    written = powerml.load_calibration(tmp_path / "powerml-calibration.json")
    assert written.unit == "unstated"
    assert (tmp_path / "powerml-calibration.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert len(list(tmp_path.iterdir())) == 3  # the recorded one, and these


def test_json_is_the_calibration_and_nothing_else(run: Run, recorded: str) -> None:
    code, out, _ = run("calibrate", "--meter", recorded, "--json", "--out", "mine.json")
    assert code == 0
    assert powerml.Calibration.model_validate_json(out) == powerml.load_calibration(
        Path("mine.json")
    )
    first = json.loads(out)["loads"][0]
    assert {"cost_cycles", "inclusive_cycles", "recorded_cost_cycles", "ratio_to_recorded"} <= set(
        first
    )
    assert {"reading", "fitted", "residual"} <= set(first)


def test_ones_own_readings_are_fitted_in_their_unit(
    run: Run, recorded: str, tmp_path: Path
) -> None:
    code, template, _ = run("calibrate", "--template")
    assert code == 0
    filled = template
    for load in synthetic_loads()[:5]:
        shape = f"{load.rows_a},{load.inner},{load.cols_b}"
        filled = filled.replace(f"{shape},,J", f"{shape},{load.products / 1e9:.2f},J")
    (tmp_path / "mine.csv").write_text(filled, encoding="utf-8")
    command = ["calibrate", "--readings", "mine.csv", "--meter", recorded]
    code, out, _ = run(*command)
    assert code == 0
    assert "reading\n" not in out
    record = powerml.load_calibration(tmp_path / "powerml-calibration.json")
    assert (record.unit, record.readings, record.fit.points) == ("J", "mine.csv", 5)
    assert record.loads[-1].reading is None
    assert record.loads[-1].residual is None


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        ("load,reading,unit\n0,1,J\n1,2,J\n2,3,J\n", "there are 3 readings"),
        ("load,reading,unit\n0,1,J\n1,1,J\n2,1,J\n3,1,J\n", "without a spread"),
        ("load,reading,unit\n0,4,J\n1,3,J\n2,2,J\n3,1,J\n", "fall as the costs rise"),
        ("load,reading,unit\n0,4,J\n0,3,J\n", "line 3: load 0 is there twice"),
    ],
)
def test_readings_that_cannot_be_used_are_refused(
    run: Run, recorded: str, tmp_path: Path, readings: str, reason: str
) -> None:
    (tmp_path / "mine.csv").write_text(readings, encoding="utf-8")
    code, out, err = run("calibrate", "--readings", "mine.csv", "--meter", recorded)
    assert (code, out) == (2, "")
    assert reason in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (tmp_path / "powerml-calibration.json").exists()


@pytest.mark.parametrize(("held", "out"), [("mine.csv", "mine.csv"), ("mine.svg", "mine.json")])
def test_readings_are_never_written_over(
    run: Run, tmp_path: Path, recorded: str, held: str, out: str
) -> None:
    (tmp_path / held).write_text(READINGS, encoding="utf-8")
    code, _, err = run("calibrate", "--readings", held, "--out", out, "--meter", recorded)
    assert code == 2
    assert f"nothing can be written to '{held}': it holds the readings" in err
    assert (tmp_path / held).read_text(encoding="utf-8") == READINGS


def test_readings_that_are_not_there_are_named_whatever_is_written_over(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "powerml-calibration.json").write_text("{}", encoding="utf-8")
    code, _, err = run("calibrate", "--readings", "none.csv")
    assert (code, "none.csv does not exist" in err) == (2, True)


def test_readings_whose_link_leads_in_a_circle_are_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").symlink_to("mine.csv")
    code, _, err = run("calibrate", "--readings", "mine.csv")
    assert (code, "mine.csv is a link to mine.csv, and leads in a circle" in err) == (2, True)


def test_ones_own_readings_are_of_a_machine_that_is_to_be_named(
    run: Run, tmp_path: Path, recorded: str
) -> None:
    (tmp_path / "mine.csv").write_text(READINGS, encoding="utf-8")
    command = ["calibrate", "--readings", "mine.csv", "--meter", recorded]
    assert "costs are those of xeon-x5650, as no machine was named" in run(*command)[1]
    assert "no machine was named" not in run(*command, "--machine", "xeon-x5650")[1]


def test_the_readings_of_2018_are_of_one_machine(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "SimulatorMeter", lambda *_: FormulaLoadMeter())
    told = "the readings of 2018 were metered on xeon-x5650: a calibration of epyc-7601 needs its"
    assert told in run("calibrate", "--machine", "epyc-7601")[1]
    assert "were metered on" not in run("calibrate")[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--readings", "none.csv"], "none.csv does not exist: see powerml calibrate --template"),
        (["--out", "none/c.json"], "nothing can be written to 'none/c.json'"),
        (["--out", "."], "nothing can be written to '.'"),
        (["--out", "c.svg"], "it would be the figure's file: give one that ends in .json"),
        (["--fidelity", "predicted"], "loads are not predicted"),
        (["--fidelity", "roughly"], "unknown fidelity 'roughly'"),
        (["--meter", "cachegrind"], "unknown meter of loads 'cachegrind'"),
        (["--meter", "replay:none.json"], "none.json does not exist"),
        (["--machine", "all"], "a calibration is for one machine"),
        (["--machine", "graviton2"], "graviton2 is a board, and loads run in this machine's code"),
        (["--jobs", "0"], "jobs is 0"),
    ],
)
def test_wrong_use_is_one_line(run: Run, arguments: list[str], reason: str) -> None:
    code, out, err = run("calibrate", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert reason in err


def test_being_interrupted_says_how_to_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = FormulaLoadMeter(KeyboardInterrupt(), at="3")
    monkeypatch.setattr(calibrate, "SimulatorMeter", lambda *_: meter)
    code, out, err = run("calibrate", "--jobs", "1", "--fidelity", "exact")
    assert (code, out) == (130, "")
    assert "Continue with: powerml calibrate --jobs 1 --fidelity exact" in err
    assert "nothing is kept" in run("calibrate", "--jobs", "1", "--no-cache")[2]


def test_a_record_is_replayed_for_its_own_caches_and_loads(recorded: str, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"load \d .* was recorded on other caches than"):
        powerml.calibrate(meter=recorded, machine="core-i7-4770")
    path = Path(recorded.removeprefix("replay:"))
    record = make_calibration_record()
    fewer = record.model_copy(update={"loads": record.loads[1:]})
    path.write_text(fewer.to_json(), encoding="utf-8")
    with pytest.raises(MeasurementError, match=r"nothing was recorded for load 0 \(.*\): measure"):
        powerml.calibrate(meter=recorded)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CalibrationError, match="is no calibration"):
        powerml.calibrate(meter=recorded)


def test_one_machine_is_calibrated() -> None:
    with pytest.raises(MachineError, match="for one machine"):
        powerml.calibrate(machine="xeon-x5650,epyc-7601", meter=FormulaLoadMeter())


def test_measure_applies_a_calibration(run: Run, machine: Machine, tmp_path: Path) -> None:
    measured = powerml.measure(
        TOPOLOGY, meter=FormulaMeter(machine), machine=machine, price="paper"
    )
    assert measured.calibration is None
    assert measured.phases[0].costs[machine.name].calibrated_value is None
    (tmp_path / "record.json").write_text(measured.to_json(), encoding="utf-8")
    calibration = make_calibration_record()
    (tmp_path / "c.json").write_text(calibration.to_json(), encoding="utf-8")
    command = ["measure", TOPOLOGY, "--meter", "replay:record.json", "--calibration"]
    code, out, _ = run(*command, "c.json")
    assert code == 0
    assert "calibrated reading (unit unstated)" in out
    assert f"±{calibration.fit.per_cycle_high / calibration.fit.per_cycle - 1:.0%}" in out
    assert "costs below those of the metered loads" in out
    code, out, _ = run(*command, "c.json", "--json")
    cost = json.loads(out)["phases"][0]["costs"][machine.name]
    assert cost["calibrated_value"] == calibration.fit.per_cycle * cost["cycles"]
    assert cost["unit"] == "unstated"
    code, _, err = run(*command, "c.json", "--accesses", "all")
    assert code == 2
    assert "the calibration prices data accesses" in err
    code, _, err = run(*command, "nowhere")
    assert code == 2
    assert "nowhere does not exist: write one with powerml calibrate" in err
