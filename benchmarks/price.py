"""The price `core` against times that powerML had no part in (5 minutes, then from the cache).

    python benchmarks/price.py times TRUTH    # native times of models on one host
    python benchmarks/price.py joules TRUTH   # joules of the models on two machines, in parts
    python benchmarks/price.py probe          # this machine three times: spread of each number
    python benchmarks/price.py validate       # the prices beside the times of this machine

TRUTH is a folder with `zoo_native_times.csv`, the native times, and `make_zoo.py`, which makes the
models. Every fitted number is fitted again with each model left out.
"""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

import powerml
from commands import machine_line
from multiply_accumulates import multiply_accumulates
from powerml.costs import core
from powerml.costs.core import CYCLES_FACTOR, CoreTime, core_time
from powerml.costs.cost import price
from powerml.costs.counts import Counts
from powerml.host import DEFAULT_SECONDS, Agreement, agreement_of, farthest
from powerml.machines import THREE_LEVELS, Machine, up_to_l2

MODELS = Path("~/.cache/powerml-benchmarks/zoo").expanduser()
HOST_CLOCK_GHZ = 3.2
# What loops over memory measured on the host of the times, AMD's Zen 3 in a virtual machine.
HOST_LINE_CYCLES = {"l2": 2.3, "ll": 5.0, "memory": 17.0}
HOST_LATENCIES = {"l1": 4.0, "l2": 12.4, "ll": 37.0}
NEAREST_MACHINE = "epyc-7763"
OTHER_MACHINE = "xeon-8280"
FACTOR_OF_WATTS = 2.0  # required
PROBES = 3
LEAST_RANK, LARGEST_ERROR, RATIOS, WORST = 0.985, 0.12, (0.8, 1.25), 2.0  # the requirements
FITTED = (core.SHARPNESS, core.SUSTAINED_SHARE)


@dataclass(frozen=True)
class Timed:
    """A model with its counts and its native time in cycles of the host."""

    name: str
    counts: Counts
    counts_up_to_l2: Counts
    native_cycles: float
    multiply_accumulates: int


def main() -> int:
    """Print what was asked for; return 1 where a requirement is missed."""
    of_truth = {"times": times, "joules": joules}
    of_this_machine = {"probe": probe, "validate": validate}
    run: Callable[[], bool]
    match sys.argv[1:]:
        case [name, truth] if name in of_truth:
            run = partial(of_truth[name], Path(truth))
        case [name] if name in of_this_machine:
            run = of_this_machine[name]
        case _:
            print(__doc__)
            return 2
    print(machine_line(), flush=True)
    return 0 if run() else 1


def times(truth: Path) -> bool:
    """Rank, error and ratio of each price against the native times."""
    host = _host()
    models = _models(truth, host)
    native = [model.native_cycles for model in models]
    timed = [core_time(model.counts, host, model.counts_up_to_l2) for model in models]
    predictors: dict[str, Callable[[Timed], float]] = {
        "core": lambda model: core_time(model.counts, host, model.counts_up_to_l2).cycles,
        "core, L1 and last level only": lambda model: core_time(model.counts, host).cycles,
        "paper (eq. 2.1)": lambda model: price(model.counts, host, by="paper").cycles,
        "instructions": lambda model: float(model.counts.Ir),
        # One more, as ratios have it: models without any come last together.
        "multiply-accumulates": lambda model: 1.0 + model.multiply_accumulates,
    }
    print(f"{len(models)} models; rank, median error after one scale, median ratio, its range")
    good = True
    for name, predict in predictors.items():
        agreement = agreement_of([predict(model) for model in models], native)
        print(_row(name, agreement))
        if name == "core":
            good = _is_required(agreement)
    print(_row("core, each model left out", agreement_of(_left_out(timed, native), native)))
    ratios = np.array([one.cycles for one in timed]) / np.array(native)
    inside = np.mean((ratios <= CYCLES_FACTOR) & (ratios >= 1 / CYCLES_FACTOR))
    print(f"within the interval: {inside:.0%} of the models")
    for number in farthest([one.cycles for one in timed], native, 3):
        one = timed[number]
        print(
            f"    worst: {models[number].name}: {ratios[number]:.2f} times; by {one.bottleneck}, "
            + ", ".join(f"{name} {part / native[number]:.2f}" for name, part in one.parts.items())
        )
    return good


def joules(truth: Path) -> bool:
    """Joules of one inference on two machines, in parts, beside a core's watts times the time."""
    machines = powerml.load_machines((NEAREST_MACHINE, OTHER_MACHINE))
    records = {
        name: powerml.measure(MODELS / f"{name}.onnx", machine=machines, warm=True)
        for name in _made(truth)
    }
    good = True
    for machine in machines:
        if machine.power is None:
            raise SystemExit(f"{machine.name} has no power")
        watts = machine.power.busy_core_watts.value
        print(f"{machine.title}: {watts:g} W for a busy core")
        ratios = []
        for name, record in records.items():
            costs = record.phase("inference").costs_per_inference
            cost = (costs or {})[machine.name]
            if cost.joules is None or cost.seconds is None or cost.joules_parts is None:
                raise SystemExit(f"{machine.name} has no energies")
            ratios.append(cost.joules / (cost.seconds * watts))
            print(
                f"    {name:28}{cost.joules * 1e3:10.4f} mJ, {ratios[-1]:.2f} of watts times time: "
                + ", ".join(
                    f"{part} {joules / cost.joules:4.0%}"
                    for part, joules in cost.joules_parts.model_dump().items()
                )
            )
        print(f"    against watts times time {min(ratios):.2f} to {max(ratios):.2f}")
        good &= max(*ratios, 1 / min(ratios)) <= FACTOR_OF_WATTS
    return good


