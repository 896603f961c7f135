"""The Keras backend, chosen before Keras is imported."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from importlib import metadata

from powerml.errors import SetupError
from powerml.signals import interruption_held

__all__ = [
    "BACKENDS",
    "backend_version",
    "import_keras",
    "installed_backends",
    "keras_alone",
    "select_backend",
]

# In the order of preference: torch can be measured in forked children, so it comes first.
BACKENDS = ("torch", "jax", "tensorflow")
_alone = threading.Lock()


def installed_backends() -> list[str]:
    """Backends whose package can be found, without importing it."""
    return [name for name in BACKENDS if importlib.util.find_spec(name) is not None]


def backend_version(name: str) -> str:
    """Version of an installed backend, whatever its package is called (tensorflow-cpu, ...)."""
    packages = metadata.packages_distributions().get(name, [name])
    return metadata.version(packages[0])


def select_backend() -> str:
    """Choose the backend and set ``KERAS_BACKEND`` for this process.

    A Keras that is already imported keeps its backend; else ``KERAS_BACKEND`` decides; else the
    first one installed of `BACKENDS`.

    Raises
    ------
    SetupError
        The backend asked for is not installed or not supported, or there is none.
    """
    if "keras" in sys.modules:
        running = str(sys.modules["keras"].backend.backend())
        if running not in BACKENDS:
            raise SetupError(
                f"Keras is running on {running}, which powerML cannot measure: "
                f"set KERAS_BACKEND to one of {', '.join(BACKENDS)} before Keras is imported"
            )
        return running
    installed = installed_backends()
    wanted = os.environ.get("KERAS_BACKEND")
    if wanted and wanted not in installed:
        what = "is not installed" if wanted in BACKENDS else "is not a backend powerML can measure"
        raise SetupError(
            f"KERAS_BACKEND is {wanted!r}, which {what}: "
            + (f"set it to {' or '.join(installed)}, or " if installed else "")
            + "pip install 'powerml[torch]'"
        )
    if not installed:
        raise SetupError(
            "Keras has no backend: pip install 'powerml[torch]' (or powerml[jax], "
            "powerml[tensorflow])"
        )
    backend = wanted or installed[0]
    os.environ["KERAS_BACKEND"] = backend
    return backend


def import_keras() -> None:
    """Import Keras and its backend, which takes seconds. Ctrl-C and SIGTERM wait for its end.

    Raised during the import, they could reach the backend's C++ code, which aborts the process.
    They could also turn into another error in a half-defined class.
    """
    with interruption_held():
        importlib.import_module("keras")


@contextlib.contextmanager
def keras_alone() -> Iterator[None]:
    """Lock Keras: no other thread of this process trains or exports meanwhile.

    Keras, its backends and their exporters share global state, such as the random generators.
    """
    with _alone:
        yield
