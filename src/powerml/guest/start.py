"""The first code of the measured process: it has the view look the same everywhere, then runs it.

Run as a script, before anything is imported from the view. Python keeps the listing of each folder
that it looks into, and what it keeps moves the heap. See `powerml.meters.simulator.view`.
"""

import os
import posix
import runpy
import sys

VIEW = "/proc/self/fd/"
# Python adds these folders as it imports, here or in any other process.
ADDED = "__pycache__"

_list_folder = posix.listdir
_resolve = os.path.realpath


def _list_alike(path: str | int | None = None) -> list[str]:
    """List a folder without what importing adds, in an order that no file system decides."""
    names = _list_folder(path)
    if ADDED in names:
        names.remove(ADDED)
    names.sort()
    return names


def _resolve_alike(path: str, *, strict: bool = False) -> str:
    """Take links of the view for files: they lead to paths of another length elsewhere."""
    absolute = os.path.abspath(path)
    if absolute.startswith(VIEW):
        return absolute
    return _resolve(path, strict=strict)


if __name__ == "__main__":
    # The import system's own listing is that of the module `posix`.
    posix.listdir = os.listdir = _list_alike  # type: ignore[assignment]
    os.path.realpath = _resolve_alike  # type: ignore[assignment]
    _, module, *sys.argv[1:] = sys.argv
    runpy.run_module(module, run_name="__main__", alter_sys=True)
