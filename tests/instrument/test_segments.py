"""Segments: what follows each other is told apart, by name, by watched code, and by known code."""

from __future__ import annotations

import ctypes

from tests.instrument.reference import FIXED_COUNTERS, Access, Direction, Fetch, Front, Piece, Shape
from tests.instrument.simulation import Simulation, Status

CODE, DATA, FAR = 0x400000, 0x10000, 0x700000
FRONT = Front(Shape(1024, 2, 64), Shape(1024, 2, 64), ())
ADD = (1, *(0,) * (FIXED_COUNTERS - 1))
MANY = 100  # pieces: more than a call from unknown code


def _piece(address: int) -> Piece:
    return Piece((Fetch(address, 4, 0),), (), ADD)


def _steps(simulation: Simulation) -> dict[str, int]:
    return {scope.name: scope.counters[0] for scope in simulation.tell().scopes}


def test_a_segment_ends_where_the_next_begins(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    for name, steps in (("a", 1), ("b", 2), ("a", 4), (None, 8)):
        simulation.segment(name)
        simulation.run([_piece(CODE)] * steps)
    assert _steps(simulation) == {"": 8, "a": 5, "b": 2}
    assert (simulation.depth, simulation.status) == (0, Status.FINE)


def test_leaving_a_scope_ends_its_last_segment(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    simulation.push("around")
    simulation.segment("inside")
    simulation.push("deeper")
    simulation.run([_piece(CODE)])
    simulation.pop()
    simulation.run([_piece(CODE)] * 2)
    simulation.pop()
    simulation.run([_piece(CODE)] * 4)
    told = simulation.tell()
    assert told.scope("around", "inside", "deeper").counters[0] == 1
    assert told.scope("around", "inside").counters[0] == 2
    assert told.scope("around").counters[0] == 0
    assert told.scope().counters[0] == 4


def test_an_uncounted_segment_leaves_counters_and_caches_as_they_are(
    hierarchy: ctypes.CDLL,
) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    simulation.segment("uncounted")
    simulation.run([_piece(CODE)])
    simulation.push("inside")
    simulation.run([_piece(CODE)])
    simulation.pop()
    simulation.run([_piece(CODE)])
    simulation.segment(None)
    counters = simulation.read()
    assert not any(counters)
    simulation.run([_piece(CODE)])
    missed = simulation.read()[FIXED_COUNTERS:]
    assert sum(missed) == 1  # the code was never fetched before


def test_watched_code_begins_a_segment_each_time_in_the_middle_of_a_run(
    hierarchy: ctypes.CDLL,
) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    before, first, second = _piece(CODE), _piece(CODE + 0x100), _piece(CODE + 0x200)
    simulation.run([first])  # it is known before it is watched
    simulation.zero()
    simulation.watch([CODE + 0x100, CODE + 0x200])
    simulation.run([before, before, first, before, second, first, before, before])
    assert _steps(simulation) == {"": 2, "entry 0 0": 2, "entry 1 1": 1, "entry 0 2": 3}
    simulation.watch([])
    simulation.segment(None)
    simulation.run([first])
    assert _steps(simulation)[""] == 3


def test_accesses_stay_with_the_piece_that_did_them(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    reading = Piece((Fetch(CODE, 4, 0),), (Access(4, Direction.READ),))
    watched = Piece((Fetch(CODE + 0x100, 4, 0),), (Access(4, Direction.READ),))
    simulation.watch([CODE + 0x100])
    # The third one finds the line that the first one has fetched.
    simulation.run([reading, watched, watched], [DATA, DATA + 4096, DATA])
    misses = {
        scope.name: sum(scope.counters[FIXED_COUNTERS + 5 :]) for scope in simulation.tell().scopes
    }
    assert misses[""] > 0
    assert misses["entry 0 0"] > 0
    assert misses["entry 0 1"] == 0


def test_code_that_was_not_learnt_is_charged_apart_with_what_it_calls(
    hierarchy: ctypes.CDLL,
) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    known, called, new = _piece(CODE), _piece(FAR), _piece(CODE + 0x400)
    simulation.learn(True)
    simulation.run([known, called])
    simulation.learn(False)
    simulation.zero()
    simulation.segment("node")
    simulation.sift(CODE, CODE + 0x1000)
    simulation.run([known, called, called, new, called, known, called, new])
    simulation.run([called, *[known] * MANY])
    simulation.sift(0, 0)
    simulation.run([new])
    # A few known pieces between new ones are called by these, and so is a library elsewhere.
    assert _steps(simulation) == {"": 0, "node": 3 + MANY + 1, "unknown": 6}


def test_code_is_known_whatever_piece_it_begins(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [FRONT])
    long = Piece(tuple(Fetch(CODE + 4 * number, 4, 0) for number in range(16)), (), ADD)
    simulation.learn(True)
    simulation.run([long])
    simulation.learn(False)
    simulation.zero()
    simulation.sift(CODE, CODE + 0x1000)
    simulation.run([_piece(CODE + 32)])
    assert _steps(simulation) == {"": 1, "unknown": 0}
