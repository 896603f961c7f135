"""The study folder: nothing measured is lost, nothing is done twice, nobody is let in twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from optuna.distributions import IntDistribution

from powerml.errors import StudyError
from powerml.samplers import make_sampler
from powerml.studies.folder import Study, open_study
from powerml.studies.limits import make_limits
from powerml.studies.reader import BEST, JOURNAL, LOCK
from powerml.studies.records import Complete, Failed, TrialRecord
from tests.builders import make_settings

SPACE = {"layers": IntDistribution(1, 10), "batch_size": IntDistribution(2, 128)}


def do_trial(study: Study, objective: float | None = 0.5) -> dict[str, int]:
    number = len(study.trials) + 1
    trial, parameters = study.ask(SPACE, make_sampler("tpe", 3, 0, number - 1))
    study.tell(trial, record(number, objective))
    return parameters


def record(number: int, objective: float | None) -> TrialRecord:
    state = Complete() if objective is not None else Failed(reason="crashed")
    return TrialRecord(
        number=number,
        topology="dffr:layers=1,width=1",
        batch_size=2,
        state=state,
        objective=objective,
    )


def test_trials_are_there_again_when_the_study_is_opened_again(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study, 0.5)
        do_trial(study, None)
        do_trial(study, -0.5)
    with open_study(tmp_path / "s", make_settings(), resume=True) as study:
        assert [trial.objective for trial in study.trials] == [0.5, None, -0.5]
        assert study.trials[1].state == Failed(reason="crashed")


def test_a_trial_that_was_running_is_asked_again_with_the_same_parameters(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
        _, interrupted = study.ask(SPACE, make_sampler("tpe", 3, 0, 1))
    with open_study(tmp_path / "s", make_settings(), resume=True) as study:
        assert do_trial(study) == interrupted
        assert [trial.number for trial in study.trials] == [1, 2]


def test_a_trial_that_was_measured_but_not_told_is_not_done_again(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
        trial, _ = study.ask(SPACE, make_sampler("tpe", 3, 0, 1))
        trial.set_user_attr("record", record(2, -1.0).model_dump(mode="json"))
    with open_study(tmp_path / "s", make_settings(), resume=True) as study:
        assert [trial.objective for trial in study.trials] == [0.5, -1.0]


def test_an_interrupted_study_proposes_what_it_would_have_proposed(tmp_path: Path) -> None:
    with open_study(tmp_path / "whole", make_settings(), resume=False) as study:
        whole = [do_trial(study, number / 10) for number in range(8)]
    with open_study(tmp_path / "parts", make_settings(), resume=False) as study:
        parts = [do_trial(study, number / 10) for number in range(3)]
        study.ask(SPACE, make_sampler("tpe", 3, 0, 3))
    with open_study(tmp_path / "parts", make_settings(), resume=True) as study:
        parts += [do_trial(study, number / 10) for number in range(3, 8)]
    assert whole == parts


@pytest.mark.parametrize("call", ["open", "fsync", "rename", "unlink"])
def test_ctrl_c_at_any_call_of_the_journal_is_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    system_call = getattr(os, call)

    def interrupted(*arguments: object, **named: object) -> object:
        signal.raise_signal(signal.SIGINT)
        done = system_call(*arguments, **named)
        signal.raise_signal(signal.SIGINT)
        return done

    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        monkeypatch.setattr(os, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            do_trial(study)
        monkeypatch.undo()
        # The lock of the journal is free, and the study goes on.
        do_trial(study)
    with open_study(tmp_path / "s", make_settings(), resume=True) as study:
        assert len(study.trials) == 1


@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_ctrl_c_while_a_study_is_opened_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    system_call = getattr(os, call)

    def interrupted(*arguments: object, **named: object) -> object:
        monkeypatch.undo()
        done = system_call(*arguments, **named)
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(os, call, interrupted)
    with (
        pytest.raises(KeyboardInterrupt),
        open_study(tmp_path / "s", make_settings(), resume=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_line_that_was_not_finished_is_dropped(tmp_path: Path, cut: int) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
        do_trial(study)
    journal = tmp_path / "s" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-cut])
    with open_study(tmp_path / "s", make_settings(), resume=True) as study:
        assert len(study.trials) == 2  # measured, if not told: the record comes first
        do_trial(study)
    with open_study(tmp_path / "s", make_settings(), resume=True) as study:
        assert len(study.trials) == 3


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
    with (
        pytest.raises(StudyError, match=r"alpha is 0.5, not 0.7.*epochs is 2, not 3"),
        open_study(tmp_path / "s", make_settings(alpha=0.7, epochs=3), resume=True),
    ):
        pass


def test_a_study_in_use_is_refused(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
    holder = (
        f"from filelock import FileLock; lock = FileLock({str(tmp_path / 's' / LOCK)!r}); "
        "lock.acquire(); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(StudyError, match="in use by another process"),
            open_study(tmp_path / "s", make_settings(), resume=True),
        ):
            pass
        process.kill()
    with FileLock(tmp_path / "s" / LOCK, timeout=0):
        pass


def test_an_existing_study_is_not_overwritten(tmp_path: Path) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
    with (
        pytest.raises(StudyError, match="add --resume"),
        open_study(tmp_path / "s", make_settings(), resume=False),
    ):
        pass


def test_nothing_to_resume_is_said_and_nothing_made(tmp_path: Path) -> None:
    with (
        pytest.raises(StudyError, match=r"no study in .* to resume"),
        open_study(tmp_path / "s", make_settings(), resume=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_in_which_nothing_was_measured_is_removed(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        open_study(tmp_path / "s", make_settings(), resume=False),
    ):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with (
        pytest.raises(KeyboardInterrupt),
        open_study(tmp_path, make_settings(), resume=False),
    ):
        raise KeyboardInterrupt
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(StudyError, match=r"cannot be written to \(Not a directory\)"),
        open_study(tmp_path / "file" / "s", make_settings(), resume=False),
    ):
        pass


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("this is no journal\n", encoding="utf-8")
    with (
        pytest.raises(StudyError, match=r"is damaged \(line 1 is no JSON\): give another --study"),
        open_study(tmp_path, make_settings(), resume=True),
    ):
        pass


def test_best_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    def save(folder: Path) -> None:
        (folder / "model.keras").write_text("first", encoding="utf-8")

    def fail(folder: Path) -> None:
        (folder / "model.keras").write_text("half", encoding="utf-8")
        raise OSError("disk full")

    first, second = record(1, 0.5), record(2, 0.1)
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        study.save_best([first], [first], first, save)
        with pytest.raises(OSError, match="disk full"):
            study.save_best([second], [second], second, fail)
        assert study.holds(first)
        content = (tmp_path / "s" / BEST / "model.keras").read_text(encoding="utf-8")
        assert content == "first"
        assert not list((tmp_path / "s").glob(".best-*"))
        do_trial(study)


def test_ctrl_c_while_the_best_is_replaced_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(folder: Path) -> None:
        (folder / "model.keras").write_text("a model", encoding="utf-8")

    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        signal.raise_signal(signal.SIGINT)
        return renamed

    first, second = record(1, 0.5), record(2, 0.1)
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        study.save_best([first], [first], first, save)
        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.save_best([second], [second], second, save)
        monkeypatch.undo()
        assert (tmp_path / "s" / BEST / "model.keras").exists()
        do_trial(study)


def test_models_of_contenders_wait_beside_the_best_until_they_win_or_cannot(tmp_path: Path) -> None:
    def saving(text: str) -> Callable[[Path], None]:
        def save(folder: Path) -> None:
            (folder / "model.keras").write_text(text, encoding="utf-8")

        return save

    def found() -> dict[str, str]:
        models = (tmp_path / "s").glob("**/model.keras")
        return {
            str(model.parent.relative_to(tmp_path / "s")): model.read_text(encoding="utf-8")
            for model in models
        }

    one, two, three = (
        record(number, 0.5).model_copy(update={"batch_size": number}) for number in (1, 2, 3)
    )
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        study.save_best([one], [one], one, saving("one"))
        study.save_best([one], [one, two], two, saving("two"))
        assert found() == {"best": "one", "contenders/trial-2": "two"}
        study.save_best([two], [two, three], three, saving("three"))
        assert found() == {"best": "two", "contenders/trial-3": "three"}
        assert study.holds(two)
        study.save_best([three], [three], one, saving("never"))
        assert found() == {"best": "three"}
        do_trial(study)


def test_a_front_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    def saving(text: str) -> Callable[[Path], None]:
        def save(folder: Path) -> None:
            (folder / "model.keras").write_text(text, encoding="utf-8")

        return save

    def fail(folder: Path) -> None:
        raise OSError("disk full")

    def found() -> dict[str, str]:
        models = (tmp_path / "s" / BEST).glob("*/model.keras")
        return {model.parent.name: model.read_text(encoding="utf-8") for model in models}

    one, two, three = (record(number, None) for number in (1, 2, 3))
    with open_study(tmp_path / "s", make_settings(pareto=True), resume=False) as study:
        study.save_best([one], [one], one, saving("one"))
        study.save_best([one, two], [one, two], two, saving("two"))
        assert found() == {"trial-1": "one", "trial-2": "two"}
        with pytest.raises(OSError, match="disk full"):
            study.save_best([three], [three], three, fail)
        assert found() == {"trial-1": "one", "trial-2": "two"}
        study.save_best([two, three], [two, three], three, saving("three"))
        assert found() == {"trial-2": "two", "trial-3": "three"}
        assert [study.holds(trial) for trial in (one, two, three)] == [False, True, True]
        do_trial(study)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"alpha": 0.2}, "alpha is 0.5, not 0.2"),
        (
            {"other_machines": ("epyc-7601",), "profiles_digest": "q" * 64},
            "machine is xeon-x5650, not xeon-x5650,epyc-7601:",
        ),
        ({"profiles_digest": "q" * 64}, "a machine's profile holds other numbers now"),
        ({"pareto": True}, "pareto is False, not True"),
        ({"limits": make_limits("0.8x")}, "max_training_cost is none, not 0.8 x"),
    ],
)
def test_a_study_with_other_settings_says_which(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
    with (
        pytest.raises(StudyError) as caught,
        open_study(tmp_path / "s", make_settings(**change), resume=True),
    ):
        pass
    assert told in str(caught.value)
    assert "digest" not in str(caught.value)


def refusal(tmp_path: Path, **changed: object) -> str:
    with open_study(tmp_path / "s", make_settings(), resume=False) as study:
        do_trial(study)
    with (
        pytest.raises(StudyError, match="has other settings") as caught,
        open_study(tmp_path / "s", make_settings(**changed), resume=True),
    ):
        pass
    return str(caught.value).removeprefix(f"the study in {tmp_path / 's'} has other settings: ")


def test_another_space_and_other_data_are_told_by_their_names_alone(tmp_path: Path) -> None:
    said = refusal(
        tmp_path, space="cnn", space_digest="a" * 64, data="digits", data_digest="e" * 64
    )
    assert said == (
        "space is dffr, not cnn; data is mnist_small, not digits: give the same, or another --study"
    )


def test_data_of_the_same_name_with_another_content_are_told_in_words(tmp_path: Path) -> None:
    said = refusal(tmp_path, data_digest="e" * 64)
    assert said == "the content of mnist_small differs: give the same, or another --study"


def test_many_other_settings_leave_room_for_the_advice(tmp_path: Path) -> None:
    reference = "mynet:" + ",".join(f"width_{number}=16" for number in range(30))
    said = refusal(
        tmp_path, space="cnn", data="digits", seed=7, epochs=99, alpha=0.25, reference=reference
    )
    assert said.endswith(" more: give the same, or another --study")
    assert "space is dffr, not cnn; data is mnist_small, not digits" in said
    assert len(said) < 250  # of 300, that the folder is named too
