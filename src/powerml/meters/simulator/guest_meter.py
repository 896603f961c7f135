"""Regions of warm processes in any simulator: the base of two meters."""

from __future__ import annotations

import contextlib
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from powerml.costs.core import has_core
from powerml.costs.cost import Accesses, cycles_of
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import MeasurementError, ServerError
from powerml.guest.request import (
    AnyRequest,
    DeploymentRequest,
    OwnRequest,
    OwnTrainingRequest,
    Request,
)
from powerml.machines import Geometry, Machine
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator.base import KERAS_PHASES, ValgrindMeter, shape_of, whole
from powerml.meters.simulator.composition import (
    ComposedPhase,
    CostFunction,
    Mark,
    compose,
    compose_deployment,
    compose_free,
    compose_stretches,
    stretches,
)
from powerml.meters.simulator.launch import Launch, Mode
from powerml.meters.simulator.rows import compose_load, exact_rows, plan_rows
from powerml.meters.simulator.sampling import (
    EVERYTHING,
    PRIOR,
    DataFlow,
    Schedule,
    Shape,
    StepSpread,
    plan,
    touch_limit_bytes,
)
from powerml.meters.simulator.server import Done, GuestServer, Server, ServerDiedError
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.runtimes import FRAMEWORK
from powerml.signals import interruption_held
from powerml.workloads.workload import (
    OWN_JOB,
    TRAINING_JOB,
    AnyWorkload,
    Deployment,
    LoadWorkload,
    Material,
    OwnWorkload,
    TrainedWorkload,
)

__all__ = ["KERAS_JOBS", "GuestMeter", "PhasesByGeometry", "UnderWay", "runs_in_children"]

PhasesByGeometry = dict[Geometry, list[PhaseCounts]]

FORKABLE_BACKENDS = ("torch",)  # the others start threads, which a fork does not copy
KERAS_JOBS = (TRAINING_JOB, OWN_JOB, "deployment:keras", FRAMEWORK)  # those that run on the backend
POLL_SECONDS = 0.5
PRICED: tuple[Accesses, ...] = ("data", "all")


def runs_in_children(job: str, backend: str | None) -> bool:
    """Return whether a job runs in children of its process, which then does any number."""
    return job not in KERAS_JOBS or backend in FORKABLE_BACKENDS


