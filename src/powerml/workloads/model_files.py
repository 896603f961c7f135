"""Model files: their format, their model's inputs, and a test run.

Code in a file is never run unless it was allowed by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras
from powerml.errors import ModelError, SetupError, text_of
from powerml.files.foreign import fault_of_path
from powerml.files.texts import is_utf_8, printable
from powerml.runtimes import KERAS_SUFFIX, Input, Runtime, find_runtime, runtimes_by_suffix

__all__ = [
    "Probe",
    "check_format",
    "external_files",
    "file_digest",
    "format_of",
    "is_model_file",
    "keras_version_of",
    "load_model",
    "read_inputs",
    "runtime_of",
]

PICKLED = "it holds pickled code, which is never run"
TO_ONNX = "export the model to .onnx"
TO_ONNX_FROM_TORCH = "export the model with torch.onnx.export"
SAVE_HDF5 = (
    "load it as .h5 with keras.models.load_model(path, compile=False), and save it as .keras"
)
# torch.export.load falls back to unrestricted unpickling, and evaluates expressions for shapes.
RUNS_CODE_TO_LOAD = (
    "loading it may run code of its own, so powerML does not; if you trust it, write an .onnx with "
    "torch.onnx.export(torch.export.load(path), f=to)"
)
WEIGHTS_ALONE = f"it holds weights alone: {TO_ONNX}"
APPLES = f"it runs on Apple's systems alone: {TO_ONNX}"
# Files that people keep networks in and that powerML does not read: why, and what to do.
UNREADABLE = {
    ".bin": f"it holds weights alone, or part of another file: {TO_ONNX}",
    ".caffemodel": f"Caffe is not supported: {TO_ONNX}",
    ".ckpt": f"it holds weights, often pickled: {TO_ONNX}",
    ".dlc": f"it runs on one vendor's chips: {TO_ONNX}",
    ".engine": "it is compiled by TensorRT for one GPU: give the .onnx that it was made from",
    ".gguf": f"it holds weights for llama.cpp, which powerML does not run: {TO_ONNX}",
    ".ggml": f"it holds weights for llama.cpp, which powerML does not run: {TO_ONNX}",
    ".h5": SAVE_HDF5,
    ".hdf5": SAVE_HDF5,
    ".jit": f"TorchScript runs code of its own: {TO_ONNX_FROM_TORCH}",
    ".joblib": f"{PICKLED}: {TO_ONNX}",
    ".json": f"it describes a model without its weights, or in another format: {TO_ONNX}",
    ".mar": f"it is a TorchServe archive, which holds code: {TO_ONNX_FROM_TORCH}",
    ".mlmodel": APPLES,
    ".mlpackage": APPLES,
    ".mnn": f"MNN is not supported: {TO_ONNX}",
    ".msgpack": WEIGHTS_ALONE,
    ".npy": "it holds an array: give it in an .npz to --data",
    ".npz": "it holds arrays, as --data takes them: give a model",
    ".ort": "it is ONNX Runtime's own format: give the .onnx that it was made from",
    ".pb": "convert it to .tflite or .onnx, as with python -m tf2onnx.convert",
    ".pbtxt": "convert it to .tflite or .onnx, as with python -m tf2onnx.convert",
    ".pdiparams": "convert it with paddle2onnx, and give the .onnx",
    ".pdmodel": "convert it with paddle2onnx, and give the .onnx",
    ".pickle": f"{PICKLED}: {TO_ONNX}",
    ".pkl": f"{PICKLED}: {TO_ONNX}",
    ".plan": "it is compiled by TensorRT for one GPU: give the .onnx that it was made from",
    ".prototxt": f"Caffe is not supported: {TO_ONNX}",
    ".pt": f"{PICKLED}: {TO_ONNX_FROM_TORCH}",
    ".pt2": RUNS_CODE_TO_LOAD,
    ".pte": f"ExecuTorch is not supported: {TO_ONNX_FROM_TORCH}",
    ".pth": f"{PICKLED}: {TO_ONNX_FROM_TORCH}",
    ".ptl": f"TorchScript runs code of its own: {TO_ONNX_FROM_TORCH}",
    ".rknn": f"it runs on one vendor's chips: {TO_ONNX}",
    ".safetensors": WEIGHTS_ALONE,
    ".trt": "it is compiled by TensorRT for one GPU: give the .onnx that it was made from",
    ".ubj": f"XGBoost's own format is not read: {TO_ONNX}",
    ".weights": WEIGHTS_ALONE,
    ".xml": "it is OpenVINO's own format: give the .onnx that it was made from",
}
HEAD_BYTES = 9
LARGEST_METADATA = 10_000
# Names in the zip files that PyTorch writes.
TORCH_PICKLE = {"data.pkl", "constants.pkl"}
PROBE_LIMIT_SECONDS = 600.0
PIPE_BYTES = 2**16
# What Keras 3.15 says of a class that it does not know, and of code in a file.
UNKNOWN_OBJECT = re.compile(r"[Cc]ould not locate \w+ '[^']+'")
KERAS_2_ADVICE = "load it with the package tf_keras, and export it with tf2onnx to .onnx"
UNSAFE_LAMBDA = re.compile(
    r"deserializ\w+ (?:of )?a `?[Ll]ambda`?|`?[Ll]ambda`? (?:layer|object)s? "
)
# The first bytes of other formats, from a place on.
MAGIC_OF_OTHERS = (
    (0, b"\x89HDF\r\n\x1a\n", ".h5"),
    (0, b"GGUF", ".gguf"),
    (0, b"\x93NUMPY", ".npy"),
    (4, b"ORTM", ".ort"),
    # The protocols of pickle.
    *((0, bytes((128, protocol)), ".pkl") for protocol in range(2, 6)),
    # The length of a header, and the header, which is JSON.
    (8, b"{", ".safetensors"),
)


def is_model_file(text: str) -> bool:
    """Tell a file from a topology in a command's argument.

    An existing path is a file. So is a text with a folder or a suffix, without parameters after a
    colon.
    """
    if os.path.lexists(text):
        return True
    path = Path(text)
    has_parameters = ":" in text and path.suffix.lower() not in {*runtimes_by_suffix(), *UNREADABLE}
    return os.sep in text or (bool(path.suffix) and not has_parameters)


def format_of(path: Path) -> str:
    """Return a model's format as the suffix that it usually has, in lower case."""
    suffix = path.suffix.lower()
    name = runtimes_by_suffix().get(suffix)
    return suffix if name is None else find_runtime(name).format.suffix


