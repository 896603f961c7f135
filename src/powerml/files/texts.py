"""Texts that people write: files that an editor on any system may have saved."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from powerml.errors import PowerMLError
from powerml.files.foreign import fault_of_path

__all__ = ["is_utf_8", "printable", "read_user_text"]

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_utf_8(text: str) -> bool:
    """Return whether a name from the file system can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Return a name from the file system with the bytes escaped that are no UTF-8."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def read_user_text(path: Path, what: str, advice: str, kind: type[PowerMLError]) -> str:
    """Read a text in UTF-8, with or without a byte order mark, or in UTF-16 with one.

    All line ends become a newline.

    Parameters
    ----------
    path
        The file.
    what
        The file's role in the message, as in ``the machine file``.
    advice
        The advice if it cannot be read.
    kind
        The error to raise then.
    """
    # A pipe, as the shell's <(...) gives, can be read but once.
    fault = None if path.is_fifo() else fault_of_path(path, advice)
    if fault is not None:
        raise kind(f"{what} {path} {fault}")
    try:
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig"
        text = content.decode(encoding)
    except (OSError, UnicodeError) as error:
        raise kind.quoting(f"{what} {path} cannot be read", error, advice) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
