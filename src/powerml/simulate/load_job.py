"""Inside the worker: synthetic loads, counted from the making of the matrices to their product."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.simulate import _client_requests as valgrind
from powerml.simulate.region import Moments, settle
from powerml.simulate.request import LoadRequest

# What the original's matrices were filled with.
ONE, TWO = 1, 2
# Python fits its byte code to what it meets within some tens of runs.
WARM_UP_LOADS = 40
WARM_UP_ROWS = 16

Matrix = NDArray[np.int64]


class LoadJob:
    """See `powerml.simulate.region.Job`."""

    def start(self) -> None:
        """numpy, which is all that a load needs, is there."""

    def versions(self) -> dict[str, str]:
        """Versions of nothing but numpy, which is told anyway."""
        return {}

    def warm_up(self) -> Iterator[None]:
        """Do small loads."""
        yield
        for _ in range(WARM_UP_LOADS):
            a = _made(WARM_UP_ROWS, WARM_UP_ROWS, ONE)
            b = _made(WARM_UP_ROWS, WARM_UP_ROWS, TWO)
            out = np.empty((WARM_UP_ROWS, WARM_UP_ROWS), np.int64)
            for row in range(WARM_UP_ROWS):
                a[row : row + 1].dot(b, out=out[row : row + 1])

    def run(self, content: dict[str, Any], moments: Moments) -> None:
        """Count the making of the matrices, and their product piece by piece."""
        request = LoadRequest(**content)
        progress = os.open(request.progress, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        settle()
        valgrind.zero_stats()
        a = _matrix("a", (request.rows_a, request.inner), ONE, request.made_a, request.rows)
        os.write(progress, b".")
        b = _matrix("b", (request.inner, request.cols_b), TWO, request.made_b, request.inner)
        os.write(progress, b".")
        moments["built"] = time.monotonic()
        product = np.empty((request.rows_a, request.cols_b), np.int64)
        for start in range(0, request.rows, request.piece):
            stop = min(start + request.piece, request.rows)
            valgrind.mark(f"from row {start}")
            a[start:stop].dot(b, out=product[start:stop])
            valgrind.mark(f"to row {start}")
            os.write(progress, b".")
        valgrind.mark("over")

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:
        """Count the same with cold caches."""
        valgrind.start_instrumentation()
        self.run(content, moments)


def _made(rows: int, columns: int, value: int) -> Matrix:
    """Make a matrix the way the original's program did."""
    return np.array([[value] * columns] * rows)


def _matrix(
    name: str, shape: tuple[int, int], value: int, sample: int | None, needed: int
) -> Matrix:
    """Make a matrix and mark what that takes, or what it takes to make a sample of its rows.

    After a sample the `needed` rows are filled in the quick way, so that the caches hold of them
    what the making would leave there.
    """
    rows, columns = shape
    numbers = [rows] if sample is None else [sample, 2 * sample]
    made = []  # kept: the next one must not find its memory in the caches
    for number in numbers:
        valgrind.mark(f"from {name} {number}")
        made.append(_made(number, columns, value))
        valgrind.mark(f"to {name} {number}")
    if sample is None:
        return made[0]
    matrix = np.empty(shape, np.int64)
    matrix[:needed] = value
    return matrix
