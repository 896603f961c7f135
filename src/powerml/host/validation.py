"""Validation: the prices of models on this machine beside the times that they take on it."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat

from powerml.costs.core import core_time
from powerml.costs.cost import Interval, PriceName, price, require_price
from powerml.costs.counts import Counts
from powerml.costs.measurement import Measurement
from powerml.errors import UsageError
from powerml.host.agreement import Agreement, agreement_of, farthest
from powerml.host.models import MODELS, ModelKind, ValidationModel, write_model
from powerml.host.native import WIDE_FLAGS, TimeModel, native_seconds, same_code
from powerml.host.probe import DEFAULT_SECONDS, probe_machine
from powerml.host.system import HostSystem, choose_cpu, read_system
from powerml.machines import (
    THREE_LEVELS,
    Machine,
    PhaseMachines,
    load_machine,
    require_no_board,
)
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare_file
from powerml.meters.base import DEFAULT_LIMIT_SECONDS, DEFAULT_METER, Meter, MeterOptions
from powerml.meters.catalogue import meter_options, open_meters
from powerml.meters.counting import counting_threads, start_counting
from powerml.progress import Advance, Notify, silent, unwatched
from powerml.runtimes import DEFAULT_RUNTIME, require_runtime
from powerml.tables import RecordTable, Tabular, cells_of, table_of
from powerml.workloads.workload import AnyWorkload, ModelFile

__all__ = [
    "MachineValidation",
    "ValidatedModel",
    "WorstModel",
    "is_other_processor",
    "validate_machine",
    "validation_of",
]

DEFAULT_MODEL_SECONDS = 1.0
ROUNDS = 3  # over all models: a neighbour rarely disturbs one in all of them
WORST = 3
HERTZ_PER_GIGAHERTZ = 1e9
TWO_LEVELS = 2
LEAST_MODELS = 2
# What a price does not know of a kind of models.
MISSING: Mapping[ModelKind, str] = {
    "matrix": "the runtime's inner loops may wait for results, which no throughput tells",
    "int8": "instructions on bytes have no throughput of their own",
    "recurrent": "each step waits for the one before, which no throughput tells",
    "window": "accesses that overlap and conversions of indices wait for each other",
    "element": "exponentials are chains of instructions that wait for each other",
    "scattered": "translations of addresses are not counted, and misses of the TLB cost more",
    "network": "several kinds of layers follow each other, each on lines that are cold",
    "overhead": "cold code, mispredicted branches and the runtime's interface cost more",
}
MISSING_AVX512 = "natively the runtime uses instructions that the simulator lacks, as AVX-512"
OF_AVX512: frozenset[ModelKind] = frozenset(("matrix", "int8", "recurrent", "element", "network"))
# The end of a processor's name in a title: AMD EPYC 7763 (Milan, Zen 3, 2021), one core complex.
NAME_END = re.compile(r" \(|,| of ")


class ValidatedModel(BaseModel):
    """One model: its time on this machine, and its costs by both prices, of one inference."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(description="name of the model")
    kind: ModelKind = Field(description="kind of the model")
    native_seconds: PositiveFloat = Field(
        description="CPU seconds on this machine: 10th percentile of runs, least of the rounds"
    )
    same_code_seconds: PositiveFloat | None = Field(
        default=None,
        description="CPU seconds with the code that the simulator runs; null where it is the same, "
        "or this processor cannot be made to run it",
    )
    counts: Counts = Field(description="counts of one inference")
    core_seconds: PositiveFloat = Field(description="seconds by the price core")
    core_interval: Interval = Field(description="seconds that core gives for nine of ten models")
    core_parts: dict[str, NonNegativeFloat] = Field(
        description="seconds that each thing a core does at once would take alone"
    )
    fetch_seconds: NonNegativeFloat = Field(
        description="seconds by core of waiting for instructions, beside the parts"
    )
    paper_seconds: PositiveFloat = Field(
        description="cycles by the price paper, at the machine's clock"
    )

    @property
    def counted_seconds(self) -> float:
        """The native time with the code that was counted, as far as it is known."""
        return self.same_code_seconds or self.native_seconds

    @property
    def ratio(self) -> float:
        """Time by core over the native time of the counted code."""
        return self.core_seconds / self.counted_seconds

    @property
    def bottleneck(self) -> str:
        """The part of core that takes longest."""
        return max(self.core_parts, key=lambda name: self.core_parts[name])

    @property
    def is_inside(self) -> bool:
        """True if the native time of the counted code is in the interval of core."""
        return self.core_interval.low <= self.counted_seconds <= self.core_interval.high


