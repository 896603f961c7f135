"""Caches of several geometries in one run: their options, and their counts from the counters."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.counts import Instructions, Streamed
from powerml.errors import OutputError
from powerml.machines import Cache, Geometry
from powerml.meters.simulator.caches import CLASSES, FIXED, MISS_COUNTERS, SimulatedCaches
from tests.builders import make_geometry

FRONT, WIDE = Cache(size_bytes=32768, ways=4), Cache(size_bytes=32768, ways=8)
SMALL = Cache(size_bytes=262144, ways=8)
LARGE, LARGER = Cache(size_bytes=2**23, ways=16), Cache(size_bytes=12 * 2**20, ways=24)

ONE = make_geometry(i1=FRONT, d1=WIDE, ll=LARGE)
UP_TO_L2 = make_geometry(i1=FRONT, d1=WIDE, ll=SMALL)
OTHER_FRONT = make_geometry(i1=WIDE, d1=WIDE, ll=LARGE)

caches = st.builds(
    Cache,
    size_bytes=st.sampled_from([2**15, 2**18, 2**23]),
    ways=st.sampled_from([2, 4, 8]),
)
geometries = st.lists(
    st.builds(Geometry, i1=caches, d1=caches, ll=caches), min_size=1, max_size=6, unique_by=str
)


def counters_of(simulated: SimulatedCaches) -> list[int]:
    """A different number for each counter, in the order of the options."""
    front, lower = (
        sum(option.startswith(kind) for option in simulated.options)
        for kind in ("--front=", "--lower=")
    )
    return list(range(1, 1 + len(FIXED) + MISS_COUNTERS * (2 * front + lower)))


def test_a_first_level_is_simulated_once_with_all_last_levels_below_it() -> None:
    assert SimulatedCaches([ONE, OTHER_FRONT, UP_TO_L2, ONE]).options == [
        "--front=32768,4,64/32768,8,64",
        "--lower=8388608,16,64",
        "--lower=262144,8,64",
        "--front=32768,8,64/32768,8,64",
        "--lower=8388608,16,64",
    ]


def test_the_counts_of_one_geometry_by_hand() -> None:
    instructions = range(10, 10 + len(CLASSES))
    fixed = [*instructions, 7, 8, 3000, 2000, 400]
    # By cache: fetches, reads, writes, reads whose instruction writes the same place, and streams.
    i1, d1, ll = (90, 0, 0, 0, 0), (0, 200, 100, 30, 250), (9, 20, 10, 3, 25)
    counts = SimulatedCaches([ONE]).counts([*fixed, *i1, *d1, *ll], ONE)
    assert (counts.Ir, counts.Dr, counts.Dw) == (sum(instructions), 3400, 2000)
    assert (counts.I1mr, counts.D1mr, counts.D1mw) == (90, 230, 100)
    assert (counts.ILmr, counts.DLmr, counts.DLmw) == (9, 23, 10)
    assert counts.streamed == Streamed(D1m=250, DLm=25)
    assert counts.instructions is not None
    assert counts.instructions.moves == 10
    assert counts.instructions.divisions == 21
    assert counts.instructions.float_operations == 7
    assert counts.instructions.integer_operations == 8
    assert counts.instructions.modifies == 400


@given(geometries)
def test_each_geometry_has_the_misses_of_its_own_caches(several: list[Geometry]) -> None:
    simulated = SimulatedCaches(several)
    # Walk the options as the instrument does, and number the caches.
    number = count()
    place: dict[tuple[str, str], tuple[int, int, int]] = {}
    first = (0, 0)
    front = ""
    for option in simulated.options:
        kind, _, value = option.partition("=")
        if kind == "--front":
            front, first = value, (next(number), next(number))
        else:
            place[front, value] = (*first, next(number))
    counters = counters_of(simulated)

    def missed(cache: int, *directions: int) -> int:
        return sum(counters[len(FIXED) + MISS_COUNTERS * cache + one] for one in directions)

    for geometry in several:
        i1, d1, ll = place[f"{geometry.i1}/{geometry.d1}", str(geometry.ll)]
        counts = simulated.counts(counters, geometry)
        assert counts.I1mr == missed(i1, 0)
        assert (counts.D1mr, counts.D1mw) == (missed(d1, 1, 3), missed(d1, 2))
        assert counts.ILmr == missed(ll, 0)
        assert (counts.DLmr, counts.DLmw) == (missed(ll, 1, 3), missed(ll, 2))


@given(geometries)
def test_what_does_not_depend_on_caches_is_the_same_for_all(several: list[Geometry]) -> None:
    simulated = SimulatedCaches(several)
    counters = counters_of(simulated)
    found = [simulated.counts(counters, geometry) for geometry in several]
    assert len({(one.Ir, one.Dr, one.Dw, one.instructions) for one in found}) == 1
    assert found[0].Ir == sum(counters[: len(CLASSES)])


def test_the_classes_are_those_of_the_record() -> None:
    told = [name for name in FIXED if name not in {"reads", "writes"}]
    assert told == list(Instructions.model_fields)


@pytest.mark.parametrize("change", [-1, 1])
def test_counters_of_other_caches_are_refused(change: int) -> None:
    simulated = SimulatedCaches([ONE, UP_TO_L2])
    counters = [*counters_of(simulated), 0][: len(counters_of(simulated)) + change]
    told = f"gave {len(counters)} counters for 4 caches: install powerml again"
    with pytest.raises(OutputError, match=told):
        simulated.counts(counters, ONE)


def test_a_region_without_instructions_was_not_measured() -> None:
    simulated = SimulatedCaches([ONE])
    with pytest.raises(OutputError, match="counts no instruction: measure again"):
        simulated.counts([0] * len(counters_of(simulated)), ONE)
