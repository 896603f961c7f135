"""Models as objects: a Keras model, or a PyTorch module with example inputs, as a file for a while.

Whoever made an object has imported its framework. Neither is imported here.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from powerml.errors import ExportError, UsageError
from powerml.networks.export import export_module, is_module
from powerml.progress import Notify
from powerml.runtimes import KERAS_SUFFIX
from powerml.spaces import Topology
from powerml.workloads.model_files import is_model_file

__all__ = ["Model", "is_model", "is_module", "is_topology", "model_in_file"]

Model = str | Path | Topology
TAKEN = "a topology, a file's path, a keras.Model, or a torch.nn.Module with example_inputs"
ONNX_SUFFIX = ".onnx"


def is_model(given: object) -> bool:
    """Return True if an object is a topology, a path, or a model of Keras or PyTorch."""
    return isinstance(given, (str, Path, Topology)) or _is_keras(given) or is_module(given)


def is_topology(given: object) -> bool:
    """Return True if an object is a topology, or names one."""
    return isinstance(given, Topology) or (isinstance(given, str) and not is_model_file(given))


def _is_keras(given: object) -> bool:
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(given, keras.Model)


@contextlib.contextmanager
def model_in_file(
    model: object, example_inputs: object, notify: Notify, name: str | None = None
) -> Iterator[Model]:
    """Yield a model as a topology or a path. A file that is made for it is removed afterwards.

    Parameters
    ----------
    model
        A topology or a path, which are yielded as they are; a ``keras.Model``; or a
        ``torch.nn.Module``, which is exported to ONNX.
    example_inputs
        A tensor or a tuple of tensors, with which the module is called; None for all else.
    notify
        Called with one line of text at each stage.
    name
        The name of the file, without its suffix; by default the model's own.

    Raises
    ------
    UsageError
        The object cannot be measured, or the example inputs do not belong to it.
    ExportError
        The module cannot be exported, or the Keras model saved.
    SetupError
        What exports it is not installed.
    """
    if example_inputs is not None and not is_module(model):
        raise UsageError("example_inputs are for a torch.nn.Module: leave them out")
    if isinstance(model, (str, Path, Topology)):
        yield model
        return
    if not is_model(model):
        raise UsageError(f"an object of type {type(model).__qualname__} is no model: give {TAKEN}")
    own = str(getattr(model, "name", None) or type(model).__name__)
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", name or own)
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        if _is_keras(model):
            path = Path(folder) / f"{stem}{KERAS_SUFFIX}"
            _save(model, path)
        else:
            path = Path(folder) / f"{stem}{ONNX_SUFFIX}"
            notify(f"exporting {own} to ONNX")
            export_module(model, _example(path.stem, example_inputs), path)
        yield path


def _save(model: Any, path: Path) -> None:
    try:
        model.save(path)
    except (OSError, TypeError, ValueError) as error:
        raise ExportError.quoting(
            f"the Keras model {path.stem} cannot be saved", error, "give the path of a file"
        ) from error


def _example(name: str, given: object) -> tuple[Any, ...]:
    """Return the inputs that a module is called with; raises ``UsageError``."""
    if given is None:
        raise UsageError(
            f"{name} is a torch.nn.Module, which does not say what it takes: give "
            "example_inputs, a tensor or a tuple of tensors"
        )
    found = given if isinstance(given, tuple) else (given,)
    torch = sys.modules["torch"]
    if not all(isinstance(one, torch.Tensor) for one in found):
        raise UsageError("example_inputs are a tensor or a tuple of tensors")
    return found
