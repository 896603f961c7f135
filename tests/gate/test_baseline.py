"""The baseline's file: stable, mergeable, and refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from powerml.errors import UsageError
from powerml.gate.baseline import baseline_text, read_baseline, write_baseline
from tests.gate.doubles import make_baseline

UPDATE = "powerml check --update"


def test_a_baseline_has_a_line_for_each_model_in_the_order_of_names(tmp_path: Path) -> None:
    records = [make_baseline(name) for name in ("b", "a", "ü")]
    path = tmp_path / "baseline.jsonl"
    write_baseline(path, records)
    text = path.read_text(encoding="utf-8")
    assert [json.loads(line)["name"] for line in text.splitlines()] == ["a", "b", "ü"]
    assert text == baseline_text(reversed(records))
    assert text.endswith("\n")
    assert read_baseline(path, UPDATE) == {one.name: one for one in records}


def test_a_baseline_holds_no_time() -> None:
    assert "seconds" not in baseline_text([make_baseline()])


def test_a_change_of_one_model_is_a_change_of_one_line() -> None:
    before = baseline_text(map(make_baseline, "abc")).splitlines()
    changed = [make_baseline("a"), make_baseline("b", file_bytes=7), make_baseline("c")]
    after = baseline_text(changed).splitlines()
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< HEAD\n", "line 1: a conflict of a merge is left"),
        ("{}\n", "line 1 is no record of a baseline"),
        ("\nnonsense\n", "line 2 is no record of a baseline"),
        (baseline_text([make_baseline()]) * 2, "line 2: net has two records"),
        (
            baseline_text([make_baseline()]).replace("powerml.baseline/1", "powerml.baseline/9"),
            "schema: Input should be 'powerml.baseline/1'",
        ),
    ],
)
def test_a_damaged_baseline_is_refused_with_the_line_and_the_command(
    text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "baseline.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_baseline(path, UPDATE)
    assert said in str(caught.value)
    assert UPDATE in str(caught.value)


def test_a_missing_baseline_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"does not exist: write it with {UPDATE}"):
        read_baseline(tmp_path / "none.jsonl", UPDATE)


def test_a_baseline_needs_its_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no folder"):
        write_baseline(tmp_path / "none" / "baseline.jsonl", [])
