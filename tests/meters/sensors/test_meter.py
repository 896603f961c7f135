"""How often a sensor's meter repeats a phase, and what it makes of the readings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count, cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from powerml.costs.readings import PhaseEnergy, doubts_about
from powerml.errors import MeasurementError, SetupError, UsageError
from powerml.meters.base import MeterOptions, Repeating, runs_natively
from powerml.meters.catalogue import make_meter, meter_names
from powerml.meters.sensors import meter as sensing
from powerml.meters.sensors.base import Sensor, Span, Window
from powerml.meters.sensors.meter import SensorMeter
from powerml.meters.sensors.native import LoggedRegion
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import Deployment
from tests.builders import make_file_record
from tests.doubles import WorkloadMaker

IDLE_WATTS = 4.0
TOPOLOGY = "dffr:layers=1,width=2"


class FakeWindow:
    """A region at a power that is known once it is over. The cores take half of it."""

    def __init__(self, watts: Callable[[], float]) -> None:
        self._find = watts
        self._watts = 0.0

    def poll(self) -> None:
        """Nothing wraps around."""

    def end(self) -> None:
        self._watts = self._find()

    def joules(self, span: Span) -> Mapping[str, float]:
        joules = self._watts * span.seconds
        return {"package-0": joules, "package-0 core": joules / 2}


class FakeSensor:
    """Reads 4 W when idle, and in regions the powers that it is given."""

    name = "fake"
    region_seconds = 1.0
    idle_seconds = 1e-3
    includes = ("package-0",)
    excludes = ("memory",)

    def __init__(
        self, watts: list[float], *, is_live: bool = True, reads_gpu: bool = False
    ) -> None:
        self.is_live = is_live
        self.reads_gpu = reads_gpu
        self.idle = True
        self.asked = 0
        self._watts = cycle(watts)

    def open(self) -> None:
        """It is there."""

    def begin(self) -> Window:
        return FakeWindow(lambda: IDLE_WATTS if self.idle else next(self._watts))

    def catch_up(self, span: Span) -> bool:
        self.asked += 1
        return True

    def total(self, parts: Mapping[str, float]) -> float:
        return parts["package-0"]


class FakeProcess:
    """A process whose runs take a tenth of a second each."""

    seconds_of_run = 0.1
    most_runs = 1_000_000
    has_gpu = False

    def __init__(
        self,
        request: Mapping[str, Any],
        folder: Path,
        title: str,
        variables: Mapping[str, str],
        limit_seconds: float,
    ) -> None:
        self.title = title
        self.request = request

    def ready(self) -> dict[str, Any]:
        return {
            "software": {"python": "3.11.2"},
            "most_runs": self.most_runs,
            "has_gpu": self.has_gpu,
        }

    def run(self, runs: int, sensor: FakeSensor) -> LoggedRegion:
        window = sensor.begin()
        sensor.idle = False
        seconds = runs * self.seconds_of_run
        window.end()
        sensor.idle = True
        return LoggedRegion(window, Span(time.time(), time.time() + seconds, seconds), runs)

    def stop(self) -> None:
        """Nothing runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing runs."""


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> type[FakeProcess]:
    made = type("Process", (FakeProcess,), {})
    monkeypatch.setattr(sensing, "NativeProcess", made)
    return made


@pytest.fixture
def read(
    process: type[FakeProcess], make: WorkloadMaker, mnist_small: Dataset
) -> Callable[..., list[PhaseEnergy]]:
    def reader(sensor: Sensor, **options: Any) -> list[PhaseEnergy]:
        repeating = Repeating(**options.pop("repeating", {}))
        with SensorMeter(sensor, "torch", MeterOptions(repeating=repeating, **options)) as meter:
            return meter.measure(make(TOPOLOGY), mnist_small)

    return reader


def test_a_steady_power_is_read_five_times(read: Callable[..., list[PhaseEnergy]]) -> None:
    training, inference = read(FakeSensor([10.0]), error=0.02)
    assert (training.name, inference.name) == ("training", "inference")
    for energy in (training, inference):
        assert energy.repetitions == 5
        # A run of a tenth of a second at 6 W above idle, in regions of a second at least.
        assert energy.joules == pytest.approx(0.6)
        assert energy.seconds == pytest.approx(0.1)
        assert energy.idle_watts == pytest.approx(IDLE_WATTS)
        assert energy.runs is not None
        assert energy.runs >= 10
        assert energy.joules_interval is not None
        assert energy.joules_interval.low <= energy.joules <= energy.joules_interval.high
        assert energy.parts == {
            "package-0": pytest.approx(0.6),
            "package-0 core": pytest.approx(0.3),
        }
        assert (energy.includes, energy.excludes) == (["package-0"], ["memory"])
        assert energy.origin == "measured"
    assert (training.samples, inference.samples) == (None, 100)


def test_an_unsteady_power_is_read_until_it_is_certain(
    read: Callable[..., list[PhaseEnergy]],
) -> None:
    energies = read(FakeSensor([9.0, 11.0]), error=0.1)
    for energy in energies:
        assert energy.repetitions is not None
        assert 5 < energy.repetitions < 30
    assert doubts_about(energies, 0.1) == []


def test_joules_that_idle_power_could_explain_are_doubted(
    read: Callable[..., list[PhaseEnergy]],
) -> None:
    energies = read(FakeSensor([4.0, 6.0]), repeating={"repetitions": 2})
    assert "cannot be told from the idle power: end other programs" in doubts_about(energies, 1)[0]


def test_the_limits_of_repetitions_are_said(read: Callable[..., list[PhaseEnergy]]) -> None:
    energies = read(FakeSensor([9.9, 10.1]), error=0.001, repeating={"repetitions": 3})
    assert [energy.repetitions for energy in energies] == [3, 3]
    [first, _] = doubts_about(energies, 0.001)
    assert first.startswith("training: joules within ")
    assert "after 3 repetitions, wider than 0.1%: raise --repetitions" in first


def test_the_limit_of_time_ends_the_repetitions(
    read: Callable[..., list[PhaseEnergy]], process: type[FakeProcess]
) -> None:
    process.seconds_of_run = 50.0
    energies = read(FakeSensor([10.0]), limit_seconds=10)
    assert [energy.repetitions for energy in energies] == [1, 1]
    assert energies[0].joules_interval is None
    assert "read once" in doubts_about(energies, 0.02)[0]


def test_a_log_is_read_ten_times_and_afterwards(read: Callable[..., list[PhaseEnergy]]) -> None:
    sensor = FakeSensor([10.0], is_live=False)
    energies = read(sensor)
    assert [energy.repetitions for energy in energies] == [10, 10]
    assert sensor.asked == 2


def test_a_region_has_no_more_runs_than_there_is_room_for(
    read: Callable[..., list[PhaseEnergy]], process: type[FakeProcess]
) -> None:
    process.most_runs = 3
    assert [energy.runs for energy in read(FakeSensor([10.0]))] == [3, 3]


def test_a_power_that_is_not_above_idle_is_no_reading(
    read: Callable[..., list[PhaseEnergy]],
) -> None:
    with pytest.raises(MeasurementError, match="training took 3 W, not above the idle 4 W") as seen:
        read(FakeSensor([3.0]))
    assert "\n" not in str(seen.value)


def test_a_gpu_that_keras_does_not_find_is_said(read: Callable[..., list[PhaseEnergy]]) -> None:
    with pytest.raises(SetupError, match="reads the GPU, and Keras finds none"):
        read(FakeSensor([10.0], reads_gpu=True))


def test_a_gpu_is_read_where_keras_finds_one(
    read: Callable[..., list[PhaseEnergy]], process: type[FakeProcess]
) -> None:
    process.has_gpu = True
    assert len(read(FakeSensor([10.0], reads_gpu=True))) == 2


@pytest.mark.usefixtures("process")
def test_an_inference_on_the_processor_is_not_read_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = sensing._NativePhase("inference", "inference of x", {"runtime": "onnxruntime"})
    monkeypatch.setattr(sensing, "_plans", lambda *_: [request])
    workload = make_file_record(
        deployment=Deployment(runtime="onnxruntime", batch_size=1, inferences=1)
    )
    meter = SensorMeter(FakeSensor([10.0], reads_gpu=True), None)
    with meter, pytest.raises(UsageError, match="onnxruntime on the processor: add --runtime ker"):
        meter.measure(workload, None)


def test_a_meter_that_was_stopped_starts_nothing(
    read: Callable[..., list[PhaseEnergy]], make: WorkloadMaker, mnist_small: Dataset
) -> None:
    meter = SensorMeter(FakeSensor([10.0]), "torch")
    with meter:
        """It is left before it measures, as when a command is interrupted."""
    with pytest.raises(MeasurementError, match="was stopped"):
        meter.measure(make(TOPOLOGY), mnist_small)


def test_late_readings_are_waited_for(
    read: Callable[..., list[PhaseEnergy]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "POLL_SECONDS", 1e-3)
    asked: Iterator[int] = count(1)
    sensor = FakeSensor([10.0], is_live=False)
    monkeypatch.setattr(sensor, "catch_up", lambda _span: next(asked) % 3 == 0)
    assert len(read(sensor)) == 2
    assert next(asked) == 7


def test_the_fingerprint_has_no_caches(read: Callable[..., list[PhaseEnergy]]) -> None:
    meter = SensorMeter(FakeSensor([10.0]), "torch")
    found = meter.fingerprint()
    assert (found.meter, found.threads) == ("fake", 1)
    assert found.geometry is found.simulated_geometry is None
    assert runs_natively(meter)


@pytest.mark.parametrize("name", ["rapl", "nvml", "readings:plug.csv"])
def test_a_sensor_is_a_meter_by_name(name: str, machine: Any) -> None:
    meter = make_meter(name, machine, "torch")
    assert isinstance(meter, SensorMeter)
    assert meter.name == name.partition(":")[0]
    assert {"rapl", "nvml", "readings:FILE"} <= set(meter_names())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"idle_seconds": 0}, "idle seconds is 0: give more than 0"),
        ({"region_seconds": -1.0}, "region seconds is -1"),
        ({"region_seconds": float("nan")}, "region seconds is nan"),
        ({"repetitions": 1}, "repetitions is 1: give at least 2"),
    ],
)
def test_options_out_of_range_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Repeating(**given)
