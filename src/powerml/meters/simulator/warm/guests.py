"""The guests of a warm simulator: one for each job, backend and set of simulated caches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from powerml.meters.simulator.server import Done
from powerml.meters.simulator.warm.protocol import GuestWanted, encode

__all__ = ["Guest", "Guests", "StagedServer"]

Clock = Callable[[], float]


class StagedServer(Protocol):
    """A server that does requests whose files lie in any folder; see `Server`."""

    ready: Future[dict[str, Any]]
    seconds_per_step: float | None

    @property
    def pid(self) -> int:
        """Process number of the warm process."""

    @property
    def has_ended(self) -> bool:
        """True if it takes no more requests."""

    def submit_staged(
        self, content: str, title: str, folder: Path, limit_seconds: float
    ) -> Future[Done]:
        """Have a request measured; see `Server.submit_staged`."""

    def give_up(self, result: Future[Done]) -> None:
        """Stop a request whose result is no longer needed."""

    def close(self) -> None:
        """End the process."""


@dataclass
class Guest:
    """A guest, the number of its users, and the time at which the last one left it."""

    wanted: GuestWanted
    server: StagedServer
    users: int = 0
    left_seconds: float = 0.0


class Guests:
    """The guests. Several threads may use it.

    Parameters
    ----------
    start
        Starts a server, and returns at once.
    idle_seconds
        Time after which a guest ends that nobody uses.
    clock
        The time in seconds.
    """

    def __init__(
        self,
        start: Callable[[GuestWanted], StagedServer],
        idle_seconds: float,
        clock: Clock = time.monotonic,
    ) -> None:
        self._start = start
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._guests: dict[bytes, Guest] = {}
        self._starting: dict[bytes, threading.Lock] = {}
        self._waiting = 0
        self._lock = threading.Lock()
        self._left_seconds = clock()

    def use(self, wanted: GuestWanted) -> Guest:
        """Return the guest, started if it is not running; `release` ends the use.

        A start takes a while, in which others may use, release and see the other guests.

        Raises
        ------
        ServerError
            It cannot be started.
        SetupError
            What it needs is not installed.
        """
        key = encode(wanted)
        with self._lock:
            starting = self._starting.setdefault(key, threading.Lock())
            self._waiting += 1
        try:
            with starting:
                with self._lock:
                    if (guest := self._running(key)) is not None:
                        guest.users += 1
                        return guest
                guest = Guest(wanted, self._start(wanted), users=1)
                with self._lock:
                    self._guests[key] = guest
                return guest
        finally:
            with self._lock:
                self._waiting -= 1

    def is_ready(self, wanted: GuestWanted) -> bool:
        """Return whether a use of the guest waits for no start."""
        with self._lock:
            guest = self._running(encode(wanted))
        return guest is not None and _is_ready(guest.server)

    def _running(self, key: bytes) -> Guest | None:
        guest = self._guests.get(key)
        return None if guest is None or guest.server.has_ended else guest

    def release(self, guest: Guest) -> None:
        """End a use."""
        with self._lock:
            guest.users -= 1
            guest.left_seconds = self._left_seconds = self._clock()

    @property
    def users(self) -> int:
        """Number of uses under way, or about to be."""
        with self._lock:
            return self._waiting + sum(guest.users for guest in self._guests.values())

    @property
    def idle_seconds(self) -> float:
        """Time since the last use ended, or since the beginning; 0 in a use."""
        return 0.0 if self.users else self._clock() - self._left_seconds

    @property
    def are_idle(self) -> bool:
        """True if nobody has used any for so long that all are to end."""
        return self.users == 0 and self.idle_seconds >= self._idle_seconds

    def end_idle(self) -> None:
        """End the guests that nobody has used for long, or that have died."""
        now = self._clock()
        with self._lock:
            ended = [
                key
                for key, guest in self._guests.items()
                if guest.users == 0
                and (guest.server.has_ended or now - guest.left_seconds >= self._idle_seconds)
            ]
            guests = [self._guests.pop(key) for key in ended]
        for guest in guests:
            guest.server.close()

    def state(self) -> list[dict[str, Any]]:
        """Describe the guests, as plain JSON."""
        with self._lock:
            return [
                {
                    "job": guest.wanted.job,
                    "backend": guest.wanted.backend,
                    "geometries": guest.wanted.geometries,
                    "process": guest.server.pid,
                    "is_ready": _is_ready(guest.server),
                    "users": guest.users,
                }
                for guest in self._guests.values()
                if not guest.server.has_ended
            ]

    def close(self) -> None:
        """End all guests."""
        with self._lock:
            guests, self._guests = list(self._guests.values()), {}
        for guest in guests:
            guest.server.close()


def _is_ready(server: StagedServer) -> bool:
    return server.ready.done() and server.ready.exception() is None
