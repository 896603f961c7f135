"""Measurements as Rich tables. Pure: nothing is printed here."""

from __future__ import annotations

from typing import get_args

from rich.table import Table
from rich.text import Text

from powerml.costs.cost import Cost, Interval
from powerml.costs.counts import Origin, PhaseCounts
from powerml.costs.measurement import AppliedCalibration, Measurement, Phase
from powerml.costs.readings import PhaseEnergy
from powerml.files.sizes import size_text
from powerml.machines import THREE_LEVELS
from powerml.memory.record import Memory
from powerml.workloads.workload import AnyWorkload, ModelWorkload

__all__ = [
    "energy_table",
    "machines_costs_table",
    "measurement_table",
    "memory_table",
]


def measurement_table(measurement: Measurement) -> Table:
    """Counts and costs of each phase, a column for each; costs on its first machine."""
    phases, workload = measurement.phases, measurement.workload
    firsts = [next(iter(phase.costs)) for phase in phases]
    table = Table(
        title=Text(_title(workload)),
        title_justify="left",
        caption=Text(
            "\n".join(
                [
                    *_inference_lines(workload),
                    *_machine_lines(measurement),
                    *_energy_lines(phases[-1]),
                    _levels_line(measurement),
                ]
            )
        ),
        caption_justify="left",
    )
    table.add_column("")
    for phase in phases:
        table.add_column(phase.name, justify="right")

    def row(label: str | Text, cells: list[str]) -> None:
        table.add_row(label, *cells)

    found = [phase.costs[machine] for phase, machine in zip(phases, firsts, strict=True)]
    on = f" on {firsts[0]}" if len(set(firsts)) == 1 else ""
    row(f"cost{on} (Mcycles)", [_mcycles(cost) for cost in found])
    if measurement.price == "core":
        row("time (ms)", [_thousandths(cost.seconds) for cost in found])
        row("  nine of ten within", [_range(cost.seconds_interval) for cost in found])
    row("energy (mJ, estimated)", [_thousandths(cost.joules) for cost in found])
    if measurement.price == "core":
        row("  nine of ten within", [_range(cost.joules_interval) for cost in found])
    if measurement.calibration is not None:
        row(*_calibrated_row(measurement, measurement.calibration))
    for what, costs in (
        ("inference", [phase.costs_per_inference for phase in phases]),
        ("sample", [phase.costs_per_sample for phase in phases]),
    ):
        if any(one is not None for one in costs):
            cells = [
                "-" if one is None else _mcycles(one[machine])
                for one, machine in zip(costs, firsts, strict=True)
            ]
            row(f"cost of one {what} (Mcycles)", cells)
    shares = [
        (phase.shares or {}).get(machine) for phase, machine in zip(phases, firsts, strict=True)
    ]
    for origin in get_args(Origin) if any(shares) else ():
        row(f"  of it {origin}", ["-" if one is None else f"{one[origin]:.0%}" for one in shares])
    if any(phase.samples is not None for phase in phases):
        row("samples", ["-" if phase.samples is None else f"{phase.samples:,}" for phase in phases])
    row("simulated steps", [_steps(phase) for phase in phases])
    row("fidelity", [_fidelity(phase) for phase in phases])
    row("instructions", [f"{phase.counts.Ir:,}" for phase in phases])
    row("data accesses", [f"{phase.counts.data_accesses:,}" for phase in phases])
    row("D1 misses", [f"{phase.counts.d1_misses:,}" for phase in phases])
    row("LL misses", [f"{phase.counts.ll_misses:,}" for phase in phases])
    return table


def energy_table(measurement: Measurement) -> Table:
    """Measured energy and time of each phase, a column for each."""
    energies, workload = measurement.energies or [], measurement.workload
    table = Table(
        title=Text(_title(workload)),
        title_justify="left",
        caption=Text("\n".join([*_inference_lines(workload), *_sensor_lines(measurement)])),
        caption_justify="left",
    )
    table.add_column("")
    for one in energies:
        table.add_column(one.name, justify="right")

    def row(label: str, cells: list[str]) -> None:
        if any(cell != "-" for cell in cells):
            table.add_row(Text(label), *cells)

    above = " above idle" if any(one.idle_watts is not None for one in energies) else ""
    row(
        f"energy{above} (mJ, measured)",
        [_with_interval(one.joules, one.joules_interval) for one in energies],
    )
    parts = dict.fromkeys(part for one in energies for part in one.parts)
    for part in parts if len(parts) > 1 else ():
        row(f"  {part}", [_thousandths(one.parts.get(part)) for one in energies])
    row("time (ms)", [_with_interval(one.seconds, one.seconds_interval) for one in energies])
    row(f"power{above} (W)", [_watts(one) for one in energies])
    row("idle power (W)", [_or_dash(one.idle_watts) for one in energies])
    for what in ("inference", "sample"):
        numbers = [getattr(one, f"{what}s") for one in energies]
        each = [
            None if number is None else one.joules / number
            for one, number in zip(energies, numbers, strict=True)
        ]
        row(f"energy of one {what} (mJ, measured)", [_thousandths(joules) for joules in each])
    row("repetitions", [_repetitions(one) for one in energies])
    return table


