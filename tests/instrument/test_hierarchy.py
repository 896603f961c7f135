"""Caches: equal to a slow reference on random streams, and impossible ones refused."""

from __future__ import annotations

import ctypes
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.instrument.reference import (
    FIXED_COUNTERS,
    MISS_COUNTERS,
    READS,
    STREAMED,
    Access,
    Direction,
    Fetch,
    Front,
    Lower,
    Piece,
    Reference,
    Shape,
)
from tests.instrument.simulation import Simulation, Status
from tests.instrument.streams import addresses_of, fronts, random_piece

SMALL = Shape(1024, 2, 64)
LARGE = Shape(8192, 4, 64)
DESKTOP = Front(Shape(32768, 8, 64), Shape(32768, 8, 64), (Lower(Shape(8 << 20, 16, 64)),))
CODE, DATA = 0x400000, 0x10000
MOST_RUN = 8192  # pieces and accesses together


def _read_of(size_bytes: int) -> Piece:
    return Piece((Fetch(CODE, 4, 0),), (Access(size_bytes, Direction.READ),))


def _misses(simulation: Simulation, cache: int, direction: Direction) -> int:
    return simulation.read()[FIXED_COUNTERS + MISS_COUNTERS * cache + direction]


@settings(max_examples=80)
@given(fronts, st.integers(1, 60), st.randoms(use_true_random=True))
def test_random_streams_count_as_in_the_reference(
    hierarchy: ctypes.CDLL, hierarchies: list[Front], batches: int, random: Random
) -> None:
    simulation, reference = Simulation(hierarchy, hierarchies), Reference(hierarchies)
    pieces = [random_piece(random) for _ in range(random.randint(1, 20))]
    for _ in range(batches):
        batch = random.choices(pieces, k=random.choice((0, 1, 2, 10)))
        addresses = [address for piece in batch for address in addresses_of(random, piece)]
        simulation.run(batch, addresses)
        reference.run(batch, addresses)
        if random.random() < 0.2:
            assert simulation.read() == reference.counters
        if random.random() < 0.1:
            simulation.empty()
            reference.empty()
    assert simulation.read() == reference.counters
    assert simulation.status == Status.FINE


@settings(max_examples=5)
@given(st.randoms(use_true_random=True))
def test_batches_as_long_as_may_be_count_as_in_the_reference(
    hierarchy: ctypes.CDLL, random: Random
) -> None:
    simulation, reference = Simulation(hierarchy, [DESKTOP]), Reference([DESKTOP])
    pieces = [random_piece(random) for _ in range(50)]
    for _ in range(2):
        batch: list[Piece] = []
        addresses: list[int] = []
        while len(batch) + len(addresses) < MOST_RUN - 100:
            batch.append(random.choice(pieces))
            addresses += addresses_of(random, batch[-1])
        simulation.run(batch, addresses)
        reference.run(batch, addresses)
    assert simulation.read() == reference.counters


@pytest.mark.parametrize("line_bytes", [16, 32, 64, 128])
def test_an_access_that_straddles_lines_misses_once(
    hierarchy: ctypes.CDLL, line_bytes: int
) -> None:
    shape = Shape(64 * line_bytes, 4, line_bytes)
    simulation = Simulation(hierarchy, [Front(shape, shape, (Lower(shape),))])
    read = _read_of(8)
    simulation.run([read] * 3, [DATA + line_bytes - 4, DATA, DATA + line_bytes])
    assert [_misses(simulation, cache, Direction.READ) for cache in (1, 2)] == [1, 1]


def test_a_level_of_a_chain_is_asked_only_where_the_one_above_missed(
    hierarchy: ctypes.CDLL,
) -> None:
    # The third level is of two lines: a hit in the second must not refresh one there.
    chain = (Lower(LARGE), Lower(Shape(128, 2, 64), above=0))
    simulation = Simulation(hierarchy, [Front(SMALL, Shape(64, 1, 64), chain)])
    a, b, c = DATA, DATA + 4096, DATA + 8192
    read = _read_of(4)
    simulation.run([read] * 5, [a, b, a, c, a])
    assert [_misses(simulation, cache, Direction.READ) for cache in (1, 2, 3)] == [5, 3, 3]


