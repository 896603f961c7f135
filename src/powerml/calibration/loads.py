"""The synthetic loads of the paper's Figure 1: integer matrix products with a reading of power.

Shapes, recorded costs and readings are those of 2018, from ``synthetic_loads_2018.csv``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import zip_longest
from types import MappingProxyType

from powerml.workloads.workload import LoadWorkload

__all__ = [
    "READINGS_2018",
    "load_names",
    "recorded_costs_cycles",
    "synthetic_loads",
    "table_rows",
]

READINGS_2018 = "synthetic_loads_2018.csv"
LONGEST_NAME = 32  # of what a message quotes


@cache
def synthetic_loads() -> tuple[LoadWorkload, ...]:
    """All eight, in the order of the records."""
    return tuple(
        LoadWorkload(
            name=row["load"],
            rows_a=int(row["rows_a"]),
            inner=int(row["inner"]),
            cols_b=int(row["cols_b"]),
        )
        for row in _rows_of_2018()
    )


@cache
def recorded_costs_cycles() -> Mapping[str, int]:
    """Return each load's cost as the original program recorded it in 2018, by name."""
    return MappingProxyType(
        {row["load"]: int(row["recorded_cost_cycles"]) for row in _rows_of_2018()}
    )


def _rows_of_2018() -> list[dict[str, str]]:
    text = (resources.files("powerml.calibration") / READINGS_2018).read_text(encoding="utf-8")
    return [row for _, row in table_rows(text)]


def load_names() -> list[str]:
    """Names of the loads."""
    return [load.name for load in synthetic_loads()]


def table_rows(text: str) -> list[tuple[int, dict[str, str]]]:
    """Rows of a CSV with the numbers of the lines they begin on, by the names of the columns.

    Lines that are empty or begin with # are skipped. Missing cells at the end of a row are empty.

    Raises
    ------
    ValueError
        A column is there twice, a cell is longer than `csv` takes, or a row has more cells than
        there are columns.
    """
    lines = [
        (number, line)
        for number, line in enumerate(io.StringIO(text, newline=None), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    reader = csv.reader(line for _, line in lines)
    rows: list[tuple[int, list[str]]] = []
    read = 0
    try:
        for row in reader:
            # A row goes on over several lines where a quoted cell does.
            rows.append((lines[read][0], [cell.strip() for cell in row]))
            read = reader.line_num
    except csv.Error as error:
        raise ValueError(f"line {lines[read][0]}: {error}") from error
    if not rows:
        return []
    _, columns = rows[0]
    for column in columns:
        if column and columns.count(column) > 1:
            raise ValueError(f"the column {column[:LONGEST_NAME]!r} is there twice")
    for number, cells in rows[1:]:
        if any(cells[len(columns) :]):
            raise ValueError(
                f"line {number} has more cells than there are columns: commas separate them, and "
                "numbers have a decimal point"
            )
    return [
        (number, dict(zip_longest(columns, cells[: len(columns)], fillvalue="")))
        for number, cells in rows[1:]
    ]
