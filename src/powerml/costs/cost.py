"""Cost: eq. 2.1 of the paper, a pure function of counts and machine.

``cost = L1 hits x L1 latency + LL hits x LL latency + LL misses x memory latency``

With three levels the same, and L2 hits at the latency of L2.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.costs.counts import Counts
from powerml.errors import UnknownNameError
from powerml.machines import Machine

__all__ = [
    "ACCESSES",
    "Accesses",
    "Cost",
    "Hits",
    "check_accesses",
    "cycles_of",
    "hits",
    "per_sample",
    "price",
]

Accesses = Literal["data", "all"]
ACCESSES: tuple[str, ...] = get_args(Accesses)
JOULES_PER_PICOJOULE = 1e-12


class Hits(NamedTuple):
    """Accesses by the level that answered them."""

    l1: int
    ll: int
    memory: int


class Cost(BaseModel):
    """Cost of a region on one machine.

    `cycles` are processor cycles. `joules` is None, never 0, if the machine's profile has no
    energies. `joules_estimated` says whether any of these energies is an estimate; it is None if
    `joules` is. `calibrated_value` is a power meter's expected reading, in `unit`. Both are None
    without a calibration for the machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: NonNegativeFloat = Field(description="processor cycles of all accesses priced")
    joules: NonNegativeFloat | None = Field(
        default=None,
        description="energy of the same accesses; null if the machine has no energies",
    )
    joules_estimated: bool | None = Field(
        default=None, description="true if an energy is an estimate"
    )
    calibrated_value: NonNegativeFloat | None = Field(
        default=None,
        description="expected reading of a power meter; null without a calibration",
    )
    unit: str | None = Field(default=None, description="unit of the calibrated value")


def hits(counts: Counts, accesses: Accesses = "data") -> Hits:
    """Split the accesses by level: data accesses, or with ``all`` instruction fetches too."""
    total = counts.data_accesses
    first, last = counts.d1_misses, counts.ll_misses
    if accesses == "all":
        total, first, last = total + counts.Ir, first + counts.I1mr, last + counts.ILmr
    return Hits(l1=total - first, ll=first - last, memory=last)


def price(
    counts: Counts,
    machine: Machine,
    accesses: Accesses = "data",
    counts_up_to_l2: Counts | None = None,
) -> Cost:
    """Price counts by eq. 2.1 in processor cycles, and by the same sum over energies in joules.

    `counts_up_to_l2` are those of a simulation whose last level is the machine's L2. With them,
    L2's hits are priced at L2's latency. The profiles have no energy for L2, so the joules are
    those of two levels.

    Examples
    --------
    >>> counts = powerml.Counts(
    ...     Ir=10, Dr=6, Dw=4, I1mr=1, D1mr=2, D1mw=0, ILmr=0, DLmr=1, DLmw=0
    ... )
    >>> powerml.price(counts, powerml.load_machine("xeon-x5650")).cycles
    251.22
    """
    by_level = hits(counts, accesses)
    latency = machine.latency_cycles
    cycles = by_level.l1 * latency.l1.value + by_level.memory * latency.memory.value
    if counts_up_to_l2 is None or latency.l2 is None:
        cycles += by_level.ll * latency.ll.value
    else:
        # The two simulations differ in what they evict: L2 can have missed less than the last
        # level by a few lines, and cannot have answered more than the first level missed.
        beyond_l2 = max(hits(counts_up_to_l2, accesses).memory, by_level.memory)
        beyond_l1 = max(by_level.ll + by_level.memory, beyond_l2)
        cycles += (beyond_l1 - beyond_l2) * latency.l2.value
        cycles += (beyond_l2 - by_level.memory) * latency.ll.value
    energy = machine.energy_pj
    if energy is None:
        return Cost(cycles=cycles)
    picojoules = (
        by_level.l1 * energy.l1.value
        + by_level.ll * energy.ll.value
        + by_level.memory * energy.memory.value
    )
    return Cost(
        cycles=cycles,
        joules=picojoules * JOULES_PER_PICOJOULE,
        joules_estimated=any(n.estimated for n in (energy.l1, energy.ll, energy.memory)),
    )


def cycles_of(machine: Machine, accesses: Accesses, counts: Counts) -> float:
    """Return processor cycles alone; the counts come last, so that the rest can be bound first."""
    return price(counts, machine, accesses).cycles


def per_sample(cost: Cost, samples: int) -> Cost:
    """Return the cost of one sample or inference, given their number."""

    def one(value: float | None) -> float | None:
        return None if value is None else value / samples

    return cost.model_copy(
        update={
            "cycles": cost.cycles / samples,
            "joules": one(cost.joules),
            "calibrated_value": one(cost.calibrated_value),
        }
    )


def check_accesses(accesses: str) -> Accesses:
    """Check the name of the accesses to price; raises ``UnknownNameError``."""
    if accesses == "data":
        return "data"
    if accesses == "all":
        return "all"
    raise UnknownNameError("kind of accesses", accesses, ACCESSES)
