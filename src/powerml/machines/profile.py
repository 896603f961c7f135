"""A machine's profile: caches, latencies, throughputs and power, each number with its source."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

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
    "Power",
    "Processor",
    "geometries",
    "simulated_cache",
    "up_to_l2",
]

THREE_LEVELS = 3
HEXADECIMAL = "^0x[0-9a-f]+$"
# The 64-bit Arm processors of qemu 7.2, the oldest that the plug-in is tried with.
EmulatedProcessor = Literal[
    "cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1"
]
LEVELS = (2, THREE_LEVELS)
Source = Annotated[str, Field(min_length=3, description="the page or measurement of the numbers")]


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


class Processor(_ProfileRecord):
    """An Arm processor as the emulator plays it and as Linux describes it to programs.

    Runtimes choose their kernels by it.
    """

    emulated_as: EmulatedProcessor = Field(description="name of the processor in the emulator")
    features: tuple[str, ...] = Field(
        min_length=1, description="`Features` of /proc/cpuinfo on the board"
    )
    implementer: str = Field(
        pattern=HEXADECIMAL, description="`CPU implementer` of /proc/cpuinfo on the board"
    )
    part: str = Field(pattern=HEXADECIMAL, description="`CPU part` of /proc/cpuinfo on the board")
    variant: str = Field(
        pattern=HEXADECIMAL, description="`CPU variant` of /proc/cpuinfo on the board"
    )
    revision: int = Field(ge=0, description="`CPU revision` of /proc/cpuinfo on the board")
    l2_size_bytes: PositiveInt | None = Field(
        default=None,
        description="size of L2 in bytes, by which libraries choose tiles; null where Linux does "
        "not tell it",
    )
    l2_shared_by: PositiveInt = Field(default=1, description="cores that share one L2")


class SourcedProcessor(Processor):
    """A processor and where its description comes from."""

    source: Source

    @property
    def processor(self) -> Processor:
        """The bare description."""
        return Processor(**{name: getattr(self, name) for name in Processor.model_fields})


class Geometry(_ProfileRecord):
    """The caches that the simulator has: first-level instructions and data, and the last level.

    The processor is that of an emulated board, whose own code is counted. It is None where the
    host's code is.
    """

    i1: Cache = Field(description="first level for instructions")
    d1: Cache = Field(description="first level for data")
    ll: Cache = Field(description="last level")
    processor: Processor | None = Field(
        default=None,
        description="emulated processor; null for code of the host's kind",
    )


class SourcedCache(Cache):
    """A cache and where its numbers come from."""

    source: Source

    @property
    def cache(self) -> Cache:
        """The bare cache."""
        return Cache(size_bytes=self.size_bytes, ways=self.ways, line_bytes=self.line_bytes)


class LastLevel(SourcedCache):
    """The last level, with its place among the levels."""

    level: Literal["l2", "l3"] | None = Field(
        default=None, description="its level, counted from the core; null where it is not known"
    )


class Number(_ProfileRecord):
    """A number of a profile with its source."""

    value: PositiveFloat = Field(description="the number, in the unit of its field")
    source: Source
    estimated: bool = Field(default=False, description="no source states it of this machine")
    low: PositiveFloat | None = Field(default=None, description="least that sources or sums give")
    high: PositiveFloat | None = Field(default=None, description="most that sources or sums give")

    @model_validator(mode="after")
    def _range_has_both_ends(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("give both low and high, or neither")
        low, high = self.low or self.value, self.high or self.value
        if not low <= self.value <= high:
            raise ValueError(f"value {self.value:g} is not from low {low:g} to high {high:g}")
        return self


class Caches(_ProfileRecord):
    """The data caches from the core outwards, and the first-level instruction cache."""

    i1: SourcedCache = Field(description="first level for instructions")
    d1: SourcedCache = Field(description="first level for data")
    l2: SourcedCache | None = Field(
        default=None, description="second level; null where it is the last one, or not known"
    )
    ll: LastLevel = Field(description="last level")


class Latencies(_ProfileRecord):
    """Processor cycles that an access takes, by the level that answers it."""

    l1: Number = Field(description="first level for data")
    l2: Number | None = Field(
        default=None, description="second level; null where it is the last one, or not known"
    )
    ll: Number = Field(description="last level")
    memory: Number = Field(description="main memory")


class Energies(_ProfileRecord):
    """Energy of one 64-bit access in picojoules, by the level that answers it."""

    l1: Number = Field(description="first level for data")
    ll: Number = Field(description="last level")
    memory: Number = Field(description="main memory")


class Throughput(_ProfileRecord):
    """Instructions that one core completes in a cycle, by kind."""

    issue: Number = Field(
        description="all kinds together: micro-operations on x86, instructions on Arm"
    )
    load: Number = Field(description="scalar loads")
    vector_load: Number = Field(description="loads of `vector_bits`")
    vector_store: Number = Field(description="stores of `vector_bits`")
    vector_bits: Number = Field(description="bits of the widest vector that one unit takes whole")
    vector_fma: Number | None = Field(
        default=None, description="multiply-adds of vectors; null where there are none"
    )
    vector_add: Number | None = Field(
        default=None, description="additions of vectors; null if the multiply-add units take them"
    )
    vector_mul: Number | None = Field(
        default=None,
        description="multiplications of vectors; null if the multiply-add units take them",
    )
    scalar_int: Number = Field(description="additions and logic of integers")
    branch: Number = Field(description="branches, most of them not taken")

    @model_validator(mode="after")
    def _floating_point_is_known(self) -> Self:
        if self.vector_fma is None and (self.vector_add is None or self.vector_mul is None):
            raise ValueError("give vector_fma, or both vector_add and vector_mul")
        return self


class DivideCycles(_ProfileRecord):
    """Cycles from one vector division to the next, by the type and bits of the vectors."""

    f32_128: Number = Field(description="4 of single precision")
    f32_256: Number | None = Field(
        default=None, description="8 of single precision; null where no vector is that wide"
    )
    f64_256: Number | None = Field(
        default=None, description="4 of double precision; null where not known"
    )


class LineCycles(_ProfileRecord):
    """Core cycles for each 64-byte line that one core streams from a level."""

    l2: Number | None = Field(
        default=None, description="second level; null where it is the last one, or not known"
    )
    ll: Number = Field(description="last level")
    memory: Number = Field(description="main memory")


class Power(_ProfileRecord):
    """Power of a core and of the rest, and energy of memory."""

    busy_core_watts: Number = Field(description="watts that one busy core adds to the idle watts")
    idle_watts: Number | None = Field(
        default=None, description="watts of the idle chip or board; null where not known"
    )
    memory_line_nj: Number = Field(description="nanojoules of a 64-byte line from main memory")


class About(_ProfileRecord):
    """Facts of a processor that no price needs."""

    kind: Literal["server", "desktop", "laptop", "board"] | None = Field(
        default=None, description="kind of computer that it is built into"
    )
    year: PositiveInt | None = Field(default=None, description="year of its launch")
    process_nm: Number | None = Field(
        default=None, description="vendor's name of the process, in nanometres"
    )
    cores: Number | None = Field(default=None, description="cores of one chip, of all types")
    tdp_watts: Number | None = Field(default=None, description="thermal design power, in watts")


class Machine(_ProfileRecord):
    """A processor as the prices see it: one core, its caches and its memory."""

    name: str = Field(description="name by which it is asked for")
    title: str = Field(description="vendor's name, with core and year")
    clock_ghz: Number = Field(description="clock of one busy core, in gigahertz")
    processor: SourcedProcessor | None = Field(
        default=None,
        description="Arm processor whose own code is counted under emulation; null for code of "
        "the host's kind",
    )
    caches: Caches = Field(description="caches from the core outwards")
    latency_cycles: Latencies = Field(description="cycles of an access, by the level that answers")
    energy_pj: Energies | None = Field(
        default=None, description="picojoules of a 64-bit access, by the level that answers"
    )
    throughput: Throughput | None = Field(
        default=None, description="instructions that one core completes in a cycle, by kind"
    )
    divide_cycles: DivideCycles | None = Field(
        default=None, description="cycles from one vector division to the next"
    )
    line_cycles: LineCycles | None = Field(
        default=None, description="core cycles for each 64-byte line of a stream, by level"
    )
    power: Power | None = Field(default=None, description="watts, and energy of memory")
    about: About | None = Field(default=None, description="facts that no price needs")

    @property
    def ends_at_l2(self) -> bool:
        """True if L2 is the last level: two levels are then all there are."""
        return self.caches.ll.level == "l2"

    @property
    def geometry(self) -> Geometry:
        """The caches as the vendor built them."""
        caches = self.caches
        played = None if self.processor is None else self.processor.processor
        return Geometry(
            i1=caches.i1.cache, d1=caches.d1.cache, ll=caches.ll.cache, processor=played
        )

    @property
    def simulated_geometry(self) -> Geometry:
        """The nearest caches to `geometry` that the simulator accepts."""
        real = self.geometry
        return Geometry(
            i1=simulated_cache(real.i1),
            d1=simulated_cache(real.d1),
            ll=simulated_cache(real.ll),
            processor=real.processor,
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
            "or give it caches.l2 and latency_cycles.l2, or caches.ll.level if L2 is its last level"
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

    With three `levels` each machine is simulated up to L2 as well, unless L2 is its last level.

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
    lower = (
        [up_to_l2(machine) for machine in machines if not machine.ends_at_l2]
        if levels == THREE_LEVELS
        else []
    )
    for machine in [*machines, *lower]:
        geometry = machine.simulated_geometry
        seen[geometry] = (*seen.get(geometry, ()), machine)
    return seen
