"""Predicted costs of trainings that may end early."""

from __future__ import annotations

import pytest

from powerml.costs.measurement import Measurement, stopped_early
from powerml.search.trained_epochs import TrainedEpochs
from powerml.studies.records import Prediction
from tests.builders import make_measurement, make_trial, make_workload_record

PREDICTED = Prediction(
    cost_ratios={"training": 0.5, "inference": 0.5},
    cost_errors={"training": 0.03, "inference": 0.03},
)


def of_epochs(done: int) -> Measurement:
    measurement = make_measurement(workload=make_workload_record(epochs=done))
    return stopped_early(measurement, patience=2, epochs=20, epochs_done=[done])


def test_costs_are_learned_as_if_all_trainings_had_the_epochs_of_the_reference() -> None:
    trial = make_trial(measurement=of_epochs(4), training=0.2, inference=0.7)
    assert TrainedEpochs().evened(trial, of_epochs(8)) == {
        "training": pytest.approx(0.4),
        "inference": 0.7,
    }


def test_costs_are_predicted_for_the_mean_epochs_with_their_spread() -> None:
    epochs = TrainedEpochs()
    assert epochs.expected(PREDICTED) == PREDICTED
    epochs.evened(make_trial(measurement=of_epochs(4)), of_epochs(8))
    found = epochs.expected(PREDICTED)
    assert found.cost_ratios == {"training": pytest.approx(0.5 * 6 / 8), "inference": 0.5}
    # 8 and 4 are a third of their mean away from it; 0.9 of a normal error is within 1.645 of it.
    assert found.cost_errors["training"] == pytest.approx((0.03**2 + (1.645 / 3) ** 2) ** 0.5, 1e-3)
    assert found.cost_errors["inference"] == 0.03


def test_trainings_of_all_epochs_change_nothing() -> None:
    epochs, trial = TrainedEpochs(), make_trial()
    assert epochs.evened(trial, make_measurement()) == trial.cost_ratios
    assert epochs.expected(PREDICTED) == PREDICTED
