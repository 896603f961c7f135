"""The campaign of bad inputs would see what it looks for."""

from __future__ import annotations

import base64
import io
import marshal
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from random import Random
from types import FunctionType

import pytest
from fuzz.campaign import drawn
from fuzz.case import Case, Command, Ended, Kind
from fuzz.folders import changes, content_of
from fuzz.kinds.canaries import keras_canary, pickled
from fuzz.kinds.drawing import of_forms
from fuzz.mutations import changed_bytes, changed_json
from fuzz.verdict import faults_of

COMMAND = Command(("measure", "x.onnx"))
LINE = "powerml: error: x.onnx is empty: fetch or write it again\n"


def _ended(code: int = 2, err: str = LINE, **fields: bool) -> Ended:
    return Ended(code=code, out="", err=err, seconds=0.1, **fields)


def test_one_line_of_an_error_is_no_finding() -> None:
    assert faults_of(COMMAND, _ended()) == []
    assert faults_of(COMMAND, _ended(0, "")) == []
    assert faults_of(COMMAND, _ended(1, f"training natively\n{LINE}")) == []


def test_codes_of_a_terminal_are_no_finding_where_one_was_asked_for() -> None:
    ended = _ended(1, f"\x1b[?25l\x1b[2K… \n\x1b[?25h\x1b[1A\x1b[2K{LINE}")
    assert faults_of(replace(COMMAND, environment={"TTY_COMPATIBLE": "1"}), ended) == []
    assert faults_of(COMMAND, ended) == ["no line of an error"]


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (_ended(timed_out=True), "it hung"),
        (_ended(-11, ""), "exit code -11 (SIGSEGV)"),
        (_ended(70), "exit code 70"),
        (_ended(left_processes=True), "a process was left running"),
        (_ended(1, "Traceback (most recent call last):\n"), "a traceback"),
        (_ended(1, f"{LINE.strip()}; powerML did not foresee this"), "did not foresee"),
        (_ended(err=f"{LINE.strip()}{'x' * 300}\n"), "characters"),
        (_ended(err=f"{LINE}{LINE}"), "2 errors in place of one"),
        (_ended(err="usage: powerml\n"), "no line of an error"),
        (_ended(0), "an error with exit code 0"),
        (_ended(err=f"x.py:3: UserWarning: odd\n{LINE}"), "2 lines on standard error"),
    ],
)
def test_whatever_breaks_a_rule_is_a_finding(ended: Ended, told: str) -> None:
    assert any(told in fault for fault in faults_of(COMMAND, ended))


def test_what_is_left_changed_or_removed_is_seen(tmp_path: Path) -> None:
    for name in ("kept", "changed", "removed"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    before = content_of(tmp_path, [tmp_path])
    (tmp_path / "changed").write_text("y", encoding="utf-8")
    (tmp_path / "removed").unlink()
    (tmp_path / "left").symlink_to("nowhere")
    (tmp_path / "report.html").touch()
    after = content_of(tmp_path, [tmp_path])
    assert changes(before, after, ["report*"]) == [
        "changed was changed",
        "left was left",
        "removed was removed",
    ]


def test_the_bait_bites(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickled(canary))
    assert canary.exists()
    canary.unlink()
    with zipfile.ZipFile(io.BytesIO(keras_canary(canary, 0))) as archive:
        [code] = re.findall(r'"code": "([^"]+)"', archive.read("config.json").decode())
    FunctionType(marshal.loads(base64.b64decode(code)), {"open": open})(None)
    assert canary.exists()


def test_the_same_seed_draws_the_same_inputs() -> None:
    def form(_place: object, _random: Random) -> Command:
        return COMMAND

    kind = Kind("some", 20, lambda: of_forms([form]))

    def said(cases: list[Case]) -> list[str]:
        return [case.said for case in cases]

    assert said(drawn(kind, 1)) == said(drawn(kind, 1)) != said(drawn(kind, 2))
    assert len(drawn(kind, 1)) == kind.inputs


def test_changes_are_of_the_given_randomness_and_leave_the_original() -> None:
    content = {"a": [1, {"b": 2}], "c": "x"}
    changed = [changed_json(content, Random(seed)) for seed in range(20)]
    assert repr(changed) == repr([changed_json(content, Random(seed)) for seed in range(20)])
    assert content == {"a": [1, {"b": 2}], "c": "x"}
    assert changed_bytes(b"whole", Random(0)) == changed_bytes(b"whole", Random(0)) != b"whole"
