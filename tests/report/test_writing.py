"""Reports as text and as a page: complete, escaped, the same each time, whole or not at all."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import io
import json
import re
from pathlib import Path

import pytest

import powerml
from powerml.errors import StudyError, UnknownNameError
from powerml.memory.record import Memory
from powerml.report.account import report_of
from powerml.report.html import best_so_far, page_html, parameter_columns, plots_data
from powerml.report.quantities import cycles_text, joules_text, number_text, ratio_text
from powerml.report.sentences import limits_words
from powerml.report.text import csv_text, markdown_text
from powerml.studies.limits import make_limits
from tests.builders import make_failed_trial, make_settings, make_trial
from tests.stored_studies import make_stored, make_trials, save_study

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>'\"&|`=cmd"


class _Parsed(html.parser.HTMLParser):
    """What a browser would take for elements, and the scripts among them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag == "script":
            self.scripts.append("")
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1] += data


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return save_study(tmp_path / "s")


def test_the_page_is_the_same_each_time(study: Path) -> None:
    first = powerml.write_report(study).read_bytes()
    assert powerml.write_report(study).read_bytes() == first
    assert sorted(path.name for path in study.iterdir()) == [
        ".lock",
        "report.html",
        "study.journal",
    ]


def test_the_policy_names_the_scripts_and_allows_nothing_from_elsewhere(study: Path) -> None:
    page = _Parsed(powerml.render_report(study))
    assert "default-src 'none'" in page.policy
    data, *scripts = page.scripts
    assert json.loads(data)["trials"]
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy
    assert len(scripts) == 2
    allowed = re.findall(r"script-src ([^;]*)", page.policy)[0]
    assert "unsafe" not in allowed


def test_whatever_a_study_is_called_or_fails_with_stays_text() -> None:
    trials = [make_trial(), make_failed_trial(HOSTILE, number=2)]
    settings = {"data": HOSTILE, "machine": "xeon-x5650"}
    stored = make_stored(trials, folder=Path("x") / HOSTILE.replace("/", ""), settings=settings)
    hostile, tame = page_html(report_of(stored)), page_html(report_of(make_stored(trials[:1])))
    assert "<img" not in hostile
    scripts = [_Parsed(page).tags.count("script") for page in (hostile, tame)]
    assert scripts == [3, 3]
    assert json.loads(_Parsed(hostile).scripts[0])["trials"][1]["remark"] == HOSTILE


