"""``powerml check``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import powerml
from powerml.cli.console import print_result, stages_shown
from powerml.errors import ComparisonError, LimitError, PowerMLError, UsageError

if TYPE_CHECKING:
    from powerml.gate.record import CheckRecord

__all__ = ["check"]


def check(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="Models of the configuration.", show_default="all of them"
        ),
    ] = None,
    *,
    options: powerml.CheckOptions,
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            help="Print markdown, json, junit, sarif, bencher or github.", show_default="a table"
        ),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Write it to a file as well: in that format, or, without --format, in that of the "
            "suffix: .md, .json, .xml, .sarif, .bencher, .github.",
        ),
    ] = None,
) -> None:
    """Hold the costs of your models against limits and a baseline, as a gate in CI.

    The models, their machines and limits are in the table tool.powerml of pyproject.toml.

    Exit codes: 0 kept, 1 a model failed, 2 wrong use, 3 a limit is exceeded, 4 not comparable.

    Example: powerml check --update

    Example: powerml check

    Example: powerml check keyword --output check.md --output check.sarif
    """
    from powerml.gate.formats import FORMATS, format_of_file, render_check

    if format is not None and format not in FORMATS:
        raise powerml.UnknownNameError("format", format, FORMATS)
    # What cannot be written is told before minutes of simulation.
    files = [(path, format or format_of_file(path)) for path in output or ()]
    for path, _ in files:
        if not path.absolute().parent.is_dir():
            raise UsageError(f"{path} has no folder: create {path.parent} first")
    with stages_shown(kept=options.cache) as notify:
        record = powerml.check(models or (), options=options, notify=notify)
    root = _root(Path(record.config).parent)
    for path, name in files:
        _write(path, render_check(record, name, root))
    if format is None:
        from powerml.cli.tables.check import check_lines, check_table

        print_result(check_table(record), *check_lines(record))
    else:
        typer.echo(render_check(record, format, root), nl=False)
    _end(record)


def _root(folder: Path) -> Path:
    """Return the folder of the repository, which places in CI are relative to."""
    if given := os.environ.get("GITHUB_WORKSPACE"):
        return Path(given)
    repositories = (one for one in (folder, *folder.parents) if (one / ".git").exists())
    return next(repositories, folder)


def _write(path: Path, text: str) -> None:
    from powerml.files.atomic import write_whole

    if path.exists() and not path.is_file():  # as /dev/stderr
        path.write_text(text, encoding="utf-8")
    else:
        write_whole(path.absolute(), text)


def _end(record: CheckRecord) -> None:
    """Raise the error with the exit code of a check that is not kept."""
    if record.state == "kept":
        return
    from powerml.gate.formats.sentences import headline

    kinds = {"failed": PowerMLError, "exceeded": LimitError, "incomparable": ComparisonError}
    raise kinds[record.state](headline(record))
