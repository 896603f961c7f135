"""Energy by parts: they are all of it, and being on is the rest of a busy core's watts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.cost import price
from powerml.costs.counts import EVENTS, Counts, Instructions
from powerml.costs.energy import energy_parts
from powerml.errors import MachineError
from powerml.machines import Machine, load_machine, load_machines
from tests.builders import make_machine

OLDER, NEWER = load_machine("raspberry-pi-3"), load_machine("epyc-7763")
# Of a sum of four doubles.
ROUNDING = 1e-12


def _counts(instructions: dict[str, int] | None = None, **events: int) -> Counts:
    classes = {**dict.fromkeys(Instructions.model_fields, 0), **(instructions or {})}
    found: dict[str, Any] = {**dict.fromkeys(EVENTS, 0), **events}
    return Counts(**found, instructions=Instructions(**classes))


BUSY = _counts(
    {"fma_256": 3_000_000, "integer": 1_000_000, "moves": 2_000_000},
    Ir=6_000_000,
    Dr=3_000_000,
    D1mr=100_000,
    DLmr=10_000,
)


@pytest.mark.parametrize("machine", load_machines("all"), ids=lambda machine: machine.name)
def test_the_parts_are_all_of_the_energy_on_every_machine(machine: Machine) -> None:
    cost = price(BUSY, machine, by="core")
    if machine.power is None:
        assert (cost.joules, cost.joules_parts) == (None, None)
        return
    assert cost.joules_parts is not None
    assert cost.seconds is not None
    assert cost.joules == pytest.approx(cost.joules_parts.joules, rel=ROUNDING)
    assert min(cost.joules_parts.model_dump().values()) > 0
    core = cost.joules_parts.joules - cost.joules_parts.memory
    # What a busy core takes: no table says that the work alone needs more, on any of them.
    assert core == pytest.approx(cost.seconds * machine.power.busy_core_watts.value, rel=ROUNDING)


def test_an_operation_of_a_newer_process_takes_less() -> None:
    older, newer = (energy_parts(BUSY, machine, 1.0) for machine in (OLDER, NEWER))
    assert older.instructions > newer.instructions
    assert older.caches > newer.caches


def test_published_energies_hold_at_their_own_process() -> None:
    # Jouppi 2021 at 7 nm: 8 lanes of 0.38 and 1.31 pJ, and an instruction's overhead.
    one, none = (
        energy_parts(_counts({"fma_256": number}, Ir=10**6), NEWER, 1.0).instructions
        for number in (10**6, 0)
    )
    assert one - none == pytest.approx(10**6 * 8 * (0.38 + 1.31) * 1e-12, rel=1e-6)


def test_a_line_from_memory_is_the_machines_own() -> None:
    assert NEWER.power is not None
    parts = energy_parts(BUSY, NEWER, 1.0)
    assert parts.memory == pytest.approx(10_000 * NEWER.power.memory_line_nj.value * 1e-9)


def test_work_that_needs_more_than_the_watts_leaves_nothing_for_being_on() -> None:
    parts = energy_parts(BUSY, NEWER, 0.0)
    assert parts.on == 0
    assert parts.joules > 0


def test_a_machine_without_power_is_refused() -> None:
    with pytest.raises(MachineError, match="no power"):
        energy_parts(BUSY, make_machine(), 1.0)


@given(st.integers(1, 1000))
def test_the_parts_of_one_of_many_are_shares(number: int) -> None:
    parts = energy_parts(BUSY, NEWER, 1.0)
    one = parts.over(number)
    assert one.joules * number == pytest.approx(parts.joules, rel=ROUNDING)
