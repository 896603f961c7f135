"""Measuring one workload: counts by a meter, costs by a machine, score by native training."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from powerml.backend import select_backend
from powerml.cost import Accesses, check_accesses
from powerml.datasets import DEFAULT_VALIDATION, Dataset, load_dataset
from powerml.machines import DEFAULT_MACHINE, Machine, load_machine
from powerml.measurement import Measurement, price_phases
from powerml.meters import DEFAULT_METER, Meter, make_meter
from powerml.simulate.meters import DEFAULT_LIMIT_SECONDS
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

__all__ = ["measure", "measure_workload"]


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
    limit_seconds: float = DEFAULT_LIMIT_SECONDS,
    notify: Callable[[str], None] = lambda _message: None,
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
    running = (
        make_meter(meter, profile, backend, limit_seconds)
        if isinstance(meter, str)
        else contextlib.nullcontext(meter)
    )
    with running as counting:
        measurement, _ = measure_workload(
            workload, dataset, profile, counting, wanted_accesses, seeds=[seed], notify=notify
        )
    return measurement


def measure_workload(
    workload: Workload,
    dataset: Dataset,
    machine: Machine,
    meter: Meter,
    accesses: Accesses,
    *,
    seeds: Sequence[int],
    notify: Callable[[str], None],
) -> tuple[Measurement, list[Trained]]:
    """Train a workload once for each seed, and count it with a running meter.

    Returns the measurement and the trained models. Without seeds there is no score.

    Raises
    ------
    TrainingError
        The native training failed.
    MeasurementError
        The counting failed.
    """
    started = time.monotonic()
    meter.start()
    trained = _train(workload, dataset, seeds, notify) if seeds else []
    scores = [one.score for one in trained]
    phases = price_phases(meter.measure(workload, dataset, notify), machine, accesses)
    measurement = Measurement(
        workload=workload,
        accesses=accesses,
        phases=phases,
        score=fmean(scores) if scores else None,
        score_split=_score_split(workload) if scores else None,
        scores=scores,
        fingerprint=meter.fingerprint(),
        seconds=round(time.monotonic() - started, 3),
    )
    return measurement, trained


def _train(
    workload: Workload, dataset: Dataset, seeds: Sequence[int], notify: Callable[[str], None]
) -> list[Trained]:
    notify(f"training {workload.topology} batch {workload.batch_size} natively")
    # Keras takes seconds to import, during which the simulator starts.
    from powerml.training import train

    return [train(workload, dataset, seed) for seed in seeds]


def _score_split(workload: Workload) -> Literal["validation", "test"]:
    return "test" if workload.protocol == "paper" else "validation"
