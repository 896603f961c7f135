"""Models as objects: a Keras model, or a PyTorch module with example inputs, as a file for a while.

Whoever made an object has imported its framework. Neither is imported here.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from powerml.errors import ExportError, PowerMLError, SetupError, UsageError
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


def is_module(given: object) -> bool:
    """Return True if an object is a module of PyTorch, and no Keras model."""
    torch = sys.modules.get("torch")
    # In Keras on torch a model is a module, too.
    return torch is not None and isinstance(given, torch.nn.Module) and not _is_keras(given)


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
            _export(sys.modules["torch"], model, example_inputs, path)
        yield path


def _save(model: Any, path: Path) -> None:
    try:
        model.save(path)
    except (OSError, TypeError, ValueError) as error:
        raise ExportError.quoting(
            f"the Keras model {path.stem} cannot be saved", error, "give the path of a file"
        ) from error


def _export(torch: Any, module: Any, example_inputs: Any, path: Path) -> None:
    if example_inputs is None:
        raise UsageError(
            f"{path.stem} is a torch.nn.Module, which does not say what it takes: give "
            "example_inputs, a tensor or a tuple of tensors"
        )
    given = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    if not all(isinstance(one, torch.Tensor) for one in given):
        raise UsageError("example_inputs are a tensor or a tuple of tensors")
    was_training = module.training
    said = logging.getLogger("torch.onnx")
    level = said.level
    said.setLevel(logging.ERROR)  # of packages that are not installed, and not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the exporter itself calls
            module.eval()
            torch.onnx.export(
                module, given, str(path), dynamo=True, external_data=False, verbose=False
            )
    except PowerMLError:
        raise
    except ImportError as error:
        raise SetupError.quoting(
            f"{path.stem} cannot be exported to ONNX", error, "pip install 'powerml[torch]'"
        ) from error
    except Exception as error:  # it runs the user's code
        raise ExportError.quoting(
            f"{path.stem} cannot be exported to ONNX",
            str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__,
            "try torch.onnx.export on it, and give its file",
        ) from error
    finally:
        said.setLevel(level)
        module.train(was_training)
