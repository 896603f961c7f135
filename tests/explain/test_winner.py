"""The profile of a study's best: made once, kept beside its models, and never in the way."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.explain.profile_record import Profile
from powerml.explain.winner import profile_winner, winner_profile
from powerml.report.account import report_of
from powerml.studies.reader import read_study
from powerml.workloads.workload import Deployment
from tests.doubles import Run
from tests.profiles import make_inference, make_profile, make_training
from tests.stored_studies import make_trials, save_study

DEPLOYMENT = Deployment(runtime="onnxruntime", batch_size=1, inferences=4)
BEST = make_trials()[1]


def study_with_models(folder: Path, **settings: Any) -> Path:
    """A finished study whose best's models lie in their place."""
    study = save_study(folder, price="core", deployment=DEPLOYMENT, **settings)
    (study / "best").mkdir()
    (study / "best" / "trial.json").write_text(BEST.model_dump_json(by_alias=True), "utf-8")
    (study / "best" / "model.onnx").write_bytes(b"weights")
    return study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return study_with_models(tmp_path / "s")


@pytest.fixture
def profiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Any]]:
    """The models and options that were profiled; each is answered at once."""
    found: list[tuple[Path, Any]] = []

    def answer(model: Path, *, options: powerml.MeasureOptions, notify: Any) -> Profile:
        found.append((model, options))
        return make_profile(title=str(model), phases=[make_inference(runs=4)])

    monkeypatch.setattr("powerml.explain.profile.profile", answer)
    return found


def test_the_deployed_model_is_profiled_as_the_study_measured_it(
    study: Path, profiled: list[tuple[Path, Any]]
) -> None:
    options = powerml.SearchOptions(cache=False, warm=True)
    assert profile_winner(study, options) == study / "best" / "profile.json"
    [(model, asked)] = profiled
    assert model == study / "best" / "model.onnx"
    assert (asked.machine, asked.price, asked.levels) == ("xeon-x5650", "core", 2)
    assert (asked.inference_batch, asked.inferences) == (1, 4)
    assert (asked.cache, asked.warm) == (False, True)
    kept = winner_profile(read_study(study))
    assert kept is not None
    assert kept.profile == make_profile(title=str(model), phases=[make_inference(runs=4)])


def test_it_is_profiled_once(study: Path, profiled: list[tuple[Path, Any]]) -> None:
    options = powerml.SearchOptions()
    profile_winner(study, options)
    assert profile_winner(study, options) is None
    assert len(profiled) == 1


@pytest.mark.parametrize("meter", ["callgrind", "replay:records"])
def test_a_study_of_another_meter_is_not_profiled(
    study: Path, profiled: list[tuple[Path, Any]], meter: str
) -> None:
    assert profile_winner(study, powerml.SearchOptions(meter=meter)) is None
    assert profiled == []


def test_a_study_without_models_or_without_a_best_is_not_profiled(
    tmp_path: Path, profiled: list[tuple[Path, Any]]
) -> None:
    options = powerml.SearchOptions()
    assert profile_winner(save_study(tmp_path / "bare"), options) is None
    assert profile_winner(save_study(tmp_path / "front", pareto=True), options) is None
    assert profiled == []
    assert report_of(read_study(tmp_path / "front")).nodes is None


def test_the_report_draws_the_nodes_of_one_inference(
    study: Path, profiled: list[tuple[Path, Any]]
) -> None:
    profile_winner(study, powerml.SearchOptions())
    stored = read_study(study)
    nodes = report_of(stored, winner_profile(stored)).nodes
    assert nodes is not None
    assert (nodes.machine, nodes.price, nodes.cycles) == ("epyc-7763", "core", 25_000)
    assert [(row.name, row.kind, row.cycles, row.share) for row in nodes.rows[:2]] == [
        ("conv1", "FusedConv", 15_000, 0.6),
        ("/block/MatMul_quant", "MatMul", 5_000, 0.2),
    ]
    assert sum(row.cycles for row in nodes.rows) == nodes.cycles
    page = powerml.render_report(study)
    assert "One inference takes 25 kcycles on epyc-7763 by the price core." in page
    assert "softmax &lt;1&gt; &amp; co" in page
    assert '<span style="width: 100.0%"></span>' in page


def test_a_study_that_was_not_profiled_says_so_and_names_the_command(study: Path) -> None:
    page = powerml.render_report(study)
    assert "It was not profiled." in page
    assert "this command does it:" in page
    told = winner_profile(read_study(study))
    assert told is not None
    assert told.command is not None
    words, _, target = told.command.partition(" > ")
    assert target == "best/profile.json"
    assert shlex.split(words)[:3] == ["powerml", "profile", "best/model.onnx"]
    assert "--machine xeon-x5650 --price core" in words


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("profile.json", "best/profile.json cannot be read."),
        ("trial.json", "Its models are not in the folder of the study."),
    ],
)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(study: Path, name: str, told: str) -> None:
    (study / "best" / name).unlink(missing_ok=True)
    os.mkfifo(study / "best" / name)
    assert told in powerml.render_report(study)


def test_a_record_of_the_best_that_is_no_text_is_none(study: Path) -> None:
    (study / "best" / "trial.json").write_bytes(b"\xff")
    assert "Its models are not in the folder of the study." in powerml.render_report(study)


@pytest.mark.parametrize("content", ["", "{}", "[1", "\udcff"])
def test_a_damaged_profile_is_told_and_made_again(
    study: Path, profiled: list[tuple[Path, Any]], content: str
) -> None:
    (study / "best" / "profile.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert "best/profile.json cannot be read." in powerml.render_report(study)
    assert profile_winner(study, powerml.SearchOptions()) is not None
    assert "cannot be read" not in powerml.render_report(study)


def test_an_older_study_without_models_is_still_reported(tmp_path: Path) -> None:
    page = powerml.render_report(save_study(tmp_path / "s"))
    assert "Its models are not in the folder of the study." in page


def test_a_profile_without_an_inference_is_told(study: Path) -> None:
    text = make_profile(phases=[make_training()]).to_json()
    (study / "best" / "profile.json").write_text(text, encoding="utf-8")
    assert "Its profile tells no nodes." in powerml.render_report(study)


def test_a_command_that_cannot_profile_its_best_still_reports_it(
    study: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def search(*given: object, **options: object) -> Any:
        return type("Record", (), {"folder": str(study)})()

    def fail(*given: object, **options: object) -> Profile:
        raise powerml.SetupError("valgrind is not installed: apt-get install valgrind")

    monkeypatch.setattr(powerml, "optimize", search, raising=False)
    monkeypatch.setattr("powerml.explain.profile.profile", fail)
    code, out, err = run("optimize", "--space", "dffr")
    assert code == 0
    assert "the best was not profiled: valgrind is not installed" in err
    assert "report.html" in out
