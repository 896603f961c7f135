"""Profiling one workload: its cost by node, library and function."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from powerml.costs.attribution import Levels, attribute, price_levels
from powerml.costs.cost import require_price
from powerml.costs.counts import Counts
from powerml.costs.fingerprint import Fingerprint
from powerml.errors import UsageError
from powerml.explain.node_work import NodeWork
from powerml.explain.nodes import work_of_deployment, work_of_training
from powerml.explain.phases import kept_phases, phases_of, require_phases
from powerml.explain.profile_record import (
    Grouping,
    Profile,
    ProfiledPhase,
    ProfileRow,
)
from powerml.machines import THREE_LEVELS, Machine, PhaseMachines, is_board, up_to_l2
from powerml.measuring.measure import needed_machines
from powerml.measuring.objects import Model, model_in_file
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare
from powerml.meters.base import DEFAULT_METER, MeterOptions
from powerml.meters.catalogue import meter_options, open_profiler
from powerml.meters.simulator.charges import (
    Counters,
    NodeKey,
    PhaseCharges,
    Profiled,
    counts_of,
)
from powerml.meters.simulator.meter import SimulatorMeter, require_layers
from powerml.options import described
from powerml.progress import Notify, silent
from powerml.workloads.workload import TRAINING_JOB, Material, ModelFile, TrainedWorkload

__all__ = ["profile"]

# A function of a library that was stripped of names. Code in no file, as compilers make it while a
# program runs.
UNKNOWN, GENERATED = "unknown", "generated code"


@described(MeasureOptions)
def profile(
    model: Any,
    *,
    example_inputs: Any = None,
    phases: Sequence[str] = (),
    options: MeasureOptions | None = None,
    notify: Notify = silent,
    **given: Any,
) -> Profile:
    """Profile the cost of a model's training and inference: its origin by node and by library.

    Nothing is trained natively, and the costs are those of the first machine.

    Parameters
    ----------
    model, example_inputs
        The model as `powerml.measure` takes it, and the inputs of a ``torch.nn.Module``.
    phases
        Names of the phases to return; all of them if none is given.
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
    wanted = MeasureOptions.of_call("profile", options, given)
    with model_in_file(model, example_inputs, notify) as taken:
        title = taken.name if isinstance(taken, Path) and taken is not model else str(taken)
        require_phases(phases, phases_of(taken, wanted), title)
        return kept_phases(_profiled(taken, title, wanted, notify), phases)


def _profiled(model: Model, title: str, wanted: MeasureOptions, notify: Notify) -> Profile:
    started = time.monotonic()
    if not (wanted.meter == DEFAULT_METER or isinstance(wanted.meter, SimulatorMeter)):
        name = wanted.meter if isinstance(wanted.meter, str) else wanted.meter.name
        raise UsageError(f"the meter {name} tells no nodes: leave out --meter")
    if wanted.early_stopping is not None:
        raise UsageError("a profile trains nothing natively: leave out --early-stopping")
    machines, by = wanted.phase_machines(), wanted.chosen_price
    require_price(machines.all, by)
    working = replace(
        meter_options(
            wanted.fidelity, wanted.error, wanted.jobs, wanted.limit_seconds, warm=wanted.warm
        ),
        training_only=True,
    )
    workload, material = prepare(model, wanted, notify)
    machines = needed_machines(machines, workload, wanted)
    remarks = list(material.remarks) if isinstance(material, ModelFile) else []
    phases: list[ProfiledPhase] = []
    fingerprints: list[Fingerprint] = []
    training = workload.training if wanted.training else None
    if training is not None and training.kind == "own":
        remarks.append("the training is the space's own code, whose layers are not told apart")
        training = None
    deployment = workload.deployment
    if training is None and deployment is None:
        raise UsageError(f"{workload.title} has neither a training nor a runtime: nothing is run")
    if training is not None:
        require_layers(workload.backend)
        remarks += _remarks_on_training(training, machines)
    with _Meters(workload.backend, working, wanted) as meters:
        # Both take their time to start.
        if training is not None:
            meters.start(machines.training[0], TRAINING_JOB, notify)
        if deployment is not None:
            meters.start(machines.inference[0], deployment.job, notify)
        if training is not None:
            meter = meters.of(machines.training[0])
            profiled = _profiled_training(meter, training, material, notify)
            work = work_of_training(training, material, profiled)
            phases += _priced(profiled, machines.training[0], wanted, work)
            fingerprints.append(meter.fingerprint())
        if deployment is not None:
            meter = meters.of(machines.inference[0])
            profiled = meter.profile_deployment(workload, material, notify)
            work = work_of_deployment(workload, profiled, remarks.append)
            phases += _priced(profiled, machines.inference[0], wanted, work)
            fingerprints.append(meter.fingerprint())
    last = fingerprints[-1]
    return Profile(
        title=title,
        workload=workload,
        machine=machines.all[0].name,
        price=by,
        accesses=wanted.accesses,
        levels=wanted.levels,
        phases=phases,
        fingerprint=last,
        training_fingerprint=fingerprints[0] if fingerprints[0] != last else None,
        remarks=remarks,
        seconds=time.monotonic() - started,
    )


def _remarks_on_training(training: TrainedWorkload, machines: PhaseMachines) -> list[str]:
    remarks = []
    if machines.training[:1] != machines.inference[:1]:
        remarks.append(f"the training is priced for {machines.training[0].name}")
    if training.deployment is None:
        remarks.append("the inference is Keras's evaluate, which is not profiled")
    return remarks


