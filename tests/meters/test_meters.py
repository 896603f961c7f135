from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from powerml import plugins
from powerml.costs.measurement import Measurement
from powerml.costs.readings import require_counts
from powerml.errors import MeasurementError, UnknownNameError, UsageError
from powerml.machines import load_machine
from powerml.meters.catalogue import make_meter, meter_names
from powerml.meters.replay import ReplayMeter
from powerml.workloads.datasets import Dataset, load_dataset
from tests.builders import (
    make_counts,
    make_fingerprint,
    make_measurement,
    make_phase,
    make_workload_record,
)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("mnist_small")


def _recorded(ir: int, batch_size: int) -> Measurement:
    return make_measurement(
        workload=make_workload_record(batch_size=batch_size),
        phases=[
            make_phase("training", counts=make_counts(Ir=ir)),
            make_phase("inference", counts=make_counts(Ir=ir // 2)),
        ],
    )


RECORDS = [_recorded(10_000, 32), _recorded(30_000, 8)]


def test_a_workload_is_found_again(dataset: Dataset) -> None:
    with ReplayMeter(RECORDS) as meter:
        phases = meter.measure(make_workload_record(batch_size=8), dataset)
    assert [(phase.name, phase.counts.Ir) for phase in phases] == [
        ("training", 30_000),
        ("inference", 15_000),
    ]


def test_counts_do_not_depend_on_the_seed(dataset: Dataset) -> None:
    meter = ReplayMeter(RECORDS)
    assert meter.measure(make_workload_record(seed=0), dataset) == meter.measure(
        make_workload_record(seed=99), dataset
    )


def test_costs_are_not_replayed_but_priced_again(dataset: Dataset) -> None:
    phases = ReplayMeter(RECORDS).measure(make_workload_record(), dataset)
    assert all(not hasattr(phase, "costs") for phase in phases)


@pytest.mark.parametrize(
    "fields",
    [
        {"topology": "dffr:layers=2,width=15"},
        {"batch_size": 33},
        {"epochs": 3},
        {"data_digest": "0" * 64},
        {"protocol": "paper"},
        {"backend": "jax"},
        {"input_shape": (28, 28, 1)},
    ],
)
def test_another_workload_raises_and_is_named(dataset: Dataset, fields: dict[str, object]) -> None:
    workload = make_workload_record(**fields)
    with pytest.raises(MeasurementError) as caught:
        ReplayMeter(RECORDS).measure(workload, dataset)
    assert workload.name in str(caught.value)
    assert f"batch {workload.batch_size}, {workload.epochs} epochs" in str(caught.value)


def test_the_fingerprint_is_the_records() -> None:
    recorded = make_measurement(fingerprint=make_fingerprint(meter="cachegrind"))
    assert ReplayMeter([recorded]).fingerprint() == recorded.fingerprint


def test_nothing_to_replay() -> None:
    with pytest.raises(UsageError, match="nothing to replay"):
        ReplayMeter([])


def test_a_file_with_one_object_over_many_lines(tmp_path: Path, dataset: Dataset) -> None:
    path = tmp_path / "one.json"
    path.write_text(RECORDS[0].to_json() + "\n", encoding="utf-8")
    assert "\n" in RECORDS[0].to_json()
    phases = ReplayMeter.from_file(path).measure(make_workload_record(), dataset)
    assert phases[0].counts == RECORDS[0].phases[0].counts


def test_a_file_with_one_object_a_line(tmp_path: Path, dataset: Dataset) -> None:
    path = tmp_path / "many.jsonl"
    lines = [record.model_dump_json(by_alias=True) for record in RECORDS]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    meter = ReplayMeter.from_file(path)
    for record in RECORDS:
        phases = meter.measure(record.workload, dataset)
        assert phases[0].counts == record.phases[0].counts


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"{}",
        b"[]",
        b"null",
        b"PK\x03\x04 garbage",
        json.dumps({"schema": "powerml.measurement/9"}).encode(),
        RECORDS[0].model_dump_json(by_alias=True).encode()[:-10],
        RECORDS[0].model_dump_json(by_alias=True).encode() + b"\ngarbage",
    ],
)
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.json"
    path.write_bytes(content)
    with pytest.raises(
        UsageError, match=r"holds no records to be replayed \(.*\): give what powerml measure"
    ):
        ReplayMeter.from_file(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    path.write_bytes(b"\xff\x00\xfe")
    with pytest.raises(UsageError, match=r"cannot be read \(it is not UTF-8 text\)"):
        ReplayMeter.from_file(path)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "records.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match="nothing to replay" if content else "is empty"):
        ReplayMeter.from_file(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError) as caught:
            ReplayMeter.from_file(path)
        assert str(path) in str(caught.value)


def test_replay_by_name(tmp_path: Path, dataset: Dataset) -> None:
    path = tmp_path / "one.json"
    machine = load_machine("xeon-x5650")
    fingerprint = make_fingerprint(simulated_geometry=machine.simulated_geometry)
    record = make_measurement(fingerprint=fingerprint)
    path.write_text(record.to_json(), encoding="utf-8")
    meter = make_meter(f"replay:{path}", machine, "torch")
    assert meter.name == "replay"
    phases = require_counts(meter.name, meter.measure(make_workload_record(), dataset))
    assert phases[1].counts == make_counts()


def test_counts_of_other_caches_are_not_passed_off_as_those_of_a_machine(
    tmp_path: Path, dataset: Dataset
) -> None:
    path = tmp_path / "one.json"
    path.write_text(RECORDS[0].to_json(), encoding="utf-8")
    meter = make_meter(f"replay:{path}", load_machine("epyc-7601"), "torch")
    with pytest.raises(MeasurementError, match="recorded on other caches"):
        meter.measure(make_workload_record(), dataset)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("calgrind", "unknown meter 'calgrind': did you mean 'callgrind'"),
        ("simulater", "did you mean 'simulator'"),
        ("cachegrnd", "did you mean 'cachegrind'"),
        ("replay", "did you mean 'replay:FILE'"),
        (
            "wattmeter-9000",
            "known: cachegrind, callgrind, nvml, rapl, readings:FILE, replay:FILE, simulator",
        ),
    ],
)
def test_an_unknown_meter_offers_the_nearest(name: str, told: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        make_meter(name, load_machine("xeon-x5650"), "torch")
    assert told in str(caught.value)


def test_a_meter_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "powerml_tests_meter.py").write_text(
        "from powerml.meters import ReplayMeter\n"
        "from tests.builders import make_measurement\n"
        "def make(machine, backend, options):\n"
        "    return ReplayMeter([make_measurement()])\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mine", "powerml_tests_meter:make", "powerml.meters")

    def entry_points(group: str) -> list[EntryPoint]:
        return [point] if group == point.group else []

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    assert "mine" in meter_names()
    assert isinstance(make_meter("mine", load_machine("xeon-x5650"), "torch"), ReplayMeter)
