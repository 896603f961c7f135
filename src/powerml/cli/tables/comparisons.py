"""Comparisons as Rich tables that fit their terminal. Pure: nothing is printed here."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from powerml.cli.tables.columns import (
    NOTHING,
    FittedTable,
    SignedBars,
    text_column,
    unit_of,
)
from powerml.explain.compared_rows import compared_total, priced_alike, shown_compared_rows
from powerml.explain.profile_record import ComparedPhase, ComparedRow, Comparison, Grouping
from powerml.explain.profile_rows import kind_heading, row_name

__all__ = ["parts", "phase_table"]

LEAST_NAME, LEAST_KIND = 16, 14
LEAST_BAR, MOST_BAR = 3, 12  # to each side


def parts(comparison: Comparison, by: Grouping, top: int) -> list[RenderableType]:
    """Return a table for each phase, and the lines below them."""
    found: list[RenderableType] = []
    for phase in comparison.phases:
        found.append(Text(headline(phase, by)))
        if phase.rows.get(by):
            found.append(phase_table(phase, by, top))
            if by == "node":
                found += [Text(f"{remark}\n") for remark in phase.remarks]
        else:
            found.append(Text(f"the difference of the {phase.name} is not told by {by}\n"))
    sides = f"before: {comparison.before}\nafter: {comparison.after}"
    return [*found, Text(f"{sides}\n{priced_alike(comparison)}"), *map(Text, comparison.remarks)]


def headline(phase: ComparedPhase, by: Grouping) -> str:
    """Return the result of a phase in one sentence."""
    before, after, difference = phase.before_cycles, phase.after_cycles, phase.difference_cycles
    scale, prefix = unit_of(max(before, after))
    costs = f"{before / scale:,.3f} to {after / scale:,.3f} {prefix}cycles"
    if difference == 0:
        return f"{phase.name}: {costs}, the same"
    factor = f" ({difference / before:+.1%})" if before else ""
    said = f"{phase.name}: {costs}{factor}"
    rows = phase.rows.get(by)
    if not rows or not rows[0].difference_cycles:
        return said
    return f"{said}; largest: {row_name(rows[0])}, {_signed(rows[0], scale)}"


def phase_table(phase: ComparedPhase, by: Grouping, top: int) -> FittedTable:
    """Tabulate the rows of one phase by their absolute difference, with bars to both sides."""
    rows = phase.rows[by]
    total = compared_total(rows)
    shown = [*shown_compared_rows(rows, top), total]
    scale, prefix = unit_of(max(total.before_cycles or 0.0, total.after_cycles or 0.0))
    unit = f"\n({prefix}cycles)"
    most = max((abs(row.difference_cycles) for row in rows), default=0.0)
    # The sum of the others would dwarf them all.
    lengths = tuple(
        row.difference_cycles / most if most and one is row else 0.0
        for one, row in zip(rows, shown[:-1], strict=False)
    )
    name = text_column(by, [row_name(row) for row in shown], LEAST_NAME, by_middle=True)
    kind = text_column(
        kind_heading(by), [row.kind or "" for row in shown], LEAST_KIND, by_middle=True
    )
    numbers = [
        text_column(heading, cells, justify="right")
        for heading, cells in (
            (f"before{unit}", [_cycles(row.before_cycles, scale) for row in shown]),
            (f"after{unit}", [_cycles(row.after_cycles, scale) for row in shown]),
            (f"difference{unit}", [_signed(row, scale) for row in shown]),
            ("share", [_share(row, total) for row in shown]),
        )
    ]
    bars = SignedBars("", [], 2 * LEAST_BAR + 1, 2 * MOST_BAR + 1, parts=lengths)
    return FittedTable(
        columns=[name, kind, *numbers, bars],
        always=[name, *numbers],
        wished=[bars, kind],
        widened=[name, kind, bars],
    )


def _cycles(value: float | None, scale: float) -> str:
    return NOTHING if value is None else f"{value / scale:,.3f}"


def _signed(row: ComparedRow, scale: float) -> str:
    text = f"{row.difference_cycles / scale:+,.3f}"
    return text if text.strip("+-0.,") else "0"


def _share(row: ComparedRow, total: ComparedRow) -> str:
    """Return the share of the whole difference; that of the opposite sign is negative."""
    if not total.difference_cycles:
        return NOTHING
    return f"{row.difference_cycles / total.difference_cycles:.0%}".replace("-0%", "0%")
