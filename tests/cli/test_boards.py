"""``powerml machines prepare`` and ``forget``, and boards in ``powerml doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from powerml import boards
from powerml.boards import FOLDER_VARIABLE, ArmSide, PreparationPlan
from powerml.errors import SetupError
from tests.boards.archives import Programs, make_side
from tests.doubles import Run

SIDE = ArmSide(Path("/b/arm64-1/root"), "usr/bin/python3.11", "/p", {"numpy": "2.4.6"}, "0" * 64)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the ARM side lie in a folder of the test's, and put an emulator on PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    Programs(programs).add_qemu()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "boards"))
    return tmp_path / "boards"


def test_a_dry_run_says_how_much_and_where_and_fetches_nothing(run: Run, folder: Path) -> None:
    code, out, err = run("machines", "prepare", "--dry-run")
    assert (code, err) == (0, "")
    assert out.startswith("about 7")
    assert f"MB to fetch, 140 MB to keep in {folder}/arm64-" in out
    assert not folder.exists()
    code, out, _ = run("machines", "prepare", "--dry-run", "--json")
    assert json.loads(out)["is_prepared"] is False


def test_what_is_prepared_is_said_with_its_versions(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = PreparationPlan(Path("/b/arm64-1"), False, True, 93_000_000, 140_000_000)
    monkeypatch.setattr(boards, "plan_preparation", lambda: plan)
    monkeypatch.setattr(boards, "prepare_arm_side", lambda *_: SIDE)
    code, out, err = run("machines", "prepare")
    assert (code, out) == (0, "/b/arm64-1: numpy 2.4.6\n")
    assert err.splitlines()[0] == (
        "about 93 MB to fetch with qemu-user, 140 MB to keep in /b/arm64-1"
    )
    code, out, _ = run("machines", "prepare", "--json")
    assert json.loads(out)["root"] == "/b/arm64-1/root"


def test_an_interrupted_preparation_says_that_nothing_was_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> ArmSide:
        raise KeyboardInterrupt

    monkeypatch.setattr(boards, "prepare_arm_side", interrupted)
    code, out, err = run("machines", "prepare")
    assert (code, out) == (130, "")
    assert "stopped; nothing was kept. Continue with:" in err


def test_a_failure_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> ArmSide:
        raise SetupError("the network is gone: connect it")

    monkeypatch.setattr(boards, "prepare_arm_side", failing)
    code, out, err = run("machines", "prepare")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "powerml: error: the network is gone: connect it"


def test_forgetting_says_what_it_has_freed(run: Run, folder: Path) -> None:
    code, out, _ = run("machines", "forget")
    assert (code, out) == (0, f"there is nothing in {folder}\n")
    make_side({"usr/bin/python3.11": "program"})
    code, out, _ = run("machines", "forget")
    assert (code, out) == (0, f"freed 0 MB in {folder}\n")
    make_side({"usr/bin/python3.11": "program"})
    code, out, _ = run("machines", "forget", "--json")
    assert json.loads(out)["freed_bytes"] > 0


def test_doctor_tells_of_boards_and_does_not_fail_without_them(run: Run, folder: Path) -> None:
    code, out, _ = run("doctor", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert found["emulator of boards"]["ok"]
    assert "QEMU 9.2.0 with plug-ins" in found["emulator of boards"]["detail"]
    assert not found["ARM side of boards"]["ok"]
    assert not found["ARM side of boards"]["required"]
    assert "run powerml machines prepare" in found["ARM side of boards"]["detail"]
    assert code == 0
