"""Workers of a Dask cluster: one that runs already, or one of this machine's cores."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from powerml.errors import ClusterError, SetupError, shortened, words_of
from powerml.progress import Notify
from powerml.workers import tasks
from powerml.workers.base import Unfit, Workers, require_alike
from powerml.workers.contents import Contents
from powerml.workers.identity import differences, most_common
from powerml.workers.listener import WorkersListener
from powerml.workers.orders import Failure, Identity, Order, Reply
from powerml.workers.scheduler_file import address_in

if TYPE_CHECKING:
    import distributed

__all__ = ["DASK", "DaskWorkers", "connected"]

DASK = "dask"
TCP, TLS = "dask://", "dask+tls://"
FILE = "dask:"
CONNECT_SECONDS = 20.0
JOIN_SECONDS = 60.0  # for a first worker
CHECK_SECONDS = 120.0  # in which each worker imports powerML
STOP_SECONDS = 5.0
# A batch system may start workers after others have ended.
ALONE_SECONDS = 300.0
WATCH_SECONDS = 1.0
SEND_SECONDS = 0.001
SWITCH_SECONDS = 0.0005  # in place of Python's 0.005
LOCAL = "127.0.0.1"
LONGEST_REASON = 120
# A dataset travels as part of an order, once for each worker; Dask warns of 10 MB.
LARGE_GRAPH = "distributed.admin.large-graph-warning-threshold"
# Dask passes an error of its own on where a worker cannot read an order, which quotes the cause.
NOT_FOUND = ModuleNotFoundError.__name__
CONNECTION_LOST = "scheduler-connection-lost"


def perform_here(order: Order, contents: Contents) -> tuple[str, Reply]:
    """Carry an order out in a Dask worker; return its address, too. It tells what it does."""
    import distributed

    worker = distributed.get_worker()

    def notify(message: str) -> None:
        told = {"title": order.title, "trial": order.trial, "said": message, "by": worker.name}
        worker.log_event(_topic(order.run), {name: _plain(one) for name, one in told.items()})

    return worker.address, tasks.perform(order, contents, notify, worker.state.nthreads)


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int | str) else str(value)


def _topic(run: str) -> str:
    return f"powerml-{run}"


@contextlib.contextmanager
def connected(place: str, listener: WorkersListener) -> Iterator[DaskWorkers]:
    """Connect to the scheduler of a cluster, or start one of this machine's cores.

    Parameters
    ----------
    place
        ``dask://HOST:PORT``, ``dask+tls://HOST:PORT``, ``dask:SCHEDULER_FILE``, or ``dask`` alone.
    listener
        Hears what is waited for, and how many workers there are.

    Raises
    ------
    SetupError
        Dask is not installed.
    ClusterError
        The scheduler cannot be reached.
    """
    try:
        import dask
        import distributed
    except ImportError as error:
        raise SetupError("Dask is not installed: pip install 'powerml[dask]'") from error
    # We say ourselves what is lost. Dask gives levels to loggers below its own, too.
    for name in ["asyncio", "tornado", "distributed", *logging.root.manager.loggerDict]:
        if name.split(".")[0] in {"asyncio", "tornado", "distributed"}:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    # And what differs: Dask compares fewer packages, and the scheduler's too.
    warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
    dask.config.set({LARGE_GRAPH: "1 GiB"})
    with contextlib.ExitStack() as stack:
        if place == DASK:
            listener.stage("starting a Dask cluster of this machine's cores")
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=len(os.sched_getaffinity(0)),
                    threads_per_worker=1,
                    processes=True,
                    host=LOCAL,
                    dashboard_address=f"{LOCAL}:0",
                    silence_logs=logging.CRITICAL,
                )
            )
            client = _client(place, cluster)
        else:
            listener.stage(f"connecting to the scheduler {place}")
            client = _client(place, None)
        stack.callback(_close, client)
        # Dask collects what a client sends for 10 ms: too long for orders that wait for each other.
        client.scheduler_comm.interval = SEND_SECONDS
        # Dask's thread would wait as long for one that predicts costs, at each step of an order.
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_SECONDS)
        yield DaskWorkers(client, place, listener.workers_changed)


def _client(place: str, cluster: Any) -> distributed.Client:
    import distributed

    class ClosedIfLost(distributed.Client):  # type: ignore[misc]
        """A client that is closed if it fails: Dask's would wait for 40 s at its end."""

        def start(self, **named: Any) -> Any:
            try:
                return super().start(**named)
            except BaseException:
                self.status = "closed"
                raise

    named: dict[str, Any] = {"timeout": CONNECT_SECONDS, "set_as_default": False}
    if cluster is not None:
        return distributed.Client(cluster, **named)
    if place.startswith(TCP):
        named["address"] = f"tcp://{place.removeprefix(TCP)}"
    elif place.startswith(TLS):
        named["address"] = f"tls://{place.removeprefix(TLS)}"
        _require_keys(place)
    else:
        named["address"] = address_in(Path(place.removeprefix(FILE)))
    _require_known_host(place, named["address"])
    advice = "start one with dask scheduler, and workers with dask worker"
    if named["address"].startswith("tls:"):
        advice = "check that the keys in Dask's settings are its, see docs/workers.md, or start one"
    try:
        return ClosedIfLost(**named)
    except Exception as error:  # of sockets, of TLS, of versions that do not understand each other
        raise ClusterError.quoting(
            f"no Dask scheduler answers at {place}", error, advice
        ) from error


