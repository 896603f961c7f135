"""Landscapes: the score and the costs of any member of a space, made of what was measured.

Training and simulating every proposal of hundreds of searches would take weeks. The costs of a
phase come from the cost model, fitted to all that was simulated, or from a ridge regression: from
the one that predicts members left out better. Scores come from a forest. All get a deviation of the
size of the error on members left out. It depends on the member and the landscape's seed alone: the
same network always gets the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution

from declared import Declared
from own_members import Member, Space, read, values_of
from powerml.costs.cost_model import OPERATIONS, CostModel, Demand
from powerml.costs.counts import PHASES, PhaseName
from powerml.operations import Operation, operations_of
from powerml.search.own import choices_of
from powerml.spaces.trial import answers_of, named

__all__ = ["Found", "Landscape", "Measured"]

Array = NDArray[np.float64]
FOLDS, TREES = 8, 300
RIDGE = 0.1
# Seconds of a simulation on a machine that does nothing else: `speed.py trials` shows 3.3 to 3.5.
SIMULATION = 3.5
# Predictions beside one whose errors tell its own error.
NEIGHBOURS = 40
# Half a sample of the validation split: a score of 1 has no logit.
SAMPLES = 359
LEAST = 0.5 / SAMPLES


@dataclass(frozen=True)
class Found:
    """What an evaluation of a member gives: costs relative to the reference's, and a score."""

    costs: Mapping[PhaseName, float]
    score: float


@dataclass(frozen=True)
class Parts:
    """What a member consists of.

    Its operations and their sums, its batch size and its choices, and the tensors and numbers of
    its weights.
    """

    operations: tuple[Operation, ...]
    sums: Array
    batch_size: int
    choices: Mapping[str, str]
    tensors: int
    weights: int


# Half of all normal numbers are nearer to 0 than this.
HALF = 0.6745


@dataclass(frozen=True)
class CostRegression:
    """Costs of a phase by a ridge regression of logarithms; `errors` are of members left out."""

    measured: Measured
    phase: PhaseName
    model: Any
    errors: Array

    @classmethod
    def fitted(
        cls, measured: Measured, phase: PhaseName, members: Sequence[Member], logarithms: Array
    ) -> CostRegression:
        """Fit it."""
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import LeaveOneOut, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), Ridge(RIDGE))
        features = measured.features(members, phase)
        predicted = cross_val_predict(model, features, logarithms, cv=LeaveOneOut())
        errors = np.expm1(predicted - logarithms)
        return cls(measured, phase, model.fit(features, logarithms), errors)

    @property
    def deviation(self) -> float:
        """Standard error: large errors of a few do not move it."""
        return float(np.median(np.abs(self.errors))) / HALF

    def predict(self, members: Sequence[Member]) -> Array:
        """Return costs relative to the reference's."""
        found: Array = np.exp(self.model.predict(self.measured.features(members, self.phase)))
        return found


@dataclass(frozen=True)
class CostModelFit:
    """Costs of a phase by the cost model of operations."""

    measured: Measured
    phase: PhaseName
    model: CostModel

    @property
    def errors(self) -> Array:
        """Relative errors of members left out, of those that share all terms with others."""
        left_out = self.model.fit(self.phase).left_out
        found: Array = left_out[np.isfinite(left_out)]
        return found

    @property
    def deviation(self) -> float:
        """Standard error: large errors of a few do not move it."""
        return float(np.median(np.abs(self.errors))) / HALF

    def predict(self, members: Sequence[Member]) -> Array:
        """Return costs relative to the reference's."""
        parts = [self.measured.parts_of(member) for member in members]
        sums = np.array([one.sums for one in parts])
        sizes = np.array([float(one.batch_size) for one in parts])
        choices = [one.choices for one in parts]
        return self.model.predict(self.phase, sums, sizes, choices).cycles


