"""Comparisons as Rich tables that fit their terminal. Pure: nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from powerml.explain.profile_record import ComparedPhase, ComparedRow, Comparison, Grouping

__all__ = ["ComparedPhaseTable", "parts"]

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
NOTHING = "-"
MARK = "…"
LEAST_NAME, LEAST_KIND = 16, 14
LEAST_BAR, MOST_BAR = 3, 12  # to each side
GAP = 2  # of a column's padding, and the space that divides it from the next
FULL, ASCII_FULL = "█", "#"
AXIS, ASCII_AXIS = "│", "|"
TOTAL = "total"
MORE, LESS = "red", "green"


def parts(comparison: Comparison, by: Grouping, top: int) -> list[RenderableType]:
    """Return a table for each phase, and the lines below them."""
    found: list[RenderableType] = []
    for phase in comparison.phases:
        found.append(Text(headline(phase, by)))
        if phase.rows.get(by):
            found.append(ComparedPhaseTable(phase, by, top))
            if by == "node":
                found += [Text(f"{remark}\n") for remark in phase.remarks]
        else:
            found.append(Text(f"the difference of the {phase.name} is not told by {by}\n"))
    sides = f"before: {comparison.before}\nafter: {comparison.after}"
    pricing = f"on {comparison.machine} by the price {comparison.price}, of one inference each"
    return [*found, Text(f"{sides}\n{pricing}"), *map(Text, comparison.remarks)]


def headline(phase: ComparedPhase, by: Grouping) -> str:
    """Return the result of a phase in one sentence."""
    before, after, difference = phase.before_cycles, phase.after_cycles, phase.difference_cycles
    scale, prefix = _unit(max(before, after))
    costs = f"{before / scale:,.3f} to {after / scale:,.3f} {prefix}cycles"
    if difference == 0:
        return f"{phase.name}: {costs}, the same"
    factor = f" ({difference / before:+.1%})" if before else ""
    said = f"{phase.name}: {costs}{factor}"
    rows = phase.rows.get(by)
    if not rows or not rows[0].difference_cycles:
        return said
    return f"{said}; largest: {row_name(rows[0])}, {_signed(rows[0], scale)}"


def row_name(row: ComparedRow) -> str:
    """Return the name of a row, with its part of a training step."""
    return row.name if row.part is None else f"{row.name} ({row.part})"


def shown_rows(rows: Sequence[ComparedRow], top: int) -> list[ComparedRow]:
    """Return the first rows that differ, and the sum of all others, so that they still add up."""
    kept = min(top, sum(row.difference_cycles != 0 for row in rows))
    if len(rows) <= kept + 1:  # one row is not summed up
        return list(rows)
    return [*rows[:kept], _sum_of(rows[kept:], f"{len(rows) - kept} others")]


def _sum_of(rows: Sequence[ComparedRow], name: str) -> ComparedRow:
    return ComparedRow(
        name=name,
        before_cycles=fsum(row.before_cycles or 0.0 for row in rows),
        after_cycles=fsum(row.after_cycles or 0.0 for row in rows),
        difference_cycles=fsum(row.difference_cycles for row in rows),
    )


@dataclass(frozen=True)
class _ComparedColumn:
    """A column of texts; a long one loses its middle, as names of a graph differ at both ends."""

    heading: str
    cells: list[str]
    justify: JustifyMethod = "left"

    @property
    def whole(self) -> int:
        """The width that shows all of it."""
        return max(map(len, [*self.heading.split("\n"), *self.cells]))


class ComparedPhaseTable:
    """Rows of one phase, by their absolute difference, with bars to both sides.

    On a narrow terminal names are shortened, and operators left out. Numbers are never cut.
    """

    def __init__(self, phase: ComparedPhase, by: Grouping, top: int) -> None:
        rows = phase.rows[by]
        shown = [*shown_rows(rows, top), _sum_of(rows, TOTAL)]
        total = shown[-1]
        scale, prefix = _unit(max(total.before_cycles or 0.0, total.after_cycles or 0.0))
        unit = f"\n({prefix}cycles)"
        self._name = _ComparedColumn(by, [row_name(row) for row in shown])
        self._kind = _ComparedColumn(
            "library" if by == "function" else "operator", [row.kind or "" for row in shown]
        )
        self._numbers = [
            _ComparedColumn(
                f"before{unit}", [_cycles(row.before_cycles, scale) for row in shown], "right"
            ),
            _ComparedColumn(
                f"after{unit}", [_cycles(row.after_cycles, scale) for row in shown], "right"
            ),
            _ComparedColumn(f"difference{unit}", [_signed(row, scale) for row in shown], "right"),
            _ComparedColumn("share", [_share(row, total) for row in shown], "right"),
        ]
        most = max((abs(row.difference_cycles) for row in rows), default=0.0)
        # The sum of the others would dwarf them all.
        self._bars = [
            row.difference_cycles / most if most and one is row else 0.0
            for one, row in zip(rows, shown[:-1], strict=False)
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with the columns that there is room for."""
        room = options.max_width - sum(one.whole + GAP for one in self._numbers) - GAP
        bar = min(room // 8, MOST_BAR)
        bar = bar if bar >= LEAST_BAR else 0
        room -= 2 * bar + 1
        name = max(min(self._name.whole, room), LEAST_NAME)
        kind = min(self._kind.whole, room - name - GAP)
        if kind < min(self._kind.whole, LEAST_KIND) or not any(self._kind.cells):
            kind = 0
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0)
        )
        named = [(self._name, name), *([(self._kind, kind)] if kind else [])]
        columns = [*named, *((one, one.whole) for one in self._numbers)]
        for column, width in columns:
            table.add_column(column.heading, justify=column.justify, no_wrap=True, min_width=width)
        if bar:
            table.add_column("", no_wrap=True, min_width=2 * bar + 1)
        texts = [[_shortened(cell, width) for cell in one.cells] for one, width in columns]
        *lines, total = zip(*texts, strict=True)
        for place, line in enumerate(lines):
            part = self._bars[place] if place < len(self._bars) else 0.0
            drawn = [_bar(part, bar, ascii_only=options.ascii_only)] if bar else []
            table.add_row(*map(Text, line), *drawn)
        table.add_section()
        table.add_row(*map(Text, total), style="bold")
        yield table
        yield ""


def _unit(most: float) -> tuple[float, str]:
    return next((one for one in PREFIXES if most >= one[0]), PREFIXES[-1])


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


def _bar(part: float, width: int, *, ascii_only: bool) -> Text:
    """Return a bar to the right if the cost has risen, to the left if it has fallen."""
    full, axis = (ASCII_FULL, ASCII_AXIS) if ascii_only else (FULL, AXIS)
    blocks = full * round(abs(part) * width)
    left, right = (blocks, "") if part < 0 else ("", blocks)
    return Text.assemble((left.rjust(width), LESS), axis, (right.ljust(width), MORE))


def _shortened(text: str, width: int) -> str:
    if len(text) <= width:
        return text
    kept = width - len(MARK)
    return f"{text[: kept - kept // 2]}{MARK}{text[len(text) - kept // 2 :]}"
