"""A file that is not what it is called is named for what it is, with what to do about it."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from powerml.files.foreign import fault_of_path

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (LFS_POINTER, "is a Git LFS pointer, not the file itself: run git lfs install and git lfs"),
        (b"<!DOCTYPE html><html>", "is an HTML page, such as a site shows in place of a file"),
        (b"\xef\xbb\xbf\r\n <HTML lang=en>", "is an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "is an XML document"),
        (gzip.compress(b"model", mtime=0), "is a gzip archive: unpack it and give the file inside"),
        (b"BZh91AY&SY", "is a bzip2 archive"),
        (b"\x28\xb5\x2f\xfd\x24", "is a Zstandard archive"),
        (b"7z\xbc\xaf\x27\x1c\x00", "is a 7-Zip archive"),
        (b"\x89PNG\r\n\x1a\n", "is a PNG picture"),
        (b"\x7fELF\x02", "is a program (ELF)"),
        (b"", "is empty: fetch or write it again"),
        (bytes(5000), "holds zeros, as a download that was broken off"),
        (b'{"error": "Repository not found"}', "is a message in JSON, 'Repository not found'"),
        (b'{"message": "Bad credentials"}', "is a message in JSON, 'Bad credentials'"),
    ],
)
def test_a_download_that_went_wrong(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    fault = fault_of_path(path)
    assert fault is not None
    assert fault.startswith(told)


def test_a_tar_archive(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "test.py")
    assert fault_of_path(path) == "is a tar archive: unpack it and give the file inside"


@pytest.mark.parametrize("content", [b"\x08\x07\x12", b"PK\x03\x04", b"{}", b"title = 1", bytes(9)])
def test_other_content_is_for_its_reader_to_judge(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert fault_of_path(path) is None


def test_json_that_is_no_message_is_for_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"schema": "powerml.calibration/2"}), encoding="utf-8")
    assert fault_of_path(path) is None


def test_a_link_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.symlink_to("../blobs/abc")
    told = "is a link to ../blobs/abc, which does not exist: fetch that file, or link it again"
    assert fault_of_path(path) == told


def test_a_missing_file_offers_the_nearest_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "resnet50.onnx").touch()
    told = f"does not exist: did you mean {str(tmp_path / 'resnet50.onnx')!r}?"
    assert fault_of_path(tmp_path / "resnet.onnx") == told
    assert fault_of_path(tmp_path / "ResNet50.ONNX") == told
    assert fault_of_path(tmp_path / "bert.onnx") == "does not exist: give the path of a file"
    told = f"does not exist, nor does its folder {tmp_path / 'none'}: give the path of a file"
    assert fault_of_path(tmp_path / "none" / "m.onnx") == told


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["saved_model.pb"], "is a TensorFlow SavedModel: convert it with tf.lite.TFLiteConverter"),
        (["Manifest.json"], "is a Core ML package, which runs on Apple's systems alone"),
        (["config.json", "model.safetensors"], "is a Hugging Face folder: export it with optimum"),
        (["config.json", "pytorch_model.bin"], "is a Hugging Face folder"),
        (["config.json", "model.weights.h5"], "is an unpacked .keras file: pack its files into"),
        (["checkpoint"], "is a folder of checkpoints, which are weights alone"),
        (["b.onnx", "a.tflite"], "is a folder: give a file in it, such as a.tflite"),
        ([], "is a folder: give a file"),
    ],
)
def test_a_folder_is_named_for_what_is_in_it(tmp_path: Path, files: list[str], told: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    fault = fault_of_path(tmp_path)
    assert fault is not None
    assert fault.startswith(told)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    assert fault_of_path(tmp_path / "model.onnx") == "is no regular file: give a file"
