"""Reports of studies: read a folder, render its study, write the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from powerml.costs.cost import PriceName, check_price
from powerml.errors import StudyError, UnknownNameError
from powerml.explain.winner import winner_profile
from powerml.files.atomic import write_whole
from powerml.report.account import report_of
from powerml.report.record import Report
from powerml.report.text import csv_text, markdown_text
from powerml.studies.reader import folder_of, is_of_study
from powerml.studies.repricing import MachineFiles, read_priced_study

__all__ = ["DEFAULT_FORMAT", "REPORT", "render_report", "write_report"]

REPORT = "report.html"
DEFAULT_FORMAT = "html"


def _page(report: Report) -> str:
    from powerml.report.html import page_html

    return page_html(report)


FORMATS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {
        DEFAULT_FORMAT: _page,
        "markdown": markdown_text,
        "csv": csv_text,
        "json": lambda report: report.to_json() + "\n",
    }
)


def render_report(
    study: str | Path,
    format: str = DEFAULT_FORMAT,  # noqa: A002
    *,
    price: PriceName | None = None,
    machine_file: MachineFiles = (),
    storage: str | None = None,
) -> str:
    """Render the results of a study, finished or not.

    The study's folder is neither changed nor locked; the study may be running.

    Parameters
    ----------
    study
        The study's folder; with `storage` its name is enough.
    format
        ``html``, one self-contained page; ``markdown``; ``csv``, a line for each trial; or
        ``json``.
    price
        ``core`` or ``paper``, by which the counts are priced again; None for the study's own.
    machine_file
        Profiles of the study's machines that are the user's own; for a price alone.
    storage
        The server that the study is stored on, as for `powerml.optimize`; None for the one that
        the folder names.

    Raises
    ------
    StudyError
        There is no such study.
    MachineError
        A machine's profile is missing, or has not what the price needs.
    UnknownNameError
        There is no such format.

    Examples
    --------
    >>> powerml.render_report("powerml-studies/my-study", format="csv").splitlines()[0][:15]
    'trial,topology,'
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    by = None if price is None else check_price(price)
    stored = read_priced_study(Path(study), by, machine_file, storage)
    return FORMATS[format](report_of(stored, winner_profile(stored)))


def write_report(
    study: str | Path,
    out: str | Path | None = None,
    format: str = DEFAULT_FORMAT,  # noqa: A002
    *,
    price: PriceName | None = None,
    machine_file: MachineFiles = (),
    storage: str | None = None,
) -> Path:
    """Write a report, whole or not at all.

    Parameters
    ----------
    study, format, price, machine_file, storage
        As for `render_report`.
    out
        The file; None for ``report.html`` in the study's folder, or with a price for
        ``report-PRICE.html``. A study without a folder here has ``NAME-report.html``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StudyError
        There is no such study, or the file cannot be written or is one of the study's.
    UnknownNameError
        There is no such format.

    Examples
    --------
    >>> powerml.write_report("powerml-studies/my-study", "my-report.md", format="markdown").name
    'my-report.md'
    """
    text = render_report(study, format, price=price, machine_file=machine_file, storage=storage)
    usual = REPORT if price is None else f"report-{price}.html"
    folder = folder_of(Path(study))
    beside = folder / usual if folder.is_dir() else Path(f"{folder.name}-{usual}")
    target = beside if out is None else Path(out)
    if is_of_study(target, folder):
        raise StudyError(f"{target} is part of the study: give another file with --out")
    try:
        write_whole(target, text)
    except OSError as error:
        raise StudyError(
            f"{target} cannot be written ({error.strerror}): give another file with --out"
        ) from error
    return target
