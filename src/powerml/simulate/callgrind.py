"""Regions of a warm process under Callgrind: the meter that powerML is made for."""

from __future__ import annotations

import math
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from powerml.cost import Accesses, price
from powerml.counts import Counts, PhaseCounts
from powerml.datasets import Dataset
from powerml.errors import MeasurementError, ServerError
from powerml.fingerprint import Fingerprint
from powerml.machines import Machine
from powerml.simulate.composition import Composed, compose
from powerml.simulate.meters import (
    DEFAULTS,
    PHASES,
    MeterOptions,
    Notify,
    ValgrindMeter,
    shape_of,
    silent,
    whole,
)
from powerml.simulate.output import read_callgrind_dump, read_marks
from powerml.simulate.request import Request
from powerml.simulate.sampling import (
    EVERYTHING,
    DataFlow,
    Schedule,
    Shape,
    plan,
    touch_limit_bytes,
)
from powerml.simulate.server import Done, Server, ServerDiedError
from powerml.workload import Workload

__all__ = ["CallgrindMeter"]

FORKABLE_BACKENDS = ("torch",)  # the others start threads, which a fork does not copy


class CallgrindMeter(ValgrindMeter):
    """Regions of a warm process under Callgrind. See `powerml.simulate.server`.

    `measure` may be called from several threads: as many processes as `options.jobs` simulate at
    once, and counts do not depend on how many there are.
    """

    name = "callgrind"

    def __init__(self, machine: Machine, backend: str, options: MeterOptions = DEFAULTS) -> None:
        super().__init__(machine, backend, options)
        self.server: Server | None = None
        self._guest: dict[str, Any] | None = None
        self._forks = backend in FORKABLE_BACKENDS
        self._slots = threading.Semaphore(options.jobs)
        self._starting = threading.Lock()
        self._left = False

    def start(self) -> None:
        """Start the warm process, and return at once; `measure` does so where nobody has."""
        self._running_server(silent)

    def fingerprint(self) -> Fingerprint:
        """What the counts depend on beside the workload; known once something was measured."""
        if self._guest is None:
            raise MeasurementError("the fingerprint is known once something was measured")
        return self._fingerprint(self._guest)

    def measure(
        self, workload: Workload, dataset: Dataset, notify: Notify = silent
    ) -> list[PhaseCounts]:
        """Count training and inference, each as a region that starts from the same state.

        On torch the two run side by side in children of the warm process; other backends are
        measured in a process of their own, with their compilation as one more phase, and exactly
        whatever the fidelity. A server that dies is started again once, and the measurement
        repeated.

        Raises
        ------
        WorkerError
            A child crashed, failed or took too long.
        ServerError
            The server cannot be started, or died twice.
        """
        for attempt in ("first", "second"):
            server = self._running_server(notify)
            try:
                return self._measure(server, workload, dataset, notify)
            except ServerDiedError as error:
                self._discard(server)
                if self._left:
                    raise
                if attempt == "second":
                    raise ServerError(
                        f"the simulator died twice over {workload.topology}: {error}"
                    ) from error
                notify(f"{error}; starting it again")
            except ServerError:
                self._discard(server)
                raise
        raise AssertionError

    def _measure(
        self, server: Server, workload: Workload, dataset: Dataset, notify: Notify
    ) -> list[PhaseCounts]:
        self._guest = server.ready.result()
        if not self._forks:
            return self._measure_alone(server, workload, dataset, notify)
        phases = [
            _Phase(name, workload, self.machine, self._request(workload, dataset, name))
            for name in PHASES
        ]
        schedules = [self._schedule(phase) for phase in phases]
        notify(_announcement(server, workload, phases, schedules))
        started: list[Future[Done]] = []
        try:
            for phase, schedule in zip(phases, schedules, strict=True):
                started.append(self._start(server, phase, schedule))
            wait(started, return_when=FIRST_EXCEPTION)
            for process in started:
                if process.done():
                    process.result()  # one that failed fails the measurement at once
            return [
                self._finish(server, phase, schedule, process)
                for phase, schedule, process in zip(phases, schedules, started, strict=True)
            ]
        except BaseException:
            for process in started:
                server.give_up(process)
            raise

    def _schedule(self, phase: _Phase) -> Schedule:
        if self._options.fidelity == "exact":
            return EVERYTHING
        return plan(phase.shape, phase.flow, self._options.error)

    def _start(self, server: Server, phase: _Phase, schedule: Schedule) -> Future[Done]:
        """Have the steps of a schedule simulated, as soon as there is a free slot."""
        self._slots.acquire()
        try:
            process = server.submit(phase.request_for(schedule), self._options.limit_seconds)
        except BaseException:
            self._slots.release()
            raise
        process.add_done_callback(lambda _: self._slots.release())
        return process

    def _finish(
        self, server: Server, phase: _Phase, schedule: Schedule, process: Future[Done]
    ) -> PhaseCounts:
        """Compose the phase from what was simulated; simulate more until the error is met."""
        while True:
            log = self.folder / f"valgrind.{process.result().process}.log"
            composed = phase.compose(log, schedule)
            log.unlink()
            if composed.error_bound <= self._options.error or schedule.visits is None:
                return phase.counts(schedule, composed)
            larger = plan(phase.shape, phase.flow, self._options.error, composed.spread)
            if larger.steps_simulated(phase.shape) <= schedule.steps_simulated(phase.shape):
                larger = EVERYTHING
            schedule = larger
            process = self._start(server, phase, schedule)

    def _measure_alone(
        self, server: Server, workload: Workload, dataset: Dataset, notify: Notify
    ) -> list[PhaseCounts]:
        """Measure in a process that does one request and ends, compilation included."""
        notify(f"simulating {workload.topology} and its compilation (minutes)")
        try:
            request = self._request(workload, dataset, "all")
            with self._slots:
                process = server.submit(request, self._options.limit_seconds).result().process
        finally:
            self._discard(server)
        phases = []
        for number, phase in enumerate(("compile", *PHASES), 1):
            dump = self.folder / f"counts.{process}.{number}"
            phases.append(whole(phase, workload, read_callgrind_dump(dump, phase)))
            dump.unlink()
        return phases

    def _running_server(self, notify: Notify) -> Server:
        with self._starting:
            if self._left:
                raise ServerError("the meter was closed: make a new one")
            if self.server is None:
                notify("starting the simulator (30 to 90 s, once)")
                mode = "serve" if self._forks else "once"
                geometry = self.machine.simulated_geometry
                self.server = Server(geometry, self._backend, self.folder, mode)
            return self.server

    def _discard(self, server: Server) -> None:
        server.close()
        with self._starting:
            if self.server is server:
                self.server = None

    def _close(self) -> None:
        with self._starting:
            self._left = True
            server, self.server = self.server, None
        if server is not None:
            server.close()


