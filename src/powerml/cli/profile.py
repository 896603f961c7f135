"""``powerml profile``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import powerml
from powerml.cli.console import print_result, stages_shown
from powerml.cli.options import Json, Pairs
from powerml.errors import UsageError

__all__ = ["profile"]


def profile(
    model: Annotated[
        str,
        typer.Argument(
            metavar="TOPOLOGY|FILE",
            help="A topology, as in dffr:layers=2,width=16, or a .keras, .onnx or .tflite file.",
        ),
    ],
    *,
    by: Annotated[
        str, typer.Option(help="node, as the runtime runs them; library; or function.")
    ] = "node",
    top: Annotated[
        int, typer.Option(help="Most expensive rows to print; all others are one row.")
    ] = 20,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="Phase to show, as inference; repeatable.", show_default="all"),
    ] = None,
    export: Annotated[
        list[tuple[str, str]] | None,
        Pairs(),
        typer.Option(
            metavar="FORMAT FILE",
            help="Write it for another tool: speedscope, chrome, callgrind, csv or "
            "model-explorer; repeatable.",
        ),
    ] = None,
    options: powerml.MeasureOptions,
    json: Json = False,
) -> None:
    """Show where a model's cost comes from: by node, by library or by function.

    The rows add up to each phase. The rows runtime and interpreter are what belongs to no node.

    Example: powerml profile model.onnx --machine raspberry-pi-4

    Example: powerml profile dffr:layers=2,width=16 --by library --phase training

    Example: powerml profile model.onnx --export speedscope model.speedscope.json
    """
    from powerml.explain.profile_record import check_grouping
    from powerml.report.exports import check_export

    grouping = check_grouping(by)
    if top < 1:
        raise UsageError(f"top is {top}: give at least 1")
    exports = [(one, check_export(one, Path(path))) for one, path in export or ()]
    for _, path in exports:
        if path.exists() and os.path.realpath(path) == os.path.realpath(model):
            raise UsageError(f"{path} is the model itself: export into another file")
    with stages_shown(kept=options.cache) as notify:
        found = powerml.profile(model, phases=phase or (), options=options, notify=notify)
    if json:
        typer.echo(found.to_json())
    else:
        from powerml.cli.tables.profiles import parts

        print_result(*parts(found, grouping, top))
    for one, path in exports:
        typer.echo(f"{one} in {powerml.export_profile(found, one, path)}", err=json)
