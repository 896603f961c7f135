"""Synthetic loads in children of a warm process of numpy alone, under Callgrind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import asdict
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from powerml.cost import ACCESSES, check_accesses, cycles_of
from powerml.counts import PhaseCounts
from powerml.errors import MeasurementError, ServerError
from powerml.fingerprint import Fingerprint
from powerml.loads import Load
from powerml.machines import Machine
from powerml.simulate.meters import DEFAULTS, MeterOptions, ValgrindMeter
from powerml.simulate.output import read_marks
from powerml.simulate.request import LOADS, LoadRequest
from powerml.simulate.rows import RowPlan, compose_load, exact_rows, plan_rows
from powerml.simulate.server import Done, Server

__all__ = ["Advance", "CallgrindLoadMeter"]

POLL_SECONDS = 0.5
Advance = Callable[[float], None]  # told what part of a load is done, from 0 to 1


class CallgrindLoadMeter(ValgrindMeter):
    """Counts loads. `count` may be called from several threads: they are simulated side by side."""

    name = "callgrind"

    def __init__(self, machine: Machine, options: MeterOptions = DEFAULTS) -> None:
        super().__init__(machine, None, options)
        self._server: Server | None = None
        self._starting = threading.Lock()
        self._left = False

    def count(self, load: Load, advance: Advance = lambda _part: None) -> PhaseCounts:
        """Count a load; its steps are the rows of the product.

        Raises
        ------
        WorkerError
            The child crashed, failed or took too long.
        ServerError
            The warm process cannot be started, or died.
        """
        server = self._running_server()
        server.ready.result()
        plan = self._plan(load)
        request = LoadRequest(
            **{name: getattr(load, name) for name in ("rows_a", "inner", "cols_b")},
            **asdict(plan),
            progress=f"progress-{load.name}",
            title=load.title,
        )
        process = server.submit(request, self._options.limit_seconds)
        self._watch(process, self.folder / request.progress, plan.work(load), advance)
        log = self.folder / f"valgrind.{process.result().process}.log"
        marks = read_marks(log)
        log.unlink()
        prices = [partial(cycles_of, self.machine, check_accesses(name)) for name in ACCESSES]
        composed = compose_load(marks, load, plan, prices)
        return PhaseCounts(
            name=load.title,
            counts=composed.counts,
            fidelity="exact" if plan.rows == load.rows_a else "sampled",
            error_bound=composed.error_bound,
            steps_simulated=plan.rows,
            steps_total=load.rows_a,
            parts=composed.parts,
        )

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the load; known once something was counted."""
        if self._server is None:
            raise MeasurementError("the fingerprint is known once something was counted")
        return self._fingerprint(self._server.ready.result())

    def determined_by(self, load: Load) -> dict[str, Any]:
        """Everything that determines the counts of a load, as plain JSON."""
        shape = {"rows_a": load.rows_a, "inner": load.inner, "cols_b": load.cols_b}
        return {"load": shape, "circumstances": self._circumstances([])}

    def _plan(self, load: Load) -> RowPlan:
        if self._options.fidelity == "exact":
            return exact_rows(load)
        return plan_rows(load, self.machine.simulated_geometry)

    def _watch(
        self, process: Future[Done], progress: Path, work: list[int], advance: Advance
    ) -> None:
        """Tell how far a load is until it has ended."""
        done = [0, *accumulate(work)]
        while not process.done():
            parts = 0
            with contextlib.suppress(FileNotFoundError):  # it has not begun
                parts = min(progress.stat().st_size, len(work))
            advance(done[parts] / done[-1])
            wait([process], timeout=POLL_SECONDS)

    def _running_server(self) -> Server:
        with self._starting:
            if self._left:
                raise ServerError("the meter was closed: make a new one")
            if self._server is None:
                geometry = self.machine.simulated_geometry
                self._server = Server(geometry, None, self.folder, LOADS)
            return self._server

    def _close(self) -> None:
        with self._starting:
            self._left = True
            if self._server is not None:
                self._server.close()
