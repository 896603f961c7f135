"""Columns of Arrow tables, from Parquet files and the files of Hugging Face's datasets.

pyarrow reads both as data: neither can bring code along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.errors import DatasetError, SetupError
from powerml.files.foreign import fault_of_path
from powerml.files.room import require_room
from powerml.workloads.columns import (
    Content,
    Mixture,
    Place,
    TableColumn,
    encoded,
    is_number,
    shown,
)
from powerml.workloads.metrics import TaskKind

__all__ = ["SUFFIX", "checked", "column_of", "import_pyarrow", "read_parquet", "reading"]

SUFFIX = ".parquet"
MAGIC = b"PAR1"
COPIES = 3  # of a value: as Arrow has it, as numpy has it, and as an input


def read_parquet(path: Path, name: str, *, target: str | None, task: TaskKind | None) -> Content:
    """Read a table whose last column or `target` is to be predicted.

    Raises
    ------
    DatasetError
        The file cannot be read, or what it holds is no table of numbers and texts.
    SetupError
        pyarrow is not installed.
    """
    if fault := fault_of_path(path):
        raise DatasetError(f"{path} {fault}")
    import_pyarrow(name)
    from pyarrow import parquet

    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise DatasetError(f"{name} is not a Parquet file, or it is truncated: write it again")
    with reading(name), parquet.ParquetFile(path) as file:
        size = sum(
            file.metadata.row_group(number).total_byte_size
            for number in range(file.metadata.num_row_groups)
        )
        require_room(COPIES * size, f"the content of {name}", "leave columns or rows out")
        table = file.read()
        checked(table)
    if not table.num_rows or not table.num_columns:
        raise DatasetError(f"{name} holds no rows: give a table with rows")
    names = table.column_names
    twice = next((one for one, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise DatasetError(f"{name} has two columns {shown(twice)}: rename one")
    # What pandas keeps of an index without a name is no data.
    kept = [one for one in names if not one.startswith("__index_level_")]
    columns = [column_of(one, table.column(one), name, _place) for one in kept]
    return encoded(columns, name, target=target, task=task, place=_place)


def _place(row: int) -> str:
    return f"row {row} (counted from 0)"


def import_pyarrow(name: str) -> None:
    """Import pyarrow; raises ``SetupError`` where it is not installed."""
    try:
        import pyarrow  # noqa: F401 - imported for the test
    except ImportError as error:
        raise SetupError(
            f"{name} is read with pyarrow, which is not installed: pip install 'powerml[data]'"
        ) from error


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Name the file whose reading fails.

    Raises
    ------
    DatasetError
        pyarrow failed.
    """
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise DatasetError.quoting(f"{name} cannot be read", error, "write it again") from error


def checked(table: Any) -> None:
    """Check all values and names of a table; whoever calls it names the file, by `reading`."""
    table.validate(full=True)  # a damaged place would be read beyond its buffer
    list(table.column_names)  # which are decoded here


def column_of(column: str, values: Any, name: str, place: Place) -> TableColumn:
    """Return a column of numbers, truth values or texts.

    Parameters
    ----------
    column
        Its name.
    values
        A chunked array of Arrow.
    name
        Name of the table, for messages.
    place
        Names a row.

    Raises
    ------
    DatasetError
        A value is missing, or the values are of another kind.
    """
    import pyarrow
    from pyarrow import compute

    if values.null_count:
        row = compute.index(compute.is_null(values), True).as_py()
        raise DatasetError(
            f"{name}, {place(row)}: the column {shown(column)} is empty: fill it in, or leave the "
            "row out"
        )
    types, kind = pyarrow.types, values.type
    if types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if types.is_boolean(kind):
        return TableColumn(column, "truth", _numbers(values, pyarrow.bool_(), np.bool_))
    if types.is_integer(kind) and kind != pyarrow.uint64():
        return TableColumn(column, "integer", _numbers(values, pyarrow.int64(), np.int64))
    if types.is_floating(kind) or types.is_decimal(kind) or types.is_integer(kind):
        found = _numbers(values, pyarrow.float64(), np.float64)
        if np.isnan(found).any():
            row = int(np.flatnonzero(np.isnan(found))[0])
            raise DatasetError(
                f"{name}, {place(row)}: the column {shown(column)} is nan: fill it in, or leave "
                "the row out"
            )
        return TableColumn(column, "number", found)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _texts(column, values)
    raise DatasetError(
        f"{name}: the column {shown(column)} holds {shown(str(kind))}: leave it out, for numbers, "
        "truth values and texts alone are inputs"
    )


def _numbers(values: Any, of: Any, dtype: type[np.generic]) -> NDArray[Any]:
    # Not safe: Arrow would refuse a number that no float holds, without its row.
    return np.asarray(values.cast(of, safe=False).to_numpy(), dtype)


def _texts(column: str, values: Any) -> TableColumn:
    joined = values.combine_chunks().dictionary_encode()
    words = [str(one) for one in joined.dictionary.to_pylist()]
    order = sorted(range(len(words)), key=words.__getitem__)
    ranks = np.empty(len(words), np.int64)
    ranks[order] = np.arange(len(words))
    places = np.asarray(joined.indices.to_numpy(zero_copy_only=False), np.int64)
    texts = tuple(words[one] for one in order)
    return TableColumn(column, "text", ranks[places], texts, _mixture(places, words))


def _mixture(places: NDArray[np.int64], words: Sequence[str]) -> Mixture | None:
    """Return what is known of the numbers among the texts; None where they are all or none."""
    numbers = np.array([is_number(word) for word in words], np.bool_)
    if numbers.all() or not numbers.any():
        return None
    are_numbers = numbers[places]
    row = int(np.argmin(are_numbers))
    return Mixture(int(are_numbers.sum()), len(places), row, words[places[row]])
