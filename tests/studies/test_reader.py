"""Reading a study's folder: whatever is in it, and nothing of it changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from optuna.distributions import IntDistribution

from powerml.errors import StudyError
from powerml.samplers import make_sampler
from powerml.studies.folder import Study, open_study
from powerml.studies.reader import JOURNAL, is_of_study, read_study
from powerml.studies.records import Complete, Failed, RunRecord, TrialRecord, Winner
from tests.builders import make_failed_trial, make_measurement, make_settings, make_trial

SPACE = {"layers": IntDistribution(1, 10), "batch_size": IntDistribution(2, 128)}


def tell(study: Study, record: TrialRecord) -> None:
    trial, _ = study.ask(SPACE, make_sampler("random", 3, 0, record.number))
    study.tell(trial, record)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of one trial that succeeded and one that failed."""
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        study.reference = make_measurement()
        tell(study, make_trial())
        tell(study, make_failed_trial("crashed", number=2))
    return tmp_path / "s"


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_settings_reference_and_trials_are_read(folder: Path) -> None:
    stored = read_study(folder)
    assert stored.settings == make_settings()
    assert stored.reference == stored.unit == make_measurement()
    assert [trial.state for trial in stored.trials] == [Complete(), Failed(reason="crashed")]


def test_a_study_that_is_running_can_be_read_and_is_left_as_it_is(folder: Path) -> None:
    with open_study(folder, make_settings(), resume=True) as study:
        trial, _ = study.ask(SPACE, make_sampler("random", 3, 0, 3))
        trial.set_user_attr("record", make_trial(number=3).model_dump(mode="json", by_alias=True))
        study.ask(SPACE, make_sampler("random", 3, 0, 4))
        before = _content(folder)
        assert [trial.number for trial in read_study(folder).trials] == [1, 2, 3]
        assert _content(folder) == before


def test_a_line_that_is_being_written_is_left_out_and_left_alone(folder: Path) -> None:
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker_id"')
    before = _content(folder)
    assert len(read_study(folder).trials) == 2
    assert _content(folder) == before


def test_parameters_that_were_not_recorded_are_counted(folder: Path) -> None:
    assert make_trial().parameters is None
    # 784 inputs to 16 units, 16 to 16, 16 to 2 classes, each with its biases
    assert read_study(folder).trials[0].parameters == 785 * 16 + 17 * 16 + 17 * 2
    assert read_study(folder).trials[1].parameters is None


def test_a_study_of_the_time_before_there_were_choices_can_be_read(folder: Path) -> None:
    journal = folder / JOURNAL
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        for name in ("objective", "limits", "pareto", "sampler"):
            line.get("user_attr", {}).get("settings", {}).pop(name, None)
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    settings = read_study(folder).settings
    assert (settings.objective, settings.sampler, settings.pareto) == ("squared", "tpe", False)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no study in .*: give the folder that holds study.journal"),
        ("this is no journal\n", r"is damaged \(line 1 is no JSON\): give another study"),
        ("this has no end", "is damaged, or not of this version of powerML"),
        ("", "is damaged, or not of this version of powerML"),
    ],
)
def test_what_is_no_study_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    if content is not None:
        (tmp_path / JOURNAL).write_text(content, encoding="utf-8")
    with pytest.raises(StudyError, match=told):
        read_study(tmp_path)


def test_a_line_that_is_nested_too_deeply_is_named(folder: Path) -> None:
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write('{"op_code":' + "[" * 100_000 + "\n")
    with pytest.raises(StudyError, match=r"line \d+ is no JSON"):
        read_study(folder)


def test_a_study_goes_on_from_before_its_damaged_line(folder: Path) -> None:
    journal = folder / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    damaged_at = len(lines) - 1
    journal.write_bytes(b"".join([*lines[: damaged_at - 1], b"\xff\x00{\n", *lines[damaged_at:]]))
    told = rf"\(line {damaged_at} is no JSON\): delete that line and all after it, or give another"
    with pytest.raises(StudyError, match=f"{told} study"):
        read_study(folder)
    with (
        pytest.raises(StudyError, match=f"{told} --study"),
        open_study(folder, make_settings(), resume=True),
    ):
        pass
    journal.write_bytes(b"".join(lines[: damaged_at - 1]))
    kept = [one.topology for one in read_study(folder).trials]
    assert kept
    with open_study(folder, make_settings(), resume=True) as study:
        assert [one.topology for one in study.trials] == kept


@pytest.mark.parametrize(
    "line",
    [
        '{"op_code":99,"worker_id":"0"}',
        '{"op_code":0,"worker_id":"0","study_name":"powerml","directions":[1e999]}',
        '{"op_code":0,"worker_id":"0","study_name":"powerml","directions":[[[1]]]}',
    ],
)
def test_a_damaged_line_makes_a_study_unreadable_and_harms_nothing(folder: Path, line: str) -> None:
    journal = folder / JOURNAL
    content = journal.read_text(encoding="utf-8")
    journal.write_text(f"{content}{line}\n", encoding="utf-8")
    with pytest.raises(StudyError, match="is damaged, or not of this version of powerML"):
        read_study(folder)
    with (
        pytest.raises(StudyError, match="is damaged, or not of this version of powerML"),
        open_study(folder, make_settings(), resume=True),
    ):
        pass
    assert journal.read_text(encoding="utf-8") == f"{content}{line}\n"


@pytest.mark.parametrize("changed", ["machine", "training_machine"])
def test_a_study_whose_measurements_lack_one_of_its_machines_is_damaged(
    folder: Path, changed: str
) -> None:
    journal = folder / JOURNAL
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        if "settings" in line.get("user_attr", {}):
            line["user_attr"]["settings"][changed] = " "
    journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    with pytest.raises(StudyError, match="is damaged, or not of this version of powerML"):
        read_study(folder)


def test_a_link_that_leads_in_a_circle_is_no_part_of_a_study(folder: Path) -> None:
    link = folder.parent / "report.html"
    link.symlink_to(link.name)
    assert not is_of_study(link, folder)
    assert is_of_study(folder / JOURNAL, folder)


def test_a_name_alone_is_told_where_its_study_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "powerml-studies" / "mine"
    place.mkdir(parents=True)
    (place / JOURNAL).touch()
    with pytest.raises(StudyError, match=r"no study in mine: give powerml-studies/mine$"):
        read_study(Path("mine"))


def test_how_each_run_went_about_it_and_what_winners_proved_are_kept(folder: Path) -> None:
    assert (read_study(folder).runs, read_study(folder).winners) == ([], [])
    winner = Winner(trial=make_trial(), test_score=0.5, exported="best/model.onnx")
    runs = [RunRecord(jobs=2, trials=3), RunRecord(jobs=1, trials=9)]
    with open_study(folder, make_settings(), resume=True) as study:
        for run in runs:
            study.begin_run(run)
        for test_score in (0.5, 0.6):
            study.keep_winner(winner.model_copy(update={"test_score": test_score}))
    stored = read_study(folder)
    assert stored.runs == runs
    assert stored.winners == [winner.model_copy(update={"test_score": 0.6})]
