"""A thread that draws from Python's random generator, as those of a Dask worker do."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["drawn_from_beside"]


@contextmanager
def drawn_from_beside() -> Iterator[None]:
    """Have another thread draw all the while."""
    ended = threading.Event()

    def draw() -> None:
        while not ended.is_set():
            random.random()  # noqa: S311 - nothing secret

    beside = threading.Thread(target=draw)
    beside.start()
    try:
        yield
    finally:
        ended.set()
        beside.join()
