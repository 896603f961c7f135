"""What a study knows of topologies it has not tried: their costs and parameters, from structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.costmodel import CostModel, Demand
from powerml.prediction import structure_sums
from powerml.problem import BATCH_SIZE, FIRST, Problem
from powerml.records import Prediction, TrialRecord
from powerml.samplers.acquisition import CostRatios
from powerml.structure import Layer, layers_of, parameter_count
from powerml.topology import parse_topology, topology_of

__all__ = ["StudyKnowledge"]

Columns = Mapping[str, NDArray[Any]]


class StudyKnowledge:
    """Costs of a study's topologies relative to its reference, by all its trials so far.

    The reference's costs are 1 whatever they are, so something is known before anything is
    measured: what the cost model expects from the structure alone. Where the first trial is the
    reference, nothing is known before it has ended.

    Parameters
    ----------
    problem
        What is searched. Its family must tell its layers: see `knows`.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        workload = problem.workload(
            topology_of(problem.family, problem.family.reference),
            problem.family.reference_batch_size,
        )
        self._model = CostModel(Demand.of(workload))
        self._known: dict[tuple[int, ...], tuple[Layer, ...]] = {}
        self._sums: dict[tuple[int, ...], NDArray[np.float64]] = {}
        if problem.settings.reference != FIRST:
            reference = parse_topology(problem.settings.reference).parameters
            self._learn(reference, problem.family.reference_batch_size, 1.0, 1.0)

    @staticmethod
    def knows(problem: Problem) -> bool:
        """Whether the costs of a problem's topologies can be told from their structure."""
        family, data = problem.family, problem.dataset
        return layers_of(family, family.reference, data.input_shape, data.classes) is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be predicted yet."""
        return len(self._model) == 0

    def learn(self, trial: TrialRecord) -> None:
        """Learn from a trial that was measured; others teach nothing."""
        training, inference = trial.training_cost_ratio, trial.inference_cost_ratio
        if training is None or inference is None or trial.repeats is not None:
            return
        parameters = parse_topology(trial.topology).parameters
        self._learn(parameters, trial.batch_size, training, inference)

    def costs(self, columns: Columns) -> CostRatios | None:
        """Costs of many topologies, from the values of each parameter by name; None if unknown."""
        if self.is_empty:
            return None
        keys = self._keys(columns)
        sums = np.array([self._sums_of(key) for key in keys])
        batch_sizes = np.asarray(columns[BATCH_SIZE], dtype=float)
        training = self._model.predict("training", sums, batch_sizes)
        inference = self._model.predict("inference", sums, batch_sizes)
        return CostRatios(training.cycles, inference.cycles, training.error, inference.error)

    def parameter_counts(self, columns: Columns) -> NDArray[np.int64]:
        """Weights and biases of many topologies."""
        return np.array([parameter_count(self._layers(key)) for key in self._keys(columns)])

    def predict(self, parameters: Mapping[str, int], batch_size: int) -> Prediction | None:
        """What one topology is expected to cost, with how far off that may be; None where unknown.

        The errors are relative, at a confidence of nine in ten.
        """
        if self.is_empty:
            return None
        sums = self._sums_of(self._key(parameters))[None]
        found: dict[str, float] = {}
        for phase in ("training", "inference"):
            predicted = self._model.predict(phase, sums, np.array([float(batch_size)]))
            bound = self._model.fit(phase).bound(predicted.error)
            found[f"{phase}_cost_ratio"] = float(predicted.cycles[0])
            found[f"{phase}_error"] = float(bound[0])
        return Prediction(**found)

    @cached_property
    def _names(self) -> Sequence[str]:
        return list(self._problem.family.bounds)

    def _learn(
        self, parameters: Mapping[str, int], batch_size: int, training: float, inference: float
    ) -> None:
        layers = self._layers(self._key(parameters))
        self._model.learn(layers, batch_size, {"training": training, "inference": inference})

    def _key(self, parameters: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(parameters[name] for name in self._names)

    def _keys(self, columns: Columns) -> list[tuple[int, ...]]:
        return list(zip(*(columns[name].tolist() for name in self._names), strict=True))

    def _layers(self, key: tuple[int, ...]) -> tuple[Layer, ...]:
        if key not in self._known:
            data = self._problem.dataset
            parameters = dict(zip(self._names, key, strict=True))
            found = layers_of(self._problem.family, parameters, data.input_shape, data.classes)
            if found is None:
                raise TypeError(self._problem.family.name)
            self._known[key] = found
        return self._known[key]

    def _sums_of(self, key: tuple[int, ...]) -> NDArray[np.float64]:
        if key not in self._sums:
            self._sums[key] = structure_sums(self._layers(key))
        return self._sums[key]
