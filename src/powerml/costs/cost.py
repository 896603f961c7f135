"""Cost: a pure function of counts and machine, by one of two prices.

``paper`` is eq. 2.1 of the paper, with three levels the same, and L2 hits at the latency of L2:

``cost = L1 hits x L1 latency + LL hits x LL latency + LL misses x memory latency``

``core`` is the time of a core that does several things at once (`powerml.costs.core`). Its energy
is that of this time and of the lines from memory (`powerml.costs.energy`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeFloat

from powerml.costs.core import CYCLES_FACTOR, core_time, throughput_of
from powerml.costs.counts import Counts
from powerml.costs.energy import EnergyParts, energy_parts
from powerml.errors import UnknownNameError
from powerml.machines import Machine, Number

__all__ = [
    "ACCESSES",
    "DEFAULT_PRICE",
    "PRICES",
    "Accesses",
    "Cost",
    "Hits",
    "Interval",
    "PriceName",
    "PriceOption",
    "check_accesses",
    "check_price",
    "cycles_of",
    "hits",
    "per_sample",
    "price",
    "require_price",
]

Accesses = Literal["data", "all"]
ACCESSES: tuple[str, ...] = get_args(Accesses)
PriceName = Literal["paper", "core"]
PRICES: tuple[str, ...] = get_args(PriceName)
DEFAULT_PRICE: PriceName = "core"
JOULES_PER_PICOJOULE = 1e-12
HERTZ_PER_GIGAHERTZ = 1e9


class Hits(NamedTuple):
    """Accesses by the level that answered them."""

    l1: int
    ll: int
    memory: int


class Interval(BaseModel):
    """Least and most that a number is expected to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: NonNegativeFloat = Field(description="least")
    high: NonNegativeFloat = Field(description="most")

    def over(self, number: int) -> Interval:
        """Return the interval of one of a number."""
        return Interval(low=self.low / number, high=self.high / number)


