"""A server without a simulator, and a daemon that serves it from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from powerml.errors import WorkerError
from powerml.meters.simulator.server import Done, ServerDiedError
from powerml.meters.simulator.warm.daemon import Daemon
from powerml.meters.simulator.warm.guests import Guests
from powerml.meters.simulator.warm.protocol import GuestWanted

GUEST = {"software": {"python": "3"}, "cpu_features": ["AVX2"]}


class FakeServer:
    """Does at once what it is asked for, or not before `finish`."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.ready: Future[dict[str, Any]] = Future()
        self.ready.set_result(GUEST)
        self.seconds_per_step: float | None = 0.5
        self.pid = os.getpid()
        self.has_ended = False
        self.was_closed = False
        self.asked: list[tuple[str, str, Path, float]] = []
        self.results: list[Future[Done]] = []
        self.given_up: list[Future[Done]] = []
        self.came = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        self._at_once = at_once

    def submit_staged(
        self, content: str, title: str, folder: Path, limit_seconds: float
    ) -> Future[Done]:
        result: Future[Done] = Future()
        self.asked.append((content, title, folder, limit_seconds))
        self.results.append(result)
        if self._at_once:
            self.finish(len(self.results) - 1)
        self.came.release()
        return result

    def finish(self, number: int) -> None:
        done = Done(f"request-{number:08d}", 4711, {"forked": 1.5, "ended": 2.25})
        self.results[number].set_result(done)

    def fail(self, number: int) -> None:
        error = WorkerError("inference of m.onnx crashed (SIGSEGV): measure again")
        error.detail = "all of it"
        self.results[number].set_exception(error)

    def die(self) -> None:
        self.has_ended = True
        for result in self.results:
            if not result.done():
                result.set_exception(ServerDiedError("the simulator ended, SIGKILL"))

    def give_up(self, result: Future[Done]) -> None:
        self.given_up.append(result)
        result.set_exception(WorkerError("the measurement was given up"))
        self.left.release()

    def close(self) -> None:
        self.was_closed = True
        self.die()


class RunningDaemon:
    """A daemon on a thread of this process, and the address of its socket."""

    def __init__(self, address: str, end: Callable[[], object], wait: Callable[[], None]) -> None:
        self.address = address
        self.end = end
        self.wait = wait

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self.address)
        return connection


@contextlib.contextmanager
def running(
    start: Callable[[GuestWanted], FakeServer],
    folder: Path,
    *,
    slots: int = 2,
    clock: Callable[[], float] = lambda: 0.0,
    is_current: Callable[[], bool] = lambda: True,
    look_seconds: float = 30.0,
) -> Iterator[RunningDaemon]:
    """Serve guests until the end of the context, or of the daemon itself."""
    guests = Guests(start, 600.0, clock)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address = str(folder / "daemon.sock")
    listening.bind(address)
    listening.listen()
    began: Future[Callable[[], object]] = Future()

    async def serve() -> None:
        daemon = Daemon(guests, slots, is_current, look_seconds=look_seconds, idle_minutes=10.0)
        loop = asyncio.get_running_loop()
        began.set_result(partial(loop.call_soon_threadsafe, daemon.end))
        await daemon.serve(listening)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield RunningDaemon(address, began.result(), thread.join)
    finally:
        if thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                began.result()()
        thread.join()
        guests.close()
        listening.close()
