"""Columns of tables, encoded as the inputs and labels of networks. Pure functions.

Numbers and truth values are inputs as they are, and a text is one input for each of its values.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError
from powerml.files.room import require_room
from powerml.files.texts import printable
from powerml.workloads.metrics import TaskKind
from powerml.workloads.splits import LARGEST_VALUE

__all__ = [
    "CORRECT_TEXTS",
    "MISSING",
    "MOST_DIFFERENT",
    "MOST_TEXTS",
    "ColumnKind",
    "Content",
    "Mixture",
    "Place",
    "TableColumn",
    "encoded",
    "is_missing",
    "is_number",
    "labels_of",
    "listed",
    "shown",
    "target_of",
]

ColumnKind = Literal["truth", "integer", "number", "text"]
# Names a row of a file by its place in the table, as in ``line 7``.
Place = Callable[[int], str]

# Words for a value that is missing, as pandas, R and spreadsheets write them.
MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "<na>"))
MOST_TEXTS = 300  # one-hot inputs of one column
MOST_DIFFERENT = 100_000  # texts of one column at all: a target may have many classes
# Integers of a target with more values are a quantity rather than classes.
MOST_INTEGER_CLASSES = 30
# A column of numbers has at least 9 numbers of 10 values: what else it holds is a mistake.
NUMBERS_OF, OF_VALUES = 9, 10
CORRECT_TEXTS = "correct the texts, or leave the column out"
FLOAT_BYTES = 4
LONGEST = 40
MOST_NAMED = 6


@dataclass(frozen=True)
class Mixture:
    """Numbers and others in one column: their counts, and the first that is no number."""

    numbers: int
    values: int
    row: int
    text: str

    @property
    def is_mistaken(self) -> bool:
        """True if nearly all of the values are numbers."""
        return self.numbers * OF_VALUES >= self.values * NUMBERS_OF

    @property
    def is_of_numbers(self) -> bool:
        """True if there are at least as many numbers as others."""
        return 2 * self.numbers >= self.values

    def fault(self, column: str, where: str, advice: str) -> DatasetError:
        """Make the error of a column that may not be mixed.

        Parameters
        ----------
        column
            Its name.
        where
            The table and the line.
        advice
            What to do.
        """
        return DatasetError(
            f"{where}: the column {shown(column)} holds {shown(self.text)!r}, and "
            f"{self.numbers:,} of its {self.values:,} values are numbers: {advice}"
        )


@dataclass(frozen=True, eq=False)
class TableColumn:
    """A column of a table.

    `values` are booleans, integers or numbers; of a text they are places in `texts`, which are
    sorted.
    """

    name: str
    kind: ColumnKind
    values: NDArray[Any]
    texts: tuple[str, ...] = ()
    # Of texts among which there are numbers.
    mixture: Mixture | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """The content of a file: arrays by split, as `check_splits` takes them, and what was chosen."""

    arrays: dict[str, NDArray[Any]]
    task: TaskKind | None = None
    remarks: tuple[str, ...] = ()
    # True if each column of the inputs has a scale of its own.
    is_table: bool = False


def is_missing(text: str) -> bool:
    """Return whether a text stands for a missing value."""
    return text.strip().lower() in MISSING


def is_number(text: str) -> bool:
    """Return whether a text is a number that is not missing."""
    try:
        float(text)
    except ValueError:
        return False
    # Python reads numbers with underscores, and nobody else does.
    return "_" not in text and not is_missing(text)


def encoded(
    columns: Sequence[TableColumn],
    name: str,
    *,
    target: str | None,
    task: TaskKind | None,
    place: Place,
) -> Content:
    """Encode a table as a training split, whose test split is still to be held out.

    Parameters
    ----------
    columns
        All columns, with one value for each row.
    name
        Name of the table, for messages.
    target
        The column that is to be predicted; None for the last one.
    task
        The task; None if the target tells.
    place
        Names a row.

    Raises
    ------
    DatasetError
        There is no such column, a column cannot be encoded, or the task does not fit.
    """
    remarks = []
    aim = target_of(columns, target, name)
    if target is None:
        remarks.append(f"{name}: the target is the last column, {shown(aim.name)}")
    labels, found, said = labels_of(aim, task, name, place)
    inputs = [column for column in columns if column is not aim]
    for column in inputs:
        _refuse_mistakes(column, name, place)
    if not inputs:
        raise DatasetError(
            f"{name} has the target {shown(aim.name)} alone: give it further columns"
        )
    return Content(
        {"x_train": _inputs(inputs, name, place), "y_train": labels},
        found,
        (*remarks, *said),
        is_table=True,
    )


def labels_of(
    target: TableColumn, task: TaskKind | None, name: str, place: Place
) -> tuple[NDArray[Any], TaskKind, tuple[str, ...]]:
    """Return the labels of a target, the task, and what was chosen.

    Raises
    ------
    DatasetError
        The task does not fit the target, or a value of it is a mistake.
    """
    if task != "classification":  # classes may be of any texts
        _refuse_mistakes(target, name, place, "correct it, or give --task classification")
    found = task or _task_of(target)
    remarks: tuple[str, ...] = ()
    if task is None and target.kind == "integer":
        what = "classes" if found == "classification" else "numbers to be predicted"
        other = "regression" if found == "classification" else "classification"
        remarks = (
            f"{name}: the integers of {shown(target.name)} are {what}; the other is --task {other}",
        )
    return _labels(target, found, name), found, remarks


def target_of(columns: Sequence[TableColumn], target: str | None, name: str) -> TableColumn:
    """Return the column of a name, or the last one; raises ``DatasetError``."""
    if target is None:
        return columns[-1]
    for column in columns:
        if column.name == target:
            return column
    names = [column.name for column in columns]
    near = difflib.get_close_matches(target, names, n=1)
    hint = f"did you mean {shown(near[0])!r}?" if near else f"it has {listed(names)}"
    raise DatasetError(f"{name} has no column {shown(target)!r}: {hint}")


def _refuse_mistakes(
    column: TableColumn,
    name: str,
    place: Place,
    advice: str = "correct it, leave the column out, or write all of them as texts, as c1",
) -> None:
    """Refuse texts among numbers; raises ``DatasetError``."""
    mixture = column.mixture
    if mixture is not None and mixture.is_mistaken:
        raise mixture.fault(column.name, f"{name}, {place(mixture.row)}", advice)


def _task_of(target: TableColumn) -> TaskKind:
    """Return the task that a target tells: fractions and many integers are quantities."""
    if target.kind == "number":
        return "regression"
    if target.kind == "integer" and len(np.unique(target.values)) > MOST_INTEGER_CLASSES:
        return "regression"
    return "classification"


def _labels(target: TableColumn, task: TaskKind, name: str) -> NDArray[Any]:
    if target.kind == "text":
        if task == "regression":
            texts = ", ".join(map(shown, target.texts[:3]))
            raise DatasetError(
                f"{name}: the column {shown(target.name)} holds texts, as {texts}: a regression is "
                "of numbers"
            )
        return np.asarray(np.asarray(target.texts)[target.values])
    if task == "regression" or target.kind != "number":
        return target.values
    if (target.values != np.rint(target.values)).any():
        raise DatasetError(
            f"{name}: the column {shown(target.name)} holds fractions, which are no classes: give "
            "--task regression"
        )
    return target.values


def _inputs(columns: Sequence[TableColumn], name: str, place: Place) -> NDArray[np.float32]:
    """Return the inputs: a column for each number, and one for each value of a text."""
    widths = [_width(column, name, place) for column in columns]
    rows = len(columns[0].values)
    require_room(
        rows * sum(widths) * FLOAT_BYTES,
        f"the {rows:,} rows of {name} as {sum(widths):,} inputs",
        "leave columns or rows out",
    )
    inputs = np.zeros((rows, sum(widths)), np.float32)
    start = 0
    for column, width in zip(columns, widths, strict=True):
        if column.kind == "text":
            inputs[np.arange(rows), start + column.values] = 1
        else:
            _check_range(column, name, place)
            inputs[:, start] = column.values
        start += width
    return inputs


def _width(column: TableColumn, name: str, place: Place) -> int:
    if column.kind != "text":
        return 1
    if len(column.texts) <= MOST_TEXTS:
        return len(column.texts)
    if column.mixture is not None and column.mixture.is_of_numbers:
        raise column.mixture.fault(
            column.name,
            f"{name}, {place(column.mixture.row)}",
            CORRECT_TEXTS,
        )
    raise DatasetError(
        f"{name}: the column {shown(column.name)} has {len(column.texts):,} different texts, more "
        f"than {MOST_TEXTS}: leave it out, or group its values"
    )


def _check_range(column: TableColumn, name: str, place: Place) -> None:
    values = column.values
    if column.kind == "truth":
        return
    wrong = np.flatnonzero(~(np.abs(values.astype(np.float64)) <= LARGEST_VALUE))
    if len(wrong):
        row = int(wrong[0])
        raise DatasetError(
            f"{name}, {place(row)}: the column {shown(column.name)} holds {values[row]:g}: replace "
            "it, or give the column in another unit"
        )


def listed(names: Sequence[str]) -> str:
    """Return the first of some names, as messages show them."""
    some = [shown(one) for one in names[:MOST_NAMED]]
    return ", ".join([*some, "..."] if len(names) > MOST_NAMED else some)


def shown(text: str) -> str:
    """Return a text of a file as messages show it."""
    whole = printable(text) if text.isprintable() else repr(text)[1:-1]
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"
