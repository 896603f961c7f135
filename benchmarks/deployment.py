"""What inference costs where it is deployed. Prints the figures; exits with 1 where one is missed.

python benchmarks/deployment.py runtimes   cost of one sample in each runtime
python benchmarks/deployment.py signal     what the topology changes, in Keras and ONNX Runtime
python benchmarks/deployment.py winner     outputs of the exported winner against Keras's
python benchmarks/deployment.py machines   whether two machines choose two winners
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import itertools

import numpy as np

import powerml
import workloads
from commands import PAPERS_SEARCH, machine_line
from powerml.errors import SetupError
from powerml.machines import PAPERS_MACHINE, load_machine
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare_file
from powerml.meters.base import MeterOptions
from powerml.meters.simulator.meter import SimulatorMeter
from powerml.networks.export import TOLERANCE, export_topology
from powerml.runtimes import find_runtime, require_exporter
from powerml.spaces import Topology, find_space, topology_of
from powerml.studies.goal import objectives_by_machine, ranking
from powerml.studies.records import StudyRecord, TrialRecord
from powerml.workloads.datasets import Dataset, load_dataset
from powerml.workloads.workload import Deployment

RUNTIMES = ("keras", "onnxruntime", "litert")
TOPOLOGIES = ("dffr:layers=2,width=16", "cnn:layers=3,filters=5,kernel=5")
BATCHES = (1, 32)
SPACES = ("dffr", "cnn")
SIGNAL_TOPOLOGIES = 30
ONNX_LIMIT_SECONDS = 3.0
TWO_MACHINES = ("xeon-x5650", "epyc-7601")
ALPHA, BETA, TRIALS = 0.05, 0.5, 10


def runtimes() -> bool:
    """Figure 1: each runtime at two sizes of batch, and how long a measurement takes."""
    good = True
    dataset = load_dataset("mnist_small")
    with tempfile.TemporaryDirectory() as folder, _meter() as meter:
        print(
            "| topology | batch | runtime | cycles a sample | instructions a sample | load, "
            "cycles | measured in s |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        for topology in TOPOLOGIES:
            for batch in BATCHES:
                for runtime in RUNTIMES:
                    try:
                        require_exporter(find_runtime(runtime), "torch")
                    except SetupError as error:
                        print(f"| {topology} | {batch} | {runtime} | not measured: {error} |")
                        continue
                    path = _saved(topology, dataset, Path(folder))
                    measured = partial(_measure_file, meter, path, runtime, batch)
                    measured()  # the server starts, and whatever is done once
                    seconds, (load, inference) = measured()
                    cost = powerml.price(inference.counts, meter.machine).cycles
                    start = powerml.price(load.counts, meter.machine).cycles
                    print(
                        f"| {topology} | {batch} | {runtime} | {cost / batch:,.0f} | "
                        f"{inference.counts.Ir / batch:,.0f} | {start:,.0f} | {seconds:.1f} |",
                        flush=True,
                    )
                    if (runtime, batch) == ("onnxruntime", 1):
                        good &= seconds <= ONNX_LIMIT_SECONDS
    return good


def _saved(topology: str, dataset: Dataset, folder: Path) -> Path:
    """A topology, untrained, as a file of Keras's."""
    path = folder / f"{topology.translate({ord(c): '-' for c in ':,='})}.keras"
    if not path.exists():
        deployment = Deployment(runtime="keras", batch_size=1, inferences=1)
        workload = workloads.make(topology, dataset, 32)
        zeros = np.zeros((1, 1, *workload.input_shape), np.float32)
        export_topology(workload.model_copy(update={"deployment": deployment}), path, [zeros])
    return path


def _measure_file(
    meter: SimulatorMeter, path: Path, runtime: str, batch: int
) -> tuple[float, list[Any]]:
    """Seconds of a measurement, export included, and its phases: load and inference."""
    wanted = MeasureOptions(runtime=runtime, inference_batch=batch)
    workload, material = prepare_file(path, wanted)
    started = time.monotonic()
    phases = meter.measure(workload, material)
    return time.monotonic() - started, phases


def _meter() -> SimulatorMeter:
    return SimulatorMeter(load_machine(PAPERS_MACHINE), "torch", MeterOptions("sampled", jobs=2))


