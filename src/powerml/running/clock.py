"""The clock that counts cost: a machine's time by eq. 2.1, as the instrument adds it up. Pure."""

from __future__ import annotations

from powerml.costs.cost import Accesses, price
from powerml.costs.counts import Counts
from powerml.machines import THREE_LEVELS, Machine, up_to_l2
from powerml.meters.simulator.caches import SimulatedCaches

__all__ = ["clock_picoseconds"]

PICOSECONDS_PER_NANOSECOND = 1000
# Accesses and misses by level, so that one more of any changes the price by its own weight alone.
AMONG = Counts(
    Ir=10**6, Dr=10**6, Dw=10**6, I1mr=10**4, D1mr=10**4, D1mw=10**4, ILmr=10, DLmr=10, DLmw=10
)
AMONG_UP_TO_L2 = AMONG.model_copy(update=dict.fromkeys(("ILmr", "DLmr", "DLmw"), 10**3))


def clock_picoseconds(
    caches: SimulatedCaches, machine: Machine, accesses: Accesses, levels: int
) -> list[int]:
    """Return the picoseconds of one more of each counter, by the price ``paper``.

    Parameters
    ----------
    caches
        The caches that are simulated, those of the machine among them.
    machine
        The machine.
    accesses, levels
        The priced accesses, and the number of cache levels.
    """
    lower = up_to_l2(machine) if levels == THREE_LEVELS and not machine.ends_at_l2 else None

    def cycles(counters: list[int]) -> float:
        counts = _added(caches, counters, machine, AMONG)
        up_to = None if lower is None else _added(caches, counters, lower, AMONG_UP_TO_L2)
        return price(counts, machine, accesses, up_to, "paper").cycles

    nothing = [0] * caches.counters
    without = cycles(nothing)
    per_cycle = PICOSECONDS_PER_NANOSECOND / machine.clock_ghz.value
    return [
        round((cycles([*nothing[:i], 1, *nothing[i + 1 :]]) - without) * per_cycle)
        for i in range(caches.counters)
    ]


def _added(caches: SimulatedCaches, counters: list[int], machine: Machine, to: Counts) -> Counts:
    """Add counters to counts."""
    return to + caches.counts_of_part(counters, machine.simulated_geometry)
