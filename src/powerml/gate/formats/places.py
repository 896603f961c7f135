"""Places of files, as the root of a repository sees them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["place_in"]


def place_in(path: str, root: Path) -> str:
    """Return a path relative to a folder, with slashes; as it is where it lies elsewhere."""
    given = Path(path)
    try:
        # Not Path.resolve, which raises where links lead in a circle.
        return Path(os.path.realpath(given)).relative_to(os.path.realpath(root)).as_posix()
    except ValueError:
        return given.as_posix()
