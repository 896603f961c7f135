"""Fixtures: the hierarchies as a library, compiled once a session, and the tool's guests."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from powerml.instrument import place_tool
from tests.instrument.guests import Guests
from tests.instrument.simulation import compile_hierarchy


@pytest.fixture(scope="session")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The hierarchies, without Valgrind."""
    return compile_hierarchy(tmp_path_factory.mktemp("hierarchy"))


@pytest.fixture(scope="session")
def valgrind_lib(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Valgrind finds the tool."""
    return place_tool(tmp_path_factory.mktemp("tool"))


@pytest.fixture(scope="module")
def guests(valgrind_lib: Path, tmp_path_factory: pytest.TempPathFactory) -> Guests:
    """Programs in a folder of the module's own."""
    return Guests(tmp_path_factory.mktemp("guests"), valgrind_lib)
