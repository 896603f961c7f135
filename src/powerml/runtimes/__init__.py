"""Runtimes: what runs a trained network where it is deployed, found by name.

One file each. Inside the simulator a runtime is the code that is measured; outside it reads what
inputs a model takes and computes its outputs. Others come through entry points of the group
``powerml.runtimes``.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from powerml import registry
from powerml.errors import SetupError

__all__ = [
    "DEFAULT_RUNTIME",
    "Feed",
    "Input",
    "Runtime",
    "Session",
    "Shapes",
    "find_runtime",
    "require_runtime",
    "runtime_names",
]

DEFAULT_RUNTIME = "onnxruntime"

Feed = Mapping[str, NDArray[Any]]
Shapes = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Input:
    """One input of a model. A dimension that the model leaves open is its name."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True)
class Session:
    """A model that was loaded: the inputs that it takes in this order, and a way to run it."""

    inputs: tuple[Input, ...]
    run: Callable[[Feed], Any]


class Runtime(Protocol):
    """One way of running a model: the whole of what a new runtime supplies.

    A module in ``powerml/runtimes/`` with an object ``runtime``, or an entry point.
    """

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    @property
    def suffix(self) -> str:
        """How the name of a file ends that it reads, as in ``.onnx``."""

    @property
    def package(self) -> str:
        """The package that is imported."""

    @property
    def install(self) -> str:
        """What installs it."""

    def start(self) -> None:
        """Import it, for one thread."""

    def versions(self) -> dict[str, str]:
        """Versions of what runs the model; called after `start`."""

    def load(self, path: str, shapes: Shapes | None = None, allowed: Sequence[str] = ()) -> Session:
        """Read a model from a file.

        Parameters
        ----------
        path
            The file.
        shapes
            Shape of each input, for models that leave dimensions open.
        allowed
            What code of the file's own may be run, by name. Nothing else is.
        """


def _built_in() -> list[str]:
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in modules if name != "probe"]


def runtime_names() -> list[str]:
    """Names of all runtimes, sorted."""
    return registry.names("runtimes", _built_in)


def find_runtime(name: str) -> Runtime:
    """Look a runtime up by name; raises ``UnknownNameError``."""
    if name in _built_in():
        return cast(Runtime, importlib.import_module(f"{__name__}.{name}").runtime)
    return cast(Runtime, registry.find("runtime", "runtimes", name, _built_in))


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
