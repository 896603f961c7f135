"""Costs of parts add up to the whole, by either price."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.costs.cost import PriceName, price
from powerml.costs.counts import Counts
from powerml.machines import load_machine
from powerml.running.attribution import shared_cycles

MACHINE = load_machine("epyc-7763")


def _counts(scale: int) -> Counts:
    return Counts(
        **dict(zip(("Ir", "Dr", "Dw"), (100 * scale, 40 * scale, 9 * scale), strict=True)),
        **dict(zip(("I1mr", "D1mr", "D1mw"), (scale, 3 * scale, scale), strict=True)),
        **dict(zip(("ILmr", "DLmr", "DLmw"), (0, scale, 0), strict=True)),
    )


COUNTS = st.builds(
    lambda base, more: base.combined(Counts.zero(), lambda one, _: one + more),
    st.integers(0, 1000).map(_counts),
    st.integers(0, 3),
)


@pytest.mark.parametrize("by", ["core", "paper"])
@given(parts=st.lists(COUNTS, min_size=1, max_size=5))
def test_cycles_of_parts_add_up(by: PriceName, parts: list[Counts]) -> None:
    whole = sum(parts, Counts.zero())
    found = shared_cycles((whole, None), [(one, None) for one in parts], MACHINE, "data", by)
    assert all(cycles >= 0 for cycles in found)
    assert sum(found) == pytest.approx(price(whole, MACHINE, by=by).cycles)


def test_a_part_that_keeps_the_bottleneck_busy_costs_more_than_its_price_alone() -> None:
    issuing = Counts(Ir=10**6, Dr=0, Dw=0, I1mr=0, D1mr=0, D1mw=0, ILmr=0, DLmr=0, DLmw=0)
    waiting = Counts(Ir=10, Dr=10, Dw=0, I1mr=0, D1mr=10, D1mw=0, ILmr=0, DLmr=10, DLmw=0)
    long, short = shared_cycles(
        (issuing + waiting, None), [(issuing, None), (waiting, None)], MACHINE, "data", "core"
    )
    assert long == pytest.approx(price(issuing, MACHINE).cycles, rel=1e-3)
    assert short < price(waiting, MACHINE).cycles
