"""Native runs: a child process that trains or runs a network, and reports the times of regions.

The process imports, builds and warms up before a region begins. It has a session of its own, so
that Ctrl-C reaches the host alone, and the kernel kills it when the host ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerml.errors import MeasurementError, WorkerError
from powerml.meters.sensors.base import Sensor, Span, Window

__all__ = ["LoggedRegion", "NativeProcess", "environment"]

RUNNER_MODULE = "powerml.meters.sensors.runner"
START_LIMIT_SECONDS = 900.0
# The smallest counter wraps around in minutes at the highest power.
POLL_SECONDS = 5.0
LOG_LINES_SHOWN = 1
# As the simulated process runs: counts and joules are of one core.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "NPROC": "1",
    "PJRT_NPROC": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "ORT_DISABLE_TELEMETRY": "1",
    "PYTHONHASHSEED": "0",
}
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def environment(backend: str | None, *, on_gpu: bool) -> dict[str, str]:
    """Return the variables that are set in the process on top of the user's own."""
    return {
        **ONE_THREAD,
        **({} if on_gpu else WITHOUT_GPU),
        **({} if backend is None else {"KERAS_BACKEND": backend}),
    }


@dataclass(frozen=True)
class LoggedRegion:
    """One region: its window of the sensor, its times, and the runs in it."""

    window: Window
    span: Span
    runs: int


class NativeProcess:
    """The process of one phase. Leaving the context ends it.

    `run` and the context belong to one thread; `stop` may be called from any.

    Parameters
    ----------
    request
        What `powerml.meters.sensors.runner` is to do, as plain JSON.
    folder
        The folder of the staged files.
    title
        The name of the phase in messages.
    variables
        The variables that are set on top of the user's own.
    limit_seconds
        The longest that a region may take.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        folder: Path,
        title: str,
        variables: Mapping[str, str],
        limit_seconds: float,
    ) -> None:
        self.title = title
        self._request = request
        self._limit_seconds = limit_seconds
        self._stopped = threading.Event()
        self._buffer = b""
        self._log_path = folder / f"native-{time.monotonic_ns()}.log"
        reports, to_host = os.pipe()
        self._reports = reports
        try:
            with self._log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", RUNNER_MODULE, str(os.getpid()), str(to_host)],
                    stdin=subprocess.PIPE,
                    # Frameworks print what they like.
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    env={**os.environ, **variables},
                    pass_fds=[to_host],
                    start_new_session=True,
                )
        except OSError as error:
            os.close(reports)
            raise WorkerError.quoting(
                f"{title} cannot be started natively", error, "see powerml doctor"
            ) from error
        finally:
            os.close(to_host)

    def ready(self) -> dict[str, Any]:
        """Have it warm up; return its description of itself.

        Raises
        ------
        WorkerError
            It failed, or took too long.
        """
        self._send(json.dumps(self._request))
        return self._report(START_LIMIT_SECONDS, lambda: None)

    def run(self, runs: int, sensor: Sensor) -> LoggedRegion:
        """Run a region of so many runs while a sensor reads.

        Raises
        ------
        WorkerError
            It failed, or took too long.
        MeasurementError
            The sensor failed.
        """
        self._send(str(runs))
        self._report(START_LIMIT_SECONDS, lambda: None)
        window = sensor.begin()
        self._send("go")
        found = self._report(self._limit_seconds, window.poll)
        window.end()
        span = Span(float(found["start"]), float(found["end"]), float(found["seconds"]))
        if not span.seconds > 0:
            raise WorkerError(f"{self.title} took no time: measure again")
        return LoggedRegion(window, span, runs)

    def stop(self) -> None:
        """End the process at once; whoever waits for it gets an error."""
        self._stopped.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def __enter__(self) -> NativeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and wait for it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._reports)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _send(self, line: str) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise WorkerError(f"{self.title} has no standard input")
        try:
            stdin.write(f"{line}\n".encode())
            stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def _report(self, limit_seconds: float, poll: Callable[[], None]) -> dict[str, Any]:
        """Wait for the next line of the process, calling `poll` now and then."""
        deadline = time.monotonic() + limit_seconds
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise WorkerError(
                    f"{self.title} took longer than {limit_seconds:g} s and was stopped: raise "
                    "--limit-seconds"
                )
            readable, _, _ = select.select([self._reports], [], [], min(left, POLL_SECONDS))
            if not readable:
                poll()
                continue
            received = os.read(self._reports, 65536)
            if not received:
                raise self._ended()
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _ended(self) -> MeasurementError:
        """Return the error of a process that has ended by itself, or was stopped."""
        if self._stopped.is_set():
            return MeasurementError(f"{self.title} was stopped")
        self._process.wait()
        text = self._log_path.read_text(encoding="utf-8", errors="replace").strip()
        last = text.splitlines()[-LOG_LINES_SHOWN:] or [f"exit code {self._process.returncode}"]
        error = WorkerError.quoting(
            f"{self.title} failed natively", " ".join(last), "try a smaller network or batch"
        )
        error.detail = text
        return error