class _Phase:
    """One phase of a workload: its steps, its data, and what has to be asked for."""

    def __init__(self, name: str, workload: Workload, machine: Machine, request: Request) -> None:
        images = workload.training_images if name == "training" else workload.inference_images
        image_bytes = math.prod(workload.input_shape) * np.dtype(np.float32).itemsize
        self.name = name
        self.shape: Shape = shape_of(name, workload)
        self.flow = DataFlow(
            step_bytes=min(images, workload.batch_size) * image_bytes,
            epoch_bytes=images * image_bytes,
            last_level_bytes=machine.simulated_geometry.ll.size_bytes,
        )
        self._machine = machine
        self._request = request

    def request_for(self, schedule: Schedule) -> Request:
        """What the worker has to do to simulate a schedule."""
        if schedule.visits is None:
            # Between these every step is a steady one.
            ends = {0, self.shape.full - 1, self.shape.steps_in_epoch - 1}
            return replace(self._request, marked_steps=sorted(ends))
        return replace(
            self._request,
            epochs=len(schedule.visits),
            visits=[list(steps) for steps in schedule.visits],
            touch_limit_bytes=touch_limit_bytes(self.flow),
        )

    def compose(self, log: Path, schedule: Schedule) -> Composed:
        """Put the phase together; the bound holds whichever accesses are priced."""
        marks = read_marks(log)
        prices = [partial(_cycles, self._machine, accesses) for accesses in ("data", "all")]
        return max(
            (compose(marks, self.shape, schedule, self.flow, price) for price in prices),
            key=lambda composed: composed.error_bound,
        )

    def counts(self, schedule: Schedule, composed: Composed) -> PhaseCounts:
        """Return what is reported of the phase."""
        return PhaseCounts(
            name=self.name,
            counts=composed.counts,
            fidelity="exact" if schedule.visits is None else "sampled",
            error_bound=composed.error_bound,
            steps_simulated=schedule.steps_simulated(self.shape),
            steps_total=self.shape.steps,
            parts=composed.parts,
        )


def _cycles(machine: Machine, accesses: Accesses, counts: Counts) -> float:
    return price(counts, machine, accesses).cycles


def _announcement(
    server: Server, workload: Workload, phases: list[_Phase], schedules: list[Schedule]
) -> str:
    """What is simulated and how long it will take, by the pace of the warm-up at least."""
    numbers = []
    most = 0
    for phase, schedule in zip(phases, schedules, strict=True):
        simulated, total = schedule.steps_simulated(phase.shape), phase.shape.steps
        most = max(most, simulated)
        numbers.append(f"{simulated} of {total}" if simulated < total else f"{total}")
    what = f"{workload.topology} batch {workload.batch_size}"
    text = f"simulating {what}: {' + '.join(numbers)} steps"
    if server.seconds_per_step is None:
        return text
    return f"{text}, about {max(server.seconds_per_step * most, 1):.0f} s"
