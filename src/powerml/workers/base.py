"""The interface of workers: orders go out, replies come back, and what is lost is sent again.

The order in which replies arrive changes nothing: each order is a pure function of its fields.
"""

from __future__ import annotations

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from functools import partial
from typing import TypeVar

from powerml.errors import ClusterError, MeasurementError, PowerMLError, shortened, words_of
from powerml.progress import Notify, silent
from powerml.workers.contents import Content, Contents
from powerml.workers.orders import Failure, Identity, Lacking, Order, Reply

__all__ = ["MOST_ATTEMPTS", "Unfit", "Workers", "require_alike"]

# Orders that end their worker, as by its memory, would end one worker after the other.
MOST_ATTEMPTS = 3
LONGEST_CAUSE = 120
Unfit = str  # "refuse" or "leave-out"


class Workers(ABC):
    """Workers of a run.

    Parameters
    ----------
    contents
        What orders name by digests.
    """

    name = "workers"

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:12]
        self.contents: Mapping[str, Content] = {}
        self.identity: Identity | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._waiting: set[Future[Reply]] = set()

    @property
    @abstractmethod
    def slots(self) -> int:
        """Number of orders that are worked on at once."""

    @abstractmethod
    def check(self, backend: str, unfit: Unfit, *, simulates: bool, notify: Notify) -> None:
        """Compare the workers, and leave out or refuse those that differ.

        Raises
        ------
        ClusterError
            Workers differ and are refused, or none is left.
        """

    @abstractmethod
    def _send(self, order: Order, contents: Contents, notify: Notify) -> Future[Reply]:
        """Send an order to a worker. An error of the future is the loss of the order."""

    @abstractmethod
    def _leave_out(self, sent: Future[Reply], reason: str) -> None:
        """Give no more orders to the worker that has replied.

        Raises
        ------
        ClusterError
            No other is left.
        """

    def _gone(self) -> str | None:
        """Return why there are no workers any more, or None."""
        return None

    def _is_to_blame(self, _error: BaseException) -> bool:
        """Return whether an order may have caused its loss itself, and is not sent for ever."""
        return True

    def _is_final(self, _error: BaseException) -> bool:
        """Return whether the executor has sent a lost order often enough by itself."""
        return False

    @abstractmethod
    def stop(self) -> None:
        """Tell the workers to stop what they do, without waiting for them."""

    @abstractmethod
    def leave(self) -> None:
        """Tell the workers that the run has ended, and let go of them."""

    def submit(self, order: Order, notify: Notify = silent) -> Future[Reply]:
        """Have an order carried out; the future holds its reply, or the error of powerML's.

        An order that is lost with its worker is sent again.
        """
        outcome: Future[Reply] = Future()
        with self._lock:
            self._waiting.add(outcome)
        outcome.add_done_callback(self._waiting.discard)
        self._attempt(outcome, order, notify, {}, 1)
        return outcome

    def end(self, error: BaseException) -> None:
        """Fail all orders that wait for their reply."""
        self._ended = True
        with self._lock:
            waiting = list(self._waiting)
        for outcome in waiting:
            _fail(outcome, error)

    def _attempt(
        self,
        outcome: Future[Reply],
        order: Order,
        notify: Notify,
        contents: Contents,
        attempt: int,
    ) -> None:
        if self._ended or outcome.done():
            return
        try:
            sent = self._send(replace(order, identity=self.identity), contents, notify)
        except Exception as error:  # executors raise whatever they like
            self._lost(outcome, order, notify, attempt, error)
            return
        sent.add_done_callback(partial(self._heard, outcome, order, notify, attempt))

    def _heard(
        self,
        outcome: Future[Reply],
        order: Order,
        notify: Notify,
        attempt: int,
        sent: Future[Reply],
    ) -> None:
        """Take a reply, or send the order again."""
        try:
            error = CancelledError() if sent.cancelled() else sent.exception()
            if error is not None:
                self._lost(outcome, order, notify, attempt, error)
                return
            reply = sent.result()
            if isinstance(reply, Lacking):
                missing = {digest: self.contents[digest] for digest in reply.digests}
                self._attempt(outcome, order, notify, missing, attempt)
            elif not isinstance(reply, Failure):
                _succeed(outcome, reply)
            elif reply.is_the_workers:
                if reply.is_unfit:
                    self._leave_out(sent, reply.message)
                self._lost(outcome, order, notify, attempt, reply.error())
            else:
                _fail(outcome, reply.error())
        except Exception as error:  # or the order would wait forever
            _fail(outcome, error)

    def _lost(
        self,
        outcome: Future[Reply],
        order: Order,
        notify: Notify,
        attempt: int,
        error: BaseException,
    ) -> None:
        """Send a lost order again, unless there is nobody left or it was lost too often."""
        if self._ended or outcome.done():
            return
        if (gone := self._gone()) is not None:
            self.end(ClusterError(gone))
        elif attempt >= MOST_ATTEMPTS or self._is_final(error):
            cause = shortened(words_of(error) or type(error).__name__, LONGEST_CAUSE)
            _fail(
                outcome,
                error
                if isinstance(error, PowerMLError) and not isinstance(error, ClusterError)
                else MeasurementError(
                    f"{order.title} was lost again and again with its worker ({cause}): look at "
                    "the worker's log, and at its memory"
                ),
            )
        else:
            notify("lost with its worker: once more")
            self._attempt(outcome, order, notify, {}, attempt + self._is_to_blame(error))


Found = TypeVar("Found")


def _succeed(outcome: Future[Found], found: Found) -> None:
    if not outcome.done():
        outcome.set_result(found)


def _fail(outcome: Future[Found], error: BaseException) -> None:
    if not outcome.done():
        outcome.set_exception(error)


def require_alike(
    found: Mapping[str, Identity | Failure],
    unlike: Mapping[str, str],
    unfit: Unfit,
) -> None:
    """Refuse workers that differ, or that nobody is left of.

    Parameters
    ----------
    found
        The reply of each worker, by its name.
    unlike
        The reason for each that differs or cannot work.
    unfit
        ``refuse`` or ``leave-out``.

    Raises
    ------
    ClusterError
        There are such workers and they are refused, or there is no other.
    """
    if not unlike or (unfit == "leave-out" and len(unlike) < len(found)):
        return
    name, reason = next(iter(unlike.items()))
    others = f", and {len(unlike) - 1} more" if len(unlike) > 1 else ""
    advice = (
        "install the same there"
        if len(unlike) == len(found)
        else "install the same there, or add --unfit-workers leave-out"
    )
    raise ClusterError(f"the worker {name} cannot be used{others} ({reason}): {advice}")
