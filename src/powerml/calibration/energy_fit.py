"""A machine's energies, fitted to measured joules of networks. Pure functions.

The model is that of the price ``core``: a core's watts for the seconds, and the energy of each line
from memory::

    joules = busy_core_watts x seconds + memory_line_nj x 1e-9 x lines

Both numbers are at least 0. Relative errors are squared, so that a small network counts as much as
a large one. The seconds are measured, so that no error of a priced time is in the watts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from powerml.costs.fingerprint import Fingerprint
from powerml.errors import CalibrationError
from powerml.machines import Machine
from powerml.tables import RecordTable, Tabular, cells_of, table_of

__all__ = [
    "LEAST_NETWORKS",
    "EnergyCalibration",
    "EnergyPoint",
    "MeteredPhase",
    "fit_energies",
]

LEAST_NETWORKS = 5  # four are left when each is left out in turn, for two numbers
JOULES_PER_NANOJOULE = 1e-9
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class MeteredPhase:
    """One phase of a network: measured joules above idle and seconds, and counted lines."""

    network: str
    phase: str
    joules: float
    seconds: float
    lines: int


class EnergyPoint(BaseModel):
    """One phase of a network, measured and fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = Field(description="the workload")
    phase: str = Field(description="name of the phase")
    joules: PositiveFloat = Field(description="measured joules above idle")
    seconds: PositiveFloat = Field(description="measured seconds")
    lines: int = Field(ge=0, description="lines from memory, counted by the simulator")
    fitted_joules: NonNegativeFloat = Field(description="joules by the fit")
    left_out_joules: NonNegativeFloat = Field(
        description="joules by a fit to the other networks alone"
    )

    @property
    def left_out_error(self) -> float:
        """Relative error of the fit to the other networks."""
        return self.left_out_joules / self.joules - 1


