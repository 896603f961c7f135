"""Prints of a user's code: they go to standard error, for results are on standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["prints_to_stderr"]


@contextlib.contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Send what code prints to standard error, and end its last line: others write after it."""
    stderr: TextIO | None = sys.stderr
    if stderr is None:  # it was closed before Python began: nothing is printed anywhere
        with contextlib.redirect_stdout(None):
            yield
        return
    printed = _Lines(stderr)
    try:
        with contextlib.redirect_stdout(cast(TextIO, printed)):
            yield
    finally:
        printed.end()


class _Lines:
    """A stream that knows whether its last line has ended."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = "\n"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._last = text[-1:] or self._last
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def end(self) -> None:
        if self._last != "\n":
            with contextlib.suppress(OSError, ValueError):  # nobody may read it
                self._stream.write("\n")
