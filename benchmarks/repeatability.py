"""How far the counts of one workload differ, in one server and between servers (5 minutes).

python benchmarks/repeatability.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import powerml
from commands import measure
from powerml.backend import select_backend
from powerml.costs.counts import EVENTS
from powerml.costs.measurement import Measurement
from powerml.machines import DEFAULT_MACHINE
from powerml.meters.base import DEFAULT_METER

TOPOLOGY, BATCH_SIZE = "dffr:layers=2,width=16", 32
IR_LIMIT, COST_LIMIT, STARTS_COST_LIMIT = 1e-5, 1e-4, 1e-3  # the project's own requirements


def main() -> int:
    """Print the spread of every event; return 1 where a limit is exceeded."""
    profile = powerml.load_machine(DEFAULT_MACHINE)
    with powerml.make_meter(DEFAULT_METER, profile, select_backend()) as meter:
        one_server = [
            powerml.measure(TOPOLOGY, batch_size=BATCH_SIZE, meter=meter) for _ in range(5)
        ]
    good = _show("five measurements of one server", one_server, IR_LIMIT, COST_LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        starts = [_start(shell, Path(folder)) for shell in _shells(Path(folder))]
    good &= _show("three server starts from different shells", starts, None, STARTS_COST_LIMIT)
    return 0 if good else 1


def _shells(folder: Path) -> list[dict[str, str]]:
    """Environments that differ in size, locale, temporary folder, threads and hash seed."""
    plain = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    other_tmp = folder / "a-temporary-folder-with-a-much-longer-name"
    other_tmp.mkdir()
    crowded = {f"VARIABLE_{number}": "x" * number for number in range(200)}
    return [
        plain,
        {**plain, **crowded, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "2"},
        {**plain, "TMPDIR": str(other_tmp), "PYTHONHASHSEED": "7", "MALLOC_ARENA_MAX": "1"},
    ]


def _start(shell: dict[str, str], folder: Path) -> Measurement:
    return measure(TOPOLOGY, "--batch-size", str(BATCH_SIZE), environment=shell, folder=folder)


def _show(
    title: str, records: Sequence[Measurement], ir_limit: float | None, cost_limit: float
) -> bool:
    print(f"\n{title}: {TOPOLOGY} batch {BATCH_SIZE}")
    good = True
    for phase in ("training", "load", "inference"):
        print(f"  {phase:12}{'smallest':>16}{'largest':>16}{'spread':>12}")
        for event in EVENTS:
            values = [getattr(record.phase(phase).counts, event) for record in records]
            spread = _print_row(event, values)
            if event == "Ir" and ir_limit is not None:
                good &= spread <= ir_limit
        costs = [record.cost_cycles(phase, DEFAULT_MACHINE) for record in records]
        good &= _print_row("cost", costs) <= cost_limit
    print("  within the limits" if good else "  OUTSIDE THE LIMITS")
    return good


def _print_row(name: str, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    spread = (high - low) / high if high else 0.0
    print(f"    {name:10}{low:16,.0f}{high:16,.0f}{spread:12.2e}", flush=True)
    return spread


if __name__ == "__main__":
    sys.exit(main())
