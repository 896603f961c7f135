"""Fixtures: the hierarchies as a library, and the Valgrind tool, each compiled once a session."""

from __future__ import annotations

import ctypes

import pytest

from tests.instrument.simulation import compile_hierarchy


@pytest.fixture(scope="session")
def hierarchy(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The hierarchies, without Valgrind."""
    return compile_hierarchy(tmp_path_factory.mktemp("hierarchy"))
