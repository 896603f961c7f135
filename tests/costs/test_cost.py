from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.costs.cost import Accesses, check_accesses, hits, price
from powerml.costs.counts import Counts
from powerml.errors import UnknownNameError
from powerml.machines import load_machine
from tests.builders import make_counts, make_machine

SMALL = Counts(Ir=100, Dr=30, Dw=20, I1mr=9, D1mr=6, D1mw=4, ILmr=3, DLmr=2, DLmw=1)
ENERGIES = {
    "l1": {"value": 20, "source": "made up"},
    "ll": {"value": 100, "source": "made up"},
    "memory": {"value": 2000, "source": "made up"},
}
accesses_kinds = st.sampled_from(["data", "all"])


@st.composite
def consistent_counts(draw: st.DrawFn) -> Counts:
    """Each level misses no more than it was asked for."""

    def chain(*names: str) -> dict[str, int]:
        limit, found = 10**12, {}
        for name in names:
            limit = found[name] = draw(st.integers(0, limit))
        return found

    return Counts(
        **chain("Ir", "I1mr", "ILmr"), **chain("Dr", "D1mr", "DLmr"), **chain("Dw", "D1mw", "DLmw")
    )


def test_eq_2_1_by_hand() -> None:
    # 50 data accesses, 10 miss L1, 3 of them the last level too; 2, 10 and 100 cycles.
    assert hits(SMALL) == (40, 7, 3)
    assert price(SMALL, make_machine(), by="paper").cycles == 40 * 2 + 7 * 10 + 3 * 100


def test_eq_2_1_with_instruction_fetches_by_hand() -> None:
    # 150 accesses, 19 miss L1, 6 of them the last level too.
    assert hits(SMALL, "all") == (131, 13, 6)
    assert price(SMALL, make_machine(), "all", by="paper").cycles == 131 * 2 + 13 * 10 + 6 * 100


def test_the_papers_machine_by_hand() -> None:
    cost = price(SMALL, load_machine("xeon-x5650"), by="paper")
    assert cost.cycles == pytest.approx(40 * 4 + 7 * 41 + 3 * 178.22)


def test_data_is_what_counts_unless_told_otherwise() -> None:
    busy = SMALL.model_copy(update={"Ir": 10**9, "I1mr": 10**6, "ILmr": 10**5})
    machine = make_machine()
    assert (
        price(busy, machine, by="paper")
        == price(SMALL, machine, by="paper")
        == price(SMALL, machine, "data", by="paper")
    )
    assert (
        price(busy, machine, "all", by="paper").cycles
        > price(SMALL, machine, "all", by="paper").cycles
    )


@settings(deadline=None)
@given(consistent_counts())
def test_hits_sum_to_accesses(counts: Counts) -> None:
    assert sum(hits(counts)) == counts.data_accesses
    assert sum(hits(counts, "all")) == counts.data_accesses + counts.Ir
    assert min(*hits(counts), *hits(counts, "all")) >= 0


@settings(deadline=None)
@given(consistent_counts(), consistent_counts(), accesses_kinds)
def test_cost_is_linear_in_counts(one: Counts, other: Counts, accesses: Accesses) -> None:
    machine = make_machine(energy_pj=ENERGIES)
    first, second = (
        price(one, machine, accesses, by="paper"),
        price(other, machine, accesses, by="paper"),
    )
    both = price(one + other, machine, accesses, by="paper")
    assert both.cycles == pytest.approx(first.cycles + second.cycles)
    assert both.joules == pytest.approx((first.joules or 0) + (second.joules or 0))


@settings(deadline=None)
@given(consistent_counts())
def test_a_slower_memory_never_makes_it_cheaper(counts: Counts) -> None:
    slow = make_machine(
        latency_cycles={
            "l1": {"value": 2, "source": "made up"},
            "ll": {"value": 10, "source": "made up"},
            "memory": {"value": 200, "source": "made up"},
        }
    )
    more_expensive = (
        price(counts, slow, by="paper").cycles - price(counts, make_machine(), by="paper").cycles
    )
    assert more_expensive == pytest.approx(counts.ll_misses * 100)


def test_nothing_done_costs_nothing() -> None:
    nothing = make_counts() - make_counts()
    cost = price(nothing, make_machine(energy_pj=ENERGIES), "all", by="paper")
    assert (cost.cycles, cost.joules) == (0, 0)


def test_joules_by_hand() -> None:
    cost = price(SMALL, make_machine(energy_pj=ENERGIES), by="paper")
    assert cost.joules == pytest.approx((40 * 20 + 7 * 100 + 3 * 2000) * 1e-12)
    assert cost.joules_estimated is False


@pytest.mark.parametrize("level", ["l1", "ll", "memory"])
def test_one_estimated_energy_makes_the_joules_an_estimate(level: str) -> None:
    energies = {**ENERGIES, level: {**ENERGIES[level], "estimated": True}}
    assert price(SMALL, make_machine(energy_pj=energies), by="paper").joules_estimated is True


@pytest.mark.parametrize("accesses", ["data", "all"])
def test_without_energies_joules_are_unknown_never_zero(accesses: Accesses) -> None:
    cost = price(SMALL, make_machine(), accesses, by="paper")
    assert cost.joules is None
    assert cost.joules_estimated is None


def test_an_optimum_in_cycles_is_not_one_in_joules() -> None:
    machine = load_machine("xeon-x5650")
    many_hits = make_counts(Dr=10_000, Dw=0, D1mr=0, D1mw=0, DLmr=0, DLmw=0)
    some_misses = make_counts(Dr=1_000, Dw=0, D1mr=150, D1mw=0, DLmr=150, DLmw=0)
    hitting, missing = (
        price(many_hits, machine, by="paper"),
        price(some_misses, machine, by="paper"),
    )
    assert hitting.cycles > missing.cycles
    assert hitting.joules is not None
    assert missing.joules is not None
    assert hitting.joules < missing.joules


def test_kinds_of_accesses() -> None:
    assert check_accesses("data") == "data"
    assert check_accesses("all") == "all"
    with pytest.raises(UnknownNameError, match="unknown kind of accesses 'dat': did you mean"):
        check_accesses("dat")
