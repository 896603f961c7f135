"""A check as a Rich table and lines. Pure: nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from powerml.gate.formats.sentences import (
    cause_text,
    causes_of,
    differences_text,
    headline,
    limit_text,
    share_text,
)
from powerml.gate.record import CheckedModel, CheckRecord, CheckState

__all__ = ["check_lines", "check_table"]

MEGA, MILLI = 1e6, 1e-3
WORDS: dict[CheckState, str] = {"incomparable": "not comparable"}
STYLES: dict[CheckState, str] = {
    "kept": "green",
    "exceeded": "bold red",
    "incomparable": "bold yellow",
    "failed": "bold red",
}


def check_table(record: CheckRecord) -> Table:
    """Tabulate the cost of each model's phases, the change, and the state of its limits.

    It has room in 80 columns: long names are folded.
    """
    table = Table(
        title=Text(headline(record)),
        title_justify="left",
        caption=Text("cycles, time and energy of one inference; change against the baseline"),
        caption_justify="left",
    )
    table.add_column("model", overflow="fold")
    table.add_column("phase", no_wrap=True)
    for heading in ("Mcycles", "ms", "mJ", "change"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("limits")
    for model in record.models:
        state = Text(WORDS.get(model.state, model.state), style=STYLES[model.state])
        if not model.phases:
            table.add_row(Text(model.name), "", "", "", "", "", state)
        for number, phase in enumerate(model.phases):
            table.add_row(
                Text(model.name) if number == 0 else "",
                phase.name,
                f"{phase.cycles / MEGA:,.3f}",
                _milli(phase.seconds),
                _milli(phase.joules),
                "" if phase.change is None else share_text(phase.change),
                state if number == model.decisive_place else "",
            )
        table.add_section()
    return table


def _milli(value: float | None) -> str:
    return "" if value is None else f"{value / MILLI:,.4g}"


def check_lines(record: CheckRecord) -> list[RenderableType]:
    """Return lines on all that is wrong, with the nodes that caused it, and the remarks."""
    return [line for model in record.models for line in _lines(model)]


def _lines(model: CheckedModel) -> Iterator[Text]:
    for limit in model.exceeded:
        yield Text(f"{model.name}: {limit_text(model, limit)}", style="red")
        for number, row in enumerate(causes_of(model, limit), 1):
            yield Text(f"  {number}. {cause_text(row)}")
    if model.differences:
        yield Text(f"{model.name}: {differences_text(model)}", style="yellow")
    if model.failure is not None:
        yield Text(f"{model.name}: {model.failure}", style="red")
    for remark in model.remarks:
        yield Text(f"{model.name}: {remark}")
