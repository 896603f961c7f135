"""The preparation leaves the whole ARM side, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from powerml.boards import (
    Emulator,
    find_arm_side,
    forget_arm_side,
    plan_preparation,
    prepare,
    prepare_arm_side,
)
from powerml.boards.debian import Package
from powerml.boards.side import ROOT, side_folder
from powerml.errors import SetupError
from powerml.progress import silent, unwatched
from tests.boards.archives import Programs

PYTHON = "usr/bin/python3.11"
MEBI = 2**20


@pytest.fixture
def fetched(boards: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fetch a program of our own in place of packages and wheels, and note each time."""
    programs.add_qemu()
    times: list[str] = []

    def fetch(folder: Path, root: Path, *_: Any) -> tuple[str, list[Package]]:
        times.append(PYTHON)
        (root / PYTHON).parent.mkdir(parents=True)
        (root / PYTHON).write_text("program", encoding="utf-8")
        return PYTHON, [Package("libc6", "2.36", folder / "libc6.deb", "0" * 64)]

    def compile_nothing(_: Emulator, *__: Any) -> dict[str, str]:
        return {"python": "3.11.2"}

    monkeypatch.setattr(prepare, "_fetch_and_unpack", fetch)
    monkeypatch.setattr(prepare, "_compile", compile_nothing)
    return times


def _left(boards: Path) -> list[str]:
    return sorted(path.name for path in boards.iterdir() if path.name != "lock")


def test_what_is_prepared_is_found_and_not_fetched_again(boards: Path, fetched: list[str]) -> None:
    told: list[str] = []
    parts: list[float] = []
    side = prepare_arm_side(told.append, parts.append)
    assert side == find_arm_side() == prepare_arm_side(silent, unwatched)
    assert side.versions == {"python": "3.11.2", "libc": "2.36"}
    assert fetched == [PYTHON]
    assert told
    assert parts == sorted(parts)
    assert parts[-1] == 1
    assert _left(boards) == [side_folder().name]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SetupError("the index is gone")])
def test_what_is_stopped_leaves_nothing(
    boards: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stopping(*_: Any) -> dict[str, str]:
        raise stop

    monkeypatch.setattr(prepare, "_compile", stopping)
    with pytest.raises(type(stop)):
        prepare_arm_side(silent, unwatched)
    assert fetched
    assert _left(boards) == []


def test_a_damaged_side_and_the_remains_of_killed_processes_are_replaced(
    boards: Path, fetched: list[str]
) -> None:
    side = prepare_arm_side(silent, unwatched)
    (side.root / PYTHON).unlink()
    (boards / ".unfinished-killed").mkdir()
    assert prepare_arm_side(silent, unwatched) == side
    assert (side.root / PYTHON).is_file()
    assert len(fetched) == 2
    assert _left(boards) == [side_folder().name]


def test_the_plan_says_how_much_and_where(boards: Path, fetched: list[str]) -> None:
    plan = plan_preparation()
    assert plan.folder.parent == boards
    assert not plan.is_prepared
    assert 50 * MEBI < plan.download_bytes < 100 * MEBI
    prepare_arm_side(silent, unwatched)
    assert plan_preparation().is_prepared
    assert plan_preparation().download_bytes == 0
    forget_arm_side()
    assert plan_preparation() == plan


def test_without_an_emulator_nothing_is_fetched(
    boards: Path, fetched: list[str], programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs.folder / "qemu-aarch64").unlink()
    monkeypatch.setenv("PATH", str(programs.folder))
    with pytest.raises(SetupError, match="install qemu-user"):
        prepare_arm_side(silent, unwatched)
    assert not boards.exists()


def test_a_folder_that_cannot_be_written_names_the_variable(
    tmp_path: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POWERML_BOARDS_DIR", str(tmp_path / "file" / "boards"))
    with pytest.raises(SetupError, match="set POWERML_BOARDS_DIR to another folder"):
        prepare_arm_side(silent, unwatched)


def test_the_root_is_beside_its_manifest(boards: Path, fetched: list[str]) -> None:
    assert prepare_arm_side(silent, unwatched).root == side_folder() / ROOT
