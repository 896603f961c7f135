"""Measurement: the record of one workload's counts and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)

from powerml.costs.attribution import origin_shares
from powerml.costs.cost import (
    DEFAULT_PRICE,
    Accesses,
    Cost,
    PriceName,
    check_price,
    per_sample,
    price,
)
from powerml.costs.counts import EVENTS, Origin, PhaseCounts
from powerml.costs.fingerprint import Fingerprint
from powerml.costs.readings import PhaseEnergy
from powerml.errors import MachineError, MeasurementError
from powerml.machines import (
    DEFAULT_MACHINE,
    THREE_LEVELS,
    TRAINING_PHASES,
    Geometry,
    Machine,
    PhaseMachines,
    load_machine,
    load_machines,
    up_to_l2,
)
from powerml.memory.record import Memory
from powerml.tables import Cell, RecordTable, Tabular, table_of
from powerml.workloads.metrics import ACCURACY
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
    """Counts of one phase, priced for each of its machines by name.

    An inference was run `inferences` times over `samples` samples in all. `costs_per_inference` and
    `costs_per_sample` are the costs of one of each. The fields of samples are None if the batch
    dimension is not known. All four are None for other phases.
    """

    costs: dict[str, Cost] = Field(description="costs of the phase by machine")
    shares: dict[str, dict[Origin, float]] | None = Field(
        default=None,
        description="share of each origin in the cycles, by machine; null where they are not told",
    )
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


class Measurement(Tabular, BaseModel):
    """One workload, measured. JSON: ``powerml.measurement/4``.

    `score` is that of the natively trained model on `score_split`, by the workload's metric and
    averaged over `scores`, or None if nothing was trained. The counts and the fingerprint are those
    of the first machine's caches; `simulations` holds those of the others. Training and inference
    may have machines of their own, which the costs of their phases name. The counts of the training
    are then those of its first machine's caches, with `training_fingerprint`. A meter with a sensor
    gives `energies` instead of phases, and nothing is priced then. `calibration` is the calibration
    of its machine's costs. `remarks` name other influences on the costs. Records of
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
    score: FiniteFloat | None = Field(
        description="score by the workload's metric, averaged over `scores`; null if nothing was "
        "trained",
    )
    score_split: Literal["validation", "test"] | None = Field(
        description="split that the score is of"
    )
    scores: list[float] = Field(default_factory=list, description="score of each native training")
    fingerprint: Fingerprint = Field(
        description="fingerprint of the counts, for the first machine's caches"
    )
    training_fingerprint: Fingerprint | None = Field(
        default=None,
        description="fingerprint of the training's counts; null if they are of the same caches",
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
        """Names of the machines that it is priced for, in the order they were asked for.

        Those that the training alone is priced for come last.
        """
        ordered = sorted(self.phases, key=lambda phase: phase.name in TRAINING_PHASES)
        return list(dict.fromkeys(name for phase in ordered for name in phase.costs))

    @property
    def score_source(self) -> str:
        """The split of the score, as in ``validation``, after its metric unless it is accuracy."""
        training = self.workload.training
        metric = ACCURACY if training is None else training.metric
        return str(self.score_split) if metric == ACCURACY else f"{metric}, {self.score_split}"

    def counted(self) -> list[tuple[Fingerprint, list[PhaseCounts]]]:
        """Return the counted phases for each of the simulated caches, the first machine's first."""
        plain = set(PhaseCounts.model_fields)
        phases = [PhaseCounts.model_validate(one.model_dump(include=plain)) for one in self.phases]
        shown: list[tuple[Fingerprint, list[PhaseCounts]]] = [(self.fingerprint, phases)]
        if self.training_fingerprint is not None:
            apart = [phase for phase in phases if phase.name in TRAINING_PHASES]
            rest = [phase for phase in phases if phase not in apart]
            shown = [(self.fingerprint, rest), (self.training_fingerprint, apart)]
        found: dict[Geometry | None, tuple[Fingerprint, list[PhaseCounts]]] = {}
        for fingerprint, some in [
            *shown,
            *((one.fingerprint, one.phases) for one in self.simulations),
        ]:
            _, known = found.setdefault(fingerprint.simulated_geometry, (fingerprint, []))
            known.extend(some)
        return list(found.values())

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

    def _table(self) -> RecordTable:
        rows: list[dict[str, Cell]] = [
            {
                "phase": phase.name,
                "machine": machine,
                "cycles": cost.cycles,
                "seconds": cost.seconds,
                "joules": cost.joules,
                "inferences": phase.inferences,
                "samples": phase.samples,
                "fidelity": phase.fidelity,
                "error_bound": phase.error_bound,
                **_shares_by_column(phase, machine),
                **{event: getattr(phase.counts, event) for event in EVENTS},
            }
            for phase in self.phases
            for machine, cost in phase.costs.items()
        ]
        rows += [
            {
                "phase": one.name,
                "joules": one.joules,
                "seconds": one.seconds,
                "idle_watts": one.idle_watts,
                "repetitions": one.repetitions,
                "inferences": one.inferences,
                "samples": one.samples,
            }
            for one in self.energies or ()
        ]
        workload = self.workload
        title = workload.model if workload.kind == "file" else workload.described
        score = None if self.score is None else f"score {self.score:.3f} ({self.score_source})"
        how = f"by the price {self.price}" if self.phases else f"by {self.fingerprint.meter}"
        return table_of(title, rows, [", ".join(filter(None, [score, how])), *self.remarks])


def _shares_by_column(phase: Phase, machine: str) -> dict[str, Cell]:
    shares = (phase.shares or {}).get(machine, {})
    return {f"{origin}_share": share for origin, share in shares.items()}


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
    machines: PhaseMachines,
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
        The phases of one workload, counted on each of the caches that `PhaseMachines.geometries`
        names.
    machines
        The machines of each phase. A phase shows the counts of its first one's caches.
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
    MachineError
        A phase was not counted on the caches of one of its machines.
    """
    counted = {
        geometry: {phase.name: phase for phase in phases} for geometry, phases in simulated.items()
    }
    phases = []
    for phase in _shown(simulated, machines):
        costs, shares = {}, {}
        for machine in machines.of(phase.name):
            found = _counted_for(phase.name, machine, counted)
            counts = found.counts
            if (of_origins := origin_shares(found, machine, accesses, by)) is not None:
                shares[machine.name] = of_origins
            lower = None
            if levels == THREE_LEVELS and not machine.ends_at_l2:
                lower = _counted_for(phase.name, up_to_l2(machine), counted).counts
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
                shares=shares or None,
                inferences=runs,
                costs_per_inference=costs_of_one(costs, runs),
                samples=seen,
                costs_per_sample=costs_of_one(costs, seen),
            )
        )
    return phases


def _shown(
    simulated: Mapping[Geometry, Sequence[PhaseCounts]], machines: PhaseMachines
) -> list[PhaseCounts]:
    """Return each phase as it was counted for its first machine; the training's come first."""
    shown = [
        geometry
        for geometry in {
            one[0].simulated_geometry: None
            for one in (machines.training, machines.inference)
            if one
        }
        if geometry in simulated
    ]
    return [
        phase
        for geometry in shown
        for phase in simulated[geometry]
        if (of := machines.of(phase.name)) and of[0].simulated_geometry == geometry
    ]


def _counted_for(
    phase: str, machine: Machine, counted: Mapping[Geometry, Mapping[str, PhaseCounts]]
) -> PhaseCounts:
    found = counted.get(machine.simulated_geometry, {}).get(phase)
    if found is None:
        raise MachineError(_not_counted(phase, machine))
    return found


def _not_counted(phase: str, machine: Machine) -> str:
    name = machine.name.removesuffix(" up to L2")
    what = f"the record has no counts for the caches of {machine.name}, as its {phase} needs"
    if machine.processor is not None:
        what = (
            f"the record has no counts of its {phase} in the code of {name}, and those of other "
            "code cannot be priced for it"
        )
    flag = "--machine or --training-machine" if phase in TRAINING_PHASES else "--machine"
    return f"{what}: measure again with {flag} {name}"


def reprice(
    measurement: Measurement,
    machines: str | Machine | Sequence[str | Machine],
    by: PriceName = DEFAULT_PRICE,
    training_machine: str | Machine | Sequence[str | Machine] | None = None,
) -> Measurement:
    """Price the counts of a record again, by another price or for other machines. Pure.

    Parameters
    ----------
    measurement
        The record. It stays as it is. A calibration of its costs is left out.
    machines
        The machines to price for, as `powerml.load_machines` takes them. Their caches, and with
        three levels their caches up to L2, must be among those that were simulated. A board needs
        counts of its own code.
    by
        The name of the price.
    training_machine
        The machines that price the training. None for those of `machines` that are no boards, or
        the usual machine.

    Raises
    ------
    MachineError
        A machine has other caches or other code, or its profile has not what the price needs.
    UnknownNameError
        There is no such price, or no machine of a name.
    UsageError
        A board is to price the training.

    Examples
    --------
    >>> measured = powerml.measure("dffr:layers=2,width=16", batch_size=32, epochs=1)
    >>> again = powerml.reprice(measured, "epyc-7763", "paper")
    >>> again.price, again.phase("inference").costs["epyc-7763"].seconds is None
    ('paper', True)
    """
    profiles, by = load_machines(machines), check_price(by)
    assigned = PhaseMachines(profiles)
    if measurement.workload.training is not None:
        trained_on = None if training_machine is None else load_machines(training_machine)
        assigned = PhaseMachines.assigned(profiles, trained_on, load_machine(DEFAULT_MACHINE))
    simulated = {
        fingerprint.simulated_geometry: phases
        for fingerprint, phases in measurement.counted()
        if fingerprint.simulated_geometry is not None
    }
    for phase in measurement.phases:
        for geometry, needed in assigned.geometries_of(phase.name, measurement.levels).items():
            if phase.name not in [one.name for one in simulated.get(geometry, ())]:
                raise MachineError(_not_counted(phase.name, needed[0]))
    inference = next((phase for phase in measurement.phases if phase.name == "inference"), None)
    phases = price_phases(
        simulated,
        assigned,
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
