"""CSV and TSV files, read twice: once for the kinds of their columns, once for the values.

So the texts of some thousand rows are in memory at a time.
"""

from __future__ import annotations

import codecs
import csv
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError
from powerml.files.foreign import fault_of_path
from powerml.files.room import require_room
from powerml.workloads.columns import (
    CORRECT_TEXTS,
    MOST_DIFFERENT,
    ColumnKind,
    Content,
    Mixture,
    TableColumn,
    encoded,
    is_missing,
    is_number,
    shown,
)
from powerml.workloads.metrics import TaskKind

__all__ = ["SUFFIXES", "read_delimited"]

SUFFIXES = (".csv", ".tsv")
DELIMITERS = ",\t;|"
ROWS_AT_ONCE = 20_000
INTEGER = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)
TRUTHS = {"true": True, "false": False}
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
VALUE_BYTES = 16  # of a value in parts, and joined

Rows = list[list[str]]


def read_delimited(path: Path, name: str, *, target: str | None, task: TaskKind | None) -> Content:
    """Read a table with a header, whose last column or `target` is to be predicted.

    Raises
    ------
    DatasetError
        The file cannot be read, or what it holds is no table of numbers and texts.
    """
    if fault := fault_of_path(path):
        raise DatasetError(f"{path} {fault}")
    table = _DelimitedFile(path, name)
    parts = [_ColumnReader(table, place) for place in range(len(table.header))]
    for start, rows in table.rows():
        for part, values in zip(parts, zip(*rows, strict=True), strict=True):
            part.take(start, values)
        require_room(
            len(table.lines) * len(parts) * VALUE_BYTES,
            f"the first {len(table.lines):,} rows of {name}",
            "leave columns or rows out",
        )
    if not table.lines:
        raise DatasetError(f"{name} has a header and no rows")
    texts = [part for part in parts if part.kind == "text"]
    for _, rows in table.rows() if texts else ():
        for part in texts:
            part.take_texts([row[part.place] for row in rows])
    columns = [part.column() for part in parts]
    return encoded(columns, name, target=target, task=task, place=table.place)