def _caches_of(machine: Machine, levels: int) -> list[Machine]:
    """Return the machine, and with three levels that which ends at its L2."""
    if levels != THREE_LEVELS or machine.ends_at_l2:
        return [machine]
    return [machine, up_to_l2(machine)]


class _Meters:
    """The simulators of a workload, one for each machine; leaving it ends them."""

    def __init__(self, backend: str | None, options: MeterOptions, wanted: MeasureOptions) -> None:
        self._how = backend, options
        self._levels = wanted.levels
        self._given = wanted.meter
        self._stack = contextlib.ExitStack()
        self._opened: dict[str, SimulatorMeter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def of(self, machine: Machine) -> SimulatorMeter:
        """Return the simulator of a machine: the one that is running, if one was given."""
        if isinstance(self._given, SimulatorMeter):
            return self._given
        if machine.name not in self._opened:
            meter = open_profiler(_caches_of(machine, self._levels), *self._how)
            self._opened[machine.name] = self._stack.enter_context(meter)
        return self._opened[machine.name]

    def start(self, machine: Machine, job: str, notify: Notify) -> None:
        """Have a guest started meanwhile."""
        if not is_board(machine):  # whose files may have to be prepared
            self.of(machine).start(job, notify)


def _profiled_training(
    meter: SimulatorMeter, workload: TrainedWorkload, material: Material, notify: Notify
) -> Profiled:
    """Count a training, then charge it to its layers."""
    counted = meter.measure_geometries(workload, material, notify)
    training = {
        geometry: next(phase for phase in phases if phase.name == "training")
        for geometry, phases in counted.items()
    }
    return meter.profile_training(workload, material, training, notify)


def _priced(
    profiled: Profiled,
    machine: Machine,
    wanted: MeasureOptions,
    work: Mapping[NodeKey, NodeWork],
) -> list[ProfiledPhase]:
    pricing = _Pricing(profiled, machine, wanted)
    return [pricing.phase(number, work) for number in range(pricing.phases)]


class _Pricing:
    """The price of charges on a machine."""

    def __init__(self, profiled: Profiled, machine: Machine, wanted: MeasureOptions) -> None:
        geometries = [one.simulated_geometry for one in _caches_of(machine, wanted.levels)]
        self._charges = [profiled.phases[geometry] for geometry in geometries]
        self._how = machine, wanted.accesses, wanted.chosen_price
        self._inferences = wanted.inferences

    @property
    def phases(self) -> int:
        """The number of phases."""
        return len(self._charges[0])

    def phase(self, number: int, work: Mapping[NodeKey, NodeWork]) -> ProfiledPhase:
        """Return a phase with its rows."""
        levels = [charges[number] for charges in self._charges]
        whole = Levels(*(counts_of(one.whole) for one in levels))
        cost = price_levels(whole, *self._how)
        grouped: dict[Grouping, list[Mapping[NodeKey, Counters]]] = {
            "node": [one.nodes for one in levels],
            "library": [_libraries(one) for one in levels],
            "function": [_functions(one) for one in levels],
        }
        name = levels[0].name
        return ProfiledPhase(
            name=name,
            runs=self._inferences if name == "inference" else 1,
            cycles=cost.cycles,
            seconds=cost.seconds,
            joules=cost.joules,
            counts=whole.counts,
            rows={
                grouping: self._rows(whole, parts, work if grouping == "node" else {})
                for grouping, parts in grouped.items()
                if parts[0]
            },
        )

    def _rows(
        self,
        whole: Levels,
        named: Sequence[Mapping[NodeKey, Counters]],
        work: Mapping[NodeKey, NodeWork],
    ) -> list[ProfileRow]:
        keys = list(named[0])
        nothing = np.zeros_like(named[0][keys[0]])
        parts = [Levels(*(counts_of(one.get(key, nothing)) for one in named)) for key in keys]
        cycles = attribute(whole, parts, *self._how)
        total = math.fsum(cycles)
        rows = [
            _row(key, part.counts, own, own / total if total else 0.0, work.get(key))
            for key, part, own in zip(keys, parts, cycles, strict=True)
        ]
        return sorted(rows, key=lambda row: (-row.cycles, row.name, row.kind or ""))


def _libraries(charges: PhaseCharges) -> dict[NodeKey, Counters]:
    found: dict[NodeKey, Counters] = {}
    for (library, _), counters in charges.functions.items():
        key = NodeKey(library or GENERATED)
        found[key] = found[key] + counters if key in found else counters
    return found


def _functions(charges: PhaseCharges) -> dict[NodeKey, Counters]:
    return {
        NodeKey(function or UNKNOWN, library or GENERATED): counters
        for (library, function), counters in charges.functions.items()
    }


def _row(
    key: NodeKey, counts: Counts, cycles: float, share: float, work: NodeWork | None
) -> ProfileRow:
    return ProfileRow(
        name=key.name if work is None else work.name,
        kind=key.kind if work is None else work.operator,
        part=key.part,
        nodes=[] if work is None else list(work.nodes),
        cycles=cycles,
        share=share,
        multiply_accumulates=None if work is None else work.multiply_accumulates,
        data_bytes=None if work is None else work.data_bytes,
        counts=counts,
    )
