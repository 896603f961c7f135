"""`powerml profile`: what it refuses before any work, what it prints, writes and leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.explain.phases import kept_phases
from powerml.explain.profile_record import Profile
from tests.doubles import Run
from tests.profiles import make_profile


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The options that `powerml.profile` was called with; it answers at once."""
    found: list[Any] = []

    def answer(
        model: str, *, phases: list[str], options: powerml.MeasureOptions, notify: object
    ) -> Profile:
        found.append(options)
        return kept_phases(make_profile(title=model), phases)

    monkeypatch.setattr(powerml, "profile", answer, raising=False)
    return found


def test_the_nodes_of_every_phase_are_printed(run: Run, asked: list[Any]) -> None:
    code, out, _ = run("profile", "kws.onnx", "--machine", "epyc-7763", "--inferences", "3")
    assert code == 0
    assert "training of kws.onnx, by node" in out
    assert "inference of kws.onnx, by node" in out
    [options] = asked
    assert (options.machine, options.inferences) == (["epyc-7763"], 3)


def test_one_phase_by_function_with_few_rows(run: Run, asked: list[Any]) -> None:
    code, out, _ = run(
        "profile", "x.onnx", "--phase", "inference", "--by", "function", "--top", "1"
    )
    assert code == 0
    assert "training" not in out
    assert "2 others" in out


def test_json_is_the_record_alone(run: Run, asked: list[Any], tmp_path: Path) -> None:
    target = tmp_path / "x.csv"
    code, out, err = run(
        "profile", "x.onnx", "--json", "--phase", "inference", "--export", "csv", str(target)
    )
    assert code == 0
    record = Profile.model_validate_json(out)
    assert [phase.name for phase in record.phases] == ["inference"]
    assert json.loads(out)["schema"] == "powerml.profile/1"
    assert f"csv in {target}" in err


def test_several_exports_are_written(run: Run, asked: list[Any], tmp_path: Path) -> None:
    trace, table = tmp_path / "trace.json", tmp_path / "rows.csv"
    code, out, _ = run(
        "profile", "x.onnx", "--export", "chrome", str(trace), "--export", "csv", str(table)
    )
    assert code == 0
    assert f"chrome in {trace}\ncsv in {table}\n" in out
    assert json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    assert table.read_text(encoding="utf-8").startswith("phase,runs,grouping,name")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "nodes"), "unknown grouping 'nodes': did you mean 'node'?"),
        (("--top", "0"), "top is 0: give at least 1"),
        (
            ("--export", "speedskope", "x"),
            "unknown export 'speedskope': did you mean 'speedscope'?",
        ),
        (("--export", "csv", "nowhere/x.csv"), "the folder of nowhere/x.csv does not exist"),
        (("--export", "csv", "/"), "/ is a folder and is not replaced"),
        (("--export", "csv"), "--export"),
    ],
)
def test_wrong_use_is_told_before_anything_is_counted(
    run: Run, asked: list[Any], arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = run("profile", "x.onnx", *arguments)
    assert code == 2
    assert said in err
    assert asked == []


def test_the_model_is_never_replaced_by_its_profile(
    run: Run, asked: list[Any], tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    code, _, err = run("profile", str(model), "--export", "csv", str(tmp_path / "." / "model.onnx"))
    assert code == 2
    assert "is the model itself: export into another file" in err
    assert model.read_bytes() == b"weights"


def test_a_phase_that_the_model_cannot_have_is_refused_before_anything_is_counted(run: Run) -> None:
    code, out, err = run("profile", "x.onnx", "--phase", "inferense")
    assert (code, out) == (2, "")
    assert "x.onnx has no phase 'inferense': its phases are load, inference" in err
