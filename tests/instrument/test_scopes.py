"""Counters, scopes and functions: each event is charged once, to where it happened."""

from __future__ import annotations

import ctypes
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.instrument.reference import (
    FIXED_COUNTERS,
    READS,
    Access,
    Direction,
    Fetch,
    Front,
    Lower,
    Piece,
    Reference,
    Shape,
)
from tests.instrument.simulation import Simulation, Status
from tests.instrument.streams import addresses_of, fronts, random_piece

CODE, DATA = 0x400000, 0x10000
SMALL = Front(Shape(1024, 2, 64), Shape(1024, 2, 64), (Lower(Shape(8192, 4, 64)),))
MOST_DEPTH = 256
ADD = (1, *(0,) * (FIXED_COUNTERS - 1))
STEP = Piece((Fetch(CODE, 4, 0),), (), ADD)


def _added(counters: list[list[int]]) -> list[int]:
    return [sum(row) for row in zip(*counters, strict=True)]


@settings(max_examples=40)
@given(
    fronts,
    st.lists(st.sampled_from(["run", "run", "push", "pop", "zero"]), max_size=60),
    st.randoms(use_true_random=True),
)
def test_each_event_is_charged_to_the_innermost_scope_and_its_function(
    hierarchy: ctypes.CDLL, hierarchies: list[Front], actions: list[str], random: Random
) -> None:
    simulation, reference = Simulation(hierarchy, hierarchies), Reference(hierarchies)
    zero = [0] * len(reference.counters)
    scopes: dict[tuple[str, ...], list[int]] = {(): zero}
    entries: dict[tuple[str, ...], int] = {(): 0}
    functions: dict[tuple[tuple[str, ...], str], list[int]] = {}
    path: tuple[str, ...] = ()
    pieces = [random_piece(random) for _ in range(5)]
    simulation.attribute(lambda address: (f"at {address}", "library"))
    for action in actions:
        if action == "push":
            path = (*path, random.choice("ab"))
            scopes.setdefault(path, zero)
            entries[path] = entries.get(path, 0) + 1
            simulation.push(path[-1])
        elif action == "pop" and path:
            path = path[:-1]
            simulation.pop()
        elif action == "zero":
            simulation.zero()
            reference.counters = list(zero)
            scopes = dict.fromkeys(scopes, zero)
            entries = dict.fromkeys(entries, 0)
            functions = {}
        else:
            piece = random.choice(pieces)
            before = list(reference.counters)
            addresses = addresses_of(random, piece)
            simulation.run([piece], addresses)
            reference.run([piece], addresses)
            rise = [new - old for new, old in zip(reference.counters, before, strict=True)]
            scopes[path] = _added([scopes[path], rise])
            key = path, f"at {piece.fetches[0].address}"
            functions[key] = _added([functions.get(key, zero), rise])
    told = simulation.tell()
    assert len(told.scopes) == len(scopes)
    numbers = {}
    for scope_path, counters in scopes.items():
        scope = told.scope(*scope_path)
        numbers[scope.number] = scope_path
        assert (scope.counters, scope.entries) == (counters, entries[scope_path])
    assert {
        (numbers[number], function): counters
        for (number, function, _), counters in told.functions.items()
    } == {key: counters for key, counters in functions.items() if any(counters)}
    assert simulation.read() == reference.counters
    assert simulation.depth == len(path)
    assert simulation.status == Status.FINE


