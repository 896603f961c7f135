"""Records as Rich tables. Pure: nothing is printed here."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from powerml.counts import PhaseCounts
from powerml.machines import Machine, Number
from powerml.measurement import Measurement
from powerml.records import StudyRecord, TrialRecord

__all__ = [
    "best_lines",
    "machine_table",
    "machines_table",
    "measurement_table",
    "trial_line",
    "trials_table",
]


def measurement_table(measurement: Measurement) -> Table:
    """Counts and costs of each phase, a column for each."""
    workload = measurement.workload
    table = Table(
        title=Text(
            f"{workload.topology}, batch {workload.batch_size}, {workload.epochs} epochs of "
            f"{workload.data}"
        ),
        title_justify="left",
    )
    table.add_column("")
    for phase in measurement.phases:
        table.add_column(phase.name, justify="right")
    phases = measurement.phases

    def row(label: str, cells: list[str]) -> None:
        table.add_row(label, *cells)

    for machine in phases[0].costs:
        costs = [phase.costs[machine] for phase in phases]
        row(f"cost on {machine} (Mcycles)", [f"{cost.cycles / 1e6:,.3f}" for cost in costs])
        row(
            "energy (mJ, estimated)",
            ["-" if cost.joules is None else f"{cost.joules * 1e3:.3f}" for cost in costs],
        )
    row("simulated steps", [_steps(phase) for phase in phases])
    row("fidelity", [_fidelity(phase) for phase in phases])
    row("instructions", [f"{phase.counts.Ir:,}" for phase in phases])
    row("data accesses", [f"{phase.counts.data_accesses:,}" for phase in phases])
    row("D1 misses", [f"{phase.counts.d1_misses:,}" for phase in phases])
    row("LL misses", [f"{phase.counts.ll_misses:,}" for phase in phases])
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
    return f"sampled, cost within {phase.error_bound:.1%}"


def trials_table(study: StudyRecord) -> Table:
    """All trials in order, the best in bold."""
    table = Table(
        title=Text(
            f"{study.settings.family} on {study.settings.data}, "
            f"alpha {study.settings.alpha:g}, beta {study.settings.beta:g}"
        ),
        title_justify="left",
        caption="costs relative to "
        + (
            "the first trial"
            if study.reference is None
            else f"{study.reference.workload.topology} batch {study.reference.workload.batch_size}"
        )
        + f" on {study.settings.machine}; a smaller objective is better",
        caption_justify="left",
    )
    table.add_column("trial", justify="right")
    table.add_column("topology")
    for heading in ("batch", "score", "training cost", "inference cost", "objective"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for trial in study.trials:
        is_best = trial.number == study.best.number
        table.add_row(*_cells(trial), _remark(trial, is_best), style="bold" if is_best else "")
    return table


def _cells(trial: TrialRecord) -> list[str]:
    return [
        str(trial.number),
        trial.topology,
        str(trial.batch_size),
        _number(trial.score),
        _number(trial.training_cost_ratio),
        _number(trial.inference_cost_ratio),
        _number(trial.objective),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _remark(trial: TrialRecord, is_best: bool) -> Text:
    if trial.failure is not None:
        return Text("failed", style="red")
    if is_best:
        return Text("best")
    return Text("" if trial.repeats is None else f"as trial {trial.repeats}")


def trial_line(trial: TrialRecord) -> Text:
    """One trial as one line, for while the study runs."""
    head = f"trial {trial.number}: {trial.topology} batch {trial.batch_size}: "
    if trial.failure is not None:
        return Text(f"{head}failed: {trial.failure}")
    return Text(
        f"{head}score {_number(trial.score)}, training {_number(trial.training_cost_ratio)}, "
        f"inference {_number(trial.inference_cost_ratio)}, objective {_number(trial.objective)}"
        + ("" if trial.repeats is None else f" (as trial {trial.repeats})")
    )


def best_lines(study: StudyRecord) -> list[Text]:
    """The result of a study in words."""
    best = study.best
    split = "test" if study.settings.protocol == "paper" else "validation"
    lines = [
        Text(f"Best: {best.topology} batch {best.batch_size}", style="bold"),
        Text(f"score {_number(best.score)} ({split}), {study.test_score:.3f} (test)"),
        Text(
            f"training cost {_relative(best.training_cost_ratio)}, "
            f"inference cost {_relative(best.inference_cost_ratio)} the reference's"
        ),
        Text(f"results in {study.folder}: best/model.keras, study.journal"),
    ]
    failed = [trial for trial in study.trials if trial.failure is not None]
    lines += [trial_line(trial) for trial in failed]
    return lines


def _relative(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f} x"


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
