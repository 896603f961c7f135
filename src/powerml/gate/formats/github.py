"""A check as workflow commands of GitHub: an annotation for each fault, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from powerml.gate.formats.places import place_in
from powerml.gate.formats.sentences import cause_text, causes_of, differences_text, limit_text
from powerml.gate.record import CheckRecord

__all__ = ["github_text"]


def github_text(record: CheckRecord, root: Path) -> str:
    """Return a line ``::error ...`` for each limit exceeded, difference and failure."""
    file = place_in(record.config, root)
    lines = [
        f"::error file={_property(file)},line={line},title={_property(title)}::{_data(message)}\n"
        for line, title, message in _faults(record)
    ]
    return "".join(lines)


def _faults(record: CheckRecord) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the title and the message of each fault."""
    for model in record.models:
        for limit in model.exceeded:
            nodes = "\n".join(cause_text(row) for row in causes_of(model, limit))
            message = f"{model.name}: {limit_text(model, limit)}"
            yield limit.line, f"powerml {limit.name}", f"{message}\n{nodes}".rstrip()
        if model.differences:
            yield model.line, "powerml not comparable", f"{model.name}: {differences_text(model)}"
        if model.failure is not None:
            yield model.line, "powerml failed", f"{model.name}: {model.failure}"


def _data(text: str) -> str:
    """Escape a message, as GitHub's own toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property, whose separators are escaped besides."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
