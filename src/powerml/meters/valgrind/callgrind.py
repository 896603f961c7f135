"""Regions of a warm process under Callgrind, powerML's main meter."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from powerml.costs.cost import Accesses, cycles_of
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import MeasurementError, ServerError
from powerml.guest.request import AnyRequest, DeploymentRequest, OwnRequest, Request
from powerml.machines import Machine
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator.composition import (
    ComposedPhase,
    CostFunction,
    compose,
    compose_deployment,
    compose_stretches,
)
from powerml.meters.simulator.rows import compose_load, exact_rows, plan_rows
from powerml.meters.simulator.sampling import (
    EVERYTHING,
    DataFlow,
    Schedule,
    Shape,
    plan,
    touch_limit_bytes,
)
from powerml.meters.simulator.server import Done, Server, ServerDiedError
from powerml.meters.valgrind.base import KERAS_PHASES, ValgrindMeter, shape_of, whole
from powerml.meters.valgrind.output import read_callgrind_dump, read_marks
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import (
    TRAINING_JOB,
    AnyWorkload,
    Deployment,
    LoadWorkload,
    Material,
    TrainedWorkload,
)

__all__ = ["CallgrindMeter"]

FORKABLE_BACKENDS = ("torch",)  # the others start threads, which a fork does not copy
KERAS_JOBS = (TRAINING_JOB, "deployment:keras")  # those that run on the backend
POLL_SECONDS = 0.5
PRICED: tuple[Accesses, ...] = ("data", "all")


class CallgrindMeter(ValgrindMeter):
    """Regions of warm processes under Callgrind. See `powerml.meters.simulator.server`.

    Training in Keras, each runtime in use and the synthetic loads have a process of their own.
    `measure` may be called from several threads. Up to `options.jobs` processes simulate at once;
    counts do not depend on their number.
    """

    name = "callgrind"

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._servers: dict[str, Server] = {}
        self._guest: dict[str, Any] | None = None
        self._slots = threading.Semaphore(options.jobs)
        self._starting = threading.Lock()
        self._left = False

    @property
    def server(self) -> Server | None:
        """The process that trains, None if it was not started."""
        return self._servers.get(TRAINING_JOB)

    def start(self, job: str = TRAINING_JOB) -> None:
        """Start a warm process and return at once; `measure` does so if necessary."""
        self._running_server(job, silent)

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the counts; known after the first measurement."""
        if self._guest is None:
            raise MeasurementError("the fingerprint is known once something was measured")
        return self._fingerprint(self._guest)

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        """Count each phase as a region that starts from the same state.

        On torch, phases run side by side in children of the warm process. Other backends are
        measured in a process of their own, exactly at any fidelity, with compilation as one more
        phase. `advance` hears the progress of a load. A server that dies is restarted once, and the
        measurement repeated.

        Raises
        ------
        ExportError
            The model cannot be exported for its runtime.
        WorkerError
            A child crashed, failed or took too long.
        ServerError
            The server cannot be started, or died twice.
        """
        for attempt in ("first", "second"):
            try:
                return self._measure(workload, material, notify, advance)
            except ServerDiedError as error:
                self._discard_ended()
                if self._left:
                    raise
                if attempt == "second":
                    raise ServerError.quoting(
                        f"the simulator died twice over {workload.title}",
                        error,
                        "see powerml doctor",
                    ) from error
                notify(f"{error}; starting it again")
            except ServerError:
                self._discard_ended()
                raise
        raise AssertionError

    def _measure(
        self, workload: AnyWorkload, material: Material, notify: Notify, advance: Advance
    ) -> list[PhaseCounts]:
        """Simulate all phases side by side, and wait for them."""
        # They take their time to start: meanwhile the model is exported.
        servers = {job: self._running_server(job, notify) for job in workload.guest_jobs}
        begun: list[_UnderWay] = []
        try:
            if workload.kind == "load":
                [server] = servers.values()
                begun.append(self._begin_load(server, workload))
            elif (own := self.staging.own(workload, material)) is not None:
                [server] = servers.values()
                begun.append(self._begin_own(server, own, notify))
            else:
                if (deployment := workload.deployment) is not None:
                    request = self.staging.deployment(workload, deployment, material)
                    server = servers[deployment.job]
                    begun.append(self._begin_deployment(server, request, deployment, notify))
                if (training := workload.training) is not None:
                    begin = self._begin_phases if self._forks(TRAINING_JOB) else self._begin_alone
                    # Its phases come first.
                    begun[:0] = begin(servers[TRAINING_JOB], training, material, notify)
            _wait_for(begun, advance)
            phases = [phase for one in begun for phase in one.finish()]
            self._guest = _merged([server.ready.result() for server in servers.values()])
        except BaseException:
            for one in begun:
                one.server.give_up(one.process)
            raise
        finally:
            for job, server in servers.items():
                if not self._forks(job):
                    self._discard(job, server)
        return phases

    def _forks(self, job: str) -> bool:
        """Return whether a job runs in children of its process."""
        return job not in KERAS_JOBS or self._backend in FORKABLE_BACKENDS

    def _begin_deployment(
        self, server: Server, request: DeploymentRequest, deployment: Deployment, notify: Notify
    ) -> _UnderWay:
        """Have a model loaded and run in its runtime."""
        notify(f"simulating {request.name} in {deployment.runtime}")
        process = self._submit(server, request)

        def finish() -> list[PhaseCounts]:
            log = self.folder / f"valgrind.{process.result().process}.log"
            marks = read_marks(log, several_threads=not self._forks(deployment.job))
            log.unlink()
            return compose_deployment(marks, deployment.inferences)

        return _UnderWay(server, process, finish)

    def _begin_own(self, server: Server, request: OwnRequest, notify: Notify) -> _UnderWay:
        """Have a job simulated that is a workload's own, and marks its phases."""
        notify(f"simulating {request.title}")
        process = self._submit(server, request)

        def finish() -> list[PhaseCounts]:
            log = self.folder / f"valgrind.{process.result().process}.log"
            phases = compose_stretches(read_marks(log))
            log.unlink()
            return phases

        return _UnderWay(server, process, finish)

    def _begin_load(self, server: Server, load: LoadWorkload) -> _UnderWay:
        """Have a synthetic load simulated; its steps are the rows of the product."""
        is_exact = self._options.fidelity == "exact"
        plan = exact_rows(load) if is_exact else plan_rows(load, self.machine.simulated_geometry)
        request = self.staging.load(load, plan)
        process = self._submit(server, request)

        def finish() -> list[PhaseCounts]:
            log = self.folder / f"valgrind.{process.result().process}.log"
            composed = compose_load(read_marks(log), load, plan, _prices(self.machines))
            log.unlink()
            return [
                PhaseCounts(
                    name=load.title,
                    counts=composed.counts,
                    fidelity="exact" if plan.rows == load.rows_a else "sampled",
                    error_bound=composed.error_bound,
                    steps_simulated=plan.rows,
                    steps_total=load.rows_a,
                    parts=composed.parts,
                )
            ]

        progress = partial(_part_done, self.folder / request.progress, plan.work(load))
        return _UnderWay(server, process, finish, progress)

    def _begin_phases(
        self, server: Server, workload: TrainedWorkload, material: Material, notify: Notify
    ) -> list[_UnderWay]:
        """Have each phase in Keras simulated in a child of the warm process."""
        names = KERAS_PHASES if workload.deployment is None else ("training",)
        server.ready.result()
        phases = [
            _SimulatedPhase(
                name, workload, self.machines, self.staging.training(workload, material, name)
            )
            for name in names
        ]
        schedules = [self._schedule(phase) for phase in phases]
        notify(_announcement(server, workload, phases, schedules))
        begun: list[_UnderWay] = []
        try:
            for phase, schedule in zip(phases, schedules, strict=True):
                process = self._submit(server, phase.request_for(schedule))
                finish = partial(self._finish, server, phase, schedule, process)
                begun.append(_UnderWay(server, process, finish))
        except BaseException:
            for one in begun:
                server.give_up(one.process)
            raise
        return begun

    def _begin_alone(
        self, server: Server, workload: TrainedWorkload, material: Material, notify: Notify
    ) -> list[_UnderWay]:
        """Measure in a process that does one request and ends, compilation included."""
        notify(f"simulating {workload.name} and its compilation (minutes)")
        names = ("compile", *(KERAS_PHASES if workload.deployment is None else ("training",)))
        what = "all" if workload.deployment is None else "training"
        process = self._submit(server, self.staging.training(workload, material, what))

        def finish() -> list[PhaseCounts]:
            phases = []
            for number, phase in enumerate(names, 1):
                dump = self.folder / f"counts.{process.result().process}.{number}"
                phases.append(whole(phase, workload, read_callgrind_dump(dump, phase)))
                dump.unlink()
            return phases

        return [_UnderWay(server, process, finish)]

    def _schedule(self, phase: _SimulatedPhase) -> Schedule:
        if self._options.fidelity == "exact":
            return EVERYTHING
        return plan(phase.shape, phase.flow, self._options.error)

    def _submit(self, server: Server, request: AnyRequest) -> Future[Done]:
        """Submit a request as soon as a slot is free."""
        server.ready.result()
        self._slots.acquire()
        try:
            process = server.submit(request, self._options.limit_seconds)
        except BaseException:
            self._slots.release()
            raise
        process.add_done_callback(lambda _: self._slots.release())
        return process

    def _finish(
        self, server: Server, phase: _SimulatedPhase, schedule: Schedule, process: Future[Done]
    ) -> list[PhaseCounts]:
        """Compose the phase from its simulated steps; simulate more until the error is met."""
        while True:
            log = self.folder / f"valgrind.{process.result().process}.log"
            composed = phase.compose(log, schedule)
            log.unlink()
            if composed.error_bound <= self._options.error or schedule.visits is None:
                return [phase.counts(schedule, composed)]
            larger = plan(phase.shape, phase.flow, self._options.error, composed.spread)
            if larger.steps_simulated(phase.shape) <= schedule.steps_simulated(phase.shape):
                larger = EVERYTHING
            schedule = larger
            process = self._submit(server, phase.request_for(schedule))

    def _running_server(self, job: str, notify: Notify) -> Server:
        with self._starting:
            if self._left:
                raise ServerError("the meter was closed: make a new one")
            if job not in self._servers:
                is_keras = job in KERAS_JOBS
                seconds = "30 to 90" if is_keras else "10 to 30"
                shown = job.rpartition(":")[2]
                notify(f"starting the simulator for {shown} ({seconds} s, once)")
                self._servers[job] = Server(
                    self.machine.simulated_geometry,
                    self._backend if is_keras else None,
                    self.folder,
                    job,
                    "serve" if self._forks(job) else "once",
                )
            return self._servers[job]

    def _discard(self, job: str, server: Server) -> None:
        server.close()
        with self._starting:
            if self._servers.get(job) is server:
                del self._servers[job]

    def _discard_ended(self) -> None:
        """Forget the servers that have died."""
        with self._starting:
            ended = [(job, server) for job, server in self._servers.items() if server.has_ended]
        for job, server in ended:
            self._discard(job, server)

    def _close(self) -> None:
        with self._starting:
            self._left = True
            servers, self._servers = list(self._servers.values()), {}
        for server in servers:
            server.close()


