"""How well a search of an own space predicts costs of networks that it has not tried: figure 2.

    python benchmarks/own_costs.py                  # the table, of all three spaces (a minute)
    python benchmarks/own_costs.py branching_cnn    # of one

A search learns the reference and members at random, drawn twenty times, and predicts the other
members that were simulated. Where all but one are learned, each is left out once. ``fresh`` members
were simulated when the terms of the model were settled; the others had been looked at before.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landscapes import Measured, Parts
from own_members import SPACES, Space, read, values_of
from powerml.costs.cost_model import OPERATIONS, CostModel, Demand
from powerml.costs.counts import PHASES, PhaseName

TRIALS = (5, 10, 20)
DRAWS = 20
CONFIDENCE = 0.9

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """A member that was simulated: what it consists of, and its costs by the reference's."""

    parts: Parts
    costs: Mapping[PhaseName, float]


def main() -> None:
    """Print the table."""
    print(
        "| space | phase | predicted | trials | median error | nine in ten below | largest "
        "| within the stated bound |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in sys.argv[1:] or SPACES:
        measured = Measured(Space(name))
        members, fresh = _simulated(measured, "costs"), _simulated(measured, "fresh-costs")
        for phase in PHASES:
            for trials in TRIALS:
                _print(name, phase, "others", trials, _of_others(measured, members, phase, trials))
            if fresh:
                found = _of_fresh(measured, members, fresh, phase)
                _print(name, phase, "fresh", len(members) - 1, [found])


def _print(
    name: str, phase: str, which: str, trials: int, found: Sequence[tuple[Array, Array]]
) -> None:
    errors = np.concatenate([one for one, _ in found])
    bounds = np.concatenate([one for _, one in found])
    print(
        f"| {name} | {phase} | {which} | {trials} | {np.median(errors):.1%} "
        f"| {np.quantile(errors, 0.9):.1%} | {errors.max():.0%} "
        f"| {np.mean(errors <= bounds):.0%} of {len(errors)} |",
        flush=True,
    )


def _simulated(measured: Measured, what: str) -> list[Simulated]:
    rows, reference = read(measured.space.path(what)), read(measured.space.path("costs"))[0]
    return [
        Simulated(
            measured.parts_of(values_of(row["member"])),
            {phase: float(row[phase]) / float(reference[phase]) for phase in PHASES},
        )
        for row in rows
    ]


def _of_others(
    measured: Measured, members: Sequence[Simulated], phase: PhaseName, trials: int
) -> list[tuple[Array, Array]]:
    """Errors of predictions after so many trials and the reference, and what was stated."""
    return [
        _errors(
            measured.demand,
            [members[one] for one in chosen],
            [one for number, one in enumerate(members) if number not in chosen],
            phase,
        )
        for chosen in _choices(len(members), trials)
    ]


def _choices(members: int, trials: int) -> Iterator[set[int]]:
    """Yield what is learned: the reference, which is the first, and members at random."""
    others = range(1, members)
    if trials >= len(others):
        yield from ({*range(members)} - {one} for one in others)
        return
    generator = random.Random(0)
    for _ in range(DRAWS):
        yield {0, *generator.sample(others, trials)}


def _of_fresh(
    measured: Measured,
    members: Sequence[Simulated],
    fresh: Sequence[Simulated],
    phase: PhaseName,
) -> tuple[Array, Array]:
    return _errors(measured.demand, members, fresh, phase)


def _errors(
    demand: Demand, learned: Sequence[Simulated], others: Sequence[Simulated], phase: PhaseName
) -> tuple[Array, Array]:
    model = CostModel(demand, OPERATIONS)
    for one in learned:
        model.learn(one.parts.operations, one.parts.batch_size, one.costs, one.parts.choices)
    predicted = model.predict(
        phase,
        np.array([one.parts.sums for one in others]),
        np.array([float(one.parts.batch_size) for one in others]),
        [one.parts.choices for one in others],
    )
    costs = np.array([one.costs[phase] for one in others])
    bounds = model.fit(phase).bound(predicted.error, CONFIDENCE)
    return np.abs(predicted.cycles / costs - 1), bounds


if __name__ == "__main__":
    main()