class GuestMeter(ValgrindMeter, ABC):
    """Regions of warm processes in a simulator. See `powerml.meters.simulator.server`.

    Training in Keras, each runtime in use and the synthetic loads have a process of their own.
    `measure` may be called from several threads. Up to `options.jobs` processes simulate at once;
    counts do not depend on their number.

    Parameters
    ----------
    machines
        The machines to price for. They may have caches of several geometries if the simulator
        simulates several at once.
    """

    counts_training = True

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._groups: dict[Geometry, tuple[Machine, ...]] = {}
        for machine in self.machines:
            geometry = machine.simulated_geometry
            self._groups[geometry] = (*self._groups.get(geometry, ()), machine)
        self._servers: dict[str, GuestServer] = {}
        self._guest: dict[str, Any] | None = None
        self._slots = threading.Semaphore(options.jobs)
        self._starting = threading.Lock()
        self._left = False

    def share_slots(self, slots: threading.Semaphore) -> None:
        """Take from these slots, one for each process that may simulate at once, with others."""
        self._slots = slots

    @property
    def server(self) -> Server | None:
        """The process of this meter's own that trains, None if it was not started."""
        found = self._servers.get(TRAINING_JOB)
        return found if isinstance(found, Server) else None

    def start(self, job: str = TRAINING_JOB, notify: Notify = silent) -> GuestServer:
        """Start a warm process and return at once; `measure` does so if necessary."""
        return self._running_server(job, notify)

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the counts; known after the first measurement."""
        return self.fingerprint_of(self.machine)

    def fingerprint_of(self, machine: Machine) -> Fingerprint:
        """Return the fingerprint of the counts of a machine's caches."""
        if self._guest is None:
            raise MeasurementError(
                "no fingerprint is known before the first measurement: measure first"
            )
        return self._fingerprint(self._guest, machine)

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        """Count each phase on the first machine's caches; see `measure_geometries`."""
        found = self.measure_geometries(workload, material, notify, advance)
        return found[self.machine.simulated_geometry]

    def measure_geometries(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> PhasesByGeometry:
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
    ) -> PhasesByGeometry:
        """Simulate all phases side by side, and wait for them."""
        # They take their time to start: meanwhile the model is exported.
        servers = {job: self._running_server(job, notify) for job in self._jobs_of(workload)}
        begun: list[UnderWay] = []
        try:
            if workload.kind == "load":
                [server] = servers.values()
                begun.append(self._begin_load(server, workload))
            elif (own := self.staging.own(workload, material)) is not None:
                [server] = servers.values()
                begun.append(self._begin_own(server, own, notify))
            else:
                deployment = workload.deployment
                if deployment is not None and deployment.job in servers:
                    request = self.staging.deployment(workload, deployment, material)
                    server = servers[deployment.job]
                    begun.append(self._begin_deployment(server, request, deployment, notify))
                training = workload.training
                if training is not None and training.training_job in servers:
                    # Its phases come first.
                    begun[:0] = self._begin_training(
                        servers[training.training_job], training, material, notify
                    )
            _wait_for(begun, advance)
            finished = [one.finish() for one in begun]
            phases = {
                geometry: [phase for one in finished for phase in one[geometry]]
                for geometry in self._groups
            }
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

    def _jobs_of(self, workload: AnyWorkload) -> list[str]:
        """List the jobs of a workload that this meter counts."""
        jobs = list(workload.guest_jobs)
        if workload.training is None or workload.deployment is None:
            return jobs
        if self._options.deployment_only or not self.counts_training:
            jobs.remove(workload.training.training_job)
        if self._options.training_only:
            jobs.remove(workload.deployment.job)
        return jobs

    def _forks(self, job: str) -> bool:
        """Return whether a job runs in children of its process."""
        return runs_in_children(job, self._backend)

    def _begin_deployment(
        self,
        server: GuestServer,
        request: DeploymentRequest,
        deployment: Deployment,
        notify: Notify,
    ) -> UnderWay:
        """Have a model loaded and run in its runtime."""
        notify(f"simulating {request.name} in {deployment.runtime}")
        process = self._submit(server, request)

        def finish() -> PhasesByGeometry:
            return self._deployed(process.result(), deployment)

        return UnderWay(server, process, finish)

    def _deployed(self, done: Done, deployment: Deployment) -> PhasesByGeometry:
        """Return the loading and the inference."""
        marks = self._take_marks(done, several_threads=not self._forks(deployment.job))
        return {
            geometry: compose_deployment(marks[geometry], deployment.inferences)
            for geometry in self._groups
        }

    def _begin_own(self, server: GuestServer, request: OwnRequest, notify: Notify) -> UnderWay:
        """Have a job simulated that is a workload's own, and marks its phases."""
        notify(f"simulating {request.title}")
        process = self._submit(server, request)

        def finish() -> PhasesByGeometry:
            marks = self._take_marks(process.result())
            return {geometry: compose_stretches(marks[geometry]) for geometry in self._groups}

        return UnderWay(server, process, finish)

    def _begin_load(self, server: GuestServer, load: LoadWorkload) -> UnderWay:
        """Have a synthetic load simulated; its steps are the rows of the product."""
        is_exact = self._options.fidelity == "exact"
        plan = (
            exact_rows(load)
            if is_exact
            else max((plan_rows(load, one) for one in self._groups), key=lambda plan: plan.rows)
        )
        request = self.staging.load(load, plan)
        process = self._submit(server, request)

        def counts(marks: list[Mark], machines: Sequence[Machine]) -> PhaseCounts:
            composed = compose_load(marks, load, plan, _prices(machines))
            return PhaseCounts(
                name=load.title,
                counts=composed.counts,
                fidelity="exact" if plan.rows == load.rows_a else "sampled",
                error_bound=composed.error_bound,
                steps_simulated=plan.rows,
                steps_total=load.rows_a,
                parts=composed.parts,
            )

        def finish() -> PhasesByGeometry:
            marks = self._take_marks(process.result())
            return {
                geometry: [counts(marks[geometry], machines)]
                for geometry, machines in self._groups.items()
            }

        progress = partial(_part_done, self.folder / request.progress, plan.work(load))
        return UnderWay(server, process, finish, progress)

    def _begin_training(
        self, server: GuestServer, workload: TrainedWorkload, material: Material, notify: Notify
    ) -> list[UnderWay]:
        """Have a training simulated, with the inference where Keras runs it."""
        if not self._forks(workload.training_job):
            return self._begin_alone(server, workload, material, notify)
        if workload.kind == "own" and workload.loop == "free":
            return [self._begin_free(server, workload, material, notify)]
        return self._begin_phases(server, workload, material, notify)

    def _begin_free(
        self, server: GuestServer, workload: OwnWorkload, material: Material, notify: Notify
    ) -> UnderWay:
        """Have a training simulated whole; its own loop tells the number of its steps."""
        notify(f"simulating {workload.title}: every step of its own loop")
        process = self._submit(server, self.staging.own_training(workload, material))

        def finish() -> PhasesByGeometry:
            marks = self._take_marks(process.result())
            return {geometry: [compose_free(marks[geometry])] for geometry in self._groups}

        return UnderWay(server, process, finish)

    def _begin_phases(
        self, server: GuestServer, workload: TrainedWorkload, material: Material, notify: Notify
    ) -> list[UnderWay]:
        """Have each phase in Keras simulated in a child of the warm process."""
        names = KERAS_PHASES if workload.deployment is None else ("training",)
        server.ready.result()
        phases = [
            _SimulatedPhase(name, workload, self._groups, self._request(workload, material, name))
            for name in names
        ]
        schedules = [self._schedule(phase) for phase in phases]
        notify(_announcement(server, workload, phases, schedules))
        begun: list[UnderWay] = []
        try:
            for phase, schedule in zip(phases, schedules, strict=True):
                process = self._submit(server, phase.request_for(schedule))
                finish = partial(self._finish, server, phase, schedule, process)
                begun.append(UnderWay(server, process, finish))
        except BaseException:
            for one in begun:
                server.give_up(one.process)
            raise
        return begun

    def _request(
        self, workload: TrainedWorkload, material: Material, phase: str
    ) -> Request | OwnTrainingRequest:
        if workload.kind == "own":
            return self.staging.own_training(workload, material)
        return self.staging.training(workload, material, phase)

    def _begin_alone(
        self, server: GuestServer, workload: TrainedWorkload, material: Material, notify: Notify
    ) -> list[UnderWay]:
        """Measure in a process that does one request and ends, compilation included."""
        notify(f"simulating {workload.name} and its compilation (minutes)")
        what = "all" if workload.deployment is None else "training"
        process = self._submit(server, self.staging.training(workload, material, what))

        def finish() -> PhasesByGeometry:
            marks = self._take_marks(process.result(), several_threads=True)
            return {
                geometry: [
                    whole(name, workload, counts)
                    for name, counts in stretches(marks[geometry]).items()
                ]
                for geometry in self._groups
            }

        return [UnderWay(server, process, finish)]

    def _schedule(self, phase: _SimulatedPhase) -> Schedule:
        if self._options.fidelity == "exact":
            return EVERYTHING
        return phase.plan(self._options.error, {})

    def _submit(self, server: GuestServer, request: AnyRequest) -> Future[Done]:
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
        self, server: GuestServer, phase: _SimulatedPhase, schedule: Schedule, process: Future[Done]
    ) -> PhasesByGeometry:
        """Compose the phase from its simulated steps; simulate more until the error is met."""
        while True:
            marks = self._take_marks(process.result())
            composed = phase.compose(marks, schedule)
            bound = max(one.error_bound for one in composed.values())
            if bound <= self._options.error or schedule.visits is None:
                return {
                    geometry: [phase.counts(schedule, one)] for geometry, one in composed.items()
                }
            spreads = {geometry: one.spread for geometry, one in composed.items()}
            larger = phase.plan(self._options.error, spreads)
            if larger.steps_simulated(phase.shape) <= schedule.steps_simulated(phase.shape):
                larger = EVERYTHING
            schedule = larger
            process = self._submit(server, phase.request_for(schedule))

    def _backend_of(self, job: str) -> str | None:
        """Return the backend that a job uses, None if it uses no Keras."""
        return self._backend if job in KERAS_JOBS else None

    @abstractmethod
    def _launch(self, job: str, mode: Mode) -> Launch:
        """Return the command and the environment of a guest in the simulator."""

    @abstractmethod
    def _take_marks(
        self, done: Done, *, several_threads: bool = False
    ) -> dict[Geometry, list[Mark]]:
        """Read the marks of a request for each geometry, and remove their file."""

    def _running_server(self, job: str, notify: Notify) -> GuestServer:
        with self._starting:
            if self._left:
                raise ServerError("the meter was closed: make a new one")
            if job not in self._servers:
                mode: Mode = "serve" if self._forks(job) else "once"
                self._open_server(job, mode, notify)
            return self._servers[job]

    def _open_server(self, job: str, mode: Mode, notify: Notify) -> None:
        """Start a process of this meter's own, and keep it as the job's."""
        self._tell_of_start(job, notify)
        launched = self._launch(job, mode)
        # A process that was started and not kept would not be ended, and write on in the folder.
        with interruption_held():
            self._servers[job] = Server(launched, self.folder, job, mode)

    def _tell_of_start(self, job: str, notify: Notify, *, stays: bool = False) -> None:
        seconds = "30 to 90 s" if job in KERAS_JOBS else "10 to 30 s"
        duration = f"{seconds}, once" if stays else seconds
        notify(f"starting the simulator for {job.rpartition(':')[2]} ({duration})")

    def _discard(self, job: str, server: GuestServer) -> None:
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
class UnderWay:
    """Requests to a server under way, and the making of phases from its answers.

    `progress` gives the finished share, from 0 to 1, where that is known.
    """

    server: GuestServer
    process: Future[Done]
    finish: Callable[[], PhasesByGeometry]
    progress: Callable[[], float] | None = None


