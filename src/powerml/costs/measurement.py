"""Measurement: the record of one workload's counts and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from powerml.costs.cost import (
    DEFAULT_PRICE,
    Accesses,
    Cost,
    PriceName,
    check_price,
    per_sample,
    price,
)
from powerml.costs.counts import PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.readings import PhaseEnergy
from powerml.errors import MachineError, MeasurementError
from powerml.machines import (
    THREE_LEVELS,
    Geometry,
    Machine,
    geometries,
    load_machines,
    up_to_l2,
)
from powerml.memory.record import Memory
from powerml.workloads.workload import AnyWorkload

__all__ = [
    "AppliedCalibration",
    "Measurement",
    "Phase",
    "Simulation",
    "costs_of_one",
    "price_phases",
    "reprice",
    "scored",
]

SCHEMA = "powerml.measurement/4"
FIRST_SCHEMA, SECOND_SCHEMA = "powerml.measurement/1", "powerml.measurement/2"
THIRD_SCHEMA = "powerml.measurement/3"
# Fields of the workload and of a phase by their names in the first schema.
FIRST_NAMES = {
    "training_images": "training_samples",
    "inference_images": "inference_samples",
    "images": "samples",
    "costs_per_image": "costs_per_sample",
}


class Phase(PhaseCounts):
    """Counts of one phase, priced for each machine by name.

    An inference was run `inferences` times over `samples` samples in all. `costs_per_inference` and
    `costs_per_sample` are the costs of one of each. The fields of samples are None if the batch
    dimension is not known. All four are None for other phases.
    """

    costs: dict[str, Cost] = Field(description="costs of the phase by machine")
    inferences: int | None = Field(
        default=None, ge=1, description="inferences that were counted; null for other phases"
    )
    costs_per_inference: dict[str, Cost] | None = Field(
        default=None, description="costs of one inference by machine"
    )
    samples: int | None = Field(
        default=None, ge=1, description="samples of all inferences; null where they are not known"
    )
    costs_per_sample: dict[str, Cost] | None = Field(
        default=None, description="costs of one sample by machine"
    )


class Simulation(BaseModel):
    """Counts of the same phases on other caches than those of the measurement's phases.

    `machines` are the machines it is priced for, by name, as in ``xeon-x5650 up to L2``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machines: list[str] = Field(description="machines that it is priced for")
    fingerprint: Fingerprint = Field(description="fingerprint of its counts")
    phases: list[PhaseCounts] = Field(description="phases with their counts")