def test_csv_has_a_line_for_each_trial(study: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(powerml.render_report(study, "csv"))))
    assert [line["outcome"] for line in lines] == [
        "complete",
        "best",
        "complete",
        "pruned",
        "failed",
    ]
    assert float(lines[1]["training_cost_cycles"]) == 2.5e6
    assert lines[1]["test_score"] == "0.97"
    assert lines[4]["score"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_spreadsheet_computes_what_a_trial_failed_with(start: str) -> None:
    stored = make_stored([make_failed_trial(f'{start}HYPERLINK("x"),\n"y"')])
    [line] = csv.DictReader(io.StringIO(csv_text(report_of(stored))))
    assert line["remark"].startswith(f"'{start}HYPERLINK")


def test_markdown_keeps_its_table_whatever_a_trial_failed_with() -> None:
    stored = make_stored([make_trial(), make_failed_trial("a|b\n<b>`c` [d](e)", number=2)])
    text = markdown_text(report_of(stored))
    assert "failed: a\\|b \\<b\\>\\`c\\` \\[d\\](e) |" in text
    assert "**dffr:layers=2,width=16 batch 32 scores 0.980" in text
    assert "powerml optimize --space dffr" in text


def test_json_is_the_findings(study: Path) -> None:
    found = json.loads(powerml.render_report(study, "json"))
    assert found["schema"] == "powerml.report/2"
    assert found["best"] == 2


def test_an_objective_that_no_cost_could_have_is_off_the_scale() -> None:
    trials = [make_trial(number=1, score=0.5), make_trial(number=2)]
    settings = {"objective": "constrained", "limits": make_limits(min_score=0.9)}
    plots = plots_data(report_of(make_stored(trials, settings=settings)))
    first, second = (trial["objective"] for trial in plots["trials"])
    assert first is None
    # (0.5 x 0.75 + 0.05 x 1.25) / 0.55
    assert second == pytest.approx(0.795, abs=0.001)


def test_the_best_so_far_leaves_out_what_is_not_comparable() -> None:
    rows = report_of(make_stored(make_trials())).rows
    first, best = rows[0].objective, rows[1].objective
    assert first is not None
    assert best is not None
    assert first > best
    assert best_so_far(rows) == [first, best, best, best, best]
    assert best_so_far(rows[3:]) == [None, None]


def test_quantities_carry_their_units() -> None:
    assert cycles_text(174_905_354.56) == "175 Mcycles"
    assert cycles_text(999_999.0) == "1 Mcycles"
    assert cycles_text(12.0) == "12 cycles"
    assert joules_text(9.36e-7) == "936 nJ"
    assert joules_text(2.5) == "2.5 J"
    assert cycles_text(0.0) == "0 cycles"
    assert [number_text(None), ratio_text(None), cycles_text(None), joules_text(None)] == ["-"] * 4


def test_winners_are_described_with_their_memory(tmp_path: Path) -> None:
    memory = Memory(weights_bytes=51488, activations_bytes=6288, file_bytes=53801)
    trials = [trial.model_copy(update={"memory": memory}) for trial in make_trials()]
    study = save_study(tmp_path / "s", trials)
    said = "memory 56.42 KiB (weights 50.28 KiB, activations 6.141 KiB), file 52.54 KiB"
    assert f"; {said}." in powerml.render_report(study, "markdown")
    page = powerml.render_report(study, "html")
    assert "<dd>56.42 KiB</dd>" in page
    assert 'data-value="57776"' in page
    [first, *_] = csv.DictReader(io.StringIO(powerml.render_report(study, "csv")))
    assert (first["memory_bytes"], first["file_bytes"]) == ("57776", "53801")


def test_limits_of_memory_are_part_of_what_is_sought() -> None:
    limits = make_limits(max_memory="1.5MiB", max_file_size="64KB")
    said = limits_words(make_settings(limits=limits))
    assert said == ", with a memory of at most 1.5 MiB and a file of at most 62.5 KiB"


def test_a_format_that_does_not_exist_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown format 'htm': did you mean 'html'"):
        powerml.render_report(tmp_path / "nowhere", "htm")


def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(study: Path) -> None:
    target = study / "folder"
    target.mkdir()
    with pytest.raises(StudyError, match=r"folder cannot be written .*give another file"):
        powerml.write_report(study, target)
    assert not list(study.glob(".report-*"))
    with pytest.raises(StudyError, match="cannot be written"):
        powerml.write_report(study, study / "nowhere" / "r.html")


@pytest.mark.parametrize("name", ["study.journal", ".lock", "best", "best/trial.json"])
def test_a_report_never_replaces_what_a_study_consists_of(study: Path, name: str) -> None:
    journal = (study / "study.journal").read_bytes()
    with pytest.raises(StudyError, match="is part of the study: give another file"):
        powerml.write_report(study, study / "." / name, "csv")
    assert (study / "study.journal").read_bytes() == journal
    assert powerml.write_report(study, study / "report.md", "markdown").is_file()


def test_settings_that_the_page_shows_are_the_studys_own() -> None:
    assert report_of(make_stored()).settings == make_settings()


def test_parameters_that_take_too_much_room_are_told_in_the_topology_alone() -> None:
    values = {f"learning_rate_{number}": 0.001021 for number in range(8)}
    topology = "mynet:" + ",".join(f"{name}={value}" for name, value in values.items())
    own = {"space": "mynet.py", "space_digest": "a" * 64}
    trial = make_trial(topology=topology, values=values)
    report = report_of(make_stored([trial], settings=own))
    assert parameter_columns(report.rows) == []
    assert topology.replace(",", ",<wbr>") in page_html(report)


def test_a_short_topology_has_a_column_for_each_parameter() -> None:
    assert parameter_columns(report_of(make_stored()).rows) == ["layers", "width"]
