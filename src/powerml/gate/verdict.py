"""Verdicts: what was measured, held against limits and a baseline. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from powerml.costs.cost import Cost
from powerml.costs.fingerprint import Fingerprint, differences
from powerml.costs.measurement import Measurement, Phase
from powerml.errors import UsageError
from powerml.explain.matching import compared_rows, pairs_of, remark_on_order
from powerml.explain.profile_record import ComparedRow, ProfiledPhase
from powerml.gate.baseline import BaselineNode, BaselinePhase, BaselineRecord, Scalar, events_of
from powerml.gate.limits import REGRESSION, GateLimits, limit_flag
from powerml.gate.record import (
    EXIT_CODES,
    CheckedLimit,
    CheckedMemory,
    CheckedPhase,
    CheckState,
    Unit,
)
from powerml.machines import TRAINING_PHASES

__all__ = [
    "baseline_record",
    "causes",
    "cheaper_remarks",
    "checked_memory",
    "checked_phases",
    "conditions_of",
    "cost_of_one",
    "differences_to",
    "held_limits",
    "held_regressions",
    "nodes_of",
    "worst",
]


# Beginning of the names of conditions that the training alone depends on.
OF_TRAINING = "training "
DIGEST_LENGTH, SHOWN_OF_DIGEST = 64, 12


@dataclass(frozen=True)
class _Figure:
    """Unit and phase of a limit, and its way to be known."""

    unit: Unit
    phase: str | None
    missing: str


FIGURES: Mapping[str, _Figure] = {
    "max_inference_cycles": _Figure("cycles", "inference", "it has no phase inference"),
    "max_load_cycles": _Figure("cycles", "load", "it has no phase load"),
    "max_training_cycles": _Figure(
        "cycles", "training", "only a topology, or a .keras file with data, is trained"
    ),
    "max_inference_seconds": _Figure(
        "seconds", "inference", "the price paper has none: take the price core"
    ),
    "max_energy": _Figure("joules", "inference", "the machine's profile has no energies"),
    "max_memory": _Figure("bytes", None, "its graph does not tell the memory"),
    "max_file_size": _Figure("bytes", None, "nothing is deployed from a file"),
}


def cost_of_one(phase: Phase) -> Cost:
    """Return the cost of a phase on its one machine; of one inference where they are several."""
    costs = phase.costs_per_inference or phase.costs
    return next(iter(costs.values()))


def checked_phases(
    measurement: Measurement, baseline: BaselineRecord | None = None
) -> list[CheckedPhase]:
    """Return the phases of a measurement, with their changes against a comparable baseline."""
    found = []
    for phase in measurement.phases:
        cost = cost_of_one(phase)
        before = None if baseline is None else baseline.phase(phase.name)
        found.append(
            CheckedPhase(
                name=phase.name,
                cycles=cost.cycles,
                seconds=cost.seconds,
                joules=cost.joules,
                baseline_cycles=None if before is None else before.cycles,
                change=None if before is None else _change(before.cycles, cost.cycles),
            )
        )
    return found


def _change(before: float, after: float) -> float | None:
    """Return the relative change; None if there was nothing before."""
    if before == 0:
        return 0.0 if after == 0 else None
    return (after - before) / before


def checked_memory(measurement: Measurement) -> CheckedMemory | None:
    """Return the bytes that follow from the deployed file; None if nothing is deployed."""
    memory = measurement.memory
    if memory is None:
        return None
    return CheckedMemory(needed_bytes=memory.needed_bytes, file_bytes=memory.file_bytes)


def held_limits(
    limits: GateLimits,
    phases: Sequence[CheckedPhase],
    memory: CheckedMemory | None,
    lines: Mapping[str, int],
) -> list[CheckedLimit]:
    """Hold what was measured against the absolute limits.

    Parameters
    ----------
    limits
        The limits of one model.
    phases, memory
        What was measured.
    lines
        Lines of the configuration by the limits' names; 1 for others.

    Raises
    ------
    UsageError
        A limit is of something that is not known.
    """
    by_name = {phase.name: phase for phase in phases}
    held = []
    for name, figure in FIGURES.items():
        limit = getattr(limits, name)
        if limit is None:
            continue
        value = _value(name, figure, by_name, memory)
        if value is None:
            raise UsageError(
                f"{limit_flag(name)} cannot be held, for {figure.missing}: leave it out"
            )
        held.append(
            CheckedLimit(
                name=limit_flag(name),
                phase=figure.phase,
                unit=figure.unit,
                limit=limit,
                value=value,
                exceeded=value > limit,
                line=lines.get(name, 1),
            )
        )
    return held


def _value(
    name: str,
    figure: _Figure,
    phases: Mapping[str, CheckedPhase],
    memory: CheckedMemory | None,
) -> float | None:
    if figure.phase is None:
        if memory is None:
            return None
        return memory.needed_bytes if name == "max_memory" else memory.file_bytes
    phase = phases.get(figure.phase)
    found: float | None = None if phase is None else getattr(phase, figure.unit)
    return found


def held_regressions(
    limit: float, phases: Sequence[CheckedPhase], lines: Mapping[str, int]
) -> list[CheckedLimit]:
    """Hold the change of each phase that the baseline has against the largest regression."""
    return [
        CheckedLimit(
            name=limit_flag(REGRESSION),
            phase=phase.name,
            unit="share",
            limit=limit,
            value=phase.change,
            exceeded=phase.change > limit,
            line=lines.get(REGRESSION, 1),
        )
        for phase in phases
        if phase.change is not None
    ]


def cheaper_remarks(limit: float, phases: Sequence[CheckedPhase]) -> list[str]:
    """Name the phases that are cheaper than the baseline by more than a regression may be."""
    return [
        f"{phase.name} is {-phase.change:.2%} cheaper than the baseline: powerml check --update "
        "keeps the gain"
        for phase in phases
        if phase.change is not None and phase.change < -limit
    ]


def conditions_of(measurement: Measurement, profiles_digest: str) -> dict[str, Scalar]:
    """Return the options that costs depend on, beside the model and the fingerprint.

    `profiles_digest` is of the machines' profiles, whose numbers may change in a new version.
    """
    workload, trained = measurement.workload, _trained(measurement)
    found: dict[str, Scalar] = {
        "price": measurement.price,
        "accesses": measurement.accesses,
        "levels": measurement.levels,
        "machine profile": profiles_digest,
    }
    if workload.deployment is not None:
        found |= {
            "runtime": workload.deployment.runtime,
            "inference batch": workload.deployment.batch_size,
            "inferences": workload.deployment.inferences,
        }
    training = workload.training
    if trained and training is not None:
        found |= {
            f"{OF_TRAINING}data": training.data_digest,
            f"{OF_TRAINING}batch": training.batch_size,
            f"{OF_TRAINING}epochs": training.epochs,
            f"{OF_TRAINING}protocol": training.protocol,
        }
    return found


def _trained(measurement: Measurement) -> bool:
    return any(phase.name in TRAINING_PHASES for phase in measurement.phases)


def differences_to(
    baseline: BaselineRecord, measurement: Measurement, conditions: Mapping[str, Scalar]
) -> list[str]:
    """List all that keeps a measurement from being compared with its baseline.

    Each is ``field: before, now``. A training that only one of them has is no difference.
    """
    machine = _machine(measurement)
    found = [] if machine == baseline.machine else [f"machine: {baseline.machine}, {machine}"]
    trained = _trained(measurement) and any(
        phase.name in TRAINING_PHASES for phase in baseline.phases
    )
    for name in sorted({*conditions, *baseline.conditions}):
        if name.startswith(OF_TRAINING) and not trained:
            continue
        before, now = baseline.conditions.get(name), conditions.get(name)
        if before != now:
            found.append(f"{name}: {_short(before)}, {_short(now)}")
    pairs: list[tuple[Fingerprint, Fingerprint]] = [(baseline.fingerprint, measurement.fingerprint)]
    if trained:
        pairs.append(
            (
                baseline.training_fingerprint or baseline.fingerprint,
                measurement.training_fingerprint or measurement.fingerprint,
            )
        )
    for before_print, now_print in pairs:
        found += [one for one in differences(before_print, now_print) if one not in found]
    return found


def _short(value: Scalar) -> str:
    """Return a condition as text; digests are cut."""
    text = str(value)
    return text[:SHOWN_OF_DIGEST] if len(text) == DIGEST_LENGTH else text


def _machine(measurement: Measurement) -> str:
    """Return the machine of the deployed phases."""
    return measurement.machines[0]


def nodes_of(phase: ProfiledPhase) -> list[BaselineNode]:
    """Return the nodes of a profiled phase, with the cycles of one inference each."""
    return [
        BaselineNode(
            name=row.name,
            kind=row.kind,
            part=row.part,
            nodes=row.nodes,
            multiply_accumulates=row.multiply_accumulates,
            cycles=row.cycles / phase.runs,
        )
        for row in phase.rows.get("node", ())
    ]


def baseline_record(
    name: str,
    measurement: Measurement,
    conditions: Mapping[str, Scalar],
    profiled: Mapping[str, ProfiledPhase],
) -> BaselineRecord:
    """Return the record of a model that becomes a line of the baseline.

    `profiled` are the profiled phases by name; those that are missing have no nodes.
    """
    memory = measurement.memory
    phases = []
    for phase in measurement.phases:
        cost, told = cost_of_one(phase), profiled.get(phase.name)
        phases.append(
            BaselinePhase(
                name=phase.name,
                cycles=cost.cycles,
                joules=cost.joules,
                counts=events_of(phase.counts),
                nodes=[] if told is None else nodes_of(told),
            )
        )
    return BaselineRecord(
        name=name,
        machine=_machine(measurement),
        conditions=dict(conditions),
        phases=phases,
        weights_bytes=None if memory is None else memory.weights_bytes,
        activations_bytes=None if memory is None else memory.activations_bytes,
        file_bytes=None if memory is None else memory.file_bytes,
        fingerprint=measurement.fingerprint,
        training_fingerprint=measurement.training_fingerprint,
    )


def causes(
    before: BaselinePhase, after: Sequence[BaselineNode]
) -> tuple[list[ComparedRow], list[str]]:
    """Rank the nodes whose cycles changed: the largest rise first.

    Nodes are matched as `powerml.compare` matches them. A node without a partner is new or gone.

    Returns
    -------
    tuple[list[ComparedRow], list[str]]
        The nodes, and remarks on the match.
    """
    pairs = pairs_of(before.nodes, after)
    changed = [row for row in compared_rows(pairs) if row.difference_cycles != 0]
    ranked = sorted(changed, key=lambda row: (-row.difference_cycles, row.name))
    return ranked, remark_on_order(pairs, before.name)


def worst(states: Iterable[CheckState]) -> CheckState:
    """Return the worst of several states: failed, exceeded, incomparable, kept."""
    found = set(states)
    return next((state for state in EXIT_CODES if state in found), "kept")
