"""Progress: the callbacks of long work."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Advance", "Notify", "silent", "unwatched"]

Notify = Callable[[str], None]
# Told the part that is done, from 0 to 1.
Advance = Callable[[float], None]


def silent(_message: str) -> None:
    """Ignore a line of progress."""


def unwatched(_part: float) -> None:
    """Ignore a share of progress."""
