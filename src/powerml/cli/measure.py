"""``powerml measure``."""

from __future__ import annotations

from typing import Annotated

import typer

import powerml
from powerml.cli.console import print_result, stages_shown
from powerml.cli.options import Json

__all__ = ["measure"]


def measure(
    model: Annotated[
        str,
        typer.Argument(
            metavar="TOPOLOGY|FILE",
            help="A topology, as in dffr:layers=2,width=16, or a .keras, .onnx or .tflite file.",
        ),
    ],
    *,
    options: powerml.MeasureOptions,
    json: Json = False,
) -> None:
    """Measure what a topology costs to train and to run, or what a model's file costs to run.

    With --meter rapl, nvml or readings:FILE it runs natively, and a sensor reads the joules.

    Example: powerml measure dffr:layers=2,width=16 --batch-size 32

    Example: powerml measure model.onnx --machine all
    """
    from powerml.meters.catalogue import reads_sensor

    with stages_shown(kept=options.cache, counts=not reads_sensor(options.meter)) as notify:
        measurement = powerml.measure(model, options=options, notify=notify)
    if json:
        typer.echo(measurement.to_json())
        return
    from powerml.cli.tables.measurements import (
        energy_table,
        machines_costs_table,
        measurement_table,
        memory_table,
    )
    from powerml.meters.predicting import PREDICTED

    print_result((measurement_table if measurement.phases else energy_table)(measurement))
    if len(measurement.machines) > 1:
        print_result(machines_costs_table(measurement))
    if measurement.memory is not None:
        print_result(memory_table(measurement.memory))
    if measurement.calibration is not None:
        for remark in measurement.calibration.remarks:
            typer.echo(remark)
    for remark in measurement.remarks:
        typer.echo(remark)
    score = ""
    if measurement.score is not None:
        score = f"score {measurement.score:.3f} ({measurement.score_source}), "
    predicted = any(phase.fidelity == PREDICTED for phase in measurement.phases)
    how = "predicted, not simulated" if predicted else "measured"
    typer.echo(f"{score}{how} in {measurement.seconds:.0f} s")
