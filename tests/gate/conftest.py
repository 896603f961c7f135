"""Fixtures of the gate: a folder with a configuration, and a formula in the simulator's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate.doubles import Configure, measure_by_formula


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write a configuration into a folder of its own, which becomes the current one."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "pyproject.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    measure_by_formula(monkeypatch)
