from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

from powerml import backend
from powerml.errors import SetupError

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that Keras is not imported yet and that only these packages are installed."""
    monkeypatch.setenv("KERAS_BACKEND", "")  # so that it is put back afterwards
    monkeypatch.delenv("KERAS_BACKEND")
    monkeypatch.setitem(sys.modules, "keras", ModuleType("keras"))
    monkeypatch.delitem(sys.modules, "keras")

    def only(*packages: str) -> None:
        def find_spec(name: str) -> object | None:
            return object() if name in packages else None

        monkeypatch.setattr(importlib.util, "find_spec", find_spec)

    return only


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (("torch", "jax", "tensorflow"), "torch"),
        (("tensorflow", "jax"), "jax"),
        (("tensorflow",), "tensorflow"),
        (("torch", "numpy"), "torch"),
    ],
)
def test_the_first_one_installed_is_taken(
    install: Install, installed: tuple[str, ...], chosen: str
) -> None:
    install(*installed)
    assert backend.select_backend() == chosen
    assert os.environ["KERAS_BACKEND"] == chosen


def test_installed_backends_are_in_the_order_of_preference(install: Install) -> None:
    install("tensorflow", "torch", "openvino")
    assert backend.installed_backends() == ["torch", "tensorflow"]


def test_the_environment_decides_among_those_installed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("torch", "jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert backend.select_backend() == "jax"
    assert os.environ["KERAS_BACKEND"] == "jax"


def test_an_empty_variable_decides_nothing(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("torch")
    monkeypatch.setenv("KERAS_BACKEND", "")
    assert backend.select_backend() == "torch"


def test_nothing_installed(install: Install) -> None:
    install()
    with pytest.raises(SetupError) as caught:
        backend.select_backend()
    assert str(caught.value).startswith("Keras has no backend: pip install 'powerml[torch]'")
    assert caught.value.exit_code == 1
    assert "KERAS_BACKEND" not in os.environ


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("jax", "'jax', which is not installed: set it to torch or tensorflow"),
        ("openvino", "'openvino', which is not a backend powerML can measure"),
        ("pytorch", "'pytorch', which is not a backend powerML can measure"),
    ],
)
def test_a_backend_that_cannot_be_used(
    install: Install, monkeypatch: pytest.MonkeyPatch, wanted: str, told: str
) -> None:
    install("torch", "tensorflow", "openvino")
    monkeypatch.setenv("KERAS_BACKEND", wanted)
    with pytest.raises(SetupError, match="KERAS_BACKEND is") as caught:
        backend.select_backend()
    assert told in str(caught.value)
    assert "pip install 'powerml[torch]'" in str(caught.value)
    assert os.environ["KERAS_BACKEND"] == wanted


def test_a_keras_already_imported_keeps_its_backend(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("torch", "jax")
    running = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "jax"))
    monkeypatch.setitem(sys.modules, "keras", running)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend.select_backend() == "jax"


def test_ctrl_c_waits_for_the_end_of_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def import_module(name: str) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(KeyboardInterrupt):
        backend.import_keras()
    assert done == ["keras"]
