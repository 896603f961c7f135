"""Numbers of the machines that powerML ships: what holds of every processor holds of each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from powerml import machines
from powerml.costs.counts import PhaseCounts
from powerml.costs.measurement import price_phases
from powerml.machines import Cache, Machine, Number, geometries, load_machine
from tests.builders import everywhere, make_counts

SHIPPED = sorted(path.stem for path in Path(machines.__file__).parent.glob("*.toml"))
of_each_machine = pytest.mark.parametrize(
    "machine", [load_machine(name) for name in SHIPPED], ids=SHIPPED
)


def _numbers(record: BaseModel) -> Iterator[Number]:
    for _, value in record:
        if isinstance(value, Number):
            yield value
        elif isinstance(value, BaseModel):
            yield from _numbers(value)


def _values(*numbers: Number | None) -> list[float]:
    return [number.value for number in numbers if number is not None]


def _increases(values: list[float]) -> bool:
    return all(one < other for one, other in pairwise(values))


@of_each_machine
def test_every_number_has_a_source_and_lies_in_its_range(machine: Machine) -> None:
    numbers = list(_numbers(machine))
    assert len(numbers) >= 20
    for number in numbers:
        assert len(number.source) > 5
        assert (number.low or number.value) <= number.value <= (number.high or number.value)
        # Who has not seen the page does not know that it states the number.
        assert number.estimated or "not checked" not in number.source
        assert number.estimated or not number.source.startswith(("as ", "no measurement"))
    for _, cache in machine.caches:
        assert cache is None or len(cache.source) > 5


@of_each_machine
def test_levels_get_slower_and_larger_outwards(machine: Machine) -> None:
    latency, caches = machine.latency_cycles, machine.caches
    assert _increases(_values(latency.l1, latency.l2, latency.ll, latency.memory))
    sizes = [cache.size_bytes for cache in (caches.d1, caches.l2, caches.ll) if cache]
    assert _increases([float(size) for size in sizes])
    line = machine.line_cycles
    assert line is not None
    streamed = _values(line.l2, line.ll, line.memory)
    assert streamed == sorted(streamed)
    energy = machine.energy_pj
    assert energy is None or _increases(_values(energy.l1, energy.ll, energy.memory))


@of_each_machine
def test_a_line_of_a_stream_takes_less_than_an_access_that_waits(machine: Machine) -> None:
    for level in ("l2", "ll", "memory"):
        latency = getattr(machine.latency_cycles, level)
        line = getattr(machine.line_cycles, level)
        assert (latency is None) == (line is None)
        assert latency is None or line.value < latency.value


@of_each_machine
def test_l2_is_known_in_every_table_or_the_last_level(machine: Machine) -> None:
    caches, line = machine.caches, machine.line_cycles
    assert line is not None
    known = {caches.l2 is not None, machine.latency_cycles.l2 is not None, line.l2 is not None}
    assert known == {caches.ll.level == "l3"}
    assert machine.ends_at_l2 == (caches.l2 is None)


@of_each_machine
def test_no_kind_of_instruction_is_faster_than_all_together(machine: Machine) -> None:
    rates = machine.throughput
    assert rates is not None
    assert rates.vector_bits.value in {128, 256, 512}
    kinds = {name: number for name, number in rates if name not in {"issue", "vector_bits"}}
    for number in kinds.values():
        assert number is None or 0 < number.value <= rates.issue.value
    assert rates.vector_load.value <= rates.load.value


@of_each_machine
def test_a_line_of_l2_takes_no_less_than_the_loads_of_its_vectors_from_l1(machine: Machine) -> None:
    rates, line = machine.throughput, machine.line_cycles
    assert rates is not None
    assert line is not None
    loads = 64 * 8 / (rates.vector_load.value * rates.vector_bits.value)
    assert (line.l2 or line.ll).value >= loads


@of_each_machine
def test_wider_and_longer_divisions_take_no_less(machine: Machine) -> None:
    divide, rates = machine.divide_cycles, machine.throughput
    assert divide is not None
    assert rates is not None
    values = _values(divide.f32_128, divide.f32_256, divide.f64_256)
    assert values == sorted(values)
    assert divide.f32_128.value >= 1 / rates.issue.value


@of_each_machine
def test_busy_cores_of_a_server_stay_below_its_thermal_design_power(machine: Machine) -> None:
    power, about = machine.power, machine.about
    assert power is not None
    assert about is not None
    assert 0.3 < power.busy_core_watts.value < 30
    assert 3 < power.memory_line_nj.value < 25
    if about.kind == "server" and about.tdp_watts is not None:
        assert about.cores is not None
        busy = power.busy_core_watts.value * about.cores.value
        assert 0.4 * about.tdp_watts.value < busy <= about.tdp_watts.value


@of_each_machine
def test_kind_and_year_are_known_and_the_title_has_the_year(machine: Machine) -> None:
    assert machine.about is not None
    assert machine.about.kind is not None
    assert str(machine.about.year) in machine.title


@of_each_machine
def test_the_simulated_caches_are_near_the_real_ones(machine: Machine) -> None:
    def near(real: Cache, simulated: Cache) -> bool:
        sets = int(simulated.sets)
        return sets & (sets - 1) == 0 and simulated.size_bytes == pytest.approx(
            real.size_bytes, rel=0.05
        )

    real, simulated = machine.geometry, machine.simulated_geometry
    assert all(near(getattr(real, name), getattr(simulated, name)) for name in ("i1", "d1", "ll"))


@of_each_machine
def test_three_levels_can_be_priced(machine: Machine) -> None:
    found = geometries([machine], 3)
    assert len(found) == (1 if machine.ends_at_l2 else 2)
    inference = PhaseCounts(
        name="inference", counts=make_counts(), steps_simulated=1, steps_total=1
    )
    counted = {geometry: [inference] for geometry in found}
    [phase] = price_phases(counted, everywhere([machine]), "data", 3, None, by="paper")
    assert phase.costs[machine.name].cycles > 0


@pytest.mark.parametrize(("low", "high"), [(11, 20), (1, 9)])
def test_a_number_outside_its_own_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValidationError, match="value 10 is not from low"):
        Number(value=10, source="made up", low=low, high=high)
    assert Number(value=10, source="made up", low=10, high=10).value == 10
