"""The commands that tell what a study has found, and the report that a search ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import powerml
from powerml.cli.console import study_progress
from powerml.cli.report import report_line
from powerml.machines import Machine
from powerml.meters import catalogue
from tests.doubles import FormulaMeter, Run
from tests.profiles import make_profile
from tests.stored_studies import save_study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return save_study(tmp_path / "s")


# The default trains for dozens of epochs.
QUICK = ("--space", "dffr", "--objective", "squared", "--epochs", "2")


def test_a_page_lies_in_the_studys_folder_or_where_it_is_wanted(
    run: Run, study: Path, tmp_path: Path
) -> None:
    code, out, _ = run("report", str(study))
    assert (code, out) == (0, f"report in {study / 'report.html'}\n")
    code, out, _ = run("report", str(study), "--out", str(tmp_path / "other.html"))
    assert (study / "report.html").read_bytes() == (tmp_path / "other.html").read_bytes()


@pytest.mark.parametrize("form", ["markdown", "csv", "json"])
def test_text_goes_to_standard_output_or_into_a_file(
    run: Run, study: Path, tmp_path: Path, form: str
) -> None:
    code, out, err = run("report", str(study), "--format", form)
    assert (code, out, err) == (0, powerml.render_report(study, form), "")
    run("report", str(study), "--format", form, "--out", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text(encoding="utf-8") == out
    assert not (study / "report.html").exists()


def test_what_is_no_study_is_one_line(run: Run, tmp_path: Path) -> None:
    for command in ("report", "dashboard"):
        code, _, err = run(command, str(tmp_path))
        assert code in (1, 2)
        assert len(err.splitlines()) == 1
    assert run("report", str(tmp_path), "--format", "pdf")[0] == 2


def test_a_search_ends_with_its_report(
    run: Run, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "make_meter", lambda *_: FormulaMeter(machine))
    monkeypatch.setattr("powerml.explain.profile.profile", lambda *_, **__: make_profile())
    command = ["optimize", *QUICK, "--trials", "1", "--jobs", "1", "--out", str(tmp_path)]
    code, out, _ = run(*command, "--study", "s")
    page = tmp_path / "s" / "report.html"
    assert code == 0
    said = [line.split(maxsplit=1) for line in out.splitlines() if line.split()]
    assert [words[0] for words in said[-3:]] == ["model", "report", "repeat"]
    assert said[-2][1].strip() == str(page)
    assert said[-1][1].startswith("powerml optimize --space dffr --data digits --objective squared")
    assert (
        "like the reference" in out.splitlines()[0] or "than the reference" in out.splitlines()[0]
    )
    shown = powerml.render_report(tmp_path / "s")
    assert page.read_text(encoding="utf-8") == shown
    assert "on the test split" in shown
    assert "One inference takes 100 kcycles" in shown

    def fail(_study: object) -> Path:
        raise RuntimeError("no such\nthing")

    monkeypatch.setattr(powerml, "write_report", fail)
    code, out, err = run(*command, "--study", "t", "--json")
    assert code == 0
    assert json.loads(out)["best"]["number"] == 1
    assert err.endswith("powerml: the report was not written: no such thing\n")


def test_a_search_that_is_stopped_leaves_a_report(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped() -> None:
        with study_progress() as progress:
            progress.study_opened(study, 5, 9)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert f"powerml: report in {study / 'report.html'}" in capsys.readouterr().err


def test_whatever_goes_wrong_with_a_report_is_one_line(tmp_path: Path) -> None:
    assert report_line(tmp_path).startswith("the report was not written: there is no study in")
