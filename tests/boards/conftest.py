"""Fixtures of boards: folders of their own, packages of our own making, fake programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from powerml.boards.place import FOLDER_VARIABLE
from tests.boards.archives import Programs

os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the ARM side lie in a folder of the test's."""
    folder = tmp_path / "boards"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Put a folder for fake programs first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Programs(folder)
