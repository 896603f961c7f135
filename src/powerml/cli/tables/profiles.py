"""Profiles as Rich tables that fit their terminal. Pure: nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from powerml.cli.tables.columns import NOTHING, Bars, Column, FittedTable, text_column, unit_of
from powerml.explain.profile_record import Grouping, Profile, ProfiledPhase
from powerml.explain.profile_rows import (
    described,
    kind_heading,
    remarks_on_totals,
    row_name,
    shown_rows,
    total_row,
)

__all__ = ["parts", "phase_table"]

LEAST, DIGITS = 10, 5  # of a total: the least that it is in its unit, and its digits
LEAST_NAME, LEAST_KIND, MOST_KIND = 20, 11, 28
LEAST_BAR, MOST_BAR = 8, 24


def parts(profile: Profile, by: Grouping, top: int) -> list[RenderableType]:
    """Return a table for each phase, and the lines below them."""
    found: list[RenderableType] = []
    for phase in profile.phases:
        if phase.rows.get(by):
            found.append(phase_table(profile, phase, by, top))
            if by == "node":
                found += [Text(f"{remark}\n") for remark in remarks_on_totals(phase)]
        else:
            found.append(Text(f"{phase.name}: its cost is not told by {by}\n"))
    return [*found, Text(described(profile)), *map(Text, profile.remarks)]


def phase_table(profile: Profile, phase: ProfiledPhase, by: Grouping, top: int) -> FittedTable:
    """Tabulate the rows of one phase, sorted by cycles."""
    rows = shown_rows(phase.rows[by], top)
    shown = [*rows, total_row(phase.rows[by])]
    most = max((row.share for row in phase.rows[by]), default=0.0)
    # The sum of the others would dwarf them all.
    lengths = tuple(
        row.share / most if most and one is row else 0.0
        for one, row in zip(phase.rows[by], rows, strict=False)
    )
    name = text_column(by, [row_name(row) for row in shown], LEAST_NAME, by_middle=by == "node")
    kind = text_column(kind_heading(by), [row.kind or "" for row in shown], LEAST_KIND, MOST_KIND)
    cycles = _numbers("cycles", [row.cycles for row in shown])
    share = text_column("share", [f"{row.share:.1%}" for row in shown], justify="right")
    bars = Bars("", [], LEAST_BAR, MOST_BAR, parts=lengths)
    others = [
        _numbers("instructions", [row.counts.Ir for row in shown]),
        _numbers("D1 misses", [row.counts.d1_misses for row in shown]),
        _numbers("LL misses", [row.counts.ll_misses for row in shown]),
        _numbers("MACs", [row.multiply_accumulates for row in shown]),
        _numbers("bytes", [row.data_bytes for row in shown]),
    ]
    return FittedTable(
        columns=[name, kind, cycles, share, bars, *others],
        always=[name, cycles, share],
        wished=[bars, kind, *others],
        widened=[name, kind, bars],
        title=f"{phase.name} of {profile.title}, by {by}{_runs(phase)}",
    )


def _runs(phase: ProfiledPhase) -> str:
    return "" if phase.runs == 1 else f", {phase.runs:,} runs together"


def _numbers(heading: str, values: Sequence[float | None]) -> Column:
    """Return a column of numbers in the unit of the last, their total, to compare at sight."""
    total = values[-1] or 0.0
    scale, prefix = unit_of(total, LEAST)
    digits = len(f"{total / scale:.0f}")
    decimals = max(0, DIGITS - digits) if prefix else 0
    return text_column(
        f"{heading}\n({prefix})" if prefix else heading,
        [NOTHING if value is None else f"{value / scale:,.{decimals}f}" for value in values],
        justify="right",
    )