class Cost(BaseModel):
    """Cost of a region on one machine.

    `cycles` are processor cycles, by one of the prices. `seconds` are known by the price `core`
    alone, and so are the intervals, which hold for nine models of ten. `joules` is None, never 0,
    if the machine's profile does not tell energies. `joules_estimated` says whether any of these
    energies is an estimate; it is None if `joules` is. `calibrated_value` is a power meter's
    expected reading, in `unit`. Both are None without a calibration for the machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: NonNegativeFloat = Field(description="processor cycles of the region")
    cycles_interval: Interval | None = Field(
        default=None, description="cycles of nine models of ten; null by the price paper"
    )
    seconds: NonNegativeFloat | None = Field(
        default=None, description="seconds at the machine's clock; null by the price paper"
    )
    seconds_interval: Interval | None = Field(
        default=None, description="seconds of nine models of ten; null by the price paper"
    )
    joules: NonNegativeFloat | None = Field(
        default=None, description="energy of the region; null if the machine has no energies"
    )
    joules_interval: Interval | None = Field(
        default=None,
        description="energy of nine models of ten; null by the price paper, or without energies",
    )
    joules_parts: EnergyParts | None = Field(
        default=None, description="parts of the energy; null by the price paper, or without it"
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
    by: PriceName = DEFAULT_PRICE,
) -> Cost:
    """Price counts by name: ``paper`` or ``core``.

    `counts_up_to_l2` are those of a simulation whose last level is the machine's L2. With them,
    L2's hits have a price of their own. `accesses` are those that ``paper`` prices: ``core`` always
    has instruction fetches too. Energies of ``paper`` are the same sum as its cycles; the profiles
    have none for L2, so they are those of two levels.

    Raises
    ------
    MachineError
        The profile has no throughputs, which ``core`` needs.
    UnknownNameError
        There is no such price.

    Examples
    --------
    >>> counts = powerml.Counts(
    ...     Ir=10, Dr=6, Dw=4, I1mr=1, D1mr=2, D1mw=0, ILmr=0, DLmr=1, DLmw=0
    ... )
    >>> powerml.price(counts, powerml.load_machine("xeon-x5650"), by="paper").cycles
    251.22
    """
    if check_price(by) == "core":
        return _core_cost(counts, machine, counts_up_to_l2)
    return _papers_cost(counts, machine, accesses, counts_up_to_l2)


def _papers_cost(
    counts: Counts, machine: Machine, accesses: Accesses, counts_up_to_l2: Counts | None
) -> Cost:
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


def _core_cost(counts: Counts, machine: Machine, counts_up_to_l2: Counts | None) -> Cost:
    cycles = core_time(counts, machine, counts_up_to_l2).cycles
    seconds = cycles / (machine.clock_ghz.value * HERTZ_PER_GIGAHERTZ)
    cost = Cost(
        cycles=cycles,
        cycles_interval=_about(cycles),
        seconds=seconds,
        seconds_interval=_about(seconds),
    )
    if machine.power is None:
        return cost
    watts, line = machine.power.busy_core_watts, machine.power.memory_line_nj
    parts = energy_parts(counts, machine, seconds)
    core = parts.joules - parts.memory
    busy, moved = _interval(watts), _interval(line)
    return cost.model_copy(
        update={
            "joules": parts.joules,
            "joules_interval": Interval(
                low=core / CYCLES_FACTOR * busy.low / watts.value
                + parts.memory * moved.low / line.value,
                high=core * CYCLES_FACTOR * busy.high / watts.value
                + parts.memory * moved.high / line.value,
            ),
            "joules_parts": parts,
            "joules_estimated": watts.estimated or line.estimated,
        }
    )


def _about(value: float) -> Interval:
    return Interval(low=value / CYCLES_FACTOR, high=value * CYCLES_FACTOR)


def _interval(number: Number) -> Interval:
    if number.low is None or number.high is None:
        return Interval(low=number.value, high=number.value)
    return Interval(low=number.low, high=number.high)


def cycles_of(
    machine: Machine,
    accesses: Accesses,
    by: PriceName,
    counts: Counts,
    counts_up_to_l2: Counts | None = None,
) -> float:
    """Return the processor cycles of `price` alone, in a fraction of its time.

    The counts come last, so that the rest can be bound first.
    """
    if check_price(by) == "core":
        return core_time(counts, machine, counts_up_to_l2).cycles
    return _papers_cost(counts, machine, accesses, counts_up_to_l2).cycles


def per_sample(cost: Cost, samples: int) -> Cost:
    """Return the cost of one sample or inference, given their number."""

    def one(value: float | None) -> float | None:
        return None if value is None else value / samples

    def ends(interval: Interval | None) -> Interval | None:
        return None if interval is None else interval.over(samples)

    return cost.model_copy(
        update={
            "cycles": cost.cycles / samples,
            "cycles_interval": ends(cost.cycles_interval),
            "seconds": one(cost.seconds),
            "seconds_interval": ends(cost.seconds_interval),
            "joules": one(cost.joules),
            "joules_interval": ends(cost.joules_interval),
            "joules_parts": None if cost.joules_parts is None else cost.joules_parts.over(samples),
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


def check_price(name: str) -> PriceName:
    """Check the name of a price; raises ``UnknownNameError``."""
    if name == "paper":
        return "paper"
    if name == "core":
        return "core"
    raise UnknownNameError("price", name, PRICES)


def _check_given_price(name: object) -> PriceName | None:
    return None if name is None else check_price(str(name))


PriceOption = Annotated[
    PriceName | None,
    BeforeValidator(_check_given_price),
    Field(description="core: what a core does at once; paper: eq. 2.1, a latency for each access."),
]


def require_price(machines: Iterable[Machine], by: PriceName) -> None:
    """Check that machines have a price.

    Raises
    ------
    MachineError
        The profile of one has not what the price needs.
    """
    if by == "core":
        for machine in machines:
            throughput_of(machine)
