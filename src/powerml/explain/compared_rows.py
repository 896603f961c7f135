"""Rows of a comparison as they are shown: the largest, the rest as one, and as tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from powerml.explain.profile_record import (
    ComparedPhase,
    ComparedRow,
    Comparison,
    Grouping,
)
from powerml.explain.profile_rows import DEFAULT_TOP, TOTAL, kind_columns, kind_heading, row_name
from powerml.tables import Cell, RecordTable, table_of

__all__ = [
    "compared_total",
    "comparison_table",
    "priced_alike",
    "shown_compared_rows",
    "shown_comparison_tables",
]


def shown_compared_rows(rows: Sequence[ComparedRow], top: int) -> list[ComparedRow]:
    """Return the first rows that differ, and the sum of all others, so that they still add up."""
    kept = min(top, sum(row.difference_cycles != 0 for row in rows))
    if len(rows) <= kept + 1:  # one row is not summed up
        return list(rows)
    return [*rows[:kept], _sum_of(rows[kept:], f"{len(rows) - kept} others")]


def compared_total(rows: Sequence[ComparedRow]) -> ComparedRow:
    """Return the sum of rows."""
    return _sum_of(rows, TOTAL)


def _sum_of(rows: Sequence[ComparedRow], name: str) -> ComparedRow:
    return ComparedRow(
        name=name,
        before_cycles=fsum(row.before_cycles or 0.0 for row in rows),
        after_cycles=fsum(row.after_cycles or 0.0 for row in rows),
        difference_cycles=fsum(row.difference_cycles for row in rows),
    )


def priced_alike(comparison: Comparison) -> str:
    """Return the line of a comparison's machine and price."""
    return f"on {comparison.machine} by the price {comparison.price}, of one inference each"


def comparison_table(comparison: Comparison) -> RecordTable:
    """Return all rows of all phases and groupings of a comparison."""
    return table_of(
        f"{comparison.before} and {comparison.after}, {priced_alike(comparison)}",
        [
            {
                "phase": phase.name,
                "grouping": grouping,
                "name": row.name,
                **kind_columns(row.kind, grouping),
                "part": row.part,
                "before_cycles": row.before_cycles,
                "after_cycles": row.after_cycles,
                "difference_cycles": row.difference_cycles,
            }
            for phase in comparison.phases
            for grouping, rows in phase.rows.items()
            for row in rows
        ],
        comparison.remarks,
    )


def shown_comparison_tables(comparison: Comparison, top: int = DEFAULT_TOP) -> list[RecordTable]:
    """Return a table for each phase, by node, or by the first grouping that tells it."""
    last = [priced_alike(comparison), *comparison.remarks]
    return [
        _phase_table(comparison, phase, top, last if place == len(comparison.phases) - 1 else [])
        for place, phase in enumerate(comparison.phases)
    ]


def _phase_table(
    comparison: Comparison, phase: ComparedPhase, top: int, notes: Sequence[str]
) -> RecordTable:
    title = f"{phase.name} of {comparison.before} and {comparison.after}"
    by = next((grouping for grouping, rows in phase.rows.items() if rows), None)
    if by is None:
        whole = ComparedRow(
            name=phase.name,
            before_cycles=phase.before_cycles,
            after_cycles=phase.after_cycles,
            difference_cycles=phase.difference_cycles,
        )
        return RecordTable(
            title=title, columns=["phase", *_columns("node")[1:]], rows=[_cells(whole)], notes=notes
        )
    rows = phase.rows[by]
    shown = shown_compared_rows(rows, top)
    cells = [_cells(row) for row in shown]
    rest = None if len(shown) == len(rows) else cells.pop()
    return RecordTable(
        title=f"{title}, by {by}",
        columns=_columns(by),
        rows=cells,
        rest=rest,
        total=_cells(compared_total(rows)),
        notes=[*(phase.remarks if by == "node" else ()), *notes],
    )


def _columns(by: Grouping) -> list[str]:
    return [by, kind_heading(by), "cycles before", "cycles after", "difference"]


def _cells(row: ComparedRow) -> list[Cell]:
    return [
        row_name(row),
        row.kind,
        row.before_cycles,
        row.after_cycles,
        row.difference_cycles,
    ]
