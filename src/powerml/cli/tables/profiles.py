"""Profiles as Rich tables that fit their terminal. Pure: nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from powerml.explain.profile_record import Grouping, Profile, ProfiledPhase
from powerml.explain.profile_rows import (
    described,
    remarks_on_totals,
    row_name,
    shown_rows,
    total_row,
)

__all__ = ["PhaseTable", "parts"]

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
NOTHING = "-"
LEAST, DIGITS = 10, 5  # of a total: the least that it is in its unit, and its digits
LEAST_NAME, LEAST_KIND, MOST_KIND = 20, 11, 28
LEAST_BAR, MOST_BAR = 8, 24
GAP = 2
MARK = "…"
EIGHTHS = " ▏▎▍▌▋▊▉"
FULL, ASCII_FULL = "█", "#"


def parts(profile: Profile, by: Grouping, top: int) -> list[RenderableType]:
    """Return a table for each phase, and the lines below them."""
    found: list[RenderableType] = []
    for phase in profile.phases:
        if phase.rows.get(by):
            found.append(PhaseTable(profile, phase, by, top))
            if by == "node":
                found += [Text(f"{remark}\n") for remark in remarks_on_totals(phase)]
        else:
            found.append(Text(f"{phase.name}: its cost is not told by {by}\n"))
    return [*found, Text(described(profile)), *map(Text, profile.remarks)]


@dataclass(frozen=True)
class _Column:
    """A column of texts, of which the last is the total's.

    A long text loses its end, or its middle if `by_middle`: names of a graph differ at both ends.
    """

    heading: str
    cells: list[str]
    least: int
    most: int
    justify: JustifyMethod = "left"
    by_middle: bool = False

    def shown(self, width: int, full: str) -> list[str]:  # noqa: ARG002 - of bars
        """Return the cells in a width."""
        return [_shortened(cell, width, by_middle=self.by_middle) for cell in self.cells]


@dataclass(frozen=True)
class _Bars(_Column):
    """A column of bars, which `parts` of the longest are long."""

    parts: tuple[float, ...] = ()

    def shown(self, width: int, full: str) -> list[str]:
        """Return bars of which the longest has a width, of `full` blocks or characters."""
        return [*(_bar(part, width, full) for part in self.parts), ""]


class PhaseTable:
    """Rows of one phase, sorted by cycles. On a narrow terminal it has fewer columns.

    Numbers are never cut or wrapped; long names are shortened.
    """

    def __init__(self, profile: Profile, phase: ProfiledPhase, by: Grouping, top: int) -> None:
        self.title = f"{phase.name} of {profile.title}, by {by}{_runs(phase)}"
        rows = shown_rows(phase.rows[by], top)
        shown = [*rows, total_row(phase.rows[by])]
        most = max((row.share for row in phase.rows[by]), default=0.0)
        # The sum of the others would dwarf them all.
        parts = tuple(
            row.share / most if most and one is row else 0.0
            for one, row in zip(phase.rows[by], rows, strict=False)
        )
        self._name = _texts(
            by, [row_name(row) for row in shown], LEAST_NAME, by_middle=by == "node"
        )
        self._kind = _texts(
            "library" if by == "function" else "operator",
            [row.kind or "" for row in shown],
            LEAST_KIND,
            MOST_KIND,
        )
        self._cycles = _numbers("cycles", [row.cycles for row in shown])
        self._share = _texts("share", [f"{row.share:.1%}" for row in shown], justify="right")
        self._bars = _Bars("", [], LEAST_BAR, MOST_BAR, parts=parts)
        self._others = [
            _numbers("instructions", [row.counts.Ir for row in shown]),
            _numbers("D1 misses", [row.counts.d1_misses for row in shown]),
            _numbers("LL misses", [row.counts.ll_misses for row in shown]),
            _numbers("MACs", [row.multiply_accumulates for row in shown]),
            _numbers("bytes", [row.data_bytes for row in shown]),
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table with the columns that there is room for."""
        full = ASCII_FULL if options.ascii_only else FULL
        table = Table(
            title=Text(self.title),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, GAP - 1, 0, 0),
        )
        columns = self._fitted(options.max_width)
        for column, width in columns:
            table.add_column(column.heading, justify=column.justify, no_wrap=True, min_width=width)
        shown = [column.shown(width, full) for column, width in columns]
        *lines, total = zip(*shown, strict=True)
        for line in lines:
            table.add_row(*map(Text, line))
        table.add_section()
        table.add_row(*map(Text, total), style="bold")
        yield table
        yield ""

    def _fitted(self, room: int) -> list[tuple[_Column, int]]:
        """Return the columns that fit in a room, each with its width.

        The most important claim their least width first. What is left widens names and bars.
        """
        widths: dict[int, int] = {}
        always = [self._name, self._cycles, self._share]
        told = [one for one in (self._bars, self._kind, *self._others) if _is_told(one)]
        for column in [*always, *told]:
            needed = column.least + (GAP if widths else 0)
            if room < needed and column not in always:
                break
            widths[id(column)] = column.least
            room -= needed
        for column in (self._name, self._kind, self._bars):
            if id(column) in widths:
                more = max(0, min(column.most - column.least, room))
                widths[id(column)] += more
                room -= more
        order = [self._name, self._kind, self._cycles, self._share, self._bars, *self._others]
        return [(column, widths[id(column)]) for column in order if id(column) in widths]


def _runs(phase: ProfiledPhase) -> str:
    return "" if phase.runs == 1 else f", {phase.runs:,} runs together"


def _is_told(column: _Column) -> bool:
    return isinstance(column, _Bars) or any(cell not in ("", NOTHING) for cell in column.cells)


def _texts(
    heading: str,
    cells: list[str],
    least: int | None = None,
    most: int | None = None,
    justify: JustifyMethod = "left",
    *,
    by_middle: bool = False,
) -> _Column:
    """Return a column of texts, which are shown as a whole if no least width is given."""
    whole = max(map(len, [*heading.split("\n"), *cells]))
    return _Column(
        heading,
        cells,
        whole if least is None else min(least, whole),
        whole if most is None else min(most, whole),
        justify,
        by_middle,
    )


def _numbers(heading: str, values: Sequence[float | None]) -> _Column:
    """Return a column of numbers in the unit of the last, their total, to compare at sight."""
    total = values[-1] or 0.0
    scale, prefix = next((one for one in PREFIXES if total >= LEAST * one[0]), PREFIXES[-1])
    digits = len(f"{total / scale:.0f}")
    decimals = max(0, DIGITS - digits) if prefix else 0
    return _texts(
        f"{heading}\n({prefix})" if prefix else heading,
        [NOTHING if value is None else f"{value / scale:,.{decimals}f}" for value in values],
        justify="right",
    )


def _bar(part: float, width: int, full: str) -> str:
    whole, eighths = divmod(round(part * width * 8), 8)
    return full * whole + (EIGHTHS[eighths].strip() if full == FULL else "")


def _shortened(text: str, width: int, *, by_middle: bool) -> str:
    if len(text) <= width:
        return text
    kept = width - len(MARK)
    end = kept // 2 if by_middle else 0
    return f"{text[: kept - end]}{MARK}{text[len(text) - end :]}"
