"""Commands and the warm simulator, over a real socket to a server without a simulator."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from powerml.errors import ServerError, SetupError, WorkerError
from powerml.guest.request import OwnRequest
from powerml.meters.simulator.server import Done, ServerDiedError
from powerml.meters.simulator.warm.client import WarmServer
from powerml.meters.simulator.warm.protocol import (
    GuestWanted,
    Message,
    RequestFailed,
    StateWanted,
    Stop,
    WarmState,
    decode,
    encode,
)
from tests.meters.simulator.warm.fakes import GUEST, FakeServer, RunningDaemon, running

USE = GuestWanted("deployment:onnxruntime", None, ["a geometry"], "code")
# What only JSON's own words can write, in an order of its own.
REQUEST = OwnRequest(
    {"z": 1, "a": [0.1, None, "ü\udcff"], "m": {"10": True}}, "inference of m\udcff"
)


def _ask(daemon: RunningDaemon, line: bytes) -> Message:
    with daemon.connect() as connection, connection.makefile("rb") as lines:
        connection.sendall(line)
        return decode(lines.readline())


def _serving(server: FakeServer) -> Callable[[GuestWanted], FakeServer]:
    return lambda _wanted: server


def test_a_request_reaches_the_guest_to_the_letter_and_its_result_comes_back(
    tmp_path: Path,
) -> None:
    fake = FakeServer()
    with running(_serving(fake), tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path / "of the command")
        assert not server.was_ready
        assert server.ready.result() == GUEST
        assert server.seconds_per_step == 0.5
        results = [server.submit(REQUEST, limit).result() for limit in (60.0, float("inf"))]
        server.close()
        second = WarmServer(daemon.connect(), USE, tmp_path)
        assert second.was_ready
        second.close()
    moments = {"forked": 1.5, "ended": 2.25}
    assert results == [Done(f"request-{number:08d}", 4711, moments) for number in range(2)]
    content, folder = json.dumps(REQUEST.content()), tmp_path / "of the command"
    assert fake.asked == [
        (content, REQUEST.title, folder, 60.0),
        (content, REQUEST.title, folder, float("inf")),
    ]


def test_a_request_that_fails_fails_alone_with_its_own_error(tmp_path: Path) -> None:
    fake = FakeServer(at_once=False)
    with running(_serving(fake), tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        bad, good = (server.submit(REQUEST, 60.0) for _ in range(2))
        for _ in range(2):
            fake.came.acquire()
        fake.fail(0)
        with pytest.raises(WorkerError, match="crashed") as failed:
            bad.result()
        assert failed.value.detail == "all of it"
        fake.finish(1)
        assert good.result().process == 4711
        assert not server.has_ended
        server.close()


def test_a_command_that_ends_gives_up_its_own_requests_alone(tmp_path: Path) -> None:
    fake = FakeServer(at_once=False)
    with running(_serving(fake), tmp_path) as daemon:
        interrupted, other = (WarmServer(daemon.connect(), USE, tmp_path) for _ in range(2))
        lost = interrupted.submit(REQUEST, 60.0)
        fake.came.acquire()
        kept = other.submit(REQUEST, 60.0)
        fake.came.acquire()
        interrupted.close()
        with pytest.raises(ServerDiedError):
            lost.result()
        fake.left.acquire()
        assert fake.given_up == fake.results[:1]
        fake.finish(1)
        assert kept.result().process == 4711
        assert not fake.was_closed
        other.close()


def test_a_request_that_is_given_up_frees_its_place_for_the_next(tmp_path: Path) -> None:
    fake = FakeServer(at_once=False)
    with running(_serving(fake), tmp_path, slots=1) as daemon:
        first, second = (WarmServer(daemon.connect(), USE, tmp_path) for _ in range(2))
        unwanted = first.submit(REQUEST, 60.0)
        fake.came.acquire()
        waiting = second.submit(REQUEST, 60.0)
        assert len(fake.asked) == 1  # both commands share one place
        first.give_up(unwanted)
        with pytest.raises(WorkerError, match="given up"):
            unwanted.result()
        fake.came.acquire()
        fake.finish(1)
        assert waiting.result().process == 4711
        for server in (first, second):
            server.close()


def test_a_guest_that_dies_is_told_to_all_who_wait_and_the_next_command_gets_another(
    tmp_path: Path,
) -> None:
    fakes = [FakeServer(at_once=False), FakeServer()]
    started = iter(fakes)
    with running(lambda _wanted: next(started), tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        result = server.submit(REQUEST, 60.0)
        fakes[0].came.acquire()
        fakes[0].die()
        with pytest.raises(ServerDiedError, match="SIGKILL"):
            result.result()
        server.close()
        again = WarmServer(daemon.connect(), USE, tmp_path)
        assert again.submit(REQUEST, 60.0).result().process == 4711
        again.close()


def test_a_daemon_that_ends_amid_a_measurement_is_a_server_that_died(tmp_path: Path) -> None:
    fake = FakeServer(at_once=False)
    with running(_serving(fake), tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        result = server.submit(REQUEST, 60.0)
        fake.came.acquire()
        daemon.end()
        with pytest.raises(ServerDiedError, match="has ended"):
            result.result()
    assert server.has_ended
    with pytest.raises(ServerDiedError, match="has ended"):
        server.submit(REQUEST, 60.0)
    server.close()


def test_a_guest_that_cannot_be_started_is_an_error_of_the_command(tmp_path: Path) -> None:
    def start(_wanted: GuestWanted) -> FakeServer:
        raise SetupError("Valgrind is not installed: apt-get install valgrind")

    unready = FakeServer()
    unready.ready = type(unready.ready)()
    unready.ready.set_exception(ServerError("the simulator ended, exit code 1: measure again"))
    with running(start, tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        with pytest.raises(SetupError, match="apt-get install"):
            server.ready.result()
        server.close()
    (tmp_path / "daemon.sock").unlink()
    with running(_serving(unready), tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        with pytest.raises(ServerError, match="exit code 1"):
            server.ready.result()
        server.close()


def test_while_a_guest_starts_the_others_are_served_and_the_daemon_does_not_end(
    tmp_path: Path,
) -> None:
    begun, goes_on = threading.Event(), threading.Event()
    ready = FakeServer()

    def start(wanted: GuestWanted) -> FakeServer:
        if wanted != USE:
            begun.set()
            goes_on.wait()
        return ready

    slow = GuestWanted("training", "torch", ["a geometry"], "code")
    with running(start, tmp_path) as daemon:
        first = WarmServer(daemon.connect(), slow, tmp_path)
        begun.wait()
        other = WarmServer(daemon.connect(), USE, tmp_path)
        assert other.submit(REQUEST, 60.0).result().process == 4711
        other.close()
        state = _ask(daemon, encode(StateWanted()))
        assert isinstance(state, WarmState)
        assert (state.users, state.idle_seconds) == (1, 0)
        goes_on.set()
        assert first.submit(REQUEST, 60.0).result().process == 4711
        first.close()


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1\n", b"{}\n", encode(RequestFailed(1, "E", "m"))],
    ids=["no JSON", "no kind", "an answer"],
)
def test_whoever_sends_something_else_is_told_so_and_the_others_are_served(
    line: bytes, tmp_path: Path
) -> None:
    with running(_serving(FakeServer()), tmp_path) as daemon:
        answer = _ask(daemon, line)
        assert isinstance(answer, RequestFailed)
        assert answer.error == "ServerError"
        server = WarmServer(daemon.connect(), USE, tmp_path)
        assert server.submit(REQUEST, 60.0).result().process == 4711
        server.close()


def test_a_line_without_an_end_is_not_kept_and_the_others_are_served(tmp_path: Path) -> None:
    with running(_serving(FakeServer()), tmp_path) as daemon:
        with daemon.connect() as connection, pytest.raises(ConnectionError):
            connection.sendall(b"[" * 2**25)
        server = WarmServer(daemon.connect(), USE, tmp_path)
        assert server.submit(REQUEST, 60.0).result().process == 4711
        server.close()


def test_the_state_names_the_guests_and_their_users_and_stop_ends_all(tmp_path: Path) -> None:
    fake = FakeServer()
    with running(_serving(fake), tmp_path) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        state = _ask(daemon, encode(StateWanted()))
        assert isinstance(state, WarmState)
        assert (state.users, state.idle_minutes) == (1, 10.0)
        assert [guest["job"] for guest in state.guests] == [USE.job]
        assert isinstance(_ask(daemon, encode(Stop())), WarmState)
        daemon.wait()
        server.close()
    assert fake.was_closed


def test_it_ends_when_nobody_has_used_it_for_ten_minutes(tmp_path: Path) -> None:
    looks = count()
    stands = threading.Event()
    stands.set()

    def clock() -> float:
        """Stand until the guest is used; then let a hundred seconds pass from look to look."""
        return 0.0 if stands.is_set() else 100.0 * next(looks)

    with running(_serving(FakeServer()), tmp_path, clock=clock, look_seconds=0.001) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        stands.clear()  # however late it is, what is in use is served
        assert server.submit(REQUEST, 60.0).result().process == 4711
        server.close()
        daemon.wait()


def test_it_ends_when_the_installation_has_changed_and_nobody_uses_it(tmp_path: Path) -> None:
    is_current = [True]
    with running(
        _serving(FakeServer()), tmp_path, is_current=lambda: is_current[0], look_seconds=0.001
    ) as daemon:
        server = WarmServer(daemon.connect(), USE, tmp_path)
        is_current[0] = False
        assert server.submit(REQUEST, 60.0).result().process == 4711
        server.close()
        daemon.wait()
