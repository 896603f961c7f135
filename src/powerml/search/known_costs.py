"""The cost model of a study: costs of topologies that it has not tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.costs.cost_fit import structure_sums
from powerml.costs.cost_model import CostModel, Demand
from powerml.costs.counts import PHASES, PhaseName
from powerml.samplers.acquisition import CandidateCosts
from powerml.search.problem import BATCH_SIZE, FIRST
from powerml.spaces import Layer, Space, layers_of, parse_topology
from powerml.studies.records import Prediction, TrialRecord
from powerml.workloads.workload import TrainedWorkload

__all__ = ["CONFIDENCE", "StudyCostModel"]

Columns = Mapping[str, NDArray[Any]]

CONFIDENCE = 0.9  # of every error that is stated


class StudyCostModel:
    """Costs of a study's topologies relative to its reference, by all its trials so far.

    The reference's relative costs are 1 by definition. The cost model therefore predicts from the
    structure alone before anything is measured. If the first trial is the reference, nothing is
    known before it has ended.

    Parameters
    ----------
    space
        The space that is searched. It must give its layers: see `tells`.
    workload
        The workload that the study's topologies share.
    reference
        The topology that costs are relative to, or ``first``.
    """

    def __init__(self, space: Space, workload: TrainedWorkload, reference: str) -> None:
        self._space = space
        self._shape, self._classes = workload.input_shape, workload.classes
        self._names: Sequence[str] = list(space.bounds)
        self._model = CostModel(Demand.of(workload))
        self._known: dict[tuple[int, ...], tuple[Layer, ...]] = {}
        self._sums: dict[tuple[int, ...], NDArray[np.float64]] = {}
        if reference != FIRST:
            parameters = parse_topology(reference).parameters
            self._learn(parameters, space.reference_batch_size, dict.fromkeys(PHASES, 1.0))

    @staticmethod
    def tells(space: Space, workload: TrainedWorkload) -> bool:
        """Return whether costs of a space can be predicted from its layers."""
        shape, classes = workload.input_shape, workload.classes
        return layers_of(space, space.reference, shape, classes) is not None

    def learn(self, trial: TrialRecord) -> None:
        """Learn from a trial if it was measured."""
        if not trial.cost_ratios or trial.state.name == "repeated":
            return
        parameters = parse_topology(trial.topology).parameters
        self._learn(parameters, trial.batch_size, trial.cost_ratios)

    def costs(self, columns: Columns) -> CandidateCosts | None:
        """Return costs of many topologies, from parameter values by name; None if unknown."""
        if len(self._model) == 0:
            return None
        sums = np.array([self._sums_of(key) for key in self._keys(columns)])
        batch_sizes = np.asarray(columns[BATCH_SIZE], dtype=float)
        found = {phase: self._model.predict(phase, sums, batch_sizes) for phase in PHASES}
        return CandidateCosts(
            {phase: one.cycles for phase, one in found.items()},
            {phase: one.error for phase, one in found.items()},
        )

    def layers_of(self, columns: Columns) -> list[tuple[Layer, ...]]:
        """Return the layers of many topologies, from parameter values by name."""
        return [self._layers(key) for key in self._keys(columns)]

    def predict(self, parameters: Mapping[str, int], batch_size: int) -> Prediction | None:
        """Predict the costs of one topology; None where nothing is known."""
        if len(self._model) == 0:
            return None
        sums = self._sums_of(self._key(parameters))[None]
        ratios, errors = {}, {}
        for phase in PHASES:
            predicted = self._model.predict(phase, sums, np.array([float(batch_size)]))
            bound = self._model.fit(phase).bound(predicted.error, CONFIDENCE)
            ratios[phase], errors[phase] = float(predicted.cycles[0]), float(bound[0])
        return Prediction(cost_ratios=ratios, cost_errors=errors)

    def _learn(
        self, parameters: Mapping[str, int], batch_size: int, ratios: Mapping[PhaseName, float]
    ) -> None:
        self._model.learn(self._layers(self._key(parameters)), batch_size, ratios)

    def _key(self, parameters: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(parameters[name] for name in self._names)

    def _keys(self, columns: Columns) -> list[tuple[int, ...]]:
        return list(zip(*(columns[name].tolist() for name in self._names), strict=True))

    def _layers(self, key: tuple[int, ...]) -> tuple[Layer, ...]:
        if key not in self._known:
            parameters = dict(zip(self._names, key, strict=True))
            found = layers_of(self._space, parameters, self._shape, self._classes)
            if found is None:
                raise TypeError(f"the space {self._space.name} does not tell its layers")
            self._known[key] = found
        return self._known[key]

    def _sums_of(self, key: tuple[int, ...]) -> NDArray[np.float64]:
        if key not in self._sums:
            self._sums[key] = structure_sums(self._layers(key))
        return self._sums[key]
