"""Model files: ``.keras``, ``.onnx`` and ``.tflite``.

A file comes from anywhere. What it is said to be is checked first; what is read of it is data, and
code of its own is never run unless it was allowed by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras
from powerml.errors import ModelError
from powerml.runtimes import Input, Runtime, find_runtime

__all__ = [
    "RUNTIME_OF",
    "check_format",
    "check_runs",
    "external_files",
    "file_digest",
    "is_model_file",
    "load_model",
    "read_inputs",
]

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
PROBE_LIMIT_SECONDS = 600.0
# What Keras 3.15 says of a class that it does not know, and of code in a file.
UNKNOWN_OBJECT = re.compile(r"[Cc]ould not locate \w+ '[^']+'")
UNSAFE_LAMBDA = re.compile(
    r"deserializ\w+ (?:of )?a `?[Ll]ambda`?|`?[Ll]ambda`? (?:layer|object)s? "
)


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


def read_inputs(path: Path, allowed: Sequence[str] = ()) -> list[Input]:
    """Read what inputs a model takes, natively.

    Raises
    ------
    ModelError
        The file cannot be read, or holds code that was not allowed.
    """
    runtime = find_runtime(RUNTIME_OF[path.suffix.lower()])
    if runtime.suffix != ".keras":
        return _probe(runtime, path, None)
    return list(_keras_session(path, allowed).inputs)


def _keras_session(path: Path, allowed: Sequence[str]) -> Any:
    import_keras()
    from powerml.runtimes.keras import LAMBDA, runtime

    try:
        return runtime.load(str(path), None, allowed)
    except ModelError:
        raise
    except Exception as error:  # Keras raises whatever it likes
        text = " ".join(str(error).split())
        if unknown := UNKNOWN_OBJECT.search(text):
            raise ModelError(
                f"{path} needs code that is not in the file ({unknown[0]}): allow "
                "it with --allow-code module:Name, of a module that is installed"
            ) from error
        if UNSAFE_LAMBDA.search(text) and LAMBDA not in allowed:
            raise ModelError(
                f"{path} holds code of its own (a Lambda layer), which is not run: "
                f"allow it with --allow-code {LAMBDA} if you trust the file"
            ) from error
        raise ModelError(f"{path} cannot be loaded by Keras: {text}") from error


def load_model(path: Path, allowed: Sequence[str] = ()) -> Any:
    """Load a ``.keras`` file whose inputs were read already, without its optimizer."""
    import_keras()
    from powerml.runtimes.keras import load_keras

    return load_keras(str(path), allowed, compile_too=False)


def check_runs(path: Path, runtime: Runtime, inputs: Sequence[NDArray[Any]]) -> None:
    """Run a model once, natively, on its first inputs; they are in the order of the model's.

    Raises
    ------
    ModelError
        It does not run; the message is what the runtime says.
    """
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "inputs.npz"
        np.savez(arrays, *[array[0] for array in inputs])
        _probe(runtime, path, arrays)


def _probe(runtime: Runtime, path: Path, inputs: Path | None) -> list[Input]:
    question = json.dumps(
        {
            "runtime": runtime.name,
            "path": str(path.absolute()),
            "inputs": None if inputs is None else str(inputs),
        }
    )
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "powerml.runtimes.probe"],
            input=question,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_LIMIT_SECONDS,
            check=False,
        )
        answer = json.loads(ended.stdout)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{path} did not run once within {PROBE_LIMIT_SECONDS:.0f} s in {runtime.name}"
        ) from error
    except json.JSONDecodeError as error:
        code = ended.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise ModelError(
            f"{path} took {runtime.name} down ({how}): it is damaged, or made for another version"
        ) from error
    if "error" in answer:
        raise ModelError(f"{path} cannot be run in {runtime.name}: {answer['error']}")
    return [Input(**{**one, "shape": tuple(one["shape"])}) for one in answer["inputs"]]
