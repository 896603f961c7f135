"""The interface of the guest's jobs, and the region that is counted."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any, Protocol

from powerml.guest import _client_requests as client_requests

__all__ = ["Job", "Moments", "region", "settle"]

Moments = dict[str, float]  # what a request has come to, and when: seconds of the monotonic clock


class Job(Protocol):
    """The task of a guest."""

    def start(self) -> None:
        """Import all that the job needs."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the imported packages."""

    def warm_up(self) -> Iterator[None]:
        """Do the work of small requests, so that no request does anything for the first time.

        Yields before each round. Nothing is marked: Valgrind goes on writing marks where it wrote
        the first one, and the children could not be told apart.
        """

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Do one request in a child of the warm process."""

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:
        """Do one request in a process that does no other; the instrumentation is still off."""


def settle() -> None:
    """Collect the garbage and stop its collector, so that it never runs in a region."""
    gc.collect()
    gc.freeze()
    gc.disable()


@contextlib.contextmanager
def region(name: str) -> Iterator[None]:
    """Count everything inside, with the caches as they are."""
    settle()
    client_requests.mark(f"from {name}")
    yield
    client_requests.mark(f"to {name}")
