"""Memory hierarchies as slow and as plain as can be: what the C code is held against.

The rules are Cachegrind's: least recently used, writes allocate, an access that straddles lines
misses once where one of them misses, and a miss is passed on whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "CLASSES",
    "FIXED_COUNTERS",
    "MISS_COUNTERS",
    "MODIFIES",
    "READS",
    "STREAMED",
    "WRITES",
    "Access",
    "Direction",
    "Fetch",
    "Front",
    "Lower",
    "Piece",
    "Reference",
    "Shape",
]

CLASSES = 12
READS, WRITES, MODIFIES = CLASSES + 2, CLASSES + 3, CLASSES + 4
FIXED_COUNTERS = CLASSES + 5


class Direction(IntEnum):
    """Directions of an access, in the order of their counters."""

    FETCH = 0
    READ = 1
    WRITE = 2
    MODIFY = 3


# Counters of the misses of a cache: by direction, then those that continue a stream.
STREAMED = len(Direction)
MISS_COUNTERS = len(Direction) + 1
RECENT = 32  # lines that are remembered

COUNTER_OF = {Direction.READ: READS, Direction.WRITE: WRITES, Direction.MODIFY: MODIFIES}


class Shape(NamedTuple):
    """The geometry of a cache."""

    size_bytes: int
    ways: int
    line_bytes: int


class Lower(NamedTuple):
    """A lower level, and the number of the one that must miss before it is asked."""

    shape: Shape
    above: int = -1


class Front(NamedTuple):
    """A first level and what lies below it."""

    instructions: Shape
    data: Shape
    lower: tuple[Lower, ...] = ()

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Return the caches in the order of their counters."""
        return (self.instructions, self.data, *(lower.shape for lower in self.lower))


class Fetch(NamedTuple):
    """An instruction: its place, and the data access before which it is fetched."""

    address: int
    size_bytes: int
    before: int


class Access(NamedTuple):
    """A data access as it is known before it happens."""

    size_bytes: int
    direction: Direction
    is_conditional: bool = False


class Piece(NamedTuple):
    """Straight code: its instructions, its accesses, and its fixed counters."""

    fetches: tuple[Fetch, ...]
    accesses: tuple[Access, ...] = ()
    adds: tuple[int, ...] = (0,) * FIXED_COUNTERS


@dataclass
class Cache:
    """Sets of lines, the one that was used last at the end."""

    shape: Shape
    sets: dict[int, list[int]] = field(default_factory=dict)

    def misses(self, address: int, size_bytes: int) -> bool:
        """Access all the lines, those after a miss too; return True if one of them missed."""
        first, last = (
            place // self.shape.line_bytes for place in (address, address + size_bytes - 1)
        )
        return True in [self._misses_line(line) for line in range(first, last + 1)]

    def _misses_line(self, line: int) -> bool:
        count = self.shape.size_bytes // self.shape.line_bytes // self.shape.ways
        lines = self.sets.setdefault(line % count, [])
        missed = line not in lines
        if not missed:
            lines.remove(line)
        elif len(lines) == self.shape.ways:
            lines.pop(0)
        lines.append(line)
        return missed


class Reference:
    """Hierarchies, and one row of counters for all that was run on them."""

    def __init__(self, fronts: Sequence[Front]) -> None:
        self.fronts = fronts
        self.caches = [[Cache(shape) for shape in front.shapes] for front in fronts]
        self.counters = [0] * (FIXED_COUNTERS + MISS_COUNTERS * sum(map(len, self.caches)))
        self.recent: list[list[int]] = [[] for _ in fronts]

    def run(self, pieces: Sequence[Piece], addresses: Sequence[int]) -> None:
        """Run pieces, with the addresses of all their accesses in order."""
        rest = iter(addresses)
        for piece in pieces:
            for counter, add in enumerate(piece.adds):
                self.counters[counter] += add
            for address, size_bytes, direction in self._accesses(piece, rest):
                self._access(address, size_bytes, direction)

    def empty(self) -> None:
        """Empty all caches."""
        for caches in self.caches:
            for cache in caches:
                cache.sets.clear()
        for recent in self.recent:
            recent.clear()

    def _accesses(
        self, piece: Piece, addresses: Iterator[int]
    ) -> Iterator[tuple[int, int, Direction]]:
        fetches = list(piece.fetches)
        for number, access in enumerate(piece.accesses):
            while fetches and fetches[0].before <= number:
                fetch = fetches.pop(0)
                yield fetch.address, fetch.size_bytes, Direction.FETCH
            address = next(addresses)
            if not access.is_conditional:
                yield address, access.size_bytes, access.direction
            elif address != 0:
                self.counters[COUNTER_OF[access.direction]] += 1
                yield address, access.size_bytes, access.direction
        for fetch in fetches:
            yield fetch.address, fetch.size_bytes, Direction.FETCH

    def _access(self, address: int, size_bytes: int, direction: Direction) -> None:
        row = 0
        for front, caches, recent in zip(self.fronts, self.caches, self.recent, strict=True):
            first = 0 if direction is Direction.FETCH else 1
            if caches[first].misses(address, size_bytes):
                streamed = first == 1 and self._continues_stream(front, recent, address, size_bytes)
                self._count(row + first, direction, streamed)
                missed = {-1}
                for number, lower in enumerate(front.lower):
                    cache = caches[2 + number]
                    if lower.above in missed and cache.misses(address, size_bytes):
                        self._count(row + 2 + number, direction, streamed)
                        missed.add(number)
            row += len(caches)

    def _continues_stream(
        self, front: Front, recent: list[int], address: int, size_bytes: int
    ) -> bool:
        line_bytes = front.data.line_bytes
        first, last = address // line_bytes, (address + size_bytes - 1) // line_bytes
        found = first - 1 in recent or first + 1 in recent
        recent.append(last)
        del recent[:-RECENT]
        return found

    def _count(self, row: int, direction: Direction, streamed: bool) -> None:
        start = FIXED_COUNTERS + MISS_COUNTERS * row
        self.counters[start + direction] += 1
        self.counters[start + STREAMED] += streamed
