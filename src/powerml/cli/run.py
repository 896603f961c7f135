"""``powerml run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import powerml
from powerml.cli.options import Json

__all__ = ["run"]

STANDARD_ERROR = 2


def run(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND ARGS...", help="The command, after its options and --."),
    ],
    *,
    options: powerml.RunOptions,
    json: Json = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the record there as JSON, and the table to standard error.",
        ),
    ] = None,
) -> None:
    """Run any command in the simulator: what the regions that it marks cost, or all of it.

    In Python, powerml.region("training") marks a region, and powerml.scope("attention") a part of
    it. The exit code is 1 if the command failed. With --json and without --output, what the
    command prints goes to standard error.

    Example: powerml run -- python3 train.py --epochs 2

    Example: powerml run --clock -- python3 -m cProfile -s tottime train.py
    """
    import sys

    from powerml.cli.console import print_result
    from powerml.cli.tables.runs import run_table, scopes_table
    from powerml.errors import UsageError, WorkerError
    from powerml.files.atomic import write_whole

    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(
            f"the folder of --output {output} does not exist: make it, or name another"
        )
    record = powerml.run(
        command, stdout=STANDARD_ERROR if json and output is None else None, options=options
    )
    sys.stdout.flush()
    if output is not None:
        write_whole(output, record.to_json() + "\n")
    if json and output is None:
        typer.echo(record.to_json())
    if not json:
        tables = [run_table(record)]
        tables += [scopes_table(record, tree) for tree in record.scopes if tree.scopes]
        print_result(*tables, *record.remarks, to_error=output is not None)
    if record.exit_code != 0:
        raise WorkerError(
            f"{command[0]} ended with exit code {record.exit_code}: see what it said; the costs "
            "are of what it did"
        )
