"""Counts: the integers of the simulator, and the phases that have costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from powerml.errors import UnknownNameError

__all__ = [
    "EVENTS",
    "PHASES",
    "VERBS",
    "Counts",
    "Details",
    "Fidelity",
    "Instructions",
    "PhaseCounts",
    "PhaseName",
    "Streamed",
    "check_fidelity",
]

# The phases whose costs a search weighs, limits and predicts. A meter may count others too.
PhaseName = Literal["training", "inference"]
PHASES: tuple[PhaseName, ...] = get_args(PhaseName)
# As in "the cheapest to run".
VERBS: Mapping[PhaseName, str] = MappingProxyType({"training": "train", "inference": "run"})

Fidelity = Literal["exact", "sampled", "predicted"]


class Instructions(BaseModel):
    """Instructions of one region by class, and the operations that they do.

    Each instruction is of one class; together they are ``Ir``. The widths are those of vectors, in
    bits. A fused multiply-add is two floating-point operations for each lane.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    moves: NonNegativeInt = Field(description="loads, stores and moves between registers")
    integer: NonNegativeInt = Field(description="integer arithmetic, logic and comparisons")
    branches: NonNegativeInt = Field(description="jumps, calls and returns")
    float_scalar: NonNegativeInt = Field(description="floating point, one number")
    float_128: NonNegativeInt = Field(description="floating point, vectors of 128 bits")
    float_256: NonNegativeInt = Field(description="floating point, vectors of 256 bits")
    integer_128: NonNegativeInt = Field(description="integers, vectors of 128 bits")
    integer_256: NonNegativeInt = Field(description="integers, vectors of 256 bits")
    fma_scalar: NonNegativeInt = Field(description="fused multiply-adds of one number")
    fma_128: NonNegativeInt = Field(description="fused multiply-adds, vectors of 128 bits")
    fma_256: NonNegativeInt = Field(description="fused multiply-adds, vectors of 256 bits")
    divisions: NonNegativeInt = Field(description="divisions and square roots of any width")
    float_operations: NonNegativeInt = Field(description="floating-point operations")
    integer_operations: NonNegativeInt = Field(description="integer operations")
    modifies: NonNegativeInt = Field(
        description="data reads whose instruction also writes the same place"
    )


