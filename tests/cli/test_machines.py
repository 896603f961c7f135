"""``powerml machines probe`` and ``powerml machines validate``."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import powerml
from powerml.cli import machines as command
from powerml.host.probe import DEFAULT_NAME, DEFAULT_SECONDS, MachineProbe
from powerml.host.validation import MachineValidation, validate_machine, validation_of
from powerml.machines import load_machine, load_machine_file
from tests.doubles import Run
from tests.host.fakes import make_system, make_validated

REMARK = "The hypervisor gave 20% of the time to others."
XEON = load_machine("xeon-8280")


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Probe nothing, and note what was asked for."""
    asked: list[dict[str, Any]] = []

    def fake(name: str, **given: Any) -> MachineProbe:
        asked.append({"name": name, **given})
        machine = XEON.model_copy(update={"name": name})
        return MachineProbe(machine, (REMARK,), ("energy_pj: left out",))

    monkeypatch.setattr(powerml, "probe_machine", fake, raising=False)
    return asked


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Validate nothing, and note the machines that were asked for."""
    asked: list[Any] = []

    def fake(machine: Any, **_: Any) -> MachineValidation:
        asked.append(machine)
        models = [
            make_validated("dense", 1e-3, 1.1e-3),
            make_validated("gather", 2e-3, 1e-3, kind="scattered"),
        ]
        return validation_of(models, XEON, make_system("KVM"), {"onnxruntime": "1"})

    monkeypatch.setattr(powerml, "validate_machine", fake, raising=False)
    return asked


def test_a_probe_writes_a_profile_that_can_be_loaded(
    run: Run, probed: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "my-server.toml"
    code, printed, err = run("machines", "probe", "--out", str(out), "--seconds", "5")
    assert code == 0
    assert [(one["name"], one["seconds"]) for one in probed] == [("my-server", 5.0)]
    assert load_machine_file(out) == XEON.model_copy(update={"name": "my-server"})
    assert REMARK in out.read_text(encoding="utf-8").replace("\n# ", " ")
    assert REMARK in printed
    assert "not measured:\n  energy_pj: left out\n" in printed
    assert f"measure MODEL --price core --machine-file {out}\n" in printed
    assert err == "measuring this machine for about 5 s\n"


def test_a_file_that_is_there_is_kept(
    run: Run, probed: list[dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "mine.toml"
    out.write_text("mine", encoding="utf-8")
    code, _, err = run("machines", "probe", "--out", str(out))
    assert (code, probed) == (2, [])
    assert err == f"powerml: error: {out} exists: give another --out, or remove it\n"
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("xeon-x5650.toml", "which is taken: rename the file"),
        ("all.toml", "which is taken"),
        ("nowhere/mine.toml", "nowhere does not exist: make it, or give another --out"),
    ],
)
def test_a_place_that_will_not_do_is_refused_before_the_probe(
    run: Run, probed: list[dict[str, Any]], tmp_path: Path, out: str, message: str
) -> None:
    code, _, err = run("machines", "probe", "--out", str(tmp_path / out))
    assert (code, probed) == (2, [])
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_probe_leaves_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(powerml, "probe_machine", interrupt, raising=False)
    code, printed, err = run("machines", "probe", "--out", str(tmp_path / "mine.toml"))
    assert (code, printed) == (130, "")
    assert "powerml: stopped; nothing was written. Continue with: powerml machines probe" in err
    assert list(tmp_path.iterdir()) == []


def test_a_validation_is_a_table_with_the_agreement_beneath(run: Run, validated: list[Any]) -> None:
    code, printed, _ = run("machines", "validate", "xeon-8280")
    assert (code, validated) == (0, ["xeon-8280"])
    rows = {line.split()[1]: line for line in printed.splitlines() if "│" in line}
    assert "1.10" in rows["dense"]
    assert "0.50*" in rows["gather"]
    assert "rank correlation (Spearman)" in printed
    assert "in core's interval: 50% of 2 models" in printed
    assert "worst: gather, 0.50 times the time, by lines; " in printed
    assert "virtual machine (KVM)" in printed


def test_an_unknown_machine_is_told_before_the_validation_begins(
    run: Run, validated: list[Any]
) -> None:
    code, printed, err = run("machines", "validate", "pdp11")
    assert (code, printed, validated) == (2, "", [])
    assert err.startswith("powerml: error: unknown machine 'pdp11'")
    assert err.count("\n") == 1


def test_a_validation_as_json_is_one_record(run: Run, validated: list[Any]) -> None:
    code, printed, _ = run("machines", "validate", "--json")
    assert (code, validated) == (0, [None])
    assert json.loads(printed)["schema"] == "powerml.machine-validation/1"
    assert MachineValidation.model_validate_json(printed).worst[0].model == "gather"


def test_a_validation_takes_a_profile_of_ones_own(
    run: Run, probed: list[dict[str, Any]], validated: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "mine.toml"
    run("machines", "probe", "--out", str(out))
    code, _, _ = run("machines", "validate", "--machine-file", str(out))
    assert (code, [one.name for one in validated]) == (0, ["mine"])
    code, _, err = run("machines", "validate", "epyc-7763", "--machine-file", str(out))
    assert code == 2
    assert "NAME and --machine-file exclude each other" in err


def test_an_unknown_machine_is_one_line(run: Run) -> None:
    code, printed, err = run("machines", "validate", "epyc-7736")
    assert (code, printed) == (2, "")
    assert err.splitlines()[-1] == (
        "powerml: error: unknown machine 'epyc-7736': did you mean 'epyc-7763'?"
    )


def test_the_commands_defaults_are_those_of_the_functions() -> None:
    assert command.SECONDS == DEFAULT_SECONDS
    assert command.OUT.name == f"{DEFAULT_NAME}.toml"
    seconds = inspect.signature(validate_machine).parameters["seconds"]
    assert seconds.default == DEFAULT_SECONDS
