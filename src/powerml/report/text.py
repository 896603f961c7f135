"""Reports as Markdown and as CSV. Pure."""

from __future__ import annotations

import csv
import io
import re

from powerml.costs.counts import PHASES, PhaseName
from powerml.report.quantities import (
    cycles_text,
    joules_text,
    memory_text,
    number_text,
    objective_text,
    ratio_text,
    score_text,
    seconds_text,
)
from powerml.report.record import Price, Report, TrialRow
from powerml.report.sentences import machines_words

__all__ = ["csv_text", "harmless", "markdown_text"]

COLUMNS = (
    "trial",
    "topology",
    "batch_size",
    "weights",
    "memory_bytes",
    "file_bytes",
    "score",
    "score_deviation",
    "test_score",
    *(
        f"{phase}_{quantity}"
        for phase in PHASES
        for quantity in ("cost_cycles", "cost_ratio", "time_seconds", "energy_joules")
    ),
    "objective",
    "outcome",
    "on_front",
    "remark",
)
# What Markdown or the HTML in it would read as its own.
MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&])")
# What spreadsheets take for the start of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(report: Report) -> str:
    """Return a CSV with a line for each trial, after the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in report.rows:
        writer.writerow(
            [
                row.number,
                harmless(row.topology),
                row.batch_size,
                row.weights,
                None if row.memory is None else row.memory.needed_bytes,
                None if row.memory is None else row.memory.file_bytes,
                row.score,
                row.score_deviation,
                row.test_score,
                *(cell for phase in PHASES for cell in _priced(row.costs.get(phase))),
                row.objective,
                row.outcome,
                row.on_front,
                harmless(row.remark),
            ]
        )
    return text.getvalue()


def _priced(price: Price | None) -> list[float | None]:
    if price is None:
        return [None] * 4
    return [price.cycles, price.ratio, price.seconds, price.joules]


def harmless(text: str) -> str:
    """Return a text that no spreadsheet evaluates."""
    return f"'{text}" if text.startswith(FORMULA) else text


def markdown_text(report: Report) -> str:
    """Return the headline, the notes, all trials and the repeating command."""
    reproduction = report.reproduction
    machines = machines_words(report.settings.machine, report.settings.training_machine)
    lines = [
        f"# {_plain(report.title)}",
        "",
        f"**{_plain(report.headline)}**",
        "",
        _plain(report.sought),
        *[line for note in report.notes for line in ("", f"> {_plain(note)}")],
        "",
        *[f"- {_plain(line)}" for line in (*_winner_lines(report), *report.comparisons)],
        "",
        "## Trials",
        "",
        f"Costs are relative to {_plain((report.unit or 'the first trial') + machines)}, by the "
        f"price {report.settings.price}.",
        "",
        *_table(report),
        "",
        "## Repeat the study",
        "",
        *_fenced(reproduction.command),
        *[line for note in reproduction.notes for line in ("", _plain(note))],
        "",
    ]
    return "\n".join(lines)


def _winner_lines(report: Report) -> list[str]:
    """List the winners' test scores, and their costs in units."""
    return [
        f"Trial {row.number}: score {score_text(row.score, row.score_deviation)}{_tested(row)}; "
        + "; ".join(f"{_titled(phase, report)} {_cost(row.costs.get(phase))}" for phase in PHASES)
        + _remembered(row)
        + "."
        for row in report.rows
        if row.outcome in ("best", "front")
    ]


def _titled(phase: PhaseName, report: Report) -> str:
    return f"{phase} of {report.inference_of}" if phase == "inference" else phase


def _tested(row: TrialRow) -> str:
    return "" if row.test_score is None else f", {number_text(row.test_score)} on the test split"


def _remembered(row: TrialRow) -> str:
    memory = memory_text(row.memory)
    return f"; {memory}" if memory else ""


def _cost(price: Price | None) -> str:
    if price is None:
        return cycles_text(None)
    seconds = "" if price.seconds is None else f", {seconds_text(price.seconds)}"
    joules = "" if price.joules is None else f", {joules_text(price.joules)} (estimated)"
    return f"{cycles_text(price.cycles)}{seconds}{joules}"


def _table(report: Report) -> list[str]:
    head = ("trial", "topology", "batch", "score", *(f"{phase} cost" for phase in PHASES))
    last = () if report.settings.pareto else ("objective",)
    names = (*head, *last, "outcome")
    aligned = ["---:" if name not in ("topology", "outcome") else "---" for name in names]
    return [_cells(names), _cells(aligned)] + [
        _cells([_plain(text) for text in _row(row, objective=bool(last))]) for row in report.rows
    ]


def _row(row: TrialRow, *, objective: bool) -> list[str]:
    outcome = row.outcome.replace("_", " ")
    return [
        str(row.number),
        row.topology,
        str(row.batch_size),
        score_text(row.score, row.score_deviation),
        *(ratio_text(price.ratio if (price := row.costs.get(phase)) else None) for phase in PHASES),
        *([objective_text(row.objective)] if objective else []),
        f"{outcome}: {row.remark}" if row.remark else outcome,
    ]


def _cells(texts: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(texts)} |"


def _plain(text: str) -> str:
    """Return a text without Markdown or HTML syntax."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _fenced(text: str) -> list[str]:
    """Return a block of code, in a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sh", " ".join(text.split("\n")), fence]
