"""Requests to the guest: a classification asks in the words that it always did."""

from __future__ import annotations

from powerml.guest.request import Request

CLASSIFICATION = {
    "phase": "training",
    "topology": "dffr:layers=1,width=4",
    "input_shape": [8],
    "classes": 3,
    "batch_size": 4,
    "epochs": 1,
    "protocol": "default",
    "data": "stem",
}


def test_a_classification_goes_without_saying_and_a_regression_is_named() -> None:
    plain = Request(**CLASSIFICATION).content()  # type: ignore[arg-type]
    assert "task" not in plain
    assert Request(**plain).task == "classification"
    regression = Request(**CLASSIFICATION, task="regression").content()  # type: ignore[arg-type]
    assert Request(**regression).task == "regression"
