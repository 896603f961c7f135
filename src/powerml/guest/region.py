"""Inside the worker: the region that is counted."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any, Protocol

from powerml.guest import _client_requests as client_requests

__all__ = ["Job", "Moments", "region", "settle"]

Moments = dict[str, float]  # what a request has come to, and when: seconds of the monotonic clock


class Job(Protocol):
    """The task of a worker."""

    def start(self) -> None:
        """Import what is needed."""

    def versions(self) -> dict[str, str]:
        """Versions of what was imported."""

    def warm_up(self) -> Iterator[None]:
        """Do what a request does, so that nothing is done for the first time there.

        Yields before each round. Nothing is marked: Valgrind goes on writing marks where it wrote
        the first one, and the children could not be told apart.
        """

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Do one request in a child of the warm process."""

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:
        """Do one request in a process that does no other; the instrumentation is still off."""


def settle() -> None:
    """Put away what there is of garbage, so that no collection falls into a region."""
    gc.collect()
    gc.freeze()
    gc.disable()


@contextlib.contextmanager
def region(name: str) -> Iterator[None]:
    """Count what happens inside, with the caches as they are."""
    settle()
    client_requests.mark(f"from {name}")
    yield
    client_requests.mark(f"to {name}")
