"""The real simulator: what it counts, and how it takes what goes wrong."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powerml.costs.cost import price
from powerml.costs.counts import EVENTS, PhaseCounts
from powerml.costs.fingerprint import differences
from powerml.errors import WorkerError
from powerml.machines import Machine
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.spaces import Topology
from powerml.workloads.datasets import Dataset
from powerml.workloads.workload import TopologyWorkload
from tests.doubles import WorkloadMaker
from tests.meters.simulator.processes import children, is_running, wait_for

# All on one warm process: on one worker.
pytestmark = [pytest.mark.simulator, pytest.mark.xdist_group("warm")]

TOPOLOGY = "dffr:layers=1,width=3"
# Long enough that a test can reach into it before it ends.
LONG_EPOCHS = 1000

Measure = Callable[[TopologyWorkload], list[PhaseCounts]]


@pytest.fixture(scope="module")
def measured(simulator: SimulatorMeter, mnist_small: Dataset) -> Measure:
    """Measure a workload once, to compare with: that counts repeat is a test of its own."""
    kept: dict[str, list[PhaseCounts]] = {}

    def measure(workload: TopologyWorkload) -> list[PhaseCounts]:
        if (key := workload.model_dump_json()) not in kept:
            kept[key] = simulator.measure(workload, mnist_small)
        return kept[key]

    return measure


def test_counts_repeat_to_the_last_digit(
    simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    first, second = (simulator.measure(make(TOPOLOGY), mnist_small) for _ in range(2))
    assert first == second
    assert [phase.name for phase in first] == ["training", "inference"]
    assert all(getattr(first[0].counts, event) > 0 for event in EVENTS)


def test_another_measurement_in_between_changes_nothing(
    simulator: SimulatorMeter, measured: Measure, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    before = measured(make(TOPOLOGY))
    simulator.measure(make("cnn:layers=1,filters=1,kernel=2"), mnist_small)
    assert simulator.measure(make(TOPOLOGY), mnist_small) == before


def test_more_work_costs_more(measured: Measure, make: WorkloadMaker) -> None:
    small = measured(make(TOPOLOGY))
    deep = measured(make("dffr:layers=6,width=3"))
    fine = measured(make(TOPOLOGY, batch_size=25))
    for phase in range(2):
        assert deep[phase].counts.data_accesses > small[phase].counts.data_accesses
        assert fine[phase].counts.data_accesses > small[phase].counts.data_accesses
    assert (small[0].steps_total, fine[0].steps_total) == (2, 4)


def test_a_batch_larger_than_the_data_is_one_batch_of_all_the_data(
    measured: Measure, make: WorkloadMaker
) -> None:
    exact, larger = (measured(make(TOPOLOGY, batch_size=size)) for size in (100, 128))
    assert exact == larger
    assert [phase.steps_total for phase in larger] == [1, 1]


def test_samples_are_cold_when_the_region_starts(
    measured: Measure, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    _, inference = measured(make(TOPOLOGY, batch_size=100))
    lines = mnist_small.inputs(mnist_small.test, scaled=True).nbytes // 64
    # Python reads the head of the file through a buffer of 8 KiB, whose lines have been seen.
    seen_lines = 8192 // 64
    assert inference.counts.DLmr >= lines - seen_lines


def test_the_fingerprint_tells_what_was_simulated(
    simulator: SimulatorMeter, measured: Measure, make: WorkloadMaker, machine: Machine
) -> None:
    measured(make(TOPOLOGY))
    fingerprint = simulator.fingerprint()
    assert fingerprint.geometry == machine.geometry
    assert fingerprint.simulated_geometry == machine.simulated_geometry
    assert {"valgrind", "python", "numpy", "keras", "torch", "powerml"} <= set(fingerprint.software)
    assert not any(feature.startswith("AVX512") for feature in fingerprint.cpu_features)
    assert differences(fingerprint, simulator.fingerprint()) == []


def test_a_network_that_cannot_be_built_fails_with_its_reason_and_the_server_survives(
    simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    beyond = Topology("dffr", {"layers": 99, "width": 3})
    broken = make(TOPOLOGY).model_copy(update={"topology": beyond})
    with pytest.raises(WorkerError, match="layers=99 is out of bounds"):
        simulator.measure(broken, mnist_small)
    _assert_it_still_measures(simulator, make(TOPOLOGY), mnist_small)


def test_one_that_takes_too_long_is_stopped_and_the_server_survives(
    machine: Machine, simulator: SimulatorMeter, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    server = _server_pid(simulator)
    options = simulator._options
    simulator._options = replace(options, limit_seconds=1.0)
    try:
        with pytest.raises(WorkerError, match="took longer than 1 s and was stopped"):
            simulator.measure(make(TOPOLOGY, epochs=LONG_EPOCHS), mnist_small)
    finally:
        simulator._options = options
    wait_for(lambda: not children(server))
    _assert_it_still_measures(simulator, make(TOPOLOGY), mnist_small)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGSEGV, r"crashed \(SIGSEGV\)"),
        (signal.SIGKILL, "was killed, perhaps for lack of memory"),
    ],
)
def test_a_crash_fails_its_measurement_alone(
    simulator: SimulatorMeter,
    make: WorkloadMaker,
    mnist_small: Dataset,
    number: signal.Signals,
    message: str,
) -> None:
    server = _server_pid(simulator)
    killer = threading.Thread(target=lambda: os.kill(_measured_child(server), number))
    killer.start()
    with pytest.raises(WorkerError, match=message):
        simulator.measure(make(TOPOLOGY, epochs=LONG_EPOCHS), mnist_small)
    killer.join()
    wait_for(lambda: not children(server))
    _assert_it_still_measures(simulator, make(TOPOLOGY), mnist_small)


def test_a_server_that_dies_is_started_again_and_the_measurement_repeated(
    simulator: SimulatorMeter, measured: Measure, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    before = measured(make(TOPOLOGY))
    server = _server_pid(simulator)
    child: list[int] = []

    def kill_the_server() -> None:
        child.append(_measured_child(server))
        os.kill(server, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_server)
    killer.start()
    stages: list[str] = []
    after = simulator.measure(make(TOPOLOGY), mnist_small, stages.append)
    killer.join()
    assert any("starting it again" in stage for stage in stages)
    wait_for(lambda: not is_running(child[0]))
    # Two starts on one machine: equal to the last digit, as within one.
    assert after == before


def test_temporary_files_are_in_one_folder_and_gone_afterwards(
    machine: Machine, mnist_small: Dataset, make: WorkloadMaker
) -> None:
    with SimulatorMeter(machine, "torch") as meter:
        meter.start()
        folder = meter.folder
        assert (folder.stat().st_mode & 0o777) == 0o700
        assert meter.server is not None
        pid = meter.server.pid
        assert is_running(pid)
    assert not folder.exists()
    assert not is_running(pid)


def _server_pid(meter: SimulatorMeter) -> int:
    meter.start()
    assert meter.server is not None
    meter.server.ready.result()
    server = meter.server.pid
    # A process reports before the kernel has taken it down: what is seen next is to be the next.
    wait_for(lambda: not children(server))
    return server


def _measured_child(server: int) -> int:
    """The child in which the first of the phases runs: a grandchild of the server."""
    return wait_for(lambda: [pid for keeper in children(server) for pid in children(keeper)])[0]


def _assert_it_still_measures(
    meter: SimulatorMeter, workload: TopologyWorkload, dataset: Dataset
) -> None:
    assert meter.measure(workload, dataset)[0].counts.Ir > 0


def test_data_of_any_shape_can_be_measured(simulator: SimulatorMeter, tmp_path: Path) -> None:
    from powerml.spaces import parse_topology
    from powerml.workloads.datasets import load_dataset
    from powerml.workloads.workload import make_workload

    rng = np.random.default_rng(0)
    path = tmp_path / "vectors.npz"
    arrays = {
        f"{kind}_{part}": values
        for part in ("train", "test")
        for kind, values in (
            ("x", rng.normal(size=(30, 12)).astype(np.float32)),
            ("y", np.arange(30) % 5),
        )
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    dataset = load_dataset(str(path))
    workload = make_workload(
        parse_topology(TOPOLOGY),
        dataset,
        batch_size=16,
        epochs=1,
        protocol="default",
        backend="torch",
        validation=0.1,
        seed=0,
    )
    training, _ = simulator.measure(workload, dataset)
    assert training.counts.Ir > 0


def test_a_regression_is_trained_and_evaluated(simulator: SimulatorMeter) -> None:
    from powerml.spaces import parse_topology
    from powerml.workloads.splits import check_splits
    from powerml.workloads.workload import make_workload

    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.normal(size=(60, 12)), "y_train": rng.normal(size=(60, 2))}
    dataset = check_splits(arrays, "numbers", task="regression")
    workload = make_workload(
        parse_topology(TOPOLOGY),
        dataset,
        batch_size=16,
        epochs=1,
        protocol="default",
        backend="torch",
        validation=0.1,
        seed=0,
    )
    training, inference = simulator.measure(workload, dataset)
    assert training.counts.Ir > inference.counts.Ir > 0


class Sampling:
    """The session's meter, sampling while it measures; what it has measured once it keeps."""

    def __init__(self, meter: SimulatorMeter, dataset: Dataset) -> None:
        self._meter = meter
        self._dataset = dataset
        self._kept: dict[str, list[PhaseCounts]] = {}

    def measured(self, workload: TopologyWorkload) -> list[PhaseCounts]:
        if (key := workload.model_dump_json()) not in self._kept:
            self._kept[key] = self.measure(workload)
        return self._kept[key]

    def measure(self, workload: TopologyWorkload) -> list[PhaseCounts]:
        options = self._meter._options
        self._meter._options = replace(options, fidelity="sampled")
        try:
            return self._meter.measure(workload, self._dataset)
        finally:
            self._meter._options = options


