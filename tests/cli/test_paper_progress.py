"""Progress of a reproduction: what is left, and what is said where nobody watches."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from powerml.cli.paper_progress import Pace, ReproductionProgress, seconds_left
from powerml.paper.plan import make_plan
from tests.builders import make_trial

DFFR, CNN = ("right", "dffr"), ("right", "cnn")


def test_each_kind_of_trial_has_its_pace() -> None:
    pace = Pace()
    assert seconds_left(pace, {DFFR: 3}) is None
    for seconds in (1.0, 3.0):
        pace.add(DFFR, seconds)
    pace.add(CNN, 20.0)
    assert seconds_left(pace, {DFFR: 3, CNN: 2}) == pytest.approx(3 * 2 + 2 * 20)
    assert seconds_left(pace, {("paper", "cnn"): 1}) == pytest.approx(24 / 3)
    assert seconds_left(pace, {}) == 0


def test_lines_say_which_study_and_how_many_there_are() -> None:
    out = io.StringIO()
    progress = ReproductionProgress(Console(file=out, width=200))
    studies = make_plan((1, 3), ("dffr",), (), seeds=1).studies
    with progress:
        progress.reproduction_opened(Path("out"), studies[:2], studies[2:])
        progress.study_begun(studies[2])
        progress.outcome_passed_over(Path("out/one.json"))
        progress.study_opened(Path("out"), 4, 10)
        progress.stage("starting the simulator")
        for number in (5, 6):
            progress.trial_ended(make_trial(number=number))
            progress.stage("training")
        progress.study_ended(studies[2])
    said = out.getvalue().splitlines()
    assert said[0] == "reproduction in out: 2 of 6 studies are there"
    assert said[1] == "study 3 of 6: right-dffr-1-seed0"
    assert said[2] == "  out/one.json cannot be read, or is of another study: it is made again"
    assert said[3] == "  starting the simulator"
    assert said[4].startswith("  trial 5: dffr:layers=2,width=16")
    assert said[5].startswith("  trial 6: ")
    assert said[6].startswith("right-dffr-1-seed0 is finished; 0:0")
    assert (progress.finished, progress.studies) == (3, 6)
