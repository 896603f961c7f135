"""Measurements and machines as Rich tables. Pure: nothing is printed here."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from powerml.costs.cost import Cost, Interval
from powerml.costs.counts import PhaseCounts
from powerml.costs.measurement import AppliedCalibration, Measurement
from powerml.machines import THREE_LEVELS, Machine, Number
from powerml.workloads.workload import AnyWorkload, ModelWorkload

__all__ = [
    "machine_table",
    "machines_costs_table",
    "machines_table",
    "measurement_table",
]


def measurement_table(measurement: Measurement) -> Table:
    """Counts and costs of each phase, a column for each; costs on the first machine."""
    phases, machine, workload = measurement.phases, measurement.machines[0], measurement.workload
    table = Table(
        title=Text(_title(workload)),
        title_justify="left",
        caption=Text("\n".join([*_inference_lines(workload), _levels_line(measurement)])),
        caption_justify="left",
    )
    table.add_column("")
    for phase in phases:
        table.add_column(phase.name, justify="right")

    def row(label: str | Text, cells: list[str]) -> None:
        table.add_row(label, *cells)

    found = [phase.costs[machine] for phase in phases]
    row(f"cost on {machine} (Mcycles)", [_mcycles(cost) for cost in found])
    if measurement.price == "core":
        row("time (ms)", [_milliseconds(cost) for cost in found])
    row("energy (mJ, estimated)", [_millijoules(cost) for cost in found])
    if measurement.calibration is not None:
        row(*_calibrated_row(measurement, measurement.calibration))
    for what, costs in (
        ("inference", [phase.costs_per_inference for phase in phases]),
        ("sample", [phase.costs_per_sample for phase in phases]),
    ):
        if any(one is not None for one in costs):
            cells = ["-" if one is None else _mcycles(one[machine]) for one in costs]
            row(f"cost of one {what} (Mcycles)", cells)
    if any(phase.samples is not None for phase in phases):
        row("samples", ["-" if phase.samples is None else f"{phase.samples:,}" for phase in phases])
    row("simulated steps", [_steps(phase) for phase in phases])
    row("fidelity", [_fidelity(phase) for phase in phases])
    row("instructions", [f"{phase.counts.Ir:,}" for phase in phases])
    row("data accesses", [f"{phase.counts.data_accesses:,}" for phase in phases])
    row("D1 misses", [f"{phase.counts.d1_misses:,}" for phase in phases])
    row("LL misses", [f"{phase.counts.ll_misses:,}" for phase in phases])
    return table


def _calibrated_row(
    measurement: Measurement, calibration: AppliedCalibration
) -> tuple[Text, list[str]]:
    """Return the row of calibrated readings, one for each phase."""
    values = [phase.costs[calibration.machine].calibrated_value for phase in measurement.phases]
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


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _levels_line(measurement: Measurement) -> str:
    """Name the levels that the cycles and joules price."""
    if measurement.price == "core":
        l2 = ", L2" if measurement.levels == THREE_LEVELS else ""
        return (
            f"price: core, with lines from L1{l2}, last level and memory; in brackets what holds "
            "for nine models of ten; joules are of one busy core and of memory"
        )
    if measurement.levels != THREE_LEVELS:
        return "levels priced: L1, last level, memory; energies are estimated"
    return (
        "levels priced: L1, L2, last level, memory; energies are estimated, of two levels: "
        "none is known for L2"
    )


def _origin(workload: ModelWorkload) -> str:
    return "drawn at random" if workload.data is None else f"from {workload.data}"


def _mcycles(cost: Cost) -> str:
    return _digits(cost.cycles / 1e6)


def _milliseconds(cost: Cost) -> str:
    return _with_interval(cost.seconds, cost.seconds_interval)


def _millijoules(cost: Cost) -> str:
    return _with_interval(cost.joules, cost.joules_interval)


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
    """The costs on each machine side by side."""
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
    table.add_column("one sample (mJ)", justify="right")
    costs = [phase.costs_per_sample for phase in measurement.phases if phase.costs_per_sample]
    per_sample = costs[0] if costs else {}
    for machine in measurement.machines:
        alone = per_sample.get(machine)
        table.add_row(
            machine,
            *[_mcycles(phase.costs[machine]) for phase in measurement.phases],
            "-" if alone is None else _mcycles(alone),
            "-" if alone is None else _millijoules(alone),
        )
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


def machines_table(machines: list[Machine]) -> Table:
    """All machines, a row for each."""
    table = Table()
    for heading in ("machine", "processor"):
        table.add_column(heading)
    for heading in ("L1d", "last level", "clock (GHz)", "L1, LL, memory (cycles)", "energies"):
        table.add_column(heading, justify="right")
    for machine in machines:
        latency = machine.latency_cycles
        cycles = (latency.l1, latency.ll, latency.memory)
        table.add_row(
            machine.name,
            machine.title,
            f"{machine.caches.d1.size_bytes // 1024} KiB/{machine.caches.d1.ways}",
            f"{machine.caches.ll.size_bytes / 2**20:g} MiB/{machine.caches.ll.ways}",
            f"{machine.clock_ghz.value:g}",
            ", ".join(f"{number.value:g}{_mark(number)}" for number in cycles),
            "-" if machine.energy_pj is None else "estimated",
        )
    table.caption = "* estimated" if any(_estimated(machine) for machine in machines) else None
    return table


def _mark(number: Number) -> str:
    return "*" if number.estimated else ""


def _estimated(machine: Machine) -> bool:
    latency = machine.latency_cycles
    return any(number.estimated for number in (latency.l1, latency.ll, latency.memory))


def machine_table(machine: Machine) -> Table:
    """Every number of one machine with its source."""
    table = Table(title=f"{machine.name}: {machine.title}", title_justify="left")
    for heading in ("", "value", "source"):
        table.add_column(heading, overflow="fold")
    caches, simulated = machine.caches, machine.simulated_geometry
    table.add_row("clock (GHz)", _value(machine.clock_ghz), machine.clock_ghz.source)
    for name, cache, taken in (
        ("I1", caches.i1, simulated.i1),
        ("D1", caches.d1, simulated.d1),
        ("L2", caches.l2, None),
        ("LL", caches.ll, simulated.ll),
    ):
        if cache is not None:
            as_simulated = "" if taken in (None, cache.cache) else f" (simulated as {taken})"
            table.add_row(f"{name} (bytes,ways,line)", f"{cache.cache}{as_simulated}", cache.source)
    for level in ("l1", "l2", "ll", "memory"):
        number = getattr(machine.latency_cycles, level)
        if number is not None:
            table.add_row(f"{level} latency (cycles)", _value(number), number.source)
    for level in ("l1", "ll", "memory") if machine.energy_pj is not None else ():
        number = getattr(machine.energy_pj, level)
        table.add_row(f"{level} energy (pJ)", _value(number), number.source)
    return table


def _value(number: Number) -> str:
    spread = "" if number.low is None else f" ({number.low:g} to {number.high:g})"
    return f"{number.value:g}{spread}{', estimated' if number.estimated else ''}"
