"""Runtimes, found by name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import cast

from powerml import plugins
from powerml.errors import ExportError, SetupError
from powerml.runtimes.base import Runtime

__all__ = [
    "DEFAULT_RUNTIME",
    "find_runtime",
    "require_exporter",
    "require_runtime",
    "runtime_names",
]

DEFAULT_RUNTIME = "onnxruntime"
ROOM = "powerml.runtimes"
# The room's other modules; each of the rest is a runtime.
OF_ALL = frozenset(("base", "catalogue", "probe"))


def _built_in() -> list[str]:
    found = [module.name for module in pkgutil.iter_modules(importlib.import_module(ROOM).__path__)]
    return [name for name in found if name not in OF_ALL]


def runtime_names() -> list[str]:
    """Names of all runtimes, sorted."""
    return plugins.names("runtimes", _built_in)


def find_runtime(name: str) -> Runtime:
    """Look a runtime up by name; raises ``UnknownNameError``."""
    if name in _built_in():
        return cast(Runtime, importlib.import_module(f"{ROOM}.{name}").runtime)
    return cast(Runtime, plugins.find("runtime", "runtimes", name, _built_in))


def require_runtime(name: str) -> Runtime:
    """Look a runtime up that is to be used now.

    Raises
    ------
    SetupError
        It is not installed; the message says how to.
    UnknownNameError
        There is none of that name.
    """
    runtime = find_runtime(name)
    if importlib.util.find_spec(runtime.package) is None:
        raise SetupError(f"{name} is not installed: {runtime.install}")
    return runtime


# What each format needs beside the backend, for torch: package and how to install it.
EXPORTERS = {
    ".onnx": (("onnx", "onnxscript"), "pip install 'powerml[torch]'"),
    ".tflite": (("litert_torch",), "pip install 'powerml[litert-export]'"),
}


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
