"""Prices of two and of three levels, on one machine and on several."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powerml.costs.cost import Accesses, Cost, per_sample, price
from powerml.costs.counts import EVENTS, Counts, PhaseCounts
from powerml.costs.measurement import price_phases
from powerml.errors import MachineError, MeasurementError
from powerml.machines import Machine, geometries, load_machine, load_machines, up_to_l2
from tests.builders import everywhere, make_counts, make_machine

# 50 data accesses, 20 miss L1, 3 of them the last level.
WHOLE = Counts(Ir=100, Dr=30, Dw=20, I1mr=9, D1mr=12, D1mw=8, ILmr=2, DLmr=2, DLmw=1)
# The same accesses; 8 of them miss L2.
LOWER = WHOLE.model_copy(update={"ILmr": 4, "DLmr": 5, "DLmw": 3})


def _number(value: float) -> dict[str, object]:
    return {"value": value, "source": "made up"}


def _three_levels(**fields: object) -> Machine:
    """2, 10, 30 and 100 cycles."""
    toy = make_machine()
    return make_machine(
        caches={
            **toy.caches.model_dump(exclude_none=True),
            "l2": {"size_bytes": 262144, "ways": 8, "source": "made up"},
        },
        latency_cycles={
            "l1": _number(2),
            "l2": _number(10),
            "ll": _number(30),
            "memory": _number(100),
        },
        **fields,
    )


def _phase(name: str, counts: Counts) -> PhaseCounts:
    return PhaseCounts(name=name, counts=counts, steps_simulated=1, steps_total=1)


def test_three_levels_by_hand() -> None:
    # 30 hit L1, 12 L2, 5 the last level, 3 go to memory.
    machine = _three_levels()
    assert (
        price(WHOLE, machine, "data", LOWER, by="paper").cycles
        == 30 * 2 + 12 * 10 + 5 * 30 + 3 * 100
    )
    assert price(WHOLE, machine, by="paper").cycles == 30 * 2 + 17 * 30 + 3 * 100


def test_three_levels_with_instruction_fetches_by_hand() -> None:
    # 150 accesses, 29 miss L1, 12 miss L2, 5 the last level.
    cost = price(WHOLE, _three_levels(), "all", LOWER, by="paper")
    assert cost.cycles == 121 * 2 + 17 * 10 + 7 * 30 + 5 * 100


def test_what_l2_missed_less_than_the_last_level_is_not_given_back() -> None:
    fewer = WHOLE.model_copy(update={"DLmr": 1, "DLmw": 0})
    # L2 then answers all that memory does not, and the last level nothing.
    cost = price(WHOLE, _three_levels(), "data", fewer, by="paper")
    assert cost.cycles == 30 * 2 + 17 * 10 + 0 * 30 + 3 * 100


def test_where_everything_misses_l2_it_costs_what_two_levels_do() -> None:
    machine = _three_levels()
    missing = WHOLE.model_copy(update={"DLmr": WHOLE.D1mr, "DLmw": WHOLE.D1mw})
    assert price(WHOLE, machine, "data", missing, by="paper") == price(WHOLE, machine, by="paper")


def test_a_machine_without_l2_is_priced_with_two_levels() -> None:
    toy = make_machine()
    assert price(WHOLE, toy, "data", LOWER, by="paper") == price(WHOLE, toy, by="paper")


def test_the_joules_are_those_of_two_levels() -> None:
    energies = {"l1": _number(20), "ll": _number(100), "memory": _number(2000)}
    machine = _three_levels(energy_pj=energies)
    two, three = price(WHOLE, machine, by="paper"), price(WHOLE, machine, "data", LOWER, by="paper")
    assert three.joules == two.joules == pytest.approx((30 * 20 + 17 * 100 + 3 * 2000) * 1e-12)
    assert three.cycles < two.cycles


@st.composite
def _counts(draw: st.DrawFn) -> Counts:
    """Each level misses no more than it was asked for."""

    def chain(*names: str) -> dict[str, int]:
        limit, found = 10**9, {}
        for name in names:
            limit = found[name] = draw(st.integers(0, limit))
        return found

    return Counts(
        **chain("Ir", "I1mr", "ILmr"), **chain("Dr", "D1mr", "DLmr"), **chain("Dw", "D1mw", "DLmw")
    )


@settings(deadline=None)
@given(_counts(), _counts(), st.sampled_from(["data", "all"]))
def test_three_levels_are_never_negative_whatever_the_simulations_say(
    whole: Counts, lower: Counts, accesses: Accesses
) -> None:
    machine = _three_levels()
    memory = whole.ll_misses + (whole.ILmr if accesses == "all" else 0)
    assert price(whole, machine, accesses, lower, by="paper").cycles >= memory * 100


@settings(deadline=None)
@given(_counts(), st.data())
def test_an_l2_never_makes_it_more_expensive(whole: Counts, data: st.DataObject) -> None:
    """The two simulations see the same accesses, and L2 is asked for what L1 missed."""
    missed = {
        one: data.draw(st.integers(getattr(whole, one), getattr(whole, first)))
        for one, first in (("ILmr", "I1mr"), ("DLmr", "D1mr"), ("DLmw", "D1mw"))
    }
    machine = _three_levels()
    for accesses in ("data", "all"):
        kind: Accesses = "all" if accesses == "all" else "data"
        three = price(whole, machine, kind, whole.model_copy(update=missed), by="paper").cycles
        assert three <= price(whole, machine, kind, by="paper").cycles


def test_one_sample_of_several() -> None:
    cost = Cost(cycles=90.0, joules=3e-3, joules_estimated=True)
    assert per_sample(cost, 3) == Cost(cycles=30, joules=1e-3, joules_estimated=True)
    assert per_sample(cost, 1) == cost
    assert per_sample(Cost(cycles=90.0), 3) == Cost(cycles=30)


def test_each_machine_is_priced_by_its_own_caches() -> None:
    machines = load_machines("core-i7-4770,xeon-x5650,core-i7-6700")
    shared, own = geometries(machines, 2)
    few, many = make_counts(D1mr=10, DLmr=1), make_counts(D1mr=1000, DLmr=900)
    simulated = {shared: [_phase("training", few)], own: [_phase("training", many)]}
    (phase,) = price_phases(simulated, everywhere(machines), "data", 2, None, by="paper")
    assert list(phase.costs) == ["core-i7-4770", "xeon-x5650", "core-i7-6700"]
    for machine, counts in zip(machines, (few, many, few), strict=True):
        assert phase.costs[machine.name] == price(counts, machine, by="paper")
    assert phase.counts == few  # the first machine's


def test_the_counts_shown_are_those_of_the_first_machines_caches() -> None:
    one, other = load_machines("xeon-x5650,core-i7-4770")
    few, many = make_counts(D1mr=10), make_counts(D1mr=1000)
    simulated = {
        one.simulated_geometry: [_phase("inference", few)],
        other.simulated_geometry: [_phase("inference", many)],
    }
    for machines, counts in (((one, other), few), ((other, one), many)):
        assert (
            price_phases(simulated, everywhere(machines), "data", 2, 1, by="paper")[0].counts
            == counts
        )


@pytest.mark.parametrize("accesses", ["data", "all"])
def test_three_levels_take_both_simulations(accesses: Accesses) -> None:
    machine = load_machine("xeon-x5650")
    simulated = {
        machine.simulated_geometry: [_phase("load", WHOLE), _phase("inference", WHOLE)],
        up_to_l2(machine).simulated_geometry: [_phase("load", LOWER), _phase("inference", LOWER)],
    }
    assert set(simulated) == set(geometries([machine], 3))
    phases = price_phases(simulated, everywhere([machine]), accesses, 3, 1, by="paper")
    for phase in phases:
        assert phase.counts == WHOLE
        assert phase.costs[machine.name] == price(WHOLE, machine, accesses, LOWER, by="paper")
    two = price_phases(simulated, everywhere([machine]), accesses, 2, 1, by="paper")
    assert two[0].costs[machine.name].cycles > phases[0].costs[machine.name].cycles


def test_a_phase_is_priced_by_its_own_counts_up_to_l2() -> None:
    machine = load_machine("xeon-x5650")
    busy = make_counts(D1mr=900, DLmr=40)
    busy_lower = busy.model_copy(update={"DLmr": 700})
    simulated = {
        machine.simulated_geometry: [_phase("load", WHOLE), _phase("inference", busy)],
        up_to_l2(machine).simulated_geometry: [
            _phase("load", LOWER),
            _phase("inference", busy_lower),
        ],
    }
    load, inference = price_phases(simulated, everywhere([machine]), "data", 3, 1, by="paper")
    assert load.costs[machine.name] == price(WHOLE, machine, "data", LOWER, by="paper")
    assert inference.costs[machine.name] == price(busy, machine, "data", busy_lower, by="paper")


def test_only_the_inference_has_a_price_for_one_sample() -> None:
    machines = load_machines("xeon-x5650,xeon-8180")
    simulated = {
        geometry: [_phase("training", WHOLE), _phase("load", WHOLE), _phase("inference", WHOLE)]
        for geometry in geometries(machines, 2)
    }
    training, load, inference = price_phases(
        simulated, everywhere(machines), "data", 2, 40, by="paper"
    )
    assert (training.samples, load.samples, inference.samples) == (None, None, 40)
    assert training.costs_per_sample is None
    assert load.costs_per_sample is None
    assert inference.costs_per_sample == {
        name: per_sample(cost, 40) for name, cost in inference.costs.items()
    }
    assert list(inference.costs_per_sample) == ["xeon-x5650", "xeon-8180"]


def test_where_the_batch_is_not_known_an_inference_alone_has_a_price() -> None:
    machine = load_machine("xeon-x5650")
    simulated = {machine.simulated_geometry: [_phase("load", WHOLE), _phase("inference", WHOLE)]}
    load, inference = price_phases(
        simulated, everywhere([machine]), "data", 2, None, inferences=4, by="paper"
    )
    assert (load.inferences, load.costs_per_inference) == (None, None)
    assert (inference.samples, inference.costs_per_sample, inference.inferences) == (None, None, 4)
    assert inference.costs_per_inference == {
        name: per_sample(cost, 4) for name, cost in inference.costs.items()
    }


def test_an_inference_that_came_to_nothing_is_no_measurement() -> None:
    machine = load_machine("xeon-x5650")
    nothing = Counts(**dict.fromkeys(EVENTS, 0))
    simulated = {machine.simulated_geometry: [_phase("inference", nothing)]}
    with pytest.raises(MeasurementError, match="so nothing was measured"):
        price_phases(simulated, everywhere([machine]), "data", 2, 1, by="paper")


def test_three_levels_on_a_machine_without_l2_are_refused() -> None:
    toy = make_machine()
    with pytest.raises(MachineError, match="toy has no L2: leave out --levels 3"):
        price_phases(
            {toy.simulated_geometry: [_phase("load", WHOLE)]},
            everywhere([toy]),
            "data",
            3,
            None,
            by="paper",
        )
