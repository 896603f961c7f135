"""The search of a user's own space against the best of the field: hyperparameter optimizers.

    python benchmarks/rivals.py collect branching_mlp  # train and simulate members of a space
    python benchmarks/rivals.py fit                    # errors of what is made of them
    python benchmarks/rivals.py search branching_mlp powerml tpe    # ten searches for each goal
    python benchmarks/rivals.py compare                # the tables
    python benchmarks/rivals.py chart                  # the charts

The first and the third go on where they were interrupted. Rivals are in the extra `benchmarks`. Set
OMP_NUM_THREADS=1: torch's threads get in each other's way.

Every search knows the reference and has 40 trials; GP and Ax have 20, for they take long. There are
two goals. `cheapest` minimises the mean of both costs among networks with a sufficient score, and
regret is (cost of the best found - least known) / (median of random networks that suffice - least
known). `front` seeks the front of score and both costs, and its volume is relative to that of all
that is known.
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import charts
from contestants import (
    FEWER_TRIALS,
    LABELS,
    TRIALS,
    WORST_COST,
    WORST_SCORE,
    Contestant,
    Goal,
    make_contestant,
)
from landscapes import Found, Landscape, Measured, logit
from own_members import DATA, SPACES, Space
from powerml.costs.counts import PHASES

SEEDS = range(10)
BUDGETS = (10, 20, 40)
# Equal time is what powerML takes for so many trials.
TIMED_TRIALS = 20
MEMBERS_SIMULATED, MEMBERS_TRAINED = 60, 120
# Random members that the best and the median of a landscape come from, beside all proposals.
SAMPLE = 1000
SUFFICIENT = {"branching_mlp": 0.93, "branching_cnn": 0.85, "sequences": 0.9}
GOALS = ("cheapest", "front")
DRAWN = Path(__file__).parent / "charts"

Array = NDArray[np.float64]


def main() -> None:
    """Do what is asked for."""
    verb, *names = sys.argv[1:]
    if verb == "collect":
        for name in names or SPACES:
            Space(name).train(MEMBERS_TRAINED, seed=0)
            Space(name).simulate(MEMBERS_SIMULATED)
    elif verb == "fit":
        for name in names or SPACES:
            show_fit(measured_of(name))
    elif verb == "search":
        search_all(measured_of(names[0]), names[1:] or list(LABELS))
    elif verb == "compare":
        compare(names or SPACES)
    else:
        for name in names or SPACES:
            runs = load(name)
            path = DRAWN / f"rivals-{name.replace('_', '-')}.svg"
            ended = ended_at(runs, measured_of(name).seconds)
            charts.draw_rivals(curves_of(name, runs), ended, name, path)


@cache
def measured_of(name: str) -> Measured:
    """Return what was measured of a space."""
    return Measured(Space(name))


def show_fit(measured: Measured) -> None:
    """Print errors of members left out."""
    name = measured.space.name
    for phase in PHASES:
        fitted = measured.cost_fits[phase]
        errors = np.abs(fitted.errors)
        costs = [one[phase] for one in measured.simulated.values()]
        print(
            f"{name} {phase}: {len(costs)} simulated, {min(costs):.2f} to {max(costs):.2f} of the "
            f"reference's; by {type(fitted).__name__}, error of one left out: median "
            f"{np.median(errors):.2%}, nine in ten below {np.quantile(errors, 0.9):.2%}"
        )
    scores = measured.trained[1]
    predicted = 1 / (1 + np.exp(-measured.left_out))
    errors = np.abs(predicted - scores)
    ranks = np.corrcoef(np.argsort(np.argsort(predicted)), np.argsort(np.argsort(scores)))[0, 1]
    least = least_score(measured)
    print(
        f"{name} score: {len(scores)} trained, median {np.median(scores):.3f}, best "
        f"{scores.max():.3f}; {np.mean(scores >= least):.0%} reach {least}; error of one left out: "
        f"median {np.median(errors):.3f}, rank correlation {ranks:.2f}, deviation of the logit "
        f"{np.std(logit(scores) - measured.left_out):.2f}; a trial takes {measured.seconds:.1f} s"
    )


def least_score(measured: Measured) -> float:
    """Return the score that suffices in a space."""
    return SUFFICIENT[measured.space.name]


def goal_of(measured: Measured, name: str) -> Goal:
    """Make a goal by its name."""
    return Goal(least_score(measured) if name == "cheapest" else None)


@dataclass(frozen=True)
class Run:
    """One search: seconds that each proposal took, and what the proposals were found to be."""

    goal: str
    contestant: str
    seed: int
    seconds: Array
    found: list[Found]


def search_all(measured: Measured, contestants: Sequence[str]) -> None:
    """Run all searches of a space that are not there yet, seed by seed."""
    known = {(run.goal, run.contestant, run.seed) for run in load(measured.space.name)}
    for seed in SEEDS:
        for name in contestants:
            for goal in GOALS:
                if (goal, name, seed) not in known:
                    run = search(measured, name, goal, seed)
                    _append(measured.space.name, run)
                    print(
                        f"{measured.space.name} {goal} {name} {seed}: "
                        f"{run.seconds.mean():.2f} s a proposal",
                        flush=True,
                    )


def search(measured: Measured, name: str, goal: str, seed: int) -> Run:
    """Search a landscape; proposals are timed in seconds of the processor."""
    landscape = Landscape(measured, seed)
    (scored,) = landscape.evaluate([measured.space.reference])
    reference = Found(dict.fromkeys(PHASES, 1.0), scored.score)
    wanted = goal_of(measured, goal)
    contestant: Contestant = make_contestant(name, measured, wanted, seed, reference)
    seconds, found = [], []
    for _ in range(FEWER_TRIALS.get(name, TRIALS)):
        started = time.process_time()
        member = contestant.ask()
        paid = time.process_time() - started
        (one,) = landscape.evaluate([member])
        started = time.process_time()
        contestant.tell(member, one)
        seconds.append(paid + time.process_time() - started)
        found.append(one)
    return Run(goal, name, seed, np.array(seconds), found)


def compare(names: Sequence[str]) -> None:
    """Print regret and volume after so many trials, and in equal time."""
    for name in names:
        runs = load(name)
        seconds = measured_of(name).seconds
        curves = curves_of(name, runs)
        for goal in GOALS:
            timed = _median_seconds(runs, goal, seconds, "powerml", TIMED_TRIALS)
            print(f"\n{name}, {goal}: a trial takes {seconds:.1f} s; equal time is {timed:.0f} s\n")
            heads = [f"after {budget}" for budget in BUDGETS]
            print(f"| | searches | {' | '.join(heads)} | in equal time (trials) | s a proposal |")
            print("| --- " * (len(heads) + 4) + "|")
            for contestant in LABELS:
                found = curves.get((goal, contestant))
                if found is None:
                    continue
                mine = [one for one in runs if (one.goal, one.contestant) == (goal, contestant)]
                cells = [
                    _quartiles(found[:, budget - 1]) if budget <= found.shape[1] else ""
                    for budget in BUDGETS
                ]
                counts = [_trials_within(one, seconds, timed) for one in mine]
                at_once = np.array(
                    [row[count - 1] for row, count in zip(found, counts, strict=True)]
                )
                proposal = np.mean([one.seconds.mean() for one in mine])
                print(
                    f"| {LABELS[contestant]} | {len(mine)} | {' | '.join(cells)} | "
                    f"{_quartiles(at_once)} ({np.median(counts):.0f}) | {proposal:.2f} |"
                )


def _median_seconds(
    runs: Sequence[Run], goal: str, seconds: float, contestant: str, trials: int
) -> float:
    mine = [one for one in runs if (one.goal, one.contestant) == (goal, contestant)]
    totals = [trials * seconds + one.seconds[:trials].sum() for one in mine]
    return float(np.median(totals)) if totals else math.nan


def ended_at(runs: Sequence[Run], seconds: float) -> dict[tuple[str, str], Array]:
    """Return the seconds at which each trial ends, the mean of all searches."""
    found: dict[tuple[str, str], list[Array]] = {}
    for run in runs:
        found.setdefault((run.goal, run.contestant), []).append(run.seconds + seconds)
    return {key: np.cumsum(np.mean(paid, axis=0)) for key, paid in found.items()}


def _trials_within(run: Run, seconds: float, limit: float) -> int:
    """Count the trials that have ended within a time, at least one."""
    ended = np.cumsum(run.seconds + seconds)
    return max(1, int(np.searchsorted(ended, limit * (1 + 1e-9), side="right")))


def _quartiles(values: Array) -> str:
    """Write a median and the quartiles; a regret is infinite where nothing sufficed."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], method="nearest")
    return f"{_short(median)} ({_short(low)} to {_short(high)})"


