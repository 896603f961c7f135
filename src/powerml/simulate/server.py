"""The host's side of the warm process: start, ask, wait, start again, stop."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import IO, Any

from powerml.errors import ServerError, WorkerError
from powerml.machines import Geometry
from powerml.simulate import launch
from powerml.simulate.request import NAME_BYTES, REHEARSAL, Request, announcement, hello

__all__ = ["START_LIMIT_SECONDS", "Server", "ServerDiedError"]

START_LIMIT_SECONDS = 900.0  # 30 to 60 s are usual; a loaded machine may take ten times that
POLL_SECONDS = 0.5
REHEARSALS = 3  # the first two leave a few cache lines otherwise than those after them
LOG_LINES_SHOWN = 3
# Valgrind looks at the host's caches, and warns of them, before it takes those it is given.
ABOUT_THE_HOSTS_CACHES = re.compile(r"--\d+-- warning: .*cache")
STEPS_OF_WARM_UP_ROUND = 2 * 6  # two topologies; two epochs of two batches, and an evaluation


class ServerDiedError(ServerError):
    """The warm process ended while it was needed."""


class Server:
    """One warm process under Callgrind, for one cache geometry and one Keras backend.

    Starting returns at once; `wait_until_ready` waits for the warm-up. `run` measures.

    Parameters
    ----------
    geometry
        The simulated caches.
    backend
        The Keras backend.
    folder
        A private folder, in which all files of the server lie.
    mode
        ``serve`` forks a child for each request; ``once`` does one request and ends.
    """

    def __init__(self, geometry: Geometry, backend: str, folder: Path, mode: str = "serve") -> None:
        self._folder = folder
        self._mode = mode
        self._names = count(1)
        self._buffer = b""
        self._keepers: dict[str, int] = {}
        self.guest: dict[str, Any] | None = None
        self.seconds_per_step: float | None = None
        launch.require_client_requests()
        launch.precompile()
        self._log_path = folder / f"worker-{time.monotonic_ns()}.log"
        self._log: IO[bytes] = self._log_path.open("wb")
        try:
            self._process = subprocess.Popen(
                launch.callgrind_command(geometry, folder, mode),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=launch.environment(backend),
                cwd=launch.WORKING_DIRECTORY,
                # Ctrl-C is the host's to handle: the worker must not see it.
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise ServerError(f"Valgrind cannot be started: {error}") from error
        self._send(hello(os.getpid()))

    @property
    def pid(self) -> int:
        """Process number of the warm process."""
        return self._process.pid

    def wait_until_ready(self, limit_seconds: float = START_LIMIT_SECONDS) -> dict[str, Any]:
        """Wait for the warm-up; return what the worker says of itself, for the fingerprint.

        Raises
        ------
        ServerError
            The process ended, or took longer than `limit_seconds`.
        """
        deadline = time.monotonic() + limit_seconds
        started_ns = 0
        while self.guest is None:
            line = self._report(deadline)
            if line is None:
                raise ServerError(
                    f"the simulator was not ready after {limit_seconds:.0f} s: "
                    "is the machine overloaded?"
                )
            word, _, rest = line.partition(b" ")
            if word == b"warming":
                started_ns = int(rest)
            elif word == b"warmed":
                self.seconds_per_step = (int(rest) - started_ns) / 1e9 / STEPS_OF_WARM_UP_ROUND
            elif word == b"ready":
                self.guest = json.loads(rest)
                for _ in range(REHEARSALS if self._mode == "serve" else 0):
                    self._send(announcement(self._folder, REHEARSAL))
        return self.guest

    def run(self, requests: Sequence[Request], limit_seconds: float) -> list[Path]:
        """Measure requests side by side; return for each the folder and stem of its counts.

        Raises
        ------
        WorkerError
            A child crashed, failed or took longer than `limit_seconds`; the server lives on.
        ServerDiedError
            The server itself ended.
        """
        names = [self._submit(request) for request in requests]
        deadline = time.monotonic() + limit_seconds
        pending = dict(zip(names, requests, strict=True))
        try:
            while pending:
                line = self._report(deadline)
                if line is None:
                    phases = " and ".join(request.phase for request in pending.values())
                    raise WorkerError(
                        f"{phases} of {requests[0].topology} took longer than "
                        f"{limit_seconds:g} s and was stopped: raise --limit-seconds"
                    )
                word, name, number = line.decode().split()
                if word == "started":
                    self._keepers[name] = int(number)
                    if name not in pending:  # it was given up before it began
                        self._stop(name)
                elif name in pending:
                    self._keepers.pop(name, None)
                    self._check(name, int(number), pending[name])
                    del pending[name]
        finally:
            for name in pending:
                self._stop(name)
        return [self._counts_of(name) for name in names]

    def close(self) -> None:
        """End the server and all its children, and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()
        self._log.close()

    def _submit(self, request: Request) -> str:
        name = f"request-{next(self._names):0{NAME_BYTES - len('request-')}d}"
        (self._folder / name).write_text(json.dumps(asdict(request)), encoding="utf-8")
        self._send(announcement(self._folder, name))
        return name

    def _send(self, message: bytes) -> None:
        if self._process.stdin is None:
            raise ServerDiedError("the simulator has no standard input")
        try:
            os.write(self._process.stdin.fileno(), message)
        except OSError as error:
            raise ServerDiedError(self._obituary()) from error

    def _report(self, deadline: float) -> bytes | None:
        """Return the next line from the worker, or None at the deadline."""
        stream = self._process.stdout
        if stream is None:
            raise ServerDiedError("the simulator has no standard output")
        while b"\n" not in self._buffer:
            self._check_keepers()
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            if not select.select([stream], [], [], min(remaining, POLL_SECONDS))[0]:
                # A child of a dead server keeps the pipe open until the kernel has ended it.
                if self._process.poll() is not None:
                    raise ServerDiedError(self._obituary())
                continue
            chunk = os.read(stream.fileno(), 65536)
            if not chunk:
                raise ServerDiedError(self._obituary())
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
                    raise WorkerError(
                        f"the process that watches {name} was killed from outside: measure again"
                    ) from None

    def _check(self, name: str, exit_code: int, request: Request) -> None:
        """Raise unless the child has left its mark of success."""
        if (self._folder / f"{name}.done").exists():
            return
        what = f"{request.phase} of {request.topology}"
        error = self._folder / f"{name}.error"
        if error.exists():
            raise WorkerError(f"{what} failed: {error.read_text(encoding='utf-8')}")
        if exit_code == -signal.SIGKILL:
            raise WorkerError(f"{what} was killed: out of memory?")
        raise WorkerError(f"{what} crashed ({_how(exit_code)}){self._last_words()}")

    def _stop(self, name: str) -> None:
        if pid := self._keepers.pop(name, None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # its child ends with it

    def _counts_of(self, name: str) -> Path:
        pid = (self._folder / f"{name}.done").read_text(encoding="utf-8")
        return self._folder / f"counts.{pid}"

    def _obituary(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        code = self._process.returncode
        how = "" if code is None else f" ({_how(code)})"
        return f"the simulator ended{how}{self._last_words()}"

    def _last_words(self) -> str:
        logs = [self._log_path, *sorted(self._folder.glob("valgrind.*.log"))]
        lines = [
            line.strip()
            for log in logs
            if log.exists()
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip() and not ABOUT_THE_HOSTS_CACHES.match(line)
        ]
        return ": " + " | ".join(lines[-LOG_LINES_SHOWN:]) if lines else ""


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