class _DelimitedFile:
    """A delimited file: its header, and its rows some thousand at a time."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.lines = array("Q")  # the line in which each row ends: a text may have several
        self._line = 0
        with path.open("rb") as file:
            self._encoding = "utf-16" if file.read(2) in UTF_16 else "utf-8-sig"
        self._delimiter = ","
        first = next(self._read(), None)
        if first is None:
            raise DatasetError(f"{name} is empty: give a header and rows")
        self._delimiter = _delimiter(first)
        self.header = [cell.strip() for cell in next(self._read())]
        _check_header(self.header, name)

    def place(self, row: int) -> str:
        """Name a row by its line."""
        return f"line {self.lines[row]}"

    def rows(self) -> Iterator[tuple[int, Rows]]:
        """Yield rows, with the number of those before; lines without anything are no rows."""
        is_first = not self.lines
        before = 0
        waiting: Rows = []
        lines = self._read()
        next(lines)
        for row in lines:
            if len(row) != len(self.header):
                raise DatasetError(
                    f"{self.name}, line {self._line}: it has {len(row)} values and the header "
                    f"{len(self.header)}: correct the line, or quote the texts"
                )
            waiting.append(row)
            if is_first:
                self.lines.append(self._line)
            if len(waiting) == ROWS_AT_ONCE:
                yield before, waiting
                before += len(waiting)
                waiting = []
        if waiting:
            yield before, waiting

    def _read(self) -> Iterator[list[str]]:
        self._line = 0
        try:
            with self.path.open(encoding=self._encoding, newline="") as file:
                reader = csv.reader(file, delimiter=self._delimiter, strict=True)
                for row in reader:
                    self._line = reader.line_num
                    if row:
                        yield row
        except (csv.Error, UnicodeError, OSError) as error:
            raise DatasetError.quoting(
                f"{self.name} cannot be read after line {self._line}",
                error,
                "write it as CSV in UTF-8",
            ) from error


def _delimiter(first: Sequence[str]) -> str:
    """Return the delimiter of a header that was split at commas."""
    header = ",".join(first)
    return max(DELIMITERS, key=header.count)


def _check_header(header: Sequence[str], name: str) -> None:
    if all(is_number(cell) for cell in header):
        raise DatasetError(
            f"{name} has no header: its first line holds numbers alone, so name the columns there"
        )
    before: set[str] = set()
    for number, column in enumerate(header, 1):
        if not column:
            raise DatasetError(
                f"{name}: column {number} has no name: name it, or leave it out, as with pandas' "
                "to_csv(index=False)"
            )
        if column in before:
            raise DatasetError(f"{name} has two columns {shown(column)}: rename one")
        before.add(column)


class _ColumnReader:
    """A column as it is read: numbers at once, and texts once it is known to be one of texts."""

    def __init__(self, table: _DelimitedFile, place: int) -> None:
        self.place = place
        self.kind: ColumnKind | None = None
        self._table, self._name = table, table.header[place]
        # The first value that is no number, with its row, and the number of those that are.
        self._first: tuple[int, str] | None = None
        self._numbers = 0
        self._values: list[NDArray[Any]] = []
        self._texts: dict[str, int] = {}

    def take(self, start: int, values: Sequence[str]) -> None:
        """Add the values of some rows, of which `start` is the first, unless they are texts."""
        if self.kind == "text":
            self._require_all(start, values)
            self._count(start, values)
            return
        kind, found = _values_of(values, self.kind)
        if kind == "text" or (kind == "number" and np.isnan(found).any()):
            self._require_all(start, values)
        if kind in ("text", "truth"):
            self._count(start, values)
        else:
            self._numbers += len(values)
        kind = _common(self.kind, kind)
        if kind != "text":
            self._values.append(found)
        else:
            self._values = []  # the numbers that come before a text
        self.kind = kind

    def _count(self, start: int, values: Sequence[str]) -> None:
        """Count the numbers among some values, and keep the first that is none."""
        counts = Counter(values)
        numbers = {text for text in counts if is_number(text)}
        self._numbers += sum(counts[text] for text in numbers)
        if self._first is None and len(numbers) < len(counts):
            row = next(row for row, text in enumerate(values) if text not in numbers)
            self._first = (start + row, values[row].strip())

    def _require_all(self, start: int, values: Sequence[str]) -> None:
        """Refuse a value that is missing."""
        for text in set(values):
            if is_missing(text):
                row = start + values.index(text)
                what = f"is empty ({text.strip()})" if text.strip() else "is empty"
                raise DatasetError(
                    f"{self._table.name}, {self._table.place(row)}: the column "
                    f"{shown(self._name)} {what}: fill it in, or leave the row out"
                )

    def take_texts(self, values: Sequence[str]) -> None:
        """Add the texts of some rows."""
        texts = self._texts
        found = [texts.setdefault(text.strip(), len(texts)) for text in values]
        if len(texts) > MOST_DIFFERENT:
            mixture = self._mixture()
            if mixture is not None and mixture.is_of_numbers:
                raise mixture.fault(
                    self._name,
                    f"{self._table.name}, {self._table.place(mixture.row)}",
                    CORRECT_TEXTS,
                )
            raise DatasetError(
                f"{self._table.name}: the column {shown(self._name)} has more than "
                f"{MOST_DIFFERENT:,} different texts: leave it out, or group its values"
            )
        self._values.append(np.array(found, np.int64))

    def _mixture(self) -> Mixture | None:
        """Return what is known of the numbers among the texts, once all rows were counted."""
        if self._first is None or not self._numbers:
            return None
        return Mixture(self._numbers, len(self._table.lines), *self._first)

    def column(self) -> TableColumn:
        """Return the column, with its texts in their order."""
        if self.kind != "text":
            return TableColumn(self._name, self.kind or "number", np.concatenate(self._values))
        values = np.concatenate(self._values)
        texts = sorted(self._texts)
        ranks = np.empty(len(texts), np.int64)
        ranks[[self._texts[text] for text in texts]] = np.arange(len(texts))
        return TableColumn(self._name, "text", ranks[values], tuple(texts), self._mixture())


def _values_of(values: Sequence[str], known: ColumnKind | None) -> tuple[ColumnKind, NDArray[Any]]:
    """Return the kind of some values, and the values unless they are texts."""
    nothing: NDArray[Any] = np.empty(0)
    if known in (None, "integer") and all(INTEGER.fullmatch(text) for text in values):
        return "integer", np.array(list(map(int, values)), np.int64)
    if known in (None, "truth"):
        truths = [TRUTHS.get(text.strip().lower()) for text in values]
        if None not in truths:
            return "truth", np.array(truths, np.bool_)
    try:
        found = np.array(list(map(float, values)), np.float64)
    except ValueError:
        return "text", nothing
    # Python reads numbers with underscores, and nobody else does.
    return ("text", nothing) if "_" in "".join(values) else ("number", found)


def _common(one: ColumnKind | None, other: ColumnKind) -> ColumnKind:
    """Return the kind of a column with values of both kinds."""
    if one is None or one == other:
        return other
    return "number" if {one, other} == {"integer", "number"} else "text"
