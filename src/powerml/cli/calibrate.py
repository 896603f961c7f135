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
    networks: Annotated[
        Path | None,
        typer.Option(
            help="Records of powerml measure, of a sensor and of the simulator: a file or a folder."
        ),
    ] = None,
    *,
    options: powerml.CalibrateOptions,
    out: Annotated[
        Path | None,
        typer.Option(
            help="File of the calibration; the figure is written beside it, as .svg.",
            show_default="powerml-calibration.json; powerml-power.toml with --networks",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Fit a power meter's readings of synthetic loads to their costs (the paper's Figure 1).

    Without --readings it uses those of 2018, whose unit is not known. powerml measure
    --calibration applies the file that it writes.

    With --networks it fits the machine's energies to the joules that a sensor measured of networks.
    It writes the table power of the machine's profile.

    Example: powerml calibrate

    Example: powerml calibrate --template > mine.csv

    Example: powerml calibrate --readings mine.csv --machine epyc-7601

    Example: powerml calibrate --networks records --machine-file mine.toml
    """
    if networks is not None:
        if template or readings is not None:
            raise powerml.UsageError(
                "--networks takes records of networks, and --readings and --template are for "
                "synthetic loads: give one of them"
            )
        _over_networks(networks, options, out or Path("powerml-power.toml"), json=json)
        return
    from powerml.calibration.files import figure_beside, save_calibration
    from powerml.calibration.readings import readings_template
    from powerml.files.atomic import write_whole

    if template:
        typer.echo(readings_template(), nl=False)
        return
    out = out or Path("powerml-calibration.json")
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


def _over_networks(
    records: Path, options: powerml.CalibrateOptions, out: Path, *, json: bool
) -> None:
    """Fit a machine's energies to networks, and write them as a table of its profile."""
    from powerml.calibration.networks import calibrate_networks, power_table
    from powerml.cli.tables.calibration import energies_table, energy_lines
    from powerml.files.atomic import write_whole
    from powerml.meters.base import DEFAULT_METER

    if options.meter != DEFAULT_METER:
        raise powerml.UsageError(
            "--networks takes records that are there: measure with powerml measure --meter "
            f"{options.meter} --json, and leave out --meter"
        )
    profiles = options.profiles()
    if len(profiles) > 1 or not {"machine", "machine_file"} & options.model_fields_set:
        raise powerml.MachineError(
            "energies are fitted for one machine: name the one that was metered, with --machine or "
            "--machine-file"
        )
    if out.is_dir() or not out.parent.is_dir():
        raise powerml.CalibrationError(
            f"nothing can be written to {str(out)!r}: give a file in a folder that is there"
        )
    calibration = calibrate_networks(records, profiles[0])
    write_whole(out, power_table(calibration, profiles[0]))
    if json:
        typer.echo(calibration.to_json())
        return
    print_result(energies_table(calibration), *energy_lines(calibration))
    typer.echo(f"written to {out}: put it into the machine's file, in place of its table power")
