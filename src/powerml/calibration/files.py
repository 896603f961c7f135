"""Calibrations as files: JSON, read and written whole."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from powerml.calibration.fit import Calibration
from powerml.errors import CalibrationError
from powerml.files.atomic import write_whole
from powerml.files.texts import read_user_text

__all__ = ["figure_beside", "load_calibration", "save_calibration"]

WRITE_ONE = "write one with powerml calibrate"


def load_calibration(path: Path) -> Calibration:
    """Read a file of ``powerml calibrate``; raises ``CalibrationError``.

    Examples
    --------
    >>> from pathlib import Path
    >>> powerml.load_calibration(Path("powerml-calibration.json")).machine
    'xeon-x5650'
    """
    text = read_user_text(path, "the calibration", WRITE_ONE, CalibrationError)
    try:
        return Calibration.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CalibrationError.quoting(
            f"{path} is no calibration", f"{where}: {first['msg']}", WRITE_ONE
        ) from error


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration, whole or not at all; raises ``OSError``."""
    write_whole(path, calibration.to_json() + "\n")


def figure_beside(path: Path, readings: Path | None) -> Path:
    """Return the path of the figure beside a calibration's file.

    The check comes before any long work.

    Raises
    ------
    CalibrationError
        One of the two cannot be written, or is the file of the readings.
    """
    if not path.name or path.is_dir() or not path.parent.is_dir():
        raise _no_target(path, "give a file in a folder that is there")
    figure = path.with_suffix(".svg")
    if path.suffix == figure.suffix:
        raise _no_target(path, "it would be the figure's file: give one that ends in .json")
    for target in (path, figure):
        if target.is_dir():
            raise _no_target(target, "it is a folder: give another --out")
        # Not Path.resolve, which raises where links lead in a circle.
        if readings is not None and os.path.realpath(target) == os.path.realpath(readings):
            raise _no_target(target, "it holds the readings: give another --out")
    return figure


def _no_target(path: Path, reason: str) -> CalibrationError:
    return CalibrationError(f"nothing can be written to {str(path)!r}: {reason}")
