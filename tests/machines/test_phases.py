"""Machines of each phase: boards run, and machines of the host's kind train."""

from __future__ import annotations

import pytest

from powerml.errors import MachineError, UsageError
from powerml.machines import PhaseMachines, load_machine, load_machines, runs_natively

USUAL = load_machine("epyc-7763")


@pytest.fixture(autouse=True)
def x86_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def _names(machines: tuple[object, ...]) -> list[str]:
    return [str(getattr(machine, "name", machine)) for machine in machines]


@pytest.mark.parametrize(
    ("host", "machine", "natively"),
    [
        ("x86_64", "epyc-7763", True),
        ("x86_64", "raspberry-pi-4", False),
        ("aarch64", "epyc-7763", True),
        ("aarch64", "raspberry-pi-4", True),
        ("aarch64", "raspberry-pi-5", False),
        ("aarch64", "graviton2", False),
        ("riscv64", "raspberry-pi-4", False),
    ],
)
def test_valgrind_runs_the_code_of_arm_boards_on_arm_hosts_without_newer_extensions(
    host: str, machine: str, natively: bool
) -> None:
    geometry = load_machine(machine).simulated_geometry
    assert runs_natively(host, geometry.processor) is natively


@pytest.mark.parametrize(
    ("machines", "training"),
    [
        ("xeon-x5650,epyc-7601", ["xeon-x5650", "epyc-7601"]),
        ("raspberry-pi-4,xeon-x5650", ["xeon-x5650"]),
        ("raspberry-pi-4,raspberry-pi-5", ["epyc-7763"]),
    ],
)
def test_by_default_the_machines_that_are_no_boards_train(
    machines: str, training: list[str]
) -> None:
    found = PhaseMachines.assigned(load_machines(machines), None, USUAL)
    assert _names(found.inference) == machines.split(",")
    assert _names(found.training) == training


def test_a_board_trains_on_a_host_that_runs_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    found = PhaseMachines.assigned(load_machines("raspberry-pi-4"), None, USUAL)
    assert _names(found.training) == ["raspberry-pi-4"]


def test_a_board_is_no_machine_of_the_training() -> None:
    board = load_machine("raspberry-pi-4")
    with pytest.raises(UsageError, match="raspberry-pi-4 is a board, and Keras does not run on"):
        PhaseMachines.assigned([USUAL], [board], USUAL)


def test_each_phase_is_counted_on_the_caches_of_its_machines() -> None:
    board, *others = load_machines("raspberry-pi-4,xeon-x5650")
    machines = PhaseMachines((board,), tuple(others))
    both = (board.simulated_geometry, others[0].simulated_geometry)
    assert tuple(machines.geometries(2)) == both
    assert [tuple(machines.geometries_of(phase, 2)) for phase in ("load", "inference")] == [
        both[:1],
        both[:1],
    ]
    assert [tuple(machines.geometries_of(phase, 2)) for phase in ("training", "compile")] == [
        both[1:],
        both[1:],
    ]
    assert _names(machines.all) == ["raspberry-pi-4", "xeon-x5650"]


def test_a_board_has_other_geometries_than_a_machine_with_its_caches() -> None:
    board = load_machine("raspberry-pi-4")
    alike = board.model_copy(update={"name": "alike", "processor": None})
    assert len(PhaseMachines((board, alike)).geometries(2)) == 2


def test_two_profiles_of_one_name_are_refused() -> None:
    other = USUAL.model_copy(update={"title": "another"})
    with pytest.raises(MachineError, match="two profiles are called epyc-7763"):
        PhaseMachines((USUAL,), (other,))
