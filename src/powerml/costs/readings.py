"""Readings: a meter's results for each phase of a workload, counts or energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from powerml.costs.cost import Interval
from powerml.costs.counts import PhaseCounts
from powerml.errors import MeasurementError

__all__ = ["PhaseEnergy", "Reading", "doubts_about", "energies_of", "require_counts"]


class PhaseEnergy(BaseModel):
    """Reading of a meter that does not count: the energy of one phase.

    All but `name` and `joules` are None, or empty, if the meter does not tell them. Joules, seconds
    and parts are those of one run of the phase, averaged over all repetitions. `parts` may be
    within each other: the cores are within their package.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the phase")
    origin: Literal["measured"] = Field(
        default="measured", description="origin of the joules: a meter read them"
    )
    joules: PositiveFloat = Field(
        description="energy of the whole phase, above idle if `idle_watts` is known"
    )
    joules_interval: Interval | None = Field(
        default=None, description="interval of the joules; null if they were read once"
    )
    seconds: PositiveFloat | None = Field(
        default=None, description="seconds of the whole phase; null if the meter does not tell"
    )
    seconds_interval: Interval | None = Field(
        default=None, description="interval of the seconds; null if they were read once"
    )
    confidence: float | None = Field(
        default=None, gt=0, lt=1, description="confidence of the intervals, as 0.95"
    )
    idle_watts: NonNegativeFloat | None = Field(
        default=None, description="power when idle, which is netted out; null if nothing was"
    )
    repetitions: PositiveInt | None = Field(
        default=None, description="regions that were read; null if the meter does not tell"
    )
    runs: PositiveInt | None = Field(
        default=None, description="runs of the phase in each region; null as above"
    )
    parts: dict[str, float] = Field(
        default_factory=dict, description="joules above idle by the meter's parts"
    )
    includes: list[str] = Field(
        default_factory=list, description="things whose energy is in the joules"
    )
    excludes: list[str] = Field(
        default_factory=list, description="things whose energy is not in the joules"
    )
    inferences: PositiveInt | None = Field(
        default=None, description="inferences of the phase; null for other phases"
    )
    samples: PositiveInt | None = Field(
        default=None, description="samples of all inferences; null where they are not known"
    )


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


def energies_of(readings: Iterable[Reading]) -> list[PhaseEnergy] | None:
    """Return a meter's readings if all are energies, else None."""
    found = list(readings)
    energies = [one for one in found if isinstance(one, PhaseEnergy)]
    return energies if energies and len(energies) == len(found) else None


def doubts_about(energies: Sequence[PhaseEnergy], error: float) -> list[str]:
    """Name the phases whose interval is wider than wished, one sentence each.

    Parameters
    ----------
    energies
        The energies of all phases.
    error
        The part of the joules that the interval was to be within, to each side.
    """
    doubts = []
    for one in energies:
        if one.repetitions is None:
            continue
        if one.joules_interval is None:
            doubts.append(
                f"{one.name}: read once, so nothing is known of its interval: raise "
                "--limit-seconds and --repetitions"
            )
            continue
        if one.joules_interval.low == 0:
            doubts.append(
                f"{one.name}: joules cannot be told from the idle power: end other programs, or "
                "raise --idle-seconds and --region-seconds"
            )
            continue
        half = one.joules_interval.high / one.joules - 1
        if half > error:
            doubts.append(
                f"{one.name}: joules within {half:.1%} after {one.repetitions} repetitions, wider "
                f"than {error:.1%}: raise --repetitions, --region-seconds or --limit-seconds"
            )
    return doubts