class WorstModel(BaseModel):
    """A model on which core is off, and why that may be."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(description="name of the model")
    ratio: PositiveFloat = Field(
        description="time by core over the native time, of the simulator's code where it is known"
    )
    bottleneck: str = Field(description="part of core that takes longest")
    missing: str = Field(description="known lacks of the price for models of its kind")


class MachineValidation(Tabular, BaseModel):
    """Both prices beside native times. JSON: ``powerml.machine-validation/1``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["powerml.machine-validation/1"] = Field(
        default="powerml.machine-validation/1",
        alias="schema",
        description="name and version of the record's schema",
    )
    machine: Machine = Field(description="profile that prices the counts")
    processor: str = Field(description="processor that the models ran on")
    runtime: str = Field(description="runtime of the models")
    versions: dict[str, str] = Field(description="versions of the runtime's software")
    models: list[ValidatedModel] = Field(description="models, in the order of the validation")
    agreement: dict[PriceName, Agreement] = Field(
        description="agreement of each price with the native times"
    )
    same_code_agreement: dict[PriceName, Agreement] | None = Field(
        description="agreement with the times of the simulator's code; null where they are unknown"
    )
    share_inside: float = Field(
        ge=0,
        le=1,
        description="share of the models in core's interval, by the simulator's code if timed",
    )
    worst: list[WorstModel] = Field(description="models on which core is off most, those first")
    remarks: list[str] = Field(description="what disturbs the comparison, one sentence each")

    def to_json(self) -> str:
        """Return the record as JSON text."""
        return self.model_dump_json(by_alias=True, indent=2)

    def _table(self) -> RecordTable:
        return table_of(
            f"prices of {self.machine.name} beside native times on {self.processor}",
            [cells_of(model.model_dump(exclude={"counts", "core_parts"})) for model in self.models],
            self.remarks,
        )


