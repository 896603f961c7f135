"""Times of models on this machine, as they are and with the code that the simulator runs.

The simulator has no AVX-512. A runtime that uses it natively does half as many instructions as were
counted. So a process of its own times the models too, with AVX-512 hidden. The runtime then takes
the code that was counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from powerml.host.system import choose_cpu, pinned
from powerml.host.timing import require_loops
from powerml.runtimes import DEFAULT_RUNTIME, Feed, require_runtime

__all__ = ["WIDE_FLAGS", "TimeModel", "native_seconds", "same_code"]

# Features by their names in /proc/cpuinfo that runtimes use and the simulator has not.
WIDE_FLAGS = frozenset(("avx512f", "avx_vnni"))
LEAST_BLOCKS = 12
BLOCK_NANOSECONDS = 5e6  # of inferences that are timed at once
WARM_UP_RUNS = 5
FAST_SHARE = 0.1
NANOSECONDS = 1e9  # in a second
INPUTS = "inputs.npz"
SERVE: tuple[str, ...] = ("-m", "powerml.host.native")

# The C library has chosen its code before anything can be hidden, but for this.
TUNABLES = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW"}

TimeModel = Callable[[Path, Feed, float], float | None]


def native_seconds(path: Path, feed: Feed, seconds: float) -> float:
    """Return the CPU seconds of one inference on one CPU: the 10th percentile of many blocks.

    Parameters
    ----------
    path
        The model's file.
    feed
        Its inputs by name.
    seconds
        Seconds that all blocks may take.
    """
    runtime = require_runtime(DEFAULT_RUNTIME)
    runtime.start()
    session = runtime.load(str(path))
    with pinned(choose_cpu(os.sched_getaffinity(0))):
        return _seconds_of(lambda: session.run(feed), seconds)


@contextlib.contextmanager
def same_code() -> Iterator[TimeModel | None]:
    """Start a process that runs the simulator's code; yields a function like `native_seconds`.

    That returns None if the process ends. Instead of it None is yielded where the processor or the
    system cannot hide what the simulator has not.
    """
    command = [sys.executable, "-P", *SERVE]
    # Ctrl-C is for this process, which then ends the other.
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,  # what an ended process cannot take is not written again when it is left
        start_new_session=True,
        env={**os.environ, **TUNABLES},
    ) as process:

        def ask(path: Path, feed: Feed, seconds: float) -> float | None:
            inputs = path.with_name(INPUTS)
            np.savez(inputs, **feed)  # type: ignore[arg-type]
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{json.dumps([str(path), str(inputs), seconds])}\n".encode())
            found = _answer(process)
            return None if found is None else float(found)

        try:
            yield ask if _answer(process) else None
        finally:
            process.kill()


def _answer(process: subprocess.Popen[bytes]) -> Any:
    """Read a line of the other process; None if it has ended."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return json.loads(process.stdout.readline() or b"null")


def _serve() -> None:
    """Time one model after the other, as the lines of standard input name them."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a runtime may print

    def answer(found: object) -> None:
        answers.write(f"{json.dumps(found)}\n")
        answers.flush()

    answer(require_loops().hide_wide_vectors())
    for line in sys.stdin:
        path, inputs, seconds = json.loads(line)
        with np.load(inputs) as arrays:
            feed = dict(arrays)
        answer(native_seconds(Path(path), feed, seconds))


def _seconds_of(run: Callable[[], object], seconds: float) -> float:
    for _ in range(WARM_UP_RUNS):
        run()
    once = max(_nanoseconds_of(run, 1), 1)
    times = max(1, round(BLOCK_NANOSECONDS / once))
    ends = time.monotonic() + seconds
    blocks: list[float] = []
    while len(blocks) < LEAST_BLOCKS or time.monotonic() < ends:
        blocks.append(_nanoseconds_of(run, times) / times)
    return sorted(blocks)[int(FAST_SHARE * len(blocks))] / NANOSECONDS


def _nanoseconds_of(run: Callable[[], object], times: int) -> int:
    started = time.thread_time_ns()
    for _ in range(times):
        run()
    return time.thread_time_ns() - started


if __name__ == "__main__":
    _serve()
