"""Progress of a reproduction: the current study, the overall progress and the time left."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from powerml.cli.tables.studies import trial_line
from powerml.paper.plan import PlannedStudy
from powerml.paper.reproduce import ReproductionListener
from powerml.studies.records import TrialRecord

__all__ = ["Pace", "ReproductionProgress", "seconds_left"]

StudyKind = tuple[str, str]


class Pace:
    """Durations of trials in seconds, for each way and space."""

    def __init__(self) -> None:
        self.trials: Counter[StudyKind] = Counter()
        self.seconds: defaultdict[StudyKind, float] = defaultdict(float)

    def add(self, kind: StudyKind, seconds: float) -> None:
        """Add a trial that has ended."""
        self.trials[kind] += 1
        self.seconds[kind] += seconds


def seconds_left(pace: Pace, remaining: Mapping[StudyKind, int]) -> float | None:
    """Estimate the seconds that the remaining trials take; None before the first has ended.

    A kind without an ended trial is assumed to be as fast as the average of the others.
    """
    if not pace.trials:
        return None
    average = sum(pace.seconds.values()) / pace.trials.total()
    return sum(
        count * (pace.seconds[kind] / pace.trials[kind] if kind in pace.trials else average)
        for kind, count in remaining.items()
    )


class ReproductionProgress(ReproductionListener):
    """A bar over the trials of all studies, a line for each that has ended, and what is running."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.out: Path | None = None
        self.finished = 0
        self.studies = 0
        self.trials_kept = 0
        self._pace = Pace()
        self._remaining: Counter[StudyKind] = Counter()
        self._study: PlannedStudy | None = None
        self._last = time.monotonic()
        self._starting = True
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, left="", visible=False)

    def __enter__(self) -> ReproductionProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def reproduction_opened(
        self, out: Path, finished: Collection[PlannedStudy], to_do: Collection[PlannedStudy]
    ) -> None:
        """Begin the bar."""
        self.out, self.finished = out, len(finished)
        self.studies = len(finished) + len(to_do)
        for study in to_do:
            self._remaining[_kind(study)] += study.trials
        total = self._remaining.total()
        self._progress.update(self._task, total=total, visible=total > 0)
        self._line(f"reproduction in {out}: {self.finished} of {self.studies} studies are there")

    def study_begun(self, study: PlannedStudy) -> None:
        """Name the study."""
        self._study, self._last = study, time.monotonic()
        self._line(f"study {self.finished + 1} of {self.studies}: {study.name}")

    def outcome_passed_over(self, path: Path) -> None:
        """Say why it is made again."""
        self._line(f"  {path} cannot be read, or is of another study: it is made again")

    def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:  # noqa: ARG002
        """Leave out the trials that an interrupted study holds."""
        if self._study is not None:
            self.trials_kept += finished_trials
            self._remaining[_kind(self._study)] -= finished_trials
            self._progress.update(self._task, advance=finished_trials)

    def stage(self, message: str, trial: int | None = None) -> None:  # noqa: ARG002
        """Show what is running; without a bar only until the first trial, which takes longest."""
        named = "" if self._study is None else f"{self._study.name}: "
        self._progress.update(self._task, description=f"{named}{message}")
        if self._starting and not self._console.is_terminal:
            self._line(f"  {message}")

    def trial_ended(self, record: TrialRecord) -> None:
        """Move the bar on and leave a line."""
        if self._study is not None:
            kind, now = _kind(self._study), time.monotonic()
            if not self._starting:  # the first trial waits for the simulator to start
                self._pace.add(kind, now - self._last)
            self._last, self._starting = now, False
            self.trials_kept += 1
            self._remaining[kind] -= 1
        left = seconds_left(self._pace, self._remaining)
        self._progress.update(self._task, advance=1, left=_said(left))
        self._line(f"  {trial_line(record).plain}")

    def study_ended(self, study: PlannedStudy) -> None:
        """Count it, and say how long is left where no bar does."""
        self.finished += 1
        left = _said(seconds_left(self._pace, self._remaining))
        if not self._console.is_terminal:
            self._line(f"{study.name} is finished" + (f"; {left}" if left else ""))

    def _line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


def _kind(study: PlannedStudy) -> StudyKind:
    return study.way.name, study.space


def _said(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left"
