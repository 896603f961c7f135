"""Nobody else can open the folder of the socket, and nobody else is spoken to."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from powerml.errors import SetupError
from powerml.meters.simulator import launch, view
from powerml.meters.simulator.warm import place


def test_the_folder_is_made_for_this_user_alone(tmp_path: Path) -> None:
    with place.open_folder(tmp_path / "powerml") as folder:
        assert os.listdir(folder) == []
    assert (tmp_path / "powerml").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o722])
def test_a_folder_that_others_can_open_is_refused(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "powerml"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(SetupError, match=f"open to others .mode {mode:o}.*chmod 700"):
        place.open_folder(folder).__enter__()


def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SetupError, match=f"belongs to the user {owner}"):
        place.open_folder(tmp_path).__enter__()


def test_a_link_or_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name in ("link", "file", "missing/powerml"):
        with pytest.raises(SetupError, match="cannot be used"):
            place.open_folder(tmp_path / name).__enter__()


def test_a_process_of_another_user_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    user = os.geteuid()
    with ours, theirs:
        place.require_same_user(ours)
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
        with pytest.raises(SetupError, match=f"the process {os.getpid()} .* the user {user}"):
            place.require_same_user(ours)


def test_the_folder_is_that_of_the_session_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/of/mine")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert place.user_folder() == tmp_path / "powerml"
    for unusable in ("", "relative", str(tmp_path / "missing")):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unusable)
        assert place.user_folder() == Path(f"/of/mine/powerml-warm-{os.geteuid()}")


def test_the_key_changes_with_the_installation_and_what_else_counts_depend_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools = [tmp_path / "tool", tmp_path / "tool built again"]
    for number, tool in enumerate(tools):
        tool.write_bytes(b"." * number)
    monkeypatch.setattr(place, "find_tool", lambda: tools[0])
    monkeypatch.setattr(launch, "valgrind_version", lambda: "3.19.0")
    keys = [place.installation_key()]
    assert place.installation_key() == keys[0]
    changes: list[tuple[object, str, object]] = [
        (place, "find_tool", lambda: tools[1]),
        (launch, "code_digest", lambda plug_ins: "edited"),
        (launch, "installed", lambda: ["numpy==99"]),
        (launch, "valgrind_version", lambda: "3.99"),
        (view, "PACKAGE", Path("/elsewhere/powerml")),
        (sys, "prefix", "/elsewhere"),
        (tempfile, "tempdir", "/somewhere/else"),
    ]
    for place_of, name, value in changes:
        monkeypatch.setattr(place_of, name, value)
        keys.append(place.installation_key())
    assert len(set(keys)) == len(keys)
