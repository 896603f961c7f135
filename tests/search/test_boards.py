"""Searches for a board: a machine of the host's kind trains, and the board runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.errors import StudyError
from powerml.report.command import command_of
from powerml.search.settings import options_of
from powerml.studies.reader import read_study
from tests.builders import make_settings
from tests.doubles import name_phase_meter

BOARD, TRAINER = "raspberry-pi-4", "epyc-7763"


@pytest.fixture(autouse=True)
def x86_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> str:
    return name_phase_meter(monkeypatch)


def _search(meter: str, out: Path, **options: Any) -> powerml.StudyRecord:
    given = {"machine": BOARD, "trials": 3, "min_score": 0.0, **options}
    return powerml.optimize(
        "cnn:layers=1,filters=1-4,kernel=2-3",
        data="digits",
        epochs=1,
        jobs=1,
        study="s",
        out=out,
        meter=meter,
        cache=False,
        **given,
    )


def test_a_search_for_a_board_finds_and_explains_its_best(meter: str, tmp_path: Path) -> None:
    record = _search(meter, tmp_path)
    assert (record.settings.machine, record.settings.training_machine) == (BOARD, TRAINER)
    assert record.best is not None
    assert set(record.best.cost_ratios) == {"training", "inference"}
    found = powerml.best(record.folder)
    assert (found.machine, found.training_machine) == (BOARD, TRAINER)
    assert found.best is not None
    assert found.best.topology == record.best.topology
    again = powerml.best(record.folder, price="paper")
    assert again.best is not None
    assert list(again.best.measurement.phase("training").costs) == [TRAINER]  # type: ignore[union-attr]


def test_its_report_says_which_machine_trains_and_which_runs(meter: str, tmp_path: Path) -> None:
    record = _search(meter, tmp_path, machine=f"{BOARD},xeon-x5650", training_machine=TRAINER)
    said = f"training on {TRAINER}, inference on {BOARD}"
    assert said in powerml.render_report(record.folder, "html")
    assert said in powerml.render_report(record.folder, "markdown")
    report = json.loads(powerml.render_report(record.folder, "json"))
    assert [row["name"] for row in report["machines"]] == [BOARD, "xeon-x5650"]
    assert report["reproduction"]["training_fingerprint"] is not None
    # The training is on one machine, whichever runs the inference.
    costs = [row["costs"]["training"] for row in report["machines"]]
    assert costs[0] == costs[1]


def test_the_repeating_command_names_both(meter: str, tmp_path: Path) -> None:
    stored = read_study(Path(_search(meter, tmp_path).folder))
    command = command_of(stored.settings, 3, 1)
    assert f"--machine {BOARD} --training-machine {TRAINER}" in command


def test_another_training_machine_is_another_study(meter: str, tmp_path: Path) -> None:
    _search(meter, tmp_path)
    resumed = _search(meter, tmp_path, resume=True, training_machine=TRAINER, trials=4)
    assert len(resumed.trials) == 4
    with pytest.raises(
        StudyError, match=f"training machine is {TRAINER}, not xeon-x5650"
    ) as caught:
        _search(meter, tmp_path, resume=True, training_machine="xeon-x5650")
    assert "profile" not in str(caught.value)


def test_a_study_with_one_machine_is_written_as_before(meter: str, tmp_path: Path) -> None:
    record = _search(meter, tmp_path, machine=TRAINER, training_machine=TRAINER, trials=1)
    assert record.settings.training_machine is None
    assert record.settings.other_training_machines == ()
    assert options_of(record.settings).training_machine is None


def test_the_machine_of_each_phase_in_the_objective() -> None:
    one = make_settings(machine="a", other_machines=("b",))
    assert one.machines_of() == {"training": "a", "inference": "a"}
    assert one.machines_of("b") == {"training": "b", "inference": "b"}
    apart = make_settings(
        machine="a",
        other_machines=("b", "c"),
        training_machine="d",
        other_training_machines=("c",),
    )
    assert apart.machines_of() == {"training": "d", "inference": "a"}
    assert apart.machines_of("b") == {"training": "d", "inference": "b"}
    assert apart.machines_of("c") == {"training": "c", "inference": "c"}
    assert apart.machines == ("a", "b", "c", "d")
