"""Results on standard output, progress on standard error, and messages after an interruption."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from powerml.cli.report import report_line
from powerml.signals import Terminated

if TYPE_CHECKING:
    from powerml.cli.study_progress import StudyProgress

__all__ = [
    "command_to_resume",
    "loads_progress",
    "parts_progress",
    "print_result",
    "program",
    "stages_shown",
    "study_progress",
]


def print_result(*renderables: object, to_error: bool = False, is_wrapped: bool = True) -> None:
    """Print tables and lines, on standard error where standard output is somebody else's.

    Lines that are to be pasted are not wrapped: the terminal breaks them, and copies them whole.
    """
    from rich.console import Console

    # A table in a file or a pipe must not be folded to 80 columns.
    width = None if (sys.stderr if to_error else sys.stdout).isatty() else 160
    console = Console(width=width, markup=False, emoji=False, stderr=to_error)
    for renderable in renderables:
        # What is too wide is the terminal's to break: cropped, it would be lost.
        console.print(renderable, soft_wrap=not is_wrapped, crop=False)


@contextmanager
def stages_shown(*, kept: bool, counts: bool = True) -> Iterator[Callable[[str], None]]:
    """Show one stage after the other; when interrupted, say how to continue.

    `kept` says whether counts are kept in the cache, and `counts` whether there are any.
    """
    from rich.console import Console

    from powerml.cli.progress import stages

    with (
        _telling_what_is_kept(
            "what was counted to its end is in the cache", kept=kept and counts, counts=counts
        ),
        stages(Console(stderr=True)) as show,
    ):
        yield show


@contextmanager
def study_progress() -> Iterator[StudyProgress]:
    """Show the progress of a study; when interrupted, say how to continue."""
    from rich.console import Console

    from powerml.cli.study_progress import StudyProgress

    progress = StudyProgress(Console(stderr=True))
    try:
        with progress:
            yield progress
    except (KeyboardInterrupt, Terminated):
        if progress.folder is not None:
            _tell_how_to_resume(progress)
            if progress.finished_trials:
                typer.echo(f"powerml: {report_line(progress.folder)}", err=True)
        raise


@contextmanager
def loads_progress(
    *, kept: bool
) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """Show the progress of the synthetic loads; when interrupted, say how to continue.

    `kept` says whether counts are kept in the cache.
    """
    from rich.console import Console

    from powerml.cli.progress import loads_bar

    with (
        _telling_what_is_kept("loads that were counted are in the cache", kept=kept),
        loads_bar(Console(stderr=True)) as shown,
    ):
        yield shown


@contextmanager
def parts_progress(
    first: str, kept_words: str, *, kept: bool
) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """Show the progress over several parts; when interrupted, say how to continue.

    Parameters
    ----------
    first
        Description until the first part begins.
    kept_words, kept
        The words for what an interruption leaves, and whether it is left.
    """
    from rich.console import Console

    from powerml.cli.progress import parts_bar

    with (
        _telling_what_is_kept(kept_words, kept=kept),
        parts_bar(Console(stderr=True), first) as shown,
    ):
        yield shown


@contextmanager
def _telling_what_is_kept(what: str, *, kept: bool, counts: bool = True) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        command = shlex.join([program(), *sys.argv[1:]])
        lost = "nothing is kept with --no-cache" if counts else "a sensor's readings are not kept"
        said = f"{what}. Continue with: {command}" if kept else lost
        typer.echo(f"powerml: stopped; {said}", err=True)
        raise


def _tell_how_to_resume(progress: StudyProgress) -> None:
    folder, ended = progress.folder, progress.finished_trials
    message = f"stopped; {ended} of {progress.trials} trials are kept in {folder}"
    if ended == 0:
        message = f"stopped before the first trial ended; the reference is kept in {folder}"
        if folder is None or not folder.exists():  # it was not measured either
            typer.echo("powerml: stopped before the first trial ended", err=True)
            return
    typer.echo(f"powerml: {message}. Continue with: {command_to_resume(progress)}", err=True)


def command_to_resume(progress: StudyProgress) -> str:
    """Return the command that continues a stopped study."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
    named = any(argument.split("=")[0] == "--study" for argument in arguments)
    folder = progress.folder
    study = [] if named or folder is None else ["--study", folder.name]
    return shlex.join([program(), *arguments, *study, "--resume"])


def program() -> str:
    """Return the program that starts powerML: its name if the shell finds it, else the given path.

    In a clone it lies in .venv/bin, which no shell searches.
    """
    given = sys.argv[0]
    found = shutil.which("powerml")
    if Path(given).name != "powerml" or (found and Path(found).resolve() == Path(given).resolve()):
        return "powerml"
    return given
