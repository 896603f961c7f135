"""Byte code for the measured process, compiled before it starts.

Python numbers the objects of a module that something else refers to, such as names that another
module uses, too. So byte code depends on the rest of the memory, and reading it moves the heap.
This module therefore runs in a process of its own, which imports next to nothing.
"""

from __future__ import annotations

import importlib.util
import os
import py_compile
import sys
import warnings

__all__ = ["compile_source"]

# Python replaces it by the path of the source when it reads byte code, wherever that lies.
SOURCE = "-"


def compile_source(path: str) -> None:
    """Compile a source, unless its byte code is up to date; skip one that is not Python."""
    compiled = importlib.util.cache_from_source(path)
    if not _is_current(compiled, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons in others' sources
            py_compile.compile(path, compiled, SOURCE)


def _is_current(compiled: str, path: str) -> bool:
    source = os.stat(path)
    modified, size = int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF
    stamp = b"".join(number.to_bytes(4, "little") for number in (0, modified, size))
    try:
        with open(compiled, "rb") as file:
            return file.read(16) == importlib.util.MAGIC_NUMBER + stamp
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    for line in sys.stdin:
        compile_source(line.removesuffix("\n"))
