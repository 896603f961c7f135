"""Export: a Keras model as the file that a runtime reads, and the proof that it computes the same.

Keras does the exporting; it is imported here when it is needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.backend import import_keras, keras_alone
from powerml.errors import ExportError, SetupError
from powerml.runtimes import Runtime, find_runtime, require_runtime
from powerml.workload import Workload

__all__ = [
    "CHECKED_SAMPLES",
    "TOLERANCE",
    "export_checked",
    "export_model",
    "export_topology",
    "largest_difference",
    "require_exporter",
]

# Largest absolute difference of an output, such as a probability: float32 sums in another order
# differ by some 1e-7 (the winners of benchmarks/deployment.py by up to 1.5e-7).
TOLERANCE = 1e-5
CHECKED_SAMPLES = 100
SEED = 0  # counts do not depend on the values of the weights
# What each format needs beside the backend, for torch: package and how to install it.
EXPORTERS = {
    ".onnx": (("onnx", "onnxscript"), "pip install 'powerml[torch]'"),
    ".tflite": (("litert_torch",), "pip install 'powerml[litert-export]'"),
}
KERAS_FORMATS = {".onnx": "onnx", ".tflite": "litert"}


def require_exporter(runtime: Runtime, backend: str) -> None:
    """Check that a Keras model can be exported for a runtime.

    Raises
    ------
    ExportError
        Keras exports nothing that the runtime reads.
    SetupError
        Something that the export needs is not installed.
    """
    if runtime.suffix == ".keras":
        return
    if runtime.suffix not in EXPORTERS:
        raise ExportError(f"Keras exports no {runtime.suffix} files, which {runtime.name} reads")
    packages, install = EXPORTERS[runtime.suffix]
    if backend != "torch":
        # Keras goes through TensorFlow on its other backends.
        packages, install = ("tensorflow", "tf2onnx"), "pip install tensorflow tf2onnx"
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"exporting to {runtime.name} from Keras on {backend} needs {', '.join(missing)}: "
            f"{install}, or add --runtime keras"
        )


def export_topology(workload: Workload, path: Path) -> None:
    """Build a workload's topology, untrained, and export it; the path's suffix is the format.

    Raises
    ------
    ExportError
        Keras cannot export it.
    """
    import_keras()
    from powerml import training

    with keras_alone():
        training.seed_everything(SEED)
        model = training.build_topology(workload)
    export_model(model, path, _batch_size(workload))


def _batch_size(workload: Workload) -> int:
    return 1 if workload.deployment is None else workload.deployment.batch_size


def export_model(model: Any, path: Path, batch_size: int) -> None:
    """Write a Keras model as ``.onnx``, ``.tflite`` or ``.keras``, by the path's suffix.

    The batch is left open in ONNX; LiteRT's exporter fixes it at `batch_size`.

    Raises
    ------
    ExportError
        Keras cannot export it.
    """
    import keras

    with keras_alone():
        if path.suffix == ".keras":
            model.save(path)
            return
        batch = None if path.suffix == ".onnx" else batch_size

        def described(one: Any) -> Any:
            return keras.InputSpec(shape=(batch, *one.shape[1:]), dtype=one.dtype, name=one.name)

        def zeros(one: Any) -> NDArray[Any]:
            return np.zeros((batch_size, *(size or 1 for size in one.shape[1:])), one.dtype)

        inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
        try:
            with _quietly():
                # Layers that make their weights at their first call have none before it.
                model.predict_on_batch(keras.tree.map_structure(zeros, inputs))
                model.export(
                    str(path),
                    format=KERAS_FORMATS[path.suffix],
                    verbose=False,
                    input_signature=[keras.tree.map_structure(described, inputs)],
                )
        except Exception as error:  # exporters raise whatever they like
            path.unlink(missing_ok=True)
            raise ExportError(
                f"the model {model.name} cannot be exported to {path.suffix}: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Exporters warn of what their own tracing does, and print; none of it is the user's."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def largest_difference(
    model: Any, exported: Path, runtime_name: str, inputs: NDArray[np.float32], batch_size: int
) -> float:
    """Largest absolute difference between the outputs of a Keras model and of its export.

    Parameters
    ----------
    model
        The Keras model; it has one input and one output.
    exported
        The file that the runtime reads.
    runtime_name
        What it is run in.
    inputs
        Shape (samples, ...).
    batch_size
        Samples that are run at once; the first come round again to fill the last batch.
    """
    runtime = require_runtime(runtime_name)
    runtime.start()
    session = runtime.load(str(exported), [(batch_size, *inputs.shape[1:])])
    name = session.inputs[0].name
    count = math.ceil(len(inputs) / batch_size)
    filled = inputs[np.arange(count * batch_size) % len(inputs)]
    with keras_alone():
        differences = [
            np.abs(_output(session.run({name: one})) - model.predict_on_batch(one)).max()
            for one in filled.reshape(count, batch_size, *inputs.shape[1:])
        ]
    return float(np.max(differences))  # not Python's: it would lose a NaN


def export_checked(
    saved: Path, runtime_name: str, samples: NDArray[np.float32], batch_size: int
) -> tuple[Path, float]:
    """Export a saved Keras model beside itself, once its outputs proved to be the same.

    Parameters
    ----------
    saved
        The ``.keras`` file, one of powerML's own.
    runtime_name, batch_size
        What it is to run in, and how many samples at once.
    samples
        Network inputs of shape (samples, ...), to compare the outputs on.

    Returns
    -------
    The exported file, and the largest absolute difference of an output.

    Raises
    ------
    ExportError
        It cannot be exported, or an output differs by more than `TOLERANCE`; nothing is left.
    """
    import keras

    runtime = find_runtime(runtime_name)
    model = keras.saving.load_model(saved, safe_mode=True)
    path = saved.with_suffix(runtime.suffix)
    unfinished = saved.with_name(f"unfinished{runtime.suffix}")
    try:
        export_model(model, unfinished, batch_size)
        difference = largest_difference(model, unfinished, runtime_name, samples, batch_size)
        # A NaN is no small difference.
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{saved.name} computes other outputs in {runtime_name}: they differ by up to "
                f"{difference:.2g}, more than {TOLERANCE:g}; use {saved}, or another --runtime"
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path, difference


def _output(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, list) else outputs
