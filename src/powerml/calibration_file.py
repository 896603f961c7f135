"""Calibrations as files: JSON, read and written whole."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from powerml.calibration import Calibration
from powerml.errors import CalibrationError
from powerml.whole_files import write_whole

__all__ = ["check_target", "load_calibration", "save_calibration"]


def load_calibration(path: Path) -> Calibration:
    """Read what ``powerml calibrate`` has written; raises ``CalibrationError``."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CalibrationError(
            f"the calibration {path} cannot be read ({reason}): write one with powerml calibrate"
        ) from error
    try:
        return Calibration.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CalibrationError(
            f"{path} is no calibration ({where}: {first['msg']}): write one with powerml calibrate"
        ) from error


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write a calibration, whole or not at all; raises ``OSError``."""
    write_whole(path, calibration.to_json() + "\n")


def check_target(path: Path) -> None:
    """Check, before anything takes long, that a file can be written there.

    Raises
    ------
    CalibrationError
        Its folder is not there, or it is a folder itself.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise CalibrationError(
            f"nothing can be written to {path}: give a file in a folder that is there"
        )