class EnergyCalibration(Tabular, BaseModel):
    """Energies of a machine, fitted. JSON: ``powerml.energy-calibration/1``.

    `low` and `high` are the least and most of the fits with each network left out in turn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.energy-calibration/1"] = Field(
        default="powerml.energy-calibration/1",
        alias="schema",
        description="name and version of the schema",
    )
    machine: str = Field(description="machine that was metered")
    meter: str = Field(description="meter that read the joules")
    includes: list[str] = Field(description="things whose energy is in the joules")
    excludes: list[str] = Field(description="things whose energy is not in the joules")
    busy_core_watts: PositiveFloat = Field(description="watts of a busy core above idle")
    busy_core_watts_low: NonNegativeFloat = Field(description="least of the fits")
    busy_core_watts_high: PositiveFloat = Field(description="most of the fits")
    memory_line_nj: PositiveFloat = Field(description="nanojoules of a line from memory")
    memory_line_nj_low: NonNegativeFloat = Field(description="least of the fits")
    memory_line_nj_high: PositiveFloat = Field(description="most of the fits")
    memory_line_is_fitted: bool = Field(
        description="false if the networks do not tell it, and it is the profile's"
    )
    idle_watts: NonNegativeFloat | None = Field(
        description="power when idle, averaged over the networks; null if no meter told it"
    )
    networks: PositiveInt = Field(description="networks that were fitted")
    left_out_error_median: NonNegativeFloat = Field(
        description="relative error of a network that was left out, in the median"
    )
    left_out_error_worst: NonNegativeFloat = Field(description="the same, at worst")
    points: list[EnergyPoint] = Field(description="phases that were fitted")
    fingerprint: Fingerprint = Field(description="fingerprint of the counts")

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        return table_of(
            f"energies of {self.machine}, fitted to joules by {self.meter}",
            [cells_of(point.model_dump()) for point in self.points],
            [
                f"{self.busy_core_watts:.4g} W of a busy core, {self.memory_line_nj:.4g} nJ of a "
                "line from memory"
            ],
        )


def fit_energies(
    phases: Sequence[MeteredPhase],
    machine: Machine,
    *,
    meter: str,
    includes: Sequence[str],
    excludes: Sequence[str],
    idle_watts: float | None,
    fingerprint: Fingerprint,
) -> EnergyCalibration:
    """Fit a machine's energies to networks, and leave each network out in turn; see the module.

    If the networks do not tell the energy of a line, it is that of the profile, and the watts are
    fitted alone.

    Raises
    ------
    CalibrationError
        There are too few networks, or they tell no watts.
    """
    networks = list(dict.fromkeys(one.network for one in phases))
    if len(networks) < LEAST_NETWORKS:
        raise CalibrationError(
            f"there are {len(networks)} networks with joules and counts: measure at least "
            f"{LEAST_NETWORKS}, of several sizes"
        )
    held = _held_line(phases, machine)
    watts, line = _fit(phases, held)
    found = [(watts, line)]
    without: dict[str, tuple[float, float]] = {}
    for network in networks:
        without[network] = _fit([one for one in phases if one.network != network], held)
        found.append(without[network])
    points = [
        EnergyPoint(
            network=one.network,
            phase=one.phase,
            joules=one.joules,
            seconds=one.seconds,
            lines=one.lines,
            fitted_joules=_joules(one, watts, line),
            left_out_joules=_joules(one, *without[one.network]),
        )
        for one in phases
    ]
    errors = [abs(point.left_out_error) for point in points]
    return EnergyCalibration(
        machine=machine.name,
        meter=meter,
        includes=list(includes),
        excludes=list(excludes),
        busy_core_watts=watts,
        busy_core_watts_low=min(one for one, _ in found),
        busy_core_watts_high=max(one for one, _ in found),
        memory_line_nj=line,
        memory_line_nj_low=min(one for _, one in found),
        memory_line_nj_high=max(one for _, one in found),
        memory_line_is_fitted=held is None,
        idle_watts=idle_watts,
        networks=len(networks),
        left_out_error_median=float(np.median(errors)),
        left_out_error_worst=max(errors),
        points=points,
        fingerprint=fingerprint,
    )


def _held_line(phases: Sequence[MeteredPhase], machine: Machine) -> float | None:
    """Return the profile's nanojoules of a line if the networks do not tell them, else None."""
    watts, line = _non_negative(phases)
    if watts <= 0:
        raise CalibrationError(
            "the joules do not rise with the seconds: were they measured on this machine, above "
            "idle, while nothing else ran?"
        )
    if line > 0:
        return None
    if machine.power is None:
        raise CalibrationError(
            f"these networks do not tell the energy of a line from memory, and the profile of "
            f"{machine.name} has none: add networks that are larger than its caches"
        )
    return machine.power.memory_line_nj.value


def _fit(phases: Sequence[MeteredPhase], held: float | None) -> tuple[float, float]:
    """Return watts, and nanojoules of a line unless they are held."""
    if held is None:
        return _non_negative(phases)
    seconds, lines = _columns(phases)
    watts = float(seconds @ (1 - held * lines) / (seconds @ seconds))
    if watts <= 0:
        raise CalibrationError(
            f"lines of {held:g} nJ, as the profile has them, take more than the measured joules: "
            "correct memory_line_nj"
        )
    return watts, held


def _non_negative(phases: Sequence[MeteredPhase]) -> tuple[float, float]:
    from scipy.optimize import nnls  # it takes a second, which those who only measure need not wait

    columns = np.stack(_columns(phases), axis=1)
    scales = np.maximum(columns.max(axis=0), np.finfo(np.float64).tiny)
    found, _ = nnls(columns / scales, np.ones(len(columns)))
    watts, line = found / scales
    return float(watts), float(line)


def _columns(phases: Sequence[MeteredPhase]) -> tuple[Vector, Vector]:
    """Return seconds and nanojoules' worth of lines, each for one joule measured."""
    joules = np.array([one.joules for one in phases])
    seconds = np.array([one.seconds for one in phases]) / joules
    lines = np.array([one.lines for one in phases]) * JOULES_PER_NANOJOULE / joules
    return seconds, lines


def _joules(phase: MeteredPhase, watts: float, line: float) -> float:
    return watts * phase.seconds + line * JOULES_PER_NANOJOULE * phase.lines
