"""Attribution: the cycles of a region, shared out among its parts. Pure.

The price ``core`` is no sum over accesses: what a part takes alone is not what it adds. The parts
run one after another, so each is priced alone. Their prices are scaled to add up to the
price of the whole. By ``paper``, which is a sum, the scale is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from powerml.costs.cost import Accesses, Cost, PriceName, cycles_of, price
from powerml.costs.counts import Counts, Origin, PhaseCounts
from powerml.machines import Machine

__all__ = ["Levels", "attribute", "origin_shares", "price_levels"]


class Levels(NamedTuple):
    """Counts of one region, and those up to L2 if three levels are priced."""

    counts: Counts
    up_to_l2: Counts | None = None


def price_levels(
    levels: Levels, machine: Machine, accesses: Accesses = "data", by: PriceName = "core"
) -> Cost:
    """Price counts of two levels or of three; see `powerml.costs.cost.price`."""
    return price(levels.counts, machine, accesses, levels.up_to_l2, by)


def attribute(
    whole: Levels,
    parts: Sequence[Levels],
    machine: Machine,
    accesses: Accesses = "data",
    by: PriceName = "core",
) -> list[float]:
    """Return the cycles of each part, which add up to those of the whole.

    Parameters
    ----------
    whole
        Counts of the region.
    parts
        Counts of its parts, which add up to them.
    machine, accesses, by
        The machine, the accesses to price, and the name of the price.

    Raises
    ------
    MachineError
        The profile has not what the price needs.
    """
    cycles = cycles_of(machine, accesses, by, *whole)
    alone = [cycles_of(machine, accesses, by, *part) for part in parts]
    together = math.fsum(alone)
    return [one * cycles / together if together > 0 else 0.0 for one in alone]


def origin_shares(
    phase: PhaseCounts, machine: Machine, accesses: Accesses = "data", by: PriceName = "core"
) -> dict[Origin, float] | None:
    """Return the share of each origin in the cycles of a phase; None where they are not told."""
    if phase.origins is None:
        return None
    parts = [Levels(counts) for counts in phase.origins.values()]
    cycles = attribute(Levels(phase.counts), parts, machine, accesses, by)
    total = math.fsum(cycles)
    return {
        origin: one / total if total > 0 else 0.0
        for origin, one in zip(phase.origins, cycles, strict=True)
    }