def runtime_of(path: Path) -> str:
    """Return the name of the runtime that a file is made for; call `check_format` before."""
    return runtimes_by_suffix()[path.suffix.lower()]


def check_format(path: Path) -> None:
    """Check that a file is there, whole, and of its name's format.

    Raises
    ------
    ModelError
        It is not; the message names what it is.
    """
    head = _head_of(path)
    suffix = path.suffix.lower()
    if suffix in UNREADABLE:
        raise ModelError(f"{path} is a {suffix} file: {UNREADABLE[suffix]}")
    found = _format_of(head)
    readable = runtimes_by_suffix()
    if suffix not in readable:
        known = ", ".join(sorted(readable))
        if found in readable:
            raise ModelError(f"{path} is {found} by its content: rename it to {path.name}{found}")
        raise ModelError(f"{path} is no model that powerML reads: give a file in {known}")
    if found in UNREADABLE:
        raise ModelError(f"{path} is a {found} file by its content: {UNREADABLE[found]}")
    if found is not None and found != format_of(path):
        raise ModelError(
            f"{path} is not what its name says: by its content it is {found}, not {suffix}"
        )
    check = {KERAS_SUFFIX: _check_keras, ".onnx": _check_onnx}.get(format_of(path))
    if check is not None:
        check(path)
    elif found is None and find_runtime(readable[suffix]).format.magic:
        raise ModelError(
            f"{path} is not a {format_of(path)} file, or it is truncated: convert it again"
        )


