"""A machine's profile: cache geometry, latencies and energies, each number with its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from powerml.errors import MachineError, UsageError

__all__ = [
    "THREE_LEVELS",
    "Cache",
    "Geometry",
    "Machine",
    "Number",
    "geometries",
    "simulated_cache",
    "up_to_l2",
]

THREE_LEVELS = 3
LEVELS = (2, THREE_LEVELS)
Source = Annotated[str, Field(min_length=3)]


class _ProfileRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Cache(_ProfileRecord):
    """One cache: size in bytes, ways of associativity, bytes in a line."""

    size_bytes: PositiveInt = Field(description="size in bytes")
    ways: PositiveInt = Field(description="ways of associativity")
    line_bytes: PositiveInt = Field(default=64, description="bytes in a line")

    @property
    def sets(self) -> float:
        """Number of sets; a whole number in every real cache."""
        return self.size_bytes / (self.ways * self.line_bytes)

    def __str__(self) -> str:
        return f"{self.size_bytes},{self.ways},{self.line_bytes}"


class Geometry(_ProfileRecord):
    """The caches that the simulator has: first-level instructions and data, and the last level."""

    i1: Cache = Field(description="first level for instructions")
    d1: Cache = Field(description="first level for data")
    ll: Cache = Field(description="last level")


class SourcedCache(Cache):
    """A cache and where its numbers come from."""

    source: Source

    @property
    def cache(self) -> Cache:
        """The bare cache."""
        return Cache(size_bytes=self.size_bytes, ways=self.ways, line_bytes=self.line_bytes)


class Number(_ProfileRecord):
    """A number of a profile with its source. `estimated` marks one that no source states."""

    value: PositiveFloat
    source: Source
    estimated: bool = False
    low: PositiveFloat | None = None
    high: PositiveFloat | None = None

    @model_validator(mode="after")
    def _range_has_both_ends(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("give both low and high, or neither")
        return self


class Caches(_ProfileRecord):
    """The data caches from the core outwards, and the first-level instruction cache."""

    i1: SourcedCache
    d1: SourcedCache
    l2: SourcedCache | None = None
    ll: SourcedCache


class Latencies(_ProfileRecord):
    """Processor cycles that an access takes, by the level that answers it."""

    l1: Number
    l2: Number | None = None
    ll: Number
    memory: Number


class Energies(_ProfileRecord):
    """Energy of one 64-bit access in picojoules, by the level that answers it."""

    l1: Number
    ll: Number
    memory: Number


class Machine(_ProfileRecord):
    """A processor as eq. 2.1 sees it."""

    name: str
    title: str
    clock_ghz: Number
    caches: Caches
    latency_cycles: Latencies
    energy_pj: Energies | None = None

    @property
    def geometry(self) -> Geometry:
        """The caches as the vendor built them."""
        caches = self.caches
        return Geometry(i1=caches.i1.cache, d1=caches.d1.cache, ll=caches.ll.cache)

    @property
    def simulated_geometry(self) -> Geometry:
        """The nearest caches to `geometry` that the simulator accepts."""
        real = self.geometry
        return Geometry(
            i1=simulated_cache(real.i1), d1=simulated_cache(real.d1), ll=simulated_cache(real.ll)
        )


def simulated_cache(cache: Cache) -> Cache:
    """Return the nearest cache that Valgrind accepts: its number of sets is a power of two.

    More ways keep the size if possible: 12 MiB with 16 ways becomes 12 MiB with 24. Valgrind itself
    treats the caches that it finds in the same way. Otherwise the ways are rounded, which changes
    the size by less than half a way.
    """
    lines = cache.size_bytes / cache.line_bytes
    sets = 2 ** math.floor(math.log2(max(lines / cache.ways, 1)))
    ways = max(1, round(lines / sets))
    return Cache(size_bytes=ways * sets * cache.line_bytes, ways=ways, line_bytes=cache.line_bytes)


def up_to_l2(machine: Machine) -> Machine:
    """Return the machine for a simulation whose last level is L2.

    Every level behind L2 then costs as much as the last level.

    Raises
    ------
    MachineError
        Its profile has no L2.
    """
    caches, latency = machine.caches, machine.latency_cycles
    if caches.l2 is None or latency.l2 is None:
        raise MachineError(
            f"the profile of machine {machine.name} has no L2: leave out --levels 3, "
            "or give it caches.l2 and latency_cycles.l2"
        )
    return machine.model_copy(
        update={
            "name": f"{machine.name} up to L2",
            "caches": caches.model_copy(update={"ll": caches.l2, "l2": None}),
            "latency_cycles": Latencies(l1=latency.l1, ll=latency.l2, memory=latency.ll),
            "energy_pj": None,
        }
    )


def geometries(machines: Sequence[Machine], levels: int) -> dict[Geometry, tuple[Machine, ...]]:
    """List the caches to simulate for these machines, each with the machines that need it.

    With three `levels` each machine is simulated up to L2 as well.

    Raises
    ------
    MachineError
        A profile has no L2, and three levels are to be priced.
    UsageError
        `levels` is neither 2 nor 3.
    """
    if levels not in LEVELS:
        raise UsageError(f"levels is {levels}: give 2, or 3 to give L2 a price of its own")
    seen: dict[Geometry, tuple[Machine, ...]] = {}
    lower = [up_to_l2(machine) for machine in machines] if levels == THREE_LEVELS else []
    for machine in [*machines, *lower]:
        geometry = machine.simulated_geometry
        seen[geometry] = (*seen.get(geometry, ()), machine)
    return seen
