"""``powerml compare``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.explain import compare as comparing
from powerml.explain.profile_record import Profile
from tests.builders import make_fingerprint, make_workload_record
from tests.doubles import Run
from tests.explain.compared import phase_of, profile_of, row


@pytest.fixture
def before(tmp_path: Path) -> str:
    return saved(tmp_path / "before.json", 100)


@pytest.fixture
def after(tmp_path: Path) -> str:
    return saved(tmp_path / "after.json", 130)


def saved(path: Path, cycles: float, **fields: Any) -> str:
    phases = [
        phase_of("load", {"node": [row("runtime", 5)]}),
        phase_of(
            "inference",
            {
                "node": [row("conv", cycles, "Conv"), row("runtime", 10)],
                "library": [row("libonnxruntime.so", cycles + 10)],
            },
        ),
    ]
    path.write_text(profile_of(phases=phases, **fields).to_json(), encoding="utf-8")
    return str(path)


def test_records_are_compared_by_node(run: Run, before: str, after: str) -> None:
    code, out, _ = run("compare", before, after)
    assert code == 0
    assert "inference: 110.000 to 140.000 cycles (+27.3%); largest: conv, +30.000" in out
    assert "load: 5.000 to 5.000 cycles, the same" in out
    assert f"before: {before}" in out


def test_another_grouping_and_one_phase_can_be_asked_for(run: Run, before: str, after: str) -> None:
    code, out, _ = run("compare", before, after, "--by", "library", "--phase", "inference")
    assert code == 0
    assert "libonnxruntime.so" in out
    assert "load" not in out


def test_json_is_one_record_and_nothing_else(run: Run, before: str, after: str) -> None:
    code, out, _ = run("compare", before, after, "--json", "--phase", "inference")
    assert code == 0
    record = powerml.Comparison.model_validate_json(out)
    assert json.loads(out)["schema"] == "powerml.comparison/1"
    assert [phase.difference_cycles for phase in record.phases] == [30]


def test_models_are_profiled_with_the_commands_options(
    run: Run, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profile(
        model: str, *, example_inputs: object, options: powerml.MeasureOptions, notify: Any
    ) -> Profile:
        assert example_inputs is None
        notify(f"profiling {model}")
        assert options.seed == 7
        return profile_of(row("conv", 50, "Conv"))

    monkeypatch.setattr(comparing, "profile", profile)
    code, out, _ = run("compare", before, "model.onnx", "--seed", "7")
    assert code == 0
    assert "after: model.onnx" in out


def test_options_that_are_not_typed_are_those_of_the_record(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = make_workload_record(batch_size=9, epochs=4)
    record = saved(tmp_path / "record.json", 100, workload=workload)
    asked: list[powerml.MeasureOptions] = []

    def profile(
        model: str, *, example_inputs: object, options: powerml.MeasureOptions, notify: Any
    ) -> Profile:
        assert example_inputs is None
        asked.append(options)
        return profile_of(row("conv", 50, "Conv"))

    monkeypatch.setattr(comparing, "profile", profile)
    for typed, expected in (([], (9, 4)), (["--epochs", "2"], (9, 2))):
        code, _, _ = run("compare", record, "dffr:layers=1,width=2", *typed)
        assert code == 0
        assert (asked[-1].batch_size, asked[-1].epochs) == expected


def test_records_of_other_software_end_with_exit_code_4(
    run: Run, before: str, tmp_path: Path
) -> None:
    other = saved(
        tmp_path / "other.json", 100, fingerprint=make_fingerprint(software={"python": "3.12.1"})
    )
    code, out, err = run("compare", before, other)
    assert (code, out) == (4, "")
    assert err.count("\n") == 1
    assert "must not be compared" in err
    assert "python" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "layer"], "unknown grouping 'layer'"),
        (["--top", "0"], "top is 0: give at least 1"),
        (
            ["--phase", "training"],
            "before.json has no phase 'training': its phases are load, infer",
        ),
        (["--machine", "pdp11"], "unknown machine 'pdp11'"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    run: Run, before: str, after: str, arguments: list[str], message: str
) -> None:
    code, out, err = run("compare", before, after, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_records_and_trials_that_are_not_there_are_named(
    run: Run, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, message in (
        ("none.json", "the record none.json does not exist"),
        ("nowhere:best", "there is no study in nowhere"),
    ):
        code, _, err = run("compare", before, name)
        assert code == 2
        assert message in err
