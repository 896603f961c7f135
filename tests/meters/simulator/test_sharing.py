"""Meters of several geometries that share one simulation of each workload."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from powerml.costs.counts import PhaseCounts
from powerml.errors import WorkerError
from powerml.machines import Machine, load_machines
from powerml.meters.base import MeterOptions
from powerml.meters.catalogue import open_meters
from powerml.meters.simulator.guest_meter import PhasesByGeometry
from powerml.meters.simulator.meter import GeometryMeter, SimulatorMeter
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material
from tests.builders import everywhere, make_counts, make_workload_record
from tests.meters.simulator.processes import wait_for

WORKLOAD, OTHER = make_workload_record(), make_workload_record(batch_size=7)
DEADLINE_SECONDS = 300.0


class CountedSimulations(SimulatorMeter):
    """Counts each geometry by its place and by the simulations so far, without simulating."""

    def __init__(self, machines: tuple[Machine, ...]) -> None:
        super().__init__(machines, None)
        self.simulated: list[AnyWorkload] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: BaseException | None = None

    def measure_geometries(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> PhasesByGeometry:
        self.simulated.append(workload)
        run = len(self.simulated)
        assert self.may_go_on.wait(DEADLINE_SECONDS)
        if self.error is not None:
            raise self.error
        return {
            geometry: [_phase(1000 * run + place)] for place, geometry in enumerate(self._groups)
        }


def _phase(instructions: int) -> PhaseCounts:
    counts = make_counts(Ir=instructions)
    return PhaseCounts(name="training", counts=counts, steps_simulated=1, steps_total=1)


@pytest.fixture
def shared() -> CountedSimulations:
    machines = load_machines("xeon-x5650,epyc-7601,core-i7-4770")
    return CountedSimulations(tuple(machines))


def _meters(shared: CountedSimulations) -> list[GeometryMeter]:
    meters = list(shared.by_geometry().values())
    assert len(meters) == 3
    return meters


def _instructions(meter: GeometryMeter, workload: AnyWorkload = WORKLOAD) -> int:
    [phase] = meter.measure(workload, None)
    return phase.counts.Ir


def test_several_geometries_share_one_run(shared: CountedSimulations) -> None:
    assert [_instructions(meter) for meter in _meters(shared)] == [1000, 1001, 1002]
    assert shared.simulated == [WORKLOAD]


def test_a_second_measurement_simulates_again(shared: CountedSimulations) -> None:
    first, second, _ = _meters(shared)
    # Before all have taken theirs, and after.
    assert [_instructions(first), _instructions(first)] == [1000, 2000]
    assert _instructions(second) == 2001
    assert [_instructions(meter) for meter in _meters(shared)] == [3000, 3001, 3002]
    assert len(shared.simulated) == 3


def test_each_workload_has_a_run_of_its_own(shared: CountedSimulations) -> None:
    for workload in (WORKLOAD, OTHER):
        for meter in _meters(shared):
            _instructions(meter, workload)
    assert shared.simulated == [WORKLOAD, OTHER]


def test_those_that_ask_at_once_wait_for_one_run(shared: CountedSimulations) -> None:
    shared.may_go_on.clear()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(_instructions, meter) for meter in _meters(shared)]
        shared.may_go_on.set()
        assert [one.result(DEADLINE_SECONDS) for one in asked] == [1000, 1001, 1002]
    assert shared.simulated == [WORKLOAD]


@pytest.mark.parametrize("error", [WorkerError("it crashed"), KeyboardInterrupt()])
def test_a_failure_reaches_all_and_is_forgotten(
    shared: CountedSimulations, error: BaseException
) -> None:
    first, second, third = _meters(shared)
    shared.may_go_on.clear()
    shared.error = error
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(_instructions, meter) for meter in (first, second)]
        wait_for(lambda: [run for run in shared._shared.values() if len(run.taken) == 2])
        shared.may_go_on.set()
        for one in asked:
            assert one.exception(DEADLINE_SECONDS) is error
    assert len(shared.simulated) == 1
    shared.error = None
    assert _instructions(third) == 2002


def test_a_meter_of_one_geometry_measures_its_first_machine(shared: CountedSimulations) -> None:
    [phase] = shared.measure(WORKLOAD, None)
    assert phase.counts.Ir == 1000


def test_the_default_meter_serves_all_machines_and_levels_with_one_simulator() -> None:
    machines = everywhere(load_machines("all"))
    groups = machines.geometries(3)
    with open_meters("simulator", machines, 3, None, MeterOptions(), cache=False) as meters:
        assert list(meters) == list(groups)
        shared = [one for one in meters.values() if isinstance(one, GeometryMeter)]
        assert [one.machines for one in shared] == list(groups.values())
        assert len({one._meter for one in shared}) == 1
