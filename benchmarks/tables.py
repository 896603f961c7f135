"""A table of topologies, to be searched without training or simulating anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import spaces
from powerml.costs.cost_fit import structure_sums
from powerml.costs.cost_model import CostModel, Demand
from powerml.costs.counts import PHASES, PhaseName
from powerml.samplers.acquisition import CandidateCosts
from tabular import DATA, read

__all__ = ["Table"]

Array = NDArray[np.float64]


class Table:
    """Scores and costs of all members of a space, as `tabular.py` made them.

    `score` and each of the `costs` by phase have the shape (members,); the costs are relative to
    the space's reference.

    Parameters
    ----------
    space
        What is searched.
    training
        The seed of the only training that scores come from; None for the mean of all.
    """

    def __init__(self, space: spaces.TabularSpace, training: int | None = None) -> None:
        self.space = space
        rows = list(read(DATA / f"{space.name}.csv"))
        scores = {row["member"]: row["validation_score"] for row in rows}
        if training is not None:
            scores = {
                row["member"]: row["validation_score"]
                for row in read(DATA / f"{space.name}-scores.csv")
                if int(row["seed"]) == training
            }
        self.score = np.array([float(scores[row["member"]]) for row in rows])
        self.test_score = np.array([float(row["test_score"]) for row in rows])
        self.costs = {phase: np.array([float(row[phase]) for row in rows]) for phase in PHASES}
        self.members = list(space.members())
        self._number = {
            tuple(value for _, value in member.values): number
            for number, member in enumerate(self.members)
        }

    def number(self, parameters: Mapping[str, Any]) -> int:
        """Which row of the table a proposal is."""
        return self._number[tuple(parameters[name] for name in self.space.distributions)]

    def numbers(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        """Rows of many proposals."""
        rows = zip(*(columns[name].tolist() for name in self.space.distributions), strict=True)
        return np.array([self._number[row] for row in rows])

    def costs_of(self, rows: NDArray[np.int64]) -> dict[PhaseName, NDArray[np.float64]]:
        """Costs of some rows, by phase."""
        return {phase: column[rows] for phase, column in self.costs.items()}

    def cost_of(self, row: int) -> dict[PhaseName, float]:
        """Costs of one row, by phase."""
        return {phase: float(column[row]) for phase, column in self.costs.items()}

    def exact_costs(self, columns: Mapping[str, NDArray[Any]]) -> CandidateCosts:
        """Costs as they stand in the table: perfect knowledge."""
        chosen = self.numbers(columns)
        return CandidateCosts(
            {phase: column[chosen] for phase, column in self.costs.items()},
            {phase: np.zeros(len(chosen)) for phase in self.costs},
        )


class LearnedCosts:
    """Costs as a study knows them: by a cost model that learns from each trial.

    Its first measurement is the reference's, as in a study.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        space = table.space
        self._layers = [space.layers(member) for member in table.members]
        self._sums = np.array([structure_sums(layers) for layers in self._layers])
        self._batch_sizes = np.array(
            [space.batch_size(member) for member in table.members], dtype=float
        )
        self._demand = Demand(space.training_samples, space.epochs, 0, (1, 1))
        self._reference = space.layers(space.reference), space.batch_size(space.reference)

    def fresh(self) -> LearnedCosts:
        """Forget everything but the reference."""
        self.model = CostModel(self._demand)
        self.model.learn(*self._reference, dict.fromkeys(PHASES, 1.0))
        return self

    def learn(self, number: int) -> None:
        """A trial was measured."""
        costs = self._table.cost_of(number)
        self.model.learn(self._layers[number], int(self._batch_sizes[number]), costs)

    def __call__(self, columns: Mapping[str, NDArray[Any]]) -> CandidateCosts:
        """Predict."""
        chosen = self._table.numbers(columns)
        found = {
            phase: self.model.predict(phase, self._sums[chosen], self._batch_sizes[chosen])
            for phase in PHASES
        }
        return CandidateCosts(
            {phase: one.cycles for phase, one in found.items()},
            {phase: one.error for phase, one in found.items()},
        )
