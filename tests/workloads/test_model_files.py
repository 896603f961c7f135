"""Model files come from anywhere: what is wrong with one is said in one line, and no code runs."""

from __future__ import annotations

import importlib
import os
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

from powerml.errors import ModelError
from powerml.runtimes import Input, find_runtime
from powerml.workloads import model_files
from powerml.workloads.model_files import (
    Probe,
    check_format,
    external_files,
    file_digest,
    is_model_file,
    read_inputs,
)

SHIPPED = Path(__file__).parents[2] / "src" / "powerml" / "guest" / "warm_up"
MATMUL = (
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 3] x) => (float[N, 2] y)'
    " { y = MatMul(x, w) }"
)


def _shipped(suffix: str) -> Path:
    return SHIPPED / f"dense{suffix}"


def _copy(suffix: str, path: Path) -> Path:
    path.write_bytes(_shipped(suffix).read_bytes())
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _save_onnx(path: Path, text: str) -> Path:
    onnx.save(parser.parse_model(text), path)
    return path


def _save_with_weights_beside(path: Path, location: str) -> bytes:
    """Write an ``.onnx`` file without its weights; returns them."""
    model = parser.parse_model(MATMUL)
    tensor = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "w")
    weights: bytes = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(weights)))):
        tensor.external_data.add(key=key, value=value)
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    return weights


def _read(path: Path, *allowed: str) -> list[Input]:
    check_format(path)
    return read_inputs(path, allowed)


def _refusal(act: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "is_file"),
    [
        ("model.onnx", True),
        ("model.KERAS", True),
        ("model.tflite", True),
        ("weights.pt", True),
        ("folder/model", True),
        ("dffr:layers=2,width=16", False),
        ("dffr", False),
    ],
)
def test_what_is_a_file_and_what_a_topology(text: str, is_file: bool) -> None:
    assert is_model_file(text) is is_file


@pytest.mark.parametrize("suffix", [".keras", ".onnx", ".tflite"])
def test_whole_files_are_read(suffix: str) -> None:
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert")
    (found,) = _read(_shipped(suffix))
    assert found.shape[1:] == (8, 8)
    assert found.dtype == "float32"
    # LiteRT's exporter fixes the batch.
    assert (found.shape[0] == 1) is (suffix == ".tflite")


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".keras", ".onnx", ".tflite"])
def test_truncated_files(tmp_path: Path, suffix: str, part: float) -> None:
    if suffix == ".tflite":
        pytest.importorskip("ai_edge_litert")
    whole = _shipped(suffix).read_bytes()
    path = _written(tmp_path / f"model{suffix}", whole[: int(len(whole) * part)])
    message = _refusal(lambda: _read(path))
    assert message.startswith(str(path))
    told = "not a valid Flatbuffer" if suffix == ".tflite" else "or it is truncated"
    assert told in message


@pytest.mark.parametrize(
    ("content", "suffix", "told"),
    [
        (".keras", ".onnx", "by its content it is .keras, not .onnx"),
        (".keras", ".tflite", "by its content it is .keras, not .tflite"),
        (".tflite", ".onnx", "by its content it is .tflite, not .onnx"),
        (".tflite", ".keras", "by its content it is .tflite, not .keras"),
        (".onnx", ".keras", "by its content it is .onnx, not .keras"),
        (".onnx", ".tflite", "by its content it is .onnx, not .tflite"),
    ],
)
def test_a_file_of_another_format_than_its_name_says(
    tmp_path: Path, content: str, suffix: str, told: str
) -> None:
    path = _copy(content, tmp_path / f"model{suffix}")
    assert told in _refusal(lambda: check_format(path))


@pytest.mark.parametrize("suffix", [".keras", ".onnx", ".tflite"])
def test_hdf5_and_pickles_under_another_name(tmp_path: Path, suffix: str) -> None:
    hdf5 = tmp_path / f"hdf5{suffix}"
    with importlib.import_module("h5py").File(hdf5, "w") as file:
        file["weights"] = np.ones(3)
    assert "is a .h5 file by its content: load it as .h5" in _refusal(lambda: check_format(hdf5))
    executed = tmp_path / "executed"
    touching = f"cpathlib\nPath.touch\n(cpathlib\nPath\n(V{executed}\ntRtR.".encode()
    pickled = _written(tmp_path / f"pickle{suffix}", b"\x80\x04" + touching)
    told = "is a .pkl file by its content: it holds pickled code, which is never run"
    assert told in _refusal(lambda: check_format(pickled))
    assert not executed.exists()


