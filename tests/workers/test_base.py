"""Orders that are lost, refused or answered: none is lost for good, none repeated for ever."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from powerml.errors import ClusterError, MeasurementError, TrainingError
from powerml.progress import Notify, silent
from powerml.workers.base import MOST_ATTEMPTS, Unfit, Workers, require_alike
from powerml.workers.contents import Contents
from powerml.workers.orders import Failure, Lacking, Order, Reply, TrainedNetworks
from powerml.workloads.datasets import Dataset
from tests.doubles import WorkloadMaker

DONE = TrainedNetworks((), is_pruned=True, curve=None)
Answer = Callable[[Order, Contents], Reply]


class Scripted(Workers):
    """Workers that answer by a script; an exception is the loss of the order."""

    def __init__(self, answers: Sequence[Reply | Exception | None]) -> None:
        super().__init__()
        self._answers = list(answers)
        self.sent: list[dict[str, Any]] = []
        self.left_out: list[str] = []
        self.gone: str | None = None

    @property
    def slots(self) -> int:
        return 1

    def check(self, backend: str, unfit: Unfit, *, simulates: bool, notify: Notify) -> None:
        self.identity = None

    def _send(self, order: Order, contents: Contents, notify: Notify) -> Future[Reply]:
        self.sent.append(dict(contents))
        found: Future[Reply] = Future()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            found.set_exception(answer)
        elif answer is not None:
            found.set_result(answer)
        return found

    def _leave_out(self, sent: Future[Reply], reason: str) -> None:
        self.left_out.append(reason)

    def _gone(self) -> str | None:
        return self.gone

    def stop(self) -> None:
        self.end(ClusterError("stopped"))

    def leave(self) -> None:
        return


@pytest.fixture
def order(make: WorkloadMaker) -> Order:
    workload = make("dffr:layers=1,width=4")
    return Order("run", "train dffr:layers=1,width=4", 1, workload, ("a", "b"), None)


def test_a_worker_gets_the_contents_that_it_lacks_and_no_others(
    order: Order, mnist_small: Dataset
) -> None:
    workers = Scripted([Lacking(("a",)), DONE])
    workers.contents = {"a": mnist_small, "b": mnist_small}
    assert workers.submit(order).result() is DONE
    assert workers.sent == [{}, {"a": mnist_small}]


def test_a_lost_order_is_sent_again(order: Order) -> None:
    said: list[str] = []
    workers = Scripted([ConnectionError("reset"), DONE])
    assert workers.submit(order, said.append).result() is DONE
    assert said == ["lost with its worker: once more"]


def test_an_order_that_ends_its_workers_is_given_up_and_named(order: Order) -> None:
    workers = Scripted([MemoryError()] * MOST_ATTEMPTS)
    with pytest.raises(MeasurementError, match=r"^train dffr:layers=1,width=4 was lost again and"):
        workers.submit(order).result()
    assert len(workers.sent) == MOST_ATTEMPTS


def test_work_that_failed_is_not_repeated(order: Order) -> None:
    workers = Scripted([Failure.of(TrainingError("it diverged: scale the data"))])
    with pytest.raises(TrainingError, match=r"^it diverged: scale the data$"):
        workers.submit(order).result()


def test_an_unfit_worker_is_left_out_and_its_order_goes_to_another(order: Order) -> None:
    full = Failure.of(OSError(28, "No space left on device"), is_the_workers=True, is_unfit=True)
    workers = Scripted([full, DONE])
    assert workers.submit(order).result() is DONE
    assert workers.left_out == ["No space left on device"]


def test_the_loss_of_all_workers_ends_every_order_with_one_reason(order: Order) -> None:
    workers = Scripted([None, ConnectionError("reset")])
    waiting = workers.submit(order)
    workers.gone = "the scheduler is gone: start it again, and add --resume"
    lost = workers.submit(order)
    for future in (waiting, lost):
        with pytest.raises(ClusterError, match=r"^the scheduler is gone"):
            future.result()


def test_nothing_is_sent_after_the_end(order: Order) -> None:
    workers = Scripted([None])
    waiting = workers.submit(order)
    workers.stop()
    assert isinstance(waiting.exception(), ClusterError)
    workers.submit(order, silent)
    assert len(workers.sent) == 1


@pytest.mark.parametrize("unfit", ["refuse", "leave-out"])
def test_workers_that_are_all_unlike_are_refused(unfit: str) -> None:
    found = {"w0": {"python": "3.12"}}
    with pytest.raises(ClusterError, match=r"^the worker w0 cannot be used \(python 3\.12, not"):
        require_alike(found, {"w0": "python 3.12, not 3.11"}, unfit)


def test_workers_that_differ_are_refused_or_left_out_by_choice() -> None:
    found = {"w0": {"python": "3.12"}, "w1": {"python": "3.11"}}
    unlike = {"w0": "python 3.12, not 3.11"}
    require_alike(found, unlike, "leave-out")
    with pytest.raises(ClusterError, match=r"or add --unfit-workers leave-out$"):
        require_alike(found, unlike, "refuse")
