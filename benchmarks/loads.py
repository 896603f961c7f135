"""Synthetic loads: samples of their rows against all of them, and how well counts repeat.

``python benchmarks/loads.py 0 1`` for loads 0 and 1 (10 minutes); without names for all eight,
which takes hours. A second sample, of another process, must give the same counts.
"""

from __future__ import annotations

import sys
import time
from typing import Literal

from powerml.calibration.loads import synthetic_loads
from powerml.costs.cost import price
from powerml.costs.counts import PhaseCounts
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.meters.base import MeterOptions
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.workloads.workload import LoadWorkload

MACHINE = load_machine(PAPERS_MACHINE)


def main() -> None:
    wanted = sys.argv[1:] or [load.name for load in synthetic_loads()]
    print("| load | exact (Gcycles) | sampled | error | bound | rows | repeats | exact took |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for load in synthetic_loads():
        if load.name in wanted:
            print(_line(load), flush=True)


def _line(load: LoadWorkload) -> str:
    sampled, again = (_count(load, "sampled") for _ in range(2))
    started = time.monotonic()
    exact = _count(load, "exact")
    seconds = time.monotonic() - started
    error = _cycles(sampled) / _cycles(exact) - 1
    return (
        f"| {load.name}: {load.shape} | {_cycles(exact) / 1e9:.3f} | {_cycles(sampled) / 1e9:.3f} "
        f"| {error:+.3%} | {sampled.error_bound:.3%} "
        f"| {sampled.steps_simulated} of {sampled.steps_total} "
        f"| {'yes' if sampled == again else 'NO'} | {seconds:.0f} s |"
    )


def _count(load: LoadWorkload, fidelity: Literal["exact", "sampled"]) -> PhaseCounts:
    options = MeterOptions(fidelity=fidelity, limit_seconds=86_400)
    with SimulatorMeter(MACHINE, None, options) as meter:
        (counted,) = meter.measure(load, None)
        return counted


def _cycles(counted: PhaseCounts) -> float:
    return price(counted.counts, MACHINE, by="paper").cycles


if __name__ == "__main__":
    main()