def validate_machine(
    machine: str | Machine | None = None,
    *,
    seconds: float = DEFAULT_SECONDS,
    models: Sequence[ValidationModel] = MODELS,
    model_seconds: float = DEFAULT_MODEL_SECONDS,
    meter: str | Meter = DEFAULT_METER,
    cache: bool = True,
    warm: bool | None = None,
    notify: Notify = silent,
    advance: Advance = unwatched,
) -> MachineValidation:
    """Run models on this machine and in the simulator, and compare the prices with the times.

    The models are small, of many kinds, and the same everywhere. Each runs in ONNX Runtime with one
    thread on one CPU. Its time is the 10th percentile of the CPU time of repeated runs, the least
    of three rounds over all models.

    Parameters
    ----------
    machine
        Name or profile of the machine that prices the counts. Without one this machine is probed.
    seconds
        Seconds that the loops of the probe may take.
    models
        The models.
    model_seconds
        Seconds for the native runs of each model.
    meter
        The meter that counts, or its name.
    cache
        Whether counts of earlier simulations are used, and new ones kept.
    warm
        Whether the simulator is kept ready; by default the environment decides.
    notify, advance
        Called with a line of text at each stage, and with the part that is done.

    Raises
    ------
    MachineError
        The machine has no throughputs, which the price core needs.
    SetupError
        The simulator, ONNX Runtime or the extension in C is not installed.
    UsageError
        A number of seconds is not positive, there are fewer than two models, or the machine is a
        board and this is another machine.
    MeasurementError
        The counting failed.

    Examples
    --------
    >>> from powerml.host import MODELS
    >>> validated = powerml.validate_machine("epyc-7763", models=MODELS[:2])
    >>> [one.name for one in validated.models]
    ['mlp-tiny', 'dense-1024-batch-1']
    """
    if not model_seconds > 0:
        raise UsageError(f"the seconds of a model are {model_seconds:g}: give more than 0")
    if len(models) < LEAST_MODELS:
        raise UsageError(f"{len(models)} models are too few to compare: give at least two")
    working = meter_options("exact", None, None, DEFAULT_LIMIT_SECONDS, warm=warm, meter=meter)
    runtime = require_runtime(DEFAULT_RUNTIME)
    remarks: tuple[str, ...] = ()
    probing = 0.0
    if machine is None:
        probing = seconds / (seconds + 2 * model_seconds * len(models))
        probed = probe_machine(
            seconds=seconds, notify=notify, advance=lambda part: advance(part * probing)
        )
        machine, remarks = probed.machine, probed.remarks
    elif isinstance(machine, str):
        machine = load_machine(machine)
    require_no_board(
        [machine],
        "whose code this machine does not run",
        "run powerml machines validate on the board",
    )
    require_price([machine], "core")

    def advance_models(done: float) -> None:
        advance(probing + (1 - probing) * done / (2 * len(models)))

    system = read_system(choose_cpu(os.sched_getaffinity(0)))
    found = []
    with tempfile.TemporaryDirectory(prefix="powerml-") as folder:
        timed = [_prepared(model, Path(folder)) for model in models]
        with same_code() if system.flags & WIDE_FLAGS else contextlib.nullcontext() as other:
            for number in range(ROUNDS * len(timed)):
                one = timed[number % len(timed)]
                notify(f"timing {one.model.name}")
                one.run(model_seconds / ROUNDS, other)
                advance_models((number + 1) / ROUNDS)
        with _counter(machine, meter, working, cache=cache) as count:
            for one in timed:
                notify(f"counting {one.model.name}")
                found.append(_validated(one, count(one), machine))
                advance_models(len(timed) + len(found))
    return validation_of(found, machine, system, runtime.versions(), remarks)


@dataclass
class _TimedModel:
    """A model that is run natively, round by round, and then counted on the same inputs."""

    model: ValidationModel
    path: Path
    workload: AnyWorkload
    material: ModelFile
    seconds: list[float] = field(default_factory=list)
    same_code_seconds: list[float] = field(default_factory=list)

    def run(self, seconds: float, other: TimeModel | None) -> None:
        """Time it for one round; `other` does so with the code that the simulator runs."""
        feed = {name: array[0, ...] for name, array in (self.material.inputs or {}).items()}
        self.seconds.append(native_seconds(self.path, feed, seconds))
        if other is not None and (found := other(self.path, feed, seconds)) is not None:
            self.same_code_seconds.append(found)


def _prepared(model: ValidationModel, folder: Path) -> _TimedModel:
    path = write_model(model, folder)
    return _TimedModel(model, path, *prepare_file(path, MeasureOptions()))


@contextlib.contextmanager
def _counter(
    machine: Machine, meter: str | Meter, working: MeterOptions, *, cache: bool
) -> Iterator[Callable[[_TimedModel], Measurement]]:
    """Open the meter; yields a function that counts a model and prices it by core."""
    has_l2 = machine.caches.l2 is not None and not machine.ends_at_l2
    levels = THREE_LEVELS if has_l2 else TWO_LEVELS
    machines = PhaseMachines((machine,))
    with (
        open_meters(meter, machines, levels, None, working, cache=cache) as running,
        counting_threads(jobs=min(working.jobs, len(running))) as threads,
    ):

        def count(timed: _TimedModel) -> Measurement:
            counting = start_counting(threads, timed.workload, timed.material, running, silent)
            return counting.measurement(machines, levels, "data", "core")

        yield count