@dataclass(frozen=True)
class _UnderWay:
    """Requests to a server under way, and the making of phases from its answers.

    `progress` gives the finished share, from 0 to 1, where that is known.
    """

    server: Server
    process: Future[Done]
    finish: Callable[[], list[PhaseCounts]]
    progress: Callable[[], float] | None = None


def _wait_for(begun: Sequence[_UnderWay], advance: Advance) -> None:
    """Wait until all is done; the first failure fails the measurement at once."""
    known = [one.progress for one in begun if one.progress is not None]
    processes = [one.process for one in begun]
    poll_seconds = POLL_SECONDS if known else None
    while True:
        ended = wait(processes, poll_seconds, FIRST_EXCEPTION)
        for process in ended.done:
            process.result()
        if not ended.not_done:
            return
        for progress in known:
            advance(progress())


def _part_done(reported: Path, work: Sequence[int]) -> float:
    """Return the finished share of a process that adds a byte to a file for each piece of work."""
    parts = 0
    with contextlib.suppress(FileNotFoundError):  # it has not begun
        parts = min(reported.stat().st_size, len(work))
    done = [0, *accumulate(work)]
    return done[parts] / done[-1]


def _prices(machines: Sequence[Machine]) -> list[CostFunction]:
    """Every price that a sample's bound has to hold for."""
    return [partial(cycles_of, machine, accesses) for machine in machines for accesses in PRICED]


