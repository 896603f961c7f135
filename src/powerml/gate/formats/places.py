"""Places of files, as the root of a repository sees them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["place_in"]


def place_in(path: str, root: Path) -> str:
    """Return a path relative to a folder, with slashes; as it is where it lies elsewhere."""
    given = Path(path)
    try:
        return given.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return given.as_posix()
