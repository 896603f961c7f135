"""Guests are shared, and end when nobody has used them for long."""

from __future__ import annotations

from powerml.meters.simulator.warm.guests import Guests
from powerml.meters.simulator.warm.protocol import GuestWanted
from tests.meters.simulator.warm.fakes import FakeServer

TORCH = GuestWanted("training", "torch", ["a geometry"], "code")
LOADS = GuestWanted("loads", None, ["a geometry"], "code")


class _Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class _House:
    """Guests with an idle time of ten minutes, and all servers that were started."""

    def __init__(self) -> None:
        self.time = _Time()
        self.started: list[tuple[GuestWanted, FakeServer]] = []
        self.guests = Guests(self._start, 600.0, self.time)

    def _start(self, wanted: GuestWanted) -> FakeServer:
        server = FakeServer()
        self.started.append((wanted, server))
        return server


def test_two_users_of_one_job_backend_and_set_of_caches_share_a_guest() -> None:
    house = _House()
    first, second = house.guests.use(TORCH), house.guests.use(TORCH)
    assert first is second
    other = [
        GuestWanted("training", "torch", ["another geometry"], "code"),
        GuestWanted("training", "torch", ["a geometry"], "other code"),
        LOADS,
    ]
    for wanted in other:
        assert house.guests.use(wanted) is not first
    assert [wanted for wanted, _ in house.started] == [TORCH, *other]


def test_a_guest_ends_after_ten_minutes_without_a_user_and_all_are_idle_then() -> None:
    house = _House()
    torch, loads = house.guests.use(TORCH), house.guests.use(LOADS)
    house.guests.release(torch)
    house.time.now += 599
    house.guests.end_idle()
    assert [server.was_closed for _, server in house.started] == [False, False]
    house.time.now += 1
    house.guests.end_idle()
    assert [server.was_closed for _, server in house.started] == [True, False]
    # However long it takes, what is in use is not idle.
    house.time.now += 10_000
    house.guests.end_idle()
    assert house.guests.are_idle is False
    assert house.guests.idle_seconds == 0
    house.guests.release(loads)
    house.time.now += 600
    assert house.guests.are_idle is True


def test_guests_that_nobody_ever_used_are_idle_after_ten_minutes() -> None:
    house = _House()
    house.time.now += 600
    assert house.guests.are_idle is True


def test_a_guest_that_died_is_started_again_and_no_longer_told_of() -> None:
    house = _House()
    guest = house.guests.use(TORCH)
    house.started[0][1].die()
    assert house.guests.state() == []
    house.guests.release(guest)
    assert house.guests.use(TORCH) is not guest
    assert len(house.started) == 2
    [state] = house.guests.state()
    assert (state["job"], state["backend"], state["is_ready"], state["users"]) == (
        "training",
        "torch",
        True,
        1,
    )
