"""The first code of the measured process: it has the view look the same everywhere, then runs it.

Run as a script, before anything is imported from the view. Python keeps the listing of each folder
that it looks into, and what it keeps moves the heap. See `powerml.meters.simulator.view`.
"""

from __future__ import annotations

import os
import posix
import runpy
import sys
from importlib import machinery

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing them would look into folders
    from collections.abc import Iterator
    from importlib.metadata import Distribution, DistributionFinder
    from typing import Any

VIEW = "/proc/self/fd/"
# Python adds these folders as it imports, here or in any other process.
ADDED = "__pycache__"
# The installed packages in the view, and a link to the metadata of each by its normalized name.
PACKAGES, METADATA = f"{sys.prefix}/packages", f"{sys.prefix}/metadata"
LIBRARIES = f"{sys.prefix}/{sys.platlibdir}/"
LOADERS = (
    (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
    (machinery.SourceFileLoader, machinery.SOURCE_SUFFIXES),
    (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
)

_list_folder = posix.listdir
_resolve = os.path.realpath
_find_by_listing = machinery.PathFinder.find_distributions


class _NamesAskedFor:
    """The names in a folder, each looked up when it is asked for, and none kept."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __contains__(self, name: str) -> bool:
        return os.path.lexists(f"{self._folder}/{name}")


class _UnlistedFolder(machinery.FileFinder):
    """A finder of modules in a folder whose other contents it never sees."""

    def _fill_cache(self) -> None:
        # What `FileFinder` asks for a name would be a set of all of them.
        self._path_cache = _NamesAskedFor(self.path)


def _open_folder(path: str) -> _UnlistedFolder:
    """Return the finder of any folder but the standard library's, which Python has listed."""
    if path.startswith(LIBRARIES) or not os.path.isdir(path):
        raise ImportError(path)
    return _UnlistedFolder(path, *LOADERS)


def _find_distributions(context: DistributionFinder.Context) -> Iterator[Distribution]:
    """Find the metadata of a distribution by its name, with no look at that of others."""
    import pathlib
    import re
    from importlib import metadata

    if not context.name or "path" in vars(context) or PACKAGES not in sys.path:
        yield from _find_by_listing(context)
        return
    link = f"{METADATA}/{re.sub('[-_.]+', '_', context.name).lower()}"
    if os.path.lexists(link):
        yield metadata.PathDistribution(pathlib.Path(PACKAGES, os.readlink(link)))
    elsewhere = [path for path in sys.path if path != PACKAGES]
    yield from _find_by_listing(
        metadata.DistributionFinder.Context(name=context.name, path=elsewhere)
    )


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
    finder: Any = machinery.PathFinder
    finder.find_distributions = _find_distributions
    sys.path_hooks.insert(0, _open_folder)
    # Python would have listed it before this file runs, had its environment named it.
    sys.path.append(PACKAGES)
    _, module, *sys.argv[1:] = sys.argv
    runpy.run_module(module, run_name="__main__", alter_sys=True)
