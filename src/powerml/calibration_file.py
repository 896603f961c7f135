"""Calibrations as files: JSON, read and written whole."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydantic import ValidationError

from powerml.calibration import Calibration
from powerml.errors import CalibrationError

__all__ = ["check_target", "load_calibration", "save_calibration", "write_whole"]


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
    write_whole(path, (calibration.to_json() + "\n").encode())


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


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the place and move there, so that no half file is left; raises ``OSError``."""
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}-", delete=False
    ) as file:
        unfinished = Path(file.name)
        try:
            file.write(content)
            file.flush()
            # As a file that is made by hand: a temporary one is its owner's alone.
            unfinished.chmod(0o644)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
