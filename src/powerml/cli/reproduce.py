"""``powerml reproduce``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import powerml
from powerml.cli.console import print_result
from powerml.cli.options import Json
from powerml.signals import Terminated

if TYPE_CHECKING:
    from powerml.cli.paper_progress import ReproductionProgress

__all__ = ["reproduce"]


def reproduce(
    *,
    options: powerml.ReproduceOptions,
    json: Json = False,
) -> None:
    """Make the paper's Figures 2 to 5 again: as in the paper, corrected, and by eq. 2.6 alone.

    The same command continues after an interruption. --setting, --space and --figure may be
    repeated.

    Example: powerml reproduce --seeds 5

    Example: powerml reproduce --space dffr --setting 1 --setting 3
    """
    with _progress() as listener:
        found = powerml.reproduce(options=options, listener=listener)
    from powerml.cli.tables.paper import parts
    from powerml.paper.files import write_files

    written = write_files(found, Path(options.out), shlex.join(["powerml", *sys.argv[1:]]))
    if json:
        typer.echo(found.to_json())
    else:
        print_result(*parts(found))
        typer.echo(f"page: {written.page}")
        typer.echo(f"beside it: {', '.join(path.name for path in written.others)}")


@contextmanager
def _progress() -> Iterator[ReproductionProgress]:
    """Show the progress of a reproduction; when it is interrupted, say how to go on."""
    from rich.console import Console

    from powerml.cli.paper_progress import ReproductionProgress

    progress = ReproductionProgress(Console(stderr=True))
    try:
        with progress:
            yield progress
    except (KeyboardInterrupt, Terminated):
        if progress.out is not None:
            kept = (
                f"; {progress.finished} of {progress.studies} studies are finished, and every "
                f"trial that ended is kept in {progress.out}"
                if progress.finished or progress.trials_kept
                else " before the first trial ended"
            )
            typer.echo(
                f"powerml: stopped{kept}. "
                f"Continue with the same command: {shlex.join(['powerml', *sys.argv[1:]])}",
                err=True,
            )
        raise
