"""What a search shows while it runs."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from powerml.cli.study_progress import StudyProgress
from tests.builders import make_trial


def _watched(*, terminal: bool) -> tuple[StudyProgress, io.StringIO]:
    out = io.StringIO()
    return StudyProgress(Console(file=out, force_terminal=terminal, width=100)), out


def test_where_nobody_watches_each_trial_that_ended_is_one_line() -> None:
    progress, out = _watched(terminal=False)
    with progress:
        progress.study_opened(Path("studies/s"), 0, 2)
        progress.stage("starting the simulator")
        progress.stage("simulating one", trial=1)
        progress.stage("starting the simulator", trial=2)
        progress.trial_ended(make_trial(number=1))
        progress.stage("simulating two", trial=2)
        progress.stage("training two", trial=2)
        progress.trial_ended(make_trial(number=2))
    lines = out.getvalue().splitlines()
    assert lines[:3] == [
        "study in studies/s: 2 trials",
        "starting the simulator",
        "simulating one",
    ]
    assert [line[:8] for line in lines[3:]] == ["trial 1:", "trial 2:"]


def test_on_a_terminal_there_is_a_line_for_each_trial_under_way_and_a_bar() -> None:
    progress, out = _watched(terminal=True)
    with progress:
        progress.study_opened(Path("s"), 0, 9)
        progress.stage("simulating the reference")
        progress.stage("simulating one", trial=1)
        progress.stage("simulating two", trial=2)
        progress.trial_ended(make_trial(number=1))
        progress.stage("training two", trial=2)
        out.truncate(0)
        progress._live.refresh()
        shown = [line for line in out.getvalue().splitlines() if line.strip()]
    assert sum("two" in line for line in shown) == 1
    assert any("trial 2" in line and "training two" in line for line in shown)
    assert not any("simulating" in line for line in shown)
    assert "1/9" in shown[-1]
    assert "left" in shown[-1]
