"""Tables of costs that fit their terminal: numbers stay whole, names are shortened, bars shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

__all__ = [
    "NOTHING",
    "PREFIXES",
    "Bars",
    "Column",
    "FittedTable",
    "SignedBars",
    "text_column",
    "unit_of",
]

PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
NOTHING = "-"
GAP = 2  # of a column's padding, and the space that divides it from the next
MARK = "…"
EIGHTHS = " ▏▎▍▌▋▊▉"
FULL, ASCII_FULL = "█", "#"
AXIS, ASCII_AXIS = "│", "|"
MORE, LESS = "red", "green"


@dataclass(frozen=True)
class Column:
    """A column of texts, of which the last is the total's, with its least and its whole width.

    A long text loses its end, or its middle if `by_middle`: names of a graph differ at both ends.
    """

    heading: str
    cells: Sequence[str]
    least: int
    most: int
    justify: JustifyMethod = "left"
    by_middle: bool = False

    @property
    def is_told(self) -> bool:
        """True if a cell holds something."""
        return any(cell not in ("", NOTHING) for cell in self.cells)

    def shown(self, width: int, *, is_ascii: bool) -> list[Text]:  # noqa: ARG002 - of bars
        """Return the cells in a width."""
        return [Text(_shortened(cell, width, by_middle=self.by_middle)) for cell in self.cells]


@dataclass(frozen=True)
class Bars(Column):
    """A column of bars, which `parts` of the longest are long; the total has none."""

    parts: tuple[float, ...] = ()

    @property
    def is_told(self) -> bool:
        """True: a bar is no text."""
        return True

    def shown(self, width: int, *, is_ascii: bool) -> list[Text]:
        """Return bars of which the longest has a width."""
        return [*(Text(_bar(part, width, is_ascii=is_ascii)) for part in self.parts), Text()]


@dataclass(frozen=True)
class SignedBars(Bars):
    """A column of bars to both sides of an axis, for parts from -1 to 1."""

    def shown(self, width: int, *, is_ascii: bool) -> list[Text]:
        """Return bars of which the longest has half of a width."""
        half = (width - 1) // 2
        return [*(_signed_bar(part, half, is_ascii=is_ascii) for part in self.parts), Text()]


@dataclass(frozen=True)
class FittedTable:
    """A table with the columns that there is room for.

    Parameters
    ----------
    columns
        All columns, as they stand beside each other.
    always
        Those that are shown on any terminal.
    wished
        The others, the most important first. One that tells nothing is left out.
    widened
        Those that take what room is left, the first one first.
    title
        The title above.
    """

    columns: Sequence[Column]
    always: Sequence[Column]
    wished: Sequence[Column]
    widened: Sequence[Column]
    title: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, and an empty line."""
        table = Table(
            title=None if self.title is None else Text(self.title),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, GAP - 1, 0, 0),
        )
        columns = self._fitted(options.max_width)
        for column, width in columns:
            table.add_column(column.heading, justify=column.justify, no_wrap=True, min_width=width)
        shown = [column.shown(width, is_ascii=options.ascii_only) for column, width in columns]
        *lines, total = zip(*shown, strict=True)
        for line in lines:
            table.add_row(*line)
        table.add_section()
        table.add_row(*total, style="bold")
        yield table
        yield ""

    def _fitted(self, room: int) -> list[tuple[Column, int]]:
        """Return the columns that fit in a room, each with its width.

        The most important claim their least width first. What is left widens some.
        """
        widths: dict[int, int] = {}
        for column in [*self.always, *(one for one in self.wished if one.is_told)]:
            needed = column.least + (GAP if widths else 0)
            if room < needed and column not in self.always:
                break
            widths[id(column)] = column.least
            room -= needed
        for column in self.widened:
            if id(column) in widths:
                more = max(0, min(column.most - column.least, room))
                widths[id(column)] += more
                room -= more
        return [(one, widths[id(one)]) for one in self.columns if id(one) in widths]


def text_column(
    heading: str,
    cells: Sequence[str],
    least: int | None = None,
    most: int | None = None,
    justify: JustifyMethod = "left",
    *,
    by_middle: bool = False,
) -> Column:
    """Return a column of texts, which are shown as a whole if no least width is given."""
    whole = max(map(len, [*heading.split("\n"), *cells]))
    return Column(
        heading,
        cells,
        whole if least is None else min(least, whole),
        whole if most is None else min(most, whole),
        justify,
        by_middle,
    )


def unit_of(value: float, least: float = 1.0) -> tuple[float, str]:
    """Return the largest unit in which a value is at least so much, as its size and its prefix."""
    return next((one for one in PREFIXES if value >= least * one[0]), PREFIXES[-1])


def _bar(part: float, width: int, *, is_ascii: bool) -> str:
    whole, eighths = divmod(round(part * width * 8), 8)
    return ASCII_FULL * whole if is_ascii else FULL * whole + EIGHTHS[eighths].strip()


def _signed_bar(part: float, width: int, *, is_ascii: bool) -> Text:
    full, axis = (ASCII_FULL, ASCII_AXIS) if is_ascii else (FULL, AXIS)
    blocks = full * round(abs(part) * width)
    left, right = (blocks, "") if part < 0 else ("", blocks)
    return Text.assemble((left.rjust(width), LESS), axis, (right.ljust(width), MORE))


def _shortened(text: str, width: int, *, by_middle: bool) -> str:
    if len(text) <= width:
        return text
    kept = width - len(MARK)
    end = kept // 2 if by_middle else 0
    return f"{text[: kept - end]}{MARK}{text[len(text) - end :]}"
