"""Random hierarchies, pieces and streams of them."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from tests.instrument.reference import (
    FIXED_COUNTERS,
    Access,
    Direction,
    Fetch,
    Front,
    Lower,
    Piece,
    Shape,
)

__all__ = ["addresses_of", "fronts", "random_piece"]

LINES = (16, 32, 64, 128)
CODE, DATA = 0x400000, 0x10000
LARGEST_FIRST_LEVEL_SETS, LARGEST_LOWER_SETS = 16, 64
# Of no more than two lines: a cache of one line would miss twice by one of three.
LONGEST_INSTRUCTION = 16
DIRECTIONS = (Direction.READ, Direction.WRITE, Direction.MODIFY)


def _shapes(most_sets: int) -> st.SearchStrategy[Shape]:
    sets = st.sampled_from([1 << bits for bits in range(most_sets.bit_length())])
    return st.builds(
        lambda count, ways, line: Shape(count * ways * line, ways, line),
        sets,
        st.integers(1, 9),
        st.sampled_from(LINES),
    )


@st.composite
def _fronts(draw: st.DrawFn) -> Front:
    levels = draw(st.integers(0, 4))
    lower = tuple(
        Lower(draw(_shapes(LARGEST_LOWER_SETS)), draw(st.integers(-1, number - 1)))
        for number in range(levels)
    )
    first = _shapes(LARGEST_FIRST_LEVEL_SETS)
    return Front(draw(first), draw(first), lower)


fronts = st.lists(_fronts(), min_size=1, max_size=3)


def random_piece(random: Random) -> Piece:
    """Make code somewhere in a few kilobytes, often across the ends of lines."""
    address = CODE + random.randrange(0x800)
    accesses: list[Access] = []
    fetches = []
    for _ in range(random.choice((1, 2, 3, 8, 30))):
        size_bytes = random.choice((1, 2, 3, 5, 7, 15, LONGEST_INSTRUCTION))
        fetches.append(Fetch(address, size_bytes, len(accesses)))
        address += size_bytes
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            size = random.choice((1, 2, 4, 8, 8, 16, 32, 64, 200))
            accesses.append(Access(size, random.choice(DIRECTIONS), random.random() < 0.1))
    adds = tuple(random.choice((0, 1, len(fetches))) for _ in range(FIXED_COUNTERS))
    return Piece(tuple(fetches), tuple(accesses), adds)


def addresses_of(random: Random, piece: Piece) -> list[int]:
    """Draw the addresses of a piece's accesses: near ones, far ones, none where it is allowed."""
    found = []
    for access in piece.accesses:
        near, far = DATA + random.randrange(0x600), DATA + random.randrange(0x20000)
        address = random.choice((near, near, near, far))
        found.append(0 if access.is_conditional and random.random() < 0.5 else address)
    return found
