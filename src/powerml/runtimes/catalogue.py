"""Runtimes, found by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import cast

from powerml import plugins
from powerml.errors import ExportError, SetupError
from powerml.runtimes.base import Runtime

__all__ = [
    "DEFAULT_RUNTIME",
    "FRAMEWORK",
    "KERAS_SUFFIX",
    "UNEXPORTED",
    "find_runtime",
    "require_exporter",
    "require_runtime",
    "runtime_names",
    "runtimes_by_suffix",
]

DEFAULT_RUNTIME = "onnxruntime"
FRAMEWORK = "framework"  # runs networks of a user's own space, and reads no files
UNEXPORTED = ("keras", FRAMEWORK)  # runtimes that need no export, and that no board has
KERAS_SUFFIX = ".keras"  # of what is exported from, and never to
ROOM = "powerml.runtimes"
# The room's other modules; each of the rest is a runtime.
SHARED_MODULES = frozenset(("base", "catalogue", "probe"))


def _built_in() -> list[str]:
    return plugins.modules(ROOM, SHARED_MODULES)


def runtime_names() -> list[str]:
    """Return the names of all runtimes, sorted.

    Examples
    --------
    >>> powerml.runtime_names()
    ['framework', 'keras', 'litert', 'onnxruntime']
    """
    return plugins.names("runtimes", _built_in)


def find_runtime(name: str) -> Runtime:
    """Look a runtime up by name; raises ``UnknownNameError``.

    Examples
    --------
    >>> powerml.find_runtime("onnxruntime").format.suffix
    '.onnx'
    """
    if name in _built_in():
        return cast(Runtime, importlib.import_module(f"{ROOM}.{name}").runtime)
    return cast(Runtime, plugins.find("runtime", "runtimes", name, _built_in))


def require_runtime(name: str) -> Runtime:
    """Look a runtime up that is to be used now.

    Raises
    ------
    SetupError
        It is not installed. The message has the command that installs it.
    UnknownNameError
        There is none of that name.
    """
    runtime = find_runtime(name)
    if importlib.util.find_spec(runtime.package) is None:
        raise SetupError(f"{name} is not installed: {runtime.install}")
    return runtime


def runtimes_by_suffix() -> dict[str, str]:
    """Return the name of the runtime that reads files of each suffix; powerML's own come first."""
    found: dict[str, str] = {}
    for name in [*_built_in(), *runtime_names()]:
        model_format = find_runtime(name).format
        if not model_format.suffix:
            continue
        for suffix in (model_format.suffix, *model_format.other_suffixes):
            found.setdefault(suffix, name)
    return found


def require_exporter(runtime: Runtime, backend: str) -> None:
    """Check that a Keras model can be exported for a runtime.

    Raises
    ------
    ExportError
        Keras exports nothing that the runtime reads, or it reads no files.
    SetupError
        Something that the export needs is not installed.
    """
    model_format = runtime.format
    if model_format.suffix == KERAS_SUFFIX:
        return
    if not model_format.suffix:
        raise ExportError(
            f"{runtime.name} runs networks of a space of your own, and reads no files: give "
            "--runtime keras"
        )
    if model_format.exporter is None:
        raise ExportError(
            f"Keras exports no {model_format.suffix} files, which {runtime.name} reads"
        )
    exporter = model_format.exporter
    needs = exporter.on_torch if backend == "torch" else exporter.elsewhere
    missing = [name for name in needs.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"exporting to {runtime.name} from Keras on {backend} needs {', '.join(missing)}: "
            f"{needs.install}, or add --runtime keras"
        )
