"""A model's file is what its name and its content agree on; any other is named and refused."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model

from powerml.errors import ModelError, SetupError
from powerml.meters.simulator.launch import require_installed
from powerml.workloads.model_files import (
    UNREADABLE,
    check_format,
    external_files,
    format_of,
    is_model_file,
    keras_version_of,
    read_inputs,
)
from tests.files.test_foreign import LFS_POINTER

SHIPPED = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up"


def _refusal(path: Path, *allowed: str) -> ModelError:
    def look() -> None:
        check_format(path)
        read_inputs(path, allowed)

    with pytest.raises(ModelError) as caught:
        look()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).replace(str(path), path.name)) <= 300
    return caught.value


@pytest.mark.parametrize(
    ("text", "is_file"),
    [
        ("model.lite", True),
        ("model.gguf", True),
        ("saved/", True),
        ("./dffr", True),
        ("model.unheard-of", True),
        ("dffr:layers=2,width=1.5", False),
        ("dffr:layers=2,width=16", False),
        ("c:model.onnx", True),
    ],
)
def test_what_has_a_folder_or_a_suffix_is_a_file(text: str, is_file: bool) -> None:
    assert is_model_file(text) is is_file


def test_whatever_exists_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not is_model_file("resnet")
    (tmp_path / "resnet").mkdir()
    assert is_model_file("resnet")
    Path("dffr:layers=2,width=16").touch()
    assert is_model_file("dffr:layers=2,width=16")
    Path("broken").symlink_to("nowhere")
    assert is_model_file("broken")


@pytest.mark.parametrize("suffix", sorted(UNREADABLE))
def test_each_format_that_is_not_read_has_a_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"whatever")
    assert str(_refusal(path)) == f"{path} is a {suffix} file: {UNREADABLE[suffix]}"


@pytest.mark.parametrize("name", ["model.onnx", "model.keras", "model.lite", "model.h5"])
def test_a_pointer_goes_before_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LFS_POINTER)
    assert "is a Git LFS pointer, not the file itself" in str(_refusal(tmp_path / name))


def test_a_lite_file_is_a_tflite_file(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "model.lite"
    path.write_bytes((SHIPPED / "dense.tflite").read_bytes())
    assert format_of(path) == ".tflite"
    check_format(path)
    assert [one.shape for one in read_inputs(path)] == [(1, 8, 8)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"GGUF\x03\0\0\0\0", "is a .gguf file by its content"),
        (b"\x20\0\0\0ORTM\0", "is a .ort file by its content"),
        (b"\x93NUMPY\x01\0\0", "is a .npy file by its content"),
        (b"\x40\0\0\0\0\0\0\0{", "is a .safetensors file by its content: it holds weights alone"),
    ],
)
def test_another_format_under_the_name_of_a_model(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert told in str(_refusal(path))


def test_a_model_without_a_suffix_is_told_its_own(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes((SHIPPED / "dense.onnx").read_bytes())
    assert str(_refusal(path)).endswith("is .onnx by its content: rename it to blob.onnx")


@pytest.mark.parametrize("name", ["m.pt2", "m.keras"])
def test_no_code_of_a_torch_file_is_run(tmp_path: Path, name: str) -> None:
    executed = tmp_path / "executed"

    class Touch:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (executed,))

    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data/sample_inputs/model.pt", pickle.dumps(Touch()))
        archive.writestr("m/data.pkl", pickle.dumps(Touch()))
        archive.writestr("m/models/model.json", "{}")
    assert "code" in str(_refusal(path))
    assert not executed.exists()


def test_weights_that_are_a_pointer(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [weights],
    )
    path = tmp_path / "model.onnx"
    save_model(
        helper.make_model(graph),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    beside = tmp_path / "weights.bin"
    assert external_files(path) == ["weights.bin"]
    beside.write_bytes(LFS_POINTER)
    with pytest.raises(ModelError, match=r"needs its weights in .*, but that is a Git LFS pointer"):
        external_files(path)
    beside.unlink()
    beside.symlink_to("nowhere")
    with pytest.raises(ModelError, match="but that is a link to nowhere, which does not exist"):
        external_files(path)


def test_an_hdf5_file_is_made_a_keras_file_as_the_advice_says(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    legacy = tmp_path / "model.h5"
    model.save(legacy)
    path = tmp_path / "model.keras"
    legacy.rename(path)
    assert "keras.models.load_model(path, compile=False), and save it" in str(_refusal(path))
    path.rename(legacy)
    keras.models.load_model(legacy, compile=False).save(path)
    check_format(path)
    assert [one.shape[1:] for one in read_inputs(path)] == [(4,)]


def _dense(**more: object) -> dict[str, object]:
    """Configuration of a model as Keras 2.13 writes it."""
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 4], "dtype": "float32", "name": "in"},
            "registered_name": None,
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "dense", "units": 2, "activation": "linear", **more},
            "registered_name": None,
            "build_config": {"input_shape": [None, 4]},
        },
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": layers},
        "registered_name": None,
    }


def _save_keras_2(path: Path, config: dict[str, object]) -> None:
    h5py = pytest.importorskip("h5py")
    weights = path.with_suffix(".weights.h5")
    with h5py.File(weights, "w") as file:
        kept = file.create_group("_layer_checkpoint_dependencies/dense/vars")
        kept["0"], kept["1"] = np.ones((4, 2), np.float32), np.zeros(2, np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.13.1"}))
        archive.write(weights, "model.weights.h5")


def test_a_file_of_keras_2_that_keras_3_reads_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    _save_keras_2(path, _dense())
    check_format(path)
    assert keras_version_of(path) == "2.13.1"
    assert [one.shape[1:] for one in read_inputs(path)] == [(4,)]


def test_a_file_of_keras_2_that_keras_3_does_not_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    _save_keras_2(path, _dense(groups=1, notes="long " * 8000))
    error = _refusal(path)
    assert "was written by Keras 2.13.1, and Keras 3 cannot read it (" in str(error)
    assert str(error).endswith(
        "load it with the package tf_keras, and export it with tf2onnx to .onnx"
    )
    assert len(error.detail) > 40_000


@pytest.mark.parametrize("metadata", ["", "[]", '{"keras_version": 3}'])
def test_a_file_that_does_not_say_who_wrote_it(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", metadata)
    assert keras_version_of(path) is None


def test_a_path_that_is_no_utf_8_is_refused_by_a_line_that_is(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"n\xff.onnx")
    path.write_bytes((SHIPPED / "dense.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"n\\xff\.onnx is not UTF-8") as caught:
        check_format(path)
    str(caught.value).encode("utf-8")


def test_code_of_ones_own_has_to_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mycode.py").write_text("raise SystemExit('it was run')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    require_installed(["numpy.linalg", "keras"], "torch")
    with pytest.raises(SetupError, match="the module mycode is not installed where a measured"):
        require_installed(["keras", "mycode.layers"], "torch")
