"""``powerml optimize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import powerml
from powerml.cli.console import print_result, program, study_progress
from powerml.cli.options import Json
from powerml.cli.report import repeating_command, report_line
from powerml.errors import LONGEST_MESSAGE, LimitError, shortened, words_of

if TYPE_CHECKING:
    from powerml.progress import Notify
    from powerml.studies.records import StudyRecord

__all__ = ["optimize"]


def optimize(
    space: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="The space to search: dffr or cnn, or a part, as in dffr:layers=1-3,width=8; a "
            "file of your own, as mine.py; or conv1d, convnet, gru, mlp, separable, transformer.",
        ),
    ] = "cnn",
    *,
    options: powerml.SearchOptions,
    json: Json = False,
) -> None:
    """Search a space for the cheapest accurate network, or by another objective.

    Example: powerml optimize --space cnn --trials 10

    Example: powerml optimize --space dffr --objective squared --alpha 0.5 --beta 0.05

    Example: powerml optimize --pareto --trials 20

    Example: powerml optimize --space mine.py --data mine.npz --trials 30
    """
    with study_progress() as listener:
        record = powerml.optimize(space, options=options, listener=listener)
        _profile_best(Path(record.folder), options, listener.stage)
    _show_study(record, json=json)


def _profile_best(folder: Path, options: powerml.SearchOptions, notify: Notify) -> None:
    """Profile the best for the report, which says so where it cannot be done.

    The study has been kept, so no error may fail the command.
    """
    from powerml.explain.winner import profile_winner

    try:
        profile_winner(folder, options, notify)
    except Exception as error:
        reason = shortened(words_of(error), LONGEST_MESSAGE)
        typer.echo(f"powerml: the best was not profiled: {reason}", err=True)


def _show_study(record: StudyRecord, *, json: bool) -> None:
    """Print a study's results; raises ``LimitError`` if there are none."""
    from rich.text import Text

    from powerml.cli.tables import studies
    from powerml.explain.findings import findings_of
    from powerml.report.sentences import headline, no_best_line
    from powerml.studies.reader import read_study

    folder = Path(record.folder)
    report, stored = report_line(folder), read_study(folder)
    findings = findings_of(stored)
    found = findings.best is not None or len(findings.front) > 0
    if json:
        typer.echo(record.to_json())
        typer.echo(f"powerml: {report}", err=True)
    else:
        if found:
            print_result(Text(headline(findings), style="bold"), "")
        print_result(studies.trials_table(findings))
        if stored.settings.other_machines and findings.best is not None:
            print_result(studies.ranking_table(findings))
        where = report.removeprefix("report in ")
        command = repeating_command(stored, program())
        print_result("", *studies.places_lines(findings, where, command), is_wrapped=False)
    if not found:
        least = findings.least_infeasible
        trial, violations = (None, []) if least is None else (least.trial, least.violations)
        raise LimitError(no_best_line(trial, violations, len(findings.trials)))