def _merged(guests: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the descriptions of several processes on one simulated processor."""
    software = {name: version for guest in guests for name, version in guest["software"].items()}
    return {"software": software, "cpu_features": guests[0]["cpu_features"]}


class _SimulatedPhase:
    """One phase of a workload: its steps, its data and its request."""

    def __init__(
        self, name: str, workload: TrainedWorkload, machines: Sequence[Machine], request: Request
    ) -> None:
        samples = workload.training_samples if name == "training" else workload.inference_samples
        sample_bytes = math.prod(workload.input_shape) * np.dtype(np.float32).itemsize
        self.name = name
        self.shape: Shape = shape_of(name, workload)
        self.flow = DataFlow(
            step_bytes=min(samples, workload.batch_size) * sample_bytes,
            epoch_bytes=samples * sample_bytes,
            last_level_bytes=machines[0].simulated_geometry.ll.size_bytes,
        )
        self._machines = machines
        self._request = request

    def request_for(self, schedule: Schedule) -> Request:
        """Return the request that simulates a schedule."""
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

    def compose(self, log: Path, schedule: Schedule) -> ComposedPhase:
        """Compose the phase; the bound holds on each machine, for each choice of accesses."""
        marks, prices = read_marks(log), _prices(self._machines)
        return max(
            (compose(marks, self.shape, schedule, self.flow, price) for price in prices),
            key=lambda composed: composed.error_bound,
        )

    def counts(self, schedule: Schedule, composed: ComposedPhase) -> PhaseCounts:
        """Return the counts to report of the phase."""
        return PhaseCounts(
            name=self.name,
            counts=composed.counts,
            fidelity="exact" if schedule.visits is None else "sampled",
            error_bound=composed.error_bound,
            steps_simulated=schedule.steps_simulated(self.shape),
            steps_total=self.shape.steps,
            parts=composed.parts,
        )


def _announcement(
    server: Server,
    workload: TrainedWorkload,
    phases: list[_SimulatedPhase],
    schedules: list[Schedule],
) -> str:
    """Announce a simulation and its duration, by the pace of the warm-up at least."""
    numbers = []
    most = 0
    for phase, schedule in zip(phases, schedules, strict=True):
        simulated, total = schedule.steps_simulated(phase.shape), phase.shape.steps
        most = max(most, simulated)
        numbers.append(f"{simulated} of its {total}" if simulated < total else f"all {total}")
    text = f"simulating {workload.title}: {' + '.join(numbers)} steps"
    if server.seconds_per_step is None:
        return text
    return f"{text}, about {max(server.seconds_per_step * most, 1):.0f} s"