def _sensor_lines(measurement: Measurement) -> list[str]:
    """Name what the joules include, what they do not, and what the brackets are."""
    energies = measurement.energies or []
    lines = [f"measured by {measurement.fingerprint.meter} on this machine"]
    for label, named in (
        ("included", [thing for one in energies for thing in one.includes]),
        ("not included", [thing for one in energies for thing in one.excludes]),
    ):
        if named:
            lines.append(f"{label}: {', '.join(dict.fromkeys(named))}")
    confidence = next((one.confidence for one in energies if one.confidence), None)
    if confidence is not None:
        lines.append(f"in brackets the interval of the mean, {confidence:.0%} confidence")
    return lines


def _watts(energy: PhaseEnergy) -> str:
    return _or_dash(None if energy.seconds is None else energy.joules / energy.seconds)


def _repetitions(energy: PhaseEnergy) -> str:
    if energy.repetitions is None:
        return "-"
    runs = "" if energy.runs is None else f" of {energy.runs:,} runs"
    return f"{energy.repetitions}{runs}"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else _digits(value)


def _thousandths(value: float | None) -> str:
    return "-" if value is None else _digits(value * 1e3)


def _calibrated_row(
    measurement: Measurement, calibration: AppliedCalibration
) -> tuple[Text, list[str]]:
    """Return the row of calibrated readings, one for each phase."""
    costs = [phase.costs.get(calibration.machine) for phase in measurement.phases]
    values = [None if cost is None else cost.calibrated_value for cost in costs]
    on = "" if calibration.machine == measurement.machines[0] else f" on {calibration.machine}"
    unit = "unit unstated" if calibration.unit == "unstated" else calibration.unit
    label = Text(f"calibrated reading{on} ({unit})")
    uncertain = f"±{calibration.per_cycle_high / calibration.per_cycle - 1:.0%}"
    return label, ["-" if value is None else f"{value:.3g} {uncertain}" for value in values]


def _title(workload: AnyWorkload) -> str:
    return workload.model if workload.kind == "file" else workload.described


def _inference_lines(workload: AnyWorkload) -> list[str]:
    """Describe the run of the inference, where there is one."""
    deployment = workload.deployment
    if deployment is None:
        evaluated = "inference: Keras's evaluate over the test samples, in batches as in training"
        return [] if workload.training is None else [evaluated]
    text = (
        f"inference: {deployment.inferences} x "
        f"{'inputs' if deployment.batch_size is None else f'batch {deployment.batch_size}'} "
        f"in {deployment.runtime}"
    )
    if workload.kind != "file":
        return [text]
    shapes = ", ".join(f"{one.name} {one.dtype} {_shape(one.shape)}" for one in workload.inputs)
    return [f"{text}; inputs {_origin(workload)}: {shapes}"]


def _machine_lines(measurement: Measurement) -> list[str]:
    """Name the first machine of each phase, if there are several."""
    named: dict[str, list[str]] = {}
    for phase in measurement.phases:
        named.setdefault(next(iter(phase.costs)), []).append(phase.name)
    if len(named) == 1:
        return []
    return [", ".join(f"{' and '.join(of)} on {machine}" for machine, of in named.items())]


