"""How well the cost model predicts topologies that were not measured.

    python benchmarks/cost_model.py        # figure 4: errors after 1, 5, 10 and 20 measurements
    python benchmarks/cost_model.py prior  # what things cost, to one digit: the PRIOR shipped

It learns the reference and some of the simulated sample of a table, drawn at random 50 times, and
predicts the rest of the sample. The prior was made from dffr and cnn; the second row of each is
without it, and taper has seen none of it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

import spaces
from powerml.costs.cost_fit import CostFit, Terms, fit_costs
from powerml.costs.cost_model import PRIOR
from powerml.costs.counts import PHASES
from tabular import simulated_costs, terms_of

MEASUREMENTS = (1, 5, 10, 20)
DRAWS = 50
DEVELOPED_ON = ("dffr", "cnn")

Array = NDArray[np.float64]


def main() -> None:
    """Print what was asked for."""
    if sys.argv[1:] == ["prior"]:
        print_prior()
        return
    print(
        "| space | phase | prior | measured | median error | nine in ten below | largest "
        "| within the stated bound |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in spaces.names():
        space = spaces.find(name)
        simulated = simulated_costs(space)
        for phase in PHASES:
            terms = terms_of(space, list(simulated), phase)
            costs = np.array([one[phase] for one in simulated.values()])
            for said, prior in (("yes", PRIOR[phase]), ("no", {})):
                for count in MEASUREMENTS:
                    errors, bounds = _errors(terms, costs, count, prior)
                    print(
                        f"| {name} | {phase} | {said} | {count} | {np.median(errors):.1%} "
                        f"| {np.quantile(errors, 0.9):.1%} | {errors.max():.0%} "
                        f"| {np.mean(errors <= bounds):.0%} |",
                        flush=True,
                    )


def print_prior() -> None:
    """Fit what things cost to both spaces, each in its own way, and print one digit."""
    for phase in PHASES:
        found: dict[str, list[float]] = {}
        for name in DEVELOPED_ON:
            space = spaces.find(name)
            simulated = simulated_costs(space)
            costs = np.array([one[phase] for one in simulated.values()])
            fitted = fit_costs(terms_of(space, list(simulated), phase), costs, {})
            for thing, cost in zip(fitted.names, fitted.costs, strict=True):
                found.setdefault(thing, []).append(float(cost))
        print(f"{phase} (dffr, cnn; cycles of a Xeon X5650)")
        for thing, values in found.items():
            print(f"    {thing:45}{', '.join(f'{value:.1g}' for value in values)}")


def _errors(
    terms: Terms, costs: Array, count: int, prior: Mapping[str, float]
) -> tuple[Array, Array]:
    """Relative errors of predictions, and what was stated."""
    generator = random.Random(0)
    errors, bounds = [], []
    for _ in range(DRAWS):
        # The first is the reference, which a study measures before all else.
        chosen = [0, *generator.sample(range(1, len(costs)), count - 1)]
        rest = sorted(set(range(len(costs))) - set(chosen))
        fitted = _learn(terms, costs, chosen, prior)
        predicted, error = fitted.predict(Terms(terms.names, terms.values[rest]))
        errors.append(np.abs(predicted / costs[rest] - 1))
        bounds.append(fitted.bound(error))
    return np.concatenate(errors), np.concatenate(bounds)


def _learn(
    terms: Terms, costs: Array, chosen: Sequence[int], prior: Mapping[str, float]
) -> CostFit:
    known = Terms(terms.names, terms.values[list(chosen)])
    return fit_costs(known, costs[list(chosen)], prior)


if __name__ == "__main__":
    main()
