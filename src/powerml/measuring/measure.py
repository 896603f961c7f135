"""Measuring one workload: counts by a meter, costs by a machine, score by native training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from powerml.calibration.files import load_calibration
from powerml.calibration.fit import Calibration, calibrated
from powerml.costs.cost import check_accesses
from powerml.costs.measurement import Measurement
from powerml.errors import UsageError
from powerml.machines import DEFAULT_MACHINE, Machine, geometries, load_machines
from powerml.measuring.preparation import Wanted, prepare
from powerml.meters.base import DEFAULT_LIMIT_SECONDS, Meter
from powerml.meters.catalogue import DEFAULT_METER, WHOLE_PROCESS
from powerml.meters.counting import counting_threads, start_counting
from powerml.meters.predicting import PREDICTED
from powerml.progress import Notify
from powerml.spaces import Topology
from powerml.workloads.datasets import DEFAULT_VALIDATION
from powerml.workloads.workload import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCHS,
    DEFAULT_INFERENCES,
    ModelFile,
    check_protocol,
)

if TYPE_CHECKING:
    pass
from powerml.costs.measurement import scored
from powerml.meters.catalogue import meter_options, open_meters
from powerml.networks.native import train_natively

__all__ = ["measure"]


def measure(
    model: str | Topology | Path,
    *,
    data: str | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    epochs: int = DEFAULT_EPOCHS,
    machine: str | Machine | Sequence[str | Machine] = DEFAULT_MACHINE,
    levels: int = 2,
    accesses: str = "data",
    protocol: str = "default",
    runtime: str | None = None,
    inference_batch: int | None = None,
    inferences: int = DEFAULT_INFERENCES,
    dimensions: Mapping[str, int] | None = None,
    allow_code: Sequence[str] = (),
    validation: float = DEFAULT_VALIDATION,
    seed: int = 0,
    meter: str | Meter = DEFAULT_METER,
    fidelity: str = "exact",
    error: float | None = None,
    jobs: int | None = None,
    cache: bool = True,
    limit_seconds: float = DEFAULT_LIMIT_SECONDS,
    calibration: str | Path | Calibration | None = None,
    notify: Notify = lambda _message: None,
) -> Measurement:
    """Measure what a model's training and inference cost, and how well it scores.

    Parameters
    ----------
    model
        A topology as in ``dffr:layers=2,width=16``, or the path of a ``.keras``, ``.onnx`` or
        ``.tflite`` file. A topology is trained and run, and so is a ``.keras`` file with `data`;
        other files are only run.
    data
        A dataset's name or the path of an ``.npz``; see `powerml.load_dataset`. None for
        ``mnist_small`` with a topology, for random inputs with a file. For a file it may also be
        an ``.npz`` with an array for each of the model's inputs, by name.
    batch_size, epochs
        Samples in a batch of the training, passes over the training data.
    machine
        Machines that price the counts: names, separated by commas, ``all``, or profiles. Each
        geometry of caches is simulated once.
    levels
        2 for the levels of eq. 2.1; 3 to give L2 a price of its own, by a second simulation.
    accesses
        ``data``, or ``all`` to price instruction fetches too.
    protocol
        ``default``, or ``paper`` for the paper's preprocessing, initialisers and score, and its
        inference: Keras's ``evaluate`` over the test samples in batches of `batch_size`.
    runtime
        What runs the inference: ``onnxruntime``, ``litert`` or ``keras``. None for ONNX Runtime,
        for what the file is made for, or for the paper's inference under its protocol.
    inference_batch, inferences
        Samples in a batch of the inference, None for 1 or what the model has fixed; how many
        batches are counted.
    dimensions
        Sizes of what dimensions a file leaves open, by name.
    allow_code
        What code a ``.keras`` file may bring along or name, none by default: ``Lambda``, or
        ``module:Name``.
    validation
        Part of the training data that is held out where the data has no validation split.
    seed
        Seed of the native training, and of random inputs.
    meter
        Name of the meter, or one that is already running and stays open.
    fidelity
        ``exact``; ``sampled``: a few steps are simulated, the rest extrapolated, and inference in
        a runtime is exact; ``predicted``: nothing is simulated or trained, and the counts of a
        topology are predicted from those in the cache.
    error
        How large the stated bound of the relative error may be; None for 0.01, or for 0.05 where
        it is predicted.
    jobs
        How many processes simulate at once; None for as many as there are cores.
    cache
        Whether counts that were simulated before are looked up, and new ones kept. A meter that is
        already running decides that itself, as it does the three above.
    limit_seconds
        After how long a simulated phase is given up.
    calibration
        What gives the costs of its machine, one of those above, a reading of a power meter: what
        `powerml.calibrate` returns, or a file of it.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    SetupError
        Valgrind, the C extension, a Keras backend or the runtime is not installed.
    TrainingError
        The native training failed.
    ExportError
        The model cannot be exported for the runtime.
    MeasurementError
        The counting failed.
    """
    wanted_accesses = check_accesses(accesses)
    options = meter_options(fidelity, error, jobs, limit_seconds)
    if options.fidelity == PREDICTED and not cache:
        raise UsageError("counts are predicted from the cache of counts: leave out --no-cache")
    profiles = load_machines(machine)
    groups = geometries(profiles, levels)
    if isinstance(calibration, (str, Path)):
        calibration = load_calibration(Path(calibration))
    if calibration is not None:
        calibration.require_fit_for(profiles, wanted_accesses, levels)
    wanted = Wanted(
        data=data,
        batch_size=batch_size,
        epochs=epochs,
        protocol=check_protocol(protocol),
        runtime=runtime,
        inference_batch=inference_batch,
        inferences=inferences,
        dimensions=dimensions or {},
        allowed=tuple(allow_code),
        validation=validation,
        seed=seed,
        evaluates=protocol == "paper" or meter == WHOLE_PROCESS,
        whole=meter == WHOLE_PROCESS,
    )
    workload, material = prepare(model, wanted, notify)
    with (
        open_meters(meter, groups, workload.backend, options, cache=cache) as running,
        counting_threads(jobs=min(options.jobs, len(running))) as threads,
    ):
        once = isinstance(meter, str)
        counting = start_counting(threads, workload, material, running, notify, once=once)
        scores = []
        if (training := workload.training) is not None and options.fidelity != PREDICTED:
            scores = [one.score for one in train_natively(training, material, [seed], notify)]
        measurement = counting.measurement(profiles, levels, wanted_accesses)
        if isinstance(material, ModelFile) and material.remarks:
            measurement = measurement.model_copy(update={"remarks": list(material.remarks)})
        if calibration is not None:
            measurement = calibrated(measurement, calibration)
        return scored(measurement, scores) if scores else measurement
