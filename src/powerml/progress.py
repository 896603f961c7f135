"""Progress: whom long work tells what it is at, and how far."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Advance", "Notify", "silent", "unwatched"]

Notify = Callable[[str], None]
# Told the part that is done, from 0 to 1.
Advance = Callable[[float], None]


def silent(_message: str) -> None:
    """Tell nobody."""


def unwatched(_part: float) -> None:
    """Tell nobody how far it is."""
