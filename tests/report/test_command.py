"""The command that a report gives makes the very settings of the study."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

import powerml
from powerml.cli import main as cli
from powerml.errors import StudyError
from powerml.report.command import command_of, jobs_of, wanted_trials
from powerml.search import optimize
from powerml.studies.records import RunRecord, StudySettings
from tests.builders import make_settings


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.123456789012, "beta": 0.0, "seed": 3, "epochs": 1, "startup_trials": 1},
        {"pareto": True, "sampler": "nsga2", "score_seeds": 2},
        {"objective": "constrained", "min_score": 0.5, "max_training_cost": "1.5x"},
        {"max_inference_cost": 1.5e9, "max_parameters": 10**6, "objective": "linear"},
        {"machine": ["xeon-x5650", "epyc-7601"], "accesses": "all", "validation": 0.2},
        {"protocol": "paper", "reference": "first"},
        {"data": "sklearn:diabetes", "metric": "neg_rmse", "test_share": 0.3, "min_score": -60},
        {"data": "sklearn:iris", "task": "regression", "min_score": "best-2"},
        {
            "runtime": "keras",
            "inference_batch": 8,
            "inferences": 3,
            "reference": "dffr:layers=1,width=1",
        },
    ],
)
@pytest.mark.usefixtures("signals_as_before")
def test_the_command_makes_the_same_settings(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[StudySettings] = []

    def refuse(_folder: Path, settings: StudySettings, **_options: object) -> NoReturn:
        opened.append(settings)
        raise StudyError("that is all")

    monkeypatch.setattr(optimize, "open_study", refuse)
    with pytest.raises(StudyError):
        powerml.optimize("dffr", **options)
    monkeypatch.setattr(sys, "argv", shlex.split(command_of(opened[0], 7, 1)))
    with pytest.raises(SystemExit):
        cli.main()
    assert opened[1] == opened[0]


def test_what_the_command_cannot_know_is_named() -> None:
    settings = make_settings(
        machine="mine", other_machines=("epyc-7601",), backend="jax", data="a b/$x.npz"
    )
    command = command_of(settings, 10, None)
    assert command.startswith("KERAS_BACKEND=jax powerml optimize --space dffr --data 'a b/$x.npz'")
    assert "--machine mine,epyc-7601 --machine-file mine.toml" in command
    assert "--jobs" not in command


def test_a_front_is_asked_for_without_weights() -> None:
    command = command_of(make_settings(pareto=True), 10, None)
    assert "--pareto" in command
    assert "--alpha" not in command


def test_runs_say_how_many_trials_and_jobs() -> None:
    runs = [RunRecord(jobs=2, trials=5), RunRecord(jobs=2, trials=9)]
    assert (wanted_trials(runs, 5), jobs_of(runs)) == (9, 2)
    assert (wanted_trials([], 5), jobs_of([])) == (5, None)