def _head_of(path: Path) -> bytes:
    if fault := fault_of_path(path):
        raise ModelError(f"{path} {fault}")
    if not is_utf_8(str(path)):
        raise ModelError(
            f"the path {printable(str(path))} is not UTF-8, so runtimes cannot open it: rename it"
        )
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _format_of(head: bytes) -> str | None:
    """Return the format by the first bytes of a file, None if they are unknown."""
    formats = [find_runtime(name).format for name in runtimes_by_suffix().values()]
    known = [(place, magic, one.suffix) for one in formats for place, magic in one.magic]
    signatures = [*known, *MAGIC_OF_OTHERS]
    return next(
        (suffix for place, magic, suffix in signatures if head[place:].startswith(magic)), None
    )


def _check_keras(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            names = archive.namelist()
    # An encrypted member is a RuntimeError, an unknown method a NotImplementedError, which is one.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise ModelError.quoting(
            f"{path} is not a .keras file, or it is truncated", error, "save it again"
        ) from error
    if damaged is not None:
        raise ModelError(f"{path} is damaged in {damaged}: save it again")
    if TORCH_PICKLE.intersection(PurePosixPath(name).name for name in names):
        raise ModelError(f"{path} is a PyTorch file by its content: {UNREADABLE['.pt']}")
    outside = next((name for name in names if _lies_outside(name)), None)
    if outside is not None:
        raise ModelError(
            f"{path} holds {printable(outside)}, which lies outside of what it is unpacked into: "
            "refused; save it again"
        )
    if "config.json" not in names:
        raise ModelError(
            f"{path} is a zip file without config.json, so no .keras file: "
            "write it with model.save('model.keras')"
        )


def _lies_outside(name: str) -> bool:
    """Return whether a path leads out of the folder that it is relative to."""
    place = PurePosixPath(name)
    return place.is_absolute() or ".." in place.parts


