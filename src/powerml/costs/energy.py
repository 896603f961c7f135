"""Energy of a region by its parts: instructions, caches, memory, and being on. Pure.

A busy core takes about the same power whatever it does. Its watts times the seconds, with the
energy of lines from memory, agree better with measured energies than sums over operations. Such a
sum tells what part of the watts the work itself needs. The rest is being on: leakage, the clock,
and what a wide core does to keep busy.

Energies of operations are published for two processes. A machine's are between them by its own:
``E = E45 (E7 / E45) ** (ln(45 / nm) / ln(45 / 7))``. The rule is an interpolation of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from powerml.costs.counts import Counts
from powerml.errors import MachineError
from powerml.machines import Machine, Power

__all__ = ["EnergyParts", "energy_parts"]

JOULES_PER_PICOJOULE = 1e-12
JOULES_PER_NANOJOULE = 1e-9
OLDER_NM, NEWER_NM = 45, 7
LANE_BITS = 32


class _Energy(NamedTuple):
    """Picojoules of an operation at 45 and at 7 nm."""

    older: float
    newer: float

    def at(self, process_nm: float) -> float:
        """Return the picojoules at a process; beyond the two it is that of the closer one."""
        known = min(max(process_nm, NEWER_NM), OLDER_NM)
        share = math.log(OLDER_NM / known) / math.log(OLDER_NM / NEWER_NM)
        return self.older * math.pow(self.newer / self.older, share)


# Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9, at 45 nm and 0.9 V; Jouppi et
# al., "Ten lessons from three generations shaped Google's TPUv4i", ISCA 2021, table 2, at 7 nm.
# An access to a cache is of 64 bits: of the first level 32 KB, of the others 1 MB.
INTEGER_ADD = _Energy(0.1, 0.03)
FLOAT_ADD = _Energy(0.9, 0.38)
FLOAT_MULTIPLY = _Energy(3.7, 1.31)
FIRST_LEVEL = _Energy(20.0, 8.5)
FARTHER_LEVEL = _Energy(100.0, 14.0)
# What an instruction takes beside its operation: Horowitz, 70 pJ. Jouppi has none; it is scaled as
# the small cache is, which fetches it.
OVERHEAD = _Energy(70.0, 70.0 * 8.5 / 20.0)
WORD_BYTES, LINE_BYTES = 8, 64
# Bits of the vectors of each class, and the operations of a lane.
VECTORS: Mapping[str, tuple[int, tuple[_Energy, ...]]] = {
    "float_scalar": (LANE_BITS, (FLOAT_ADD,)),
    "float_128": (128, (FLOAT_ADD,)),
    "float_256": (256, (FLOAT_ADD,)),
    "fma_scalar": (LANE_BITS, (FLOAT_ADD, FLOAT_MULTIPLY)),
    "fma_128": (128, (FLOAT_ADD, FLOAT_MULTIPLY)),
    "fma_256": (256, (FLOAT_ADD, FLOAT_MULTIPLY)),
    "integer": (LANE_BITS, (INTEGER_ADD,)),
    "integer_128": (128, (INTEGER_ADD,)),
    "integer_256": (256, (INTEGER_ADD,)),
}


class EnergyParts(BaseModel):
    """Parts of the energy of a region, in joules; together they are all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instructions: NonNegativeFloat = Field(description="operations, and handling instructions")
    caches: NonNegativeFloat = Field(description="accesses to the caches")
    memory: NonNegativeFloat = Field(description="lines from main memory")
    on: NonNegativeFloat = Field(description="being on: the rest of a busy core's watts")

    @property
    def joules(self) -> float:
        """All of it."""
        return self.instructions + self.caches + self.memory + self.on

    def over(self, number: int) -> EnergyParts:
        """Return the parts of one of a number."""
        return EnergyParts(**{name: value / number for name, value in self.model_dump().items()})


def energy_parts(counts: Counts, machine: Machine, seconds: float) -> EnergyParts:
    """Return the energy of a region that takes some seconds on one core.

    Where the operations by the tables need more than the busy core's watts, the tables hold: being
    on is then nothing. Where the meter tells no instructions by class, each is an integer addition.

    Raises
    ------
    MachineError
        The profile has no power.
    """
    power = machine.power
    if power is None:
        raise MachineError(f"the profile of machine {machine.name} has no power: add it")
    process_nm = _process_nm(machine)
    instructions = _instructions_pj(counts, process_nm) * JOULES_PER_PICOJOULE
    caches = _caches_pj(counts, process_nm) * JOULES_PER_PICOJOULE
    busy = seconds * power.busy_core_watts.value
    return EnergyParts(
        instructions=instructions,
        caches=caches,
        memory=_memory_joules(counts, power),
        on=max(0.0, busy - instructions - caches),
    )


def _process_nm(machine: Machine) -> float:
    """Return the machine's process; without one the older, which overstates the work."""
    about = machine.about
    return OLDER_NM if about is None or about.process_nm is None else about.process_nm.value


def _instructions_pj(counts: Counts, process_nm: float) -> float:
    overhead = counts.Ir * OVERHEAD.at(process_nm)
    told = counts.instructions
    if told is None:
        return overhead + counts.Ir * INTEGER_ADD.at(process_nm)
    return overhead + math.fsum(
        getattr(told, name) * bits / LANE_BITS * math.fsum(one.at(process_nm) for one in energies)
        for name, (bits, energies) in VECTORS.items()
    )


def _caches_pj(counts: Counts, process_nm: float) -> float:
    """Return the energy of an access of 64 bits for each, and of a line for each miss."""
    words = LINE_BYTES / WORD_BYTES
    first = counts.data_accesses + words * (counts.d1_misses + counts.I1mr)
    farther = words * (counts.d1_misses + counts.I1mr)
    return first * FIRST_LEVEL.at(process_nm) + farther * FARTHER_LEVEL.at(process_nm)


def _memory_joules(counts: Counts, power: Power) -> float:
    lines = counts.ll_misses + counts.ILmr
    return lines * power.memory_line_nj.value * JOULES_PER_NANOJOULE
