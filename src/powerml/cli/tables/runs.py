"""Runs of commands as Rich tables. Pure: nothing is printed here."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from rich.table import Table
from rich.text import Text

from powerml.costs.cost import Cost
from powerml.running.record import CommandRecord, ScopeCost

__all__ = ["run_table", "scopes_table"]

LONGEST_TITLE = 100


def run_table(record: CommandRecord) -> Table:
    """Counts and costs of each phase, a column for each."""
    table = Table(
        title=Text(_title(record)),
        title_justify="left",
        caption=Text(_caption(record)),
        caption_justify="left",
    )
    table.add_column("")
    for phase in record.phases:
        table.add_column(Text(phase.name), justify="right")

    def row(label: str, cells: list[str]) -> None:
        table.add_row(Text(label), *cells)

    def cost_row(label: str, machine: str, value: Callable[[Cost], float | None]) -> None:
        found = [value(phase.costs[machine]) for phase in record.phases]
        if any(one is not None for one in found):
            row(label, ["-" if one is None else _digits(one) for one in found])

    for machine in record.machines:
        on = f" on {machine}"
        cost_row(f"cost{on} (Mcycles)", machine, lambda cost: cost.cycles / 1e6)
        cost_row("time (ms)", machine, lambda cost: _thousandths(cost.seconds))
        cost_row("energy (mJ, estimated)", machine, lambda cost: _thousandths(cost.joules))
    row("entries", [f"{phase.steps_total:,}" for phase in record.phases])
    row("instructions", [f"{phase.counts.Ir:,}" for phase in record.phases])
    row("data accesses", [f"{phase.counts.data_accesses:,}" for phase in record.phases])
    row("D1 misses", [f"{phase.counts.d1_misses:,}" for phase in record.phases])
    row("LL misses", [f"{phase.counts.ll_misses:,}" for phase in record.phases])
    return table


def scopes_table(record: CommandRecord, phase: ScopeCost) -> Table:
    """Scopes of one phase, each below the one that it lies in; on the first machine."""
    machine = record.machines[0]
    table = Table(
        title=Text(f"scopes of {phase.name} on {machine}"),
        title_justify="left",
        caption="own: outside the scopes inside it; these add up to the phase",
        caption_justify="left",
    )
    table.add_column("scope")
    for name in ("entries", "Mcycles", "own Mcycles", "share", "instructions"):
        table.add_column(name, justify="right")
    whole = phase.cycles[machine]

    def add(scope: ScopeCost, depth: int) -> None:
        table.add_row(
            Text(f"{'  ' * depth}{scope.name}"),
            f"{scope.entries:,}",
            _digits(scope.cycles[machine] / 1e6),
            _digits(scope.own_cycles[machine] / 1e6),
            "-" if whole == 0 else f"{scope.cycles[machine] / whole:.1%}",
            f"{scope.counts.Ir:,}",
        )
        for inner in sorted(scope.scopes, key=lambda one: -one.cycles[machine]):
            add(inner, depth + 1)

    add(phase, 0)
    return table


def _title(record: CommandRecord) -> str:
    command = shlex.join(record.command)
    return command if len(command) <= LONGEST_TITLE else f"{command[: LONGEST_TITLE - 1]}…"


def _caption(record: CommandRecord) -> str:
    price = "core" if record.price == "core" else "paper (eq. 2.1)"
    lines = [f"price: {price}; run in {record.seconds:.0f} s"]
    if record.processes > 1:
        lines.append(f"{record.processes} processes together")
    if record.clock is not None:
        lines.append(f"the command's clock told the seconds of {record.clock} by eq. 2.1")
    return "\n".join(lines)


def _thousandths(value: float | None) -> float | None:
    return None if value is None else value * 1e3


def _digits(value: float) -> str:
    """Format a number with three decimals, or more if it is small."""
    return f"{value:,.3f}" if value >= 1 else f"{value:.3g}"
