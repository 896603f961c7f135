"""Models that a configuration names: files, topologies and functions of the user's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import powerml
from powerml.errors import PowerMLError, UsageError
from powerml.gate.models import given_model, named_model


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a module, of a name that no other test has imported."""
    (tmp_path / "_gate_helper.py").write_text("PATH = 'net.onnx'\n", encoding="utf-8")
    (tmp_path / "_gate_models.py").write_text(
        """
import pathlib
from _gate_helper import PATH
from powerml import parse_topology

def file(): return PATH
def path(): return pathlib.Path(PATH)
def text(): return "dffr:layers=1,width=4"
def topology(): return parse_topology("dffr:layers=1,width=4")
def net():
    import keras
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs))
def number(): return 3
def failing(): raise ValueError("no weights")
""",
        encoding="utf-8",
    )
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(f"_gate_{name}", None)


NAMES = ("models", "helper", "damaged")


def test_a_file_is_beside_the_configuration_and_a_topology_stays_as_it_is(tmp_path: Path) -> None:
    with named_model("net", "nets/net.onnx", tmp_path) as found:
        assert found == tmp_path / "nets" / "net.onnx"
    with named_model("net", "dffr:layers=1,width=4", tmp_path) as found:
        assert found == "dffr:layers=1,width=4"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("text", "dffr:layers=1,width=4"),
        ("topology", powerml.parse_topology("dffr:layers=1,width=4")),
    ],
)
def test_a_function_returns_a_topology(function: str, expected: object, folder: Path) -> None:
    with named_model("net", f"_gate_models:{function}", folder) as found:
        assert found == expected


@pytest.mark.parametrize("function", ["file", "path"])
def test_a_function_returns_a_path_beside_the_configuration(function: str, folder: Path) -> None:
    with named_model("net", f"_gate_models:{function}", folder) as found:
        assert found == folder / "net.onnx"


def test_a_keras_model_becomes_a_file_for_a_while(folder: Path) -> None:
    with named_model("my net", "_gate_models:net", folder) as found:
        assert isinstance(found, Path)
        assert found.name == "my-net.keras"
        assert found.stat().st_size > 0
    assert not found.exists()


def test_the_folder_is_on_the_path_for_the_import_alone(folder: Path) -> None:
    before = list(sys.path)
    with named_model("net", "_gate_models:file", folder):
        assert sys.path == before


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("_gate_modles:file", UsageError, "there is no module '_gate_modles' in "),
        ("_gate_models:flie", UsageError, "no function 'flie': did you mean 'file'?"),
        ("_gate_models:number", UsageError, "_gate_models:number returned int: return a keras"),
        ("_gate_models:failing", PowerMLError, "_gate_models:failing failed (no weights)"),
    ],
)
def test_a_function_that_gives_no_model_is_told(
    model: str, kind: type[PowerMLError], said: str, folder: Path
) -> None:
    with pytest.raises(kind) as caught, named_model("net", model, folder):
        pass
    assert said in str(caught.value)


def test_a_module_that_cannot_be_imported_is_told_with_its_own_words(folder: Path) -> None:
    (folder / "_gate_damaged.py").write_text("import not_installed_here\n", encoding="utf-8")
    with pytest.raises(PowerMLError) as caught, named_model("net", "_gate_damaged:f", folder):
        pass
    assert "_gate_damaged cannot be imported (" in str(caught.value)
    assert "not_installed_here" in str(caught.value)


def test_what_is_no_model_is_refused() -> None:
    with (
        pytest.raises(UsageError, match=r"the test returned a dict: return a keras\.Model"),
        given_model("net", {}, "the test returned a"),
    ):
        pass
