"""Calibration: a power meter's reading per processor cycle of cost. Pure functions.

The paper's Figure 1 plots the readings of a power meter against the costs of synthetic loads. A
load of no cycles reads nothing above idle, so the reading is proportional to the cost::

    reading = per_cycle x cost

fitted by least squares. The confidence interval is Student's, with one degree of freedom less than
there are points. It assumes deviations from the line that are independent, normal and of one
variance. A second fit with a free intercept tests whether the readings begin at 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from powerml.costs.cost import Accesses, price
from powerml.costs.counts import Counts, PhaseCounts
from powerml.costs.fingerprint import Fingerprint, digest_of
from powerml.costs.measurement import AppliedCalibration, Measurement, Phase, costs_of_one
from powerml.errors import CalibrationError
from powerml.machines import PAPERS_MACHINE, Machine
from powerml.studies.earlier import of_schema
from powerml.tables import RecordTable, Tabular, cells_of, table_of
from powerml.workloads.workload import LoadWorkload

__all__ = [
    "CONFIDENCE",
    "LEAST_POINTS",
    "Calibration",
    "CalibrationFit",
    "LoadPoint",
    "calibrated",
    "fit_readings",
    "inclusive_cycles",
    "make_calibration",
    "profile_digest",
    "require_spread",
]

CONFIDENCE = 0.95
LEAST_POINTS = 4  # three are left when each is left out in turn
# Spreads below this part of the largest value are rounding.
NO_SPREAD = 1e-9
Vector = NDArray[np.float64]


class _CalibrationRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class CalibrationFit(_CalibrationRecord):
    """Fit of readings to costs. All but `r` are in the readings' unit, `per_cycle` for each cycle.

    `low` and `high` bound the interval of confidence `confidence`. `r` is Pearson's correlation of
    readings and costs. `leave_one_out_r` is that of each reading with its prediction by a fit to
    the others, None if the predictions do not differ.
    """

    points: int = Field(description="loads that the fit is made from")
    per_cycle: PositiveFloat = Field(description="reading for each cycle of cost")
    per_cycle_low: float = Field(description="lower end of its confidence interval")
    per_cycle_high: float = Field(description="upper end of its confidence interval")
    confidence: float = Field(
        default=CONFIDENCE, description="confidence of the intervals, as 0.95"
    )
    r: float = Field(ge=-1, le=1, description="Pearson's correlation of readings and costs")
    leave_one_out_r: float | None = Field(
        ge=-1,
        le=1,
        description="correlation of readings with fits to the others; null if those are equal",
    )
    intercept: float = Field(description="reading at no cost, of a line with an intercept")
    intercept_low: float = Field(description="lower end of its confidence interval")
    intercept_high: float = Field(description="upper end of its confidence interval")

    @property
    def begins_at_zero(self) -> bool:
        """True if a free intercept could be 0."""
        return self.intercept_low <= 0 <= self.intercept_high


class LoadPoint(_CalibrationRecord):
    """One load: its counts, its prices in cycles, its reading and the fitted reading.

    `inclusive_cycles` is the original program's price, for comparison with `recorded_cost_cycles`,
    which it printed in 2018. Both and their ratio are None on machines other than the paper's.
    `reading` and the fields after it are None if the load was not metered.
    """

    load: str = Field(description="name of the load")
    rows_a: int = Field(description="rows of the first matrix")
    inner: int = Field(description="columns of the first matrix and rows of the second")
    cols_b: int = Field(description="columns of the second matrix")
    counts: PhaseCounts = Field(description="counts of the load")
    cost_cycles: NonNegativeFloat = Field(description="cost by eq. 2.1, in cycles")
    inclusive_cycles: NonNegativeFloat | None = Field(
        description="cost as the original program priced it; null on other machines"
    )
    recorded_cost_cycles: int | None = Field(
        description="cost that the original program recorded; null on other machines"
    )
    ratio_to_recorded: NonNegativeFloat | None = Field(
        description="inclusive cost relative to the recorded one"
    )
    reading: PositiveFloat | None = Field(
        description="reading above idle; null if the load was not metered"
    )
    fitted: float | None = Field(description="reading that the fit gives")
    residual: float | None = Field(description="reading minus the fitted one")
    left_out: float | None = Field(description="prediction by a fit to the other loads")


class Calibration(Tabular, _CalibrationRecord):
    """A fit with its data and its range of use. JSON: ``powerml.calibration/2``.

    It holds for costs of that machine, with that profile, those accesses and levels. Records of
    ``powerml.calibration/1`` are read too.
    """

    schema_: Literal["powerml.calibration/2"] = Field(
        default="powerml.calibration/2",
        alias="schema",
        description="name and version of the schema",
    )
    machine: str = Field(description="machine that was metered")
    profile_digest: str = Field(description="SHA-256 of its profile")
    accesses: Accesses = Field(description="accesses that are priced")
    levels: Literal[2] = Field(default=2, description="levels of caches that are priced")
    unit: str = Field(description="unit of the readings")
    readings: str = Field(description="source of the readings")
    fit: CalibrationFit = Field(description="fit of the readings to the costs")
    loads: list[LoadPoint] = Field(description="loads with their counts, costs and readings")
    fingerprint: Fingerprint = Field(description="fingerprint of the counts")

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        return of_schema(content, "powerml.calibration", (1,), 2)

    @property
    def metered(self) -> list[LoadPoint]:
        """The loads that have a reading."""
        return [point for point in self.loads if point.reading is not None]

    @property
    def range_cycles(self) -> tuple[float, float]:
        """The lowest and the highest cost that it was fitted to."""
        costs = [point.cost_cycles for point in self.metered]
        return min(costs), max(costs)

    def require_fit_for(self, machines: Sequence[Machine], accesses: str, levels: int) -> None:
        """Check that the calibration is valid for costs priced in this way.

        Raises
        ------
        CalibrationError
            It is for another machine, another profile of it, other accesses or levels.
        """
        profiles = {machine.name: machine for machine in machines}
        if self.machine not in profiles:
            raise CalibrationError(
                f"the calibration is for {self.machine}, not for {', '.join(profiles)}: "
                f"add --machine {self.machine}, or calibrate with powerml calibrate --machine"
            )
        if profile_digest(profiles[self.machine]) != self.profile_digest:
            raise CalibrationError(
                f"the profile of {self.machine} is not the one that was calibrated: "
                "run powerml calibrate again"
            )
        if (accesses, levels) != (self.accesses, self.levels):
            raise CalibrationError(
                f"the calibration prices {self.accesses} accesses on {self.levels} levels, not "
                f"{accesses} on {levels}: measure with --accesses {self.accesses} --levels "
                f"{self.levels}"
            )

    def applied(self, costs_cycles: Mapping[str, float]) -> AppliedCalibration:
        """Return the record of its application to costs by phase."""
        lowest, highest = self.range_cycles
        remarks = []
        for where in ("below", "above"):
            outside = [
                f"{phase} {cycles:.2g}"
                for phase, cycles in costs_cycles.items()
                if _outside(cycles, lowest, highest) == where
            ]
            if outside:
                remarks.append(
                    f"costs {where} those of the metered loads ({lowest:.2g} to {highest:.2g} "
                    f"cycles), whose readings are extrapolated: {', '.join(outside)}"
                )
        return AppliedCalibration(
            machine=self.machine,
            unit=self.unit,
            per_cycle=self.fit.per_cycle,
            per_cycle_low=self.fit.per_cycle_low,
            per_cycle_high=self.fit.per_cycle_high,
            confidence=self.fit.confidence,
            lowest_cost_cycles=lowest,
            highest_cost_cycles=highest,
            remarks=remarks,
        )

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        return table_of(
            f"calibration of {self.machine}, readings in {self.unit}",
            [cells_of(point.model_dump(exclude={"counts"})) for point in self.loads],
            [f"{self.fit.per_cycle:.4g} for each cycle, r {self.fit.r:.3f}"],
        )


def calibrated(measurement: Measurement, calibration: Calibration) -> Measurement:
    """Return the measurement with a power meter's expected readings beside its machine's costs."""
    machine = calibration.machine
    priced = [phase for phase in measurement.phases if machine in phase.costs]
    costs = {phase.name: phase.costs[machine].cycles for phase in priced}
    return measurement.model_copy(
        update={
            "phases": [
                _calibrated(phase, calibration) if phase in priced else phase
                for phase in measurement.phases
            ],
            "calibration": calibration.applied(costs),
        }
    )


def _calibrated(phase: Phase, calibration: Calibration) -> Phase:
    machine = calibration.machine
    priced = phase.costs[machine]
    found = {
        "calibrated_value": calibration.fit.per_cycle * priced.cycles,
        "unit": calibration.unit,
    }
    costs = {**phase.costs, machine: priced.model_copy(update=found)}
    return phase.model_copy(
        update={
            "costs": costs,
            "costs_per_inference": costs_of_one(costs, phase.inferences),
            "costs_per_sample": costs_of_one(costs, phase.samples),
        }
    )


def make_calibration(
    counted: Sequence[tuple[LoadWorkload, PhaseCounts]],
    *,
    readings: Mapping[str, float],
    recorded_cycles: Mapping[str, int],
    unit: str,
    source: str,
    machine: Machine,
    accesses: Accesses,
    fingerprint: Fingerprint,
) -> Calibration:
    """Price loads, fit the readings to the costs and assemble the record.

    `readings` and `recorded_cycles`, the costs that the original program printed, are keyed by the
    names of the loads.

    Raises
    ------
    CalibrationError
        The readings cannot be fitted.
    """
    costs = {
        load.name: price(counts.counts, machine, accesses, by="paper").cycles
        for load, counts in counted
    }
    metered = [name for name in costs if name in readings]
    cycles = [costs[name] for name in metered]
    read = [readings[name] for name in metered]
    fit = fit_readings(cycles, read)
    left_out = dict(zip(metered, _left_out(np.array(cycles), np.array(read)).tolist(), strict=True))
    is_papers = machine.name == PAPERS_MACHINE and accesses == "data"
    papers, recorded = (machine, recorded_cycles) if is_papers else (None, {})
    points = [
        _point(load, counts, costs[load.name], papers, recorded.get(load.name))
        for load, counts in counted
    ]
    return Calibration(
        machine=machine.name,
        profile_digest=profile_digest(machine),
        accesses=accesses,
        unit=unit,
        readings=source,
        fit=fit,
        loads=[
            point
            if point.load not in readings
            else _metered(point, readings[point.load], fit, left_out[point.load])
            for point in points
        ],
        fingerprint=fingerprint,
    )


def _point(
    load: LoadWorkload,
    counts: PhaseCounts,
    cost: float,
    papers: Machine | None,
    recorded: int | None,
) -> LoadPoint:
    """Return a counted load, on the paper's machine with its recorded cost."""
    inclusive = None if papers is None else inclusive_cycles(counts.counts, papers)
    return LoadPoint(
        load=load.name,
        rows_a=load.rows_a,
        inner=load.inner,
        cols_b=load.cols_b,
        counts=counts,
        cost_cycles=cost,
        inclusive_cycles=inclusive,
        recorded_cost_cycles=recorded,
        ratio_to_recorded=None if not (inclusive and recorded) else inclusive / recorded,
        reading=None,
        fitted=None,
        residual=None,
        left_out=None,
    )


