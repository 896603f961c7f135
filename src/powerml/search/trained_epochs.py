"""Epochs of trainings that may end early, in the predictions of what trainings cost. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, pstdev

from powerml.costs.counts import PhaseName
from powerml.costs.measurement import Measurement
from powerml.samplers import CandidateCosts
from powerml.search.known_costs import CONFIDENCE
from powerml.studies.records import CostRatios, Prediction, TrialRecord

__all__ = ["TrainedEpochs"]

TRAINING: PhaseName = "training"
# Half the width of the interval that holds a normal error with the confidence, in deviations.
DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


class TrainedEpochs:
    """The epochs that a study's trainings took, where early stopping may end them.

    The cost model knows networks, not their learning curves: it learns what trainings of equal
    epochs cost. A prediction is then of the mean epochs so far, and its error includes their
    spread.
    """

    def __init__(self) -> None:
        self._units: int | None = None
        self._done: list[int] = []

    def evened(self, trial: TrialRecord, unit: Measurement | None) -> CostRatios:
        """Note a trial's epochs; return its costs as if it had taken those of the unit."""
        done = _epochs_of(trial.measurement)
        units = _epochs_of(unit)
        if done is None or units is None:
            return trial.cost_ratios
        if self._units is None:
            self._units, self._done = units, [units]
        self._done.append(done)
        return {
            phase: ratio * units / done if phase == TRAINING else ratio
            for phase, ratio in trial.cost_ratios.items()
        }

    def expected(self, prediction: Prediction) -> Prediction:
        """Return a prediction of the unit's epochs as one of the mean epochs."""
        ratios, errors = dict(prediction.cost_ratios), dict(prediction.cost_errors)
        if self._units is None or TRAINING not in ratios:
            return prediction
        ratios[TRAINING] *= self._scale
        errors[TRAINING] = math.hypot(errors[TRAINING], DEVIATIONS * self._spread)
        return prediction.model_copy(update={"cost_ratios": ratios, "cost_errors": errors})

    def expected_of_candidates(self, costs: CandidateCosts | None) -> CandidateCosts | None:
        """Return the costs of candidates for the unit's epochs as those of the mean epochs."""
        if costs is None or self._units is None:
            return costs
        ratios, errors = dict(costs.ratios), dict(costs.errors)
        ratios[TRAINING] = ratios[TRAINING] * self._scale
        errors[TRAINING] = (errors[TRAINING] ** 2 + self._spread**2) ** 0.5
        return CandidateCosts(ratios, errors)

    @property
    def _scale(self) -> float:
        return fmean(self._done) / (self._units or 1)

    @property
    def _spread(self) -> float:
        """Standard deviation of the epochs, relative to their mean."""
        return pstdev(self._done) / fmean(self._done)


def _epochs_of(measurement: Measurement | None) -> int | None:
    """Return the counted epochs of a training that could end early; None for others."""
    if measurement is None or measurement.early_stopping is None:
        return None
    training = measurement.workload.training
    return None if training is None else training.epochs
