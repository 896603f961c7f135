"""``powerml optimize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import powerml
from powerml.cli.console import print_result, program, study_progress
from powerml.cli.options import Json
from powerml.cli.report import repeating_command, report_line
from powerml.errors import LimitError

if TYPE_CHECKING:
    from powerml.studies.records import StudyRecord

__all__ = ["optimize"]


def optimize(
    space: Annotated[
        str, typer.Option(help="The family to search: dffr or cnn; within dffr:layers=1-3,width=8.")
    ] = "cnn",
    *,
    options: powerml.SearchOptions,
    json: Json = False,
) -> None:
    """Search a family for the cheapest network that is accurate, or for another objective.

    Example: powerml optimize --space cnn --trials 10

    Example: powerml optimize --space dffr --objective squared --alpha 0.5 --beta 0.05

    Example: powerml optimize --pareto --trials 20
    """
    with study_progress() as listener:
        record = powerml.optimize(space, options=options, listener=listener)
    _show_study(record, json=json)


def _show_study(record: StudyRecord, *, json: bool) -> None:
    """Print what a study has found; raises ``LimitError`` where that is nothing."""
    from rich.text import Text

    from powerml.cli.tables import studies

    folder = Path(record.folder)
    report = report_line(folder)
    if json:
        typer.echo(record.to_json())
        typer.echo(f"powerml: {report}", err=True)
    else:
        if record.best is not None or record.front:
            print_result(Text(studies.headline(record), style="bold"), "")
        print_result(studies.trials_table(record))
        if record.settings.other_machines and not record.settings.pareto:
            print_result(studies.ranking_table(record))
        where = report.removeprefix("report in ")
        command = repeating_command(folder, program())
        print_result("", studies.places_table(record, where, command))
    if record.best is None and not record.front:
        raise LimitError(studies.no_best_line(record))
