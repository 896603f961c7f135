"""Requests of the host to the guest: JSON files, announced by messages of fixed length.

The host reads this module where the C extension is missing, which the jobs' modules need.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from powerml.errors import SetupError

__all__ = [
    "FUNCTIONS_FILE",
    "HELLO_BYTES",
    "NAME_BYTES",
    "NODES_FILE",
    "OPERATORS_FILE",
    "PLAIN",
    "PROFILED",
    "REHEARSAL",
    "REQUEST_BYTES",
    "AnyRequest",
    "DeploymentRequest",
    "LoadRequest",
    "OwnRequest",
    "OwnTrainingRequest",
    "Request",
    "SpacePlace",
    "announcement",
    "hello",
]

HELLO_BYTES = 20
NAME_BYTES = 16
FOLDER_BYTES = 496
REQUEST_BYTES = FOLDER_BYTES + NAME_BYTES
# The ends of the names of the files of a process that profiles, and the file beside its request
# with the places of a runtime's operators in its library, 64 bits each in ascending order.
FUNCTIONS_FILE, NODES_FILE, OPERATORS_FILE = "functions", "nodes", "operators"
# Kinds of a request. Numbers of one size, for which Python does the same: counts must not tell a
# profile from a measurement.
PLAIN, PROFILED = 1, 2
CLASSIFICATION = "classification"
REHEARSAL = "request-00000000"  # a child that ends at once: it settles the caches of the parent


@dataclass(frozen=True)
class Request:
    """One phase of one workload in Keras, or several.

    `phase` is ``training`` or ``inference``; in a process that is not forked ``training``, which
    is then with its compilation, or ``all``. `model` is a ``.keras`` file beside the request that
    takes the topology's place, `allowed` the code of its own that may be run.
    `data` is the stem of the ``.npy`` files beside the request: DATA-PHASE-inputs and -labels.
    `visits` are the steps to simulate of each epoch, None for all; `marked_steps` those whose end
    is marked, None for all. A jump reads as much as `touch_limit_bytes` of the data it passes over.
    With `profile` ``PROFILED`` a few steps are done, and the costs of functions and layers told.
    In a `task` that is no classification the `classes` are columns of numbers.
    """

    phase: str
    topology: str
    input_shape: list[int]
    classes: int
    batch_size: int
    epochs: int
    protocol: str
    data: str
    model: str | None = None
    allowed: list[str] = field(default_factory=list)
    visits: list[list[int]] | None = None
    marked_steps: list[int] | None = None
    touch_limit_bytes: int = 0
    profile: int = PLAIN
    task: str = CLASSIFICATION

    @property
    def title(self) -> str:
        """The name in messages."""
        return f"{self.phase} of {self.topology}"

    def content(self) -> dict[str, Any]:
        """Return the request as the guest reads it.

        A classification goes without saying: another word would move the guest's memory.
        """
        content = asdict(self)
        if self.task == CLASSIFICATION:
            del content["task"]
        return content


@dataclass(frozen=True)
class OwnTrainingRequest:
    """The training of a network of a user's own space.

    `root` is a folder beside the request with the space's code, and `main` the file in it. `module`
    is the name that the file is imported under, `attribute` the object in it. `values` are the
    parameters. `task` is ``classification`` or ``regression``. `loop` is ``free`` where the steps
    are only counted. The rest is that of `Request`.
    """

    root: str
    main: str
    module: str
    attribute: str
    values: dict[str, Any]
    task: str
    loop: str
    input_shape: list[int]
    outputs: int
    batch_size: int
    epochs: int
    data: str
    visits: list[list[int]] | None = None
    marked_steps: list[int] | None = None
    touch_limit_bytes: int = 0
    name: str = ""

    @property
    def title(self) -> str:
        """The name in messages."""
        return f"training of {self.name}"

    def content(self) -> dict[str, Any]:
        """Return the request without the name, whose length would move the guest's memory."""
        content = asdict(self)
        del content["name"]
        return content


@dataclass(frozen=True)
class SpacePlace:
    """One network of a user's own space; the fields are those of `OwnTrainingRequest`."""

    main: str
    module: str
    attribute: str
    values: dict[str, Any]
    task: str
    input_shape: list[int]
    outputs: int
    epochs: int


@dataclass(frozen=True)
class DeploymentRequest:
    """A model to be loaded and run.

    `model` is a file beside the request; of input number n the arrays lie in ``DATA-n.npy``, of
    shape (inferences, *shape of the input). With `profile` ``PROFILED`` it is told what
    each function and node has cost, too. With a `space` the network of a user's own space is built:
    `model` is the folder with its code.
    """

    model: str
    shapes: list[list[int]]
    data: str
    allowed: list[str] = field(default_factory=list)
    profile: int = PLAIN
    name: str = ""
    space: SpacePlace | None = None

    @property
    def title(self) -> str:
        """The name in messages."""
        return f"inference of {self.name}"

    def content(self) -> dict[str, Any]:
        """Return the request without the name, whose length would move the guest's memory.

        Nor is a space named where there is none.
        """
        content = asdict(self)
        del content["name"]
        if self.space is None:
            del content["space"]
        return content


@dataclass(frozen=True)
class LoadRequest:
    """A synthetic load: matrices of ones and twos that are made and multiplied.

    `rows` rows of the product are simulated, the first `first` and then pieces of `piece`. Of A
    and B `made_a` and `made_b` rows are made, then twice as many; None for all, once. After each
    part a byte is written to the file `progress` beside the request.
    """

    rows_a: int
    inner: int
    cols_b: int
    rows: int
    piece: int
    first: int
    made_a: int | None
    made_b: int | None
    progress: str
    title: str = ""

    def content(self) -> dict[str, Any]:
        """Return the request without the title, whose length would move the guest's memory."""
        content = asdict(self)
        del content["title"]
        return content


@dataclass(frozen=True)
class OwnRequest:
    """A request to a job that one kind of workload has for itself; the kind writes its content.

    The job marks each of its phases, ``from NAME`` and ``to NAME``, and ``over`` at the end.
    """

    parameters: dict[str, Any]
    title: str

    def content(self) -> dict[str, Any]:
        """Return the request without the title, whose length would move the guest's memory."""
        return self.parameters


AnyRequest = Request | OwnTrainingRequest | DeploymentRequest | LoadRequest | OwnRequest


def hello(pid: int) -> bytes:
    """Return the message that names the parent, with which the guest ends."""
    return b"%0*d" % (HELLO_BYTES, pid)


def announcement(folder: Path, name: str) -> bytes:
    """Announce a request: its folder and name, always of the same length.

    Slashes in front fill the folder up; they change nothing of its meaning.

    Raises
    ------
    SetupError
        The folder's path is too long.
    """
    path = str(folder).encode()
    if len(path) > FOLDER_BYTES or len(name) != NAME_BYTES:
        raise SetupError(
            f"the temporary folder's path is too long: {folder}; set TMPDIR to a short one"
        )
    return path.rjust(FOLDER_BYTES, b"/") + name.encode()
