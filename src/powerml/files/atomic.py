"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["UNFINISHED", "write_whole"]

UNFINISHED = ".unfinished-"  # how names begin of what a killed writer has left


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and move it there. The folder must exist.

    Raises
    ------
    OSError
        It cannot be written; the error names `path`.
    """
    try:
        _write_whole(path, text)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write_whole(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="", dir=path.parent, prefix=UNFINISHED, delete=False
    ) as file:
        unfinished = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            # As a file that is made by hand: a temporary one is its owner's alone.
            unfinished.chmod(0o644)
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
