"""What each objective asks for, and what ten trials find of it.

    python benchmarks/objectives.py    # 5 minutes

For each of the paper's settings: the best topology of the table by each objective, and what a
search of ten trials reports as its best, over ten seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

import competitors
import spaces
from powerml.errors import UsageError
from powerml.studies.objective import Constrained, Objective, Weights, make_objective
from regret import SETTINGS
from tables import Table

TRIALS, SEEDS = 10, range(10)
LEAST_SCORE = 0.97
# Objectives, and the least score that is required beside each.
ASKED = (("squared", 0.0), ("linear", 0.0), ("squared", LEAST_SCORE), ("constrained", LEAST_SCORE))

Array = NDArray[np.float64]


def main() -> None:
    """Print one row for each space, setting and objective."""
    print(
        "| space | alpha, beta | objective | best of the table: score, training, inference "
        "| found in 10 trials, medians: score, training, inference | lowest score found |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    for name in sys.argv[1:] or ("dffr", "cnn"):
        table = Table(spaces.find(name))
        for (alpha, beta), (kind, least) in product(SETTINGS, ASKED):
            try:
                objective = make_objective(kind, Weights(alpha, beta), LEAST_SCORE)
            except UsageError:
                continue  # without weights there is no cost to make small
            found = np.array([_found(table, objective, seed, least) for seed in SEEDS])
            best = _said(table, _best(table, objective, least))
            label = kind if kind == Constrained.name or not least else f"{kind}, at least {least}"
            print(
                f"| {name} | {alpha:g}, {beta:g} | {label} | {best} "
                f"| {_medians(table, found)} | {table.score[found].min():.2f} |",
                flush=True,
            )


def _best(table: Table, objective: Objective, least: float) -> int:
    value: Callable[..., Array] = objective.value
    values = value(table.costs, table.score)
    return int(np.argmin(np.where(table.score < least, np.inf, values)))


def _found(table: Table, objective: Objective, seed: int, least: float) -> int:
    """Which row of the table a search reports."""
    return competitors.winner(table, objective, seed, TRIALS, least)


def _said(table: Table, number: int) -> str:
    columns = (table.score, *table.costs.values())
    return ", ".join(f"{column[number]:.2f}" for column in columns)


def _medians(table: Table, found: NDArray[np.int64]) -> str:
    columns = (table.score, *table.costs.values())
    return ", ".join(f"{np.median(column[found]):.2f}" for column in columns)


if __name__ == "__main__":
    main()
