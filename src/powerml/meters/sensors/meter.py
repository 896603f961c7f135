"""The meter over a sensor: it repeats a workload natively until its energy is certain enough."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Any, Self

from powerml.costs.cost import Interval
from powerml.costs.fingerprint import Fingerprint, digest_of
from powerml.costs.readings import PhaseEnergy
from powerml.errors import MeasurementError, SetupError, UsageError
from powerml.guest.request import DeploymentRequest, Request
from powerml.meters.base import DEFAULTS, MeterOptions
from powerml.meters.sensors.base import Sensor, Span
from powerml.meters.sensors.intervals import (
    CONFIDENCE,
    Mean,
    RegionEnergy,
    idle_of,
    mean_of,
    net_of_idle,
    next_runs,
)
from powerml.meters.sensors.native import LoggedRegion, NativeProcess, environment
from powerml.meters.simulator.launch import private_folder, text_environment
from powerml.meters.simulator.staging import Staging
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.runtimes import KERAS_SUFFIX, find_runtime
from powerml.workloads.workload import AnyWorkload, Material

__all__ = ["SensorMeter"]

IDLE_PIECES = 5
FIRST_LOOK = 5  # repetitions after which they may be enough
# Where it is known only afterwards if they are enough.
FIXED_REPETITIONS, MOST_REPETITIONS = 10, 30
POLL_SECONDS = 0.5
SEEN_CPU_FLAGS = frozenset(("avx", "avx2", "avx512f", "fma", "amx_tile", "asimd", "asimddp", "sve"))
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class _NativePhase:
    """One phase to be run: its name, and the request of its process."""

    name: str
    title: str
    request: dict[str, Any]


class SensorMeter:
    """Reads the energy of trainings and inferences that run natively, one thread each.

    Before each phase the idle power is read. The phase is then run in regions that are long enough
    for the sensor, until the interval of its energy is within ``options.error``. See
    `powerml.meters.base.Meter`.

    Parameters
    ----------
    sensor
        The sensor.
    backend
        The Keras backend; None if Keras is not used.
    options
        Their `error`, `limit_seconds` and `repeating` hold.
    """

    runs_natively = True

    def __init__(
        self, sensor: Sensor, backend: str | None, options: MeterOptions = DEFAULTS
    ) -> None:
        self.name = sensor.name
        self._sensor = sensor
        self._options = options
        self._variables = environment(backend, on_gpu=sensor.reads_gpu)
        self._software: dict[str, str] = {}
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._process: NativeProcess | None = None

    def measure(
        self,
        workload: AnyWorkload,
        material: Material,
        notify: Notify = silent,
        advance: Advance = unwatched,  # noqa: ARG002 - nobody knows how often it will be repeated
    ) -> list[PhaseEnergy]:
        """Read the energy of the training, where there is one, and of the inference.

        Raises
        ------
        UsageError
            The workload has no phase that the sensor reads.
        SetupError
            The sensor is not there, or not the GPU that it reads.
        MeasurementError
            The sensor or the run failed, or the energy is not above idle.
        """
        self._sensor.open()
        with private_folder() as folder:
            plans = _plans(workload, material, Staging(folder))
            on_processor = [plan for plan in plans if self._is_out_of_sight(plan)]
            read = [plan for plan in plans if plan not in on_processor]
            if not read:
                raise UsageError(
                    f"the meter {self.name} reads the GPU, and {workload.title} runs in "
                    f"{plans[-1].request['runtime']} on the processor: add --runtime keras"
                )
            for plan in on_processor:
                notify(
                    f"the {plan.name} runs on the processor, which {self.name} does not read: "
                    "add --runtime keras"
                )
            return [self._phase(plan, workload, folder, notify) for plan in read]

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint; the software is known after the first measurement."""
        return Fingerprint(
            meter=self.name,
            geometry=None,
            simulated_geometry=None,
            software=self._software,
            cpu_features=_cpu_features(),
            threads=1,
            environment_digest=digest_of(text_environment(self._variables)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process that runs, if any."""
        self._ended.set()
        with self._lock:
            if self._process is not None:
                self._process.stop()

    def _is_out_of_sight(self, plan: _NativePhase) -> bool:
        """Return whether a phase runs elsewhere than the sensor reads."""
        runtime = plan.request.get("runtime")
        if runtime is None or not self._sensor.reads_gpu:
            return False
        return find_runtime(runtime).format.suffix != KERAS_SUFFIX

    def _phase(
        self, plan: _NativePhase, workload: AnyWorkload, folder: Path, notify: Notify
    ) -> PhaseEnergy:
        notify(f"starting {plan.title} natively")
        with self._started(plan, folder) as process:
            ready = process.ready()
            self._software |= ready["software"]
            if self._sensor.reads_gpu and not ready["has_gpu"]:
                raise SetupError(
                    f"the meter {self.name} reads the GPU, and Keras finds none to run on: install "
                    "its backend for the GPU"
                )
            idle = self._idle(notify)
            runs = self._runs(process, int(ready["most_runs"]), notify)
            regions = self._regions(process, runs, idle, notify)
        self._wait_for_readings(regions[-1].span, notify)
        idle_energies = [self._energy(region) for region in idle]
        energies = [self._energy(region) for region in regions]
        return self._summed_up(plan.name, energies, idle_energies, runs, workload)

    @contextlib.contextmanager
    def _started(self, plan: _NativePhase, folder: Path) -> Iterator[NativeProcess]:
        with self._lock:
            if self._ended.is_set():
                raise MeasurementError(f"{plan.title} was stopped")
            process = NativeProcess(
                plan.request, folder, plan.title, self._variables, self._options.limit_seconds
            )
            self._process = process
        try:
            with process:
                yield process
        finally:
            with self._lock:
                self._process = None

    def _idle(self, notify: Notify) -> list[LoggedRegion]:
        """Read the power while nothing runs. A first piece is left out: the machine settles."""
        seconds = self._options.repeating.idle_seconds or self._sensor.idle_seconds
        notify(f"reading the idle power, {seconds:g} s")
        each = seconds / IDLE_PIECES
        self._ended.wait(each)
        pieces = []
        for _ in range(IDLE_PIECES):
            window = self._sensor.begin()
            start, begun = time.time(), time.monotonic()
            self._ended.wait(each)
            ended, end = time.monotonic(), time.time()
            window.end()
            pieces.append(LoggedRegion(window, Span(start, end, ended - begun), 1))
        return pieces

    def _runs(self, process: NativeProcess, most: int, notify: Notify) -> int:
        """Return the runs of a region that is long enough, by trying."""
        least = self._options.repeating.region_seconds or self._sensor.region_seconds
        notify(f"trying how long {process.title} takes")
        runs = 1
        while True:
            seconds = process.run(runs, self._sensor).span.seconds
            wanted = min(next_runs(runs, seconds, least), most)
            if wanted <= runs:
                return runs
            runs = wanted

    def _regions(
        self,
        process: NativeProcess,
        runs: int,
        idle: Sequence[LoggedRegion],
        notify: Notify,
    ) -> list[LoggedRegion]:
        """Run regions until their energy is certain enough, or a limit is reached."""
        live = self._sensor.is_live
        own = MOST_REPETITIONS if live else FIXED_REPETITIONS
        most = self._options.repeating.repetitions or own
        deadline = time.monotonic() + self._options.limit_seconds
        regions: list[LoggedRegion] = []
        while len(regions) < most:
            notify(
                f"reading {process.title}, {len(regions) + 1} of at most {most}, {runs} runs each"
            )
            regions.append(process.run(runs, self._sensor))
            if time.monotonic() + regions[-1].span.seconds > deadline:
                break
            if live and len(regions) >= min(FIRST_LOOK, most) and self._are_enough(regions, idle):
                break
        return regions

    def _are_enough(self, regions: Sequence[LoggedRegion], idle: Sequence[LoggedRegion]) -> bool:
        """Return whether the interval is as narrow as wished."""
        joules, _ = net_of_idle(
            [self._energy(region) for region in regions],
            [self._energy(region) for region in idle],
            regions[0].runs,
        )
        return joules.is_within(self._options.error)

    def _wait_for_readings(self, last: Span, notify: Notify) -> None:
        """Wait until the sensor has read up to the end of a span."""
        told = False
        while not self._sensor.catch_up(last):
            if not told:
                notify("waiting for the last readings")
                told = True
            if self._ended.wait(POLL_SECONDS):
                raise MeasurementError("the measurement was stopped")

    def _energy(self, region: LoggedRegion) -> RegionEnergy:
        parts = region.window.joules(region.span)
        return RegionEnergy(self._sensor.total(parts), parts, region.span.seconds)

    def _summed_up(
        self,
        name: str,
        energies: Sequence[RegionEnergy],
        idle: Sequence[RegionEnergy],
        runs: int,
        workload: AnyWorkload,
    ) -> PhaseEnergy:
        joules, parts = net_of_idle(energies, idle, runs)
        watts = idle_of(idle)
        if joules.value <= 0:
            busy = fmean(one.watts for one in energies)
            raise MeasurementError(
                f"the {name} took {busy:.3g} W, not above the idle {watts.value:.3g} W: end other "
                "programs, or give longer --idle-seconds and --region-seconds"
            )
        seconds = mean_of([one.seconds / runs for one in energies])
        inferences, samples = _inferred(workload) if name == "inference" else (None, None)
        return PhaseEnergy(
            name=name,
            joules=joules.value,
            joules_interval=_interval(joules),
            seconds=seconds.value,
            seconds_interval=_interval(seconds),
            confidence=CONFIDENCE,
            idle_watts=watts.value,
            repetitions=len(energies),
            runs=runs,
            parts=parts,
            includes=list(self._sensor.includes),
            excludes=list(self._sensor.excludes),
            inferences=inferences,
            samples=samples,
        )


def _inferred(workload: AnyWorkload) -> tuple[int | None, int | None]:
    """Return the inferences of one run of the inference, and their samples."""
    deployment, training = workload.deployment, workload.training
    if deployment is not None:
        return deployment.inferences, deployment.samples
    return None, None if training is None else training.inference_samples


def _interval(mean: Mean) -> Interval | None:
    """Return an interval, None after a single reading."""
    if mean.half == float("inf"):
        return None
    return Interval(low=max(0.0, mean.value - mean.half), high=mean.value + mean.half)


def _plans(workload: AnyWorkload, material: Material, staging: Staging) -> list[_NativePhase]:
    """Stage the phases of a workload: its training and its inference."""
    plans = []
    training, deployment = workload.training, workload.deployment
    if training is not None:
        in_keras = ["training"] if deployment is not None else ["training", "inference"]
        for phase in in_keras:
            plans.append(_in_keras(phase, staging.training(training, material, phase)))
    if deployment is not None:
        request = staging.deployment(workload, deployment, material)
        plans.append(_deployed(deployment.runtime, request))
    if not plans:
        raise UsageError(
            f"{workload.title} is counted, and a sensor reads networks: leave out --meter"
        )
    return plans


def _in_keras(phase: str, request: Request) -> _NativePhase:
    return _NativePhase(phase, request.title, request.content())


def _deployed(runtime: str, request: DeploymentRequest) -> _NativePhase:
    return _NativePhase("inference", request.title, {**request.content(), "runtime": runtime})


def _cpu_features() -> tuple[str, ...]:
    """Return the instruction sets of the host that vectors need."""
    with contextlib.suppress(OSError):
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith(("flags", "Features")):
                return tuple(sorted(SEEN_CPU_FLAGS & set(line.partition(":")[2].split())))
    return ()