def signal() -> bool:
    """Figure 2: the largest over the smallest cost, and its rank correlation with the work."""
    dataset = load_dataset("mnist_small")
    good = True
    with _meter() as meter, tempfile.TemporaryDirectory() as folder:
        for space in SPACES:
            chosen = _random_topologies(space)
            macs = [_multiply_accumulates(topology) for topology in chosen]
            correlations = []
            print(
                f"{space}: {len(chosen)} topologies of {min(macs):,} to {max(macs):,} "
                "multiply-accumulates",
                flush=True,
            )
            for runtime in ("keras", "onnxruntime"):
                cost_of = partial(_runtime_cost, meter, dataset, Path(folder), runtime)
                costs = [cost_of(topology) for topology in chosen]
                correlations.append(_spearman(costs, macs))
                print(
                    f"  {runtime:12} {min(costs):14,.0f} to {max(costs):14,.0f} cycles, spread "
                    f"{max(costs) / min(costs):7.2f}, rank correlation {correlations[-1]:.3f}",
                    flush=True,
                )
            keras, onnx = correlations
            good &= onnx > keras
    return good


def _random_topologies(name: str) -> list[Topology]:
    rng = random.Random(0)
    space = find_space(name)
    chosen: dict[str, Topology] = {}
    while len(chosen) < SIGNAL_TOPOLOGIES:
        values = {key: rng.randint(one.low, one.high) for key, one in space.bounds.items()}
        topology = topology_of(space, values)
        chosen[str(topology)] = topology
    return list(chosen.values())


def _multiply_accumulates(topology: Topology) -> int:
    """Of one sample of 28 x 28 pixels and two classes, biases left out."""
    of = topology.parameters
    pixels = 28 * 28
    if topology.space == "dffr":
        widths = [pixels, *[of["width"]] * of["layers"], 2]
        return sum(a * b for a, b in itertools.pairwise(widths))
    channels = [1, *[of["filters"]] * of["layers"]]
    kernel = of["kernel"] ** 2
    convolutions = sum(pixels * kernel * a * b for a, b in itertools.pairwise(channels))
    return convolutions + pixels * of["filters"] * 128 + 128 * 2


def _runtime_cost(
    meter: SimulatorMeter, dataset: Dataset, folder: Path, runtime: str, topology: Topology
) -> float:
    """Cycles of one sample, batch 1."""
    path = _saved(str(topology), dataset, folder)
    _, (_, inference) = _measure_file(meter, path, runtime, 1)
    return powerml.price(inference.counts, meter.machine).cycles


def _spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation; equals share their mean rank."""
    ranks = [_ranks(values) for values in (one, other)]
    means = [fmean(values) for values in ranks]
    products = sum((a - means[0]) * (b - means[1]) for a, b in zip(*ranks, strict=True))
    squares = [
        sum((value - mean) ** 2 for value in values)
        for values, mean in zip(ranks, means, strict=True)
    ]
    return float(products / (squares[0] * squares[1]) ** 0.5)


def _ranks(values: Sequence[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def winner() -> bool:
    """Figure 3: the exported winner of a search of each space, on 100 test samples."""
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for space in SPACES:
            record = powerml.optimize(space, **PAPERS_SEARCH, trials=3, out=folder, study=space)
            best, difference = _best(record), record.export_difference
            print(f"{best.topology}: {record.exported} differs by {difference:.2g} at most")
            good &= difference is not None and difference <= TOLERANCE
    return good


def _best(record: StudyRecord) -> TrialRecord:
    if record.best is None:
        raise SystemExit("the study has no best trial")
    return record.best


def machines() -> bool:
    """Figure 4: one search on each of two machines, whose caches differ."""
    records = {}
    with tempfile.TemporaryDirectory() as folder:
        for first in TWO_MACHINES:
            order = sorted(TWO_MACHINES, key=lambda name: name != first)
            records[first] = powerml.optimize(
                "dffr",
                **PAPERS_SEARCH,
                alpha=ALPHA,
                beta=BETA,
                trials=TRIALS,
                machine=order,
                out=folder,
                study=first,
            )
    best = {}
    for first, record in records.items():
        found = _best(record)
        best[first] = (found.topology, found.batch_size)
        print(
            f"{first}: {found.topology} batch {found.batch_size}, objective "
            f"{found.objective:.4f}, score {found.score:.3f}, training "
            f"{found.cost_ratios['training']:.3f}, inference "
            f"{found.cost_ratios['inference']:.3f}"
        )
        for machine, objectives in objectives_by_machine(record).items():
            print(f"    ranked on {machine}: {ranking(objectives)}")
    print("the winners differ" if len(set(best.values())) > 1 else "the winners are the same")
    return True


FIGURES = {
    "runtimes": runtimes,
    "signal": signal,
    "winner": winner,
    "machines": machines,
}


def main() -> None:
    wanted = sys.argv[1:] or list(FIGURES)
    if unknown := [name for name in wanted if name not in FIGURES]:
        raise SystemExit(f"unknown figure {unknown[0]!r}: known are {', '.join(FIGURES)}")
    print(machine_line())
    good = [FIGURES[name]() for name in wanted]
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