def _metered(point: LoadPoint, reading: float, fit: CalibrationFit, left_out: float) -> LoadPoint:
    """Return the point with its reading and the fitted reading."""
    fitted = fit.per_cycle * point.cost_cycles
    found = {
        "reading": reading,
        "fitted": fitted,
        "residual": reading - fitted,
        "left_out": left_out,
    }
    return point.model_copy(update=found)


def fit_readings(costs_cycles: Sequence[float], readings: Sequence[float]) -> CalibrationFit:
    """Fit readings to costs; see the module.

    Parameters
    ----------
    costs_cycles, readings
        One of each for a load, above 0.

    Raises
    ------
    CalibrationError
        There are too few, they do not differ, or the readings fall as the costs rise.
    """
    from scipy import stats  # it takes a second, which those who only measure need not wait

    costs, read = np.array(costs_cycles, np.float64), np.array(readings, np.float64)
    require_spread(read, "readings")
    require_spread(costs, "costs of the loads")
    # In units of the largest, so that nothing overflows or vanishes.
    x, y = costs / costs.max(), read / read.max()
    line = stats.linregress(x, y)
    if line.slope <= 0:
        raise CalibrationError(
            f"the readings fall as the costs rise (r {line.rvalue:.3f}): are they in the right "
            "rows, above idle, and of the energy of whole runs?"
        )
    per_cycle = float(x @ y / (x @ x))
    deviation = float(np.sqrt(((y - per_cycle * x) ** 2).sum() / (len(x) - 1) / (x @ x)))
    half = deviation * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 1))
    half_intercept = line.intercept_stderr * float(stats.t.ppf((1 + CONFIDENCE) / 2, len(x) - 2))
    unit = read.max() / costs.max()
    return CalibrationFit(
        points=len(x),
        per_cycle=per_cycle * unit,
        per_cycle_low=(per_cycle - half) * unit,
        per_cycle_high=(per_cycle + half) * unit,
        r=float(np.clip(line.rvalue, -1, 1)),
        leave_one_out_r=_correlation(_left_out(x, y), y),
        intercept=line.intercept * read.max(),
        intercept_low=(line.intercept - half_intercept) * read.max(),
        intercept_high=(line.intercept + half_intercept) * read.max(),
    )