def test_side_by_side_levels_are_asked_each_on_its_own(hierarchy: ctypes.CDLL) -> None:
    beside = (Lower(Shape(64, 1, 64)), Lower(LARGE))
    simulation = Simulation(hierarchy, [Front(SMALL, Shape(64, 1, 64), beside)])
    simulation.run([_read_of(4)] * 4, [DATA, DATA + 4096] * 2)
    assert [_misses(simulation, cache, Direction.READ) for cache in (1, 2, 3)] == [4, 4, 2]


@pytest.mark.parametrize(
    ("stride_bytes", "streamed"),
    [(64, 99), (-64, 99), (32, 99), (128, 0), (4096, 0)],
    ids=["upwards", "downwards", "half lines", "every other line", "a page"],
)
def test_a_miss_beside_a_recent_one_continues_a_stream(
    hierarchy: ctypes.CDLL, stride_bytes: int, streamed: int
) -> None:
    simulation = Simulation(hierarchy, [Front(SMALL, SMALL, (Lower(LARGE),))])
    reads = 100 * 64 // min(64, abs(stride_bytes))
    addresses = [(1 << 30) + number * stride_bytes for number in range(reads)]
    simulation.run([_read_of(4)] * reads, addresses)
    counters = simulation.read()
    for cache in (1, 2):
        of_cache = counters[FIXED_COUNTERS + MISS_COUNTERS * cache :]
        assert (of_cache[Direction.READ], of_cache[STREAMED]) == (100, streamed)


def test_as_many_streams_are_followed_as_lines_are_remembered(hierarchy: ctypes.CDLL) -> None:
    for streams, followed in ((32, True), (33, False)):
        simulation = Simulation(hierarchy, [Front(SMALL, Shape(64, 1, 64))])
        addresses = [
            (stream + 1 << 20) + 64 * line for line in range(10) for stream in range(streams)
        ]
        simulation.run([_read_of(4)] * len(addresses), addresses)
        assert _misses(simulation, 1, Direction.READ) == 10 * streams
        streamed = simulation.read()[FIXED_COUNTERS + MISS_COUNTERS + STREAMED]
        assert streamed == (9 * streams if followed else 0)


def test_accesses_that_were_not_done_are_not_counted(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [DESKTOP])
    loads = Piece((Fetch(CODE, 4, 0),), (Access(16, Direction.READ, is_conditional=True),))
    simulation.run([loads] * 3, [0, DATA, 0])
    assert simulation.read()[READS] == 1
    assert _misses(simulation, 1, Direction.READ) == 1


def test_many_pieces_in_one_batch_are_all_counted(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [DESKTOP])
    adds = (1, *(0,) * (FIXED_COUNTERS - 1))
    handles = [
        simulation.piece(Piece((Fetch(CODE + 64 * number, 4, 0),), (), adds))
        for number in range(40_000)
    ]
    assert None not in handles
    assert len(set(handles)) == len(handles)
    for start in range(0, len(handles), MOST_RUN):
        simulation.run_handles(
            [handle for handle in handles[start : start + MOST_RUN] if handle is not None]
        )
    assert simulation.read()[0] == len(handles)
    assert _misses(simulation, 0, Direction.FETCH) == len(handles)


