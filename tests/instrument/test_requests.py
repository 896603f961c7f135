"""Requests of a program to the tool, and the clocks that it is shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.instrument.guests import Guests
from tests.instrument.reference import CLASSES, FIXED_COUNTERS, MISS_COUNTERS
from tests.instrument.simulation import Status, Told

pytestmark = pytest.mark.simulator

COUNTERS = FIXED_COUNTERS + MISS_COUNTERS * 3  # of two first levels and a last
START_SECONDS = 1_544_400_000  # of the clocks that have a date, by decision 0022
NANOSECONDS = 1_000_000_000
TICK_NANOSECONDS = 1_000
OWN_CLOCK = "--own-clock=yes"
# The clocks in the order of the program's looks.
CLOCKS = ("monotonic", "real", "of_day", "seconds", "stamp", "stamp_and_core")
DATED = ("real", "of_day", "seconds")


@pytest.fixture(scope="module")
def requests(guests: Guests) -> Path:
    return guests.compile(Path("requests.c"), "-pthread")


@pytest.fixture(scope="module")
def clock(guests: Guests) -> Path:
    return guests.compile(Path("clock.c"))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split()]


def _since_start(name: str, told: int) -> int:
    return told - START_SECONDS * NANOSECONDS if name in DATED else told


def test_outside_the_tool_every_request_answers_zero(requests: Path) -> None:
    ended = subprocess.run([requests, "interface"], capture_output=True, check=True)
    assert _numbers(ended.stdout.decode()) == [0, 0]


def test_the_interface_and_the_number_of_counters_are_told(guests: Guests, requests: Path) -> None:
    assert _numbers(guests.ask(requests, "interface")) == [2, COUNTERS]


def test_scopes_and_functions_are_told_to_the_program(guests: Guests, requests: Path) -> None:
    told = Told.parse(guests.ask(requests, "scopes").rstrip("\n"))
    outer, inner = told.scope("outer"), told.scope("outer", "inner")
    assert (outer.entries, inner.entries) == (2, 2)
    library = str(requests)
    work = {
        scope.name: sum(told.functions[scope.number, "work", library][:CLASSES])
        for scope in (outer, inner)
    }
    # The same code, 10 rounds and 100.
    a_round = (work["inner"] - work["outer"]) / (2 * 90)
    assert a_round == round(a_round)
    assert 3 <= a_round <= 8
    for scope in (outer, inner):
        rows = [row for (number, *_), row in told.functions.items() if number == scope.number]
        assert [sum(column) for column in zip(*rows, strict=True)] == scope.counters


def test_setting_to_zero_begins_the_count_again(guests: Guests, requests: Path) -> None:
    before, after, again = _numbers(guests.ask(requests, "zero"))
    assert before > 10 * again > 20 * after > 0


def test_a_scope_that_is_popped_twice_is_told(guests: Guests, requests: Path) -> None:
    expected = [Status.FINE, Status.POPPED_TWICE, Status.FINE]
    assert _numbers(guests.ask(requests, "popped_twice")) == expected


def test_counters_are_written_only_where_there_is_room(guests: Guests, requests: Path) -> None:
    small, is_untouched, nowhere, read_only, enough, is_whole = _numbers(
        guests.ask(requests, "no_space")
    )
    assert [small, nowhere, read_only] == [Status.NO_SPACE] * 3
    assert (is_untouched, enough, is_whole) == (True, Status.FINE, True)


def test_no_more_is_told_than_there_is_room_for(guests: Guests, requests: Path) -> None:
    assert guests.ask(requests, "told_without_room").split() == ["1", "sco4567", "1"]


def test_a_fork_inside_a_scope_is_told_to_the_child(guests: Guests, requests: Path) -> None:
    child, grandchild, parent = _numbers(guests.ask(requests, "forked"))
    assert child == Status.FORKED_IN_SCOPE
    assert grandchild == Status.FINE, "its parent had left the scope"
    assert parent == Status.FINE


def test_a_thread_that_starts_inside_a_scope_is_told(guests: Guests, requests: Path) -> None:
    outside, inside = _numbers(guests.ask(requests, "threads"))
    assert (outside, inside) == (Status.FINE, Status.THREAD_IN_SCOPE)


def test_nothing_is_counted_between_stop_and_start(guests: Guests, requests: Path) -> None:
    at_stop, after_work, at_end = _numbers(guests.ask(requests, "stopped"))
    assert at_stop == after_work
    assert 3000 < at_end - after_work < 10_000


def test_nothing_is_counted_until_it_is_asked_for(guests: Guests, requests: Path) -> None:
    at_stop, after_work, at_end = _numbers(guests.ask(requests, "stopped", "--count-at-start=no"))
    assert at_stop == after_work == 0
    assert 3000 < at_end < 10_000


def test_counting_starts_with_empty_caches(guests: Guests, requests: Path) -> None:
    assert _numbers(guests.ask(requests, "cold")) == [True] * 3


def test_own_clocks_go_on_by_a_microsecond_a_look(guests: Guests, clock: Path) -> None:
    told = dict(zip(CLOCKS, _numbers(guests.ask(clock, "looks", OWN_CLOCK)), strict=True))
    passed = {name: _since_start(name, time) for name, time in told.items()}
    first = passed["monotonic"]
    assert passed.pop("seconds") == 0
    assert 0 < first < NANOSECONDS
    assert passed == {
        name: first + TICK_NANOSECONDS * look
        for look, name in enumerate(CLOCKS)
        if name != "seconds"
    }


def test_own_clocks_repeat_from_run_to_run(guests: Guests, clock: Path) -> None:
    first, second = (guests.ask(clock, "looks", OWN_CLOCK) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("options", [(), (OWN_CLOCK,)], ids=["host's", "own"])
def test_clocks_that_count_cost_tell_the_sum_of_weight_times_counter(
    guests: Guests, clock: Path, options: tuple[str, ...]
) -> None:
    before_request, *rows, after_request = guests.ask(clock, "cost", *options).splitlines()
    for name, row in zip(CLOCKS, rows, strict=True):
        before, told, after = _numbers(row)
        passed = _since_start(name, told)
        resolution = {"seconds": NANOSECONDS, "of_day": 1000}.get(name, 1)
        assert before - resolution < passed < after, name
        assert after - before < 3 * 2000 * 1_000_000, "a look costs few instructions"
    if options:
        first, *_, last = _numbers(before_request + after_request)
        # Where they left off: the looks at cost were none.
        assert last == first + TICK_NANOSECONDS * (2 * len(CLOCKS) - 1)


def test_the_clock_counts_cost_from_the_start_where_weights_are_given(
    guests: Guests, clock: Path
) -> None:
    picoseconds = 7_000
    weights = ",".join([str(picoseconds)] * CLASSES + ["0"] * (COUNTERS - CLASSES))
    first, second = (
        _numbers(guests.ask(clock, "looks", f"--clock={weights}"))[0] for _ in range(2)
    )
    assert first == second
    instructions = sum(guests.run(clock).told.scopes[0].counters[:CLASSES])
    assert 0 < first < instructions * picoseconds // 1000


@pytest.mark.parametrize("weights", ["1,2", "", ",".join(["1"] * (COUNTERS + 1)), "a"])
def test_a_clock_has_a_weight_for_each_counter(guests: Guests, clock: Path, weights: str) -> None:
    with pytest.raises(AssertionError, match=f"give {COUNTERS} numbers with commas"):
        guests.ask(clock, "looks", f"--clock={weights}")


def test_code_that_looks_at_the_time_stamp_is_counted_once(guests: Guests, clock: Path) -> None:
    by_host, by_cost = _numbers(guests.ask(clock, "loop"))
    assert by_host == by_cost


def test_the_hosts_clocks_are_shown_without_a_request(guests: Guests, clock: Path) -> None:
    times = dict(zip(CLOCKS, _numbers(guests.ask(clock, "looks")), strict=True))
    assert all(times[name] > START_SECONDS * NANOSECONDS + 10**15 for name in DATED)
