"""Marks in the guest between the parts of a region, and the steps that are left out.

A step that is left out is skipped in Keras's own loop, together with the fetching of its batch.
Instead one byte of each cache line of its data is read, so that the caches hold the same data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from keras.src.trainers.epoch_iterator import EpochIterator
from numpy.typing import NDArray

from powerml.guest import _client_requests as client_requests
from powerml.networks.model import SynchronousCallbacks

__all__ = ["Marks", "only"]

Logs = Mapping[str, Any] | None


class Marks(SynchronousCallbacks):
    """Marks where the first step of an epoch begins, and where steps end: all, or those named."""

    def __init__(self, ends: Collection[int] | None = None) -> None:
        super().__init__()
        self._ends = ends
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:  # noqa: ARG002 - Keras's
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002 - Keras's
        """Mark the end of the set-up, or of an epoch's boundary."""
        if batch == 0:
            client_requests.mark(f"begin {self._epoch} 0")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:  # noqa: ARG002 - Keras's
        """Mark the end of a step."""
        if self._ends is None or batch in self._ends:
            client_requests.mark(f"end {self._epoch} {batch}")

    on_test_batch_begin = on_train_batch_begin
    on_test_batch_end = on_train_batch_end


@contextmanager
def only(
    visits: Sequence[Sequence[int]], inputs: NDArray[np.float32], touch_limit_bytes: int
) -> Iterator[None]:
    """Have Keras do these steps alone, of each epoch those in ascending order."""
    route = _Route(visits, inputs, touch_limit_bytes)
    original = EpochIterator.__next__

    def next_batch(iterator: Any) -> Any:
        route.skip(iterator)
        return original(iterator)

    EpochIterator.__next__ = next_batch
    try:
        yield
    finally:
        EpochIterator.__next__ = original


class _Route:
    """The place of a training in its epochs, and its next step."""

    def __init__(
        self,
        visits: Sequence[Sequence[int]],
        inputs: NDArray[np.float32],
        touch_limit_bytes: int,
    ) -> None:
        self._visits = visits
        self._inputs = inputs
        self._row_bytes = inputs.nbytes // len(inputs)
        self._touch_limit_bytes = touch_limit_bytes
        self._epoch = 0
        self._stop = 0  # which of the epoch's visits is next
        self._step = 0  # where Keras's iterator is

    def skip(self, iterator: Any) -> None:
        """Pass over the steps before the next one; at the end of an epoch over those left."""
        if iterator._current_iterator is None:
            self._stop = self._step = 0  # Keras has looked at the first batch, and begins again
        stops = self._visits[self._epoch]
        if self._stop < len(stops):
            step = stops[self._stop]
            if step > self._step:
                self._pass_over(iterator, step - self._step)
                client_requests.mark(f"resume {self._epoch} {step}")
            self._step = step + 1
            self._stop += 1
        else:
            self._pass_over(iterator, iterator.num_batches - self._step)
            self._epoch, self._stop, self._step = self._epoch + 1, 0, 0

    def _pass_over(self, iterator: Any, steps: int) -> None:
        """Advance Keras's loop and its batches of indices, which are all that a batch begins with.

        The iterators are Keras's and torch's own; both are private there.
        """
        loop, batches = iterator._epoch_iterator, iterator._current_iterator._sampler_iter
        for left in range(steps, 0, -1):
            next(loop)
            rows = next(batches)
            if left * len(rows) * self._row_bytes <= self._touch_limit_bytes:
                client_requests.touch(self._inputs, self._row_bytes, rows)