@pytest.fixture(scope="module")
def sampling(simulator: SimulatorMeter, mnist_small: Dataset) -> Sampling:
    return Sampling(simulator, mnist_small)


@pytest.mark.parametrize("topology", [TOPOLOGY, "cnn:layers=1,filters=1,kernel=2"])
def test_a_sample_is_within_its_bound(
    machine: Machine, measured: Measure, sampling: Sampling, make: WorkloadMaker, topology: str
) -> None:
    workload = make(topology, batch_size=9, epochs=2)
    exact, sampled = measured(workload), sampling.measured(workload)
    for mine, theirs in zip(sampled, exact, strict=True):
        assert mine.fidelity == "sampled"
        assert mine.steps_simulated < mine.steps_total == theirs.steps_total
        assert 0 < mine.error_bound <= 0.01
        costs = [
            price(phase.counts, machine, "data", by="paper").cycles for phase in (mine, theirs)
        ]
        assert costs[0] == pytest.approx(costs[1], rel=mine.error_bound)
        assert list(mine.parts) == list(theirs.parts)


def test_parts_sum_up_to_the_counts(
    measured: Measure, sampling: Sampling, make: WorkloadMaker
) -> None:
    workload = make(TOPOLOGY, batch_size=9, epochs=2)
    for phases in (measured(workload), sampling.measured(workload)):
        for phase in phases:
            for event in EVENTS:
                parts = sum(getattr(part, event) for part in phase.parts.values())
                assert parts == getattr(phase.counts, event)


