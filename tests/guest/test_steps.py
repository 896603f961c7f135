"""The steps that are left out of a training, natively: with a recorder in Valgrind's place."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from powerml.guest import steps
from powerml.networks.model import build_model, evaluate, fit
from powerml.spaces import find_space

SAMPLES, BATCH_SIZE = 26, 4  # six batches and one of two
IMAGE_BYTES = 2 * 3 * 4
UNLIMITED = 10**9


class Recorder(SimpleNamespace):
    """What would have been told to Valgrind."""

    def __init__(self) -> None:
        self.marks: list[str] = []
        self.touched: list[int] = []

    def mark(self, name: str) -> None:
        self.marks.append(name)

    def touch(self, inputs: NDArray[np.float32], row_bytes: int, rows: list[int]) -> None:
        assert (len(inputs), row_bytes) == (SAMPLES, IMAGE_BYTES)
        self.touched += rows


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(steps, "client_requests", recorder)
    return recorder


def do(visits: list[list[int]], epochs: int | None, touch_limit_bytes: int = UNLIMITED) -> None:
    """Train for some epochs, or evaluate."""
    shape = (2, 3)
    inputs = np.arange(SAMPLES * 6, dtype=np.float32).reshape(SAMPLES, *shape)
    labels = np.zeros(SAMPLES, dtype=np.int64)
    model = build_model(find_space("dffr"), {"layers": 1, "width": 2}, shape, 2, "default")
    marks = steps.Marks()
    with steps.only(visits, inputs, touch_limit_bytes):
        if epochs is None:
            evaluate(model, inputs, labels, BATCH_SIZE, callback=marks)
        else:
            fit(model, inputs, labels, BATCH_SIZE, epochs, callback=marks)


def test_only_the_steps_that_are_asked_for_are_done(recorder: Recorder) -> None:
    do([[0, 1, 6], [0, 3, 4]], epochs=2)
    assert recorder.marks == [
        *("begin 0 0", "end 0 0", "end 0 1", "resume 0 6", "end 0 6"),
        *("begin 1 0", "end 1 0", "resume 1 3", "end 1 3", "end 1 4"),
    ]


def test_the_rows_of_steps_left_out_are_read_once_each(recorder: Recorder) -> None:
    # Without a shuffle the rows are known: those of the batches 2 to 5.
    do([[0, 1, 6]], epochs=None)
    assert recorder.touched == list(range(2 * BATCH_SIZE, 6 * BATCH_SIZE))
    # A training shuffles them: as many, and none of them twice.
    recorder.touched.clear()
    do([[0, 2]], epochs=1)
    assert len(recorder.touched) == len(set(recorder.touched)) == SAMPLES - 2 * BATCH_SIZE


def test_of_a_long_way_only_the_last_rows_are_read(recorder: Recorder) -> None:
    two_batches = 2 * BATCH_SIZE * IMAGE_BYTES
    do([[0, 6]], epochs=None, touch_limit_bytes=two_batches)
    assert recorder.touched == list(range(4 * BATCH_SIZE, 6 * BATCH_SIZE))


def test_afterwards_all_steps_are_done_again(recorder: Recorder) -> None:
    do([[0]], epochs=1)
    recorder.marks.clear()
    do([list(range(7))], epochs=1)
    assert recorder.marks == ["begin 0 0", *(f"end 0 {step}" for step in range(7))]
    assert len(recorder.touched) == SAMPLES - BATCH_SIZE