class Streamed(BaseModel):
    """Data misses of one region that continue a stream.

    The line before or after such a one was among the last 32 that missed the first level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    D1m: NonNegativeInt = Field(description="those that missed the first level")
    DLm: NonNegativeInt = Field(description="those that missed the last level too")


Origin = Literal["kernels", "runtime", "interpreter"]
Details = TypeVar("Details", Instructions, Streamed)


class Counts(BaseModel):
    """The nine integers of one region in the simulated caches.

    The names are Valgrind's. ``Ir Dr Dw`` are instructions fetched, data reads and data writes.
    ``I1mr D1mr D1mw`` are those that missed the first level, ``ILmr DLmr DLmw`` those that also
    missed the last level. An instruction that reads and writes one address is a read in the
    simulator and in Cachegrind, a write in Callgrind. These two count each lane of the operand of a
    fused multiply-add, the simulator the operand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    Ir: NonNegativeInt = Field(description="instructions fetched")
    Dr: NonNegativeInt = Field(description="data reads")
    Dw: NonNegativeInt = Field(description="data writes")
    I1mr: NonNegativeInt = Field(description="instruction fetches that missed the first level")
    D1mr: NonNegativeInt = Field(description="data reads that missed the first level")
    D1mw: NonNegativeInt = Field(description="data writes that missed the first level")
    ILmr: NonNegativeInt = Field(description="instruction fetches that missed the last level")
    DLmr: NonNegativeInt = Field(description="data reads that missed the last level")
    DLmw: NonNegativeInt = Field(description="data writes that missed the last level")

    instructions: Instructions | None = Field(
        default=None, description="instructions by class; null if the meter does not tell them"
    )
    streamed: Streamed | None = Field(
        default=None,
        description="data misses that continue a stream; null if the meter does not tell them",
    )

    @classmethod
    def zero(cls) -> Counts:
        """Return counts of nothing."""
        return cls(**dict.fromkeys(EVENTS, 0))

    def __add__(self, other: Counts) -> Counts:
        return self.combined(other, lambda one, more: one + more)

    def __sub__(self, other: Counts) -> Counts:
        """Difference of two counts; raises ``ValueError`` where it would be negative."""
        return self.combined(other, lambda one, less: one - less)

    def less(self, other: Counts) -> Counts:
        """Return the difference of two counts, with zero where it would be negative."""
        return self.combined(other, lambda one, less: max(0, one - less))

    def scaled(self, factor: float) -> Counts:
        """Return the counts times a factor, rounded."""
        return self.combined(self, lambda one, _: round(one * factor))

    def combined(self, other: Counts, combine: Callable[[int, int], int]) -> Counts:
        """Combine two counts number by number.

        Instructions and streams are told where both tell them, or one is counts of nothing.
        """
        return Counts(
            **{event: combine(getattr(self, event), getattr(other, event)) for event in EVENTS},
            instructions=self._combined_details(other, combine, NO_INSTRUCTIONS),
            streamed=self._combined_details(other, combine, NO_STREAMED),
        )

    def _combined_details(
        self, other: Counts, combine: Callable[[int, int], int], nothing: Details
    ) -> Details | None:
        kind = type(nothing)
        name = "instructions" if kind is Instructions else "streamed"
        mine, its = getattr(self, name), getattr(other, name)
        if (mine is None and its is None) or (mine is None and self.Ir > 0):
            return None
        if its is None and other.Ir > 0:
            return None
        one, another = mine or nothing, its or nothing
        return kind(
            **{
                field: combine(getattr(one, field), getattr(another, field))
                for field in kind.model_fields
            }
        )

    @property
    def data_accesses(self) -> int:
        """Data reads and writes, whatever level answered them."""
        return self.Dr + self.Dw

    @property
    def d1_misses(self) -> int:
        """Data accesses that the first level did not hold."""
        return self.D1mr + self.D1mw

    @property
    def ll_misses(self) -> int:
        """Data accesses that the last level did not hold."""
        return self.DLmr + self.DLmw


DETAILS = ("instructions", "streamed")
EVENTS: tuple[str, ...] = tuple(name for name in Counts.model_fields if name not in DETAILS)
NO_INSTRUCTIONS = Instructions(**dict.fromkeys(Instructions.model_fields, 0))
NO_STREAMED = Streamed(**dict.fromkeys(Streamed.model_fields, 0))


class PhaseCounts(BaseModel):
    """Counts of one phase, as a meter returns them.

    ``exact``: every step was simulated. ``sampled``: `steps_simulated` of `steps_total` were, and
    the rest extrapolated. ``predicted``: none was, and the cost model predicts the counts from
    other topologies'. `parts` sum up to `counts`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    counts: Counts = Field(description="counts of the whole phase")
    fidelity: Fidelity = Field(default="exact", description="exact, sampled or predicted")
    error_bound: NonNegativeFloat = Field(
        default=0.0,
        description="largest relative error of the cost against exact simulation; of a predicted "
        "cost at a confidence of nine in ten",
    )
    steps_simulated: NonNegativeInt = Field(description="steps that were simulated")
    steps_total: NonNegativeInt = Field(description="steps of the phase")
    parts: dict[str, Counts] = Field(
        default_factory=dict, description="counts of its parts by name, if it was composed"
    )
    origins: dict[Origin, Counts] | None = Field(
        default=None,
        description="counts of an inference by origin: the network's nodes, the rest of its "
        "runtime, and the interpreter; null where they are not told",
    )


def check_fidelity(name: str) -> Fidelity:
    """Check the name of a fidelity; raises ``UnknownNameError``."""
    if name == "exact":
        return "exact"
    if name == "sampled":
        return "sampled"
    if name == "predicted":
        return "predicted"
    raise UnknownNameError("fidelity", name, get_args(Fidelity))