def probe() -> bool:
    """Spread of each number of this machine over three probes."""
    probed = [powerml.probe_machine() for _ in range(PROBES)]
    found = [dict(_numbers(one.machine)) for one in probed]
    print(f"{PROBES} probes of {DEFAULT_SECONDS:g} s; largest over least")
    for name in found[0]:
        values = [one.get(name, math.nan) for one in found]
        shown = ", ".join(f"{value:g}" for value in values)
        print(f"    {name:28}{max(values) / min(values) - 1:8.1%}  {shown}")
    for remark in probed[-1].remarks:
        print(remark)
    return True


def _numbers(machine: Machine) -> Iterator[tuple[str, float]]:
    """Yield each measured number of a profile by the names of its table and field."""
    yield "clock_ghz", machine.clock_ghz.value
    for table in ("latency_cycles", "line_cycles", "throughput", "divide_cycles"):
        for name, number in getattr(machine, table) or ():
            if number is not None:
                yield f"{table}.{name}", number.value


def validate() -> bool:
    """Agreement of the prices with the times of this machine, after a probe of it."""
    found = powerml.validate_machine(warm=True, notify=_tell)
    for one in found.models:
        times = one.counted_seconds
        parts = ", ".join(f"{name} {part / times:.2f}" for name, part in one.core_parts.items())
        print(
            f"    {one.name:24}{one.native_seconds * 1e3:9.3f} ms, "
            f"same code {times * 1e3:9.3f} ms, "
            f"core {one.ratio:5.2f} ({parts}, fetches {one.fetch_seconds / times:.2f})"
        )
    print("rank, median error after one scale, median ratio, its range")
    for name, agreement in found.agreement.items():
        print(_row(name, agreement))
    for name, agreement in (found.same_code_agreement or {}).items():
        print(_row(f"{name}, of the same code", agreement))
    print(f"within the interval: {found.share_inside:.0%} of the models")
    for worst in found.worst:
        print(f"    worst: {worst.model}: {worst.ratio:.2f} times; by {worst.bottleneck}")
    for remark in found.remarks:
        print(remark)
    return _is_required((found.same_code_agreement or found.agreement)["core"])


def _tell(line: str) -> None:
    print(f"\r{line:60}", end="", file=sys.stderr, flush=True)


def _row(name: str, agreement: Agreement) -> str:
    return (
        f"    {name:32}{agreement.rank or 0.0:8.4f}{agreement.median_error:8.1%}"
        f"{agreement.median_ratio:9.3f}  "
        f"{agreement.least_ratio:.2f} to {agreement.greatest_ratio:.2f}"
    )


def _is_required(agreement: Agreement) -> bool:
    return (
        (agreement.rank or 0.0) >= LEAST_RANK
        and agreement.median_error <= LARGEST_ERROR
        and RATIOS[0] <= agreement.median_ratio <= RATIOS[1]
        and agreement.worst_factor <= WORST
    )


def _left_out(timed: Sequence[CoreTime], native: Sequence[float]) -> list[float]:
    """Predict each model by the two numbers that are fitted to the others."""
    found: list[float] = []
    for number in range(len(timed)):
        others = [one for one in range(len(timed)) if one != number]

        def loss(fitted: np.ndarray, others: Sequence[int] = others) -> float:
            errors = [math.log(_again(timed[one], list(fitted)) / native[one]) for one in others]
            return float(np.mean(np.abs(errors)))

        best = minimize(loss, FITTED, method="Nelder-Mead", options={"maxiter": 200})
        found.append(_again(timed[number], list(best.x)))
    return found


def _again(time: CoreTime, fitted: Sequence[float]) -> float:
    """Return the cycles with other numbers than those of the price."""
    sharpness, sustained = (max(one, 0.1) for one in fitted)
    parts = {**time.parts, "issue": time.parts["issue"] * core.SUSTAINED_SHARE / sustained}
    together = math.pow(math.fsum(part**sharpness for part in parts.values()), 1 / sharpness)
    return together + time.fetch_stalls


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


def _made(truth: Path) -> dict[str, float]:
    """Make the models that were timed; return the nanoseconds of each."""
    MODELS.mkdir(parents=True, exist_ok=True)
    with (truth / "zoo_native_times.csv").open(encoding="utf-8") as file:
        found = {row["model"]: float(row["native_ns"]) for row in csv.DictReader(file)}
    if any(not (MODELS / f"{name}.onnx").exists() for name in found):
        command = [sys.executable, str(truth / "make_zoo.py"), str(MODELS)]
        subprocess.run(command, check=True, capture_output=True)
    return found


def _models(truth: Path, host: Machine) -> list[Timed]:
    """Count the models that were timed."""
    timed = _made(truth)
    lower = up_to_l2(host).name
    found = []
    for name, nanoseconds in timed.items():
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
                nanoseconds * HOST_CLOCK_GHZ,
                multiply_accumulates(MODELS / f"{name}.onnx"),
            )
        )
        print(f"\r{len(found)} of {len(timed)} models counted", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


if __name__ == "__main__":
    sys.exit(main())