def _validated(timed: _TimedModel, measured: Measurement, machine: Machine) -> ValidatedModel:
    """Price the counts of one inference by both prices."""
    phase = measured.phase("inference")
    share = 1 / (phase.inferences or 1)
    counts = phase.counts.scaled(share)
    beneath = [
        one.counts.scaled(share)
        for simulation in measured.simulations
        for one in simulation.phases
        if one.name == phase.name
    ]
    up_to_l2 = beneath[0] if beneath else None
    hertz = machine.clock_ghz.value * HERTZ_PER_GIGAHERTZ
    cost = price(counts, machine, counts_up_to_l2=up_to_l2, by="core")
    taken = core_time(counts, machine, up_to_l2)
    cycles = price(counts, machine, counts_up_to_l2=up_to_l2, by="paper").cycles
    return ValidatedModel(
        name=timed.model.name,
        kind=timed.model.kind,
        native_seconds=min(timed.seconds),
        same_code_seconds=min(timed.same_code_seconds, default=None),
        counts=counts,
        core_seconds=cost.seconds,
        core_interval=cost.seconds_interval,
        core_parts={name: part / hertz for name, part in taken.parts.items()},
        fetch_seconds=taken.fetch_stalls / hertz,
        paper_seconds=cycles / hertz,
    )


def validation_of(
    models: Sequence[ValidatedModel],
    machine: Machine,
    system: HostSystem,
    versions: Mapping[str, str],
    remarks: Sequence[str] = (),
) -> MachineValidation:
    """Compare the prices of models with their native times. Pure.

    Parameters
    ----------
    models
        The models with their times and costs.
    machine
        The machine that they were priced for.
    system
        The processor that they ran on.
    versions
        Versions of the runtime's software.
    remarks
        What disturbed the probe of the machine.

    Raises
    ------
    UsageError
        There are fewer than two models.
    """
    counted = [one.counted_seconds for one in models]
    is_known = all(one.same_code_seconds is not None for one in models)
    has_others = bool(system.flags & WIDE_FLAGS)
    said = list(remarks)
    if is_other_processor(machine, system.processor):
        said.append(
            f"This processor is {system.processor}, and the profile is of {machine.title}: what "
            "differs between them is in every ratio."
        )
    if system.hypervisor is not None and not remarks:
        said.append(
            f"This is a virtual machine ({system.hypervisor}): its neighbours and the translation "
            "of its memory are in the native times."
        )
    if has_others:
        how = (
            "The same code is timed too, without them."
            if is_known
            else "This processor cannot hide them, so core comes out too high."
        )
        said.append(f"This processor has instructions that the simulator lacks, as AVX-512. {how}")
    return MachineValidation(
        machine=machine,
        processor=system.processor,
        runtime=DEFAULT_RUNTIME,
        versions=dict(versions),
        models=list(models),
        agreement=_agreements(models, [one.native_seconds for one in models]),
        same_code_agreement=_agreements(models, counted) if is_known else None,
        share_inside=sum(one.is_inside for one in models) / len(models),
        worst=[
            _deviation(models[place], has_avx512=has_others and not is_known)
            for place in farthest([one.core_seconds for one in models], counted, WORST)
        ],
        remarks=said,
    )


def _agreements(
    models: Sequence[ValidatedModel], times: Sequence[float]
) -> dict[PriceName, Agreement]:
    return {
        "core": agreement_of([one.core_seconds for one in models], times),
        "paper": agreement_of([one.paper_seconds for one in models], times),
    }


def is_other_processor(machine: Machine, processor: str) -> bool:
    """Return whether a profile's title has a number, such as 7763, that a processor has not."""
    head = NAME_END.split(machine.title, maxsplit=1)[0]
    numbers = [word for word in head.split() if any(map(str.isdigit, word))]
    return any(word.lower() not in processor.lower() for word in numbers)


def _deviation(model: ValidatedModel, *, has_avx512: bool) -> WorstModel:
    missing = MISSING[model.kind]
    # Wider vectors can only have made the native time shorter.
    if has_avx512 and model.kind in OF_AVX512 and model.ratio > 1:
        missing = f"{MISSING_AVX512}; {missing}"
    return WorstModel(
        model=model.name, ratio=model.ratio, bottleneck=model.bottleneck, missing=missing
    )
