"""Fixtures of searches."""

from __future__ import annotations

from functools import partial

import pytest

from tests import curves
from tests.curves import TrainBy


@pytest.fixture
def train_by(monkeypatch: pytest.MonkeyPatch) -> TrainBy:
    """Have networks score by a curve."""
    return partial(curves.train_by, monkeypatch=monkeypatch)
