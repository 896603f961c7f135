"""Packages that frameworks do without are not there for them, and are for the user's own code."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

import pytest

from powerml.guest import unseen


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """Leave what this process has imported as it was."""
    before = dict(sys.modules)
    for name in ("onnx", "sklearn"):
        sys.modules.pop(name, None)
    yield
    sys.modules.clear()
    sys.modules.update(before)


def _sees(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def test_keras_on_torch_does_not_see_what_it_does_not_require(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    unseen.hide("training")
    assert not _sees("onnx")
    assert not _sees("sklearn")
    with pytest.raises(ModuleNotFoundError):
        import onnx  # noqa: F401


def test_a_runtime_of_another_kind_sees_what_it_may_be_made_of() -> None:
    unseen.hide("deployment:another")
    assert _sees("onnx")


def test_code_of_the_users_own_sees_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    unseen.hide("deployment:keras")
    unseen.reveal()
    assert _sees("onnx")
    assert _sees("sklearn")
