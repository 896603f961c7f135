"""Messages between a command and the warm simulator: a line of JSON each, of limited length. Pure.

A command first says what it wants: to use a guest, the simulator's state, or its end. A guest's
user hears whether the guest is running, then that it is ready, and then submits requests. Each is
answered by ``done`` or ``failed`` with its number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

from powerml import errors
from powerml.errors import PowerMLError, ServerError
from powerml.meters.simulator.server import Done, ServerDiedError

__all__ = [
    "LONGEST_LINE_BYTES",
    "VERSION",
    "Finished",
    "GiveUp",
    "GuestWanted",
    "Message",
    "Ready",
    "RequestFailed",
    "StateWanted",
    "Stop",
    "Submit",
    "Using",
    "WarmState",
    "decode",
    "encode",
    "failure_of",
]

VERSION = 1  # part of the key, so that both sides speak the same one
LONGEST_LINE_BYTES = 2**20
NUMBERS = (int, float)


@dataclass(frozen=True)
class GuestWanted:
    """The wish to use a guest.

    `geometries` are the simulated caches, one text each, as a `Geometry` in JSON. `code` is the
    digest of the code that the guest runs.
    """

    kind: ClassVar = "use"
    job: str
    backend: str | None
    geometries: list[str]
    code: str


@dataclass(frozen=True)
class Submit:
    """A request to the guest, whose files are staged in a folder; see `Server.submit_staged`."""

    kind: ClassVar = "submit"
    number: int
    content: str
    title: str
    folder: str
    limit_seconds: float


@dataclass(frozen=True)
class GiveUp:
    """The wish to stop a request."""

    kind: ClassVar = "give up"
    number: int


@dataclass(frozen=True)
class StateWanted:
    """The question of the state."""

    kind: ClassVar = "state wanted"


@dataclass(frozen=True)
class Stop:
    """The wish that the warm simulator ends."""

    kind: ClassVar = "stop"


@dataclass(frozen=True)
class Using:
    """First answer to `GuestWanted`: whether the guest is ready without a start."""

    kind: ClassVar = "using"
    is_ready: bool


@dataclass(frozen=True)
class Ready:
    """Second answer to `GuestWanted`: the guest's description of itself, and its warm-up's pace."""

    kind: ClassVar = "ready"
    guest: dict[str, Any]
    seconds_per_step: float | None


@dataclass(frozen=True)
class Finished:
    """A request that was done; see `Done`."""

    kind: ClassVar = "finished"
    number: int
    name: str
    process: int
    moments_seconds: dict[str, float]

    @classmethod
    def of(cls, number: int, done: Done) -> Finished:
        """Make it from what a server says of a request."""
        return cls(number=number, **asdict(done))

    @property
    def done(self) -> Done:
        """The request as a server tells of it."""
        return Done(self.name, self.process, dict(self.moments_seconds))


@dataclass(frozen=True)
class RequestFailed:
    """An error: of a request with its number, otherwise of the guest."""

    kind: ClassVar = "failed"
    number: int | None
    error: str
    message: str
    detail: str = ""

    @classmethod
    def of(cls, number: int | None, error: Exception) -> RequestFailed:
        """Make it from an exception; one that is none of powerML's is a ``ServerError``."""
        if not isinstance(error, PowerMLError):
            error = ServerError.quoting("the warm simulator failed", error, "measure again")
        return cls(number, type(error).__name__, str(error), error.detail)


@dataclass(frozen=True)
class WarmState:
    """State of a warm simulator: its process, its guests, and its end when idle."""

    kind: ClassVar = "state"
    process: int
    idle_minutes: float
    idle_seconds: float
    users: int
    guests: list[dict[str, Any]] = field(default_factory=list)


Message = (
    GuestWanted
    | Submit
    | GiveUp
    | StateWanted
    | Stop
    | Using
    | Ready
    | Finished
    | RequestFailed
    | WarmState
)
KINDS: dict[str, type[Message]] = {one.kind: one for one in get_args(Message)}
ERRORS: dict[str, type[PowerMLError]] = {
    one.__name__: one
    for one in (
        ServerDiedError,
        errors.ServerError,
        errors.SetupError,
        errors.UsageError,
        errors.WorkerError,
    )
}


def encode(message: Message) -> bytes:
    """Return the line of a message.

    Raises
    ------
    ServerError
        It is too long.
    """
    line = json.dumps({"kind": message.kind, **asdict(message)}).encode() + b"\n"
    if len(line) > LONGEST_LINE_BYTES:
        raise ServerError(
            f"a message to the warm simulator has {len(line)} bytes, more than "
            f"{LONGEST_LINE_BYTES}: measure with --no-warm"
        )
    return line


def decode(line: bytes) -> Message:
    """Read a line.

    Raises
    ------
    ServerError
        It is too long, or no message.
    """
    if len(line) > LONGEST_LINE_BYTES:
        raise _unreadable(f"more than {LONGEST_LINE_BYTES} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    if not isinstance(found, dict) or found.get("kind") not in KINDS:
        raise _unreadable("it is of no known kind")
    message = KINDS[found.pop("kind")]
    hints = get_type_hints(message)
    names = {one.name for one in fields(message)}
    if found.keys() != names:
        odd = ", ".join(sorted(found.keys() ^ names))
        raise _unreadable(f"fields that are missing or not known: {odd}")
    for name, value in found.items():
        if not _fits(value, hints[name]):
            raise _unreadable(f"{message.kind}: {name} is of another type")
    return message(**found)


def failure_of(failed: RequestFailed) -> PowerMLError:
    """Return the exception that the other side met."""
    error = ERRORS.get(failed.error, ServerError)(failed.message)
    error.detail = failed.detail
    return error


def _unreadable(reason: str) -> ServerError:
    return ServerError.quoting(
        "a message of the warm simulator cannot be read",
        reason,
        "stop it with powerml warm --stop",
    )


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value of JSON is of a type; the values of a dict or list are checked too."""
    if hint is Any:
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_fits(value, one) for one in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, arguments[1]) for one in value.values())
    if hint in NUMBERS:
        of_its_kind = (int, float) if hint is float else int
        return isinstance(value, of_its_kind) and not isinstance(value, bool)
    return value is None if hint is NoneType else isinstance(value, hint)