class Measured:
    """What was measured of a space, and the models that were fitted to it."""

    def __init__(self, space: Space) -> None:
        self.space, self.declared = space, Declared(space)
        self._parts: dict[str, Parts] = {}

    @cached_property
    def demand(self) -> Demand:
        """The workload that all members share."""
        return Demand.of(self.space.workload(self.space.reference))

    @cached_property
    def simulated(self) -> dict[str, dict[PhaseName, float]]:
        """Costs relative to the reference's, by the member's text."""
        rows = read(self.space.path("costs"))
        reference = rows[0]
        return {
            row["member"]: {phase: float(row[phase]) / float(reference[phase]) for phase in PHASES}
            for row in rows
        }

    @cached_property
    def _from_reference(self) -> CostModel:
        """The cost model as it is before the first trial: it knows the reference alone."""
        model = CostModel(self.demand, OPERATIONS)
        parts = self.parts_of(self.space.reference)
        ones = dict.fromkeys(PHASES, 1.0)
        model.learn(parts.operations, parts.batch_size, ones, parts.choices)
        return model

    def features(self, members: Sequence[Member], phase: PhaseName) -> Array:
        """Return what the cost of a phase is a function of, in logarithms and choices."""
        parts = [self.parts_of(member) for member in members]
        sums = np.array([one.sums for one in parts])
        sizes = np.array([float(one.batch_size) for one in parts])
        choices = [one.choices for one in parts]
        expected = self._from_reference.predict(phase, sums, sizes, choices).cycles
        steps = np.ceil(self.demand.training_samples / sizes)
        tensors = np.array([float(one.tensors) for one in parts])
        weights = np.array([float(one.weights) for one in parts])
        columns = [np.log(one) for one in (expected, tensors, weights)]
        if phase == "inference":  # neither batches nor the choices of a training are in it
            return np.column_stack(columns)
        columns.append(np.log(steps))
        for name, distribution in self.declared.distributions.items():
            if isinstance(distribution, CategoricalDistribution):
                for choice in distribution.choices:
                    chosen = np.array([float(one.get(name) == choice) for one in members])
                    columns += [chosen, chosen * columns[1]][: 2 if name == "optimizer" else 1]
        return np.column_stack(columns)

    @cached_property
    def cost_fits(self) -> dict[PhaseName, CostRegression | CostModelFit]:
        """Costs, fitted to all that was simulated by what predicts those left out better."""
        members = [values_of(text) for text in self.simulated]
        model = CostModel(self.demand, OPERATIONS)
        for member, costs in zip(members, self.simulated.values(), strict=True):
            parts = self.parts_of(member)
            model.learn(parts.operations, parts.batch_size, costs, parts.choices)
        found: dict[PhaseName, CostRegression | CostModelFit] = {}
        for phase in PHASES:
            logarithms = np.log([one[phase] for one in self.simulated.values()])
            fits: list[CostRegression | CostModelFit] = [
                CostRegression.fitted(self, phase, members, logarithms),
                CostModelFit(self, phase, model),
            ]
            found[phase] = min(fits, key=lambda one: one.deviation)
        return found

    @cached_property
    def trained(self) -> tuple[list[Member], Array]:
        """Members and their scores, of the first seed."""
        rows = [row for row in read(self.space.path("scores")) if row["seed"] == "0"]
        members = [values_of(row["member"]) for row in rows]
        return members, np.array([float(row["score"]) for row in rows])

    @cached_property
    def left_out(self) -> Array:
        """Logits of scores, predicted by a forest that has not seen the member."""
        from sklearn.model_selection import KFold, cross_val_predict

        members, scores = self.trained
        folds = KFold(FOLDS, shuffle=True, random_state=0)
        points = self.declared.points(members)
        found: Array = cross_val_predict(_forest(), points, logit(scores), cv=folds)
        return found

    @cached_property
    def forest(self) -> Any:
        """The forest, fitted to all that was trained."""
        members, scores = self.trained
        return _forest().fit(self.declared.points(members), logit(scores))

    def deviation(self, predicted: Array) -> Array:
        """Return the standard error of logits, by what was seen of members left out near them."""
        order = np.argsort(self.left_out)
        near = self.left_out[order]
        squares = (logit(self.trained[1])[order] - near) ** 2
        starts = np.searchsorted(near, predicted) - NEIGHBOURS // 2
        starts = np.clip(starts, 0, max(0, len(near) - NEIGHBOURS))
        found: Array = np.sqrt([np.mean(squares[one : one + NEIGHBOURS]) for one in starts])
        return found

    @cached_property
    def seconds(self) -> float:
        """Mean seconds of a trial: its simulation, and the processor's of its training."""
        rows = read(self.space.path("scores"))
        return SIMULATION + float(np.mean([float(row["seconds"]) for row in rows]))

    def parts_of(self, member: Member) -> Parts:
        """Return what a member consists of."""
        text = named(member)
        if text not in self._parts:
            built = self.space.built(answers_of(member, self.space.name))
            shape = self.space.material.dataset.input_shape
            operations = operations_of(built.model, shape)
            self._parts[text] = Parts(
                operations,
                OPERATIONS.sums(operations),
                int(member["batch_size"]),  # type: ignore[arg-type]
                choices_of(built.trial),
                len(list(built.model.parameters())),
                built.parameters,
            )
        return self._parts[text]


class Landscape:
    """Costs and scores of all members, as one seed has them.

    Parameters
    ----------
    measured
        What was measured.
    seed
        The seed of the deviations.
    """

    def __init__(self, measured: Measured, seed: int) -> None:
        self._measured, self._seed = measured, seed

    def evaluate(self, members: Sequence[Member]) -> list[Found]:
        """Return costs and scores."""
        measured = self._measured
        drawn = np.array([self._drawn(member) for member in members])
        costs = {}
        for place, phase in enumerate(PHASES):
            fitted = measured.cost_fits[phase]
            errors = fitted.deviation * np.clip(drawn[:, place], -3, 3)
            costs[phase] = fitted.predict(members) * np.exp(errors)
        logits = measured.forest.predict(measured.declared.points(members))
        logits = logits + measured.deviation(logits) * drawn[:, -1]
        scores = np.round(SAMPLES / (1 + np.exp(-logits))) / SAMPLES
        return [
            Found({phase: float(costs[phase][row]) for phase in PHASES}, float(scores[row]))
            for row in range(len(members))
        ]

    def _drawn(self, member: Member) -> Array:
        """Draw normal numbers that belong to a member and the seed."""
        digest = hashlib.sha256(f"{self._seed} {named(member)}".encode()).digest()
        return np.random.default_rng(list(digest)).standard_normal(len(PHASES) + 1)


def logit(scores: Array) -> Array:
    """Return the logarithms of odds, of scores short of 0 and 1."""
    inner = np.clip(scores, LEAST, 1 - LEAST)
    found: Array = np.log(inner / (1 - inner))
    return found


def _forest() -> Any:
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=0)
