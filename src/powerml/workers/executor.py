"""Workers of any `concurrent.futures.Executor`: a pool of processes, of MPI or of a job queue."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future
from typing import Any

from powerml.errors import ClusterError
from powerml.progress import Notify
from powerml.workers import tasks
from powerml.workers.base import Unfit, Workers, require_alike
from powerml.workers.contents import Contents
from powerml.workers.identity import differences
from powerml.workers.orders import Failure, Order, Reply

__all__ = ["ExecutorWorkers"]

CHECK_SECONDS = 120.0  # in which a first process is started and powerML imported


class ExecutorWorkers(Workers):
    """Workers of an executor, which stays open.

    Each of its processes is compared with this one when it gets its first order. One that differs
    ends the run, because an executor's processes cannot be chosen.
    """

    name = "executor"

    def __init__(self, executor: Executor) -> None:
        super().__init__()
        self._executor = executor
        self._sent: set[Future[Reply]] = set()

    @property
    def slots(self) -> int:
        """Number of the executor's workers, as far as it tells; else of this machine's cores."""
        for name in ("_max_workers", "max_workers", "num_workers"):
            found = getattr(self._executor, name, None)
            if isinstance(found, int) and found > 0:
                return found
        return len(os.sched_getaffinity(0))

    def check(self, backend: str, unfit: Unfit, *, simulates: bool, notify: Notify) -> None:
        """Compare a first worker with this process."""
        notify("comparing the workers with this process")
        try:
            found = self._executor.submit(tasks.describe, backend, simulates=simulates).result(
                CHECK_SECONDS
            )
        except Exception as error:  # executors raise whatever they like
            raise ClusterError.quoting(
                f"the executor {type(self._executor).__name__} does no work",
                error,
                "give one whose processes can import powerml",
            ) from error
        mine = tasks.describe(backend, simulates=simulates)
        if isinstance(mine, Failure):
            mine = found
        said: dict[str, str] = {}
        if isinstance(found, Failure):
            said = {"of the executor": found.message}
        elif not isinstance(mine, Failure) and (unlike := differences(found, mine)):
            said = {"of the executor": "; ".join(unlike)}
        require_alike({"of the executor": found}, said, unfit)
        self.identity = None if isinstance(found, Failure) else found

    def _send(self, order: Order, contents: Contents, notify: Notify) -> Future[Reply]:
        notify(order.title)
        sent = self._executor.submit(tasks.perform, order, contents)
        self._sent.add(sent)
        sent.add_done_callback(self._sent.discard)
        return sent

    def _leave_out(self, sent: Future[Reply], reason: str) -> None:  # noqa: ARG002 - none is chosen
        raise ClusterError(f"a worker of the executor cannot be used ({reason})")

    def _gone(self) -> str | None:
        has_died: Any = getattr(self._executor, "_broken", False)
        if not has_died:
            return None
        return (
            "the executor is broken, for one of its processes has died: make another, and "
            "continue with resume=True"
        )

    def stop(self) -> None:
        """Cancel the orders that no worker has begun."""
        self.end(ClusterError("the run was stopped"))
        for sent in list(self._sent):
            sent.cancel()
        tasks.stop(self.run)  # for an executor of threads

    def leave(self) -> None:
        """Close the simulators that run in this process."""
        self._ended = True
        tasks.leave(self.run)
