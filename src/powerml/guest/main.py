"""The guest: the process inside the simulator.

A guest has one job, found by its name: ``training`` in Keras, ``own`` of a
user's network, ``deployment:RUNTIME`` or synthetic ``loads``. Each module NAME_job of this package
is a job.

``serve``: imports what its job needs with counting off, warms up with counting on, then forks a
child for each request. The children inherit the translated code and the warm caches. Each starts
from the very same memory, so that their counts are equal.

``once``: for frameworks that start threads and cannot be forked. Does one request and ends.

``whole``: does one request with no regions, for a process that is counted as a whole.

``list``: imports and warms up outside the simulator, and reports the sources of all modules.

The parent of the children must not change between two of them. So it reads requests of a fixed
length, never parses them, and keeps nothing; all that differs happens in the child.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from powerml.guest import _client_requests as client_requests
from powerml.guest import unseen
from powerml.guest.region import Job, Moments, settle
from powerml.guest.request import HELLO_BYTES, NAME_BYTES, REHEARSAL, REQUEST_BYTES

REQUESTS = 0  # file descriptor on which the host sends requests
REPORTS = 3  # file descriptor on which it reads reports: standard output, put out of harm's way


def main() -> None:
    """Run in the mode that the first argument names; the second is the job, or the request."""
    mode, what = sys.argv[1:]
    unseen.hide("training" if mode == "whole" else what)
    if mode == "whole":
        _run_whole(what)
        return
    client_requests.die_with_parent()
    os.dup2(1, REPORTS)
    os.dup2(2, 1)
    if mode == "list":
        _list_sources(_make_job(what))
        return
    # Whoever started this process and has ended since cannot be waited for.
    if os.read(REQUESTS, HELLO_BYTES) != b"%0*d" % (HELLO_BYTES, os.getppid()):
        return
    job = _make_job(what)
    job.start()
    _report(b"imported")
    if mode == "once":
        _report(b"ready " + json.dumps(_guest(job)).encode())
        request = os.read(REQUESTS, REQUEST_BYTES)
        _measure(request, job.run_once)
        _report(b"ended %s 0" % request[-NAME_BYTES:])
        _end()
    client_requests.start_instrumentation()
    for _ in job.warm_up():
        _report(b"warming %020d" % _nanoseconds())
    _report(b"warmed  %020d" % _nanoseconds())
    settle()
    _report(b"ready " + json.dumps(_guest(job)).encode())
    _serve(job)


def _make_job(what: str) -> Job:
    """Make the job of that name; the text after a colon is its argument.

    No other job's module is imported: code that a job does not need would move its memory.
    """
    name, *of = what.split(":", 1)
    if not name.isidentifier():  # a dot would lead out of this package
        raise ValueError(f"no job is called {name!r}")
    job: Job = importlib.import_module(f"powerml.guest.{name}_job").job(*of)
    return job


def _list_sources(job: Job) -> None:
    job.start()
    for _ in job.warm_up():
        pass
    specs = [getattr(module, "__spec__", None) for module in sys.modules.values()]
    _report(json.dumps(sorted({spec.origin for spec in specs if spec and spec.cached})).encode())


def _report(line: bytes) -> None:
    os.write(REPORTS, line + b"\n")


def _nanoseconds() -> int:
    return int(client_requests.monotonic_seconds() * 1e9)


def _guest(job: Job) -> dict[str, Any]:
    """Describe the simulated processor and the loaded libraries."""
    import numpy as np

    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "software": {
            "python": platform.python_version(),
            "libc": " ".join(platform.libc_ver()),
            "numpy": np.__version__,
            **job.versions(),
        },
        "cpu_features": sorted({*simd.get("baseline", []), *simd.get("found", [])}),
    }


def _serve(job: Job) -> NoReturn:
    # Children that have reported are not waited for, so nothing of them stays here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request = os.read(REQUESTS, REQUEST_BYTES)
        if len(request) != REQUEST_BYTES:
            _end()  # the host has closed the pipe: it is done
        if os.fork() == 0:
            _keep(request, job)
        # The next one takes this one's place in memory, so that every child finds the same heap.
        del request


def _keep(request: bytes, job: Job) -> NoReturn:
    """Fork the measurement, wait for it and report its end, unless it has done so itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    client_requests.die_with_parent()
    name = request[-NAME_BYTES:]
    if name == REHEARSAL.encode():
        _end()
    pid = os.fork()
    if pid == 0:
        client_requests.die_with_parent()
        _measure(request, job.run)
        # It takes the kernel 0.1 s to take the process down, for which nobody has to wait.
        _report(b"ended %s 0" % name)
        _end()
    _report(b"started %s %d" % (name, os.getpid()))
    _, status = os.waitpid(pid, 0)
    _report(b"ended %s %d" % (name, os.waitstatus_to_exitcode(status)))
    _end()


def _end() -> NoReturn:
    """End at once: an orderly end would have Valgrind write the counts of the whole process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _measure(request: bytes, run: Callable[[dict[str, Any], Moments], None]) -> None:
    """Do one request in its folder; leave there NAME.done, or NAME.error with the reason."""
    moments = {"forked": client_requests.monotonic_seconds()}
    name = request[-NAME_BYTES:].decode()
    os.chdir(request[:-NAME_BYTES])
    try:
        client_requests.open_marks(f"{name}.marks")
        with open(name, encoding="utf-8") as file:
            content = json.load(file)
        if content.get("allowed"):
            unseen.reveal()
        run(content, moments)
        moments["ended"] = client_requests.monotonic_seconds()
        with open(f"{name}.done", "w", encoding="utf-8") as file:
            json.dump({"process": os.getpid(), "moments_seconds": moments}, file)
    except BaseException as error:
        traceback.print_exc()
        with open(f"{name}.error", "w", encoding="utf-8") as file:
            file.write(f"{type(error).__name__}: {error}")


def _run_whole(request: str) -> None:
    """Do a request as one process, from import to exit."""
    from powerml.guest.training_job import TrainingJob, run_whole

    TrainingJob().start()
    folder, _, name = request.rpartition("/")
    os.chdir(folder)
    with open(name, encoding="utf-8") as file:
        content = json.load(file)
    run_whole(content)


if __name__ == "__main__":
    main()
