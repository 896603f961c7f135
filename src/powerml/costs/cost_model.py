"""The cost model of a study: it learns from each measurement and predicts the other costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powerml.costs.choice_terms import Chosen, choice_prior, choice_terms, choices_among
from powerml.costs.cost_fit import (
    CostFit,
    Terms,
    fit_costs,
    inference_terms,
    structure_sums,
    training_terms,
)
from powerml.costs.counts import PHASES, PhaseName
from powerml.costs.operation_priors import OPERATIONS_PRIOR, UPDATES_PRIOR
from powerml.costs.operation_terms import (
    operation_inference_terms,
    operation_sums,
    operation_training_terms,
    updated_in_steps,
)
from powerml.workloads.workload import TrainedWorkload

__all__ = ["LAYERS", "OPERATIONS", "CostModel", "Demand", "Predicted", "Structure"]

Array = NDArray[np.float64]

# What things cost in Keras on torch and in ONNX Runtime, in cycles of a Xeon X5650, to one digit:
# only their ratios count, and only until measurements tell better.
# `benchmarks/cost_model.py prior` prints them.
PRIOR: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "training": {
            "set-up": 7e7,
            "step": 2e7,
            "dense layer": 1e7,
            "dense layer, step": 3e6,
            "dense parameter, step": 100,
            "dense product": 0.7,
            "dense product in blocks of 8": 0.2,
            "dense input": 200,
            "dense output": 50,
            "convolution layer": 5e7,
            "convolution layer, step": 2e6,
            "convolution layer of even windows, step": 7e6,
            "convolution parameter, step": 100,
            "convolution product": 0.1,
            "convolution product in blocks of 8": 0.4,
            "convolution input": 10,
            "convolution input of odd windows": 10,
            "convolution input of even windows": 20,
            "convolution output": 100,
            "convolution output of odd windows": 70,
            "convolution output of even windows": 40,
        },
        "inference": {
            "inference": 1e5,
            "dense layer": 8e3,
            "dense layer of one unit": 7e3,
            "dense weight": 0.3,
            "dense input": 40,
            "dense input of one unit": 3,
            "dense output": 30,
            "dense product in blocks of 4": 0.3,
            "dense product in blocks of 8": 4,
            "dense product in blocks of 16": 3,
            "convolution layer": 7e4,
            "convolution layer of one unit": 4e3,
            "convolution weight": 0.3,
            "convolution input": 30,
            "convolution input of odd windows": 7,
            "convolution input of even windows": 2,
            "convolution input of one unit": 0.1,
            "convolution output": 10,
            "convolution output of odd windows": 10,
            "convolution output of even windows": 40,
            "convolution product in blocks of 4": 0.1,
            "convolution product in blocks of 8": 0.2,
            "convolution product in blocks of 16": 0.1,
        },
    }
)


@dataclass(frozen=True)
class Structure:
    """Sums over the parts of a topology, and the terms of its costs that follow from them.

    Parameters
    ----------
    sums
        Sums up what a topology consists of; the array has the same shape for each topology.
    training_terms
        Counts the terms of a training from the sums of topologies, their batch sizes, the samples
        and the epochs.
    inference_terms
        Counts the terms of an inference in a runtime from these sums, the batch size and the
        inferences.
    prior
        Costs of the terms elsewhere, by phase; only the ratios count.
    updates
        Counts what a training's optimizer updates, from what `training_terms` takes; None where
        all trainings of a study have the same optimizer.
    updates_prior
        Costs of these elsewhere, in the same unit.
    """

    sums: Callable[[Sequence[Any]], Array]
    training_terms: Callable[[Array, Array, int, int], Terms]
    inference_terms: Callable[[Array, int, int], Terms]
    prior: Mapping[str, Mapping[str, float]]
    updates: Callable[[Array, Array, int, int], Mapping[str, Array]] | None = None
    updates_prior: Mapping[str, float] = field(default_factory=dict)


# Layers of a space that tells them, and operations that were read from a network of any kind.
LAYERS = Structure(structure_sums, training_terms, inference_terms, PRIOR)
OPERATIONS = Structure(
    operation_sums,
    operation_training_terms,
    operation_inference_terms,
    OPERATIONS_PRIOR,
    updated_in_steps,
    UPDATES_PRIOR,
)


NOTHING: Chosen = MappingProxyType({})


@dataclass(frozen=True)
class Demand:
    """Workload that all topologies of a study share, except the batch size.

    `inference` is the batch size and the number of inferences in a runtime. It is None for one pass
    of Keras over `inference_samples` in batches of the training's size.
    """

    training_samples: int
    epochs: int
    inference_samples: int
    inference: tuple[int, int] | None

    @classmethod
    def of(cls, workload: TrainedWorkload) -> Demand:
        """Return the demand of a workload."""
        deployment = workload.deployment
        return cls(
            training_samples=workload.training_samples,
            epochs=workload.epochs,
            inference_samples=workload.inference_samples,
            inference=None
            if deployment is None
            else (deployment.batch_size or 1, deployment.inferences),
        )

    def terms(
        self, phase: str, sums: Array, batch_size: Array, structure: Structure = LAYERS
    ) -> Terms:
        """Count the terms of a phase, for several topologies."""
        if phase == "training":
            return structure.training_terms(sums, batch_size, self.training_samples, self.epochs)
        if self.inference is None:
            return structure.training_terms(sums, batch_size, self.inference_samples, 1)
        return structure.inference_terms(sums, *self.inference)

    def prior(self, phase: str, structure: Structure = LAYERS) -> Mapping[str, float]:
        """Return prior costs of a phase's terms. Keras runs both phases alike."""
        return structure.prior.get("training" if self.inference is None else phase, {})


