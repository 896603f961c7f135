"""The choice of a warm guest or one of the command's own."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from powerml.errors import ServerError, SetupError, UsageError
from powerml.machines import Machine
from powerml.meters.base import MeterOptions
from powerml.meters.catalogue import meter_options
from powerml.meters.simulator import guest_meter
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.meters.simulator.warm import client
from powerml.workloads.workload import TRAINING_JOB
from tests.doubles import WorkloadMaker

ONNX = "deployment:onnxruntime"


class _Opened:
    """A server of either kind: the name says which, and all that was asked for."""

    def __init__(self, name: str, *asked: Any, was_ready: bool = True) -> None:
        self.name, self.asked, self.was_ready = name, asked, was_ready
        self.ready: Future[dict[str, Any]] = Future()
        self.has_ended = False

    def close(self) -> None:
        self.has_ended = True


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "reach", lambda *asked: _Opened("warm", *asked))
    monkeypatch.setattr(guest_meter, "Server", lambda *asked: _Opened("own", *asked))
    monkeypatch.setattr(SimulatorMeter, "_launch", lambda *_: None)


def _server(machine: Machine, job: str, backend: str = "torch", *, warm: bool = True) -> Any:
    with SimulatorMeter(machine, backend, MeterOptions(warm=warm)) as meter:
        return meter.start(job)


@pytest.mark.usefixtures("opened")
def test_a_warm_guest_is_for_one_job_backend_and_set_of_caches(machine: Machine) -> None:
    geometries = [machine.simulated_geometry]
    assert _server(machine, TRAINING_JOB).asked[:3] == (TRAINING_JOB, "torch", geometries)
    # ONNX Runtime needs no Keras, and its guest serves every backend.
    assert _server(machine, ONNX).asked[:3] == (ONNX, None, geometries)
    assert _server(machine, ONNX, warm=False).name == "own"


@pytest.mark.usefixtures("opened")
def test_a_process_for_one_measurement_is_never_kept(machine: Machine) -> None:
    assert _server(machine, TRAINING_JOB, "jax").name == "own"
    assert _server(machine, ONNX, "jax").name == "warm"


@pytest.mark.usefixtures("opened")
def test_without_the_warm_simulator_the_command_starts_its_own_and_says_why(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any) -> _Opened:
        raise ServerError("the warm simulator cannot be started (no room): see powerml doctor")

    monkeypatch.setattr(client, "reach", unreachable)
    said: list[str] = []
    with SimulatorMeter(machine, None, MeterOptions(warm=True)) as meter:
        server: Any = meter.start(ONNX, said.append)
    assert server.name == "own"
    assert said[0] == (
        "the warm simulator cannot be started (no room): see powerml doctor; measuring without it"
    )


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    ("warm", "was_ready", "told"),
    [
        (True, True, []),
        (True, False, ["starting the simulator for onnxruntime (10 to 30 s, once)"]),
        (False, False, ["starting the simulator for onnxruntime (10 to 30 s)"]),
    ],
)
def test_a_start_is_told_where_there_is_one_and_as_the_only_one_where_it_is(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    warm: bool,
    was_ready: bool,
    told: list[str],
) -> None:
    monkeypatch.setattr(client, "reach", lambda *_: _Opened("warm", was_ready=was_ready))
    said: list[str] = []
    with SimulatorMeter(machine, None, MeterOptions(warm=warm)) as meter:
        meter.start(ONNX, said.append)
    assert said == told


@pytest.mark.usefixtures("opened")
def test_a_folder_that_others_can_open_ends_the_command(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def insecure(*_: Any) -> _Opened:
        raise SetupError("the folder /run/powerml is open to others")

    monkeypatch.setattr(client, "reach", insecure)
    with (
        SimulatorMeter(machine, None, MeterOptions(warm=True)) as meter,
        pytest.raises(SetupError, match="open to others"),
    ):
        meter.start(ONNX)


@pytest.mark.parametrize(
    ("given", "variable", "ci", "is_warm"),
    [
        (None, None, None, False),
        (None, "1", None, True),
        (None, "0", None, False),
        (None, "", None, False),
        (None, "1", "true", False),
        (True, None, "true", True),
        (True, "0", None, True),
        (False, "1", None, False),
    ],
)
def test_the_environment_decides_where_no_option_does_but_never_in_ci(
    given: bool | None,
    variable: str | None,
    ci: str | None,
    is_warm: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("POWERML_WARM", variable), ("CI", ci)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert meter_options("exact", None, 1, 60.0, warm=given).warm == is_warm


def test_a_value_that_the_variable_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POWERML_WARM", "yes")
    with pytest.raises(UsageError, match="POWERML_WARM is 'yes': set it to 1 or 0"):
        meter_options("exact", None, 1, 60.0, warm=None)


def test_a_meter_that_is_not_kept_warm_is_refused_with_the_option_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(UsageError, match="only the meter simulator is kept warm, not callgrind"):
        meter_options("exact", None, 1, 60.0, warm=True, meter="callgrind")
    monkeypatch.setenv("POWERML_WARM", "1")
    meter_options("exact", None, 1, 60.0, warm=None, meter="callgrind")


def test_counts_have_one_key_in_the_cache_warm_or_not(
    machine: Machine, make: WorkloadMaker
) -> None:
    workload = make("dffr:layers=1,width=4")
    found = [
        SimulatorMeter(machine, "torch", MeterOptions(warm=warm, fidelity="sampled")).determinants(
            workload
        )
        for warm in (False, True)
    ]
    assert found[0] == found[1]
