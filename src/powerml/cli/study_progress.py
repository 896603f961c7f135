"""Progress of a study on standard error: its trials under way, and the time left."""

from __future__ import annotations

import threading
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from powerml.cli.progress import LEAST_STEP
from powerml.cli.tables.studies import trial_line
from powerml.search.listener import Listener
from powerml.studies.records import TrialRecord

__all__ = ["StudyProgress"]

LONGEST_RUN_SECONDS = 7 * 24 * 3600.0


class StudyProgress(Listener):
    """A line for each trial under way, and a bar over all with the time that is left.

    Without a terminal, each trial that has ended prints a line. The first trial also prints its
    stages, because it waits for the simulator to start.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.folder: Path | None = None
        self.finished_trials = 0
        self.trials = 0
        self._said: set[str] = set()
        self._said_of_workers = ""
        self._workers: TaskID | None = None
        self._lock = threading.Lock()  # trials are counted on threads of their own
        self._under_way = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[who]:>9}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console=console,
        )
        self._lines: dict[int | None, TaskID] = {}
        self._bar = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("trials,"),
            TimeElapsedColumn(),
            TextColumn("passed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            # The pace is that of the whole run: one trial may take longer than Rich looks back.
            speed_estimate_period=LONGEST_RUN_SECONDS,
        )
        self._task: TaskID | None = None
        self._live = Live(
            Group(self._under_way, self._bar), console=console, transient=True, refresh_per_second=8
        )

    def __enter__(self) -> StudyProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:
        """Begin the bar."""
        self.folder, self.finished_trials, self.trials = folder, finished_trials, trials
        self._task = self._bar.add_task("", total=trials, completed=finished_trials)
        # The pace is reckoned from the first step: without one at the start, from two in a row.
        self._bar.advance(self._task, LEAST_STEP)
        there = f", {finished_trials} of them there" if finished_trials else ""
        self._print(f"study in {folder}: {trials} trials{there}")

    def stage(self, message: str, trial: int | None = None) -> None:
        """Show what is running."""
        with self._lock:
            if trial in self._lines:
                self._under_way.update(self._lines[trial], description=message)
            else:
                who = "" if trial is None else f"trial {trial}"
                self._lines[trial] = self._under_way.add_task(message, who=who, total=None)
        is_first = self.finished_trials == 0 or trial is None
        if is_first and not self._console.is_terminal and message not in self._said:
            self._said.add(message)
            self._print(message)

    def workers_changed(self, workers: int, orders: int) -> None:
        """Show how many workers there are; without a terminal, print a change of it."""
        with self._lock:
            said = f"{workers} worker{'' if workers == 1 else 's'}"
            if self._workers is None:
                self._workers = self._under_way.add_task("", who="", total=None)
            self._under_way.update(self._workers, description=f"{said}, {orders} orders under way")
        if not self._console.is_terminal and said != self._said_of_workers:
            self._said_of_workers = said
            self._print(said)

    def trial_ended(self, record: TrialRecord) -> None:
        """Advance the bar; without a terminal, print a line."""
        self.finished_trials = record.number
        if self._task is not None:
            self._bar.update(self._task, completed=record.number)
        for ended in (record.number, None):  # the reference ends before the first trial does
            if ended in self._lines:
                self._under_way.remove_task(self._lines.pop(ended))
        if not self._console.is_terminal:
            self._print(trial_line(record).plain)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
