"""Measuring one workload: counts by a meter, costs by a machine, score by native training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from powerml.calibration.files import load_calibration
from powerml.calibration.fit import Calibration, calibrated
from powerml.costs.cost import require_price
from powerml.costs.measurement import Measurement, scored, stopped_early
from powerml.costs.readings import doubts_about
from powerml.errors import UsageError
from powerml.machines import PhaseMachines, require_no_board
from powerml.measuring.objects import Model, model_in_file
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare
from powerml.meters.base import runs_natively
from powerml.meters.catalogue import (
    meter_options,
    open_meters,
    reads_sensor,
    require_machines_for,
    require_sensor,
)
from powerml.meters.counting import counting_threads, start_counting
from powerml.meters.predicting import PREDICTED
from powerml.networks.deployed import memory_of
from powerml.networks.epochs import Endings
from powerml.networks.native import Trained, train_natively
from powerml.options import described
from powerml.progress import Notify, silent
from powerml.runtimes import UNEXPORTED
from powerml.workloads.workload import AnyWorkload, ModelFile, OwnMaterial

__all__ = ["measure", "needed_machines"]


@described(MeasureOptions)
def measure(
    model: Any,
    *,
    example_inputs: Any = None,
    options: MeasureOptions | None = None,
    notify: Notify = silent,
    **given: Any,
) -> Measurement:
    """Measure the cost of a model's training and inference, and its score.

    With a sensor as `meter` it measures their energy on this machine, and prices nothing.

    Parameters
    ----------
    model
        A topology as in ``dffr:layers=2,width=16`` or ``mine.py:units=8``; or the path of a
        ``.keras``, ``.onnx`` or ``.tflite`` file; or a ``keras.Model``, or a ``torch.nn.Module``.
        A topology is trained and run, and so is a Keras model with `data`; others are only run.
    example_inputs
        A tensor or a tuple of tensors, with which a ``torch.nn.Module`` is called.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    SetupError
        Valgrind, the C extension, a Keras backend, the runtime or the sensor is not there.
    TrainingError
        The native training failed.
    ExportError
        The model cannot be exported for the runtime.
    MeasurementError
        The counting or the sensor failed.

    Examples
    --------
    >>> measured = powerml.measure("dffr:layers=2,width=16", batch_size=32, epochs=1)
    >>> measured.score_split, [phase.name for phase in measured.phases]
    ('validation', ['training', 'load', 'inference'])
    >>> measured.cost_cycles("inference", "epyc-7763") > 0
    True
    """
    wanted = MeasureOptions.of_call("measure", options, given)
    with model_in_file(model, example_inputs, notify) as taken:
        return _measured(taken, wanted, notify)


def _measured(model: Model, wanted: MeasureOptions, notify: Notify) -> Measurement:
    working = meter_options(
        wanted.fidelity,
        wanted.error,
        wanted.jobs,
        wanted.limit_seconds,
        warm=wanted.warm,
        meter=wanted.meter,
        repeating=wanted.repeating,
    )
    if reads_sensor(wanted.meter):
        wanted.require_no_price()
        require_sensor(wanted.meter)
    if working.fidelity == PREDICTED and not wanted.cache:
        raise UsageError("counts are predicted from the cache of counts: leave out --no-cache")
    machines, by = wanted.phase_machines(), wanted.chosen_price
    require_machines_for(wanted.meter, machines.all)
    require_price(machines.all, by)
    machines.geometries(wanted.levels)  # before minutes are spent on the model
    calibration = _calibration(wanted, machines)
    wanted.require_own_epochs()
    workload, material = prepare(model, wanted, notify)
    machines = needed_machines(machines, workload, wanted)
    trained = workload.training if wanted.training else None
    working = replace(working, origins=True, deployment_only=workload.training is not trained)
    done: list[Trained] = []
    if wanted.early_stopping is not None:
        if trained is None or working.fidelity == PREDICTED:
            raise UsageError(
                f"--early-stopping is of a training, and {workload.title} is not trained: leave it "
                "out, or leave out --no-training and --fidelity predicted"
            )
        done = train_natively(
            trained, material, [wanted.seed], notify, Endings(wanted.early_stopping)
        )
        workload = trained.lasting([one.epochs for one in done])
    with (
        open_meters(
            wanted.meter, machines, wanted.levels, workload.backend, working, cache=wanted.cache
        ) as running,
        counting_threads(jobs=min(working.jobs, len(running))) as threads,
    ):
        once = isinstance(wanted.meter, str)
        counting = start_counting(threads, workload, material, running, notify, once=once)
        natively = any(map(runs_natively, running.values()))
        energies = counting.energies() if natively else None  # alone, lest it read the training too
        if trained is not None and not done and working.fidelity != PREDICTED:
            done = train_natively(trained, material, [wanted.seed], notify)
        memory = None
        if workload.deployment is not None and working.fidelity != PREDICTED:
            notify(f"measuring the memory of {workload.title}")
            memory = memory_of(workload, material, allocated=True)
        measurement = (
            energies
            or counting.energies()
            or counting.measurement(machines, wanted.levels, wanted.accesses, by)
        )
        remarks = list(material.remarks) if isinstance(material, (ModelFile, OwnMaterial)) else []
        remarks += doubts_about(measurement.energies or (), working.error)
        measurement = measurement.model_copy(update={"memory": memory, "remarks": remarks})
        if calibration is not None:
            measurement = calibrated(measurement, calibration)
        if trained is not None and wanted.early_stopping is not None:
            measurement = stopped_early(
                measurement, wanted.early_stopping, trained.epochs, [one.epochs for one in done]
            )
        return scored(measurement, [one.score for one in done]) if done else measurement


def _calibration(wanted: MeasureOptions, machines: PhaseMachines) -> Calibration | None:
    """Load the calibration that was asked for, and check that it fits."""
    calibration = wanted.calibration
    if isinstance(calibration, (str, Path)):
        calibration = load_calibration(Path(calibration))
    if calibration is None:
        return None
    if wanted.chosen_price == "core":
        raise UsageError(
            "a calibration is of costs by the price paper: give --price paper, or leave out "
            "--calibration"
        )
    calibration.require_fit_for(machines.all, wanted.accesses, wanted.levels)
    return calibration


def needed_machines(
    machines: PhaseMachines, workload: AnyWorkload, wanted: MeasureOptions
) -> PhaseMachines:
    """Return the machines of a workload, which may have no training; raises ``UsageError``."""
    if workload.deployment is not None and workload.deployment.runtime in UNEXPORTED:
        framework = "Keras" if workload.deployment.runtime == "keras" else "its framework"
        require_no_board(
            machines.inference,
            f"and {workload.title} runs in {framework}, which does not run on boards",
            "leave it out, or give a model that can be exported",
        )
    if workload.training is not None and wanted.training:
        return machines
    if workload.training is not None and workload.deployment is None:
        raise UsageError(
            f"the inference of {workload.title} is Keras's evaluate after its training: leave out "
            "--no-training, or name a --runtime"
        )
    if workload.training is not None and wanted.training_machine is not None:
        raise UsageError(
            "a training that is not counted has no machine: leave out --training-machine or "
            "--no-training"
        )
    if wanted.training_machine is not None:
        raise UsageError(
            f"{workload.title} is not trained: leave out --training-machine, or give a .keras file "
            "with --data"
        )
    return PhaseMachines(machines.inference)