def _require_keys(place: str) -> None:
    """Refuse TLS without keys, or with files that are not there, which Dask would not name."""
    from distributed.security import Security

    keys = Security()
    for named in (keys.tls_ca_file, keys.tls_client_cert, keys.tls_client_key):
        is_file_name = isinstance(named, str) and "\n" not in named  # else it is the key itself
        if is_file_name and not os.access(named, os.R_OK):
            raise ClusterError(
                f"{named}, which Dask's settings name for TLS, is no file that can be read: "
                "correct its path there, see docs/workers.md"
            )
    if keys.get_connection_args("client")["ssl_context"] is None:
        raise ClusterError(
            f"{place} is TLS, and Dask's settings name no keys: name them in "
            "~/.config/dask/tls.yaml, see docs/workers.md"
        )


def _require_known_host(place: str, address: str) -> None:
    """Refuse a host of no address: Dask would try it for as long as one that does not answer."""
    host = urlsplit(address).hostname
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise ClusterError.quoting(
            f"the host {host} of {place} is not known", error, "give the scheduler's address"
        ) from error


def _close(client: distributed.Client) -> None:
    with contextlib.suppress(Exception):  # the cluster may be gone
        client.close(timeout=STOP_SECONDS)


class DaskWorkers(Workers):
    """The workers of a Dask cluster. Made by `connected`."""

    name = DASK

    def __init__(
        self, client: distributed.Client, place: str, changed: Callable[[int, int], None]
    ) -> None:
        super().__init__()
        self._client = client
        self._place = place
        self._present: dict[str, Any] = {}  # workers by their addresses
        self._unfit: dict[str, str] = {}  # the reason by address
        self._notify_of: dict[str, Notify] = {}  # by title
        self._sent: dict[Future[Reply], _Sent] = {}
        self._replied: dict[Future[Reply], str] = {}  # the worker's address
        self._changed = changed
        self._watching = threading.Event()
        self._alone_since: float | None = None
        client.subscribe_topic(_topic(self.run), self._told)

    @property
    def slots(self) -> int:
        """Number of the threads of the cluster's fit workers."""
        workers = self._workers()
        return max(1, sum(int(one["nthreads"]) for one in workers.values()))

    def _workers(self) -> dict[str, Any]:
        """Return the workers that are there and fit, by their addresses."""
        scheduler = self._client.scheduler
        if scheduler is not None:
            with contextlib.suppress(OSError):  # the connection is lost, and may come back
                # Dask's own `scheduler_info` keeps what it has heard where a timer of Dask's
                # replaces it by an answer without workers.
                told = self._client.sync(scheduler.identity, n_workers=-1)
                self._present = dict(told["workers"])
        present = self._present
        return {address: one for address, one in present.items() if address not in self._unfit}

    def check(self, backend: str, unfit: Unfit, *, simulates: bool, notify: Notify) -> None:
        """Compare the workers, and leave out or refuse those that differ."""
        if not self._workers():
            notify("waiting for a worker of the cluster")
        try:
            self._client.wait_for_workers(1, timeout=JOIN_SECONDS)
        except Exception as error:  # its class depends on the version
            raise ClusterError(
                f"the cluster {self._place} has no workers: start some with dask worker"
            ) from error
        notify("comparing the workers")
        names = {address: str(one["name"]) for address, one in self._workers().items()}
        found = self._described(backend, simulates=simulates)
        known = {one: said for one, said in found.items() if not isinstance(said, Failure)}
        unlike = {
            names.get(one, one): said.message
            for one, said in found.items()
            if isinstance(said, Failure)
        }
        if known:
            mine = tasks.describe(backend, simulates=simulates)
            preferred = None if isinstance(mine, Failure) else mine
            self.identity = most_common(list(known.values()), preferred)
            for address, theirs in known.items():
                if said := differences(theirs, self.identity):
                    unlike[names.get(address, address)] = "; ".join(said)
        require_alike({names.get(one, one): said for one, said in found.items()}, unlike, unfit)
        for address in found:
            if (name := names.get(address, address)) in unlike:
                self._unfit[address] = unlike[name]
                notify(f"the worker {name} is left out: {unlike[name]}")
        threading.Thread(target=self._watch, name="watching workers", daemon=True).start()

    def _described(self, backend: str, *, simulates: bool) -> dict[str, Identity | Failure]:
        """Ask every worker for its identity, beside what it works on."""
        answers: dict[str, Identity | Failure | BaseException] = {}

        def ask(address: str) -> None:
            try:
                answers.update(
                    self._client.run(
                        tasks.describe, backend, simulates=simulates, workers=[address]
                    )
                )
            except Exception as error:  # of the worker's own, or of the connection to it
                answers[address] = error

        silence = TimeoutError(f"it gave no answer within {CHECK_SECONDS:g} s")
        _side_by_side([partial(ask, address) for address in self._workers()], CHECK_SECONDS)
        found = {address: answers.get(address, silence) for address in sorted(self._workers())}
        return {
            address: Failure("SetupError", _reason(answer), "", is_the_workers=True)
            if isinstance(answer, BaseException)
            else answer
            for address, answer in found.items()
        }

    def _told(self, event: tuple[float, dict[str, Any]]) -> None:
        """Pass on what a worker tells."""
        told = event[1]
        if notify := self._notify_of.get(str(told["title"])):
            notify(f"{told['said']}, on {told['by']}")

    def _send(self, order: Order, contents: Contents, notify: Notify) -> Future[Reply]:
        self._notify_of[order.title] = notify
        allowed = list(self._workers()) if self._unfit else None
        if allowed == []:
            raise ClusterError(self._none_left())
        future = self._client.submit(
            perform_here,
            order,
            contents,
            key=f"{order.title}-{os.urandom(8).hex()}",
            pure=False,
            workers=allowed,
        )
        sent: Future[Reply] = Future()
        self._sent[sent] = _Sent(future, allowed)
        sent.add_done_callback(lambda _: self._sent.pop(sent, None))
        future.add_done_callback(partial(self._arrived, sent))
        return sent

    def _arrived(self, sent: Future[Reply], future: distributed.Future) -> None:
        """Take a result over, in a thread of Dask's."""
        if sent.done():
            return
        try:
            if future.cancelled():
                error: BaseException = future.exception() if future.done() else ConnectionError()
                sent.set_exception(error or ConnectionError("the order was cancelled"))
                return
            address, reply = future.result()
            self._replied[sent] = address
            sent.set_result(reply)
            self._replied.pop(sent, None)
        except BaseException as error:  # of the task, or of the connection
            if not sent.done():
                sent.set_exception(error)

    def _leave_out(self, sent: Future[Reply], reason: str) -> None:
        address = self._replied.pop(sent, None)
        if address is None:
            return
        self._unfit[address] = reason
        if not self._workers():
            self.end(ClusterError(self._none_left()))

    def _none_left(self) -> str:
        name, reason = next(iter(self._unfit.items()))
        return (
            f"no worker of {self._place} can be used any more; {name}: "
            f"{shortened(reason, LONGEST_REASON)}; mend it"
        )

    def _gone(self) -> str | None:
        """Wait for the connection to come back, if it is lost."""
        while self._client.status == "connecting":
            time.sleep(0.1)
        if self._client.status == "running":
            return None
        return (
            f"the scheduler of {self._place} is gone, and did not come back within "
            f"{CONNECT_SECONDS:g} s: start it again"
        )

    def _is_to_blame(self, error: BaseException) -> bool:
        return CONNECTION_LOST not in str(getattr(error, "reason", ""))

    def _is_final(self, error: BaseException) -> bool:
        return type(error).__name__ == "KilledWorker"

    def _watch(self) -> None:
        """Look after the workers until the run ends: who is there, and who never comes back."""
        last = (-1, -1)
        while not self._watching.wait(WATCH_SECONDS):
            if self._client.status != "running":
                continue
            # The connection may be lost meanwhile: the orders hear of it.
            with contextlib.suppress(Exception):
                present = set(self._workers())
                now = (len(present), len(self._sent))
                if now != last:
                    self._changed(*now)
                    last = now
                self._require_anyone(present)
                self._take_back(present)

    def _take_back(self, present: set[str]) -> None:
        """Fail the orders whose workers are gone, where no other may have them."""
        for sent, one in list(self._sent.items()):
            if one.allowed is not None and not present & set(one.allowed):
                self._client.cancel([one.future], force=True)
                if not sent.done():
                    sent.set_exception(ConnectionError("its worker is gone"))

    def _require_anyone(self, present: set[str]) -> None:
        """End the run if no worker has been there for long."""
        if present:
            self._alone_since = None
            return
        self._alone_since = self._alone_since or time.monotonic()
        if time.monotonic() - self._alone_since > ALONE_SECONDS:
            self.end(
                ClusterError(
                    f"no worker of {self._place} has been there for {ALONE_SECONDS:g} s: start "
                    "one with dask worker"
                )
            )

    def stop(self) -> None:
        """Tell the workers to stop what they do, without waiting for them."""
        self._end("the run was stopped", _stop_there)

    def leave(self) -> None:
        """Have the workers close their simulators."""
        self._end("the run has ended", _leave_there)

    def _end(self, reason: str, tell: Callable[[str], Awaitable[None]]) -> None:
        self._watching.set()
        self.end(ClusterError(reason))
        if self._client.status != "running":
            return

        def say() -> None:
            with contextlib.suppress(Exception):  # a worker that is gone has nothing to stop
                self._client.cancel([one.future for one in list(self._sent.values())], force=True)
                self._client.run(tell, self.run, wait=False, on_error="ignore")
                self._client.unsubscribe_topic(_topic(self.run))

        _side_by_side([say], STOP_SECONDS)


async def _stop_there(run: str) -> None:
    """Stop the tasks of a run, in a worker's event loop, which goes on meanwhile."""
    await asyncio.to_thread(tasks.stop, run)


async def _leave_there(run: str) -> None:
    """Close the simulators of a run, in a worker's event loop, which goes on meanwhile."""
    await asyncio.to_thread(tasks.leave, run)


def _side_by_side(calls: Sequence[Callable[[], None]], seconds: float) -> None:
    """Make calls for so long at most: a worker that hangs never answers."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


class _Sent:
    """An order that is with Dask, and the workers that it may go to; None for all."""

    def __init__(self, future: distributed.Future, allowed: list[str] | None) -> None:
        self.future = future
        self.allowed = allowed


def _reason(error: BaseException) -> str:
    words = words_of(error)
    if isinstance(error, ImportError) or ImportError.__name__ in words or NOT_FOUND in words:
        return f"powerml cannot be imported there: {shortened(words, LONGEST_REASON)}"
    return shortened(words, LONGEST_REASON)
