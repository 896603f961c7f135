"""Orders as a worker carries them out, in this process."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from powerml.errors import ExportError, TrainingError
from powerml.machines import Machine, PhaseMachines
from powerml.meters.base import MeterOptions
from powerml.workers import tasks
from powerml.workers.identity import identity
from powerml.workers.orders import (
    Counted,
    CountOrder,
    Failure,
    Lacking,
    MeterKey,
    TrainedNetworks,
    TrainOrder,
)
from powerml.workloads.datasets import Dataset
from tests.doubles import FormulaMeter, WorkloadMaker


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_here", tasks._Here())


@pytest.fixture
def count(make: WorkloadMaker, machine: Machine, mnist_small: Dataset) -> CountOrder:
    key = MeterKey(
        FormulaMeter(machine), PhaseMachines((machine,)), 2, "torch", MeterOptions(), cache=False
    )
    workload = make("dffr:layers=1,width=4")
    return CountOrder("run", "simulate", 1, workload, (mnist_small.digest,), None, key)


@pytest.fixture
def train(make: WorkloadMaker, mnist_small: Dataset) -> TrainOrder:
    workload = make("dffr:layers=1,width=4")
    return TrainOrder(
        *("run", "train", 1, workload, (mnist_small.digest,), None, workload, "torch"),
        *((0, 1), ("model.keras", "model-2.keras"), None, None),
        is_tested=True,
    )


def test_what_a_process_was_sent_once_it_keeps(count: CountOrder, mnist_small: Dataset) -> None:
    assert tasks.perform(count, {}) == Lacking((mnist_small.digest,))
    first = tasks.perform(count, {mnist_small.digest: mnist_small})
    assert isinstance(first, Counted)
    assert isinstance(tasks.perform(count, {}), Counted)


def test_an_order_for_another_worker_is_returned_with_the_difference(count: CountOrder) -> None:
    mine = identity("torch", simulates=False)
    other = {**mine, "software": {**mine["software"], "numpy": "1.0"}}
    reply = tasks.perform(replace(count, identity=other), {})
    assert isinstance(reply, Failure)
    assert (reply.is_the_workers, reply.is_unfit) == (True, True)
    assert "software.numpy" in reply.message
    assert isinstance(tasks.perform(replace(count, identity=mine), {}), Lacking)


def test_trained_networks_come_back_as_files_with_their_scores(
    train: TrainOrder, mnist_small: Dataset
) -> None:
    reply = tasks.perform(train, {mnist_small.digest: mnist_small})
    assert isinstance(reply, TrainedNetworks)
    assert [list(one.files) for one in reply.networks] == [["model.keras"], ["model-2.keras"]]
    assert all(0 <= one.score <= 1 and one.test_score is not None for one in reply.networks)
    # The same seed gives the same score.
    again = tasks.perform(train, {})
    assert isinstance(again, TrainedNetworks)
    assert [one.score for one in again.networks] == [one.score for one in reply.networks]


def full_disk() -> Exception:
    error = ExportError("the model cannot be exported: add --runtime keras")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (lambda: TrainingError("it diverged"), (False, False)),
        (full_disk, (True, True)),
        (MemoryError, (True, False)),
        (lambda: ZeroDivisionError("our own bug"), (True, False)),
    ],
)
def test_the_machines_errors_are_told_from_the_works(
    train: TrainOrder,
    mnist_small: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], Exception],
    blamed: tuple[bool, bool],
) -> None:
    def fail(*_given: Any) -> None:
        raise error()

    monkeypatch.setattr(tasks, "train_natively", fail)
    reply = tasks.perform(train, {mnist_small.digest: mnist_small})
    assert isinstance(reply, Failure)
    assert (reply.is_the_workers, reply.is_unfit) == blamed


def test_only_the_latest_contents_are_kept(
    train: TrainOrder, mnist_small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tasks._here
    for number in range(tasks.MOST_CONTENTS + 1):
        here.take({str(number): mnist_small}, (str(number),))
    assert here.take({}, ("0",)) == Lacking(("0",))
    assert here.take({}, (str(tasks.MOST_CONTENTS),)) == [mnist_small]
