"""Formats by name, and by the suffix of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from powerml.errors import UnknownNameError, UsageError
from powerml.gate.formats.bencher import bencher_text
from powerml.gate.formats.github import github_text
from powerml.gate.formats.junit import junit_text
from powerml.gate.formats.markdown import markdown_text
from powerml.gate.formats.sarif import sarif_text
from powerml.gate.record import CheckRecord

__all__ = ["FORMATS", "format_of_file", "render_check"]


def _json_text(record: CheckRecord, root: Path) -> str:
    del root
    return f"{record.to_json()}\n"


FORMATS: Mapping[str, Callable[[CheckRecord, Path], str]] = {
    "markdown": markdown_text,
    "json": _json_text,
    "junit": junit_text,
    "sarif": sarif_text,
    "bencher": bencher_text,
    "github": github_text,
}
SUFFIXES = {
    ".md": "markdown",
    ".json": "json",
    ".xml": "junit",
    **{f".{name}": name for name in FORMATS},
}


def render_check(record: CheckRecord, format_name: str, root: Path) -> str:
    """Return a record in one of the formats.

    Parameters
    ----------
    record
        The record.
    format_name
        Name of the format.
    root
        The folder that paths are relative to, usually that of the repository.

    Raises
    ------
    UnknownNameError
        There is no such format.
    """
    if format_name not in FORMATS:
        raise UnknownNameError("format", format_name, FORMATS)
    return FORMATS[format_name](record, root)


def format_of_file(path: Path) -> str:
    """Return the name of the format that a file's suffix tells; raises ``UsageError``."""
    found = SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise UsageError(
            f"the suffix of {path} tells no format: give --format, or one of "
            f"{', '.join(sorted(SUFFIXES))}"
        )
    return found
