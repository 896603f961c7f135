"""The price `core` against times that powerML had no part in (5 minutes, then from the cache).

    python benchmarks/price.py times TRUTH    # native times of models on one host
    python benchmarks/price.py joules TRUTH   # joules of the models on three machines, in parts

TRUTH is a folder with `zoo_native_times.csv`, the native times, and `make_zoo.py`, which makes the
models. Every fitted number is fitted again with each model left out.
"""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from scipy.optimize import minimize
from scipy.stats import spearmanr

import powerml
from commands import machine_line
from powerml.costs import core
from powerml.costs.core import CYCLES_FACTOR, CoreTime, core_time
from powerml.costs.cost import price
from powerml.costs.counts import Counts
from powerml.machines import THREE_LEVELS, Machine, up_to_l2

MODELS = Path("~/.cache/powerml-benchmarks/zoo").expanduser()
HOST_CLOCK_GHZ = 3.2
# What loops over memory measured on the host of the times, AMD's Zen 3 in a virtual machine.
HOST_LINE_CYCLES = {"l2": 2.3, "ll": 5.0, "memory": 17.0}
HOST_LATENCIES = {"l1": 4.0, "l2": 12.4, "ll": 37.0}
NEAREST_MACHINE = "epyc-7763"
OTHERS = ("xeon-8280", "cortex-a72")
LEAST_RANK, LARGEST_ERROR, RATIOS, WORST = 0.985, 0.12, (0.8, 1.25), 2.0  # the requirements
FITTED = (core.SHARPNESS, core.SUSTAINED_SHARE, core.FETCH_STALL_SHARE)


@dataclass(frozen=True)
class Timed:
    """A model with its counts and its native time in cycles of the host."""

    name: str
    counts: Counts
    counts_up_to_l2: Counts
    native_cycles: float


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    print(machine_line(), flush=True)
    return 0 if {"times": times, "joules": joules}[sys.argv[1]](Path(sys.argv[2])) else 1


def times(truth: Path) -> bool:
    """Rank, error and ratio of each price against the native times."""
    host = _host()
    models = _models(truth, host)
    native = np.array([model.native_cycles for model in models])
    timed = [core_time(model.counts, host, model.counts_up_to_l2) for model in models]
    predictors: dict[str, Callable[[Timed], float]] = {
        "core": lambda model: core_time(model.counts, host, model.counts_up_to_l2).cycles,
        "core, L1 and last level only": lambda model: core_time(model.counts, host).cycles,
        "paper (eq. 2.1)": lambda model: price(model.counts, host, by="paper").cycles,
        "instructions": lambda model: float(model.counts.Ir),
        "multiply-adds executed": lambda model: _multiply_adds(model.counts),
    }
    print(f"{len(models)} models; rank, median error after one scale, median ratio, its range")
    good = True
    for name, predict in predictors.items():
        row = _agreement(np.array([predict(model) for model in models]), native)
        print(f"    {name:32}{row.rank:8.4f}{row.error:8.1%}{row.ratio:9.3f}  {row.span}")
        if name == "core":
            good = (
                row.rank >= LEAST_RANK
                and row.error <= LARGEST_ERROR
                and RATIOS[0] <= row.ratio <= RATIOS[1]
                and row.worst <= WORST
            )
    left_out = _left_out(timed, native)
    row = _agreement(left_out, native)
    print(f"    {'core, each model left out':32}{row.rank:8.4f}{row.error:8.1%}{row.ratio:9.3f}")
    ratios = np.array([one.cycles for one in timed]) / native
    inside = np.mean((ratios <= CYCLES_FACTOR) & (ratios >= 1 / CYCLES_FACTOR))
    print(f"within the interval: {inside:.0%} of the models")
    for number in np.argsort(np.abs(np.log(ratios)))[::-1][:3]:
        one = timed[number]
        print(
            f"    worst: {models[number].name}: {ratios[number]:.2f} times; by {one.bottleneck}, "
            + ", ".join(f"{name} {part / native[number]:.2f}" for name, part in one.parts.items())
        )
    return good


