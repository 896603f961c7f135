"""The folder that holds the ARM side, shared by all studies of a user."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from powerml.errors import UsageError
from powerml.files.atomic import UNFINISHED
from powerml.files.folders import user_data_folder
from powerml.progress import Notify
from powerml.signals import interruption_held

__all__ = [
    "FOLDER_VARIABLE",
    "boards_folder",
    "boards_locked",
    "folder_beside",
    "move_into_place",
]

FOLDER_VARIABLE = "POWERML_BOARDS_DIR"
FOLDER = "boards"
LOCK = "lock"


def boards_folder() -> Path:
    """``POWERML_BOARDS_DIR``, or a folder among the user's data. It need not exist.

    Raises
    ------
    UsageError
        The chosen folder is a file, or none was chosen and the user has no home folder.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    if not chosen:
        data = user_data_folder()
        if data is None:
            raise UsageError(
                f"there is no home folder to keep the ARM side in: set HOME or {FOLDER_VARIABLE}"
            )
        return data / FOLDER
    if Path(chosen).is_file():
        raise UsageError(f"{FOLDER_VARIABLE} is {chosen!r}, a file: give a folder")
    # Links lead into it from the folders of boards.
    return Path(chosen).absolute()


@contextlib.contextmanager
def boards_locked(folder: Path, notify: Notify) -> Iterator[None]:
    """Let one process at a time change the folder, which must exist."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        notify("waiting for another process that prepares or removes the ARM side")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def folder_beside(final: Path) -> Iterator[Path]:
    """Make a folder beside the place of another, for building it; it is removed at the end.

    The caller holds the lock: the remains of killed processes are removed too.
    """
    for left in final.parent.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=final.parent))
    try:
        yield folder
    finally:
        with interruption_held():
            shutil.rmtree(folder, ignore_errors=True)


def move_into_place(built: Path, final: Path, unfinished: Path) -> None:
    """Move what was built to its place; a damaged predecessor goes with the unfinished folder."""
    with interruption_held():
        if final.exists():
            final.rename(unfinished / "damaged")
        built.rename(final)
