"""A workload that is being counted, on threads of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, ParamSpec, TypeVar, cast

from powerml.costs.cost import Accesses, PriceName
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.measurement import Measurement, Simulation, price_phases
from powerml.costs.readings import Reading, energies_of, require_counts
from powerml.machines import Geometry, Machine, geometries
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
        machines: Sequence[Machine],
        levels: int,
        accesses: Accesses,
        by: PriceName,
    ) -> Measurement:
        """Wait for the counts and price them; raises ``MeasurementError``, for joules too."""
        simulated = {}
        for geometry, future in self.phases.items():
            readings, fingerprint = future.result()
            simulated[geometry] = require_counts(fingerprint.meter, readings), fingerprint
        shown = machines[0].simulated_geometry
        groups = geometries(machines, levels)
        counted = {geometry: phases for geometry, (phases, _) in simulated.items()}
        return Measurement(
            workload=self.workload,
            accesses=accesses,
            price=by,
            levels=cast(Literal[2, 3], levels),
            phases=price_phases(
                counted,
                machines,
                accesses,
                levels,
                self._samples(),
                by=by,
                inferences=self._inferences(),
            ),
            score=None,
            score_split=None,
            fingerprint=simulated[shown][1],
            simulations=[
                Simulation(
                    machines=[machine.name for machine in groups[geometry]],
                    fingerprint=fingerprint,
                    phases=phases,
                )
                for geometry, (phases, fingerprint) in simulated.items()
                if geometry != shown
            ],
            seconds=round(time.monotonic() - self.started_seconds, 3),
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
    """Name the caches in a message if there are several."""
    if several == 1:
        return notify
    label = f"last level of {geometry.ll.size_bytes / 2**20:g} MiB"
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
