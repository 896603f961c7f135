"""The contract of a runtime: what runs a trained network where it is deployed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["Feed", "Input", "Runtime", "Session", "Shapes"]

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