@pytest.mark.parametrize(
    ("suffix", "told"),
    [
        (".pt", "pickled code, which is never run: export the model with torch.onnx.export"),
        (".pth", "pickled code, which is never run"),
        (".pkl", "pickled code, which is never run: export the model to .onnx"),
        (".PKL", "is a .pkl file"),
        (".h5", "keras.models.load_model(path, compile=False), and save it as .keras"),
        (".safetensors", "holds weights alone"),
        (".txt", "no model that powerML reads: give a file in .keras, .lite, .onnx"),
        ("", "no model that powerML reads"),
    ],
)
def test_formats_that_are_not_read(tmp_path: Path, suffix: str, told: str) -> None:
    path = _written(tmp_path / f"model{suffix}", b"whatever")
    assert told in _refusal(lambda: check_format(path))


@pytest.mark.parametrize("suffix", [".keras", ".onnx", ".tflite"])
def test_empty_and_missing_files_and_folders(tmp_path: Path, suffix: str) -> None:
    empty = _written(tmp_path / f"empty{suffix}", b"")
    assert _refusal(lambda: check_format(empty)) == f"{empty} is empty: fetch or write it again"
    missing = tmp_path / f"emptyy{suffix}"
    told = f"{missing} does not exist: did you mean {str(empty)!r}?"
    assert _refusal(lambda: check_format(missing)) == told
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    assert "is a folder: give a file" in _refusal(lambda: check_format(folder))


