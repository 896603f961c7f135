"""Counts: the nine integers of the simulator, and the phases that costs are told of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt

from powerml.errors import UnknownNameError

__all__ = [
    "EVENTS",
    "PHASES",
    "VERBS",
    "Counts",
    "Fidelity",
    "PhaseCounts",
    "PhaseName",
    "check_fidelity",
]

# The phases whose costs a search weighs, limits and predicts. A meter may count others too.
PhaseName = Literal["training", "inference"]
PHASES: tuple[PhaseName, ...] = get_args(PhaseName)
# As in "the cheapest to run".
VERBS: Mapping[PhaseName, str] = MappingProxyType({"training": "train", "inference": "run"})

Fidelity = Literal["exact", "sampled", "predicted"]


class Counts(BaseModel):
    """The nine integers of one region in the simulated caches.

    The names are Valgrind's: ``Ir Dr Dw`` are instructions fetched, data reads and data writes;
    ``I1mr D1mr D1mw`` the same that missed the first level; ``ILmr DLmr DLmw`` those that missed
    the last level too. Instructions that read and write one place are a read in Cachegrind and a
    write in Callgrind: only ``Dr + Dw`` can be compared between the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    Ir: NonNegativeInt
    Dr: NonNegativeInt
    Dw: NonNegativeInt
    I1mr: NonNegativeInt
    D1mr: NonNegativeInt
    D1mw: NonNegativeInt
    ILmr: NonNegativeInt
    DLmr: NonNegativeInt
    DLmw: NonNegativeInt

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{event: getattr(self, event) + getattr(other, event) for event in EVENTS})

    def __sub__(self, other: Counts) -> Counts:
        """Difference of two counts; raises ``ValueError`` where it would be negative."""
        return Counts(**{event: getattr(self, event) - getattr(other, event) for event in EVENTS})

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


EVENTS: tuple[str, ...] = tuple(Counts.model_fields)


class PhaseCounts(BaseModel):
    """Counts of one phase, as a meter returns them.

    ``exact``: every step was simulated. ``sampled``: `steps_simulated` of `steps_total` were, and
    the rest extrapolated. ``predicted``: none was, and the counts are what the cost model makes of
    other topologies'. `parts` sum up to `counts`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    counts: Counts
    fidelity: Fidelity = "exact"
    error_bound: NonNegativeFloat = Field(
        default=0.0,
        description="largest relative error of the cost against exact simulation; of a predicted "
        "cost at a confidence of nine in ten",
    )
    steps_simulated: NonNegativeInt
    steps_total: NonNegativeInt
    parts: dict[str, Counts] = Field(default_factory=dict)


def check_fidelity(name: str) -> Fidelity:
    """Check the name of a fidelity; raises ``UnknownNameError``."""
    if name == "exact":
        return "exact"
    if name == "sampled":
        return "sampled"
    if name == "predicted":
        return "predicted"
    raise UnknownNameError("fidelity", name, get_args(Fidelity))
