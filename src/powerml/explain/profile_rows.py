"""Rows of a profile as they are shown: the most expensive, the rest as one, and as tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

from powerml.costs.counts import EVENTS, Counts
from powerml.explain.profile_record import (
    INTERPRETER,
    RUNTIME,
    ComparedRow,
    Grouping,
    Profile,
    ProfiledPhase,
    ProfileRow,
)
from powerml.tables import RecordTable, table_of

__all__ = [
    "DEFAULT_TOP",
    "TOTAL",
    "described",
    "is_node",
    "kind_columns",
    "kind_heading",
    "profile_table",
    "remarks_on_totals",
    "row_name",
    "shown_phase_tables",
    "shown_rows",
    "total_row",
]

DEFAULT_TOP = 20
TOTAL = "total"
COLUMNS = (
    "cycles",
    "share",
    "instructions",
    "D1 misses",
    "LL misses",
    "multiply-accumulates",
    "bytes",
)


def is_node(row: ProfileRow) -> bool:
    """Return whether a row of the grouping ``node`` is a node, and not what belongs to none."""
    return row.name not in (RUNTIME, INTERPRETER)


def row_name(row: ProfileRow | ComparedRow) -> str:
    """Return the name of a row, with its part of a training step."""
    return row.name if row.part is None else f"{row.name} ({row.part})"


def kind_heading(by: Grouping) -> str:
    """Return the heading of what a row of a grouping is told by beside its name."""
    return "library" if by == "function" else "operator"


def kind_columns(kind: str | None, by: Grouping) -> dict[str, str | None]:
    """Return the cells of a frame for what a row is told by beside its name."""
    return {name: kind if name == kind_heading(by) else None for name in ("operator", "library")}


def shown_rows(rows: Sequence[ProfileRow], top: int) -> list[ProfileRow]:
    """Return the first rows, and one of the sum of all others, so that they still add up."""
    if len(rows) <= top + 1:  # one row is not summed up
        return list(rows)
    rest = rows[top:]
    return [*rows[:top], _sum_of(rest, f"{len(rest)} others")]


def total_row(rows: Sequence[ProfileRow]) -> ProfileRow:
    """Return the sum of rows; of multiply-accumulates and bytes the sum of those that are told."""
    return _sum_of(rows, TOTAL)


def _sum_of(rows: Sequence[ProfileRow], name: str) -> ProfileRow:
    return ProfileRow(
        name=name,
        cycles=sum(row.cycles for row in rows),
        share=sum(row.share for row in rows),
        multiply_accumulates=_told([row.multiply_accumulates for row in rows]),
        data_bytes=_told([row.data_bytes for row in rows]),
        counts=reduce(add, (row.counts for row in rows), Counts.zero()),
    )


def remarks_on_totals(phase: ProfiledPhase) -> list[str]:
    """Return a sentence on the nodes that the totals leave out, if there are any."""
    nodes = [row for row in phase.rows.get("node", ()) if is_node(row)]
    word = "parts of layers" if any(row.part for row in nodes) else "nodes"
    told = (
        ("MACs", [row.multiply_accumulates for row in nodes]),
        ("bytes", [row.data_bytes for row in nodes]),
    )
    left_out = [
        f"{values.count(None)} of {len(values)} {word} without {name}"
        for name, values in told
        if values.count(None) not in (0, len(values))
    ]
    if not left_out:
        return []
    return [f"the totals of the {phase.name} leave out {' and '.join(left_out)}, which are unknown"]


def _told(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def described(profile: Profile) -> str:
    """Return the line of a profile's machine, price and time."""
    levels = "" if profile.levels == 2 else f", {profile.levels} levels"  # noqa: PLR2004
    return (
        f"on {profile.machine} by the price {profile.price}{levels}, "
        f"profiled in {profile.seconds:.0f} s"
    )


def profile_table(profile: Profile) -> RecordTable:
    """Return all rows of all phases and groupings."""
    return table_of(
        f"cost of {profile.title}",
        [
            {
                "phase": phase.name,
                "runs": phase.runs,
                "grouping": grouping,
                "name": row.name,
                **kind_columns(row.kind, grouping),
                "part": row.part,
                "nodes": ";".join(row.nodes),
                "cycles": row.cycles,
                "share": row.share,
                "multiply_accumulates": row.multiply_accumulates,
                "data_bytes": row.data_bytes,
                **{event: getattr(row.counts, event) for event in EVENTS},
            }
            for phase in profile.phases
            for grouping, rows in phase.rows.items()
            for row in rows
        ],
    )


def shown_phase_tables(
    profile: Profile, by: Grouping = "node", top: int = DEFAULT_TOP
) -> list[RecordTable]:
    """Return a table for each phase that is told by that grouping."""
    told = [(phase, phase.rows[by]) for phase in profile.phases if phase.rows.get(by)]
    return [
        _phase_table(
            f"{phase.name} of {profile.title}, by {by}",
            rows,
            by,
            top,
            [
                *(remarks_on_totals(phase) if by == "node" else ()),
                *((described(profile), *profile.remarks) if place == len(told) - 1 else ()),
            ],
        )
        for place, (phase, rows) in enumerate(told)
    ]


def _phase_table(
    title: str, rows: Sequence[ProfileRow], by: Grouping, top: int, notes: Sequence[str]
) -> RecordTable:
    shown = [_cells(row) for row in shown_rows(rows, top)]
    rest = None if len(shown) == len(rows) else shown.pop()
    return RecordTable(
        title=title,
        columns=[by, kind_heading(by), *COLUMNS],
        rows=shown,
        bars="share",
        rest=rest,
        total=_cells(total_row(rows)),
        notes=notes,
    )


def _cells(row: ProfileRow) -> list[str | int | float | None]:
    return [
        row_name(row),
        row.kind,
        row.cycles,
        row.share,
        row.counts.Ir,
        row.counts.d1_misses,
        row.counts.ll_misses,
        row.multiply_accumulates,
        row.data_bytes,
    ]
