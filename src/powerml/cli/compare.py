"""``powerml compare``."""

from __future__ import annotations

from typing import Annotated

import typer

import powerml
from powerml.cli.console import print_result, stages_shown
from powerml.cli.options import Json
from powerml.errors import UsageError

__all__ = ["compare"]

COMPARED = (
    "A topology, a .keras, .onnx or .tflite file, a record of powerml profile --json or powerml "
    "measure --json, or a trial of a study: STUDY:3, STUDY:best, STUDY:reference."
)


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help=COMPARED)],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Another one.")],
    *,
    by: Annotated[
        str, typer.Option(help="node, as the runtime runs them; library; or function.")
    ] = "node",
    top: Annotated[
        int, typer.Option(help="Largest differences to print; all others are one row.")
    ] = 20,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="Phase to show, as inference; repeatable.", show_default="all"),
    ] = None,
    options: powerml.MeasureOptions,
    json: Json = False,
) -> None:
    """Show why one model costs more than another: by node, by library or by function.

    Models are profiled now, with the same options. The rows add up to the difference of each phase.

    Example: powerml compare model.onnx model-int8.onnx --machine raspberry-pi-4

    Example: powerml compare before.json model.onnx --by library

    Example: powerml compare powerml-studies/my-study:reference powerml-studies/my-study:best
    """
    from powerml.explain.profile_record import check_grouping

    grouping = check_grouping(by)
    if top < 1:
        raise UsageError(f"top is {top}: give at least 1")
    with stages_shown(kept=options.cache) as notify:
        found = powerml.compare(before, after, phases=phase or (), options=options, notify=notify)
    if json:
        typer.echo(found.to_json())
        return
    from powerml.cli.tables.comparisons import parts

    print_result(*parts(found, grouping, top))
