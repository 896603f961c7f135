"""``powerml report`` and ``powerml dashboard``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powerml.errors import LONGEST_MESSAGE, shortened, words_of

if TYPE_CHECKING:
    from powerml.studies.reader import StoredStudy

__all__ = ["dashboard", "repeating_command", "report", "report_line"]

StudyArgument = Annotated[
    Path,
    typer.Argument(metavar="STUDY", help="Folder of the study; with --storage its name is enough."),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Server that the study is stored on, as of powerml optimize.",
        show_default="the one that the folder names",
    ),
]


def report(
    study: StudyArgument,
    format: Annotated[  # noqa: A002 - the option's name
        str, typer.Option(help="html, markdown, csv (a line for each trial) or json.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file to write.",
            show_default="report.html in the study's folder, with a price report-PRICE.html; "
            "standard output for other formats",
        ),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(help="core or paper: price the counts again.", show_default="the study's own"),
    ] = None,
    machine_file: Annotated[
        list[Path] | None,
        typer.Option(help="TOML profile of your own machine, if the study has one."),
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Write a study's results as one page that opens offline, or as text.

    Example: powerml report powerml-studies/dffr-mnist_small-a0.5-b0.05-s0-1
    """
    import powerml
    from powerml.costs.cost import check_price

    by = None if price is None else check_price(price)
    given: dict[str, Any] = {"price": by, "machine_file": machine_file or (), "storage": storage}
    if out is None and format != "html":
        typer.echo(powerml.render_report(study, format, **given), nl=False)
    else:
        path = powerml.write_report(study, out, format, **given)
        typer.echo(f"report in {path}")


def dashboard(
    study: StudyArgument,
    port: Annotated[int, typer.Option(help="Port to listen on, on this computer alone.")] = 8080,
    storage: StorageOption = None,
) -> None:
    """Show a study in Optuna's dashboard, also while it runs. Ctrl-C ends it.

    Example: powerml dashboard powerml-studies/dffr-mnist_small-a0.5-b0.05-s0-1
    """
    from powerml.report.dashboard import serve_dashboard

    def tell(address: str) -> None:
        typer.echo(f"the dashboard is at {address}; Ctrl-C ends it")

    try:
        serve_dashboard(study, port, tell, storage)
    except KeyboardInterrupt:
        typer.echo("the dashboard has ended", err=True)


def report_line(folder: Path) -> str:
    """Write a study's report and say where, or why it is not there."""
    path, reason = _written_report(folder)
    return f"the report was not written: {reason}" if path is None else f"report in {path}"


def _written_report(folder: Path) -> tuple[Path | None, str]:
    """Write a study's report and return where it is, or None and why it is not there.

    The study has been kept, so no error of the report may fail the command.
    """
    try:
        import powerml

        return powerml.write_report(folder), ""
    except Exception as error:
        return None, shortened(words_of(error), LONGEST_MESSAGE)


def repeating_command(stored: StoredStudy, program: str) -> str:
    """Return the command that repeats the trials of a study; `program` starts powerML."""
    from powerml.report.command import command_of, jobs_of, wanted_trials

    wanted = wanted_trials(stored.runs, len(stored.trials))
    jobs = jobs_of(stored.runs)
    return command_of(stored.settings, wanted, jobs, program, storage=stored.storage)