@pytest.mark.parametrize("suffix", [".keras", ".onnx", ".tflite"])
@pytest.mark.parametrize(
    "content",
    [
        b"P",
        b"\x00",
        b"TFL3",
        (b"\x80"),
    ],
)
def test_a_few_bytes_are_no_model(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = _written(tmp_path / f"model{suffix}", content)
    assert f"is not an {suffix}" in _refusal(lambda: check_format(path)).replace(" a .", " an .")


def test_a_zip_file_that_is_no_keras_file(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "nothing")
    assert "a zip file without config.json" in _refusal(lambda: check_format(path))


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "assets/../../escaped"])
def test_a_keras_file_that_would_be_unpacked_elsewhere_is_refused(
    tmp_path: Path, name: str
) -> None:
    path = _written(tmp_path / "model.keras", _shipped(".keras").read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    told = f"holds {name}, which lies outside of what it is unpacked into: refused"
    assert told in _refusal(lambda: check_format(path))


def test_a_damaged_keras_file_names_the_damaged_part(tmp_path: Path) -> None:
    whole = bytearray(_shipped(".keras").read_bytes())
    whole[whole.index(b'"class_name"')] ^= 0xFF
    path = _written(tmp_path / "model.keras", bytes(whole))
    assert "is damaged in config.json: save it again" in _refusal(lambda: check_format(path))


def _deflated_and_damaged(path: Path) -> None:
    with (
        zipfile.ZipFile(_shipped(".keras")) as given,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        packed.writestr("config.json", given.read("config.json"))
    content = bytearray(path.read_bytes())
    for place in range(50, 100):
        content[place] ^= 0xFF
    path.write_bytes(content)


def _changed_in_both_headers(path: Path, local: int, central: int, value: int) -> None:
    content = bytearray(_shipped(".keras").read_bytes())
    content[local] = value
    content[content.index(b"PK\x01\x02") + central] = value
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["deflated", "encrypted", "method"])
def test_zip_files_that_cannot_be_unpacked(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "model.keras"
    if damage == "deflated":
        _deflated_and_damaged(path)  # zlib.error
    elif damage == "encrypted":
        _changed_in_both_headers(path, 6, 8, 1)  # RuntimeError
    else:
        _changed_in_both_headers(path, 8, 10, 99)  # NotImplementedError
    assert "save it again" in _refusal(lambda: check_format(path))


def test_a_keras_file_without_a_model_in_it(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert "cannot be loaded by Keras" in _refusal(lambda: _read(path))


def test_weights_beside_an_onnx_file_are_found_and_part_of_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    weights = _save_with_weights_beside(path, "model.onnx.data")
    beside = _written(tmp_path / "model.onnx.data", weights)
    assert external_files(path) == ["model.onnx.data"]
    assert _read(path) == [Input(name="x", shape=("N", 3), dtype="float32")]
    before = file_digest(path)
    beside.write_bytes(weights[::-1])
    assert file_digest(path) != before


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    _save_with_weights_beside(path, "weights.bin")
    told = f"{path} needs its weights in {tmp_path / 'weights.bin'}: put them there"
    assert _refusal(lambda: external_files(path)) == told


@pytest.mark.parametrize("place", ["../weights.bin", "sub/../../weights.bin", "absolute"])
def test_weights_outside_of_the_folder_are_refused(tmp_path: Path, place: str) -> None:
    outside = tmp_path / "weights.bin"
    location = str(outside) if place == "absolute" else place
    folder = tmp_path / "model"
    folder.mkdir()
    outside.write_bytes(_save_with_weights_beside(folder / "model.onnx", location))
    told = f"keeps weights outside of its folder, in {location}: refused"
    assert told in _refusal(lambda: external_files(folder / "model.onnx"))
    with pytest.raises(ModelError):
        _read(folder / "model.onnx")


def test_links_to_a_model_and_its_weights_as_in_the_cache_of_a_hub(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    _written(blobs / "bbb", _save_with_weights_beside(blobs / "aaa", "weights.bin"))
    (snapshot / "model.onnx").symlink_to("../blobs/aaa")
    (snapshot / "weights.bin").symlink_to("../blobs/bbb")
    assert external_files(snapshot / "model.onnx") == ["weights.bin"]
    assert [one.name for one in _read(snapshot / "model.onnx")] == ["x"]


def test_other_files_have_no_weights_beside_them() -> None:
    assert external_files(_shipped(".keras")) == external_files(_shipped(".tflite")) == []


def test_an_operator_that_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    path = _save_onnx(
        tmp_path / "model.onnx",
        '<ir_version: 8, opset_import: ["": 17, "mine": 1]> g (float[N, 3] x) => (float[N, 3] y)'
        " { y = mine.Frobnicate(x) }",
    )
    message = _refusal(lambda: _read(path))
    assert message.startswith(f"{path} cannot be run in onnxruntime (")
    assert "mine:Frobnicate" in message


def test_a_model_that_does_not_run_says_what_the_runtime_says(tmp_path: Path) -> None:
    path = _save_onnx(
        tmp_path / "model.onnx",
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, M] x, float[3, 2] w)'
        " => (float[N, 2] y) { y = MatMul(x, w) }",
    )
    runtime = find_runtime("onnxruntime")
    weights = np.zeros((1, 3, 2), np.float32)
    fitting, other = (np.zeros((1, 1, n), np.float32) for n in (3, 4))
    with Probe(path, runtime) as probe:
        assert [one.name for one in probe.inputs()] == ["x", "w"]
        probe.check_runs([fitting, weights])
    with Probe(path, runtime) as probe:
        probe.inputs()
        message = _refusal(lambda: probe.check_runs([other, weights]))
    assert message.startswith(f"{path} cannot be run in onnxruntime (")
    assert "dimension mismatch" in message


def _as_the_probe(monkeypatch: pytest.MonkeyPatch, path: Path, script: str) -> None:
    """Have a shell script stand in for the process that looks at model_files."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("kill -SEGV $$", "took onnxruntime down (SIGSEGV): it is damaged, or made for another"),
        ("kill -ABRT $$", "took onnxruntime down (SIGABRT)"),
        ("exit 7", "took onnxruntime down (exit code 7)"),
        ("exit 0", "took onnxruntime down (exit code 0)"),
        ("echo half of an answer", "took onnxruntime down (exit code 0)"),
    ],
)
def test_a_model_that_takes_the_runtime_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    _as_the_probe(monkeypatch, tmp_path / "probe", script)
    message = _refusal(lambda: read_inputs(_shipped(".onnx")))
    assert message.startswith(f"{_shipped('.onnx')} {told}")


def test_a_model_that_takes_the_runtime_down_when_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """read question; echo '{"inputs": []}'; read question; kill -SEGV $$"""
    _as_the_probe(monkeypatch, tmp_path / "probe", script)
    with Probe(_shipped(".onnx"), find_runtime("onnxruntime")) as probe:
        assert probe.inputs() == []
        assert "took onnxruntime down (SIGSEGV)" in _refusal(lambda: probe.check_runs([]))


def test_what_a_runtime_prints_need_not_be_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_the_probe(monkeypatch, tmp_path / "probe", "printf 'op \\377\\376' >&2; kill -SEGV $$")
    assert "SIGSEGV" in _refusal(lambda: read_inputs(_shipped(".onnx")))


def test_a_model_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as_the_probe(monkeypatch, tmp_path / "probe", "exec sleep 60")
    monkeypatch.setattr(model_files, "PROBE_LIMIT_SECONDS", 0.3)
    assert "did not run once within 0 s" in _refusal(lambda: read_inputs(_shipped(".onnx")))
