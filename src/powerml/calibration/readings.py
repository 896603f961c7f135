"""Readings of a power meter: a CSV with a row for each synthetic load, read and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from powerml.calibration.loads import READINGS_2018, load_names, synthetic_loads, table_rows
from powerml.errors import CalibrationError, UnknownNameError
from powerml.files.texts import read_user_text
from powerml.workloads.workload import LoadWorkload

__all__ = ["Readings", "load_readings", "parse_readings", "readings_template"]

COLUMNS = ("load", "reading", "unit")
SHAPE = ("rows_a", "inner", "cols_b")
SEE_TEMPLATE = "see powerml calibrate --template"
LONGEST_UNIT = 32
SMALLEST, LARGEST = 1e-30, 1e30  # beyond, a reading per cycle could vanish or overflow
LARGEST_BYTES = 1_000_000
SOURCE_2018 = "the readings of 2018"

TEMPLATE = """\
# Readings of a power meter for powerml calibrate --readings FILE.
# For each load run on the metered machine, with numpy installed and nothing else running:
#   python -c "{run}"
# Repeat a short load until the meter is steady. Write in `reading` the energy of one run above
# what the machine takes when idle (power above idle x seconds), and its unit in every row. Loads
# that you did not measure may stay empty; at least four are needed. The costs are those of the
# machine that --machine names, or --machine-file describes: give the one that you metered.
"""
RUN = "import numpy as np; np.array([[1] * INNER] * ROWS_A).dot(np.array([[2] * COLS_B] * INNER))"


@dataclass(frozen=True)
class Readings:
    """Readings above idle by the name of the load; loads without one are not there."""

    source: str
    unit: str
    by_load: Mapping[str, float]


def load_readings(path: Path | None = None) -> Readings:
    """Read a file of readings, or without one those of 2018, which ship with the package.

    Raises
    ------
    CalibrationError
        The file cannot be read, or its content cannot be used.
    UnknownNameError
        It names an unknown load.
    """
    if path is None:
        shipped = resources.files("powerml.calibration") / READINGS_2018
        return parse_readings(shipped.read_text(encoding="utf-8"), SOURCE_2018)
    if path.is_file() and path.stat().st_size > LARGEST_BYTES:
        raise CalibrationError(f"{path} is too large for readings: {SEE_TEMPLATE}")
    text = read_user_text(path, "the file of readings", SEE_TEMPLATE, CalibrationError)
    return parse_readings(text, str(path))


def parse_readings(text: str, source: str) -> Readings:
    """Read the text of a CSV; unknown columns are ignored.

    Raises
    ------
    CalibrationError
        A column or unit is missing, a reading is no number above 0, a load occurs twice or with
        another shape, or units differ.
    UnknownNameError
        A load is not known.
    """
    try:
        rows = table_rows(text)
    except ValueError as error:
        raise CalibrationError(f"{source} cannot be used: {error}; {SEE_TEMPLATE}") from error
    if not rows:
        raise CalibrationError(f"{source} holds no readings: {SEE_TEMPLATE}")
    missing = [column for column in COLUMNS if column not in rows[0][1]]
    if missing:
        raise CalibrationError(
            f"{source} has no column {missing[0]!r} (commas separate columns): {SEE_TEMPLATE}"
        )
    known = {load.name: load for load in synthetic_loads()}
    found: dict[str, float] = {}
    units: list[str] = []
    seen: set[str] = set()
    for number, row in rows:
        where = f"{source}, line {number}"
        name = row["load"]
        if name not in known:
            raise UnknownNameError(f"load in {where}:", name, load_names())
        if name in seen:
            raise CalibrationError(f"{where}: load {name} is there twice: keep one row of it")
        seen.add(name)
        _check_shape(row, known[name], where)
        if not row["reading"]:
            continue
        found[name] = _number(row["reading"], where)
        units.append(_unit(row["unit"], where))
    if len(set(units)) > 1:
        raise CalibrationError(
            f"{source} has readings in {' and '.join(sorted(set(units)))}: give all in one unit"
        )
    if not found:
        raise CalibrationError(f"{source} holds no reading: fill the column reading in")
    return Readings(source, units[0], found)


def readings_template() -> str:
    """Return a file to fill in: the loads, their shapes, and how to run them."""
    lines = [",".join(("load", *SHAPE, "reading", "unit"))]
    lines += [
        f"{load.name},{load.rows_a},{load.inner},{load.cols_b},,J" for load in synthetic_loads()
    ]
    return TEMPLATE.format(run=RUN) + "\n".join(lines) + "\n"


def _check_shape(row: Mapping[str, str], load: LoadWorkload, where: str) -> None:
    for column in SHAPE:
        given = row.get(column, "")
        if given and given != str(getattr(load, column)):
            raise CalibrationError(
                f"{where}: {column} is {given[:LONGEST_UNIT]!r}, but load {load.name} is "
                f"{load.shape}: run the load as {SEE_TEMPLATE.removeprefix('see ')} says"
            )


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not SMALLEST <= value <= LARGEST:
        raise CalibrationError(
            f"{where}: the reading {text[:LONGEST_UNIT]!r} is no number from {SMALLEST:g} to "
            f"{LARGEST:g}: write it as 12.5 or 1.25e1, and leave empty what was not measured"
        )
    return value


def _unit(text: str, where: str) -> str:
    if not text or len(text) > LONGEST_UNIT or not text.isprintable():
        raise CalibrationError(
            f"{where}: the unit {text[:LONGEST_UNIT]!r} cannot be used: "
            f"state it in at most {LONGEST_UNIT} characters, as J or Wh"
        )
    return text
