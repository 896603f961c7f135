"""A command's side of the warm simulator: reach it, start it, use its guests, and end it."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock

from powerml.backend import select_backend
from powerml.errors import PowerMLError, ServerError, UnknownNameError, UsageError, WorkerError
from powerml.guest.request import AnyRequest
from powerml.machines import Geometry
from powerml.meters.simulator import launch
from powerml.meters.simulator.guest_meter import KERAS_JOBS, runs_in_children
from powerml.meters.simulator.server import Done, ServerDiedError
from powerml.meters.simulator.view import PACKAGE
from powerml.meters.simulator.warm.place import (
    SUFFIX,
    installation_key,
    open_folder,
    require_same_user,
    socket_address,
    user_folder,
)
from powerml.meters.simulator.warm.protocol import (
    LONGEST_LINE_BYTES,
    Finished,
    GiveUp,
    GuestWanted,
    Message,
    Ready,
    RequestFailed,
    StateWanted,
    Stop,
    Submit,
    Using,
    WarmState,
    decode,
    encode,
    failure_of,
)
from powerml.runtimes import FRAMEWORK, find_runtime, require_runtime, runtime_names
from powerml.workloads.workload import OWN_JOB, TRAINING_JOB

__all__ = [
    "DEFAULT_IDLE_MINUTES",
    "DEPLOYMENT",
    "WarmServer",
    "get_ready",
    "job_of",
    "reach",
    "start",
    "states",
    "stop",
]

DEFAULT_IDLE_MINUTES = 10.0
DAEMON = "powerml.meters.simulator.warm.daemon"
ANSWER_SECONDS = 60.0  # to the first word; what takes longer is told of by a second one
GONE = "the warm simulator has ended"
DEPLOYMENT = "deployment:"
OTHER_GUESTS = (TRAINING_JOB, OWN_JOB, "loads")
# A command's installation is that with which it was started.
own_key = functools.cache(installation_key)


class WarmServer:
    """A guest of the warm simulator, with the methods of a `Server`.

    Parameters
    ----------
    connection
        The connection to the simulator, which this object closes.
    wanted
        The guest.
    folder
        The private folder with the staged files of all requests.

    Raises
    ------
    ServerError
        The simulator does not answer.
    """

    def __init__(self, connection: socket.socket, wanted: GuestWanted, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._numbers = count(1)
        self._pending: dict[int, Future[Done]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.ready: Future[dict[str, Any]] = Future()
        self.seconds_per_step: float | None = None
        self._answers = _answers(connection)
        try:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(encode(wanted))
            first = next(self._answers, None)
            connection.settimeout(None)
            if not isinstance(first, Using):
                raise (
                    failure_of(first) if isinstance(first, RequestFailed) else ServerDiedError(GONE)
                )
        except OSError as error:
            self._hang_up()
            raise ServerDiedError.quoting(
                "the warm simulator does not answer", error, "stop it with powerml warm --stop"
            ) from error
        except PowerMLError:
            self._hang_up()
            raise
        self.was_ready = first.is_ready
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """True if it takes no more requests."""
        return self._closed

    def submit(self, request: AnyRequest, limit_seconds: float) -> Future[Done]:
        """Have a request measured; see `Server.submit`."""
        self.ready.result()
        result: Future[Done] = Future()
        with self._lock:
            if self._closed:
                raise ServerDiedError(GONE)
            number = next(self._numbers)
            line = encode(
                Submit(
                    number=number,
                    content=json.dumps(request.content()),
                    title=request.title,
                    folder=str(self._folder),
                    limit_seconds=limit_seconds,
                )
            )
            self._pending[number] = result
            try:
                self._connection.sendall(line)
            except OSError as error:
                del self._pending[number]
                raise ServerDiedError(GONE) from error
        return result

    def give_up(self, result: Future[Done]) -> None:
        """Stop a request whose result is no longer needed."""
        with self._lock:
            numbers = [number for number, one in self._pending.items() if one is result]
            for number in numbers:
                with contextlib.suppress(OSError):
                    self._connection.sendall(encode(GiveUp(number)))
        for number in numbers:
            self._finish(number, WorkerError("the measurement was given up"))

    def close(self) -> None:
        """End the connection: the simulator gives up the requests, and keeps the guest."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _listen(self) -> None:
        """Pass on the simulator's answers until the connection ends."""
        error: PowerMLError = ServerDiedError(GONE)
        try:
            for answer in self._answers:
                if isinstance(answer, Ready):
                    self.seconds_per_step = answer.seconds_per_step
                    self.ready.set_result(answer.guest)
                elif isinstance(answer, Finished):
                    self._finish(answer.number, answer.done)
                elif isinstance(answer, RequestFailed):
                    failure = failure_of(answer)
                    if answer.number is not None:
                        self._finish(answer.number, failure)
                    if answer.number is None or isinstance(failure, ServerError):
                        error = failure  # the guest's own end
                        break
        except ServerError as unreadable:
            error = unreadable
        except OSError:
            pass  # it was killed
        self._fail(error)
        self._hang_up()

    def _hang_up(self) -> None:
        self._answers.close()
        self._connection.close()

    def _fail(self, error: PowerMLError) -> None:
        """Notify all waiting threads that the guest is no longer to be had."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        for number in pending:
            died = ServerDiedError(str(error))
            died.detail = error.detail
            self._finish(number, died)
        if not self.ready.done():
            self.ready.set_exception(error)

    def _finish(self, number: int, outcome: Done | Exception) -> None:
        with self._lock:
            result = self._pending.pop(number, None)
        if result is None:
            return
        if isinstance(outcome, Exception):
            result.set_exception(outcome)
        else:
            result.set_result(outcome)


def reach(
    job: str,
    backend: str | None,
    geometries: Sequence[Geometry],
    folder: Path,
) -> WarmServer:
    """Return a guest of the warm simulator, which is started if there is none.

    Parameters
    ----------
    job
        A job of the guest's: ``training``, ``own``, ``loads``, ``framework`` or
        ``deployment:RUNTIME``.
    backend
        The Keras backend, None where Keras is not used.
    geometries
        The caches to simulate.
    folder
        The private folder with the staged files of all requests.

    Raises
    ------
    ServerError
        The simulator cannot be started or reached.
    SetupError
        Others can open the folder of its socket, or what it needs is not installed.
    """
    plug_ins = [find_runtime(job.removeprefix(DEPLOYMENT))] if job.startswith(DEPLOYMENT) else []
    wanted = GuestWanted(
        job=job,
        backend=backend,
        geometries=[one.model_dump_json() for one in geometries],
        code=launch.code_digest(plug_ins),
    )
    with open_folder(user_folder()) as opened:
        try:
            return WarmServer(_connect_or_start(opened), wanted, folder)
        except ServerDiedError:  # it ended just when it was reached
            return WarmServer(_connect_or_start(opened), wanted, folder)


def job_of(guest: str) -> tuple[str, str | None]:
    """Return the job and the Keras backend of a guest, the latter None where Keras is not used.

    Parameters
    ----------
    guest
        ``training``, ``own``, ``loads``, or the name of a runtime.

    Raises
    ------
    SetupError
        What it needs is not installed.
    UnknownNameError
        There is no such guest.
    UsageError
        The Keras backend starts threads, and its guests cannot be kept.
    """
    job = guest
    if guest not in OTHER_GUESTS:
        names = runtime_names()
        if guest not in names:
            raise UnknownNameError("guest", guest, (*OTHER_GUESTS, *names))
        runtime = require_runtime(guest).name
        job = runtime if runtime == FRAMEWORK else f"{DEPLOYMENT}{runtime}"
    backend = select_backend() if job in KERAS_JOBS else None
    if not runs_in_children(job, backend):
        raise UsageError(
            f"{guest} on {backend} takes a process for each measurement, which is not kept: "
            "leave it out, or set KERAS_BACKEND to torch"
        )
    return job, backend


def get_ready(guest: str, geometries: Sequence[Geometry]) -> WarmServer:
    """Return a guest, started if it is not running, to which nothing is submitted.

    Parameters
    ----------
    guest
        ``training``, ``own``, ``loads``, or the name of a runtime.
    geometries
        The caches to simulate.

    Raises
    ------
    ServerError
        The simulator cannot be started or reached.
    SetupError
        Others can open the folder of its socket, or what it needs is not installed.
    UnknownNameError
        There is no such guest.
    UsageError
        The Keras backend starts threads, and its guests cannot be kept.
    """
    job, backend = job_of(guest)
    return reach(job, backend, geometries, Path("/"))


def start(idle_minutes: float = DEFAULT_IDLE_MINUTES) -> None:
    """Start the warm simulator of this installation, if it is not running.

    Parameters
    ----------
    idle_minutes
        Time after which it ends, and each of its guests, if nobody uses it.

    Raises
    ------
    ServerError
        It cannot be started.
    SetupError
        Others can open the folder of its socket.
    """
    with open_folder(user_folder()) as opened:
        _connect_or_start(opened, idle_minutes).close()


def states() -> list[WarmState]:
    """Return the states of this user's warm simulators, one for each installation.

    Raises
    ------
    SetupError
        Others can open the folder of the sockets.
    """
    return list(_asked(StateWanted()))


def stop() -> list[WarmState]:
    """End this user's warm simulators; return their last states.

    Raises
    ------
    SetupError
        Others can open the folder of the sockets.
    """
    return list(_asked(Stop()))


def _asked(question: StateWanted | Stop) -> Iterator[WarmState]:
    folder = user_folder()
    if not folder.exists():
        return
    with open_folder(folder) as opened:
        for name in sorted(os.listdir(opened)):
            connection = _connect(opened, name) if name.endswith(SUFFIX) else None
            if connection is None:
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(ANSWER_SECONDS)
                connection.sendall(encode(question))
                for answer in _answers(connection):
                    if isinstance(answer, WarmState):
                        yield answer


def _connect(folder: int, name: str) -> socket.socket | None:
    """Connect to a socket of an open folder; None where nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(socket_address(folder, name))
        require_same_user(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_or_start(folder: int, idle_minutes: float = DEFAULT_IDLE_MINUTES) -> socket.socket:
    key = own_key()
    name = f"{key}{SUFFIX}"
    if (connection := _connect(folder, name)) is not None:
        return connection
    with FileLock(socket_address(folder, f"{key}.lock")):
        # Another command may have started it meanwhile.
        if (connection := _connect(folder, name)) is not None:
            return connection
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)  # of one that was killed
        ended = subprocess.run(
            [sys.executable, "-P", "-m", DAEMON, key, f"{idle_minutes:g}", str(PACKAGE)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            # Ctrl-C ends the command alone.
            start_new_session=True,
        )
        if ended.returncode == 0 and (connection := _connect(folder, name)) is not None:
            return connection
    said = ended.stderr.strip().rpartition("\n")[2] or GONE
    raise ServerError.quoting("the warm simulator cannot be started", said, "see powerml doctor")


def _answers(connection: socket.socket) -> Generator[Message]:
    """Yield messages to the end of the connection.

    Raises
    ------
    OSError
        The connection was cut, or nothing came for too long.
    ServerError
        One cannot be read.
    """
    with connection.makefile("rb") as lines:
        while line := lines.readline(LONGEST_LINE_BYTES + 1):
            yield decode(line)
