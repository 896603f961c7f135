"""Listener: the receiver of a running study's events."""

from __future__ import annotations

from pathlib import Path

from powerml.studies.records import TrialRecord

__all__ = ["Listener"]


class Listener:
    """A listener to a running study. All methods do nothing here."""

    def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:
        """Hear that the study is open, with `finished_trials` of `trials` done already."""

    def stage(self, message: str, trial: int | None = None) -> None:
        """Hear that a long stage begins, of the trial of that number or of no single one."""

    def trial_ended(self, record: TrialRecord) -> None:
        """Hear that a trial has ended, in any state."""

    def workers_changed(self, workers: int, orders: int) -> None:
        """Hear how many workers there are, and how many orders they work on."""
