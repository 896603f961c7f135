"""``powerml calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import powerml
from powerml.cli.console import loads_progress, print_result
from powerml.cli.options import Json

__all__ = ["calibrate"]


def calibrate(
    readings: Annotated[
        Path | None,
        typer.Option(
            help="CSV of your own readings, a row for each load; see --template.",
            show_default="those of 2018",
        ),
    ] = None,
    template: Annotated[
        bool,
        typer.Option("--template", help="Print a file of readings to fill in, and exit."),
    ] = False,
    *,
    options: powerml.CalibrateOptions,
    out: Annotated[
        Path,
        typer.Option(help="File of the calibration; the figure is written beside it, as .svg."),
    ] = Path("powerml-calibration.json"),
    json: Json = False,
) -> None:
    """Fit a power meter's readings of synthetic loads to their costs (the paper's Figure 1).

    Without --readings it uses those of 2018, whose unit is not known. powerml measure
    --calibration applies the file that it writes.

    Example: powerml calibrate

    Example: powerml calibrate --template > mine.csv

    Example: powerml calibrate --readings mine.csv --machine epyc-7601
    """
    from powerml.calibration.files import figure_beside, save_calibration
    from powerml.calibration.readings import readings_template
    from powerml.files.atomic import write_whole

    if template:
        typer.echo(readings_template(), nl=False)
        return
    figure = figure_beside(out, readings)
    with loads_progress(kept=options.cache) as (notify, advance):
        calibration = powerml.calibrate(readings, options=options, notify=notify, advance=advance)
    from powerml.calibration.figure import draw
    from powerml.calibration.readings import SOURCE_2018
    from powerml.cli.tables.calibration import calibration_lines, calibration_table
    from powerml.machines import PAPERS_MACHINE

    save_calibration(calibration, out)
    write_whole(figure, draw(calibration))
    if json:
        typer.echo(calibration.to_json())
        return
    print_result(calibration_table(calibration), *calibration_lines(calibration))
    if readings is not None and not {"machine", "machine_file"} & options.model_fields_set:
        typer.echo(
            f"costs are those of {calibration.machine}, as no machine was named: "
            "if another was metered, give it with --machine or --machine-file"
        )
    elif readings is None and calibration.machine != PAPERS_MACHINE:
        typer.echo(
            f"{SOURCE_2018} were metered on {PAPERS_MACHINE}: a calibration of "
            f"{calibration.machine} needs its own, see --template"
        )
    typer.echo(f"written to {out}, the figure to {figure}")
    typer.echo(f"to apply it: powerml measure TOPOLOGY --calibration {out}")