def require_spread(values: Sequence[float] | Vector, what: str = "readings") -> None:
    """Refuse points that cannot be fitted; raises ``CalibrationError``."""
    if len(values) < LEAST_POINTS:
        raise CalibrationError(
            f"there are {len(values)} {what}: give the readings of at least {LEAST_POINTS} loads"
        )
    if np.ptp(values) <= NO_SPREAD * max(values):
        raise CalibrationError(
            f"the {what} are all {values[0]:g}: without a spread nothing can be fitted; "
            "give readings of loads of several sizes"
        )


def inclusive_cycles(counts: Counts, machine: Machine) -> float:
    """Return the original program's price: every access at L1's latency, misses on top.

    Eq. 2.1 prices hits instead. This price is for comparison with the records of 2018.
    """
    latency = machine.latency_cycles
    return (
        counts.data_accesses * latency.l1.value
        + counts.d1_misses * latency.ll.value
        + counts.ll_misses * latency.memory.value
    )


def profile_digest(machine: Machine) -> str:
    """SHA-256 of a machine's profile."""
    return digest_of(machine.model_dump_json())


def _left_out(x: Vector, y: Vector) -> Vector:
    """Predict each point by a fit to all others."""
    return (x @ y - x * y) / (x @ x - x * x) * x


def _correlation(one: Vector, other: Vector) -> float | None:
    if min(np.ptp(one), np.ptp(other)) <= NO_SPREAD * np.abs(one).max():
        return None
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))


def _outside(cycles: float, lowest: float, highest: float) -> str:
    return "below" if cycles < lowest else "above" if cycles > highest else ""
