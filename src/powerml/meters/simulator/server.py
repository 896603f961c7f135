"""The host's side of the warm process: start, request, wait, restart, stop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, Protocol

from powerml.errors import ServerError, WorkerError
from powerml.guest.request import NAME_BYTES, REHEARSAL, AnyRequest, announcement, hello
from powerml.meters.simulator import launch
from powerml.meters.simulator.launch import Launch, Mode

__all__ = ["START_LIMIT_SECONDS", "Done", "GuestServer", "Server", "ServerDiedError"]

START_LIMIT_SECONDS = 900.0  # 30 to 60 s are usual; a loaded machine may take ten times that
POLL_SECONDS = 0.5
# The first seven leave a few cache lines otherwise than those after them.
REHEARSALS = 10
LOG_LINES_SHOWN = 3
# Valgrind looks at the host's caches, and warns of them, before it takes those it is given; and the
# logs of children hold their marks.
NO_LAST_WORDS = re.compile(r"--\d+-- warning: .*cache|\*\*\d+\*\* |[a-z]+[a-z0-9-]*: ")
NAMES = count(1)
STEPS_OF_WARM_UP_ROUND = 2 * 6  # two topologies; two epochs of two batches, and an evaluation


class ServerDiedError(ServerError):
    """An end of the warm process while it was needed."""


@dataclass(frozen=True)
class Done:
    """A request that was done.

    Valgrind names the files of a process by its number. `moments_seconds` are the times of its
    fork, of the built network, and so on, by the system's monotonic clock.
    """

    name: str
    process: int
    moments_seconds: dict[str, float]


@dataclass
class _Pending:
    """A request that was sent; its future holds the process that did it."""

    folder: Path
    title: str
    result: Future[Done]
    deadline: float
    limit_seconds: float


class GuestServer(Protocol):
    """A warm process that does requests: a child of this process, or of the warm simulator."""

    ready: Future[dict[str, Any]]
    """The description of the process, once it takes requests; or the error of its start."""

    seconds_per_step: float | None
    """Pace of the warm-up, None while it is not known."""

    @property
    def has_ended(self) -> bool:
        """True if it takes no more requests."""

    def submit(self, request: AnyRequest, limit_seconds: float) -> Future[Done]:
        """Have a request measured; see `Server.submit`."""

    def give_up(self, result: Future[Done]) -> None:
        """Stop a request whose result is no longer needed."""

    def close(self) -> None:
        """End it, or leave it to others where it is theirs too."""


class Server:
    """One warm process in a simulator, for one job.

    Starting returns at once. `submit` may be called from any thread, even before the process is
    ready. Its requests run side by side.

    The process is the child of a thread that lives as long as it does. The kernel kills a child
    with a parent-death signal when the thread that made it ends.

    Parameters
    ----------
    launched
        The command and the environment of the process.
    folder
        A private folder, in which all files of the server lie.
    job
        A job of the guest's: ``training``, ``own``, ``loads`` or ``deployment:RUNTIME``.
    mode
        ``serve`` forks a child for each request; ``once`` does one request and ends.
    """

    def __init__(
        self,
        launched: Launch,
        folder: Path,
        job: str,
        mode: Mode = "serve",
    ) -> None:
        self._folder = folder
        self._mode = mode
        self._buffer = b""
        self._keepers: dict[str, int] = {}
        self._pending: dict[str, _Pending] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.ready: Future[dict[str, Any]] = Future()
        self.seconds_per_step: float | None = None
        launch.require_client_requests()
        self._log_path = folder / f"worker-{job}-{time.monotonic_ns()}.log"
        self._log: IO[bytes] = self._log_path.open("wb")
        self._launched = launched
        self._process: subprocess.Popen[bytes]
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._live, args=(started,), daemon=True)
        self._thread.start()
        started.result()
        self._send(hello(os.getpid()))

    @property
    def pid(self) -> int:
        """Process number of the warm process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True if it takes no more requests."""
        return self._closed

    def submit(self, request: AnyRequest, limit_seconds: float) -> Future[Done]:
        """Have a request measured; the future holds the process or the error.

        The error is ``WorkerError`` if a child crashed, failed or took longer than `limit_seconds`;
        the server then lives on. It is ``ServerDiedError`` if the server ended.
        """
        content = json.dumps(request.content())
        return self.submit_staged(content, request.title, self._folder, limit_seconds)

    def submit_staged(
        self, content: str, title: str, folder: Path, limit_seconds: float
    ) -> Future[Done]:
        """Have a request measured whose files are staged in a folder; see `submit`.

        Parameters
        ----------
        content
            The request as JSON, to the letter as the worker reads it.
        title
            The request's name in messages.
        folder
            The folder of the staged files, to which the worker adds its own.
        """
        self.ready.result()
        result: Future[Done] = Future()
        deadline = time.monotonic() + limit_seconds
        with self._lock:
            if self._closed:
                raise ServerDiedError("the simulator was stopped")
            name = _written(content, folder)
            self._pending[name] = _Pending(folder, title, result, deadline, limit_seconds)
            self._send(announcement(folder, name))
        return result

    def give_up(self, result: Future[Done]) -> None:
        """Stop a request whose result is no longer needed."""
        with self._lock:
            names = [name for name, one in self._pending.items() if one.result is result]
        for name in names:
            self._stop(name)
            self._finish(name, WorkerError("the measurement was given up"))

    def close(self) -> None:
        """End the server and all its children, and wait for it."""
        with self._lock:
            self._closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._thread.join()

    def _live(self, started: Future[None]) -> None:
        """Start the process, pass on its reports, and end when it ends."""
        try:
            process = subprocess.Popen(
                self._launched.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=self._launched.environment,
                cwd=launch.WORKING_DIRECTORY,
                pass_fds=[self._launched.descriptor],
                # Ctrl-C is the host's to handle: the worker must not see it.
                start_new_session=True,
            )
        except OSError as error:
            started.set_exception(
                ServerError.quoting("Valgrind cannot be started", error, "see powerml doctor")
            )
            self._log.close()
            return
        self._process = process
        started.set_result(None)
        try:
            self._wait_until_ready()
            while True:
                self._pass_on(self._report(None))
                self._give_up_late_ones()
        except ServerError as error:
            self._fail(error)
        except Exception as error:  # whatever it is, nobody may be left waiting
            self._fail(
                ServerError.quoting(
                    "the simulator's reports cannot be read", error, "measure again"
                )
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._log.close()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_SECONDS
        started_ns = 0
        while not self.ready.done():
            line = self._report(deadline)
            if line is None:
                raise ServerError(
                    f"the simulator was not ready after {START_LIMIT_SECONDS:.0f} s: "
                    "end other programs, or measure again"
                )
            word, _, rest = line.partition(b" ")
            if word == b"warming":
                started_ns = int(rest)
            elif word == b"warmed":
                self.seconds_per_step = (int(rest) - started_ns) / 1e9 / STEPS_OF_WARM_UP_ROUND
            elif word == b"ready":
                for _ in range(REHEARSALS if self._mode == "serve" else 0):
                    self._send(announcement(self._folder, REHEARSAL))
                self.ready.set_result(json.loads(rest))

    def _pass_on(self, line: bytes | None) -> None:
        """Notify the waiting thread that a child has ended."""
        if line is None:
            return
        word, name, number = line.decode().split()
        with self._lock:
            pending = self._pending.get(name)
        if word == "started":
            self._keepers[name] = int(number)
            if pending is None:  # it was given up before it began
                self._stop(name)
        elif pending is not None:
            self._keepers.pop(name, None)
            try:
                self._check(name, int(number), pending)
                done = _done(name, pending.folder)
            except WorkerError as error:
                self._finish(name, error)
            except OSError as error:  # whoever asked for it may have ended, and its folder with it
                self._finish(
                    name,
                    WorkerError.quoting(
                        f"the files of {pending.title} are gone", error, "measure again"
                    ),
                )
            else:
                self._finish(name, done)

    def _give_up_late_ones(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [(name, one) for name, one in self._pending.items() if now > one.deadline]
        for name, one in late:
            self._stop(name)
            self._finish(
                name,
                WorkerError(
                    f"{one.title} took longer than "
                    f"{one.limit_seconds:g} s and was stopped: raise --limit-seconds"
                ),
            )

    def _finish(self, name: str, outcome: Done | Exception) -> None:
        with self._lock:
            pending = self._pending.pop(name, None)
        if pending is None:
            return
        if isinstance(outcome, Exception):
            pending.result.set_exception(outcome)
        else:
            pending.result.set_result(outcome)

    def _fail(self, error: ServerError) -> None:
        """Notify all waiting threads that the server has ended."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        for name in pending:
            died = ServerDiedError(str(error))
            died.detail = error.detail
            self._finish(name, died)
        if not self.ready.done():
            self.ready.set_exception(error)

    def _send(self, message: bytes) -> None:
        if self._process.stdin is None:
            raise ServerDiedError("the simulator has no standard input")
        try:
            os.write(self._process.stdin.fileno(), message)
        except (OSError, ValueError) as error:
            raise self._obituary() from error

    def _report(self, deadline: float | None) -> bytes | None:
        """Return the next line from the guest, or None at the deadline or after a while."""
        stream = self._process.stdout
        if stream is None:
            raise ServerDiedError("the simulator has no standard output")
        while b"\n" not in self._buffer:
            self._check_keepers()
            if deadline is not None and time.monotonic() > deadline:
                return None
            if not select.select([stream], [], [], POLL_SECONDS)[0]:
                # A child of a dead server keeps the pipe open until the kernel has ended it.
                if self._process.poll() is not None:
                    raise self._obituary()
                if deadline is None:
                    return None
                continue
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                raise self._obituary()
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _check_keepers(self) -> None:
        for name, pid in list(self._keepers.items()):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                # It reports before it ends: read what it may have written first.
                stream = self._process.stdout
                if stream is not None and not select.select([stream], [], [], 0)[0]:
                    del self._keepers[name]
                    self._finish(
                        name,
                        WorkerError(
                            f"the process that watches {name} was killed from outside: "
                            "measure again"
                        ),
                    )

    def _check(self, name: str, exit_code: int, pending: _Pending) -> None:
        """Raise unless the child has left its mark of success."""
        if (pending.folder / f"{name}.done").exists():
            return
        what = pending.title
        error = pending.folder / f"{name}.error"
        if error.exists():
            said = error.read_text(encoding="utf-8", errors="replace")
            raise WorkerError.quoting(f"{what} failed", said, "measure again, or another model")
        if exit_code == -signal.SIGKILL:
            raise WorkerError(
                f"{what} was killed, perhaps for lack of memory: free some, or give fewer --jobs"
            )
        if exit_code == -signal.SIGILL:
            raise WorkerError(
                f"{what} came to an instruction that the simulated processor lacks (SIGILL): of a "
                "board's profile check that the processor in emulated_as has all its features"
            )
        crashed = WorkerError(f"{what} crashed ({_how(exit_code)}): measure again")
        crashed.detail = self._last_words()
        raise crashed

    def _stop(self, name: str) -> None:
        if pid := self._keepers.pop(name, None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # its child ends with it

    def _obituary(self) -> ServerDiedError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        code = self._process.returncode
        how = "" if code is None else f", {_how(code)}"
        return ServerDiedError.quoting(
            f"the simulator ended{how}", self._last_words(), "measure again"
        )

    def _last_words(self) -> str:
        logs = [self._log_path, *sorted(self._folder.glob("valgrind.*.log"))]
        lines = [
            line.strip()
            for log in logs
            if log.exists()
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip() and not NO_LAST_WORDS.match(line)
        ]
        return " | ".join(lines[-LOG_LINES_SHOWN:]) or "it gave no reason"


def _written(content: str, folder: Path) -> str:
    """Write a request under a name that no other has in its folder; return the name.

    Servers of several processes may share the folder, each with a count of its own.
    """
    while True:
        name = f"request-{next(NAMES):0{NAME_BYTES - len('request-')}d}"
        with (
            contextlib.suppress(FileExistsError),
            (folder / name).open("x", encoding="utf-8") as file,
        ):
            file.write(content)
            return name


def _done(name: str, folder: Path) -> Done:
    """Read the mark of success."""
    return Done(name=name, **json.loads((folder / f"{name}.done").read_text(encoding="utf-8")))


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
