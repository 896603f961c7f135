"""A workload that is being counted, on threads of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar, cast

from powerml.costs.cost import Accesses, PriceName
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Measurement, Simulation, price_phases
from powerml.costs.readings import Reading, energies_of, require_counts
from powerml.errors import MeasurementError
from powerml.machines import Geometry, PhaseMachines
from powerml.meters.base import Meter
from powerml.progress import Notify
from powerml.signals import interruption_held
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["Counting", "counting_threads", "start_counting"]

Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Counting:
    """A workload that is being counted, with a thread for each cache geometry."""

    workload: AnyWorkload
    phases: Mapping[Geometry, Future[tuple[list[Reading], Fingerprint]]]
    started_seconds: float

    @property
    def has_succeeded(self) -> bool:
        """True if all is counted, and well."""
        return all(one.done() and one.exception() is None for one in self.phases.values())

    def measurement(
        self,
        machines: PhaseMachines,
        levels: int,
        accesses: Accesses,
        by: PriceName,
    ) -> Measurement:
        """Wait for the counts and price them; raises ``MeasurementError``, for joules too."""
        counted: dict[Geometry, list[PhaseCounts]] = {}
        fingerprints: dict[Geometry, Fingerprint] = {}
        for geometry, future in self.phases.items():
            readings, fingerprint = future.result()
            fingerprints[geometry] = fingerprint
            counted[geometry] = [
                phase
                for phase in require_counts(fingerprint.meter, readings)
                if geometry in machines.geometries_of(phase.name, levels)
            ]
        self._require_all(machines, counted)
        phases = price_phases(
            counted,
            machines,
            accesses,
            levels,
            self._samples(),
            by=by,
            inferences=self._inferences(),
        )
        shown = {phase.name: machines.of(phase.name)[0].simulated_geometry for phase in phases}
        groups = machines.geometries(levels)
        others = {
            geometry: [one for one in found if shown[one.name] != geometry]
            for geometry, found in counted.items()
        }
        first = machines.inference[0].simulated_geometry
        trained_on = shown.get("training", first)
        return Measurement(
            workload=self.workload,
            accesses=accesses,
            price=by,
            levels=cast(Literal[2, 3], levels),
            phases=phases,
            score=None,
            score_split=None,
            fingerprint=fingerprints[first],
            training_fingerprint=None if trained_on == first else fingerprints[trained_on],
            simulations=[
                Simulation(
                    machines=[machine.name for machine in groups[geometry]],
                    fingerprint=fingerprints[geometry],
                    phases=found,
                )
                for geometry, found in others.items()
                if found
            ],
            seconds=round(time.monotonic() - self.started_seconds, 3),
        )

    def _require_all(
        self, machines: PhaseMachines, counted: Mapping[Geometry, Sequence[PhaseCounts]]
    ) -> None:
        """Check that the first machine of each phase has counts of it."""
        training, deployment = self.workload.training, self.workload.deployment
        wanted = [] if training is None or not machines.training else ["training", "inference"]
        if deployment is not None:
            wanted.append("inference")
        for phase in wanted:
            machine = machines.of(phase)[0]
            if phase not in [one.name for one in counted[machine.simulated_geometry]]:
                raise MeasurementError(
                    f"the {phase} of {self.workload.title} was not counted for the caches of "
                    f"{machine.name}: measure it with the meter simulator"
                )

    def energies(self) -> Measurement | None:
        """Wait for the readings; return them as a record if they are joules, None if counts.

        Raises
        ------
        MeasurementError
            The measurement failed.
        """
        readings, fingerprint = next(iter(self.phases.values())).result()
        found = energies_of(readings)
        if found is None:
            return None
        return Measurement(
            workload=self.workload,
            accesses="data",
            phases=[],
            energies=found,
            score=None,
            score_split=None,
            fingerprint=fingerprint,
            seconds=round(time.monotonic() - self.started_seconds, 3),
        )

    def _inferences(self) -> int | None:
        deployment = self.workload.deployment
        return None if deployment is None else deployment.inferences

    def _samples(self) -> int | None:
        deployment, training = self.workload.deployment, self.workload.training
        if deployment is not None:
            return deployment.samples
        return None if training is None else training.inference_samples


def start_counting(
    threads: Executor,
    workload: AnyWorkload,
    material: Material,
    meters: Mapping[Geometry, Meter],
    notify: Notify,
    *,
    once: bool = False,
) -> Counting:
    """Begin to count a workload and return at once; `once` ends each meter after its counts."""
    count = _read_once if once else _read
    phases = {
        geometry: threads.submit(
            count, meter, workload, material, _labelled(notify, geometry, len(meters))
        )
        for geometry, meter in meters.items()
    }
    return Counting(workload, phases, time.monotonic())


def _labelled(notify: Notify, geometry: Geometry, several: int) -> Notify:
    """Name the caches in a message if there are several, and a board's processor."""
    if several == 1:
        return notify
    label = f"last level of {geometry.ll.size_bytes / 2**20:g} MiB"
    if geometry.processor is not None:
        label = f"{geometry.processor.emulated_as}, {label}"
    return lambda message: notify(f"{label}: {message}")


def _read(
    meter: Meter, workload: AnyWorkload, material: Material, notify: Notify
) -> tuple[list[Reading], Fingerprint]:
    readings = list(meter.measure(workload, material, notify))
    return readings, meter.fingerprint()


def _read_once(
    meter: Meter, workload: AnyWorkload, material: Material, notify: Notify
) -> tuple[list[Reading], Fingerprint]:
    """Read, and end the meter: each keeps processes of about a gigabyte."""
    with meter:
        return _read(meter, workload, material, notify)


class _CountingThreads(ThreadPoolExecutor):
    """Thread pool in which an interruption of a thread's start is no other error."""

    @interruption_held()
    def submit(
        self, fn: Callable[Given, Found], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Found]:
        """Run a function on one of the threads."""
        return super().submit(fn, *args, **kwargs)


@contextlib.contextmanager
def counting_threads(jobs: int) -> Iterator[Executor]:
    """Open threads to count on. After a failure they are not awaited: the meter ends them."""
    threads = _CountingThreads(jobs, thread_name_prefix="counting")
    try:
        yield threads
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()
