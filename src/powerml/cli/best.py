"""``powerml best``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from powerml.cli.console import print_result
from powerml.cli.options import (
    OBJECTIVE_HELP,
    Json,
    MaxInferenceCost,
    MaxParameters,
    MaxTrainingCost,
    MinScore,
)
from powerml.errors import LimitError

__all__ = ["best"]

OWN = "the study's own"


def best(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.")],
    alpha: Annotated[
        float | None, typer.Option(help="Weight of the training cost.", show_default=OWN)
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Weight of the inference cost.", show_default=OWN)
    ] = None,
    objective: Annotated[str | None, typer.Option(help=OBJECTIVE_HELP, show_default=OWN)] = None,
    max_training_cost: MaxTrainingCost = None,
    max_inference_cost: MaxInferenceCost = None,
    min_score: MinScore = None,
    max_parameters: MaxParameters = None,
    json: Json = False,
) -> None:
    """Name the best of a study by weights chosen afterwards, and say why it is the best.

    Example: powerml best powerml-studies/dffr-mnist_small-pareto-s0-1 --alpha 0.2 --beta 0.3
    """
    import powerml

    record = powerml.best(
        study,
        alpha=alpha,
        beta=beta,
        objective=objective,
        max_training_cost=max_training_cost,
        max_inference_cost=max_inference_cost,
        min_score=min_score,
        max_parameters=max_parameters,
    )
    from powerml.cli.tables import best as tables
    from powerml.report.sentences import no_best_line

    if json:
        typer.echo(record.to_json())
    else:
        print_result(*tables.parts(record))
    if record.best is None:
        raise LimitError(no_best_line(record.nearest, record.broken, record.trials))
