"""Records as tables: pandas' frames, and HTML for notebooks. Pure, and the same for all records."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from powerml.errors import SetupError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "RecordTable", "Tabular", "cells_of", "html_of", "table_of"]

Cell = str | int | float | bool | None
NOTHING = "-"
EXACT = 1e5  # floats from here on are shown without decimals
# Colours are the notebook's own, light or dark: lines and bars are its ink, made fainter.
TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0 0 1em"
CAPTION = "text-align:left;font-weight:600;padding:0 0 .4em"
HEAD = "padding:.25em .6em;border-bottom:1px solid currentColor;vertical-align:bottom"
CELL = "padding:.2em .6em;white-space:nowrap"
WRAPPED = "padding:.2em .6em;max-width:28em;overflow-wrap:break-word"
BAR = "display:inline-block;height:.7em;background:currentColor;opacity:.45"
BAR_EMS = 6
PERCENT = "display:inline-block;min-width:3.6em"


@dataclass(frozen=True, kw_only=True)
class RecordTable:
    """Rows of a record.

    `bars` names a column of shares from 0 to 1, which is drawn. `rest` is the sum of rows that are
    left out, and `total` that of all; neither is drawn, nor in a frame.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    bars: str | None = None
    rest: Sequence[Cell] | None = None
    total: Sequence[Cell] | None = None
    notes: Sequence[str] = ()


class Tabular:
    """A record with rows: as a frame of pandas, and as a table in a notebook."""

    def _table(self) -> RecordTable:
        """Return all rows of the record, for a frame."""
        raise NotImplementedError

    def _shown_tables(self) -> list[RecordTable]:
        """Return the tables that a notebook shows."""
        return [self._table()]

    def to_dataframe(self) -> pd.DataFrame:
        """Return the record's rows as a frame of pandas, a column for each quantity.

        Raises
        ------
        SetupError
            pandas is not installed.
        """
        table = self._table()
        try:
            import pandas as pd
        except ImportError as error:
            raise SetupError(
                "a frame takes pandas, which is not installed: pip install pandas"
            ) from error
        return pd.DataFrame([list(row) for row in table.rows], columns=list(table.columns))

    def _repr_html_(self) -> str:
        return html_of(self._shown_tables())


def table_of(
    title: str, rows: Sequence[Mapping[str, Cell]], notes: Sequence[str] = ()
) -> RecordTable:
    """Make a table of rows by column; a row without a value of a column has None there."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return RecordTable(
        title=title,
        columns=columns,
        rows=[[row.get(name) for name in columns] for row in rows],
        notes=notes,
    )


def cells_of(fields: Mapping[str, object]) -> dict[str, Cell]:
    """Return the fields of a record by column, without lists.

    Those of a record within it are named after both.
    """
    found: dict[str, Cell] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found |= {f"{name}_{inner}": cell for inner, cell in cells_of(value).items()}
        elif value is None or isinstance(value, (str, int, float)):
            found[name] = value
    return found


def html_of(tables: Sequence[RecordTable]) -> str:
    """Return tables as HTML with styles of its own and without a script; all text is escaped."""
    return f"<div>{''.join(map(_table_html, tables))}</div>"


def _table_html(whole: RecordTable) -> str:
    table = _told(whole)
    shown = [row for row in (*table.rows, table.rest, table.total) if row is not None]
    right = [_is_numeric([row[place] for row in shown]) for place in range(len(table.columns))]
    drawn = None if table.bars is None else list(table.columns).index(table.bars)
    most = 0.0 if drawn is None else max((_number(row[drawn]) for row in table.rows), default=0.0)
    head = "".join(
        f'<th style="{HEAD};text-align:{_side(is_right)}">{html.escape(name)}</th>'
        for name, is_right in zip(table.columns, right, strict=True)
    )

    def line(cells: Sequence[Cell], *, is_drawn: bool = True, is_total: bool = False) -> str:
        apart = ";border-top:1px solid currentColor;font-weight:600" if is_total else ""
        found = ""
        for place, (cell, is_right) in enumerate(zip(cells, right, strict=True)):
            text = "" if cell is None and not is_right else html.escape(_text(cell))
            if place == drawn and isinstance(cell, float):
                percent = f'<span style="{PERCENT}">{cell:.1%}</span>'
                text = f"{_bar(cell, most)}{percent}" if is_drawn else percent
            style = CELL if is_right else WRAPPED
            found += f'<td style="{style};text-align:{_side(is_right)}{apart}">{text}</td>'
        return f"<tr>{found}</tr>"

    body = "".join(map(line, table.rows))
    if table.rest is not None:
        body += line(table.rest, is_drawn=False)
    if table.total is not None:
        body += line(table.total, is_drawn=False, is_total=True)
    notes = "".join(f"<div>{html.escape(note)}</div>" for note in table.notes)
    return (
        f'<table style="{TABLE}"><caption style="{CAPTION}">{html.escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )


def _told(table: RecordTable) -> RecordTable:
    """Return a table without the columns that no row tells."""
    kept = [
        place
        for place in range(len(table.columns))
        if any(row[place] is not None for row in table.rows)
    ]

    def some(cells: Sequence[Cell]) -> list[Cell]:
        return [cells[place] for place in kept]

    return replace(
        table,
        columns=[table.columns[place] for place in kept],
        rows=[some(row) for row in table.rows],
        rest=None if table.rest is None else some(table.rest),
        total=None if table.total is None else some(table.total),
    )


def _bar(share: float, most: float) -> str:
    width = BAR_EMS * share / most if most > 0 else 0.0
    room = BAR_EMS - width
    return f'<span style="{BAR};width:{width:.2f}em;margin:0 {room:.2f}em 0 0"></span>'


def _is_numeric(cells: Sequence[Cell]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(
        isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in known
    )


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, (int, float)) else 0.0


def _side(is_right: bool) -> str:
    return "right" if is_right else "left"


def _text(cell: Cell) -> str:
    if cell is None:
        return NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= EXACT else f"{cell:,.6g}"
    return cell
