"""Memory that is refused: never a crash, and never counts that say nothing of it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from tests.instrument.reference import Access, Direction, Fetch, Front, Lower, Piece, Shape
from tests.instrument.simulation import NoMemoryError, Simulation, Status

CODE, DATA = 0x400000, 0x10000
SMALL = Front(Shape(1024, 2, 64), Shape(1024, 2, 64), (Lower(Shape(8192, 4, 64)),))
PIECES = [
    Piece((Fetch(CODE + 64 * number, 4, 0),), (Access(4, Direction.READ),), (1,) * 17)
    for number in range(3)
]


def _use(library: ctypes.CDLL, is_refused: Callable[[int], bool]) -> tuple[Simulation, list[int]]:
    """Do a little of everything; return the counters too."""
    simulation = Simulation(library, [SMALL], is_refused)
    simulation.attribute(lambda address: (f"at {address}", "library"))
    for name in ("a", "b", "a"):
        simulation.push(name)
        simulation.run(PIECES, [DATA, DATA + 64, DATA + 128])
        simulation.pop()
    simulation.tell()
    return simulation, simulation.read()


def _ways_to_refuse(calls: int) -> list[Callable[[int], bool]]:
    once = [lambda call, refused=number: call == refused for number in range(calls)]
    from_then_on = [lambda call, refused=number: call >= refused for number in range(calls)]
    return [*once, *from_then_on]


def test_memory_that_is_refused_at_any_call_is_told(hierarchy: ctypes.CDLL) -> None:
    whole, counters = _use(hierarchy, lambda call: False)
    assert whole.status == Status.FINE
    assert whole.allocations > 20
    refused = 0
    for is_refused in _ways_to_refuse(whole.allocations):
        try:
            simulation, read = _use(hierarchy, is_refused)
        except NoMemoryError:
            refused += 1
            continue
        assert simulation.status & Status.NO_MEMORY
        assert all(one <= other for one, other in zip(read, counters, strict=True))
        simulation.zero()
        assert simulation.status & Status.NO_MEMORY, "what was lost is not found again"
    assert 0 < refused < 2 * whole.allocations


@pytest.mark.parametrize("call", range(3))
def test_a_piece_for_which_there_was_no_memory_can_be_described_again(
    hierarchy: ctypes.CDLL, call: int
) -> None:
    refused: set[int] = set()
    simulation = Simulation(hierarchy, [SMALL], lambda number: number in refused)
    refused.add(simulation.allocations + call)
    assert simulation.piece(PIECES[0]) is None
    simulation.run([PIECES[0]], [DATA])
    assert simulation.read()[0] == 1
    assert simulation.status == Status.NO_MEMORY
