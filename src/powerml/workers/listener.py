"""Listener: the receiver of the workers' events."""

from __future__ import annotations

from typing import Protocol

__all__ = ["WorkersListener"]


class WorkersListener(Protocol):
    """A listener to workers."""

    def stage(self, message: str, trial: int | None = None) -> None:
        """Hear that a long stage begins, of the trial of that number or of no single one."""

    def workers_changed(self, workers: int, orders: int) -> None:
        """Hear how many workers there are, and how many orders they work on."""