def keras_version_of(path: Path) -> str | None:
    """Return the version of Keras that wrote a ``.keras`` file, None if it is not recorded."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("metadata.json") as file:
            version = json.loads(file.read(LARGEST_METADATA)).get("keras_version")
    # Nested too deeply is a RecursionError, which is a RuntimeError.
    except (OSError, ValueError, LookupError, AttributeError, RuntimeError, zipfile.BadZipFile):
        return None
    return version if isinstance(version, str) else None


def _check_onnx(path: Path) -> None:
    if not _onnx_model(path).graph.node:
        raise ModelError(f"{path} is not an .onnx file, or it is truncated: export it again")


def _onnx_model(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise ModelError.quoting(
            f"{path} is not an .onnx file, or it is truncated", error, "export it again"
        ) from error


def external_files(path: Path) -> list[str]:
    """Names of the files beside an ``.onnx`` file that hold its weights, relative to its folder.

    Raises
    ------
    ModelError
        One of them is missing, or lies outside of the folder.
    """
    if format_of(path) != ".onnx":
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
        if _lies_outside(name):
            raise ModelError(f"{path} keeps weights outside of its folder, in {name}: refused")
        weights = path.parent / name
        if not os.path.lexists(weights):
            raise ModelError(f"{path} needs its weights in {weights}: put them there")
        if fault := fault_of_path(weights):
            raise ModelError(f"{path} needs its weights in {weights}, but that {fault}")
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
    """Read a model's inputs, natively.

    Raises
    ------
    ModelError
        The file cannot be read, or holds code that was not allowed.
    """
    runtime = find_runtime(runtime_of(path))
    if runtime.format.suffix != KERAS_SUFFIX:
        with Probe(path, runtime) as probe:
            return probe.inputs()
    return list(_keras_session(path, allowed).inputs)


def _keras_session(path: Path, allowed: Sequence[str]) -> Any:
    import_keras()
    from powerml.runtimes.keras import LAMBDA, runtime

    try:
        return runtime.load(str(path), None, allowed)
    except ModelError:
        raise
    except Exception as error:  # Keras raises whatever it likes
        text = " ".join(text_of(error).split())
        is_unsafe = UNSAFE_LAMBDA.search(text) and LAMBDA not in allowed
        written_by = keras_version_of(path) or ""
        if written_by.startswith("2.") and not is_unsafe:
            raise ModelError.quoting(
                f"{path} was written by Keras {written_by}, and Keras 3 cannot read it",
                text,
                KERAS_2_ADVICE,
            ) from error
        if unknown := UNKNOWN_OBJECT.search(text):
            raise ModelError(
                f"{path} needs code that is not in the file ({unknown[0]}): allow "
                "it with --allow-code module:Name, of a module that is installed"
            ) from error
        if is_unsafe:
            raise ModelError(
                f"{path} holds code of its own (a Lambda layer), which is not run: "
                f"allow it with --allow-code {LAMBDA} if you trust the file"
            ) from error
        raise ModelError.quoting(
            f"{path} cannot be loaded by Keras", text, "save it again with this Keras"
        ) from error


def load_model(path: Path, allowed: Sequence[str] = ()) -> Any:
    """Load a ``.keras`` file whose inputs were read already, without its optimizer."""
    import_keras()
    from powerml.runtimes.keras import load_keras

    return load_keras(str(path), allowed, compile_too=False)


class Probe:
    """A process that looks at a model natively, which a damaged one may take down.

    It starts at once, and reads the model while others do something else. It is a context manager,
    and ends with its context.

    Parameters
    ----------
    path
        The model's file.
    runtime
        The runtime that reads and runs it.
    """

    def __init__(self, path: Path, runtime: Runtime) -> None:
        self._path = path
        self._runtime = runtime
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "powerml.runtimes.probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._ask({"runtime": runtime.name, "path": str(path.absolute())})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def inputs(self) -> list[Input]:
        """Return the model's inputs; ask once.

        Raises
        ------
        ModelError
            The file cannot be read.
        SetupError
            The runtime cannot be imported.
        """
        found = self._answer()["inputs"]
        return [Input(**{**one, "shape": tuple(one["shape"])}) for one in found]

    def check_runs(self, inputs: Sequence[NDArray[Any]]) -> None:
        """Run the model once, on its first inputs, in its order; ask once, after `inputs`.

        Raises
        ------
        ModelError
            It does not run; the message is the runtime's.
        """
        with tempfile.TemporaryDirectory() as folder:
            arrays = Path(folder) / "inputs.npz"
            np.savez(arrays, *[array[0] for array in inputs])
            self._ask({"arrays": str(arrays)})
            self._answer()

    def _ask(self, question: dict[str, str]) -> None:
        if self._process.stdin is None:
            raise AssertionError
        with contextlib.suppress(BrokenPipeError):  # it has ended, and gives no answer
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        """Return the answer to the last question; the process ends with an error."""
        try:
            answer = json.loads(self._line())
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"{self._path} did not run once within {PROBE_LIMIT_SECONDS:.0f} s in "
                f"{self._runtime.name}"
            ) from error
        except ValueError as error:
            code = self._process.wait()
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise ModelError(
                f"{self._path} took {self._runtime.name} down ({how}): it is damaged, or made for "
                "another version"
            ) from error
        if "not_started" in answer:
            raise SetupError.quoting(
                f"{self._runtime.name} cannot be imported",
                answer["not_started"],
                f"install it again ({self._runtime.install}), or take a module of that name off "
                "PYTHONPATH",
            )
        if "error" in answer:
            raise ModelError.quoting(
                f"{self._path} cannot be run in {self._runtime.name}",
                answer["error"].replace(str(self._path.absolute()), self._path.name),
                "export it again, or for this version",
            )
        found: dict[str, Any] = answer
        return found

    def _line(self) -> bytes:
        """Return the next line, or what there is of it at the end; raises ``TimeoutExpired``."""
        stream = self._process.stdout
        if stream is None:
            raise AssertionError
        deadline = time.monotonic() + PROBE_LIMIT_SECONDS
        line = b""
        while not line.endswith(b"\n"):
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stream], [], [], left)[0]:
                raise subprocess.TimeoutExpired(self._process.args, PROBE_LIMIT_SECONDS)
            part = os.read(stream.fileno(), PIPE_BYTES)
            if not part:
                self._process.wait(left)
                break
            line += part
        return line
