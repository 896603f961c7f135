"""The hierarchies in C, driven from Python."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.instrument.reference import FIXED_COUNTERS, Front, Lower, Piece, Shape

__all__ = ["SOURCES", "NoMemoryError", "Scope", "Simulation", "Status", "Told", "compile_hierarchy"]

SOURCES = Path(__file__).parents[2] / "src" / "powerml" / "instrument"
ALLOCATE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
NAME_FUNCTION = ctypes.CFUNCTYPE(
    None, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)
Named = tuple[str, str]


class Status:
    """Bits of the status."""

    FINE = 0
    POPPED_TWICE = 1
    TOO_DEEP = 2
    FORKED_IN_SCOPE = 4
    THREAD_IN_SCOPE = 8
    NO_MEMORY = 16
    NO_SPACE = 32


class _Shape(ctypes.Structure):
    _fields_ = (
        ("size_bytes", ctypes.c_uint64),
        ("ways", ctypes.c_uint32),
        ("line_bytes", ctypes.c_uint32),
    )


class _Fetch(ctypes.Structure):
    _fields_ = (
        ("address", ctypes.c_uint64),
        ("last_byte", ctypes.c_uint32),
        ("before", ctypes.c_uint32),
    )


class _Access(ctypes.Structure):
    _fields_ = (
        ("last_byte", ctypes.c_uint8),
        ("direction", ctypes.c_uint8),
        ("is_conditional", ctypes.c_uint8),
    )


class NoMemoryError(Exception):
    """What the simulation needs was refused."""


@dataclass(frozen=True)
class Scope:
    """A line of what is told of scopes."""

    number: int
    parent: int | None
    name: str
    entries: int
    counters: list[int]


@dataclass(frozen=True)
class Told:
    """What is told: scopes, and the counters of functions by scope, function and library."""

    scopes: list[Scope]
    functions: dict[tuple[int, str, str], list[int]]

    @classmethod
    def parse(cls, text: str) -> Told:
        """Read the lines that were told."""
        scopes, functions = [], {}
        for line in text.splitlines():
            kind, *fields = line.split("\t")
            if kind == "scope":
                number, parent, name, entries, *counters = fields
                scopes.append(
                    Scope(
                        int(number),
                        int(parent) if parent else None,
                        name,
                        int(entries),
                        [int(counter) for counter in counters],
                    )
                )
            elif kind == "status":
                assert fields == ["0"]
            else:
                assert kind == "function"
                scope, function, library, *counters = fields
                key = int(scope), function, library
                assert key not in functions
                functions[key] = [int(counter) for counter in counters]
        return cls(scopes, functions)

    def scope(self, *path: str) -> Scope:
        """Find a scope by the names of those around it and its own."""
        found = self.scopes[0]
        for name in path:
            (found,) = (
                scope
                for scope in self.scopes
                if scope.parent == found.number and scope.name == name
            )
        return found


def compile_hierarchy(folder: Path) -> ctypes.CDLL:
    """Compile the hierarchies alone into a shared library, and load it."""
    compiler = shutil.which("gcc")
    assert compiler is not None, "the instrument's tests need gcc"
    built = folder / "hierarchy.so"
    options = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC")
    subprocess.run([compiler, *options, "-o", built, SOURCES / "hierarchy.c"], check=True)
    library = ctypes.CDLL(str(built))
    pointer, words = ctypes.c_void_p, ctypes.c_void_p
    types: dict[str, tuple[Any, list[Any]]] = {
        "make": (pointer, [ALLOCATE]),
        "add_front": (ctypes.c_int, [pointer, _Shape, _Shape]),
        "add_lower": (ctypes.c_int, [pointer, _Shape, ctypes.c_int]),
        "begin": (ctypes.c_int, [pointer]),
        "line_bytes": (ctypes.c_uint32, [pointer]),
        "piece": (pointer, [pointer, words, ctypes.c_uint32, words, ctypes.c_uint32, words]),
        "run": (None, [pointer, words, ctypes.c_uint32, words]),
        "counters": (ctypes.c_uint32, [pointer]),
        "read": (None, [pointer, words]),
        "zero": (None, [pointer]),
        "empty": (None, [pointer]),
        "push": (None, [pointer, ctypes.c_char_p]),
        "pop": (None, [pointer]),
        "segment": (None, [pointer, ctypes.c_char_p]),
        "watch": (None, [pointer, words, ctypes.c_size_t]),
        "learn": (None, [pointer, ctypes.c_int]),
        "sift": (None, [pointer, ctypes.c_uint64, ctypes.c_uint64]),
        "depth": (ctypes.c_uint32, [pointer]),
        "status": (ctypes.c_uint32, [pointer]),
        "fail": (None, [pointer, ctypes.c_int]),
        "attribute": (None, [pointer, NAME_FUNCTION]),
        "tell": (ctypes.c_size_t, [pointer, ctypes.c_char_p, ctypes.c_size_t]),
    }
    for name, (result, arguments) in types.items():
        function = getattr(library, f"simulation_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class Simulation:
    """A simulation that may be refused memory, and gives back what it has on leaving it."""

    def __init__(
        self,
        library: ctypes.CDLL,
        fronts: Sequence[Front] = (),
        is_refused: Callable[[int], bool] = lambda call: False,
    ) -> None:
        self._library = library
        self._is_refused = is_refused
        self._memory: list[Any] = []
        self.allocations = 0
        self._allocate = ALLOCATE(self._give)
        self._name_function: Any = None
        self._handle = library.simulation_make(self._allocate)
        if self._handle is None:
            raise NoMemoryError
        for number, front in enumerate(fronts):
            self._expect(self.add_front(front.instructions, front.data), number)
            for place, lower in enumerate(front.lower):
                self._expect(self.add_lower(lower), place)
        if fronts:
            self.begin()

    def _give(self, size_bytes: int) -> int | None:
        self.allocations += 1
        if self._is_refused(self.allocations - 1):
            return None
        memory = ctypes.create_string_buffer(size_bytes)
        self._memory.append(memory)
        return ctypes.addressof(memory)

    def _expect(self, answer: int, expected: int) -> None:
        if answer == -1 and self.status & Status.NO_MEMORY:
            raise NoMemoryError
        assert answer == expected

    def add_front(self, instructions: Shape, data: Shape) -> int:
        """Add a first level; return its number or -1."""
        answer: int = self._library.simulation_add_front(
            self._handle, _Shape(*instructions), _Shape(*data)
        )
        return answer

    def add_lower(self, lower: Lower) -> int:
        """Add a lower level; return its number or -1."""
        answer: int = self._library.simulation_add_lower(
            self._handle, _Shape(*lower.shape), lower.above
        )
        return answer

    def begin(self) -> None:
        """End adding caches."""
        self._expect(self._library.simulation_begin(self._handle), 0)

    @property
    def line_bytes(self) -> int:
        """Return the bytes of the shortest line."""
        answer: int = self._library.simulation_line_bytes(self._handle)
        return answer

    def piece(self, piece: Piece) -> int | None:
        """Describe a piece; return what it is run by, or None."""
        fetches = (_Fetch * len(piece.fetches))(
            *(_Fetch(fetch.address, fetch.size_bytes - 1, fetch.before) for fetch in piece.fetches)
        )
        accesses = (_Access * len(piece.accesses))(
            *(
                _Access(access.size_bytes - 1, access.direction, access.is_conditional)
                for access in piece.accesses
            )
        )
        adds = (ctypes.c_uint32 * FIXED_COUNTERS)(*piece.adds)
        answer: int | None = self._library.simulation_piece(
            self._handle, fetches, len(fetches), accesses, len(accesses), adds
        )
        return answer

    def run(self, pieces: Sequence[Piece], addresses: Sequence[int] = ()) -> None:
        """Describe pieces and run them at once."""
        handles = [self.piece(piece) for piece in pieces]
        if None in handles:
            raise NoMemoryError
        self.run_handles([handle for handle in handles if handle is not None], addresses)

    def run_handles(self, handles: Sequence[int], addresses: Sequence[int] = ()) -> None:
        """Run pieces that were described."""
        backwards = (ctypes.c_void_p * max(1, len(handles)))(*reversed(handles))
        last = ctypes.addressof(backwards) + 8 * (len(handles) - 1)
        self._library.simulation_run(
            self._handle, last, len(handles), (ctypes.c_uint64 * len(addresses))(*addresses)
        )

    def read(self) -> list[int]:
        """Return the counters of all scopes together."""
        counters = (ctypes.c_uint64 * self._library.simulation_counters(self._handle))()
        self._library.simulation_read(self._handle, counters)
        return list(counters)

    def zero(self) -> None:
        """Set the counters to zero."""
        self._library.simulation_zero(self._handle)

    def empty(self) -> None:
        """Empty the caches."""
        self._library.simulation_empty(self._handle)

    def push(self, name: str) -> None:
        """Enter a scope."""
        self._library.simulation_push(self._handle, name.encode())

    def pop(self) -> None:
        """Leave a scope."""
        self._library.simulation_pop(self._handle)

    def segment(self, name: str | None) -> None:
        """Begin a segment, or end the last one."""
        self._library.simulation_segment(self._handle, None if name is None else name.encode())

    def watch(self, addresses: Sequence[int]) -> None:
        """Have code at these addresses begin segments."""
        words = (ctypes.c_uint64 * len(addresses))(*addresses)
        self._library.simulation_watch(self._handle, words, len(addresses))

    def learn(self, on: bool) -> None:
        """Learn the code that is run, or no more."""
        self._library.simulation_learn(self._handle, on)

    def sift(self, start: int, until: int) -> None:
        """Charge other code to a scope of its own."""
        self._library.simulation_sift(self._handle, start, until)

    @property
    def depth(self) -> int:
        """Return how many scopes are open."""
        answer: int = self._library.simulation_depth(self._handle)
        return answer

    @property
    def status(self) -> int:
        """Return what has gone wrong."""
        answer: int = self._library.simulation_status(self._handle)
        return answer

    def fail(self, status: int) -> None:
        """Have something go wrong."""
        self._library.simulation_fail(self._handle, status)

    def attribute(self, name: Callable[[int], Named]) -> None:
        """Charge to the functions and libraries that addresses are given."""

        def write(address: int, function: int, library: int, room: int) -> None:
            for place, text in zip((function, library), name(address), strict=True):
                encoded = text.encode()[: room - 1] + b"\0"
                ctypes.memmove(place, encoded, len(encoded))

        self._name_function = NAME_FUNCTION(write)
        self._library.simulation_attribute(self._handle, self._name_function)

    def tell_into(self, room: int) -> tuple[int, bytes]:
        """Tell into so much room, which is full of stars; return the bytes needed and the room."""
        text = ctypes.create_string_buffer(b"*" * (room + 8), room + 8)
        needed: int = self._library.simulation_tell(self._handle, text, room)
        return needed, text.raw

    def tell(self) -> Told:
        """Return what is told."""
        needed, _ = self.tell_into(0)
        _, text = self.tell_into(needed)
        return Told.parse(text[:needed].decode())
