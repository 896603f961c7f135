"""Workers, found by name or made from an executor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

from powerml.errors import UsageError
from powerml.workers.base import Workers
from powerml.workers.dask_cluster import DASK, FILE, TCP, TLS, connected
from powerml.workers.executor import ExecutorWorkers
from powerml.workers.listener import WorkersListener
from powerml.workers.scheduler_file import HIGHEST_PORT, address_in

__all__ = ["check_workers", "open_workers"]


def check_workers(workers: str | Executor) -> None:
    """Check what names workers, before anything is started.

    Raises
    ------
    UsageError
        It names none.
    """
    if isinstance(workers, Executor):
        return
    if not isinstance(workers, str):
        raise UsageError(
            f"workers is of type {type(workers).__name__}: give dask, dask://HOST:PORT, or a "
            "concurrent.futures.Executor"
        )
    address = workers.removeprefix(TLS).removeprefix(TCP)
    if workers.startswith((TCP, TLS)):
        host, colon, port = address.rpartition(":")
        if not host or not colon or not port.isdecimal():
            raise UsageError(
                f"the workers {workers!r} name no port of a scheduler: write dask://HOST:PORT, as "
                "in dask://10.0.0.5:8786"
            )
        # Python reads no number of thousands of digits.
        if len(port) > len(str(HIGHEST_PORT)) or not 0 < int(port) <= HIGHEST_PORT:
            raise UsageError(
                f"the workers {workers!r} name the port {port}, which there is not: give one from "
                f"1 to {HIGHEST_PORT}"
            )
    elif workers == FILE:
        raise UsageError(
            f"the workers {workers!r} name no file: write dask:SCHEDULER_FILE, as in "
            "dask:scheduler.json"
        )
    elif workers.startswith(FILE):
        address_in(Path(workers.removeprefix(FILE)))
    elif workers != DASK:
        raise UsageError(
            f"unknown workers {workers!r}: give dask, dask://HOST:PORT, dask+tls://HOST:PORT or "
            "dask:SCHEDULER_FILE"
        )


@contextlib.contextmanager
def open_workers(workers: str | Executor, listener: WorkersListener) -> Iterator[Workers]:
    """Open workers by name, or those of an executor; they are told when the run ends.

    Raises
    ------
    ClusterError
        They cannot be reached.
    SetupError
        Dask is not installed.
    """
    with contextlib.ExitStack() as stack:
        opened: Workers
        if isinstance(workers, Executor):
            opened = ExecutorWorkers(workers)
        else:
            opened = stack.enter_context(connected(workers, listener))
        try:
            yield opened
        except BaseException:
            opened.stop()
            raise
        opened.leave()
