"""``powerml best``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import powerml
from powerml.cli.console import print_result
from powerml.cli.options import Json
from powerml.errors import LimitError

__all__ = ["best"]


def best(
    study: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", help="Folder of the study; with --storage its name is enough."
        ),
    ],
    *,
    options: powerml.BestOptions,
    json: Json = False,
) -> None:
    """Choose a study's best trial by new weights, objective or limits, and explain the choice.

    Example: powerml best powerml-studies/dffr-mnist_small-pareto-s0-1 --alpha 0.2 --beta 0.3
    """
    record = powerml.best(study, options=options)
    from powerml.cli.tables.best import parts
    from powerml.report.sentences import no_best_line

    if json:
        typer.echo(record.to_json())
    else:
        print_result(*parts(record))
    if record.best is None:
        raise LimitError(no_best_line(record.least_infeasible, record.violations, record.trials))
