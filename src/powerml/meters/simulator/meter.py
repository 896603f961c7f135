"""The meter `simulator`: regions of warm processes in the instrument, for any number of caches."""

from __future__ import annotations

import importlib.util
import json
import struct
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import ServerError, UsageError
from powerml.guest.request import (
    FUNCTIONS_FILE,
    NODES_FILE,
    OPERATORS_FILE,
    PROFILED,
    DeploymentRequest,
)
from powerml.machines import Geometry, Machine
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator import launch
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.meters.simulator.charges import (
    PhaseCharges,
    Profiled,
    Told,
    charges_of_deployment,
    charges_of_training,
    nodes_by_entries,
    nodes_by_looks,
    nodes_by_segments,
    parse_told,
    phase_of,
    read_trace,
    vector_of,
)
from powerml.meters.simulator.composition import Mark, compose_deployment
from powerml.meters.simulator.guest_meter import (
    GuestMeter,
    PhasesByGeometry,
    UnderWay,
    runs_in_children,
)
from powerml.meters.simulator.launch import Launch, Mode
from powerml.meters.simulator.marks import InstrumentMark, read_marks
from powerml.meters.simulator.server import Done, GuestServer
from powerml.meters.simulator.symbols import find_functions, find_library
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.runtimes import Runtime, find_runtime
from powerml.workloads.workload import (
    TRAINING_JOB,
    AnyWorkload,
    Deployment,
    Material,
    TrainedWorkload,
)

__all__ = ["GeometryMeter", "SimulatorMeter", "require_layers"]


def require_layers(backend: str | None) -> None:
    """Check that a training's layers can be told apart.

    Raises
    ------
    UsageError
        The backend compiles a training step into one piece.
    """
    if not runs_in_children(TRAINING_JOB, backend):
        raise UsageError(
            f"{backend} compiles a training step into one piece, whose layers cannot be told "
            "apart: set KERAS_BACKEND=torch, or leave the training out with --no-training"
        )