def test_reading_changes_nothing(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.push("a")
    simulation.run([STEP])
    assert simulation.read() == simulation.read()
    assert simulation.tell() == simulation.tell()
    assert simulation.depth == 1


def test_setting_to_zero_keeps_what_the_caches_hold(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    read = Piece((Fetch(CODE, 4, 0),), (Access(4, Direction.READ),))
    simulation.run([read], [DATA])
    simulation.zero()
    assert set(simulation.read()) == {0}
    simulation.run([read], [DATA])
    assert not any(simulation.read()[FIXED_COUNTERS:])


def test_setting_to_zero_keeps_open_scopes_and_forgets_what_went_wrong(
    hierarchy: ctypes.CDLL,
) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.pop()
    simulation.push("a")
    simulation.run([STEP])
    simulation.zero()
    assert (simulation.status, simulation.depth) == (Status.FINE, 1)
    simulation.run([STEP])
    told = simulation.tell()
    assert told.scope("a").counters[0] == 1
    assert not any(told.scope().counters)


def test_one_name_in_two_scopes_is_two_scopes(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    for outer, steps in (("a", 1), ("b", 2), ("a", 4)):
        simulation.push(outer)
        simulation.push("inner")
        simulation.run([STEP] * steps)
        simulation.pop()
        simulation.pop()
    told = simulation.tell()
    assert told.scope("a", "inner").counters[0] == 5
    assert told.scope("b", "inner").counters[0] == 2
    assert [told.scope(*path).entries for path in (("a",), ("b",), ("a", "inner"))] == [2, 1, 2]


def test_a_scope_inside_one_of_its_own_name_is_another(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.push("a")
    simulation.run([STEP])
    simulation.push("a")
    simulation.run([STEP] * 3)
    told = simulation.tell()
    assert [told.scope(*path).counters[0] for path in (("a",), ("a", "a"))] == [1, 3]


def test_a_scope_that_is_popped_twice_is_told_and_changes_nothing(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.push("a")
    simulation.pop()
    assert simulation.status == Status.FINE
    simulation.pop()
    assert (simulation.status, simulation.depth) == (Status.POPPED_TWICE, 0)
    simulation.run([STEP])
    assert simulation.tell().scope().counters[0] == 1


def test_scopes_that_are_too_deep_are_told(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    for depth in range(MOST_DEPTH):
        simulation.push(f"{depth}")
    assert (simulation.status, simulation.depth) == (Status.FINE, MOST_DEPTH)
    simulation.push("one more")
    assert (simulation.status, simulation.depth) == (Status.TOO_DEEP, MOST_DEPTH)
    simulation.run([STEP])
    told = simulation.tell()
    assert told.scope(*(f"{depth}" for depth in range(MOST_DEPTH))).counters[0] == 1


def test_what_goes_wrong_elsewhere_is_added_to_the_status(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.fail(Status.FORKED_IN_SCOPE)
    simulation.fail(Status.THREAD_IN_SCOPE)
    assert simulation.status == Status.FORKED_IN_SCOPE | Status.THREAD_IN_SCOPE


@pytest.mark.parametrize(
    ("name", "told"),
    [("tab\tand\nline", "tab and line"), ("", ""), ("n" * 300, "n" * 255), ("größe", "größe")],
    ids=["separators", "empty", "long", "not ASCII"],
)
def test_names_are_told_on_one_line_and_cut_to_fit(
    hierarchy: ctypes.CDLL, name: str, told: str
) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    for _ in range(2):
        simulation.push(name)
        simulation.pop()
    assert simulation.tell().scope(told).entries == 2


def test_functions_of_one_name_in_two_libraries_are_two(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    pieces = [Piece((Fetch(CODE + 64 * number, 4, 0),), (), ADD) for number in range(4)]
    simulation.attribute(lambda address: ("f", "odd" if address & 64 else "even"))
    simulation.run([pieces[number] for number in (0, 1, 2, 3, 3)])
    functions = simulation.tell().functions
    assert {key: counters[0] for key, counters in functions.items()} == {
        (0, "f", "even"): 2,
        (0, "f", "odd"): 3,
    }


def test_a_function_whose_name_has_separators_is_one(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    pieces = [Piece((Fetch(CODE + 64 * number, 4, 0),), (), ADD) for number in range(2)]
    simulation.attribute(lambda address: ("f\tg", "a\nlibrary"))
    simulation.run(pieces)
    assert list(simulation.tell().functions) == [(0, "f g", "a library")]


def test_what_ran_before_functions_were_asked_for_is_charged_to_none(
    hierarchy: ctypes.CDLL,
) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.run([STEP])
    simulation.attribute(lambda address: ("f", "library"))
    assert simulation.tell().functions == {}
    simulation.run([STEP])
    told = simulation.tell()
    assert told.functions[0, "f", "library"][0] == 1
    assert told.scope().counters[0] == 2


def test_telling_writes_no_more_than_there_is_room_for(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    simulation.push("a")
    simulation.run([STEP])
    needed, whole = simulation.tell_into(1000)
    for room in (0, 1, 20, needed - 1, needed):
        again, text = simulation.tell_into(room)
        assert again == needed
        assert text[:room] == whole[:room]
        assert set(text[room:]) == {ord("*")}


def test_accesses_are_counted_where_they_were_done(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [SMALL])
    load = Piece((Fetch(CODE, 4, 0),), (Access(4, Direction.READ, is_conditional=True),))
    for name, address in (("done", DATA), ("not done", 0)):
        simulation.push(name)
        simulation.run([load], [address])
        simulation.pop()
    told = simulation.tell()
    assert [told.scope(name).counters[READS] for name in ("done", "not done")] == [1, 0]
