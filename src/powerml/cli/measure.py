"""``powerml measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powerml.cli.console import print_result, stages_shown
from powerml.cli.options import (
    DATA_HELP,
    AccessesName,
    Cache,
    Epochs,
    InferenceBatch,
    Inferences,
    Jobs,
    Json,
    Levels,
    LimitSeconds,
    MachineFiles,
    MachineNames,
    MeterName,
    ProtocolName,
    RuntimeName,
    Seed,
    Validation,
    machines_of,
)
from powerml.errors import UsageError

__all__ = ["measure"]


def measure(
    model: Annotated[
        str,
        typer.Argument(
            metavar="TOPOLOGY|FILE",
            help="As in dffr:layers=2,width=16; or a .keras, .onnx or .tflite file.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help=DATA_HELP + " For a file also an .npz with an array for each input.",
            show_default="mnist_small for a topology, random inputs for a file",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Samples in a batch of the training.")] = 32,
    epochs: Epochs = 2,
    machine: MachineNames = None,
    machine_file: MachineFiles = None,
    levels: Levels = 2,
    accesses: AccessesName = "data",
    protocol: ProtocolName = "default",
    runtime: RuntimeName = None,
    inference_batch: InferenceBatch = None,
    inferences: Inferences = 1,
    dim: Annotated[
        list[str] | None,
        typer.Option(help="Size of a dimension that a file leaves open, as in batch=1."),
    ] = None,
    allow_code: Annotated[
        list[str] | None,
        typer.Option(help="Code that a .keras file may run: Lambda, or module:Name."),
    ] = None,
    validation: Validation = 0.1,
    seed: Seed = 0,
    meter: MeterName = "callgrind",
    fidelity: Annotated[
        str,
        typer.Option(
            help="exact: every step is simulated; sampled: a few, and the rest extrapolated; "
            "predicted: none, at once, from what is in the cache of counts."
        ),
    ] = "exact",
    error: Annotated[
        float | None,
        typer.Option(
            help="How large the stated bound of the relative error may be.",
            show_default="0.01; 0.05 for a prediction",
        ),
    ] = None,
    jobs: Jobs = None,
    cache: Cache = True,
    limit_seconds: LimitSeconds = 3600.0,
    calibration: Annotated[
        Path | None,
        typer.Option(help="What powerml calibrate wrote: adds what a power meter would read."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure what a topology costs to train and to run, or what a model's file costs to run.

    Example: powerml measure dffr:layers=2,width=16 --batch-size 32

    Example: powerml measure model.onnx --machine all
    """
    import powerml

    dimensions = _dimensions(dim or [])
    with stages_shown(kept=cache) as notify:
        measurement = powerml.measure(
            model,
            data=data,
            batch_size=batch_size,
            epochs=epochs,
            machine=machines_of(machine, machine_file),
            levels=levels,
            accesses=accesses,
            protocol=protocol,
            runtime=runtime,
            inference_batch=inference_batch,
            inferences=inferences,
            dimensions=dimensions,
            allow_code=allow_code or [],
            validation=validation,
            seed=seed,
            meter=meter,
            fidelity=fidelity,
            error=error,
            jobs=jobs,
            cache=cache,
            limit_seconds=limit_seconds,
            calibration=calibration,
            notify=notify,
        )
    if json:
        typer.echo(measurement.to_json())
        return
    from powerml.cli.tables.measurements import machines_costs_table, measurement_table
    from powerml.meters.predicting import PREDICTED

    print_result(measurement_table(measurement))
    if len(measurement.machines) > 1:
        print_result(machines_costs_table(measurement))
    if measurement.calibration is not None:
        for remark in measurement.calibration.remarks:
            typer.echo(remark)
    for remark in measurement.remarks:
        typer.echo(remark)
    score = ""
    if measurement.score is not None:
        score = f"score {measurement.score:.3f} ({measurement.score_split}), "
    predicted = any(phase.fidelity == PREDICTED for phase in measurement.phases)
    how = "predicted, not simulated" if predicted else "measured"
    typer.echo(f"{score}{how} in {measurement.seconds:.0f} s")


def _dimensions(options: list[str]) -> dict[str, int]:
    """Read ``name=size`` options."""
    found = {}
    for option in options:
        name, equals, size = option.rpartition("=")
        if not (equals and name and size.isascii() and size.isdigit()):
            raise UsageError(
                f"cannot read --dim {option}: write it as --dim {name or 'NAME'}=N, N at least 1"
            )
        found[name] = int(size)
    return found
