"""The command that reproduces the paper: what it writes, how it is stopped, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import powerml
from powerml.paper.plan import make_plan
from powerml.paper.reproduce import ReproductionListener
from powerml.paper.reproduction import Reproduction
from tests.doubles import Run
from tests.paper.outcomes import make_reproduction


def test_reproduce_writes_a_page_and_says_where(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan = make_plan((3,), ("dffr",), (), seeds=1)
    asked: list[powerml.ReproduceOptions] = []

    def reproduce(*, options: powerml.ReproduceOptions, **_: object) -> Reproduction:
        asked.append(options)
        return make_reproduction(plan)

    monkeypatch.setattr(powerml, "reproduce", reproduce, raising=False)
    arguments = ("reproduce", "--setting", "3", "--space", "dffr", "--out", str(tmp_path))
    code, out, _ = run(*arguments)
    assert (code, asked[0].setting, asked[0].space) == (0, [3], ["dffr"])
    assert f"page: {tmp_path / 'reproduction.html'}" in out
    assert "0.99 (0.99)" in out
    assert str(tmp_path) in (tmp_path / "reproduction.html").read_text(encoding="utf-8")
    _, out, _ = run(*arguments, "--json")
    assert json.loads(out)["schema"] == "powerml.reproduction/2"


def test_a_stopped_reproduction_goes_on_with_the_same_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    studies = make_plan((3,), ("dffr",), (), seeds=1).studies

    def reproduce(listener: ReproductionListener, **_: object) -> Reproduction:
        listener.reproduction_opened(tmp_path, studies[:1], studies[1:])
        raise KeyboardInterrupt

    monkeypatch.setattr(powerml, "reproduce", reproduce, raising=False)
    code, out, err = run("reproduce", "--setting", "3", "--seeds", "5")
    assert (code, out) == (130, "")
    assert "1 of 3 studies are finished" in err
    assert "with the same command: powerml reproduce --setting 3 --seeds 5" in err


def test_a_reproduction_of_which_nothing_is_kept_does_not_say_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    studies = make_plan((3,), ("dffr",), (), seeds=1).studies

    def reproduce(listener: ReproductionListener, **_: object) -> Reproduction:
        listener.reproduction_opened(tmp_path, [], studies)
        raise KeyboardInterrupt

    monkeypatch.setattr(powerml, "reproduce", reproduce, raising=False)
    code, _, err = run("reproduce", "--setting", "3")
    assert code == 130
    assert "stopped before the first trial ended. Continue with the same command: powerml" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--setting", "7"), "setting 7 is none of the paper's"),
        (("--figure", "1"), "powerml calibrate"),
        (("--space", "cn"), "did you mean 'cnn'"),
        (("--seeds", "0"), "seeds is 0"),
    ],
)
def test_what_cannot_be_reproduced_is_refused_in_a_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run("reproduce", *arguments, "--out", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
