from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from importlib.machinery import PathFinder
from importlib.metadata import MetadataPathFinder
from types import ModuleType

import pytest

import powerml

os.environ.setdefault("KERAS_BACKEND", "torch")

HEAVY = ("keras", "torch", "jax", "tensorflow", "optuna", "numpy")


def _public_modules() -> list[str]:
    found = pkgutil.walk_packages(powerml.__path__, "powerml.")
    return [
        module.name
        for module in found
        if not any(part.startswith("_") for part in module.name.split("."))
    ]


def _import(name: str) -> ModuleType:
    if name == "powerml.guest.main":
        pytest.importorskip("powerml.guest._client_requests", reason="no C extension built")
    return importlib.import_module(name)


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """Constants first, then classes, then functions."""
    rank = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return rank, name


def test_all_is_sorted_and_without_duplicates() -> None:
    assert powerml.__all__ == sorted(set(powerml.__all__))


@pytest.mark.parametrize("name", powerml.__all__)
def test_everything_exported_can_be_got(name: str) -> None:
    assert getattr(powerml, name).__name__ == name
    assert name in dir(powerml)


def test_every_exception_is_exported() -> None:
    from powerml import errors

    assert set(errors.__all__) <= set(powerml.__all__)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        _ = powerml.mesure
    assert not hasattr(powerml, "__wrapped__")


@pytest.mark.parametrize(
    "statement",
    [
        "import powerml",
        "from powerml.errors import PowerMLError",
        "from powerml import Counts",
        "from powerml import SearchOptions",
    ],
)
def test_importing_powerml_stays_light(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.fixture
def pythons_own_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Python's finder of metadata back, which the package importlib_metadata takes away."""
    finder = MetadataPathFinder.find_distributions
    monkeypatch.setattr(PathFinder, "find_distributions", finder, raising=False)


@pytest.mark.usefixtures("pythons_own_finder")
@pytest.mark.parametrize("name", _public_modules())
def test_every_module_exports_what_it_says(name: str) -> None:
    module = _import(name)
    exported: list[str] = getattr(module, "__all__", [])
    assert exported == sorted(set(exported), key=_as_ruff_sorts)
    assert [member for member in exported if not hasattr(module, member)] == []
