"""Progress on standard error: running stages, the overall progress and the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["LEAST_STEP", "loads_bar", "parts_bar", "stages"]

LEAST_STEP = 1e-9


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str], None]]:
    """Show one stage after the other with the elapsed time."""
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
    """Show a bar over all work, a line for each beginning or end, and the time left."""
    with _bar(console, "starting the simulator") as (progress, task):

        def tell(line: str) -> None:
            progress.update(task, description=line)
            progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

        def advance(part: float) -> None:
            progress.update(task, completed=part)

        yield tell, advance


@contextmanager
def parts_bar(
    console: Console, first: str
) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """Show a bar over all work, the part that is under way, and the time left.

    Where nobody watches, only the `first` line is printed.
    """
    if not console.is_terminal:
        console.print(first, highlight=False, markup=False, soft_wrap=True)
    with _bar(console, first) as (progress, task):
        yield (
            lambda part: progress.update(task, description=part),
            lambda done: progress.update(task, completed=done),
        )


@contextmanager
def _bar(console: Console, first: str) -> Iterator[tuple[Progress, TaskID]]:
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    hidden = not console.is_terminal
    with Progress(
        *columns, console=console, transient=True, disable=hidden, speed_estimate_period=300
    ) as progress:
        task = progress.add_task(first, total=1.0)
        # The pace is reckoned from the first step: without one at the start, from two in a row.
        progress.advance(task, LEAST_STEP)
        yield progress, task