class AppliedCalibration(BaseModel):
    """The calibration of a measurement's costs; `remarks` name its uncertainties."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str = Field(description="machine whose costs are calibrated")
    unit: str = Field(description="unit of the readings")
    per_cycle: PositiveFloat = Field(description="reading for each cycle of cost")
    per_cycle_low: float = Field(description="lower end of its confidence interval")
    per_cycle_high: float = Field(description="upper end of its confidence interval")
    confidence: float = Field(description="confidence of the interval, as 0.95")
    lowest_cost_cycles: NonNegativeFloat = Field(description="lowest cost of a metered load")
    highest_cost_cycles: NonNegativeFloat = Field(description="highest cost of a metered load")
    remarks: list[str] = Field(description="doubts about the calibration, one sentence each")


class Measurement(BaseModel):
    """One workload, measured. JSON: ``powerml.measurement/4``.

    `score` is the accuracy from 0 to 1 of the natively trained model on `score_split`, averaged
    over `scores`, or None if nothing was trained. The counts and the fingerprint are those of the
    first machine's caches; `simulations` holds those of the others. A meter with a sensor gives
    `energies` instead of phases, and nothing is priced then. `calibration` is the
    calibration of its machine's costs. `remarks` name other influences on the costs. Records of
    ``powerml.measurement/1``, ``/2`` and ``/3`` are read too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.measurement/4"] = Field(
        default="powerml.measurement/4",
        alias="schema",
        description="name and version of the record's schema",
    )
    workload: AnyWorkload = Field(discriminator="kind", description="workload that was measured")
    accesses: Accesses = Field(
        description="accesses that are priced: data, or all with instruction fetches"
    )
    price: PriceName = Field(default="paper", description="name of the price of its costs")
    levels: Literal[2, 3] = Field(default=2, description="levels of caches that are priced")
    phases: list[Phase] = Field(
        description="phases with their counts and costs; none if the meter read energies"
    )
    energies: list[PhaseEnergy] | None = Field(
        default=None,
        description="measured energy of each phase, from a meter that does not count; else null",
    )
    score: float | None = Field(
        ge=0,
        le=1,
        description="accuracy from 0 to 1, averaged over `scores`; null if nothing was trained",
    )
    score_split: Literal["validation", "test"] | None = Field(
        description="split that the score is of"
    )
    scores: list[float] = Field(
        default_factory=list, description="accuracy of each native training"
    )
    fingerprint: Fingerprint = Field(
        description="fingerprint of the counts, for the first machine's caches"
    )
    simulations: list[Simulation] = Field(
        default_factory=list, description="counts on other caches, if several were simulated"
    )
    memory: Memory | None = Field(
        default=None,
        description="bytes that the deployed network takes; null if nothing is deployed, for a "
        "prediction, in earlier records, and in a study, whose trials have it themselves",
    )
    calibration: AppliedCalibration | None = Field(
        default=None, description="calibration of a machine's costs; null without one"
    )
    remarks: list[str] = Field(
        default_factory=list, description="other influences on the costs, one sentence each"
    )
    seconds: NonNegativeFloat = Field(description="seconds that the measurement took")

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
            of_a_kind = _of_a_kind(content["workload"])
            content = {**content, "workload": of_a_kind, "schema": THIRD_SCHEMA}
        if content.get("schema") == THIRD_SCHEMA:  # its counts tell no instructions by class
            content = {**content, "schema": SCHEMA}
        return content

    @property
    def machines(self) -> list[str]:
        """Names of the machines that it is priced for, in the order they were asked for."""
        return list(self.phases[0].costs) if self.phases else []

    def phase(self, name: str) -> Phase:
        """Return the phase of that name; raises ``KeyError`` if it was not counted."""
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
    """Return the kind of a workload of the earlier schema, which its fields imply.

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
    """Return the costs of one of `number`, None if the number is not known."""
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
    by: PriceName = DEFAULT_PRICE,
    inferences: int | None = None,
) -> list[Phase]:
    """Price counts for each of several machines. Pure.

    Parameters
    ----------
    simulated
        The phases of one workload, counted on each of the caches that `geometries` names.
    machines
        The machines to price for; the phases show the counts of the first one's caches.
    accesses, levels
        The priced accesses, and the number of cache levels.
    by
        The name of the price.
    samples, inferences
        The samples that the inference ran over, and its runs; None if not known.

    Raises
    ------
    MeasurementError
        The inference has no data accesses, so nothing was run.
    """
    shown = simulated[machines[0].simulated_geometry]
    phases = []
    for number, phase in enumerate(shown):
        costs = {}
        for machine in machines:
            counts = simulated[machine.simulated_geometry][number].counts
            lower = None
            if levels == THREE_LEVELS and not machine.ends_at_l2:
                lower = simulated[up_to_l2(machine).simulated_geometry][number].counts
            costs[machine.name] = price(counts, machine, accesses, lower, by)
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


def reprice(
    measurement: Measurement,
    machines: str | Machine | Sequence[str | Machine],
    by: PriceName = DEFAULT_PRICE,
) -> Measurement:
    """Price the counts of a record again, by another price or for other machines. Pure.

    Parameters
    ----------
    measurement
        The record. It stays as it is. A calibration of its costs is left out.
    machines
        The machines to price for, as `powerml.load_machines` takes them. Their caches, and with
        three levels their caches up to L2, must be among those that were simulated.
    by
        The name of the price.

    Raises
    ------
    MachineError
        A machine has other caches, or its profile has not what the price needs.
    UnknownNameError
        There is no such price, or no machine of a name.

    Examples
    --------
    >>> measured = powerml.measure("dffr:layers=2,width=16", batch_size=32, epochs=1)
    >>> again = powerml.reprice(measured, "epyc-7763", "paper")
    >>> again.price, again.phase("inference").costs["epyc-7763"].seconds is None
    ('paper', True)
    """
    profiles, by = load_machines(machines), check_price(by)
    plain = set(PhaseCounts.model_fields)
    first = [
        PhaseCounts.model_validate(one.model_dump(include=plain)) for one in measurement.phases
    ]
    simulated: dict[Geometry, Sequence[PhaseCounts]] = {}
    for fingerprint, counted in (
        (measurement.fingerprint, first),
        *((one.fingerprint, one.phases) for one in measurement.simulations),
    ):
        if fingerprint.simulated_geometry is not None:
            simulated[fingerprint.simulated_geometry] = counted
    for geometry, needed in geometries(profiles, measurement.levels).items():
        if geometry not in simulated:
            raise MachineError(
                f"the record has no counts for the caches of {needed[0].name}: measure again with "
                "--machine"
            )
    inference = next((phase for phase in measurement.phases if phase.name == "inference"), None)
    phases = price_phases(
        simulated,
        profiles,
        measurement.accesses,
        measurement.levels,
        None if inference is None else inference.samples,
        by=by,
        inferences=None if inference is None else inference.inferences,
    )
    return measurement.model_copy(update={"phases": phases, "price": by, "calibration": None})


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
