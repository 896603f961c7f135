"""Measuring one workload: counts by a meter, costs by a machine, score by native training."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from powerml.backend import import_keras, select_backend
from powerml.cache import CountsCache
from powerml.cost import Accesses, check_accesses
from powerml.counts import PhaseCounts, check_fidelity
from powerml.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.machines import DEFAULT_MACHINE, Machine, load_machine
from powerml.measurement import Measurement, price_phases
from powerml.meters import DEFAULT_METER, Meter, make_meter
from powerml.simulate.meters import DEFAULT_ERROR, DEFAULT_LIMIT_SECONDS, MeterOptions
from powerml.topology import Topology, parse_topology
from powerml.workload import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCHS,
    Workload,
    check_protocol,
    make_workload,
)

if TYPE_CHECKING:
    from powerml.training import Trained

__all__ = [
    "Counting",
    "counting_threads",
    "measure",
    "meter_options",
    "start_counting",
    "train_natively",
]

Notify = Callable[[str], None]


def measure(
    topology: str | Topology,
    *,
    data: str = "mnist_small",
    batch_size: int = DEFAULT_BATCH_SIZE,
    epochs: int = DEFAULT_EPOCHS,
    machine: str | Machine = DEFAULT_MACHINE,
    accesses: str = "data",
    protocol: str = "default",
    validation: float = DEFAULT_VALIDATION,
    seed: int = 0,
    meter: str | Meter = DEFAULT_METER,
    fidelity: str = "exact",
    error: float = DEFAULT_ERROR,
    jobs: int | None = None,
    cache: bool = True,
    limit_seconds: float = DEFAULT_LIMIT_SECONDS,
    notify: Notify = lambda _message: None,
) -> Measurement:
    """Measure what one topology's training and inference cost, and how well it scores.

    Parameters
    ----------
    topology
        As in ``dffr:layers=2,width=16``.
    data
        A dataset's name or the path of an ``.npz``; see `powerml.load_dataset`.
    batch_size, epochs
        Images in a batch, passes over the training data.
    machine
        Name of the machine that prices the counts, or a profile.
    accesses
        ``data``, or ``all`` to price instruction fetches too.
    protocol
        ``default``, or ``paper`` for the paper's preprocessing, initialisers and score.
    validation
        Part of the training data that is held out where the data has no validation split.
    seed
        Seed of the native training.
    meter
        Name of the meter, or one that is already running and stays open.
    fidelity
        ``exact``, or ``sampled``: a few steps are simulated, the rest extrapolated.
    error
        How large the stated bound of a sample's relative error may be.
    jobs
        How many processes simulate at once; None for as many as there are cores.
    cache
        Whether counts that were simulated before are looked up, and new ones kept. A meter that is
        already running decides that itself, as it does the three above.
    limit_seconds
        After how long a simulated phase is given up.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    SetupError
        Valgrind, the C extension or a Keras backend is not installed.
    TrainingError
        The native training failed.
    MeasurementError
        The counting failed.
    """
    wanted_accesses, wanted_protocol = check_accesses(accesses), check_protocol(protocol)
    options = meter_options(fidelity, error, jobs, limit_seconds)
    parsed = parse_topology(str(topology))
    profile = load_machine(machine) if isinstance(machine, str) else machine
    backend = select_backend()
    dataset = load_dataset(data, validation)
    workload = make_workload(
        parsed,
        dataset,
        batch_size=batch_size,
        epochs=epochs,
        protocol=wanted_protocol,
        backend=backend,
        validation=validation,
        seed=seed,
    )
    opened = (
        make_meter(meter, profile, backend, options, CountsCache() if cache else None)
        if isinstance(meter, str)
        else contextlib.nullcontext(meter)
    )
    with opened as running, counting_threads(jobs=1) as threads:
        counting = start_counting(threads, workload, dataset, running, notify)
        trained = train_natively(workload, dataset, [seed], notify)
        scores = [one.score for one in trained]
        return counting.measurement(profile, running, wanted_accesses, scores)


def meter_options(
    fidelity: str, error: float, jobs: int | None, limit_seconds: float
) -> MeterOptions:
    """Check how a meter is to work; without `jobs`, as many as this process may use cores.

    Raises
    ------
    UsageError
        A value is out of range.
    """
    cores = len(os.sched_getaffinity(0))
    return MeterOptions(
        fidelity=check_fidelity(fidelity),
        error=error,
        jobs=cores if jobs is None else jobs,
        limit_seconds=limit_seconds,
    )


@dataclass(frozen=True)
class Counting:
    """A workload that is being counted on a thread of its own."""

    workload: Workload
    phases: Future[list[PhaseCounts]]
    started_seconds: float

    def measurement(
        self, machine: Machine, meter: Meter, accesses: Accesses, scores: Sequence[float]
    ) -> Measurement:
        """Wait for the counts and price them; raises ``MeasurementError``."""
        phases = self.phases.result()
        return Measurement(
            workload=self.workload,
            accesses=accesses,
            phases=price_phases(phases, machine, accesses),
            score=fmean(scores) if scores else None,
            score_split=_score_split(self.workload) if scores else None,
            scores=list(scores),
            fingerprint=meter.fingerprint(),
            seconds=round(time.monotonic() - self.started_seconds, 3),
        )


def start_counting(
    threads: Executor, workload: Workload, dataset: Dataset, meter: Meter, notify: Notify
) -> Counting:
    """Begin to count a workload, and return at once."""
    phases = threads.submit(meter.measure, workload, dataset, notify)
    return Counting(workload, phases, time.monotonic())


def train_natively(
    workload: Workload, dataset: Dataset, seeds: Sequence[int], notify: Notify
) -> list[Trained]:
    """Train a workload's topology once for each seed; raises ``TrainingError``.

    Where the models' costs are being counted meanwhile, in processes of their own, the counts do
    not notice.
    """
    notify(f"training {workload.topology} batch {workload.batch_size} natively")
    # It takes seconds, during which the simulator starts.
    import_keras()
    from powerml.training import train

    return [train(workload, dataset, seed) for seed in seeds]


@contextlib.contextmanager
def counting_threads(jobs: int) -> Iterator[Executor]:
    """Threads to count on. When something fails they are not waited for: the meter ends them."""
    threads = ThreadPoolExecutor(jobs, thread_name_prefix="counting")
    try:
        yield threads
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        raise
    threads.shutdown()


def _score_split(workload: Workload) -> Literal["validation", "test"]:
    return "test" if workload.protocol == "paper" else "validation"
