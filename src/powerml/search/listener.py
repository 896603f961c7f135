"""Listener: what a study tells of itself while it runs."""

from __future__ import annotations

from pathlib import Path

from powerml.studies.records import TrialRecord

__all__ = ["Listener"]


class Listener:
    """A listener to a running study. All methods do nothing here."""

    def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:
        """The study is open; `finished_trials` of `trials` are there already."""

    def stage(self, message: str, trial: int | None = None) -> None:
        """Something begins that takes a while, of the trial of that number or of no single one."""

    def trial_ended(self, record: TrialRecord) -> None:
        """A trial has ended, well or not."""
