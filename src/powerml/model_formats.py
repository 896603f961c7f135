"""Model files: what a file is, by its name and by its content, and what belongs to it.

A file comes from anywhere. What it is said to be is checked first, and nothing of it is run.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from powerml.errors import ModelError

__all__ = ["RUNTIME_OF", "check_format", "external_files", "file_digest", "is_model_file"]

RUNTIME_OF = {".keras": "keras", ".onnx": "onnxruntime", ".tflite": "litert"}
# Files that people keep networks in and that powerML does not read: why, and what to do.
UNREADABLE = {
    ".h5": "save it anew with model.save('model.keras')",
    ".hdf5": "save it anew with model.save('model.keras')",
    ".joblib": "it holds pickled code, which is never run: export the model to .onnx",
    ".pb": "convert it to .tflite or .onnx",
    ".pickle": "it holds pickled code, which is never run: export the model to .onnx",
    ".pkl": "it holds pickled code, which is never run: export the model to .onnx",
    ".pt": "it holds pickled code, which is never run: export the model with torch.onnx.export",
    ".pth": "it holds pickled code, which is never run: export the model with torch.onnx.export",
    ".safetensors": "it holds weights alone: export the model to .onnx",
}
HEAD_BYTES = 8
ZIP, HDF5, TFLITE, PICKLE = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"TFL3", b"\x80"
PICKLE_PROTOCOLS = range(2, 6)
# The first field of an ONNX model, as exporters write it: its version.
ONNX_VERSION, ONNX_VERSIONS = b"\x08", range(3, 32)


def is_model_file(text: str) -> bool:
    """Whether a command's argument means a file rather than a topology."""
    suffix = Path(text).suffix.lower()
    return suffix in RUNTIME_OF or suffix in UNREADABLE or os.sep in text or Path(text).is_file()


def check_format(path: Path) -> None:
    """Check that a file is there, whole, and of the format that its name says.

    Raises
    ------
    ModelError
        It is not; the message says what it is.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise ModelError(f"the model {path} cannot be read: {error.strerror}") from error
    suffix = path.suffix.lower()
    if suffix in UNREADABLE:
        raise ModelError(f"{path} is a {suffix} file: {UNREADABLE[suffix]}")
    if suffix not in RUNTIME_OF:
        known = ", ".join(sorted(RUNTIME_OF))
        raise ModelError(f"{path} is no model that powerML reads: give a file in {known}")
    if not head:
        raise ModelError(f"{path} is empty: write it anew")
    found = _format_of(head)
    if found is not None and found != suffix:
        raise ModelError(
            f"{path} is not what its name says: by its content it is {found}, not {suffix}"
        )
    {".keras": _check_keras, ".onnx": _check_onnx, ".tflite": _check_tflite}[suffix](path, head)


def _format_of(head: bytes) -> str | None:
    """What the first bytes of a file say that it is, None where they say nothing."""
    if head.startswith(ZIP):
        return ".keras"
    if head == HDF5:
        return "an HDF5 file (.h5)"
    if head[4:8] == TFLITE:
        return ".tflite"
    if head[:1] == ONNX_VERSION and head[1:2] and head[1] in ONNX_VERSIONS:
        return ".onnx"
    if head[:1] == PICKLE and head[1:2] and head[1] in PICKLE_PROTOCOLS:
        return "a pickle, which may hold code and is never loaded"
    return None


def _check_keras(path: Path, _head: bytes) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
    # An encrypted member is a RuntimeError, an unknown method a NotImplementedError, which is one.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a .keras file, or it is truncated ({error}): save it anew"
        ) from error
    if damaged is not None:
        raise ModelError(f"{path} is damaged in {damaged}: save it anew")
    if "config.json" not in names:
        raise ModelError(
            f"{path} is a zip file without config.json, so no .keras file: "
            "write it with model.save('model.keras')"
        )


def _check_tflite(path: Path, head: bytes) -> None:
    if head[4:8] != TFLITE:
        raise ModelError(f"{path} is not a .tflite file, or it is truncated: convert it anew")


def _check_onnx(path: Path, _head: bytes) -> None:
    if not _onnx_model(path).graph.node:
        raise ModelError(f"{path} is not an .onnx file, or it is truncated: export it anew")


def _onnx_model(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise ModelError(
            f"{path} is not an .onnx file, or it is truncated ({error}): export it anew"
        ) from error


def external_files(path: Path) -> list[str]:
    """Names of the files beside an ``.onnx`` file that hold its weights, relative to its folder.

    Raises
    ------
    ModelError
        One of them is missing, or lies outside of the folder.
    """
    if path.suffix.lower() != ".onnx":
        return []
    from onnx.external_data_helper import uses_external_data

    tensors = _tensors(_onnx_model(path).graph)
    names = sorted(
        {
            entry.value
            for tensor in tensors
            if uses_external_data(tensor)
            for entry in tensor.external_data
            if entry.key == "location"
        }
    )
    for name in names:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise ModelError(f"{path} keeps weights outside of its folder, in {name}: refused")
        if not (path.parent / name).is_file():
            raise ModelError(f"{path} needs its weights in {path.parent / name}: put them there")
    return names


def _tensors(graph: Any) -> Iterator[Any]:
    """All tensors of a graph, and of those inside its branches and loops."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                yield from _tensors(inner)


def file_digest(path: Path) -> str:
    """SHA-256 of a model's file and of the weights beside it."""
    digest = hashlib.sha256(path.read_bytes())
    for name in external_files(path):
        digest.update((path.parent / name).read_bytes())
    return digest.hexdigest()