def joules(truth: Path) -> bool:
    """Joules of the models on three machines: of the busy core, and of the lines from memory."""
    host = _host()
    models = _models(truth, host)
    for name in (NEAREST_MACHINE, *OTHERS):
        machine = powerml.load_machine(name)
        if machine.power is None:
            continue
        print(f"{machine.title}; counts in the caches of {host.title}")
        for model in models:
            cost = price(model.counts, machine, by="core")
            if cost.joules is None or cost.seconds is None:
                continue
            busy = cost.seconds * machine.power.busy_core_watts.value
            print(
                f"    {model.name:32}{cost.joules * 1e3:10.4f} mJ, of which the core "
                f"{busy / cost.joules:5.0%}, memory {1 - busy / cost.joules:5.0%}"
            )
    return True


@dataclass(frozen=True)
class Agreement:
    """Agreement of predictions with native times."""

    rank: float
    error: float
    ratio: float
    span: str
    worst: float


def _agreement(predicted: np.ndarray, native: np.ndarray) -> Agreement:
    ratios = predicted / native
    scale = float(np.exp(median(np.log(ratios))))
    least, most = float(ratios.min() / scale), float(ratios.max() / scale)
    return Agreement(
        rank=float(spearmanr(predicted, native).statistic),
        error=float(median(np.abs(ratios / scale - 1))),
        ratio=scale,
        span=f"{ratios.min():.2f} to {ratios.max():.2f}",
        worst=max(most, 1 / least),
    )


def _left_out(timed: Sequence[CoreTime], native: np.ndarray) -> np.ndarray:
    """Predict each model by the three numbers that are fitted to the others."""
    found = []
    for number in range(len(timed)):
        others = [one for one in range(len(timed)) if one != number]

        def loss(fitted: np.ndarray, others: Sequence[int] = others) -> float:
            errors = [math.log(_again(timed[one], list(fitted)) / native[one]) for one in others]
            return float(np.mean(np.abs(errors)))

        best = minimize(loss, FITTED, method="Nelder-Mead", options={"maxiter": 200})
        found.append(_again(timed[number], list(best.x)))
    return np.array(found)


def _again(time: CoreTime, fitted: Sequence[float]) -> float:
    """Return the cycles with other numbers than those of the price."""
    sharpness, sustained, stall = (max(one, 0.1) for one in fitted)
    parts = {**time.parts, "issue": time.parts["issue"] * core.SUSTAINED_SHARE / sustained}
    together = math.pow(math.fsum(part**sharpness for part in parts.values()), 1 / sharpness)
    return together + time.fetch_stalls * stall / core.FETCH_STALL_SHARE


def _multiply_adds(counts: Counts) -> float:
    told = counts.instructions
    if told is None:
        raise SystemExit("the meter tells no instructions by class")
    return float(told.fma_scalar + 4 * told.fma_128 + 8 * told.fma_256 + 1)


def _host() -> Machine:
    """Return the nearest machine with what was measured on the host of the times."""
    nearest = powerml.load_machine(NEAREST_MACHINE).model_dump(exclude_none=True)
    source = "measured on the host of the times"
    tables: dict[str, Mapping[str, float]] = {
        "line_cycles": HOST_LINE_CYCLES,
        "latency_cycles": HOST_LATENCIES,
    }
    for table, numbers in tables.items():
        nearest[table].update(
            {name: {"value": value, "source": source} for name, value in numbers.items()}
        )
    clock = {"value": HOST_CLOCK_GHZ, "source": source}
    return Machine.model_validate({**nearest, "name": "host", "clock_ghz": clock})


def _models(truth: Path, host: Machine) -> list[Timed]:
    """Make and count the models that were timed."""
    MODELS.mkdir(parents=True, exist_ok=True)
    with (truth / "zoo_native_times.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if any(not (MODELS / f"{row['model']}.onnx").exists() for row in rows):
        command = [sys.executable, str(truth / "make_zoo.py"), str(MODELS)]
        subprocess.run(command, check=True, capture_output=True)
    lower = up_to_l2(host).name
    found = []
    for row in rows:
        name = row["model"]
        record = powerml.measure(
            MODELS / f"{name}.onnx", machine=host, levels=THREE_LEVELS, warm=True
        )
        [simulation] = [one for one in record.simulations if lower in one.machines]
        inference = record.phase("inference")
        [below] = [one for one in simulation.phases if one.name == inference.name]
        times = inference.inferences or 1
        found.append(
            Timed(
                name,
                inference.counts.scaled(1 / times),
                below.counts.scaled(1 / times),
                float(row["native_ns"]) * HOST_CLOCK_GHZ,
            )
        )
        print(f"\r{len(found)} of {len(rows)} models counted", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
