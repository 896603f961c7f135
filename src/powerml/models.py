"""Model files: what they take, and whether they run.

Code of a file's own is never run unless it was allowed by name.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras
from powerml.errors import ModelError, SetupError
from powerml.model_formats import RUNTIME_OF, keras_version_of
from powerml.runtimes import Input, Runtime, find_runtime

__all__ = ["check_runs", "load_model", "read_inputs"]

PROBE_LIMIT_SECONDS = 600.0
# What Keras 3.15 says of a class that it does not know, and of code in a file.
UNKNOWN_OBJECT = re.compile(r"[Cc]ould not locate \w+ '[^']+'")
KERAS_2_ADVICE = "load it with the package tf_keras, and export it with tf2onnx to .onnx"
UNSAFE_LAMBDA = re.compile(
    r"deserializ\w+ (?:of )?a `?[Ll]ambda`?|`?[Ll]ambda`? (?:layer|object)s? "
)


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
            f"{path} cannot be loaded by Keras", text, "save it anew with this Keras"
        ) from error


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
    if "not_started" in answer:
        raise SetupError.quoting(
            f"{runtime.name} cannot be imported",
            answer["not_started"],
            f"install it again ({runtime.install}), or take a module of that name off PYTHONPATH",
        )
    if "error" in answer:
        raise ModelError.quoting(
            f"{path} cannot be run in {runtime.name}",
            answer["error"].replace(str(path.absolute()), path.name),
            "export it anew, or for this version",
        )
    return [Input(**{**one, "shape": tuple(one["shape"])}) for one in answer["inputs"]]
