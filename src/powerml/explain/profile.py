"""Profiling one workload: its cost by node, library and function."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from powerml.costs.attribution import Levels, attribute, price_levels
from powerml.costs.cost import require_price
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import UsageError
from powerml.explain.nodes import NodeWork, work_of_nodes
from powerml.explain.profile_record import (
    Grouping,
    Profile,
    ProfiledPhase,
    ProfileRow,
)
from powerml.machines import THREE_LEVELS, Machine, up_to_l2
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare
from powerml.meters.base import DEFAULT_METER
from powerml.meters.catalogue import meter_options, open_profiler
from powerml.meters.simulator.charges import NodeKey, PhaseCharges, Profiled
from powerml.options import described
from powerml.progress import Notify, silent
from powerml.spaces import Topology
from powerml.workloads.workload import AnyWorkload, Material, ModelFile

__all__ = ["profile"]


@described(MeasureOptions)
def profile(
    model: str | Topology | Path,
    *,
    options: MeasureOptions | None = None,
    notify: Notify = silent,
    **given: Any,
) -> Profile:
    """Profile the cost of a model's training and inference: its origin by node and by library.

    Nothing is trained natively, and the costs are those of the first machine.

    Parameters
    ----------
    model
        A topology as in ``dffr:layers=2,width=16``, or the path of a ``.keras``, ``.onnx`` or
        ``.tflite`` file.
    notify
        Called with one line of text at each stage.

    Raises
    ------
    UsageError
        What was asked for cannot be done; nothing was started.
    MeasurementError
        The counting failed.

    Examples
    --------
    >>> profiled = powerml.profile("model.onnx", machine="raspberry-pi-4")
    >>> [row.name for row in profiled.phase("inference").rows["node"]][:1]
    ['conv1']
    """
    started = time.monotonic()
    wanted = MeasureOptions.of_call("profile", options, given)
    if wanted.meter != DEFAULT_METER:
        raise UsageError(f"the meter {wanted.meter} tells no nodes: leave out --meter")
    machines, by = wanted.phase_machines(), wanted.chosen_price
    require_price(machines.all, by)
    working = meter_options(wanted.fidelity, wanted.error, wanted.jobs, wanted.limit_seconds)
    workload, material = prepare(model, wanted, notify)
    phases: list[ProfiledPhase] = []
    fingerprints: list[Fingerprint] = []
    remarks = list(material.remarks) if isinstance(material, ModelFile) else []
    roles = [
        ("training", machines.training[:1] if workload.training is not None else ()),
        ("inference", machines.inference[:1] if workload.deployment is not None else ()),
    ]
    for role, [machine, *_] in ((role, list(some)) for role, some in roles if some):
        caches = _caches_of(machine, wanted.levels)
        with open_profiler(caches, workload.backend, working) as meter:
            if role == "training":
                profiled = meter.profile_training(workload, material, notify)
            else:
                profiled = meter.profile_deployment(workload, material, notify)
            fingerprints.append(meter.fingerprint())
        work = {} if role == "training" else _work(workload, material, profiled, notify)
        phases += [
            _phase(phase, profiled, machine, wanted, work, workload) for phase in profiled.phases
        ]
    if not fingerprints:
        raise UsageError(f"{workload.title} has neither a training nor a runtime: nothing is run")
    inference = fingerprints[-1]
    return Profile(
        title=str(model),
        workload=workload,
        machine=machines.all[0].name,
        price=by,
        accesses=wanted.accesses,
        levels=wanted.levels,
        phases=phases,
        fingerprint=inference,
        training_fingerprint=fingerprints[0] if fingerprints[0] != inference else None,
        remarks=remarks,
        seconds=time.monotonic() - started,
    )


def _caches_of(machine: Machine, levels: int) -> list[Machine]:
    """Return the machine, and with three levels that which ends at its L2."""
    if levels != THREE_LEVELS or machine.ends_at_l2:
        return [machine]
    return [machine, up_to_l2(machine)]


def _work(
    workload: AnyWorkload, material: Material, profiled: Profiled, notify: Notify
) -> Mapping[str, NodeWork]:
    """Return the work of nodes by the names that the runtime gives them."""
    del workload, material, profiled, notify
    return {}


def _phase(
    charges: PhaseCharges,
    profiled: Profiled,
    machine: Machine,
    wanted: MeasureOptions,
    work: Mapping[str, NodeWork],
    workload: AnyWorkload,
) -> ProfiledPhase:
    """Price the charges of a phase."""
    geometries = [one.simulated_geometry for one in _caches_of(machine, wanted.levels)]

    def levels(counters: Any) -> Levels:
        found = [profiled.caches.counts_of_part(counters, geometry) for geometry in geometries]
        return Levels(*found)

    whole = levels(charges.whole)
    cost = price_levels(whole, machine, wanted.accesses, wanted.chosen_price)

    def rows(named: Sequence[tuple[NodeKey, Any]]) -> list[ProfileRow]:
        parts = [levels(counters) for _, counters in named]
        cycles = attribute(whole, parts, machine, wanted.accesses, wanted.chosen_price)
        found = [
            _row(key, part, own, own / cost.cycles if cost.cycles else 0.0, work.get(key.name))
            for (key, _), part, own in zip(named, parts, cycles, strict=True)
        ]
        return sorted(found, key=lambda row: (-row.cycles, row.name, row.kind or ""))

    by_library: dict[NodeKey, Any] = {}
    for key, counters in charges.functions.items():
        library = NodeKey(key.library or UNKNOWN)
        before = by_library.get(library)
        by_library[library] = counters if before is None else before + counters
    functions = [
        (NodeKey(key.function or UNKNOWN, key.library or UNKNOWN), counters)
        for key, counters in charges.functions.items()
    ]
    grouped: dict[Grouping, list[ProfileRow]] = {
        "node": rows(list(charges.nodes.items())),
        "library": rows(list(by_library.items())),
        "function": rows(functions),
    }
    is_inference = charges.name == "inference"
    deployment = workload.deployment
    return ProfiledPhase(
        name=charges.name,
        runs=deployment.inferences if is_inference and deployment is not None else 1,
        cycles=cost.cycles,
        seconds=cost.seconds,
        joules=cost.joules,
        counts=whole.counts,
        rows={name: found for name, found in grouped.items() if found},
    )


UNKNOWN = "unknown"


def _row(
    key: NodeKey, part: Levels, cycles: float, share: float, work: NodeWork | None
) -> ProfileRow:
    return ProfileRow(
        name=key.name,
        kind=key.kind if work is None else work.operator,
        part=key.part,
        nodes=[] if work is None else list(work.nodes),
        cycles=cycles,
        share=share,
        multiply_accumulates=None if work is None else work.multiply_accumulates,
        data_bytes=None if work is None else work.data_bytes,
        counts=part.counts,
    )
