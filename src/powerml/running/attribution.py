"""The cost of a phase, shared out among its parts. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from powerml.costs.core import SHARPNESS, core_time
from powerml.costs.cost import Accesses, PriceName, price
from powerml.costs.counts import Counts
from powerml.machines import Machine

__all__ = ["PricedCounts", "shared_cycles"]

# Counts of a part in the machine's caches, and in those up to L2 where three levels are priced.
PricedCounts = tuple[Counts, Counts | None]


def shared_cycles(
    whole: PricedCounts,
    parts: Sequence[PricedCounts],
    machine: Machine,
    accesses: Accesses,
    by: PriceName,
) -> list[float]:
    """Return the cycles of each part; they add up to those of the whole.

    By the price ``paper`` each access has its own cost. By ``core`` a core does several things at
    once, and a part costs what it adds to the whole. Those are its cycles of each thing, weighted
    by the cycles that the whole takes longer for each cycle of it.
    """
    counts, lower = whole
    total = price(counts, machine, accesses, lower, by).cycles
    if by == "paper":
        found = [price(one, machine, accesses, low, by).cycles for one, low in parts]
    else:
        time = core_time(counts, machine, lower)
        at_once = time.cycles - time.fetch_stalls
        weights = {
            name: 0.0 if at_once == 0 else (cycles / at_once) ** (SHARPNESS - 1)
            for name, cycles in time.parts.items()
        }
        found = []
        for one, low in parts:
            its = core_time(one, machine, low)
            added = math.fsum(weights[name] * cycles for name, cycles in its.parts.items())
            found.append(added + its.fetch_stalls)
    together = math.fsum(found)
    return [0.0 if together == 0 else one * total / together for one in found]
