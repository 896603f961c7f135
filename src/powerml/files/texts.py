"""Texts that people write: files that an editor on any system may have saved."""

from __future__ import annotations

import codecs
import os
import select
from pathlib import Path

from powerml.errors import PowerMLError
from powerml.files.foreign import fault_of_path

__all__ = ["is_utf_8", "printable", "read_user_text"]

PIPE_SECONDS, PIPE_BYTES = 30, 2**16
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


def _read_pipe(path: Path) -> bytes:
    """Read a pipe to its end; raises ``TimeoutError`` where nobody writes into it."""
    # Without a writer, open itself would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        read = select.poll()
        read.register(descriptor, select.POLLIN)
        parts: list[bytes] = []
        while read.poll(PIPE_SECONDS * 1000):
            if not (part := os.read(descriptor, PIPE_BYTES)):
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(descriptor)
    raise TimeoutError(f"it is a pipe that nobody has written into for {PIPE_SECONDS} s")


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
        content = _read_pipe(path) if path.is_fifo() else path.read_bytes()
        encoding = "utf-16" if content.startswith(UTF_16_MARKS) else "utf-8-sig"
        text = content.decode(encoding)
    except (OSError, UnicodeError) as error:
        raise kind.quoting(f"{what} {path} cannot be read", error, advice) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
