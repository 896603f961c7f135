"""Predictions of costs and scores: for topologies not tried, and their errors where tried. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.stats import norm

from powerml.costs.counts import PhaseName
from powerml.explain.searched import is_own, parameters_of, searched_bounds
from powerml.samplers.candidates import of_parameters
from powerml.samplers.score_model import ScoreModel, expected_scores
from powerml.search.known_costs import CONFIDENCE, StudyCostModel
from powerml.search.problem import BATCH_SIZE, distributions_of
from powerml.spaces import Bounds, parse_subspace
from powerml.studies.reader import StoredStudy
from powerml.studies.records import Prediction, TrialRecord
from powerml.workloads.metrics import ACCURACY, metric_range

__all__ = ["Expectation", "PhaseErrors", "expectation", "prediction_errors_of"]


class Expectation:
    """Predictions for topologies that a study has not tried, by its trials.

    Parameters
    ----------
    costs
        The cost knowledge, which must have learned from the trials.
    trials
        The trials.
    bounds
        Bounds of each parameter and the batch size.
    metric
        Metric of the scores.
    """

    def __init__(
        self,
        costs: StudyCostModel,
        trials: Sequence[TrialRecord],
        bounds: Mapping[str, Bounds],
        metric: str = ACCURACY,
    ) -> None:
        self._costs = costs
        self._score_range = metric_range(metric)
        self._space = distributions_of(bounds)
        scored = [
            (trial, trial.cost_ratios["training"], trial.score)
            for trial in trials
            if trial.score is not None and "training" in trial.cost_ratios
        ]
        rows = [parameters_of(trial) for trial, *_ in scored]
        paid = np.array([cost for _, cost, _ in scored])
        self._highest_cost = float(paid.max(initial=1.0))
        self._scores = ScoreModel(
            of_parameters(self._space, rows).points,
            np.array([score for *_, score in scored]),
            expected_scores(paid, self._highest_cost),
        )

    def predict(self, parameters: Mapping[str, int], batch_size: int) -> Prediction | None:
        """Predict a topology's costs and score; None where nothing is known."""
        found = self._costs.predict(parameters, batch_size)
        if found is None:
            return None
        point = of_parameters(self._space, [{**parameters, BATCH_SIZE: batch_size}]).points
        cost = np.array([found.cost_ratios["training"]])
        posterior = self._scores.predict(point, expected_scores(cost, self._highest_cost))
        error = float(norm.ppf((1 + CONFIDENCE) / 2) * posterior.deviation[0])
        score = float(posterior.mean.clip(*self._score_range)[0])
        return found.model_copy(update={"score": score, "score_error": error})


def expectation(stored: StoredStudy) -> Expectation | None:
    """Make the predictions of a stored study, or None if its space does not give its layers."""
    unit, settings = stored.unit, stored.settings
    workload = None if unit is None else unit.workload.training
    if workload is None or is_own(stored):
        return None
    space = parse_subspace(settings.space).space
    if not StudyCostModel.tells(space, workload):
        return None
    costs = StudyCostModel(space, workload, settings.reference)
    for trial in stored.trials:
        costs.learn(trial)
    return Expectation(costs, stored.trials, searched_bounds(stored), settings.metric)


@dataclass(frozen=True)
class PhaseErrors:
    """The prediction errors of one phase's cost, once measured.

    `median_error` is relative; `kept` of `trials` predictions were no further off than stated.
    """

    phase: PhaseName
    median_error: float
    kept: int
    trials: int


def prediction_errors_of(trials: Sequence[TrialRecord], phase: PhaseName) -> PhaseErrors | None:
    """Compute the prediction errors of a phase; None where there is nothing to compare."""
    errors, kept = [], 0
    for trial in trials:
        expected = trial.predicted
        measured = trial.cost_ratios.get(phase)
        if expected is None or measured is None or trial.state.name == "repeated":
            continue
        error = abs(expected.cost_ratios[phase] / measured - 1)
        errors.append(error)
        kept += error <= expected.cost_errors[phase]
    return PhaseErrors(phase, median(errors), kept, len(errors)) if errors else None
