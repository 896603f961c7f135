"""``powerml warm``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.doubles import Run


@pytest.fixture(autouse=True)
def no_simulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the user's warm simulator alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_where_nothing_is_warm_the_state_says_so_and_makes_nothing(
    run: Run, tmp_path: Path
) -> None:
    assert run("warm", "--status")[:2] == (
        0,
        "nothing is warm: powerml warm starts the simulator\n",
    )
    assert run("warm", "--stop")[:2] == (0, "nothing was warm\n")
    code, out, _ = run("warm", "--status", "--json")
    assert (code, json.loads(out)) == (0, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--status", "--stop"), "--status and --stop exclude each other"),
        (("--idle-minutes", "0"), "idle minutes is 0: give more than 0"),
        (("--idle-minutes", "nan"), "idle minutes is nan: give more than 0"),
        (("--machine", "vax"), "unknown machine 'vax'"),
        (("--levels", "4"), "levels"),
        (("trainin",), "unknown guest 'trainin': did you mean 'training'"),
    ],
)
def test_what_cannot_be_kept_ready_is_refused_before_anything_starts(
    arguments: tuple[str, ...], said: str, run: Run, tmp_path: Path
) -> None:
    code, _, err = run("warm", *arguments)
    assert code == 2
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_others_can_open_is_an_error_of_one_line(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "powerml"
    folder.mkdir()
    folder.chmod(0o755)
    code, out, err = run("warm", "--status")
    assert (code, out) == (1, "")
    assert f"{folder} for the warm simulator is open to others" in err
    assert err.count("\n") == 1
