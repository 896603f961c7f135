"""How much of the three quantities' trade-off each sampler finds: figure 3.

    python benchmarks/fronts.py composite tpe nsga2 random    # 5 minutes
    python benchmarks/fronts.py gp                            # more than half an hour, three seeds
    python benchmarks/fronts.py gp dffr                       # one space

Set OMP_NUM_THREADS=1: torch's threads get in each other's way.

Volume is what a front dominates, of scores from 0 to 1 and of costs from 0 to twice the
reference's, relative to the volume of the whole table's front.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

import competitors
import spaces
from powerml.studies.goal import Point, front
from tables import Table

SAMPLERS = ("random", "nsga2", "tpe", "gp", "composite")
SPACES = ("dffr", "cnn")
SEEDS, SEEDS_OF_GP = range(10), range(3)  # GP takes minutes for each search
BUDGETS = (20, 50)
WORST = 2.0  # costs above it are worth nothing

Array = NDArray[np.float64]


def main() -> None:
    """Print the volumes of every sampler on every space that is asked for."""
    heads = " | ".join(f"median after {budget} (lowest)" for budget in BUDGETS)
    print(f"| space | sampler | seeds | {heads} |\n| --- | --- | --- |{' --- |' * len(BUDGETS)}")
    asked = sys.argv[1:]
    for name in [space for space in SPACES if space in asked] or SPACES:
        table = Table(spaces.find(name))
        whole = volume(table, np.arange(len(table.score)))
        for sampler in [one for one in SAMPLERS if one in asked] or SAMPLERS:
            seeds = SEEDS_OF_GP if sampler == "gp" else SEEDS
            found = np.array([_volumes(table, sampler, seed) / whole for seed in seeds])
            cells = " | ".join(
                f"{np.median(one):.3f} ({one.min():.3f})" for one in found.transpose()
            )
            print(f"| {name} | {sampler} | {len(seeds)} | {cells} |", flush=True)


def _volumes(table: Table, sampler: str, seed: int) -> Array:
    tried = competitors.search_front(table, sampler, seed, max(BUDGETS))
    return np.array([volume(table, tried[:budget]) for budget in BUDGETS])


def volume(table: Table, members: NDArray[np.int64]) -> float:
    """Volume that some members of a table dominate."""
    points = [
        Point(float(table.score[one]), tuple(table.cost_of(int(one)).values()))
        for one in members
        if max(table.cost_of(int(one)).values()) < WORST
    ]
    kept = sorted((points[place] for place in front(points)), key=lambda one: -one.score)
    total = 0.0
    for number, point in enumerate(kept):
        lower = kept[number + 1].score if number + 1 < len(kept) else 0.0
        if point.score > lower:
            total += (point.score - lower) * _area(kept[: number + 1])
    return total


def _area(points: list[Point]) -> float:
    """Area of costs beyond those of the points."""
    area, lowest = 0.0, WORST
    for training, inference in sorted(point.cost_ratios for point in points):
        if inference < lowest:
            area += (WORST - training) * (lowest - inference)
            lowest = inference
    return area


if __name__ == "__main__":
    main()
