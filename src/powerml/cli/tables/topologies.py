"""Tables of topologies that fit their terminal: numbers stay whole, topologies give way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

__all__ = ["TopologyRow", "TopologyTable", "WrappedTopology"]

LEAST_TOPOLOGY, LEAST_REMARK = 28, 16  # narrower columns make rows many lines high
INDENT, GAP = 4, 2  # of what stands below a row, and between its numbers
EDGES = 3  # of a column in a box: its padding on both sides and a line


@dataclass(frozen=True)
class TopologyRow:
    """A row: its label, a topology, numbers as they are shown, and a remark."""

    label: str
    topology: str
    numbers: Sequence[str]
    remark: Text | None = None
    style: str = ""
    ends_section: bool = False


@dataclass(frozen=True)
class WrappedTopology:
    """A topology that is wrapped after its commas, and within a parameter only if it must be."""

    topology: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        yield Text("\n".join(_wrapped(self.topology, options.max_width)), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the least width and that of one line."""
        whole = cell_len(self.topology)
        return Measurement(min(whole, LEAST_TOPOLOGY), whole).with_maximum(options.max_width)


@dataclass(frozen=True)
class TopologyTable:
    """A table with a column of topologies, or below each row its own where there is no room.

    Parameters
    ----------
    label
        The heading of the labels.
    headings
        The headings of the numbers.
    rows
        The rows. Where none has a remark there is no column of remarks.
    title, caption
        The lines above and below.
    is_numbered
        Whether the labels are numbers.
    """

    label: str
    headings: Sequence[str]
    rows: Sequence[TopologyRow]
    title: str
    caption: str | None = None
    is_numbered: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table."""
        if self._least_width <= options.max_width:
            yield self._beside()
        else:
            yield from self._below(console, options)

    @property
    def _has_remarks(self) -> bool:
        return any(row.remark is not None for row in self.rows)

    @property
    def _least_width(self) -> int:
        """The width with all numbers whole, and topologies and remarks at their least."""
        remarks = [0 if row.remark is None else row.remark.cell_len for row in self.rows]
        topologies = [cell_len(row.topology) for row in self.rows]
        texts = [
            max(len("topology"), min(LEAST_TOPOLOGY, max(topologies, default=0))),
            *([min(LEAST_REMARK, max(remarks))] if self._has_remarks else []),
        ]
        widths = [*self._number_widths, *texts]
        return sum(widths) + EDGES * len(widths) + 1

    @property
    def _number_widths(self) -> list[int]:
        """The widths of the labels and of each column of numbers."""
        lines = [(self.label, *self.headings)]
        lines += [(row.label, *row.numbers) for row in self.rows]
        return [max(map(cell_len, column)) for column in zip(*lines, strict=True)]

    def _with_numbers(self, table: Table, *, topologies: bool) -> Table:
        """Add the columns of which nothing may be cut, and between them that of the topologies."""
        justify: JustifyMethod = "right" if self.is_numbered else "left"
        first, *others = self._number_widths
        table.add_column(Text(self.label), justify=justify, no_wrap=True, min_width=first)
        if topologies:
            table.add_column("topology", overflow="fold")
        for heading, width in zip(self.headings, others, strict=True):
            table.add_column(Text(heading), justify="right", no_wrap=True, min_width=width)
        return table

    def _beside(self) -> Table:
        table = Table(
            title=Text(self.title),
            title_justify="left",
            caption=None if self.caption is None else Text(self.caption),
            caption_justify="left",
        )
        self._with_numbers(table, topologies=True)
        if self._has_remarks:
            table.add_column("", overflow="fold")
        for row in self.rows:
            remark = [row.remark or ""] if self._has_remarks else []
            cells = [row.label, WrappedTopology(row.topology), *row.numbers, *remark]
            table.add_row(*cells, style=row.style, end_section=row.ends_section)
        return table

    def _below(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[Text | Padding | Segment]:
        widths = self._number_widths
        gap = GAP if sum(widths) + GAP * len(widths) <= options.max_width else 1
        numbers = self._with_numbers(
            Table(box=None, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0)),
            topologies=False,
        )
        for row in self.rows:
            numbers.add_row(row.label, *row.numbers, style=row.style)
        # A line that is too long is the terminal's to break: a number may not be lost.
        least = sum(widths) + gap * len(widths)
        room = options.update(width=max(options.max_width, least))
        head, *lines = console.render_lines(numbers, room, pad=False)
        yield Text(self.title, style="table.title")
        yield from (*head, Segment.line())
        for row, line in zip(self.rows, lines, strict=True):
            yield from (*line, Segment.line())
            yield Padding(WrappedTopology(row.topology), (0, 0, 0, INDENT), style=row.style)
            if row.remark is not None and row.remark.plain:
                yield Padding(row.remark, (0, 0, 0, INDENT), style=row.style)
        if self.caption is not None:
            yield Text(self.caption, style="table.caption")


def _wrapped(topology: str, width: int) -> list[str]:
    """Split a topology into lines of at most a width, after commas where it has some."""
    lines = [""]
    *parts, last = topology.split(",")
    for part in (*(f"{one}," for one in parts), last):
        if lines[-1] and cell_len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return lines
