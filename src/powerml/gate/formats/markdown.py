"""A check as Markdown, for the summary of a workflow and the comment of a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from powerml.gate.formats.sentences import (
    cause_text,
    causes_of,
    differences_text,
    headline,
    limit_text,
    share_text,
)
from powerml.gate.record import CheckedModel, CheckedPhase, CheckRecord, CheckState

__all__ = ["markdown_text"]

MEGA = 1e6
WORDS: dict[CheckState, str] = {
    "kept": "kept",
    "exceeded": "**exceeded**",
    "incomparable": "**not comparable**",
    "failed": "**failed**",
}
SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown_text(record: CheckRecord, root: Path) -> str:
    """Return a heading, a table of the phases, and what is wrong."""
    del root
    lines = [
        f"### powerML: {_escaped(headline(record))}",
        "",
        "| model | machine | phase | Mcycles | ms | mJ | change | limits |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
        *(row for model in record.models for row in _rows(model)),
        "",
        *(line for model in record.models for line in _faults(model)),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _rows(model: CheckedModel) -> Iterator[str]:
    name = _escaped(model.name)
    if not model.phases:
        yield f"| {name} | | | | | | | {WORDS[model.state]} |"
    for number, phase in enumerate(model.phases):
        first = number == 0
        cells = [
            name if first else "",
            _escaped(model.machine or "") if first else "",
            phase.name,
            f"{phase.cycles / MEGA:,.3f}",
            _milli(phase.seconds),
            _milli(phase.joules),
            _change(phase),
            WORDS[model.state] if number == model.decisive_place else "",
        ]
        yield f"| {' | '.join(cells)} |"


def _change(phase: CheckedPhase) -> str:
    return "" if phase.change is None else share_text(phase.change)


def _milli(value: float | None) -> str:
    return "" if value is None else f"{value * 1e3:,.4g}"


def _faults(model: CheckedModel) -> Iterator[str]:
    name = _escaped(model.name)
    for limit in model.exceeded:
        yield f"- **{name}**: {_escaped(limit_text(model, limit))}"
        for row in causes_of(model, limit):
            yield f"  - {_escaped(cause_text(row))}"
    if model.differences:
        yield f"- **{name}**: {_escaped(differences_text(model))}"
    if model.failure is not None:
        yield f"- **{name}**: {_escaped(model.failure)}"
    for remark in model.remarks:
        yield f"- {name}: {_escaped(remark)}"


def _escaped(text: str) -> str:
    """Escape what Markdown or HTML would read as more than text, and join lines."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
