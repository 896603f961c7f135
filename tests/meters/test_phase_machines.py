"""Measurements whose training and inference are priced for machines of their own."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.errors import MachineError, MeasurementError, ServerError, UsageError
from powerml.machines import PhaseMachines, load_machine, load_machines
from powerml.meters import catalogue
from powerml.meters.base import MeterOptions
from powerml.meters.catalogue import make_meter, open_meters
from powerml.meters.simulator.meter import SimulatorMeter
from tests.builders import make_workload_record
from tests.doubles import name_phase_meter

TOPOLOGY = "dffr:layers=1,width=4"
BOARD, TRAINER = "raspberry-pi-4", "epyc-7763"


class Board(SimulatorMeter):
    """Stands in for the meter of boards, which needs their code."""

    counts_training = False


@pytest.fixture(autouse=True)
def x86_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(catalogue, "BoardMeter", Board)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> str:
    return name_phase_meter(monkeypatch)


def _measure(meter: str, **options: Any) -> powerml.Measurement:
    return powerml.measure(TOPOLOGY, meter=meter, epochs=1, data="digits", **options)


def _costs(record: powerml.Measurement) -> dict[str, list[str]]:
    return {phase.name: list(phase.costs) for phase in record.phases}


def test_each_phase_has_the_costs_of_its_own_machines(meter: str) -> None:
    record = _measure(meter, machine=BOARD)
    assert _costs(record) == {"training": [TRAINER], "load": [BOARD], "inference": [BOARD]}
    assert record.machines == [BOARD, TRAINER]
    assert record.score is not None


def test_the_fingerprints_tell_the_caches_of_each(meter: str) -> None:
    record = _measure(meter, machine=BOARD)
    assert record.training_fingerprint is not None
    assert record.fingerprint.geometry == load_machine(BOARD).geometry
    assert record.training_fingerprint.geometry == load_machine(TRAINER).geometry
    assert record.simulations == []
    assert powerml.Measurement.model_validate_json(record.to_json()) == record


def test_machines_that_do_both_are_as_before(meter: str) -> None:
    record = _measure(meter, machine="xeon-x5650,epyc-7601")
    assert record.training_fingerprint is None
    both = ["xeon-x5650", "epyc-7601"]
    assert _costs(record) == {"training": both, "load": both, "inference": both}
    [other] = record.simulations
    assert [phase.name for phase in other.phases] == ["training", "load", "inference"]


def test_a_board_beside_a_machine_that_trains(meter: str) -> None:
    record = _measure(meter, machine=f"{TRAINER},{BOARD}")
    assert _costs(record) == {
        "training": [TRAINER],
        "load": [TRAINER, BOARD],
        "inference": [TRAINER, BOARD],
    }
    assert record.training_fingerprint is None
    [board] = record.simulations
    assert board.machines == [BOARD]
    assert [phase.name for phase in board.phases] == ["load", "inference"]
    turned = _measure(meter, machine=f"{BOARD},{TRAINER}")
    assert turned.machines == [BOARD, TRAINER]
    [trainer] = turned.simulations
    assert [phase.name for phase in trainer.phases] == ["load", "inference"]
    for phase in ("load", "inference"):
        assert turned.phase(phase).costs == record.phase(phase).costs


def test_a_record_of_two_machines_is_replayed_and_priced_again(meter: str, tmp_path: Path) -> None:
    record = _measure(meter, machine=f"{BOARD},{TRAINER}", training_machine="xeon-x5650")
    path = tmp_path / "record.json"
    path.write_text(record.to_json(), encoding="utf-8")
    again = _measure(f"replay:{path}", machine=f"{BOARD},{TRAINER}", training_machine="xeon-x5650")
    assert again.phases == record.phases
    assert again.simulations == record.simulations
    priced = powerml.reprice(record, BOARD, "paper", "xeon-x5650")
    assert _costs(priced) == {"training": ["xeon-x5650"], "load": [BOARD], "inference": [BOARD]}
    assert priced.phase("training").costs["xeon-x5650"].seconds is None


def test_a_record_without_the_phase_is_not_replayed(meter: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(_measure(meter, machine=BOARD).to_json(), encoding="utf-8")
    with pytest.raises(MeasurementError, match="was not counted for the caches of epyc-7763"):
        _measure(f"replay:{path}", machine=TRAINER)


def test_counts_of_other_code_are_not_priced_for_a_board(meter: str) -> None:
    record = _measure(meter, machine=TRAINER)
    with pytest.raises(MachineError, match="no counts of its load in the code of raspberry-pi-4"):
        powerml.reprice(record, BOARD)


def test_a_file_has_no_machine_of_the_training(meter: str, tmp_path: Path) -> None:
    import keras

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(path)
    record = powerml.measure(path, meter=meter, machine=BOARD)
    assert _costs(record) == {"load": [BOARD], "inference": [BOARD]}
    with pytest.raises(UsageError, match="is not trained: leave out --training-machine"):
        powerml.measure(path, meter=meter, training_machine=TRAINER)


@pytest.mark.parametrize("name", ["callgrind", "cachegrind"])
def test_meters_of_this_machines_code_refuse_boards(name: str) -> None:
    with pytest.raises(UsageError, match="raspberry-pi-4 is a board"):
        powerml.measure(TOPOLOGY, meter=name, machine=BOARD)
    with pytest.raises(UsageError, match="raspberry-pi-4 is a board"):
        make_meter(name, load_machine(BOARD), None)


def test_sensors_refuse_a_training_machine() -> None:
    with pytest.raises(UsageError, match="--training-machine could be for"):
        powerml.measure(TOPOLOGY, meter="rapl", training_machine=TRAINER)


def _opened(machines: PhaseMachines, options: MeterOptions) -> list[SimulatorMeter]:
    """Open the simulator for machines; return each that was started."""
    started: list[SimulatorMeter] = []
    with open_meters("simulator", machines, 2, None, options, cache=False) as meters:
        assert list(meters) == list(machines.geometries(2))
        for one in meters.values():
            simulator = getattr(one, "_meter", one)
            assert isinstance(simulator, SimulatorMeter)
            if simulator not in started:
                started.append(simulator)
    return started


def test_each_processor_has_one_simulator_and_all_share_their_slots() -> None:
    boards = load_machines("raspberry-pi-4,raspberry-pi-zero-2,raspberry-pi-3,epyc-7763")
    machines = PhaseMachines.assigned(boards, None, boards[-1])
    found = _opened(machines, MeterOptions(jobs=3))
    names = [[machine.name for machine in one.machines] for one in found]
    assert ["epyc-7763"] in names
    assert [isinstance(one, Board) for one in found].count(False) == 1
    assert sorted(name for group in names for name in group) == sorted(
        machine.name for machine in boards
    )
    assert len({id(one._slots) for one in found}) == 1


def test_machines_of_one_kind_of_code_that_do_the_same_share_a_simulator() -> None:
    first, second, third = load_machines("xeon-x5650,epyc-7763,core-i7-4770")
    machines = PhaseMachines((first, second), (first, third))
    found = _opened(machines, MeterOptions())
    does = {one.machine.name: one._options for one in found}
    assert (does["xeon-x5650"].training_only, does["xeon-x5650"].deployment_only) == (False, False)
    assert does["epyc-7763"].deployment_only
    assert does["core-i7-4770"].training_only


@pytest.mark.parametrize(
    ("kind", "options", "jobs"),
    [
        (SimulatorMeter, MeterOptions(), ["training", "deployment:onnxruntime"]),
        (SimulatorMeter, MeterOptions(training_only=True), ["training"]),
        (SimulatorMeter, MeterOptions(deployment_only=True), ["deployment:onnxruntime"]),
        (Board, MeterOptions(), ["deployment:onnxruntime"]),
    ],
)
def test_a_meter_starts_the_guests_of_its_own_phases_alone(
    kind: type[SimulatorMeter],
    options: MeterOptions,
    jobs: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    def start(_meter: SimulatorMeter, job: str, _notify: object) -> None:
        started.append(job)
        if len(started) == len(jobs):
            raise ServerError("this was the last")

    monkeypatch.setattr(SimulatorMeter, "_running_server", start)
    deployment = powerml.Deployment(runtime="onnxruntime", batch_size=1, inferences=1)
    workload = make_workload_record(deployment=deployment)
    with (
        kind(load_machine(TRAINER), "torch", options) as meter,
        pytest.raises(ServerError, match="this was the last"),
    ):
        meter.measure(workload, None)
    assert started == jobs


def test_only_a_part_of_the_phases_has_a_cache_key_of_its_own() -> None:
    workload, machine = make_workload_record(), load_machine(TRAINER)
    for fidelity in ("exact", "sampled"):
        whole, training = (
            SimulatorMeter(
                machine, "torch", MeterOptions(fidelity=fidelity, training_only=only)
            ).determinants(workload)
            for only in (False, True)
        )
        assert "training_only" not in str(whole)
        assert training == {**whole, "training_only": True}


def test_a_meter_of_no_phase_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing is counted"):
        MeterOptions(training_only=True, deployment_only=True)


def test_slots_are_shared() -> None:
    slots = threading.Semaphore(1)
    meter = SimulatorMeter(load_machine(TRAINER), None)
    meter.share_slots(slots)
    assert meter._slots is slots
