"""Progress: whom long work tells what it is at."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Notify", "silent"]

Notify = Callable[[str], None]


def silent(_message: str) -> None:
    """Tell nobody."""
