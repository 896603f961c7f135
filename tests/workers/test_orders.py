"""Errors travel as what they are."""

from __future__ import annotations

import pickle

import pytest

from powerml.errors import (
    MeasurementError,
    PowerMLError,
    SpaceError,
    TrainingError,
    UnknownNameError,
)
from powerml.workers.orders import Failure


@pytest.mark.parametrize(
    "error",
    [
        TrainingError("it diverged: scale the data"),
        SpaceError("line 3 of mine.py: build failed (ValueError: no): correct it"),
        UnknownNameError("runtime", "onx", ["onnxruntime"]),
        TrainingError.quoting("it failed", "a long text\nof a library", "try other data"),
    ],
)
def test_an_error_of_powerml_is_the_same_on_the_other_side(error: PowerMLError) -> None:
    found = pickle.loads(pickle.dumps(Failure.of(error))).error()  # noqa: S301 - our own bytes
    assert type(found) is type(error)
    assert (str(found), found.detail) == (str(error), error.detail)


def test_any_other_error_is_one_of_the_measurement() -> None:
    found = Failure.of(ZeroDivisionError("division by zero")).error()
    assert isinstance(found, MeasurementError)
    assert str(found) == "division by zero"