def test_samples_repeat_to_the_last_digit(sampling: Sampling, make: WorkloadMaker) -> None:
    workload = make(TOPOLOGY, batch_size=9, epochs=2)
    assert sampling.measured(workload) == sampling.measure(workload)


def test_what_is_too_short_to_sample_is_exact_and_says_so(
    measured: Measure, sampling: Sampling, make: WorkloadMaker
) -> None:
    workload = make(TOPOLOGY, batch_size=100)
    sampled = sampling.measured(workload)
    assert sampled == measured(workload)
    assert {phase.fidelity for phase in sampled} == {"exact"}


def test_counts_do_not_depend_on_what_else_is_counted(
    simulator: SimulatorMeter, measured: Measure, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    workloads = [make(TOPOLOGY), make("dffr:layers=2,width=2"), make(TOPOLOGY, batch_size=20)]
    alone = [measured(workload) for workload in workloads]
    with ThreadPoolExecutor(len(workloads)) as pool:
        together = list(pool.map(lambda one: simulator.measure(one, mnist_small), workloads))
    assert together == alone


def test_counts_do_not_depend_on_how_many_requests_there_were(
    simulator: SimulatorMeter, measured: Measure, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    # A measurement is two requests. One more in between, and the parent has the last request
    # elsewhere than before, if it still holds it: 35 instructions of 70 million here.
    workload = make("dffr:layers=2,width=2")
    before = measured(workload)
    assert simulator.server is not None
    request = simulator.staging.training(workload, mnist_small, "inference")
    simulator.server.submit(request, limit_seconds=60.0).result()
    assert simulator.measure(workload, mnist_small) == before


def test_counts_do_not_depend_on_the_seed(
    simulator: SimulatorMeter, measured: Measure, make: WorkloadMaker, mnist_small: Dataset
) -> None:
    workload = make(TOPOLOGY)
    other = workload.model_copy(update={"seed": 7})
    assert simulator.measure(other, mnist_small) == measured(workload)
