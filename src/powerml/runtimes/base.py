"""The interface of a runtime: the software that runs a trained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Exporter",
    "Feed",
    "Format",
    "Input",
    "Needs",
    "Operators",
    "ProfiledSession",
    "Runtime",
    "Session",
    "Shapes",
    "keras_export",
]

Feed: TypeAlias = "Mapping[str, NDArray[Any]]"
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


@dataclass(frozen=True)
class Operators:
    """Functions by which a runtime's operators begin.

    `library` is in the name of the file that holds them. Their symbols contain the first and end
    with the second of one of the pairs in `functions`.
    """

    library: str
    functions: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class ProfiledSession:
    """A model that was loaded to tell its nodes.

    `library` is in the name of the file that holds the runtime's code. `looks` is true if it looks
    at the clock before and after each node. `finish` is called after the last run. It returns, as
    plain JSON, what nodes are made from. `model` is the model in Keras.
    """

    session: Session
    library: str = ""
    looks: bool = False
    finish: Callable[[], dict[str, Any]] = dict
    model: Any = None


@dataclass(frozen=True)
class Needs:
    """Packages that something imports, and the command that installs them."""

    packages: tuple[str, ...]
    install: str


# Keras goes through TensorFlow wherever it does not run on torch.
THROUGH_TENSORFLOW = Needs(("tensorflow", "tf2onnx"), "pip install tensorflow tf2onnx")


@dataclass(frozen=True)
class Exporter:
    """The export of a Keras model to a format.

    `write` takes the model, the path and the signature of its inputs, in the structure that the
    model has them in. `leaves_batch_open` is true if it can leave the batch open.
    """

    write: Callable[[Any, str, Any], None]
    on_torch: Needs
    elsewhere: Needs = THROUGH_TENSORFLOW
    leaves_batch_open: bool = False


def keras_export(name: str) -> Callable[[Any, str, Any], None]:
    """Return the call of Keras's own export to the format that it knows by this name."""

    def write(model: Any, path: str, signature: Any) -> None:
        model.export(path, format=name, verbose=False, input_signature=[signature])

    return write


@dataclass(frozen=True)
class Format:
    """A format of model files.

    `suffix` is the usual end of a file's name, as in ``.onnx``, and empty where a runtime reads no
    files; `other_suffixes` mean the same. `magic` are the bytes that a file of it has at a place,
    one of which is enough. Without an `exporter` no Keras model can be written in it.
    `warm_up_models` are run in the simulator before anything is counted; None for those that
    powerML brings along.
    """

    suffix: str
    other_suffixes: tuple[str, ...] = ()
    magic: tuple[tuple[int, bytes], ...] = ()
    exporter: Exporter | None = None
    warm_up_models: tuple[Path, ...] | None = None


class Runtime(Protocol):
    """One way of running a model: the whole of what a new runtime supplies.

    A module in ``powerml/runtimes/`` with an object ``runtime``, or an entry point. One that can
    tell its nodes has a method ``load_profiled`` besides, with the parameters of `load`, which
    returns a `ProfiledSession`. One whose operators begin by functions of their own has
    ``operators``, of the kind `Operators`.
    """

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def format(self) -> Format:
        """The format of the files that it reads."""

    @property
    def package(self) -> str:
        """The package that is imported."""

    @property
    def install(self) -> str:
        """The command that installs it."""

    def start(self) -> None:
        """Import it, for one thread."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the software that runs the model; called after `start`."""

    def load(self, path: str, shapes: Shapes | None = None, allowed: Sequence[str] = ()) -> Session:
        """Read a model from a file.

        Parameters
        ----------
        path
            The file.
        shapes
            Shape of each input, for models that leave dimensions open.
        allowed
            Names of the code of the file's own that may be run. Nothing else is.
        """
