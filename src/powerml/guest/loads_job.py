"""The job of synthetic loads in the guest: the making of matrices, and their product."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.guest import _client_requests as client_requests
from powerml.guest.region import Moments, settle
from powerml.guest.request import LoadRequest

# What the original's matrices were filled with.
ONE, TWO = 1, 2
# Python fits its byte code to what it meets within some tens of runs.
WARM_UP_LOADS = 40
WARM_UP_ROWS = 16
DONE = b"."  # what is written for each part that has ended

Matrix = NDArray[np.int64]


class LoadJob:
    """The job of a synthetic load. See `powerml.guest.region.Job`."""

    def start(self) -> None:
        """Do nothing: a load needs numpy alone, which is imported."""

    def versions(self) -> dict[str, str]:
        """Return nothing: the version of numpy is told for every job."""
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
        client_requests.zero_stats()
        a, b, product = _operands(request, progress)
        moments["built"] = client_requests.monotonic_seconds()
        starts = [0, *range(request.first, request.rows, request.piece)]
        for start, stop in pairwise([*starts, request.rows]):
            client_requests.mark(f"from row {start}")
            a[start:stop].dot(b, out=product[start:stop])
            client_requests.mark(f"to row {start}")
            os.write(progress, DONE)
        client_requests.mark("over")

    def run_once(self, content: dict[str, Any], moments: Moments) -> None:
        """Count the same with cold caches."""
        client_requests.start_instrumentation()
        self.run(content, moments)


job = LoadJob


def _made(rows: int, columns: int, value: int) -> Matrix:
    """Make a matrix as the original's program did."""
    return np.array([[value] * columns] * rows)


def _operands(request: LoadRequest, progress: int) -> tuple[Matrix, Matrix, Matrix]:
    """Make both matrices, and room for their product."""
    shape_a, shape_b = (request.rows_a, request.inner), (request.inner, request.cols_b)
    shape = (request.rows_a, request.cols_b)
    if request.made_a is None and request.made_b is None:
        a = _marked("a", *shape_a, ONE)
        os.write(progress, DONE)
        b = _marked("b", *shape_b, TWO)
        os.write(progress, DONE)
        return a, b, np.empty(shape, np.int64)
    # They lie where they would without the samples that are made beside them.
    a, b, product = (np.empty(each, np.int64) for each in (shape_a, shape_b, shape))
    samples = [*_samples("a", *shape_a, ONE, request.made_a)]
    os.write(progress, DONE)
    samples += _samples("b", *shape_b, TWO, request.made_b)
    os.write(progress, DONE)
    # The quick way: the caches hold of them what the making would leave there.
    a[: request.rows] = ONE
    b[:] = TWO
    return a, b, product


def _samples(name: str, rows: int, columns: int, value: int, sample: int | None) -> list[Matrix]:
    """Make some rows of a matrix and twice as many, or without `sample` all of them.

    They are kept: what is made next must not find their memory in the caches.
    """
    numbers = [rows] if sample is None else [sample, 2 * sample]
    return [_marked(name, number, columns, value) for number in numbers]


def _marked(name: str, rows: int, columns: int, value: int) -> Matrix:
    """Make a matrix, between marks."""
    client_requests.mark(f"from {name} {rows}")
    matrix = _made(rows, columns, value)
    client_requests.mark(f"to {name} {rows}")
    return matrix