def _energy_lines(phase: Phase) -> list[str]:
    """Tell the parts of a phase's energy on its first machine, if they are known."""
    cost = next(iter(phase.costs.values()))
    if cost.joules_parts is None or not cost.joules:
        return []
    shares = (
        f"{'being on' if name == 'on' else name} {part / cost.joules:.0%}"
        for name, part in cost.joules_parts
    )
    return [f"energy of the {phase.name}: {', '.join(shares)}"]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _levels_line(measurement: Measurement) -> str:
    """Name the levels that the cycles and joules price."""
    if measurement.price == "core":
        levels = "every level" if measurement.levels == THREE_LEVELS else "last level"
        return (
            f"price: core, with lines from {levels} and memory; nine of ten inferences lay "
            "within on the one host that was compared; energies are of one busy core and memory, "
            "without what the machine takes idle"
        )
    has_l2 = measurement.levels == THREE_LEVELS
    line = (
        f"price: paper (eq. 2.1), of accesses to L1,{' L2,' if has_l2 else ''} last level, memory"
    )
    machine, cost = next(iter(measurement.phases[-1].costs.items()))
    if cost.joules is None:
        return f"{line}; the profile of {machine} has no energies of accesses"
    line += "; energies are estimated, of these accesses alone"
    return f"{line}, on two levels: none is known for L2" if has_l2 else line


def _origin(workload: ModelWorkload) -> str:
    return "drawn at random" if workload.data is None else f"from {workload.data}"


def _mcycles(cost: Cost) -> str:
    return _digits(cost.cycles / 1e6)


def _range(interval: Interval | None) -> str:
    """Format the ends of an interval in thousandths, to three digits."""
    if interval is None:
        return "-"
    return f"{interval.low * 1e3:.3g} to {interval.high * 1e3:.3g}"


def _with_interval(value: float | None, interval: Interval | None) -> str:
    """Format a number in thousandths, and the interval in which it is expected."""
    if value is None:
        return "-"
    text = _digits(value * 1e3)
    if interval is None:
        return text
    return f"{text} ({_digits(interval.low * 1e3)} to {_digits(interval.high * 1e3)})"


def _digits(value: float) -> str:
    """Format a number with three decimals, or more if it is small."""
    return f"{value:,.3f}" if value >= 1 else f"{value:.3g}"


def machines_costs_table(measurement: Measurement) -> Table:
    """The costs on each machine side by side, of the phases that it is priced for."""
    table = Table(
        title=Text("costs in Mcycles by machine"),
        title_justify="left",
        caption=_levels_line(measurement),
        caption_justify="left",
    )
    table.add_column("machine")
    for phase in measurement.phases:
        table.add_column(phase.name, justify="right")
    table.add_column("one sample", justify="right")
    has_time = measurement.price == "core"
    if has_time:
        table.add_column("one sample\n(ms)", justify="right")
    table.add_column("one sample\n(mJ)", justify="right")
    costs = [phase.costs_per_sample for phase in measurement.phases if phase.costs_per_sample]
    per_sample = costs[0] if costs else {}
    for machine in measurement.machines:
        alone = per_sample.get(machine)
        table.add_row(
            machine,
            *[
                _mcycles(phase.costs[machine]) if machine in phase.costs else "-"
                for phase in measurement.phases
            ],
            *_alone(alone, has_time=has_time),
        )
    return table


def _alone(cost: Cost | None, *, has_time: bool) -> list[str]:
    """Return the cells of one sample's cost, time if there is one, and energy."""
    if cost is None:
        return ["-"] * (3 if has_time else 2)
    time = [_thousandths(cost.seconds)] if has_time else []
    return [_mcycles(cost), *time, _thousandths(cost.joules)]


def memory_table(memory: Memory) -> Table:
    """Return what of the deployed network must fit."""
    table = Table(
        title=Text("memory of the deployed network"),
        title_justify="left",
        caption=Text(
            "\n".join(
                [
                    "activations: the peak of live tensors, without reuse in place",
                    "allocated: by the runtime natively on this machine, with its copies",
                    *memory.remarks,
                ]
            )
        ),
        caption_justify="left",
    )
    table.add_column("")
    table.add_column("size", justify="right")
    table.add_column("bytes", justify="right")
    for label, size in (
        ("weights", memory.weights_bytes),
        ("activations, peak", memory.activations_bytes),
        ("weights and activations", memory.needed_bytes),
        ("file", memory.file_bytes),
        ("allocated, peak", memory.allocated_bytes),
    ):
        cells = ("-", "-") if size is None else (size_text(size), f"{size:,}")
        table.add_row(label, *cells)
    return table


def _steps(phase: PhaseCounts) -> str:
    if phase.steps_total == 0:
        return "-"
    if phase.steps_simulated == phase.steps_total:
        return f"all {phase.steps_total}"
    return f"{phase.steps_simulated} of {phase.steps_total}"


def _fidelity(phase: PhaseCounts) -> str:
    if phase.fidelity == "exact":
        return "exact"
    return f"{phase.fidelity}, cost within {phase.error_bound:.1%}"
