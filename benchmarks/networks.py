"""How well the cost model predicts networks of any kind, from their operations alone.

    python benchmarks/networks.py            # figure 4b: errors after 1, 5, 10 and 20 measurements
    python benchmarks/networks.py prior      # what operations cost, to one digit: the prior shipped
    python benchmarks/networks.py inference  # simulates what these learn from (10 minutes)
    python benchmarks/networks.py training   # and its trainings, those in Keras (half an hour)

The last two go on where they were interrupted, and write ``benchmarks/data/networks.csv``. A kind
is predicted with a prior from the other kinds alone, since a user's own space is none of them. The
second row of each is without a prior.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawn_networks import KINDS, Kind
from powerml.backend import import_keras, select_backend
from powerml.costs.cost import PriceName, price
from powerml.costs.cost_fit import Terms, fit_costs
from powerml.costs.cost_model import OPERATIONS, Demand
from powerml.costs.counts import PHASES
from powerml.costs.operation_terms import operation_sums
from powerml.costs.readings import require_counts
from powerml.machines import DEFAULT_MACHINE, load_machine
from powerml.measuring.objects import model_in_file
from powerml.measuring.options import MeasureOptions
from powerml.measuring.preparation import prepare
from powerml.meters.base import DEFAULT_METER, MeterOptions
from powerml.meters.catalogue import make_meter
from powerml.operations import operations_of
from powerml.progress import silent
from tabular import DATA, append, read

Array = NDArray[np.float64]

NETWORKS = 24
FILE = DATA / "networks.csv"
COLUMNS = ("kind", "phase", "network", "batch_size", "core", "paper")
MEASUREMENTS = (1, 5, 10, 20)
DRAWS = 20
FEWEST_LEFT = 3  # to be predicted
LEAST_SHARE = 0.1
SAMPLES, EPOCHS = 128, 1
DEMAND = Demand(SAMPLES, EPOCHS, 0, (1, 1))
MACHINE = DEFAULT_MACHINE
PRICES: tuple[PriceName, ...] = ("core", "paper")


def main() -> None:
    """Do what was asked for."""
    match sys.argv[1:]:
        case ["inference" | "training" as phase, *names]:
            simulate(phase, names or list(KINDS))
        case ["prior"]:
            print_prior()
        case _:
            print_errors()


def print_errors() -> None:
    """Print how far off predictions are, and how often the stated bound holds."""
    print(
        "| network | phase | prior | measured | median error | nine in ten below | largest "
        "| within the stated bound |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for phase in PHASES:
        simulated = _simulated(phase)
        for kind in dict.fromkeys(one.kind for one in simulated):
            of_kind = [one for one in simulated if one.kind == kind]
            others = _prior(phase, [one for one in simulated if one.kind != kind])
            for said, prior in (("others", others), ("no", {})):
                for count in MEASUREMENTS:
                    if count + FEWEST_LEFT > len(of_kind):
                        continue
                    errors, bounds = _errors(phase, of_kind, count, prior)
                    print(
                        f"| {kind} | {phase} | {said} | {count} | {np.median(errors):.1%} "
                        f"| {np.quantile(errors, 0.9):.1%} | {errors.max():.0%} "
                        f"| {np.mean(errors <= bounds):.0%} |",
                        flush=True,
                    )


def print_prior() -> None:
    """Fit what operations cost to all networks together, and print one digit of each."""
    for phase in PHASES:
        print(f"{phase} (cycles of {MACHINE})")
        for thing, cost in _prior(phase, _simulated(phase)).items():
            print(f'    "{thing}": {cost:.0e},')


@dataclass(frozen=True)
class Simulated:
    """A network that was simulated, with its sums over operations."""

    kind: str
    sums: Array
    batch_size: int
    cycles: float


def _simulated(phase: str) -> list[Simulated]:
    select_backend()
    import_keras()
    found = []
    for row in read(FILE):
        if row["phase"] == phase:
            kind = KINDS[row["kind"]]
            model = kind.build(json.loads(row["network"]))
            sums = operation_sums(operations_of(model, kind.input_shape))
            batch_size, cycles = int(row["batch_size"]), float(row[PRICES[0]])
            found.append(Simulated(row["kind"], sums, batch_size, cycles))
    return found


def _terms(phase: str, networks: Sequence[Simulated]) -> Terms:
    sums = np.array([one.sums for one in networks])
    batch_sizes = np.array([float(one.batch_size) for one in networks])
    return DEMAND.terms(phase, sums, batch_sizes, OPERATIONS)


def _prior(phase: str, networks: Sequence[Simulated]) -> dict[str, float]:
    """Fit costs to all networks; none is far below what it would be if all were even.

    Where two terms tell the same, the fit gives all to one of them, and which is chance.
    """
    terms = _terms(phase, networks)
    cycles = np.array([one.cycles for one in networks])
    fitted = fit_costs(terms, cycles, {})
    prior = {}
    for name, cost in zip(fitted.names, fitted.costs, strict=True):
        shares = terms.values[:, terms.names.index(name)] / cycles
        even = 1 / (shares[shares > 0].mean() * len(fitted.names))
        prior[name] = float(f"{max(cost, LEAST_SHARE * even):.0e}")
    return prior


def _errors(
    phase: str, networks: Sequence[Simulated], count: int, prior: Mapping[str, float]
) -> tuple[Array, Array]:
    """Relative errors of predictions, and what was stated, in several random orders."""
    generator = random.Random(0)
    terms = _terms(phase, networks)
    cycles = np.array([one.cycles for one in networks])
    errors, bounds = [], []
    for _ in range(DRAWS):
        chosen = generator.sample(range(len(networks)), count)
        rest = sorted(set(range(len(networks))) - set(chosen))
        fitted = fit_costs(terms.of(chosen), cycles[chosen], prior)
        predicted, error = fitted.predict(terms.of(rest))
        errors.append(np.abs(predicted / cycles[rest] - 1))
        bounds.append(fitted.bound(error))
    return np.concatenate(errors), np.concatenate(bounds)


def simulate(phase: str, names: list[str]) -> None:
    """Simulate what is not in the file yet, one network of each kind after another."""
    backend = select_backend()
    import_keras()
    import keras

    known = {(row["kind"], row["phase"], row["network"]) for row in read(FILE)}
    options = MeterOptions(fidelity="sampled", jobs=2, error=0.03)
    with make_meter(DEFAULT_METER, [load_machine(MACHINE)], backend, options) as meter:
        for number in range(NETWORKS):
            for name in names:
                kind = KINDS[name]
                parameters = kind.drawn(name, number)
                text = json.dumps(parameters, separators=(",", ":"))
                if (name, phase, text) in known or (phase == "training" and not kind.is_keras):
                    continue
                started = time.monotonic()
                keras.utils.set_random_seed(0)
                batch_size = 1 if phase == "inference" else 8 * 2 ** (number % 4)
                measured = _measured(kind, kind.build(parameters), meter, phase, batch_size)
                cycles = [f"{measured[by]:.0f}" for by in PRICES]
                append(FILE, COLUMNS, [name, phase, text, batch_size, *cycles])
                print(name, phase, text, *cycles, f"{time.monotonic() - started:.1f} s", flush=True)


def _measured(kind: Kind, model: Any, meter: Any, phase: str, batch_size: int) -> dict[str, float]:
    """Cycles of one phase, by price."""
    given: dict[str, Any] = {}
    inputs = None
    with tempfile.TemporaryDirectory() as folder:
        if phase == "training":
            model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
            data = str(_data(kind, Path(folder)))
            given = {"data": data, "batch_size": batch_size, "epochs": EPOCHS}
        elif not kind.is_keras:
            import torch

            inputs = torch.zeros(1, *kind.input_shape)
        wanted = MeasureOptions.of_call("measure", None, given)
        with model_in_file(model, inputs, silent) as taken:
            workload, material = prepare(taken, wanted, silent)
            readings = require_counts(meter.name, meter.measure(workload, material))
    counted = next(one.counts for one in readings if one.name == phase)
    return {by: price(counted, load_machine(MACHINE), by=by).cycles for by in PRICES}


def _data(kind: Kind, folder: Path) -> Path:
    path = folder / "data.npz"
    generator = np.random.default_rng(0)
    parts: dict[str, Any] = {}
    for part, samples in (("train", SAMPLES), ("val", 16), ("test", 16)):
        shape = (samples, *kind.input_shape)
        parts[f"x_{part}"] = generator.normal(size=shape).astype(np.float32)
        parts[f"y_{part}"] = np.arange(samples) % kind.classes
    np.savez(path, **parts)
    return path


if __name__ == "__main__":
    main()