def _short(value: float) -> str:
    return "none" if math.isinf(value) else f"{value:.3f}"


def curves_of(name: str, runs: Sequence[Run]) -> dict[tuple[str, str], Array]:
    """Return regret and volume after each trial: by goal and contestant, of (searches, trials)."""
    measured = measured_of(name)
    least = least_score(measured)
    members = [measured.space.drawn(number) for number in range(SAMPLE)]
    found: dict[tuple[str, str], list[Array]] = {}
    for seed in sorted({run.seed for run in runs}):
        mine = [run for run in runs if run.seed == seed]
        sample = Landscape(measured, seed).evaluate(members)
        known = [*sample, *(one for run in mine for one in run.found)]
        enough = np.sort([_cost(one) for one in known if one.score >= least])
        median = np.median([_cost(one) for one in sample if one.score >= least])
        whole = volume(known)
        for run in mine:
            if run.goal == "cheapest":
                costs = [_cost(one) if one.score >= least else math.inf for one in run.found]
                curve = (np.minimum.accumulate(costs) - enough[0]) / (median - enough[0])
            else:
                curve = np.array(
                    [volume(run.found[: count + 1]) / whole for count in range(len(run.found))]
                )
            found.setdefault((run.goal, run.contestant), []).append(curve)
    return {key: np.array(curves) for key, curves in found.items()}


