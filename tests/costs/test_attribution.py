"""Cycles of parts: they add up to the price of the whole, and a larger part takes more."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.attribution import Levels, attribute, origin_shares, price_levels
from powerml.costs.cost import PriceName
from powerml.costs.counts import Counts, PhaseCounts
from powerml.machines import load_machine

MACHINE = load_machine("epyc-7763")
PRICES: tuple[PriceName, ...] = ("core", "paper")


@st.composite
def _counts(draw: st.DrawFn) -> Counts:
    instructions, reads, writes = (draw(st.integers(0, 10**9)) for _ in range(3))
    misses = draw(st.integers(0, reads))
    return Counts(
        Ir=instructions, Dr=reads, Dw=writes, I1mr=0, D1mr=misses, D1mw=0, ILmr=0,
        DLmr=draw(st.integers(0, misses)), DLmw=0,
    )  # fmt: skip


@pytest.mark.parametrize("by", PRICES)
@given(parts=st.lists(_counts(), min_size=1, max_size=6))
def test_parts_add_up_to_the_price_of_the_whole(by: PriceName, parts: list[Counts]) -> None:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    cycles = attribute(Levels(whole), [Levels(part) for part in parts], MACHINE, by=by)
    expected = price_levels(Levels(whole), MACHINE, by=by).cycles
    assert math.fsum(cycles) == pytest.approx(expected, rel=1e-12)
    assert all(one >= 0 for one in cycles)


def test_by_the_papers_price_each_part_has_its_own_price() -> None:
    parts = [
        Counts(Ir=9, Dr=5, Dw=1, I1mr=0, D1mr=2, D1mw=0, ILmr=0, DLmr=1, DLmw=0),
        Counts(Ir=4, Dr=7, Dw=3, I1mr=0, D1mr=1, D1mw=1, ILmr=0, DLmr=0, DLmw=0),
    ]
    cycles = attribute(
        Levels(parts[0] + parts[1]), [Levels(part) for part in parts], MACHINE, by="paper"
    )
    alone = [price_levels(Levels(part), MACHINE, by="paper").cycles for part in parts]
    assert cycles == pytest.approx(alone, rel=1e-12)


def test_nothing_takes_nothing() -> None:
    nothing = Levels(Counts.zero())
    assert attribute(nothing, [nothing, nothing], MACHINE) == [0.0, 0.0]


def test_shares_of_origins_add_up_to_one_where_they_are_told() -> None:
    counts = Counts(Ir=90, Dr=50, Dw=10, I1mr=0, D1mr=2, D1mw=0, ILmr=0, DLmr=1, DLmw=0)
    phase = PhaseCounts(name="inference", counts=counts, steps_simulated=1, steps_total=1)
    assert origin_shares(phase, MACHINE) is None
    told = phase.model_copy(
        update={"origins": {"kernels": counts.scaled(2 / 3), "interpreter": counts.scaled(1 / 3)}}
    )
    shares = origin_shares(told, MACHINE)
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["kernels"] > shares["interpreter"]
