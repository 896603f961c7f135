"""The models that a configuration or a test names: files, topologies, functions, and objects."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from powerml.errors import PowerMLError, UsageError
from powerml.measuring.objects import Model, is_model, model_in_file
from powerml.progress import silent
from powerml.workloads.model_files import is_model_file

__all__ = ["Model", "given_model", "named_model"]

FUNCTION = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")
TAKEN = "a keras.Model, a torch.nn.Module with its example inputs, a path or a topology"
PAIR = 2


@contextlib.contextmanager
def named_model(name: str, model: str, folder: Path) -> Iterator[Model]:
    """Yield a model as `powerml.measure` takes it.

    Parameters
    ----------
    name
        Its name in the configuration.
    model
        A file, a topology, or ``module:function``. The function is called without arguments.
    folder
        The folder that files are beside, and that the module may be in.

    Raises
    ------
    UsageError
        The module or the function is not there, or returns something else.
    PowerMLError
        The module or the function failed.
    """
    found = FUNCTION.fullmatch(model)
    if found is None:
        yield _beside(model, folder)
        return
    made = _called(found[1], found[2], folder)
    if isinstance(made, str):
        made = _beside(made, folder)
    elif isinstance(made, Path):
        made = folder / made
    with given_model(name, made, f"{model} returned") as taken:
        yield taken


def _beside(model: str, folder: Path) -> Model:
    """Return a topology as it is, and a file beside the configuration."""
    place = folder / model
    return place if is_model_file(model) or place.is_file() else model


@contextlib.contextmanager
def given_model(name: str, made: object, source: str) -> Iterator[Model]:
    """Yield an object as a file or a topology; a model in Keras or PyTorch becomes a file.

    Parameters
    ----------
    name
        The name of the file, for messages.
    made
        The object; or a ``torch.nn.Module`` and its example inputs.
    source
        Beginning of the message on an object that cannot be measured.

    Raises
    ------
    UsageError
        The object is no model.
    """
    model, inputs = made if isinstance(made, tuple) and len(made) == PAIR else (made, None)
    if not is_model(model):
        raise UsageError(f"{source} {type(model).__qualname__}: return {TAKEN}")
    with model_in_file(model, inputs, silent, name) as taken:
        yield taken


def _called(module: str, function: str, folder: Path) -> object:
    """Import a module, whose folder is on the path for this alone, and call its function."""
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        imported = _imported(module, folder)
        make = getattr(imported, function, None)
        if not callable(make):
            near = difflib.get_close_matches(function, vars(imported), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"define it in {imported.__file__}"
            raise UsageError(f"{module} has no function {function!r}: {hint}")
        try:
            return make()
        except PowerMLError:
            raise
        except Exception as error:
            raise PowerMLError.quoting(
                f"{module}:{function} failed", error, "mend it, and run the check again"
            ) from error
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _imported(module: str, folder: Path) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.split(".", maxsplit=1)[0] == error.name.split(".")[0]:
            raise UsageError(
                f"there is no module {module!r} in {folder} or among the installed ones: mend the "
                "name, or install it"
            ) from error
        raise _failed(module, error) from error
    except Exception as error:
        raise _failed(module, error) from error


def _failed(module: str, error: Exception) -> PowerMLError:
    return PowerMLError.quoting(f"the module {module} cannot be imported", error, "mend it")