def _wait_for(begun: Sequence[UnderWay], advance: Advance) -> None:
    """Wait until all is done; the first failure fails the measurement at once."""
    known = [one.progress for one in begun if one.progress is not None]
    processes = [one.process for one in begun]
    poll_seconds = POLL_SECONDS if known else None
    while True:
        ended = wait(processes, poll_seconds, FIRST_EXCEPTION)
        for process in ended.done:
            process.result()
        for progress in known:
            advance(progress())
        if not ended.not_done:
            return


def _part_done(reported: Path, work: Sequence[int]) -> float:
    """Return the finished share of a process that adds a byte to a file for each piece of work."""
    parts = 0
    with contextlib.suppress(FileNotFoundError):  # it has not begun
        parts = min(reported.stat().st_size, len(work))
    done = [0, *accumulate(work)]
    return done[parts] / done[-1]


def _prices(machines: Sequence[Machine]) -> list[CostFunction]:
    """Every price that a sample's bound has to hold for."""
    return [
        *(
            partial(cycles_of, machine, accesses, "paper")
            for machine in machines
            for accesses in PRICED
        ),
        *(partial(cycles_of, machine, "data", "core") for machine in machines if has_core(machine)),
    ]


def _merged(guests: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge the descriptions of several processes on one simulated processor."""
    software = {name: version for guest in guests for name, version in guest["software"].items()}
    return {"software": software, "cpu_features": guests[0]["cpu_features"]}


class _SimulatedPhase:
    """One phase of a workload: its steps, its data and its request."""

    def __init__(
        self,
        name: str,
        workload: TrainedWorkload,
        groups: Mapping[Geometry, Sequence[Machine]],
        request: Request | OwnTrainingRequest,
    ) -> None:
        samples = workload.training_samples if name == "training" else workload.inference_samples
        sample_bytes = math.prod(workload.input_shape) * np.dtype(np.float32).itemsize
        self.name = name
        self.shape: Shape = shape_of(name, workload)
        self._flows = {
            geometry: DataFlow(
                step_bytes=min(samples, workload.batch_size) * sample_bytes,
                epoch_bytes=samples * sample_bytes,
                last_level_bytes=geometry.ll.size_bytes,
            )
            for geometry in groups
        }
        self._groups = groups
        self._request = request

    def plan(self, error: float, spreads: Mapping[Geometry, StepSpread]) -> Schedule:
        """Return the steps to simulate: as many as the most demanding geometry needs."""
        return max(
            (
                plan(self.shape, flow, error, spreads.get(geometry, PRIOR))
                for geometry, flow in self._flows.items()
            ),
            key=lambda schedule: schedule.steps_simulated(self.shape),
        )

    def request_for(self, schedule: Schedule) -> Request | OwnTrainingRequest:
        """Return the request that simulates a schedule."""
        if schedule.visits is None:
            # Between these every step is a steady one.
            ends = {0, self.shape.full - 1, self.shape.steps_in_epoch - 1}
            return replace(self._request, marked_steps=sorted(ends))
        return replace(
            self._request,
            epochs=len(schedule.visits),
            visits=[list(steps) for steps in schedule.visits],
            touch_limit_bytes=max(map(touch_limit_bytes, self._flows.values())),
        )

    def compose(
        self, marks: Mapping[Geometry, Sequence[Mark]], schedule: Schedule
    ) -> dict[Geometry, ComposedPhase]:
        """Compose the phase; the bound holds on each machine, for each choice of accesses."""
        return {
            geometry: max(
                (
                    compose(marks[geometry], self.shape, schedule, self._flows[geometry], price)
                    for price in _prices(machines)
                ),
                key=lambda composed: composed.error_bound,
            )
            for geometry, machines in self._groups.items()
        }

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
    server: GuestServer,
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
