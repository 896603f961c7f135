"""The weights of the clock that counts cost."""

from __future__ import annotations

from random import Random

import pytest

from powerml.costs.cost import Accesses, price
from powerml.machines import geometries, load_machines, up_to_l2
from powerml.meters.simulator.caches import SimulatedCaches
from powerml.running.clock import clock_picoseconds


@pytest.mark.parametrize("accesses", ["data", "all"])
@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("name", ["xeon-x5650", "epyc-7763"])
def test_the_clock_is_the_price_paper_of_any_counters(
    name: str, levels: int, accesses: Accesses
) -> None:
    machines = load_machines(["xeon-8280", name])
    caches = SimulatedCaches(geometries(machines, levels))
    machine, draw = machines[1], Random(1)  # noqa: S311 - it is no secret
    weights = clock_picoseconds(caches, machine, accesses, levels)
    # Many instructions and accesses, fewer misses than those; of far levels few.
    counters = [draw.randrange(10**6, 2 * 10**6) for _ in range(caches.counters)]
    counters[17:] = [draw.randrange(100, 110) for _ in counters[17:]]
    geometry = machine.simulated_geometry
    lower = None
    if levels == 3:
        lower = caches.counts(counters, up_to_l2(machine).simulated_geometry)
    cycles = price(caches.counts(counters, geometry), machine, accesses, lower, "paper").cycles
    told = sum(weight * counter for weight, counter in zip(weights, counters, strict=True))
    seconds = cycles / (machine.clock_ghz.value * 1e9)
    assert told * 1e-12 == pytest.approx(seconds, rel=2e-3)


def test_other_machines_counters_have_no_weight() -> None:
    machines = load_machines(["xeon-x5650", "raspberry-pi-5"])
    caches = SimulatedCaches(geometries(machines, 2))
    weights = clock_picoseconds(caches, machines[0], "data", 2)
    assert set(weights[-15:]) == {0}
