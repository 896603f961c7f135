"""A reproduction from end to end: real training, counts by a formula."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.errors import StudyError
from powerml.machines import Machine
from powerml.paper.outcomes import read_outcome
from powerml.paper.plan import PlannedStudy, make_plan
from powerml.paper.reproduce import ReproductionListener
from powerml.paper.reproduction import Reproduction
from tests.doubles import FormulaMeter
from tests.paper.outcomes import make_outcome

# What several tests share is made once, and not in every process.
pytestmark = pytest.mark.xdist_group("reproduction")

NAMES = {f"{way}-dffr-{setting}-seed0" for way in ("paper", "right", "bare") for setting in (1, 3)}


def _reproduce(out: Path, meter: FormulaMeter, **options: Any) -> Reproduction:
    wanted: dict[str, Any] = {"setting": (1, 3), "space": ("dffr",), "trials": 2}
    return powerml.reproduce(**{**wanted, **options}, out=out, meter=meter)


@pytest.fixture(scope="module")
def made(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reproduction]:
    out = tmp_path_factory.mktemp("reproduction")
    return out, _reproduce(out, FormulaMeter(machine))


def test_every_study_is_an_ordinary_folder(made: tuple[Path, Reproduction]) -> None:
    out, _ = made
    assert {path.name for path in (out / "studies").iterdir()} == NAMES
    for name in NAMES:
        assert powerml.best(out / "studies" / name).trials == 2


def test_what_was_found_is_what_the_studies_hold(made: tuple[Path, Reproduction]) -> None:
    out, found = made
    assert [(row.way, row.setting) for row in found.results] == [
        (way, setting) for way in ("paper", "right", "bare") for setting in (1, 3)
    ]
    best = powerml.best(out / "studies" / "bare-dffr-3-seed0").best
    assert best is not None
    row = next(row for row in found.results if (row.way, row.setting) == ("bare", 3))
    assert row.training_cost_of_reference.median == best.cost_ratios["training"]


def test_the_same_again_measures_nothing_and_finds_the_same(
    made: tuple[Path, Reproduction], machine: Machine
) -> None:
    out, found = made
    again = FormulaMeter(machine)
    assert _reproduce(out, again) == found
    assert again.measured == []


def test_a_part_of_it_is_read_too(made: tuple[Path, Reproduction], machine: Machine) -> None:
    part = _reproduce(made[0], FormulaMeter(machine), setting=(3,), figure=(4,))
    assert (part.settings, part.results, part.deviations) == ([3], [], [])
    assert {row.setting for row in part.architectures} == {3}


def test_an_interrupted_study_is_gone_on_with(
    made: tuple[Path, Reproduction], machine: Machine, tmp_path: Path
) -> None:
    class Interrupted(FormulaMeter):
        def measure(self, *asked):  # type: ignore[no-untyped-def]
            if len(self.measured) == 3:
                raise KeyboardInterrupt
            return super().measure(*asked)

    class Heard(ReproductionListener):
        def reproduction_opened(self, out, finished, to_do):  # type: ignore[no-untyped-def]
            self.finished: list[PlannedStudy] = list(finished)

    options: dict[str, Any] = {"setting": (3,), "trials": 2}
    with pytest.raises(KeyboardInterrupt):
        _reproduce(tmp_path, Interrupted(machine), **options)
    assert [path.name for path in (tmp_path / "outcomes").iterdir()] == ["paper-dffr-3-seed0.json"]
    heard = Heard()
    whole = _reproduce(tmp_path, FormulaMeter(machine), **options, listener=heard)
    assert [study.name for study in heard.finished] == ["paper-dffr-3-seed0"]
    assert whole.architectures == [row for row in made[1].architectures if row.setting == 3]


def test_studies_that_were_not_counted_alike_are_not_put_side_by_side(
    made: tuple[Path, Reproduction], machine: Machine
) -> None:
    out, _ = made
    path = out / "outcomes" / "bare-dffr-3-seed0.json"
    kept = path.read_text(encoding="utf-8")
    try:
        path.write_text(kept.replace('"powerml": "test"', '"powerml": "other"'), encoding="utf-8")
        with pytest.raises(StudyError, match="again give another --out"):
            _reproduce(out, FormulaMeter(machine))
    finally:
        path.write_text(kept, encoding="utf-8")


PLANNED = make_plan((1,), ("dffr",), (), 1, 2).studies[-1]


def _damaged(**fields: Any) -> str:
    outcome = make_outcome(PLANNED)
    return json.dumps({**json.loads(outcome.model_dump_json(by_alias=True)), **fields})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\x00",
        '{"schema": "powerml.outcome/9"}',
        _damaged(seed=1),
        _damaged(trials=[]),
        _damaged(best=7),
        _damaged(test_score=math.nan),
    ],
)
def test_what_cannot_be_read_is_made_again_from_the_study(
    made: tuple[Path, Reproduction], machine: Machine, content: str
) -> None:
    out, found = made
    path = out / "outcomes" / "bare-dffr-1-seed0.json"
    path.write_text(content, encoding="utf-8")

    class Heard(ReproductionListener):
        def outcome_passed_over(self, path: Path) -> None:
            self.passed_over = path

    again, heard = FormulaMeter(machine), Heard()
    assert _reproduce(out, again, listener=heard).results == found.results
    assert again.measured == []
    assert heard.passed_over == path


def test_what_is_not_damaged_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(_damaged(), encoding="utf-8")
    assert read_outcome(path, PLANNED) == make_outcome(PLANNED)


def test_advice_is_of_options_that_there_are(tmp_path: Path, machine: Machine) -> None:
    journal = tmp_path / "studies" / "paper-dffr-3-seed0" / "study.journal"
    journal.parent.mkdir(parents=True)
    journal.write_text("no journal\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"give another --out$"):
        _reproduce(tmp_path, FormulaMeter(machine), setting=(3,), trials=2)
