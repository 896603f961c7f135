"""Readings: a meter's results for each phase of a workload, counts or energy."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from powerml.costs.counts import PhaseCounts
from powerml.errors import MeasurementError

__all__ = ["PhaseEnergy", "Reading", "require_counts"]


class PhaseEnergy(BaseModel):
    """Reading of a meter that does not count: the energy of one phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    joules: PositiveFloat = Field(description="energy of the whole phase")


Reading = PhaseCounts | PhaseEnergy


def require_counts(meter: str, readings: Iterable[Reading]) -> list[PhaseCounts]:
    """Return a meter's readings if all are counts, because only counts can be priced.

    Raises
    ------
    MeasurementError
        One is an energy.
    """
    counted = []
    for reading in readings:
        if not isinstance(reading, PhaseCounts):
            raise MeasurementError(
                f"the meter {meter} gives joules, not counts: costs are priced from counts, so "
                "give a meter that counts, as simulator"
            )
        counted.append(reading)
    return counted