class SimulatorMeter(GuestMeter):
    """Regions of warm processes in powerML's own simulator, which counts all caches in one run."""

    name = "simulator"

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._caches = SimulatedCaches(self._groups)
        self._operators: dict[str, list[str]] = {}  # functions by which a runtime's begin
        self._sharing = threading.Lock()
        self._shared: dict[str, _SharedRun] = {}

    def _launch(self, job: str, mode: Mode) -> Launch:
        return launch.simulator(self._caches, self._backend_of(job), self.view, mode, job)

    def _open_server(self, job: str, mode: Mode, notify: Notify) -> None:
        """Use the warm simulator if that is wished, or start a process of this meter's own.

        A process that does one request and ends is never kept warm.
        """
        if not self._options.warm or mode != "serve":
            super()._open_server(job, mode, notify)
            return
        # Others need neither the protocol nor sockets.
        from powerml.meters.simulator.warm.client import reach

        try:
            server = reach(job, self._backend_of(job), list(self._groups), self.folder)
        except ServerError as error:
            notify(f"{error}; measuring without it")
            super()._open_server(job, mode, notify)
            return
        self._servers[job] = server
        if not server.was_ready:
            self._tell_of_start(job, notify, stays=True)

    def _take_marks(
        self,
        done: Done,
        *,
        several_threads: bool = False,  # noqa: ARG002 - the instrument counts them together
    ) -> dict[Geometry, list[Mark]]:
        marks = self._take_raw_marks(done)
        return {
            geometry: [
                Mark(mark.name, self._caches.counts(mark.counters, geometry)) for mark in marks
            ]
            for geometry in self._groups
        }

    def profile_deployment(
        self, workload: AnyWorkload, material: Material, notify: Notify = silent
    ) -> Profiled:
        """Count the loading and the inference of a model, and charge them to functions and nodes.

        The counts of both are those that `measure` returns: the nodes are told by one more
        inference after them.

        Raises
        ------
        ExportError
            The model cannot be exported for its runtime.
        MeasurementError
            The simulation failed, or what it told cannot be read.
        """
        deployment = workload.deployment
        if deployment is None or workload.kind == "load":
            raise TypeError(workload)
        server = self._running_server(deployment.job, notify)
        try:
            plain = self.staging.deployment(workload, deployment, material)
            self._stage_operators(deployment)
            notify(f"profiling {plain.name} in {deployment.runtime}")
            done = self._submit(server, replace(plain, profile=PROFILED)).result()
            self._guest = server.ready.result()
        finally:
            if not self._forks(deployment.job):
                self._discard(deployment.job, server)
        phases, optimized = self._take_charges(done, deployment)
        shapes = tuple(map(tuple, plain.shapes))
        return Profiled(phases, self.folder / plain.model, shapes, optimized)

    def _take_charges(
        self, done: Done, deployment: Deployment
    ) -> tuple[dict[Geometry, list[PhaseCharges]], Path | None]:
        """Read what was told of a deployment; return the graph that the runtime made, too."""
        raw, nodes = self._take_told(done)
        marks = self._take_marks(done)
        optimized = self.folder / nodes["optimized"] if "optimized" in nodes else None
        trace = read_trace(self._take(nodes["trace"]), nodes["trace"]) if "trace" in nodes else None
        operators = self._operators.get(deployment.runtime, [])
        phases = {}
        for geometry in self._groups:
            told = self._converted(raw, geometry)
            if trace is not None:
                found = nodes_by_looks(told, trace, nodes["start_nanoseconds"])
            elif operators:
                found = nodes_by_entries(told, operators, nodes["end"])
            else:
                found = nodes_by_segments(told)
            counted = compose_deployment(marks[geometry], deployment.inferences)
            phases[geometry] = charges_of_deployment(told, counted, found, deployment.inferences)
        return phases, optimized if optimized is not None and optimized.exists() else None

    def _begin_deployment(
        self,
        server: GuestServer,
        request: DeploymentRequest,
        deployment: Deployment,
        notify: Notify,
    ) -> UnderWay:
        if self._options.origins:
            self._stage_operators(deployment)
            request = replace(request, profile=PROFILED)
        return super()._begin_deployment(server, request, deployment, notify)

    def _deployed(self, done: Done, deployment: Deployment) -> PhasesByGeometry:
        if not self._options.origins:
            return super()._deployed(done, deployment)
        charges, optimized = self._take_charges(done, deployment)
        if optimized is not None:
            optimized.unlink()
        return {
            geometry: [phase_of(one, deployment.inferences) for one in phases]
            for geometry, phases in charges.items()
        }

    def profile_training(
        self,
        workload: TrainedWorkload,
        material: Material,
        phases: Mapping[Geometry, PhaseCounts],
        notify: Notify = silent,
    ) -> Profiled:
        """Charge a training that has been counted to functions, and to layers by part.

        A few steps after the first are simulated with each layer in a segment.

        Raises
        ------
        UsageError
            The backend compiles all layers into one.
        MeasurementError
            The simulation failed.
        """
        require_layers(self._backend)
        server = self._running_server(TRAINING_JOB, notify)
        request = self.staging.training(workload, material, "training")
        notify(f"profiling the training of {workload.name}")
        done = self._submit(server, replace(request, profile=PROFILED)).result()
        self._guest = server.ready.result()
        raw, told_steps = self._take_told(done)
        return Profiled(
            {
                geometry: [
                    charges_of_training(
                        self._converted(raw, geometry),
                        phases[geometry],
                        told_steps["steps"],
                    )
                ]
                for geometry in self._groups
            }
        )

    def _converted(self, raw: Told, geometry: Geometry) -> Told:
        """Return what was told as counts of one geometry: sums of counters, thus by a matrix."""
        number = len(next(iter(raw.segments.values())))
        columns = [
            vector_of(self._caches.counts_of_part(unit.tolist(), geometry))
            for unit in np.eye(number, dtype=np.int64)
        ]
        return raw.converted(np.stack(columns, axis=1).dot)

    def _stage_operators(self, deployment: Deployment) -> None:
        """Have the places of a runtime's operators in a file, if they begin by functions."""
        runtime = find_runtime(deployment.runtime)
        operators = getattr(runtime, "operators", None)
        if operators is None or runtime.name in self._operators:
            return
        found = find_functions(self._library_of(runtime, operators.library), operators.functions)
        places = struct.pack(f"={len(found)}Q", *(place for place, _ in found))
        self.staging.write_once(OPERATORS_FILE, lambda path: path.write_bytes(places))
        self._operators[runtime.name] = [name for _, name in found]

    def _library_of(self, runtime: Runtime, library: str) -> Path:
        """Return the file of a runtime's library, as the guest loads it."""
        spec = importlib.util.find_spec(runtime.package)
        folders = spec.submodule_search_locations if spec is not None else None
        return find_library(map(Path, folders or ()), library)

    def _take_told(self, done: Done) -> tuple[Told, dict[str, Any]]:
        told, nodes = (f"{done.process}.{name}" for name in (FUNCTIONS_FILE, NODES_FILE))
        return parse_told(self._take(told), told), json.loads(self._take(nodes))

    def _take(self, name: str) -> str:
        """Read a file that the guest has left, and remove it."""
        path = self.folder / name
        content = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
        return content

    def _take_raw_marks(self, done: Done) -> list[InstrumentMark]:
        path = self.folder / f"{done.name}.marks"
        marks = read_marks(path)
        path.unlink()
        return marks

    def by_geometry(self) -> dict[Geometry, GeometryMeter]:
        """Return a meter for each geometry; what one measures the others find measured."""
        return {
            geometry: GeometryMeter(self, machines) for geometry, machines in self._groups.items()
        }

    def measure_shared(
        self,
        workload: AnyWorkload,
        material: Material,
        geometry: Geometry,
        notify: Notify,
        advance: Advance,
    ) -> list[PhaseCounts]:
        """Measure for all geometries, or take what was measured when another one asked."""
        key = workload.model_dump_json()
        with self._sharing:
            run = self._shared.get(key)
            if is_first := run is None or geometry in run.taken:
                run = self._shared[key] = _SharedRun()
            run.taken.add(geometry)
            if len(run.taken) == len(self._groups):
                del self._shared[key]
        if is_first:
            try:
                run.phases.set_result(self.measure_geometries(workload, material, notify, advance))
            except BaseException as error:
                run.phases.set_exception(error)
                with self._sharing:
                    if self._shared.get(key) is run:
                        del self._shared[key]
                raise
        return run.phases.result()[geometry]


class _SharedRun:
    """A measurement for all geometries, and those that have taken theirs."""

    def __init__(self) -> None:
        self.phases: Future[PhasesByGeometry] = Future()
        self.taken: set[Geometry] = set()


class GeometryMeter:
    """The meter of one geometry among several that are simulated together.

    Parameters
    ----------
    meter
        The meter of all; whoever made it ends it.
    machines
        The machines with caches of this geometry.
    """

    def __init__(self, meter: SimulatorMeter, machines: tuple[Machine, ...]) -> None:
        self._meter = meter
        self.machines = machines
        self.name = meter.name

    @property
    def _geometry(self) -> Geometry:
        return self.machines[0].simulated_geometry

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,
    ) -> list[PhaseCounts]:
        """Count each phase; raises what `SimulatorMeter.measure_geometries` does."""
        return self._meter.measure_shared(workload, material, self._geometry, notify, advance)

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the counts; known after the first measurement."""
        return self._meter.fingerprint_of(self.machines[0])

    def determinants(self, workload: AnyWorkload) -> dict[str, Any]:
        """Everything beside the workload that determines its counts, as plain JSON."""
        return self._meter.determinants_of(self.machines[0], workload)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the meter of all as it is."""