@dataclass(frozen=True)
class Predicted:
    """Costs in cycles and their relative standard errors, each of shape (topologies,)."""

    cycles: Array
    error: Array


class CostModel:
    """Predicts costs of the topologies of one study from those it has learned.

    Parameters
    ----------
    demand
        The workload that they share.
    structure
        What is known of each topology: `LAYERS`, or `OPERATIONS`.
    """

    def __init__(self, demand: Demand, structure: Structure = LAYERS) -> None:
        self.structure = structure
        self._demand = demand
        self._sums: list[Array] = []
        self._batch_sizes: list[int] = []
        self._choices: list[Chosen] = []
        self._cycles: dict[PhaseName, list[float]] = {phase: [] for phase in PHASES}
        self._fits: dict[PhaseName, CostFit] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def learn(
        self,
        parts: Sequence[Any],
        batch_size: int,
        cycles: Mapping[PhaseName, float],
        choices: Chosen = NOTHING,
    ) -> None:
        """Add a measurement.

        Parameters
        ----------
        parts
            What the topology consists of: its layers, or its operations.
        batch_size
            Samples in a batch of its training.
        cycles
            The cost of each phase.
        choices
            Choices of its categorical parameters, by name. One of them may be the optimizer.
        """
        self._sums.append(self.structure.sums(parts))
        self._batch_sizes.append(batch_size)
        self._choices.append(choices)
        for phase in PHASES:
            self._cycles[phase].append(cycles[phase])
        self._fits.clear()

    def predict(
        self,
        phase: PhaseName,
        sums: Array,
        batch_size: Array,
        choices: Sequence[Chosen] | None = None,
    ) -> Predicted:
        """Costs of a phase.

        Parameters
        ----------
        phase
            ``training`` or ``inference``.
        sums
            As the structure's `sums` gives them, of shape (topologies, kinds, sums).
        batch_size
            Of shape (topologies,).
        choices
            Choices of the categorical parameters of each topology; nothing is chosen if left out.

        Raises
        ------
        ValueError
            It has learned nothing yet.
        """
        fitted = self.fit(phase)
        chosen = [NOTHING] * len(sums) if choices is None else choices
        return Predicted(*fitted.predict(self._terms(phase, sums, batch_size, chosen)))

    def fit(self, phase: PhaseName) -> CostFit:
        """Fit the costs of a phase's terms to all measurements."""
        if not self._sums:
            raise ValueError("nothing was measured that costs could be predicted from")
        if phase not in self._fits:
            batch_sizes = np.array(self._batch_sizes, dtype=float)
            terms = self._terms(phase, np.array(self._sums), batch_sizes, self._choices)
            prior = self._demand.prior(phase, self.structure)
            chosen = choice_prior(self._known_choices(phase), self.structure.updates_prior)
            measured = np.array(self._cycles[phase])
            self._fits[phase] = fit_costs(terms, measured, {**prior, **chosen})
        return self._fits[phase]

    def _terms(
        self, phase: PhaseName, sums: Array, batch_size: Array, choices: Sequence[Chosen]
    ) -> Terms:
        """Count the terms of a phase, with those of the choices that a training makes."""
        terms = self._demand.terms(phase, sums, batch_size, self.structure)
        known, count = self._known_choices(phase), self.structure.updates
        if not known or count is None:
            return terms
        demand = self._demand
        updates = count(sums, batch_size, demand.training_samples, demand.epochs)
        return terms.beside(choice_terms(known, choices, updates))

    def _known_choices(self, phase: PhaseName) -> dict[str, tuple[str, ...]]:
        if phase != "training" or self.structure.updates is None:
            return {}
        return choices_among(self._choices)
