"""The content of folders before and after a command."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = ["changes", "content_of"]

LARGEST_READ = 20_000_000


def content_of(root: Path, folders: Iterable[Path]) -> dict[str, str]:
    """Return what lies in folders: a description of each path, relative to the root."""
    found: dict[str, str] = {}
    for folder in folders:
        for parent, inside, names in os.walk(folder, followlinks=False):
            for name in [*inside, *names]:
                path = os.path.join(parent, name)
                found[os.path.relpath(path, root)] = _described(path)
    return found


def _described(path: str) -> str:
    try:
        told = os.lstat(path)
    except OSError:
        return "gone"
    kind = stat.S_IFMT(told.st_mode)
    if stat.S_ISLNK(told.st_mode):
        return f"link to {os.readlink(path)}"
    if not stat.S_ISREG(told.st_mode):
        return f"kind {kind:o}"
    if told.st_size > LARGEST_READ:
        return f"file of {told.st_size} bytes"
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"


def changes(
    before: Mapping[str, str], after: Mapping[str, str], may_write: Iterable[str]
) -> list[str]:
    """Return the paths that came, went or changed and that nothing allows to."""
    allowed = tuple(may_write)
    odd = []
    for path in sorted({*before, *after}):
        if before.get(path) == after.get(path):
            continue
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in allowed):
            continue
        how = "left" if path not in before else "removed" if path not in after else "changed"
        odd.append(f"{path} was {how}")
    return odd
