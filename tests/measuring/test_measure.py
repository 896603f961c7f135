"""`powerml.measure`: counts, costs and score in one record."""

from __future__ import annotations

from typing import Any

import pytest

import powerml
from powerml.errors import MachineError, TopologyError, UnknownNameError, UsageError
from powerml.machines import Machine
from tests.builders import make_calibration_record, make_machine
from tests.calls import calls_of
from tests.doubles import FormulaMeter

TOPOLOGY = "dffr:layers=2,width=16"
PRICES = ("paper", "core")


def test_a_measurement_holds_counts_costs_and_score(machine: Machine) -> None:
    record = powerml.measure(TOPOLOGY, meter=FormulaMeter(machine), machine=machine)
    assert [phase.name for phase in record.phases] == ["training", "load", "inference"]
    training = record.phase("training")
    assert training.steps_total == training.steps_simulated == 8
    assert training.costs[machine.name] == powerml.price(training.counts, machine)
    assert record.score_split == "validation"
    assert record.score is not None
    assert 0.5 < record.score <= 1


def test_it_survives_json(machine: Machine) -> None:
    record = powerml.measure(TOPOLOGY, meter=FormulaMeter(machine))
    assert powerml.Measurement.model_validate_json(record.to_json()) == record
    assert '"schema": "powerml.measurement/4"' in record.to_json()


def test_scores_repeat(machine: Machine) -> None:
    meter = FormulaMeter(machine)
    scores = [powerml.measure(TOPOLOGY, meter=meter, seed=3).score for _ in range(2)]
    assert scores[0] == scores[1]


def test_the_papers_protocol_scores_on_the_test_split(machine: Machine) -> None:
    record = powerml.measure(TOPOLOGY, meter=FormulaMeter(machine), protocol="paper")
    assert record.score_split == "test"
    assert isinstance(record.workload, powerml.TopologyWorkload)
    assert record.workload.protocol == "paper"
    assert [phase.name for phase in record.phases] == ["training", "inference"]


def test_instruction_fetches_are_priced_where_it_is_asked_for(machine: Machine) -> None:
    meter = FormulaMeter(machine)
    data, everything = (
        powerml.measure(TOPOLOGY, meter=meter, machine=machine, accesses=accesses, price="paper")
        for accesses in ("data", "all")
    )
    assert everything.phase("training").counts == data.phase("training").counts
    more = everything.cost_cycles("training", machine.name)
    assert more > data.cost_cycles("training", machine.name)


def test_a_core_prices_the_same_counts(machine: Machine) -> None:
    meter = FormulaMeter(machine)
    paper, core = (
        powerml.measure(TOPOLOGY, meter=meter, machine=machine, price=price) for price in PRICES
    )
    assert (paper.price, core.price) == PRICES
    for by_paper, by_core in zip(paper.phases, core.phases, strict=True):
        assert by_core.counts == by_paper.counts
        cost = by_core.costs[machine.name]
        assert cost == powerml.price(by_core.counts, machine, by="core")
        assert cost.seconds == cost.cycles / (machine.clock_ghz.value * 1e9)
        assert by_paper.costs[machine.name].seconds is None
    assert powerml.Measurement.model_validate_json(core.to_json()) == core


@pytest.mark.parametrize(
    ("options", "price", "name"),
    [
        ({}, "core", "epyc-7763"),
        ({"protocol": "paper"}, "paper", "xeon-x5650"),
        ({"calibration": make_calibration_record()}, "paper", "xeon-x5650"),
        ({"protocol": "paper", "price": "core", "machine": "epyc-7601"}, "core", "epyc-7601"),
    ],
)
def test_price_and_machine_are_the_papers_where_the_rest_is(
    machine: Machine, options: dict[str, Any], price: str, name: str
) -> None:
    record = powerml.measure(TOPOLOGY, meter=FormulaMeter(machine), **options)
    assert (record.price, record.machines) == (price, [name])


def test_a_machine_without_the_price_is_refused_before_anything_is_started() -> None:
    with pytest.raises(MachineError, match=r"machine toy has no throughput.*--price paper"):
        powerml.measure(TOPOLOGY, machine=make_machine(), price="core")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "dffr:layers=2"}, TopologyError, "dffr needs width"),
        ({"model": "cnm:layers=2"}, UnknownNameError, "did you mean 'cnn'"),
        ({"batch_size": 0}, UsageError, "batch size is 0"),
        ({"machine": "epyc"}, UnknownNameError, "did you mean 'epyc-"),
        ({"accesses": "some"}, UnknownNameError, "known: all, data"),
        ({"price": "cor"}, UnknownNameError, "did you mean 'core'"),
        ({"protocol": "papers"}, UnknownNameError, "did you mean 'paper'"),
        ({"meter": "simulater"}, UnknownNameError, "did you mean 'simulator'"),
        ({"limit_seconds": 0}, UsageError, "the limit is 0 s"),
    ],
)
def test_wrong_use_is_refused(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    arguments: dict[str, object] = {"model": TOPOLOGY, **options}
    with pytest.raises(error, match=message):
        powerml.measure(**arguments)  # type: ignore[arg-type]


def test_a_topology_is_parsed_once(machine: Machine) -> None:
    with calls_of(powerml.parse_topology) as calls:
        record = powerml.measure(TOPOLOGY, meter=FormulaMeter(machine))
    assert record.score is not None
    assert calls == ["prepare"]
    with calls_of(powerml.parse_topology) as calls:
        powerml.measure(
            powerml.Topology("dffr", {"layers": 2, "width": 16}), meter=FormulaMeter(machine)
        )
    assert calls == []


def test_a_topology_that_was_made_by_hand_is_checked(machine: Machine) -> None:
    with pytest.raises(TopologyError, match="layers=99 is out of bounds"):
        powerml.measure(
            powerml.Topology("dffr", {"layers": 99, "width": 16}), meter=FormulaMeter(machine)
        )
