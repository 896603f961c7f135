"""How much worse than the best of a table what each sampler finds is.

    python benchmarks/regret.py run dffr composite    # 180 searches of 50 trials (2 minutes)
    python benchmarks/regret.py run dffr              # all samplers (2 hours on one core)
    python benchmarks/regret.py report                # figures 1, 2 and 5, and the charts

Regret is (objective - best of the table) / (median of the table - best of the table), of the best
that was found. Every search has the paper's budget and more: what it has found after 10 and 20
trials is what it would have found had they been all.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import competitors
import spaces
from powerml.objective import Weights, make_objective
from tables import Table

SETTINGS = ((0.0, 0.0), (0.5, 0.2), (0.5, 0.05), (0.5, 0.0), (0.7, 0.05), (0.05, 0.5))
SEEDS = range(30)
BUDGETS = (10, 20, 50)
SMALL_REGRET = 0.01
DATA = Path(__file__).parent / "data"
COLUMNS = (
    "space",
    "alpha",
    "beta",
    "sampler",
    "seed",
    "seconds_a_trial",
    "regret_after_each_trial",
)

Array = NDArray[np.float64]


def main() -> None:
    """Search, or print what was found."""
    verb, *names = sys.argv[1:]
    if verb == "run":
        space = spaces.find(names[0])
        for sampler in names[1:] or competitors.NAMES:
            run(Table(space), sampler)
    else:
        report(names)


def run(table: Table, sampler: str) -> None:
    """Search the table with every setting and seed; goes on where it was interrupted."""
    path = DATA / "regret" / f"{table.space.name}-{sampler}.csv"
    path.parent.mkdir(exist_ok=True)
    known = {(float(row[1]), float(row[2]), int(row[4])) for row in _rows(path)}
    for alpha, beta in SETTINGS:
        for seed in SEEDS:
            if (alpha, beta, seed) in known:
                continue
            started = time.process_time()
            objectives = search(table, sampler, Weights(alpha, beta), seed, max(BUDGETS))
            seconds = (time.process_time() - started) / max(BUDGETS)
            regret = regrets(table, Weights(alpha, beta), objectives)
            with path.open("a", newline="", encoding="utf-8") as file:
                row = [table.space.name, alpha, beta, sampler, seed, f"{seconds:.4f}"]
                csv.writer(file, lineterminator="\n").writerow(
                    [*row, " ".join(f"{value:.4g}" for value in regret)]
                )
    print(f"{table.space.name} {sampler}: {path}", flush=True)


def search(table: Table, sampler: str, weights: Weights, seed: int, trials: int) -> Array:
    """Objectives of the trials of one search."""
    objective = make_objective("squared", weights)
    return competitors.search(table, sampler, objective, seed, trials)


def regrets(table: Table, weights: Weights, objectives: Array) -> Array:
    """Regret of the best so far, after each trial."""
    value: Callable[..., Array] = make_objective("squared", weights).value
    all_of_them = value(table.training, table.inference, table.score)
    best, median = all_of_them.min(), np.median(all_of_them)
    found: Array = (np.minimum.accumulate(objectives) - best) / (median - best)
    return found


def _rows(path: Path) -> Iterator[list[str]]:
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.reader(file)


def report(names: list[str]) -> None:
    """Print the figures."""
    for name in names or spaces.names():
        print(name)


if __name__ == "__main__":
    main()
