"""The meter `simulator`: regions of warm processes in the instrument, for any number of caches."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import ServerError
from powerml.machines import Geometry, Machine
from powerml.meters.base import DEFAULTS, Machines, MeterOptions
from powerml.meters.simulator import launch
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.meters.simulator.composition import Mark
from powerml.meters.simulator.guest_meter import GuestMeter, PhasesByGeometry
from powerml.meters.simulator.launch import Launch, Mode
from powerml.meters.simulator.marks import read_marks
from powerml.meters.simulator.server import Done
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["GeometryMeter", "SimulatorMeter"]


class SimulatorMeter(GuestMeter):
    """Regions of warm processes in powerML's own simulator, which counts all caches in one run."""

    name = "simulator"

    def __init__(
        self, machines: Machines, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        super().__init__(machines, backend, options)
        self._caches = SimulatedCaches(self._groups)
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
            self._tell_of_start(job, notify)

    def _take_marks(
        self,
        done: Done,
        *,
        several_threads: bool = False,  # noqa: ARG002 - the instrument counts them together
    ) -> dict[Geometry, list[Mark]]:
        path = self.folder / f"{done.name}.marks"
        marks = read_marks(path)
        path.unlink()
        return {
            geometry: [
                Mark(mark.name, self._caches.counts(mark.counters, geometry)) for mark in marks
            ]
            for geometry in self._groups
        }

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
