"""Fault logs: the details that an error's one line leaves out, a file for each failed command.

They lie in the user's log folder, or in the temporary folder where there is none. A log that cannot
be written is no error: the command has one already.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from powerml.errors import text_of
from powerml.files.folders import user_log_folder
from powerml.studies.address import without_passwords

__all__ = ["keep_log"]

PREFIX = "powerml-"
SUFFIX = ".log"
MOST_LOGS = 20
MOST_CHARACTERS = 1_000_000
ESCAPED = "backslashreplace"


def keep_log(error: BaseException) -> Path | None:
    """Write all details of an error to a log; returns the file, None if none can be written.

    When there are many logs, the oldest are removed.
    """
    # An argument, or another library's text, may hold one.
    text = without_passwords(_told(error))
    for write in (_write_among_the_users, _write_among_the_temporary):
        with contextlib.suppress(Exception):
            if path := write(text):
                return path
    return None


def _write_among_the_users(text: str) -> Path | None:
    folder = user_log_folder()
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = folder / f"{PREFIX}{stamp}-{os.getpid()}{SUFFIX}"
    try:
        path.write_text(text, encoding="utf-8", errors=ESCAPED)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    for old in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))[:-MOST_LOGS]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def _write_among_the_temporary(text: str) -> Path:
    handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX)
    try:
        with open(handle, "w", encoding="utf-8", errors=ESCAPED) as file:
            file.write(text)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _told(error: BaseException) -> str:
    return "\n".join(_lines(error))[:MOST_CHARACTERS] + "\n"


def _lines(error: BaseException) -> Iterator[str]:
    yield time.strftime("%Y-%m-%d %H:%M:%S %z")
    yield f"command: {shlex.join(sys.argv)}"
    with contextlib.suppress(OSError):
        yield f"folder: {Path.cwd()}"
    yield f"python: {sys.version} ({sys.executable}) on {platform.platform()}"
    with contextlib.suppress(Exception):
        from importlib import metadata

        yield f"powerml: {metadata.version('powerml')}"
    yield ""
    yield f"{type(error).__name__}: {text_of(error)}"
    if detail := getattr(error, "detail", ""):
        yield f"\nin full:\n{detail}"
    yield ""
    yield "".join(traceback.format_exception(error))
