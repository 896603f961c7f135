"""Progress on standard error: what is running, how far it is, how long is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from powerml.listener import Listener
from powerml.records import TrialRecord
from powerml.report.studies import trial_line

__all__ = ["StudyProgress", "loads_bar", "stages"]

LEAST_STEP = 1e-9


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Show one stage after the other with the time that has passed."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    # Where nobody watches, lines are printed instead of a bar.
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("starting", total=None)

        def show(stage: str) -> None:
            progress.update(task, description=stage)
            if hidden:
                console.print(stage, highlight=False, markup=False, soft_wrap=True)

        yield show


@contextmanager
def loads_bar(console: Console) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """Show a bar over all work, a line for what begins or ends, and how long is left."""
    hidden = not console.is_terminal
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(
        *columns, console=console, transient=True, disable=hidden, speed_estimate_period=300
    ) as progress:
        task = progress.add_task("starting the simulator", total=1.0)
        # The pace is reckoned from the first step: without one at the start, from two in a row.
        progress.advance(task, LEAST_STEP)

        def tell(line: str) -> None:
            progress.update(task, description=line)
            progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

        def advance(part: float) -> None:
            progress.update(task, completed=part)

        yield tell, advance


class StudyProgress(Listener):
    """A bar over the trials, a line for each that has ended, and the stage that is running."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.folder: Path | None = None
        self.finished_trials = 0
        self.trials = 0
        self._task: TaskID | None = None
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> StudyProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def study_opened(self, folder: Path, finished_trials: int, trials: int) -> None:
        """Begin the bar."""
        self.folder, self.finished_trials, self.trials = folder, finished_trials, trials
        self._task = self._progress.add_task("", total=trials, completed=finished_trials)
        self._line(f"study in {folder}: {finished_trials} of {trials} trials are there")

    def stage(self, message: str) -> None:
        """Show what is running."""
        if self._task is not None:
            self._progress.update(self._task, description=message)
        if not self._console.is_terminal:
            self._line(message)

    def trial_ended(self, record: TrialRecord) -> None:
        """Move the bar on and leave a line."""
        self.finished_trials = record.number
        if self._task is not None:
            self._progress.update(self._task, completed=record.number)
        self._line(trial_line(record).plain)

    def _line(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)
