from __future__ import annotations

import pytest

from powerml.explain.predictions import prediction_errors_of
from powerml.studies.records import Prediction, TrialRecord
from tests.builders import make_trial, repeat


def _trial(expected: float, measured: float | None, error: float) -> TrialRecord:
    prediction = Prediction(
        cost_ratios={"training": expected, "inference": 1.0},
        cost_errors={"training": error, "inference": 0.5},
    )
    return make_trial(predicted=prediction, training=measured)


def test_predictions_are_held_against_what_was_measured() -> None:
    trials = [_trial(1.1, 1.0, 0.2), _trial(0.9, 1.0, 0.05), _trial(2.04, 2.0, 0.05)]
    found = prediction_errors_of(trials, "training")
    assert found is not None
    assert found.median_error == pytest.approx(0.1)
    assert (found.kept, found.trials) == (2, 3)


def test_what_was_not_predicted_not_measured_or_only_repeated_is_left_out() -> None:
    unpredicted = make_trial()
    failed = _trial(1.0, None, 0.1)
    repeated = repeat(_trial(5.0, 1.0, 0.1), 2)
    assert prediction_errors_of([unpredicted, failed, repeated], "training") is None
