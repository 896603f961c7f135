"""How much worse than the best of a table what each sampler finds is.

    python benchmarks/regret.py run dffr composite    # 180 searches of 50 trials (5 minutes)
    python benchmarks/regret.py run dffr              # all samplers (40 minutes on one core)
    python benchmarks/regret.py report                # figures 1, 2 and 5, and the charts
    python benchmarks/regret.py single                # ours, on scores of one training (5 minutes)

Regret is (objective - best of the table) / (median of the table - best of the table), of the best
that was found. Every search has the paper's budget and more: what it has found after 10 and 20
trials is what it would have found had they been all.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import charts
import competitors
import spaces
from powerml.studies.objective import Weights, make_objective
from tables import Table
from tabular import SEEDS as SEEDS_OF_SCORES

SETTINGS = ((0.0, 0.0), (0.5, 0.2), (0.5, 0.05), (0.5, 0.0), (0.7, 0.05), (0.05, 0.5))
SEEDS = range(30)
# On the space that nothing was developed on, fewer seeds and only the best of each kind.
HELD_OUT, HELD_OUT_SEEDS = "taper", range(10)
HELD_OUT_SAMPLERS = ("random", "hyperopt-3", "tpe-3", "gp-3", "composite", "composite-exact")
BUDGETS = (10, 20, 50)
SMALL_REGRET = 0.01
DEVELOPED_ON = ("dffr", "cnn")
DATA = Path(__file__).parent / "data"
DRAWN = Path(__file__).parent / "charts"

Array = NDArray[np.float64]


def main() -> None:
    """Search, or print what was found."""
    verb, *names = sys.argv[1:]
    if verb == "run":
        space = spaces.find(names[0])
        default = HELD_OUT_SAMPLERS if space.name == HELD_OUT else competitors.NAMES
        for sampler in names[1:] or default:
            run(Table(space), sampler)
    elif verb == "single":
        single()
    else:
        report(names)


def run(table: Table, sampler: str) -> None:
    """Search the table with every setting and seed; goes on where it was interrupted."""
    path = DATA / "regret" / f"{table.space.name}-{sampler}.csv"
    path.parent.mkdir(exist_ok=True)
    known = {(float(row[1]), float(row[2]), int(row[4])) for row in _rows(path)}
    for alpha, beta in SETTINGS:
        for seed in HELD_OUT_SEEDS if table.space.name == HELD_OUT else SEEDS:
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


def single() -> None:
    """Search tables whose scores are those of one training, as a study sees them."""
    for name in DEVELOPED_ON:
        space = spaces.find(name)
        found = []
        for training in range(SEEDS_OF_SCORES[name]):
            table = Table(space, training)
            for alpha, beta in SETTINGS:
                weights = Weights(alpha, beta)
                objectives = search(table, "composite", weights, training, max(BUDGETS))
                found.append(regrets(table, weights, objectives))
        print(f"\n{name}, one training a table")
        _print_table({"composite": Runs(np.array(found), np.zeros(len(found)))})


def search(table: Table, sampler: str, weights: Weights, seed: int, trials: int) -> Array:
    """Objectives of the trials of one search."""
    objective = make_objective("squared", weights)
    return competitors.search(table, sampler, objective, seed, trials)


def regrets(table: Table, weights: Weights, objectives: Array) -> Array:
    """Regret of the best so far, after each trial."""
    value: Callable[..., Array] = make_objective("squared", weights).value
    all_of_them = value(table.costs, table.score)
    best, median = all_of_them.min(), np.median(all_of_them)
    found: Array = (np.minimum.accumulate(objectives) - best) / (median - best)
    return found


def report(names: list[str]) -> None:
    """Print figures 1, 2 and 5 and draw the charts, of all spaces that were searched."""
    DRAWN.mkdir(exist_ok=True)
    wanted = names or [name for name in spaces.names() if _samplers_of(name)]
    found = {name: {one: load(name, one) for one in _samplers_of(name)} for name in wanted}
    for name, runs in found.items():
        print(f"\n{name}: {Table(spaces.find(name)).score.size} topologies")
        _print_table(runs)
        charts.draw_regret(runs, name, DRAWN / f"regret-{name}.svg")
    both = [name for name in DEVELOPED_ON if name in found]
    if len(both) < len(DEVELOPED_ON):
        return
    print(f"\nall runs of {' and '.join(both)}")
    shared = [one for one in competitors.NAMES if all(one in found[name] for name in both)]
    _print_table(
        {
            one: Runs(
                np.concatenate([found[name][one].regret for name in both]),
                np.concatenate([found[name][one].seconds for name in both]),
            )
            for one in shared
        }
    )


@dataclass(frozen=True)
class Runs:
    """Searches of one sampler: regret of shape (searches, trials), and seconds a trial."""

    regret: Array
    seconds: Array


def load(space: str, sampler: str) -> Runs:
    """Read the searches of a sampler."""
    rows = list(_rows(DATA / "regret" / f"{space}-{sampler}.csv"))
    regret = np.array([[float(value) for value in row[6].split()] for row in rows])
    return Runs(regret, np.array([float(row[5]) for row in rows]))


def _print_table(runs: Mapping[str, Runs]) -> None:
    heads = [f"median after {budget}" for budget in BUDGETS]
    heads += [f"at most {SMALL_REGRET} after {budget}" for budget in BUDGETS]
    print("| sampler | searches | " + " | ".join([*heads, "s a trial"]) + " |")
    print("| --- " * (len(heads) + 3) + "|")
    for sampler, found in runs.items():
        after = [found.regret[:, budget - 1] for budget in BUDGETS]
        cells = [f"{np.median(one):.4f}" for one in after]
        cells += [f"{np.mean(one <= SMALL_REGRET):.0%}" for one in after]
        label = competitors.LABELS[sampler]
        seconds = np.mean(found.seconds)
        print(f"| {label} | {len(found.regret)} | {' | '.join(cells)} | {seconds:.3f} |")


def _samplers_of(space: str) -> list[str]:
    return [one for one in competitors.NAMES if (DATA / "regret" / f"{space}-{one}.csv").exists()]


def _rows(path: Path) -> Iterator[list[str]]:
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.reader(file)


if __name__ == "__main__":
    main()
