"""Measurement: the record of one workload's counts and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from powerml.costs.cost import Accesses, Cost, per_sample, price
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import MeasurementError
from powerml.machines import THREE_LEVELS, Geometry, Machine, up_to_l2
from powerml.workloads.workload import AnyWorkload

__all__ = [
    "AppliedCalibration",
    "Measurement",
    "Phase",
    "Simulation",
    "costs_of_one",
    "price_phases",
    "scored",
]

SCHEMA = "powerml.measurement/3"
FIRST_SCHEMA, SECOND_SCHEMA = "powerml.measurement/1", "powerml.measurement/2"
# Fields of the workload and of a phase by their names in the first schema.
FIRST_NAMES = {
    "training_images": "training_samples",
    "inference_images": "inference_samples",
    "images": "samples",
    "costs_per_image": "costs_per_sample",
}


class Phase(PhaseCounts):
    """Counts of one phase, priced for each machine by name.

    An inference was run `inferences` times over `samples` samples in all; `costs_per_inference` and
    `costs_per_sample` are what one of them costs. The samples are None where it is not known what
    of an input is one; all four are None for other phases.
    """

    costs: dict[str, Cost]
    inferences: int | None = Field(default=None, ge=1)
    costs_per_inference: dict[str, Cost] | None = None
    samples: int | None = Field(default=None, ge=1)
    costs_per_sample: dict[str, Cost] | None = None


class Simulation(BaseModel):
    """Counts of the same phases on other caches than those that the measurement's phases show.

    `machines` are those that it is priced for, by name, as in ``xeon-x5650 up to L2``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machines: list[str]
    fingerprint: Fingerprint
    phases: list[PhaseCounts]


class AppliedCalibration(BaseModel):
    """The calibration of a measurement's costs; `remarks` say where it is doubtful."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    unit: str
    per_cycle: PositiveFloat
    per_cycle_low: float
    per_cycle_high: float
    confidence: float
    lowest_cost_cycles: NonNegativeFloat
    highest_cost_cycles: NonNegativeFloat
    remarks: list[str]


class Measurement(BaseModel):
    """One workload, measured. JSON: ``powerml.measurement/3``.

    `score` is the accuracy from 0 to 1 of the natively trained model on `score_split`, averaged
    over `scores`, or None where nothing was trained. The counts and the fingerprint are those of
    the first machine's caches; `simulations` holds those of the others. `calibration` is what the
    costs of its machine were calibrated with. `remarks` say what else bears on the
    costs. Records of ``powerml.measurement/1`` and ``/2`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.measurement/3"] = Field(
        default="powerml.measurement/3",
        alias="schema",
        description="name and version of the record's schema",
    )
    workload: AnyWorkload = Field(discriminator="kind", description="all that was measured")
    accesses: Accesses
    levels: Literal[2, 3] = 2
    phases: list[Phase]
    score: float | None = Field(ge=0, le=1)
    score_split: Literal["validation", "test"] | None
    scores: list[float] = Field(default_factory=list)
    fingerprint: Fingerprint
    simulations: list[Simulation] = Field(default_factory=list)
    calibration: AppliedCalibration | None = None
    remarks: list[str] = Field(default_factory=list)
    seconds: NonNegativeFloat

    @model_validator(mode="before")
    @classmethod
    def _of_this_schema(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        if content.get("schema") == FIRST_SCHEMA:
            named = {
                name: _renamed(content[name]) for name in {"workload", "phases"} & set(content)
            }
            content = {**content, **named, "schema": SECOND_SCHEMA}
        if content.get("schema") == SECOND_SCHEMA and isinstance(content.get("workload"), dict):
            content = {**content, "workload": _of_a_kind(content["workload"]), "schema": SCHEMA}
        return content

    @property
    def machines(self) -> list[str]:
        """Names of the machines that it is priced for, in the order they were asked for."""
        return list(self.phases[0].costs)

    def phase(self, name: str) -> Phase:
        """Return the phase of that name; raises ``KeyError`` where it was not measured."""
        for phase in self.phases:
            if phase.name == name:
                return phase
        raise KeyError(name)

    def cost_cycles(self, phase: str, machine: str) -> float:
        """Cost of a phase on a machine, in processor cycles."""
        return self.phase(phase).costs[machine].cycles

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)


def _renamed(content: Any) -> Any:
    if isinstance(content, list):
        return [_renamed(one) for one in content]
    if not isinstance(content, dict):
        return content
    return {FIRST_NAMES.get(name, name): value for name, value in content.items()}


def _of_a_kind(workload: dict[str, Any]) -> dict[str, Any]:
    """Tell the kind of a workload of the schema before, in which fields alone told it.

    A ``.keras`` file that was trained had its name in the field `topology`.
    """
    if "model" in workload:
        return {"kind": "file", **workload}
    if workload.get("model_digest") is not None:
        rest = {name: value for name, value in workload.items() if name != "topology"}
        return {"kind": "trained_file", "model": workload.get("topology"), **rest}
    of_files = {"model_digest", "allowed"}
    rest = {name: value for name, value in workload.items() if name not in of_files}
    return {"kind": "topology", **rest}


def costs_of_one(costs: Mapping[str, Cost], number: int | None) -> dict[str, Cost] | None:
    """Costs of one of so many, None where the number is not known."""
    return (
        None if number is None else {name: per_sample(one, number) for name, one in costs.items()}
    )


def price_phases(
    simulated: Mapping[Geometry, Sequence[PhaseCounts]],
    machines: Sequence[Machine],
    accesses: Accesses,
    levels: int,
    samples: int | None,
    *,
    inferences: int | None = None,
) -> list[Phase]:
    """Price what meters have counted for each of several machines. Pure.

    Parameters
    ----------
    simulated
        The phases of one workload, counted on each of the caches that `geometries` names.
    machines
        Those to price for; the counts shown are those of the first one's caches.
    accesses, levels
        What is priced.
    samples, inferences
        How many samples the inference ran over, and how often it was run; None where that is not
        known.

    Raises
    ------
    MeasurementError
        The inference came to no data access: nothing was run.
    """
    shown = simulated[machines[0].simulated_geometry]
    phases = []
    for number, phase in enumerate(shown):
        costs = {}
        for machine in machines:
            counts = simulated[machine.simulated_geometry][number].counts
            lower = None
            if levels == THREE_LEVELS:
                lower = simulated[up_to_l2(machine).simulated_geometry][number].counts
            costs[machine.name] = price(counts, machine, accesses, lower)
        is_inference = phase.name == "inference"
        if is_inference and phase.counts.data_accesses == 0:
            raise MeasurementError(
                "the inference came to no instruction and no data access, so nothing was measured: "
                "check that the model computes something from its inputs"
            )
        runs, seen = (inferences, samples) if is_inference else (None, None)
        phases.append(
            Phase(
                **phase.model_dump(),
                costs=costs,
                inferences=runs,
                costs_per_inference=costs_of_one(costs, runs),
                samples=seen,
                costs_per_sample=costs_of_one(costs, seen),
            )
        )
    return phases


def scored(measurement: Measurement, scores: Sequence[float]) -> Measurement:
    """Add the scores of the natively trained models to the measurement of their workload."""
    training = measurement.workload.training
    is_papers = training is not None and training.protocol == "paper"
    found = {
        "score": fmean(scores),
        "score_split": "test" if is_papers else "validation",
        "scores": list(scores),
    }
    return measurement.model_copy(update=found)