def _cost(found: Found) -> float:
    return sum(found.costs.values()) / len(PHASES)


def volume(found: Sequence[Found]) -> float:
    """Return the volume that evaluations dominate, above the least score and below the costs."""
    inside = [
        (one.score, one.costs["training"], one.costs["inference"])
        for one in found
        if one.score > WORST_SCORE and max(one.costs.values()) < WORST_COST
    ]
    inside.sort(reverse=True)
    total = 0.0
    corners: list[tuple[float, float]] = []
    for place, (score, training, inference) in enumerate(inside):
        corners = _stairs([*corners, (training, inference)])
        lower = inside[place + 1][0] if place + 1 < len(inside) else WORST_SCORE
        if score > lower:
            total += (score - lower) * _area(corners)
    return total


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the points that no other is below and left of, from left to right."""
    kept: list[tuple[float, float]] = []
    for point in sorted(points):
        if not kept or point[1] < kept[-1][1]:
            kept.append(point)
    return kept


def _area(stairs: Sequence[tuple[float, float]]) -> float:
    area, lowest = 0.0, WORST_COST
    for training, inference in stairs:
        area += (WORST_COST - training) * (lowest - inference)
        lowest = inference
    return area


COLUMNS = ("goal", "contestant", "seed", "seconds", *PHASES, "score")


def load(space: str) -> list[Run]:
    """Read the searches of a space."""
    path = _path(space)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [_run(row) for row in csv.DictReader(file)]


def _run(row: Mapping[str, str]) -> Run:
    columns = {name: [float(one) for one in row[name].split()] for name in COLUMNS[3:]}
    found = [
        Found({phase: columns[phase][place] for phase in PHASES}, score)
        for place, score in enumerate(columns["score"])
    ]
    seconds = np.array(columns["seconds"])
    return Run(row["goal"], row["contestant"], int(row["seed"]), seconds, found)


def _append(space: str, run: Run) -> None:
    path = _path(space)
    path.parent.mkdir(exist_ok=True)
    fresh = not path.exists()
    columns = [
        " ".join(f"{one:.3f}" for one in run.seconds),
        *(" ".join(f"{one.costs[phase]:.4f}" for one in run.found) for phase in PHASES),
        " ".join(f"{one.score:.4f}" for one in run.found),
    ]
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(COLUMNS)
        writer.writerow([run.goal, run.contestant, run.seed, *columns])


def _path(space: str) -> Path:
    return DATA / "rivals" / f"{space}.csv"


if __name__ == "__main__":
    main()
