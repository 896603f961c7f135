"""Machines: cache geometry, latencies and energies of processors, one TOML file for each.

A machine lands here only when eq. 2.1 can be computed from it, and every number carries its
source. Others come through entry points of the group ``powerml.machines`` (a path to a TOML).
"""

from __future__ import annotations

import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from powerml import registry
from powerml.errors import MachineError

__all__ = [
    "DEFAULT_MACHINE",
    "Cache",
    "Geometry",
    "Machine",
    "Number",
    "load_machine",
    "machine_from_toml",
    "machine_names",
    "simulated_cache",
]

DEFAULT_MACHINE = "xeon-x5650"  # the paper's, section 2.2

Source = Annotated[str, Field(min_length=3)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Cache(_Record):
    """One cache: size in bytes, ways of associativity, bytes in a line."""

    size_bytes: PositiveInt
    ways: PositiveInt
    line_bytes: PositiveInt = 64

    @property
    def sets(self) -> float:
        """Number of sets; a whole number in every real cache."""
        return self.size_bytes / (self.ways * self.line_bytes)

    def __str__(self) -> str:
        return f"{self.size_bytes},{self.ways},{self.line_bytes}"


class Geometry(_Record):
    """The caches that the simulator has: first-level instructions and data, and the last level."""

    i1: Cache
    d1: Cache
    ll: Cache


class SourcedCache(Cache):
    """A cache and where its numbers come from."""

    source: Source

    @property
    def cache(self) -> Cache:
        """The bare cache."""
        return Cache(size_bytes=self.size_bytes, ways=self.ways, line_bytes=self.line_bytes)


class Number(_Record):
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


class Caches(_Record):
    """The data caches from the core outwards, and the first-level instruction cache."""

    i1: SourcedCache
    d1: SourcedCache
    l2: SourcedCache | None = None
    ll: SourcedCache


class Latencies(_Record):
    """Processor cycles that an access takes, by the level that answers it."""

    l1: Number
    l2: Number | None = None
    ll: Number
    memory: Number


class Energies(_Record):
    """Energy of one 64-bit access in picojoules, by the level that answers it."""

    l1: Number
    ll: Number
    memory: Number


class Machine(_Record):
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
        """The caches as the simulator takes them: the nearest to `geometry`."""
        real = self.geometry
        return Geometry(
            i1=simulated_cache(real.i1), d1=simulated_cache(real.d1), ll=simulated_cache(real.ll)
        )


def simulated_cache(cache: Cache) -> Cache:
    """Return the nearest cache that Valgrind takes: its number of sets is a power of two.

    The size is kept where more ways can keep it (12 MiB with 16 ways becomes 12 MiB with 24), as
    Valgrind itself does with the caches it finds; where no number of ways does, the ways are
    rounded, which changes the size by less than half a way.
    """
    lines = cache.size_bytes / cache.line_bytes
    sets = 2 ** math.floor(math.log2(max(lines / cache.ways, 1)))
    ways = max(1, round(lines / sets))
    return Cache(size_bytes=ways * sets * cache.line_bytes, ways=ways, line_bytes=cache.line_bytes)


def _built_in() -> list[str]:
    folder = resources.files("powerml.machines")
    return [entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")]


def machine_names() -> list[str]:
    """Names of all machines, sorted."""
    return registry.names("machines", _built_in)


def load_machine(name: str) -> Machine:
    """Look a machine up by name.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    MachineError
        Its profile cannot be used.
    """
    if name in _built_in():
        text = (resources.files("powerml.machines") / f"{name}.toml").read_text(encoding="utf-8")
        return machine_from_toml(text, name)
    path = Path(str(registry.find("machine", "machines", name, _built_in)))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MachineError(f"the profile of machine {name} cannot be read: {error}") from error
    return machine_from_toml(text, name)


def machine_from_toml(text: str, name: str) -> Machine:
    """Read a profile; `name` is what it is called by.

    Raises
    ------
    MachineError
        The text is no TOML, or a number is missing, negative or without a source.
    """
    try:
        return Machine.model_validate({**tomllib.loads(text), "name": name})
    except tomllib.TOMLDecodeError as error:
        raise MachineError(f"the profile of machine {name} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MachineError(
            f"the profile of machine {name} cannot be used: {where}: {first['msg']}"
        ) from error