def test_counts_of_more_executions_than_32_bits_of_misses_hold_are_whole(
    hierarchy: ctypes.CDLL,
) -> None:
    simulation = Simulation(hierarchy, [Front(SMALL, Shape(64, 1, 64))])
    piece = simulation.piece(_read_of(4))
    assert piece is not None
    rounds, at_once = 1100, MOST_RUN // 2
    addresses = [DATA, DATA + 64] * (at_once // 2)
    for _ in range(rounds):
        simulation.run_handles([piece] * at_once, addresses)
    assert _misses(simulation, 1, Direction.READ) == rounds * at_once


def test_a_piece_that_is_described_twice_is_one(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [DESKTOP])
    assert simulation.piece(_read_of(4)) == simulation.piece(_read_of(4))
    assert simulation.piece(_read_of(4)) != simulation.piece(_read_of(8))


@pytest.mark.parametrize(
    "piece",
    [
        Piece((Fetch(CODE, 64 * 64, 0), Fetch(CODE + 64 * 64, 4, 0))),
        Piece((Fetch(CODE, 4, 0),), (Access(4, Direction.READ),) * 1025),
    ],
    ids=["lines", "accesses"],
)
def test_a_piece_with_too_much_in_it_is_refused(hierarchy: ctypes.CDLL, piece: Piece) -> None:
    simulation = Simulation(hierarchy, [DESKTOP])
    assert simulation.piece(piece) is None
    assert simulation.status == Status.FINE


def test_the_largest_pieces_are_counted(hierarchy: ctypes.CDLL) -> None:
    fetches = tuple(Fetch(CODE + 16 * number, 16, 0) for number in range(256))
    piece = Piece(fetches, (Access(4, Direction.READ),) * 1024)
    simulation, reference = Simulation(hierarchy, [DESKTOP]), Reference([DESKTOP])
    addresses = [DATA + 64 * number for number in range(1024)]
    simulation.run([piece], addresses)
    reference.run([piece], addresses)
    assert simulation.read() == reference.counters


@pytest.mark.parametrize(
    "shape",
    [
        Shape(0, 1, 64),
        Shape(1024, 0, 64),
        Shape(1024, 2, 0),
        Shape(1024, 2, 8),  # lines are of 16 bytes at least
        Shape(1024, 2, 48),
        Shape(1000, 2, 64),
        Shape(64 * 2 * 3, 2, 64),  # three sets
        Shape(2**63 + 64, 1, 64),
        Shape(64, 2**32 - 1, 2**31),
    ],
    ids=str,
)
def test_impossible_caches_are_refused_and_leave_nothing_behind(
    hierarchy: ctypes.CDLL, shape: Shape
) -> None:
    simulation = Simulation(hierarchy)
    assert simulation.add_front(shape, SMALL) == -1
    assert simulation.add_front(SMALL, shape) == -1
    assert simulation.add_front(SMALL, SMALL) == 0
    assert simulation.add_lower(Lower(shape)) == -1
    assert simulation.add_lower(Lower(LARGE)) == 0
    simulation.begin()
    reference = Reference([Front(SMALL, SMALL, (Lower(LARGE),))])
    simulation.run([_read_of(4)] * 2, [DATA, DATA + 60])
    reference.run([_read_of(4)] * 2, [DATA, DATA + 60])
    assert simulation.read() == reference.counters
    assert simulation.line_bytes == 64


def test_a_first_level_beyond_what_a_place_tells_is_refused(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy)
    assert simulation.add_front(SMALL, Shape(64 << 17, 2, 64)) == -1
    assert simulation.add_front(SMALL, Shape(64 << 16, 2, 64)) == 0


def test_levels_below_no_front_or_below_none_are_refused(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy)
    assert simulation.add_lower(Lower(LARGE)) == -1
    simulation.add_front(SMALL, SMALL)
    for above in (-2, 0, 1):
        assert simulation.add_lower(Lower(LARGE, above)) == -1
    assert simulation.add_lower(Lower(LARGE)) == 0
    assert simulation.add_lower(Lower(LARGE, above=0)) == 1


def test_too_many_fronts_and_levels_are_refused(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy)
    assert [simulation.add_front(SMALL, SMALL) for _ in range(17)] == [*range(16), -1]
    assert [simulation.add_lower(Lower(LARGE)) for _ in range(17)] == [*range(16), -1]


def test_no_cache_is_added_once_it_has_begun(hierarchy: ctypes.CDLL) -> None:
    simulation = Simulation(hierarchy, [DESKTOP])
    counters = len(simulation.read())
    assert simulation.add_front(SMALL, SMALL) == -1
    assert simulation.add_lower(Lower(LARGE)) == -1
    assert len(simulation.read()) == counters


def test_the_shortest_line_is_told_and_is_never_longer_than_64_bytes(
    hierarchy: ctypes.CDLL,
) -> None:
    def line_bytes(*lines: int) -> int:
        shapes = [Shape(16 * line, 2, line) for line in lines]
        front = Front(shapes[0], shapes[1], (Lower(shapes[2]),))
        return Simulation(hierarchy, [front]).line_bytes

    assert line_bytes(64, 64, 128) == 64
    assert line_bytes(128, 128, 128) == 64
    assert line_bytes(128, 64, 16) == 16
