"""``powerml check``: exit codes, formats and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.doubles import Run
from tests.gate.doubles import Configure, VersionedMeter

pytestmark = pytest.mark.usefixtures("by_formula")

CONFIG = """\
[tool.powerml.models.net]
model = "dffr:layers=1,width=8"
max-regression = "0.5%"
"""


def test_the_command_goes_from_no_baseline_to_a_regression(run: Run, configure: Configure) -> None:
    configure(CONFIG)
    code, out, err = run("check")
    assert (code, out) == (2, "")
    assert "does not exist: write it with powerml check --update" in err
    code, out, err = run("check", "--update")
    assert code == 0
    assert "1 model checked; baseline written to" in out
    code, out, err = run("check")
    assert code == 0
    assert "1 model checked; all limits kept" in out
    configure(CONFIG.replace("width=8", "width=19"))
    code, out, err = run("check")
    assert code == 3
    assert "  1. hidden (Gemm): +" in out
    assert "powerml: error: 1 model checked; above a limit: net" in err


def test_a_difference_exits_with_four(
    run: Run, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(CONFIG)
    run("check", "--update")
    monkeypatch.setattr(VersionedMeter, "version", "2")
    code, out, err = run("check")
    assert code == 4
    assert "software.onnxruntime: 1, 2" in out
    assert "not comparable with the baseline: net" in err


def test_a_failure_exits_with_one_and_shows_the_rest(run: Run, configure: Configure) -> None:
    more = "[tool.powerml.models.gone]\nmodel = 'gone.onnx'\nmax-memory = '1MB'\n"
    configure(CONFIG.replace('max-regression = "0.5%"', 'max-memory = "1MB"') + more)
    code, out, err = run("check")
    assert code == 1
    assert "kept" in out
    assert "gone.onnx does not exist" in out
    assert "failed: gone" in err


@pytest.mark.parametrize("name", ["json", "markdown", "junit", "sarif", "bencher", "github"])
def test_a_format_is_all_that_standard_output_gets(
    name: str, run: Run, configure: Configure
) -> None:
    configure(CONFIG.replace('max-regression = "0.5%"', "max-inference-cycles = 10"))
    code, out, _ = run("check", "--format", name)
    assert code == 3
    if name in ("json", "sarif", "bencher"):
        json.loads(out)
    assert out.startswith(
        {"junit": "<?xml", "markdown": "### ", "github": "::error "}.get(name, "{")
    )


def test_files_are_written_in_the_formats_of_their_suffixes(
    run: Run, configure: Configure, tmp_path: Path
) -> None:
    configure(CONFIG.replace('max-regression = "0.5%"', "max-inference-cycles = 10"))
    code, out, _ = run("check", "--output", "a.md", "--output", "b.json", "--output", "c.github")
    assert code == 3
    assert "above a limit: net" in out
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("### powerML")
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))["state"] == "exceeded"
    annotation = (tmp_path / "c.github").read_text(encoding="utf-8")
    assert annotation.startswith("::error file=pyproject.toml,line=3,")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "jsn"), "unknown format 'jsn': did you mean 'json'?"),
        (("--output", "a.txt"), "the suffix of a.txt tells no format"),
        (("--output", "none/a.md"), "none/a.md has no folder: create none first"),
        (("nett",), "'nett': did you mean 'net'?"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_measured(
    arguments: tuple[str, ...], said: str, run: Run, configure: Configure
) -> None:
    configure(CONFIG)
    code, out, err = run("check", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_another_configuration_is_named_in_the_command_that_writes_the_baseline(
    run: Run, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = configure(CONFIG)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    code, _, err = run("check", "--config", str(path))
    assert code == 2
    assert f"powerml check --update --config {path}" in err
